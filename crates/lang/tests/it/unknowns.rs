//! What is not known yet: what stays known beside it, and of what type the rest is. Compared with `terraform console` beside a resource
//! that does not exist yet.

use grappe_value::{Type, Value};

use crate::support::{TestScope, evaluate};

/// `u` is an unknown string, `d` is unknown through and through, `n` is unknown but not null, `l` is an unknown list of strings.
fn scope() -> TestScope {
    let variables = [
        ("u", Value::unknown(Type::String)),
        ("d", Value::unknown(Type::Any)),
        ("n", Value::unknown_not_null(Type::String)),
        ("l", Value::unknown(Type::list(Type::String))),
        ("o", Value::unknown(Type::object([("a", Type::Number)]))),
    ];
    TestScope { variables: variables.map(|(k, v)| (k.to_owned(), v)).into(), ..TestScope::default() }
}

const DECLARED: &str =
    "variable \"u\" {}\nvariable \"d\" {}\nvariable \"n\" {}\nvariable \"l\" {}\nvariable \"o\" {}\n";

#[test]
fn the_unknown_stays_unknown_and_the_known_known() {
    const U: &str = "(known after apply)";
    for (text, shown, ty) in [
        ("var.u", U, "string"),
        ("var.u == \"a\"", U, "bool"),
        ("var.u == null", U, "bool"),
        ("var.n == null", "false", "bool"),
        ("null != var.n", "true", "bool"),
        ("var.u == var.u", U, "bool"),
        ("var.u == [1]", "false", "bool"),
        ("var.d == [1]", U, "bool"),
        ("[var.u, \"b\"] == [var.u, \"c\"]", "false", "bool"),
        ("[var.u, \"b\"] == [var.u, \"b\"]", U, "bool"),
        ("\"a${var.u}\"", U, "string"),
        ("\"a${var.u}\" == null", "false", "bool"),
        ("\"${var.d}\"", U, "any"),
        ("[var.u]", "[(known after apply)]", "tuple([string])"),
        ("length([var.u])", "1", "number"),
        ("length(var.u)", U, "number"),
        ("length(var.d)", U, "number"),
        ("length(var.l) == null", "false", "bool"),
        ("keys({a = var.u})", "[\"a\"]", "tuple([string])"),
        ("keys(var.o)", "[\"a\"]", "tuple([string])"),
        ("values({a = var.u})", "[(known after apply)]", "tuple([string])"),
        ("upper(var.d)", U, "string"),
        ("var.d.x[0].y", U, "any"),
        ("var.o.a", U, "number"),
        ("var.l[0]", U, "string"),
        ("var.l[*]", U, "list(string)"),
        ("[for x in var.l : x]", U, "any"),
        ("{(var.u) = 1}", U, "any"),
        ("true ? var.u : \"x\"", U, "string"),
        ("true ? var.u : 1", U, "string"),
        ("var.u == \"a\" ? 1 : 2", U, "number"),
        ("var.u == \"a\" ? 1 : \"x\"", U, "string"),
        ("(var.u == \"a\" ? 1 : 2) == null", "false", "bool"),
        ("(var.u == \"a\" ? null : 2) == null", U, "bool"),
        ("[for x in [var.u] : upper(x)]", "[(known after apply)]", "tuple([string])"),
        ("[for x in [\"a\"] : x if x == var.u]", U, "any"),
        ("{for x in [\"a\"] : var.u => x}", U, "any"),
        ("contains([var.u], \"a\")", U, "bool"),
        ("contains([\"a\", var.u], \"a\")", "true", "bool"),
        ("join(\",\", [\"a\", var.u])", U, "string"),
        (
            "merge({a = var.u}, {b = 1})",
            "{\"a\": (known after apply), \"b\": 1}",
            "object({a = string, b = number})",
        ),
        ("concat([var.u], [\"b\"])", "[(known after apply), \"b\"]", "tuple([string, string])"),
        ("coalesce(var.u, \"x\")", U, "string"),
        ("coalesce(\"x\", var.u)", "\"x\"", "string"),
        ("try(var.u, \"x\")", U, "any"),
        ("try(var.d.foo, \"x\")", U, "any"),
        ("can(var.u)", U, "bool"),
        ("element([var.u, \"b\"], 1)", "\"b\"", "string"),
        ("flatten([[var.u], [\"b\"]])", "[(known after apply), \"b\"]", "tuple([string, string])"),
        ("flatten([var.d, [\"b\"]])", U, "any"),
        ("distinct([var.u, \"b\"])", U, "list(string)"),
        ("length(toset([var.u, \"b\"]))", U, "number"),
        ("length(toset([var.u]))", "1", "number"),
        ("tolist([var.u, \"b\"])", "[(known after apply), \"b\"]", "list(string)"),
        ("format(\"%s-%s\", var.u, \"b\")", U, "string"),
        ("formatlist(\"%s\", [var.u, \"b\"])", "[(known after apply), \"b\"]", "list(string)"),
        ("jsonencode({a = var.u})", U, "string"),
        ("jsondecode(var.u)", U, "any"),
        ("true && var.u == \"x\"", U, "bool"),
        ("false && var.u == \"x\"", U, "bool"),
        ("!(var.u == \"x\")", U, "bool"),
        ("-length(var.u)", U, "number"),
        ("var.d + 1", U, "number"),
        ("\"%{for x in var.l}${x}%{endfor}\"", U, "string"),
        ("\"%{if var.u == \"x\"}a%{endif}\"", U, "string"),
        ("lookup({a = var.u}, \"a\", \"x\")", U, "string"),
        ("[\"a\", \"b\"][var.d]", U, "any"),
        ("tolist([\"a\", \"b\"])[var.d]", U, "string"),
        ("tonumber(var.u)", U, "number"),
        ("zipmap([\"a\"], [var.u])", "{\"a\": (known after apply)}", "object({a = string})"),
        ("zipmap([var.u], [1])", U, "any"),
        ("split(\",\", var.u)", U, "list(string)"),
        ("slice([var.u, \"b\"], 0, 1)", "[(known after apply)]", "tuple([string])"),
        ("max(1, length(var.u))", U, "number"),
        ("alltrue([var.u == \"x\", false])", "false", "bool"),
        ("anytrue([var.u == \"x\", true])", "true", "bool"),
        ("chunklist([var.u, \"b\"], 1)", "[[(known after apply)], [\"b\"]]", "list(list(string))"),
        ("index([var.u, \"b\"], \"b\")", U, "number"),
        ("regex(\"(a)(b)\", var.u)", U, "tuple([string, string])"),
        ("timestamp()", U, "string"),
        ("tomap({a = var.u})", "{\"a\": (known after apply)}", "map(string)"),
        ("var.d[*].x", U, "any"),
        ("max(var.l...)", U, "number"),
    ] {
        let source = format!("{DECLARED}output \"o\" {{\n  value = {text}\n}}\n");
        let (config, sources, diags) = crate::support::load_files(&[("main.tf", &source)]);
        let config =
            config.unwrap_or_else(|| panic!("{text}: {}", crate::support::rendered(&diags, &sources)));
        let value = config.root.outputs["o"].expr.eval(&scope()).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!((format!("{value:?}").as_str(), value.ty().to_string().as_str()), (shown, ty), "{text}");
    }
}

