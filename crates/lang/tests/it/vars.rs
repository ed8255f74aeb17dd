//! Values from outside.

use grappe_diag::Sources;
use grappe_lang::{parse_tfvars, parse_var_value};
use grappe_value::{Type, Value};

use crate::support::{load_files, rendered};

#[test]
fn tfvars_are_constants() {
    let mut sources = Sources::new();
    let text = "name = \"lab\"\nsizes = [1, 2]\n\nnested = {\n  a = true\n}\n";
    let (values, diags) = parse_tfvars(&mut sources, "lab.tfvars", text);
    assert!(diags.is_empty(), "{diags}");
    let shown: Vec<String> = values
        .iter()
        .map(|(k, (v, span))| format!("{k}={v:?} {}", sources.text(*span).lines().count()))
        .collect();
    assert_eq!(shown, ["name=\"lab\" 1", "sizes=[1, 2] 1", "nested={\"a\": true} 3"]);

    let text = "a = var.b\nb = foo\nblock {\n}\nc = \nd = 1\nd = 2\n";
    let (values, diags) = parse_tfvars(&mut sources, "bad.tfvars", text);
    assert_eq!(values.len(), 2, "{values:?}");
    insta::assert_snapshot!(rendered(&diags, &sources));
}

#[test]
fn tfvars_may_be_json() {
    let mut sources = Sources::new();
    let (values, diags) = parse_tfvars(&mut sources, "lab.tfvars.json", "{\"a\": [1, \"x\"], \"b\": null}");
    assert!(diags.is_empty());
    assert_eq!(format!("{:?}", values.values().map(|(v, _)| v).collect::<Vec<_>>()), "[[1, \"x\"], null]");
    let (_, diags) = parse_tfvars(&mut sources, "bad.tfvars.json", "{\n  \"a\": nope\n}");
    insta::assert_snapshot!(rendered(&diags, &sources));
}

#[test]
fn a_variable_on_the_command_line_is_a_text_where_a_text_is_wanted() {
    let mut sources = Sources::new();
    let mut read = |text, ty| parse_var_value(&mut sources, "-var x", text, &ty);
    assert_eq!(read("[1]", Type::String).unwrap(), "[1]".into());
    assert_eq!(read("a b", Type::Any).unwrap(), "a b".into());
    assert_eq!(read("12", Type::Number).unwrap(), "12".into());
    assert_eq!(read("[\"a\"]", Type::list(Type::String)).unwrap(), Value::tuple(["a".into()]));
    assert_eq!(read("{a = 1}", Type::map(Type::Number)).unwrap(), Value::object([("a", Value::from(1i64))]));
    for bad in ["[", "a", "[var.x]", "", "{a = 1} 2"] {
        assert!(read(bad, Type::list(Type::String)).is_err(), "{bad}");
    }
}

#[test]
fn a_variable_accepts_what_fits_it() {
    let (config, sources, diags) = load_files(&[(
        "main.tf",
        r#"
variable "plain" {}
variable "number" {
  type    = number
  default = "3"
}
variable "strict" {
  type     = string
  default  = "d"
  nullable = false
}
variable "secret" {
  type      = string
  sensitive = true
}
variable "nodes" {
  type = list(object({
    name = string
    size = optional(number, 2)
    disk = optional(object({ gb = optional(number, 10), kind = optional(string) }), {})
    tags = optional(map(string))
  }))
}
variable "byname" {
  type    = map(object({ n = optional(number, 1) }))
  default = { a = {}, b = { n = 5 } }
}
"#,
    )]);
    let config = config.unwrap_or_else(|| panic!("{}", rendered(&diags, &sources)));
    let accept = |name: &str, value: Option<Value>| config.root.variables[name].accept(value, None);
    let shown = |name: &str, value: Option<Value>| format!("{:?}", accept(name, value).unwrap());
    assert_eq!(shown("plain", Some(1i64.into())), "1");
    assert!(accept("plain", None).is_err());
    assert_eq!(shown("number", None), "3");
    assert_eq!(shown("number", Some("7".into())), "7");
    assert_eq!(shown("number", Some(Value::NULL)), "null");
    assert!(accept("number", Some("x".into())).is_err());
    assert_eq!(shown("strict", Some(Value::NULL)), "\"d\"");
    assert_eq!(shown("secret", Some("hunter2".into())), "(sensitive value)");
    assert_eq!(
        shown("nodes", Some(Value::tuple([Value::object([("name", Value::from("a"))])]))),
        "[{\"disk\": {\"gb\": 10, \"kind\": null}, \"name\": \"a\", \"size\": 2, \"tags\": null}]"
    );
    assert_eq!(shown("byname", None), "{\"a\": {\"n\": 1}, \"b\": {\"n\": 5}}");
    assert!(accept("nodes", Some(Value::tuple([Value::object([("size", Value::from(1i64))])]))).is_err());
}

#[test]
fn a_declared_any_wants_an_expression_and_no_type_a_text() {
    let source =
        "variable \"a\" {\n  type = any\n}\nvariable \"b\" {}\nvariable \"c\" {\n  type = number\n}\n";
    let (config, ..) = load_files(&[("main.tf", source)]);
    let config = config.unwrap();
    let mut sources = Sources::new();
    let mut read = |name: &str, text| config.root.variables[name].read(&mut sources, "-var x", text);
    assert_eq!(read("a", "[1]").unwrap(), Value::tuple([1i64.into()]));
    assert!(read("a", "foo").is_err());
    assert_eq!(read("b", "[1]").unwrap(), "[1]".into());
    assert_eq!(read("c", "7").unwrap(), "7".into());
}
