//! Bodies against a schema.

use grappe_value::{Attribute, Nesting, Path, Schema, Step, Type, Value};

use crate::support::{TestScope, load_files, rendered};

fn schema() -> Schema {
    let disk = Schema::new("a disk")
        .attr("size", Attribute::required(Type::Number, "in GB"))
        .attr("kind", Attribute::optional(Type::String, "its kind").default("ssd"))
        .attr("key", Attribute::optional(Type::String, "to encrypt with").sensitive());
    let network = Schema::new("a network").attr("name", Attribute::required(Type::String, "its name"));
    let quota = Schema::new("limits").attr("create", Attribute::optional(Type::String, "for creating"));
    let mut schema = Schema::new("a machine")
        .attr("name", Attribute::required(Type::String, "its name"))
        .attr("tags", Attribute::optional(Type::map(Type::String), "labels"))
        .attr("cpus", Attribute::optional(Type::Number, "how many").default(2i64))
        .attr("password", Attribute::optional(Type::String, "of root").sensitive())
        .attr("address", Attribute::optional_computed(Type::String, "where it is"))
        .attr("id", Attribute::computed(Type::String, "its id"))
        .block("disk", Nesting::List, disk)
        .block("network", Nesting::Set, network)
        .block("quota", Nesting::Single, quota);
    if let Some(disk) = schema.blocks.get_mut("disk") {
        disk.min = 1;
        disk.max = Some(3);
    }
    schema
}

/// The body of the only resource: checked, then decoded.
fn decode(body: &str, scope: &TestScope) -> Result<Value, String> {
    let source =
        format!("variable \"x\" {{}}\nvariable \"list\" {{}}\nresource \"machine\" \"m\" {{\n{body}\n}}\n");
    let (config, sources, diags) = load_files(&[("main.tf", &source)]);
    let Some(config) = config else { return Err(rendered(&diags, &sources)) };
    let body = &config.root.resources[0].body;
    let found = body.check(&schema());
    if found.has_errors() {
        return Err(rendered(&found, &sources));
    }
    body.decode(&schema(), scope).map_err(|d| rendered(&d, &sources))
}

fn scope() -> TestScope {
    TestScope {
        variables: [
            ("x".to_owned(), Value::from("secret").sensitive()),
            ("list".to_owned(), Value::unknown(Type::list(Type::String))),
        ]
        .into(),
        ..TestScope::default()
    }
}

#[test]
fn a_body_gives_the_object_that_its_schema_describes() {
    let value = decode(
        r#"
  name = "a${1}"
  tags = { n = 1, x = var.x }
  password = "p"
  disk {
    size = "10"
  }
  disk {
    size = 20
    kind = "hdd"
    key  = "k"
  }
  network { name = "b" }
  network { name = "a" }
  network { name = "a" }
"#,
        &scope(),
    )
    .unwrap();
    assert_eq!(value.ty(), schema().ty());
    insta::assert_snapshot!(format!("{value:#?}"));
}

#[test]
fn dynamic_blocks_are_expanded() {
    let value = decode(
        r#"
  name = "a"
  dynamic "disk" {
    for_each = { a = 1, b = 2 }
    content {
      size = disk.value
      kind = disk.key
    }
  }
  dynamic "network" {
    for_each = ["x", "y"]
    iterator = net
    content {
      name = "${net.key}-${net.value}-${[for net in ["inner"] : net][0]}"
    }
  }
"#,
        &scope(),
    )
    .unwrap();
    insta::assert_snapshot!(format!("{:?} {:?}", value.get("disk").unwrap(), value.get("network").unwrap()));

    let unknown = decode(
        "  name = \"a\"\n  dynamic \"disk\" {\n    for_each = var.list\n    content {\n      size = 1\n    }\n  }\n",
        &scope(),
    )
    .unwrap();
    let disk = unknown.get("disk").unwrap();
    assert!(disk.is_unknown() && matches!(disk.ty(), Type::List(_)), "{disk:?}");
}

#[test]
fn what_is_wrong_with_a_body_is_said_at_once() {
    insta::assert_snapshot!(
        "static",
        decode(
            r#"
  nmae = "a"
  id = "x"
  disk = []
  tags { a = 1 }
  disks {
    size = 1
  }
  quota {}
  quota {}
"#,
            &scope()
        )
        .unwrap_err()
    );
    insta::assert_snapshot!(
        "evaluated",
        decode(
            r#"
  name = null
  cpus = "many"
  tags = { a = [1] }
  disk {
    size = 1 + "a"
    kind = ["x"]
  }
  dynamic "disk" {
    for_each = [1, 2, 3]
    content {
      size = disk.value
    }
  }
  dynamic "network" {
    for_each = 5
    content {
      name = "a"
    }
  }
"#,
            &scope()
        )
        .unwrap_err()
    );
    insta::assert_snapshot!(
        "dynamic",
        decode(
            r#"
  name = "a"
  dynamic "disk" {
    for_eahc = []
    content {
    }
  }
  dynamic {
  }
  dynamic "network" {
    for_each = []
    iterator = "quoted"
    contents {
    }
  }
"#,
            &scope()
        )
        .unwrap_err()
    );
}

#[test]
fn a_part_of_a_value_is_found_in_the_text() {
    let source = "resource \"machine\" \"m\" {\n  name = \"a\"\n  tags = { a = 1 }\n  disk {\n    size = 1\n  }\n  disk {\n    size = 2\n  }\n}\n";
    let (config, sources, _) = load_files(&[("main.tf", source)]);
    let config = config.unwrap();
    let body = &config.root.resources[0].body;
    let text = |path: Path| body.attr_span(&path).map(|s| sources.text(s).to_owned());
    assert_eq!(text(Path::attr("name")).as_deref(), Some("name = \"a\""));
    assert_eq!(text(Path::attr("tags").then(Step::Key("a".into()))).as_deref(), Some("tags = { a = 1 }"));
    let second = Path::attr("disk").then(Step::Index(1));
    assert_eq!(text(second.then(Step::Attr("size".into()))).as_deref(), Some("size = 2"));
    assert_eq!(text(second).as_deref(), Some("disk"));
    assert_eq!(text(Path::attr("id")), None);
}

#[test]
fn provider_and_backend_bodies_are_bodies_too() {
    let (config, ..) = load_files(&[(
        "main.tf",
        "terraform {\n  backend \"s3\" {\n    bucket = \"b\"\n  }\n}\nprovider \"cloud\" {\n  alias = \"west\"\n  region = \"w\"\n}\n",
    )]);
    let root = config.unwrap().root;
    let schema = Schema::new("").attr("region", Attribute::required(Type::String, ""));
    let provider = &root.providers[0];
    assert_eq!((&*provider.name, provider.alias.as_deref()), ("cloud", Some("west")));
    assert!(provider.body.check(&schema).is_empty());
    assert_eq!(
        format!("{:?}", provider.body.decode(&schema, &TestScope::default()).unwrap()),
        "{\"region\": \"w\"}"
    );
    assert_eq!(&*root.settings.backend.as_ref().unwrap().ty, "s3");
}
