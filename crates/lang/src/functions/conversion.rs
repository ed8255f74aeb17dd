//! Conversion between types, errors as values, marks.

use grappe_diag::{Diagnostic, Diagnostics, Span};
use grappe_value::{Kind, Marks, Range, Type, Value, convert};

use super::{Function, Outcome, P, any, f, function, lazy, of, refuse_arg};
use crate::expr::{Eval, Node};

const VALUE: &[super::Param] = &[any("v").null().unknown().marked()];
const ANY_VALUE: &[super::Param] = &[any("value").null().unknown().marked()];

pub(super) static FUNCTIONS: &[Function] = &[
    lazy("can", "whether an expression has a value", P::Bool, can),
    lazy("try", "the value of the first expression that has one", P::Any, try_each),
    lazy("type", "the type of a value, as text", P::String, type_of),
    of(
        "ephemeralasnull",
        "null for what may not be stored, all else as it is",
        ANY_VALUE,
        |_| Type::Any,
        |args| Ok(args[0].without_ephemeral(Value::null)),
    ),
    f("issensitive", "whether a value is sensitive", ANY_VALUE, P::Bool, |args| {
        let sensitive = args[0].marks().contains(Marks::SENSITIVE);
        // What is not known yet may turn out to be sensitive.
        Ok(if args[0].is_unknown() && !sensitive {
            Value::unknown_not_null(Type::Bool)
        } else {
            sensitive.into()
        })
    }),
    function(
        "nonsensitive",
        "the value without its sensitivity",
        ANY_VALUE,
        super::Returns::Of(|_| Type::Any),
        super::Run::Plain(|args| {
            let (value, marks) = args[0].clone().unmark();
            Ok(value.with_marks(marks.without(Marks::SENSITIVE)))
        }),
    ),
    of(
        "sensitive",
        "the value, marked sensitive",
        ANY_VALUE,
        |_| Type::Any,
        |args| Ok(args[0].clone().sensitive()),
    ),
    f("tobool", "the value as a bool", VALUE, P::Bool, |args| to(args, &Type::Bool)),
    f("tolist", "the value as a list", VALUE, P::List, |args| to(args, &Type::list(Type::Any))),
    of(
        "tomap",
        "the value as a map",
        VALUE,
        |_| Type::map(Type::Any),
        |args| to(args, &Type::map(Type::Any)),
    ),
    f("tonumber", "the value as a number", VALUE, P::Number, |args| to(args, &Type::Number)),
    f("toset", "the value as a set", VALUE, P::Set, |args| to(args, &Type::set(Type::Any))),
    f("tostring", "the value as a text", VALUE, P::String, |args| to(args, &Type::String)),
];

fn to(args: &[Value], ty: &Type) -> Outcome {
    // What is known of an unknown value is forgotten, as in Terraform.
    convert(&args[0], ty).map(|value| value.within(Range::Open)).or_else(|error| {
        let only = match ty {
            Type::Bool => "; only the strings \"true\" or \"false\" are allowed",
            Type::Number => "; given string must be a decimal representation of a number",
            _ => "",
        };
        let shown = match args[0].kind() {
            Kind::String(s) if ty.is_primitive() && args[0].marks().is_empty() => {
                format!("cannot convert \"{s}\" to {}{only}", ty.friendly())
            }
            Kind::String(_) if ty.is_primitive() => {
                format!("cannot convert this sensitive string to {}{only}", ty.friendly())
            }
            _ => {
                // What a value has no type for is open; what is wanted may be any.
                let given = args[0].ty().friendly().replace("any single type", "dynamic");
                format!("cannot convert {given} to {}", ty.friendly())
            }
        };
        // Where inside it the trouble is, where that is not the whole.
        let detail = if error.path.0.is_empty() { shown } else { format!("{shown}: {error}") };
        refuse_arg(0, detail)
    })
}

fn can(eval: &mut Eval<'_>, args: &[Node], span: Span) -> Result<Value, Diagnostics> {
    let [node] = args else { return Err(wrong_count("can", "one argument", span)) };
    Ok(match eval.node(node) {
        Ok(value) if value.is_wholly_known() => Value::from(true),
        // What is unknown may still turn out to be an error.
        Ok(_) => Value::unknown_not_null(Type::Bool),
        Err(_) => Value::from(false),
    })
}

fn try_each(eval: &mut Eval<'_>, args: &[Node], span: Span) -> Result<Value, Diagnostics> {
    let mut failed = Vec::new();
    for node in args {
        match eval.node(node) {
            // What is unknown may still turn out to be an error: then the next would be taken.
            Ok(value) if value.is_wholly_known() => return Ok(value),
            Ok(_) => return Ok(Value::unknown(Type::Any)),
            Err(diags) => failed.extend(diags.iter().map(|d| format!("  - {}", d.detail))),
        }
    }
    if args.is_empty() {
        return Err(wrong_count("try", "at least one argument", span));
    }
    Err(Diagnostic::error("Error in function call")
        .detail(format!(
            "Call to function \"try\" failed: no expression succeeded:\n{}\nAt least one expression must produce a successful result.",
            failed.join("\n")
        ))
        .span(span)
        .into())
}

fn wrong_count(name: &str, wanted: &str, span: Span) -> Diagnostics {
    Diagnostic::error("Error in function call")
        .detail(format!("Call to function \"{name}\" failed: {wanted} is required."))
        .span(span)
        .into()
}

fn type_of(eval: &mut Eval<'_>, args: &[Node], span: Span) -> Result<Value, Diagnostics> {
    let [node] = args else { return Err(wrong_count("type", "one argument", span)) };
    let mut text = String::new();
    show_type(&eval.node(node)?.ty(), 0, &mut text);
    Ok(text.into())
}

/// As `terraform console` shows types.
fn show_type(ty: &Type, indent: usize, out: &mut String) {
    let pad = "    ".repeat(indent + 1);
    let close = "    ".repeat(indent);
    match ty {
        Type::Any => out.push_str("dynamic"),
        Type::List(e) | Type::Set(e) | Type::Map(e) => {
            let name = match ty {
                Type::List(_) => "list",
                Type::Set(_) => "set",
                _ => "map",
            };
            out.push_str(name);
            out.push('(');
            // What takes several lines stands on lines of its own.
            if matches!(**e, Type::Tuple(_) | Type::Object(_)) {
                out.push('\n');
                out.push_str(&pad);
                show_type(e, indent + 1, out);
                out.push_str(",\n");
                out.push_str(&close);
            } else {
                show_type(e, indent, out);
            }
            out.push(')');
        }
        Type::Tuple(types) if !types.is_empty() => {
            out.push_str("tuple([\n");
            for ty in types.iter() {
                out.push_str(&pad);
                show_type(ty, indent + 1, out);
                out.push_str(",\n");
            }
            out.push_str(&close);
            out.push_str("])");
        }
        Type::Object(object) if !object.attributes.is_empty() => {
            out.push_str("object({\n");
            for (name, ty) in &object.attributes {
                out.push_str(&pad);
                out.push_str(name);
                out.push_str(": ");
                show_type(ty, indent + 1, out);
                out.push_str(",\n");
            }
            out.push_str(&close);
            out.push_str("})");
        }
        Type::Tuple(_) => out.push_str("tuple([])"),
        Type::Object(_) => out.push_str("object({})"),
        plain => out.push_str(&plain.friendly()),
    }
}