#[test]
fn what_can_not_be_is_an_error_though_unknown() {
    for (text, detail) in [
        ("var.o.b", "This object does not have an attribute named \"b\"."),
        ("var.u.x", "Can't access attributes on a primitive-typed value (string)."),
        ("var.l[*].x", "Can't access attributes on a primitive-typed value (string)."),
        ("var.u[0]", "This value does not have any indices."),
        ("var.l + 1", "number required"),
        ("[for x in var.u : x]", "A value of type string cannot be used"),
        ("length(1 + var.d)", "argument must be a string, a collection type"),
    ] {
        let source = format!("{DECLARED}output \"o\" {{\n  value = {text}\n}}\n");
        let (config, ..) = crate::support::load_files(&[("main.tf", &source)]);
        let error = config.unwrap().root.outputs["o"].expr.eval(&scope()).unwrap_err();
        assert!(error.to_string().contains(detail), "{text}: {error}");
    }
}

#[test]
fn a_clock_is_asked_only_of_the_scope() {
    assert!(evaluate("timestamp()", &TestScope::default()).unwrap().is_unknown());
    assert!(evaluate("plantimestamp()", &TestScope::default()).unwrap().is_unknown());
    for chance in ["uuid()", "bcrypt(\"x\")"] {
        assert!(evaluate(chance, &TestScope::default()).unwrap().is_unknown());
    }
}

