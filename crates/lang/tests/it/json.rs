//! The JSON syntax against the native one: the same configuration, the same values, diagnostics with their places.

use std::collections::BTreeMap;

use grappe_lang::{Choice, Config, ConstantScope, IgnoreChanges, Mode};
use grappe_value::{Attribute, Nesting, Schema, Type, Value};

use crate::support::{TestScope, load_files, rendered};

fn loaded(files: &[(&str, &str)]) -> Config {
    let (config, sources, diags) = load_files(files);
    let config = config.unwrap_or_else(|| panic!("{}", rendered(&diags, &sources)));
    assert!(diags.is_empty(), "{}", rendered(&diags, &sources));
    config
}

fn said(files: &[(&str, &str)]) -> String {
    let (config, sources, diags) = load_files(files);
    assert_eq!(config.is_none(), diags.has_errors(), "a configuration, or errors");
    rendered(&diags, &sources)
}

const WHOLE: &str = r#"{
  "//": "a comment",
  "terraform": {
    "required_version": ">= 1.5, < 2.0",
    "required_providers": { "cloud": { "source": "example/cloud", "version": "~> 1.0" } },
    "backend": { "local": { "path": "x" } }
  },
  "provider": { "cloud": [ { "region": "${var.region}" }, { "alias": "west", "region": "west" } ] },
  "variable": {
    "region": {
      "description": "where",
      "type": "string",
      "default": "${east}",
      "validation": { "condition": "${length(var.region) > 0}", "error_message": "It is ${\"empty\"}." }
    },
    "list": { "type": "list(object({ a = optional(number, 1) }))", "default": [{}] }
  },
  "locals": [ { "names": "${[for i in range(3) : \"n${i}\"]}" }, { "map": { "${local.names[0]}": 1, "//": "kept" } } ],
  "data": { "cloud_image": { "os": { "name": "debian" } } },
  "resource": {
    "cloud_machine": {
      "node": {
        "//": "not an argument",
        "count": "${length(local.names)}",
        "provider": "cloud.west",
        "name": "${local.names[count.index]}",
        "depends_on": [ "module.net", "data.cloud_image.os" ],
        "lifecycle": {
          "create_before_destroy": true,
          "ignore_changes": [ "tags[\"a\"]", "disk[0].size", "name" ],
          "replace_triggered_by": [ "cloud_key.k[count.index].id" ],
          "precondition": [ { "condition": "${count.index < 5}", "error_message": "Too many." } ]
        }
      }
    },
    "cloud_key": [ { "k": { "count": 3, "lifecycle": { "ignore_changes": "all" } } } ]
  },
  "module": { "net": { "source": "./net", "for_each": "${toset([\"a\"])}", "cidr": "10.0.0.0/8", "providers": { "cloud": "cloud.west" } } },
  "output": { "ids": { "value": "${cloud_machine.node[*].id}", "sensitive": true, "depends_on": [ "module.net" ] } },
  "moved": [ { "from": "cloud_key.old[\"x\"]", "to": "cloud_key.k[0]" } ],
  "removed": { "from": "cloud_key.gone", "lifecycle": { "destroy": false } }
}"#;

#[test]
fn a_whole_configuration_is_read() {
    let config = loaded(&[("main.tf.json", WHOLE), ("net/main.tf.json", r#"{"variable": {"cidr": {}}}"#)]);
    let root = &config.root;
    let node = &root.resources[&(Mode::Managed, "cloud_machine".into(), "node".into())];
    assert!(node.lifecycle.create_before_destroy.is_set() && node.lifecycle.preconditions.len() == 1);
    let Choice::Is(IgnoreChanges::Paths(paths)) = &node.lifecycle.ignore_changes else { panic!() };
    let paths: Vec<String> = paths.iter().map(ToString::to_string).collect();
    assert_eq!(paths, ["tags[\"a\"]", "disk[0].size", "name"]);
    assert_eq!(node.provider.as_ref().unwrap().of.alias.as_deref(), Some("west"));
    let depends: Vec<String> = node.depends_on.iter().map(|r| r.subject.to_string()).collect();
    assert_eq!(depends, ["module.net", "data.cloud_image.os"]);
    assert_eq!(
        node.lifecycle.replace_triggered_by.all().next().unwrap()[0].subject.to_string(),
        "cloud_key.k"
    );
    let key = &root.resources[&(Mode::Managed, "cloud_key".into(), "k".into())];
    assert!(matches!(key.lifecycle.ignore_changes, Choice::Is(IgnoreChanges::All)));
    // What is constant is taken as it stands: nothing is computed in it.
    assert_eq!(root.variables["region"].default, Some("${east}".into()));
    assert_eq!(format!("{:?}", root.variables["list"].default.as_ref().unwrap()), "[{\"a\": 1}]");
    assert_eq!((root.providers.len(), root.outputs["ids"].sensitive), (2, true));
    assert_eq!(root.settings.required_providers["cloud"].source.as_deref(), Some("example/cloud"));
    assert_eq!(&*root.settings.backend.as_ref().unwrap().ty, "local");
    assert_eq!(root.moved[0].from.to_string(), "cloud_key.old[\"x\"]");
    assert!(!root.removed[0].destroy);
    let scope = TestScope {
        locals: BTreeMap::from([("names".to_owned(), Value::tuple(["n0".into()]))]),
        ..TestScope::default()
    };
    let value = |name: &str| format!("{:?}", root.locals[name].expr.eval(&scope).unwrap());
    assert_eq!(value("names"), "[\"n0\", \"n1\", \"n2\"]");
    assert_eq!(value("map"), "{\"//\": \"kept\", \"n0\": 1}");
}

#[test]
fn the_timeouts_block_is_told_from_an_argument_of_that_name() {
    let config = loaded(&[(
        "main.tf.json",
        r#"{ "resource": { "a": {
          "block":    { "timeouts": { "create": "1m", "delete": "2m" } },
          "blocks":   { "timeouts": [ { "read": "1s" } ] },
          "argument": { "timeouts": { "tls_bootstrap": "9m" } }
        } } }"#,
    )]);
    let resource = |name: &str| &config.root.resources[&(Mode::Managed, "a".into(), name.into())];
    for (name, block) in [("block", true), ("blocks", true), ("argument", false)] {
        assert_eq!(resource(name).timeouts.is_some(), block, "{name}");
        assert_eq!(resource(name).body.names().count(), usize::from(!block), "{name}");
    }
}

