//! Which instances an expression reads, as the scope is asked: edges are between instances.

use grappe_value::{Type, Value};

use crate::support::{TestScope, load_files, rendered};

const CONFIG: &str = r#"
variable "unknown" {}
resource "host" "one" {}
resource "host" "many" { count = 3 }
resource "host" "named" { for_each = toset(["a", "b"]) }
data "image" "os" { count = 2 }
module "m" {
  source = "./m"
  count  = 2
}
module "single" { source = "./m" }
resource "host" "user" {
  count = 3
  value = VALUE
}
resource "host" "each" {
  for_each = toset(["a", "b"])
  value = 1
}
"#;

fn scope() -> TestScope {
    let host = |id: &str| Value::object([("id", Value::from(id)), ("tags", Value::tuple(["x".into()]))]);
    let module = |n: &str| Value::object([("out", Value::from(n)), ("list", Value::tuple(["l".into()]))]);
    TestScope {
        variables: [("unknown".to_owned(), Value::unknown(Type::Number))].into(),
        resources: [
            ("host.one", host("1")),
            ("host.many", Value::tuple([host("m0"), host("m1"), host("m2")])),
            ("host.named", Value::object([("a", host("na")), ("b", host("nb"))])),
            ("data.image.os", Value::tuple([host("i0"), host("i1")])),
        ]
        .map(|(k, v)| (k.to_owned(), v))
        .into(),
        modules: [("m", Value::tuple([module("out0"), module("out1")])), ("single", module("s"))]
            .map(|(k, v)| (k.to_owned(), v))
            .into(),
        count: Some(1),
        each: Some(("a".into(), "a".into())),
        ..TestScope::default()
    }
}

#[test]
fn a_known_key_reads_that_instance_only() {
    for (text, reads, value) in [
        ("host.one.id", "host.one", "\"1\""),
        ("host.many[count.index].id", "host.many[1]", "\"m1\""),
        ("host.many[count.index - 1].id", "host.many[0]", "\"m0\""),
        ("host.many[0].tags[0]", "host.many[0]", "\"x\""),
        ("host.many.0.id", "host.many[0]", "\"m0\""),
        ("host.many[*].id", "host.many", "[\"m0\", \"m1\", \"m2\"]"),
        ("length(host.many)", "host.many", "3"),
        ("host.many[var.unknown].id", "host.many", "(known after apply)"),
        ("host.named[\"b\"].id", "host.named[\"b\"]", "\"nb\""),
        ("host.named[\"${\"b\"}\"].id", "host.named[\"b\"]", "\"nb\""),
        ("[for k, h in host.named : h.id]", "host.named", "[\"na\", \"nb\"]"),
        ("data.image.os[1].id", "data.image.os[1]", "\"i1\""),
        ("module.m[0].out", "module.m[0].out", "\"out0\""),
        ("module.m[count.index].list[0]", "module.m[1].list", "\"l\""),
        ("module.m[*].out", "module.m", "[\"out0\", \"out1\"]"),
        ("module.single.out", "module.single.out", "\"s\""),
        ("module.single", "module.single", "{\"list\": [\"l\"], \"out\": \"s\"}"),
        // Only the branch taken is read.
        ("count.index == 0 ? host.many[0].id : host.one.id", "host.one", "\"1\""),
        ("count.index == 1 ? \"x\" : host.one.id", "", "\"x\""),
        ("true ? 1 : length(host.many)", "", "1"),
        ("true ? 1 : \"a${host.one.id}\"", "", "\"1\""),
        // What comes first and works is enough.
        ("try(host.one.id, host.many[0].id)", "host.one", "\"1\""),
        ("try(host.one.nope, host.many[0].id)", "host.one host.many[0]", "\"m0\""),
        ("can(host.one.nope)", "host.one", "false"),
        ("[for i in [0, 2] : host.many[i].id]", "host.many[0] host.many[2]", "[\"m0\", \"m2\"]"),
    ] {
        let source = CONFIG.replace("VALUE", text);
        let module = "output \"out\" {\n  value = 1\n}\noutput \"list\" {\n  value = []\n}\n";
        let (config, sources, diags) = load_files(&[("main.tf", &source), ("m/main.tf", module)]);
        let config = config.unwrap_or_else(|| panic!("{text}: {}", rendered(&diags, &sources)));
        let user = config.root.resources.values().find(|r| &*r.name == "user").unwrap();
        let scope = scope();
        let got = user.body.argument("value").unwrap().eval(&scope).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(format!("{got:?}"), value, "{text}");
        assert_eq!(scope.reads.borrow().join(" "), reads, "{text}");
    }
}

#[test]
fn references_are_known_before_evaluating() {
    let source =
        CONFIG.replace("VALUE", "[host.many[count.index].id, module.m[0].out, host.named[*], var.unknown]");
    let module = "output \"out\" {\n  value = 1\n}\n";
    let (config, ..) = load_files(&[("main.tf", &source), ("m/main.tf", module)]);
    let config = config.unwrap();
    let user = config.root.resources.values().find(|r| &*r.name == "user").unwrap();
    let shown: Vec<String> =
        user.body.references().iter().map(|r| format!("{} {:?}", r.subject, r.steps)).collect();
    insta::assert_snapshot!(shown.join("\n"));
}