/// What Terraform 1.11.4 knows of values that it does not know yet: asked with outputs of which `u` is the id of an object that is about to be created, `b` is
/// `u == "q"`, and `l` is `split(",", u)`.
#[test]
fn what_is_known_of_the_unknown_is_what_terraform_knows() {
    let variables = [
        ("u", Value::unknown_not_null(Type::String)),
        ("b", Value::unknown_not_null(Type::Bool)),
        ("l", Value::unknown_not_null(Type::list(Type::String))),
    ];
    let scope =
        TestScope { variables: variables.map(|(k, v)| (k.to_owned(), v)).into(), ..TestScope::default() };
    let mut wrong = Vec::new();
    for line in include_str!("refined.txt").lines().filter(|line| !line.starts_with('#')) {
        let Some((text, expected)) = line.split_once("  =>  ") else { continue };
        let value = of_output(&text.replace("local.", "var."), &["u", "b", "l"], &scope);
        let said = if value.is_unknown() { "unknown".to_owned() } else { format!("{value:?}") };
        if said != expected {
            wrong.push(format!("{text}: {said}, and not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_good_for_one_run_only_is_told_from_the_rest() {
    let ephemeral = |value: Value| value.with_marks(grappe_value::Marks::EPHEMERAL);
    let variables = [
        ("e", ephemeral("secret".into())),
        ("both", ephemeral(Value::from("x").sensitive())),
        ("mixed", Value::object([("a", Value::from(1i64)), ("b", ephemeral(Value::tuple(["x".into()])))])),
    ];
    let scope =
        TestScope { variables: variables.map(|(k, v)| (k.to_owned(), v)).into(), ..TestScope::default() };
    for (text, shown, is_ephemeral, is_sensitive) in [
        ("var.e", "(ephemeral value)", true, false),
        ("\"a-${var.e}\"", "(ephemeral value)", true, false),
        ("ephemeralasnull(var.e)", "null", false, false),
        ("ephemeralasnull(var.both)", "(sensitive value)", false, true),
        ("ephemeralasnull(var.mixed)", "{\"a\": 1, \"b\": null}", false, false),
        ("ephemeralasnull(1)", "1", false, false),
        ("nonsensitive(var.both)", "(ephemeral value)", true, false),
        ("issensitive(var.e)", "false", false, false),
        ("terraform.applying", "(ephemeral value)", true, false),
        ("[for x in [var.e] : upper(x)]", "[(ephemeral value)]", true, false),
        ("{ for k in [var.e] : k => 1 }", "(ephemeral value)", true, false),
        ("var.e == \"x\" ? 1 : 2", "(ephemeral value)", true, false),
    ] {
        let value = of_output(text, &["e", "both", "mixed"], &scope);
        let said = (format!("{value:?}"), value.is_ephemeral_deep(), value.is_sensitive_deep());
        assert_eq!(said, (shown.to_owned(), is_ephemeral, is_sensitive), "{text}");
    }
}

/// The value of an expression in a module with these variables.
fn of_output(text: &str, variables: &[&str], scope: &TestScope) -> Value {
    let declared: String = variables.iter().map(|name| format!("variable \"{name}\" {{}}\n")).collect();
    let source = format!("{declared}output \"o\" {{\n  value = {text}\n}}\n");
    let (config, sources, diags) = crate::support::load_files(&[("main.tf", &source)]);
    let config = config.unwrap_or_else(|| panic!("{text}: {}", crate::support::rendered(&diags, &sources)));
    config.root.outputs["o"].expr.eval(scope).unwrap_or_else(|e| panic!("{text}: {e}"))
}