fn schema() -> Schema {
    let inner = Schema::new("").attr("size", Attribute::optional(Type::Number, ""));
    Schema::new("")
        .attr("name", Attribute::optional(Type::String, ""))
        .attr("tags", Attribute::optional(Type::map(Type::String), ""))
        .block("disk", Nesting::List, inner)
}

/// A body, decoded; and what is said of it.
fn decoded(json: &str) -> (Option<Value>, String) {
    let text = format!("{{\"resource\": {{\"host\": {{\"h\": {json}}}}}}}");
    let (config, sources, diags) = load_files(&[("main.tf.json", &text)]);
    let config = config.unwrap_or_else(|| panic!("{}", rendered(&diags, &sources)));
    let body = &config.root.resources[0].body;
    let found = body.check(&schema());
    (body.decode(&schema(), &ConstantScope).ok(), rendered(&found, &sources))
}

#[test]
fn the_schema_says_what_is_a_block() {
    for (json, shown) in [
        (r#"{"name": "${1 + 1}"}"#, "{\"disk\": [], \"name\": \"2\", \"tags\": null}"),
        (r#"{"disk": {"size": 1}}"#, "{\"disk\": [{\"size\": 1}], \"name\": null, \"tags\": null}"),
        (
            r#"{"disk": [{"size": 1}, {"//": "x", "size": "${2}"}], "disk": {}}"#,
            "{\"disk\": [{\"size\": 1}, {\"size\": 2}, {\"size\": null}], \"name\": null, \"tags\": null}",
        ),
        (
            r#"{"dynamic": {"disk": {"for_each": [3, 4], "iterator": "it", "content": {"size": "${it.value}"}}}}"#,
            "{\"disk\": [{\"size\": 3}, {\"size\": 4}], \"name\": null, \"tags\": null}",
        ),
        (
            r#"{"tags": {"dynamic": "x", "//": "y"}}"#,
            "{\"disk\": [], \"name\": null, \"tags\": {\"//\": \"y\", \"dynamic\": \"x\"}}",
        ),
        (r#"{"disk": null, "tags": null}"#, "{\"disk\": [], \"name\": null, \"tags\": null}"),
    ] {
        let (value, said) = decoded(json);
        assert_eq!(said, "", "{json}");
        assert_eq!(format!("{:?}", value.unwrap()), shown, "{json}");
    }
    insta::assert_snapshot!(
        decoded(
            "{\n  \"nmae\": 1,\n  \"disk\": [{\"sise\": 1}, 2],\n  \"name\": 1,\n  \"name\": 2,\n  \"blob\": {\n    \"a\": 1\n  }\n}"
        )
        .1
    );
}

#[test]
fn diagnostics_point_into_the_file() {
    insta::assert_snapshot!(said(&[(
        "main.tf.json",
        r#"{
  "resource": {
    "host": {
      "a": { "name": "x ${var.regoin} y" },
      "b": { "name": "say \"${local.nope}\"" , "count": "${1 +}" },
      "a": { "depends_on": ["host.c", 1], "lifecycle": { "prevent_destory": true } }
    }
  },
  "variable": { "region": { "type": "strng", "type": "string" }, "v": 1 },
  "output": { "o": {}, "p": { "value": 1, "value": 2 } },
  "locals": { "a": 1, "a": 2 },
  "module": {},
  "data": { "x": [] },
  "moved": { "from": "host.a", "to": "host..b" },
  "resuorce": {}
}"#
    )]));
    insta::assert_snapshot!(
        "broken",
        said(&[("main.tf.json", "{\n  \"locals\": {\n    \"a\": 1,\n  }\n}\n")])
    );
}

proptest::proptest! {
    /// Whatever a file holds, it is read or refused.
    #[test]
    fn no_text_makes_it_panic(cut in 0usize..4000, at in 0usize..4000, put in "[\\[\\]{}\",:$%\\\\a0]{0,6}") {
        let mut text: String = WHOLE.chars().take(cut).collect();
        let place = text.char_indices().map(|(i, _)| i).nth(at).unwrap_or(text.len());
        text.insert_str(place, &put);
        let (config, _, diags) = load_files(&[("main.tf.json", &text), ("net/main.tf.json", "{\"variable\": {\"cidr\": {}}}")]);
        proptest::prop_assert_eq!(config.is_none(), diags.has_errors());
    }
}
