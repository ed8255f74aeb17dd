//! Type constraints: `list(string)`, `object({a = optional(number, 1)})`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use grappe_diag::{Diagnostic, Diagnostics};
use grappe_value::{Kind, ObjectType, Type, Value, convert};

use super::fields::constant;
use crate::expr::{Call, Node, NodeKind};

/// What `optional(type, default)` says inside a type constraint, by place.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Defaults {
    /// Defaults of the attributes of an object here.
    attributes: BTreeMap<Arc<str>, Value>,
    /// What is further inside: by attribute, by position, or (under the empty name) for every element of a collection.
    inner: BTreeMap<Arc<str>, Defaults>,
}

impl Defaults {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.attributes.is_empty() && self.inner.is_empty()
    }

    /// The value with defaults for what is absent or null in its objects. Done before converting to the type.
    #[must_use]
    pub fn apply(&self, value: Value) -> Value {
        if self.is_empty() || value.is_null() || value.is_unknown() {
            return value;
        }
        let marks = value.marks();
        let every = self.inner.get("");
        let item = |name: &str, item: &Value| match self.inner.get(name).or(every) {
            Some(inner) => inner.apply(item.clone()),
            None => item.clone(),
        };
        let sequence = |items: &[Value]| -> Vec<Value> {
            items.iter().enumerate().map(|(i, v)| item(&i.to_string(), v)).collect()
        };
        let applied: Value = match value.kind() {
            // As tuples and objects: the conversion that follows makes one type of them again.
            Kind::List(_, items) | Kind::Tuple(items) => Value::tuple(sequence(items)),
            Kind::Set(_, items) => Value::tuple(sequence(items)),
            Kind::Map(_, entries) | Kind::Object(entries) => {
                let mut entries = (**entries).clone();
                for (name, default) in &self.attributes {
                    if entries.get(name).is_none_or(Value::is_null) {
                        entries.insert(name.clone(), default.clone());
                    }
                }
                for (name, value) in &mut entries {
                    *value = item(name, value);
                }
                Kind::Object(Arc::new(entries)).into()
            }
            _ => return value,
        };
        applied.with_marks(marks)
    }
}

/// Reads a type constraint.
pub(super) fn type_constraint(node: &Node) -> Result<(Type, Defaults), Diagnostics> {
    // As before there were types of elements. Only here, not inside of another type.
    match node.keyword().map(|name| &**name) {
        Some("list") => return Ok((Type::list(Type::Any), Defaults::default())),
        Some("map") => return Ok((Type::map(Type::Any), Defaults::default())),
        _ => {}
    }
    let mut diags = Diagnostics::new();
    let result = read(node, &mut diags);
    diags.into_result(result).map(|(result, _)| result)
}

const NAMES: [&str; 9] = ["string", "number", "bool", "any", "list", "set", "map", "object", "tuple"];

fn read(node: &Node, diags: &mut Diagnostics) -> (Type, Defaults) {
    let none = |ty| (ty, Defaults::default());
    let mut bad = |detail: String| {
        diags.push(Diagnostic::error("Invalid type specification").detail(detail).span(node.span));
        none(Type::Any)
    };
    match &node.kind {
        NodeKind::Parens(inner) => read(inner, diags),
        NodeKind::Name(name) => match &**name {
            "string" => none(Type::String),
            "number" => none(Type::Number),
            "bool" => none(Type::Bool),
            "any" => none(Type::Any),
            "list" | "set" | "map" => bad(format!(
                "The {name} type constructor requires one argument specifying the element type: {name}(string)."
            )),
            "object" => bad("The object type constructor requires one argument specifying the attribute types and values as a map.".into()),
            "tuple" => bad("The tuple type constructor requires one argument specifying the element types as a list.".into()),
            other => {
                diags.push(
                    Diagnostic::error("Invalid type specification")
                        .detail(format!("The keyword \"{other}\" is not a valid type specification."))
                        .span(node.span)
                        .did_you_mean(other, NAMES),
                );
                none(Type::Any)
            }
        },
        // As Terraform 0.11 had it.
        NodeKind::Literal(value) => match value.as_str() {
            Some("string") => none(Type::String),
            Some("list") => none(Type::list(Type::Any)),
            Some("map") => none(Type::map(Type::Any)),
            // Broken, and reported.
            None if value.is_unknown() => none(Type::Any),
            _ => bad("A type specification is either a primitive type keyword (bool, number, string), complex type constructor call, or any.".into()),
        },
        NodeKind::Call(call) => constructor(call, node, diags),
        _ => bad("A type specification is either a primitive type keyword (bool, number, string), complex type constructor call, or any.".into()),
    }
}

fn constructor(call: &Call, node: &Node, diags: &mut Diagnostics) -> (Type, Defaults) {
    let none = |ty| (ty, Defaults::default());
    let mut bad = |detail: String| {
        diags.push(Diagnostic::error("Invalid type specification").detail(detail).span(node.span));
        none(Type::Any)
    };
    let name = &*call.name;
    match name {
        "list" | "set" | "map" => {
            let [element] = &*call.args else {
                return bad(format!(
                    "The {name} type constructor requires one argument specifying the element type."
                ));
            };
            let (element, inner) = read(element, diags);
            let mut defaults = Defaults::default();
            if !inner.is_empty() {
                defaults.inner.insert("".into(), inner);
            }
            let ty = match name {
                "list" => Type::list(element),
                "set" => Type::set(element),
                _ => Type::map(element),
            };
            (ty, defaults)
        }
        "tuple" => {
            let [Node { kind: NodeKind::Tuple(items), .. }] = &*call.args else {
                return bad("The tuple type constructor requires one argument specifying the element types as a list.".into());
            };
            let mut defaults = Defaults::default();
            let mut types = Vec::new();
            for (i, item) in items.iter().enumerate() {
                let (ty, inner) = read(item, diags);
                types.push(ty);
                if !inner.is_empty() {
                    defaults.inner.insert(i.to_string().into(), inner);
                }
            }
            (Type::tuple(types), defaults)
        }
        "object" => {
            let [Node { kind: NodeKind::Object(items), .. }] = &*call.args else {
                return bad("The object type constructor requires one argument specifying the attribute types and values as a map.".into());
            };
            object(items, diags)
        }
        "optional" => {
            bad("The keyword \"optional\" is valid only as a modifier for object type attributes.".into())
        }
        other => {
            diags.push(
                Diagnostic::error("Invalid type specification")
                    .detail(format!("Keyword \"{other}\" is not a valid type constructor."))
                    .span(call.name_span)
                    .did_you_mean(other, NAMES),
            );
            none(Type::Any)
        }
    }
}

fn object(items: &[(Node, Node)], diags: &mut Diagnostics) -> (Type, Defaults) {
    let mut attributes = BTreeMap::new();
    let mut optional = BTreeSet::new();
    let mut defaults = Defaults::default();
    for (key, value) in items {
        let Some(name) = key.literal().and_then(Value::as_str).map(Arc::<str>::from) else {
            diags.push(
                Diagnostic::error("Invalid type specification")
                    .detail("Object constructor map keys must be attribute names.")
                    .span(key.span),
            );
            continue;
        };
        let (ty, inner) = match &value.kind {
            NodeKind::Call(call) if &*call.name == "optional" => {
                optional.insert(name.clone());
                let (Some(ty), true) = (call.args.first(), call.args.len() <= 2) else {
                    diags.push(
                        Diagnostic::error("Invalid type specification")
                            .detail("The optional(…) modifier takes a type, and a default value where there is one.")
                            .span(value.span),
                    );
                    continue;
                };
                let (ty, inner) = read(ty, diags);
                if let Some(node) = call.args.get(1)
                    && let Some(default) = diags.keep(constant(node.clone()))
                {
                    // What is inside the default may have defaults too.
                    match convert(&inner.apply(default.clone()), &ty) {
                        Ok(_) => {
                            defaults.attributes.insert(name.clone(), default);
                        }
                        Err(error) => diags.push(
                            Diagnostic::error("Invalid default value for optional attribute")
                                .detail(format!("This default value is not compatible with the attribute's type constraint: {error}."))
                                .span(node.span),
                        ),
                    }
                }
                (ty, inner)
            }
            _ => read(value, diags),
        };
        if !inner.is_empty() {
            defaults.inner.insert(name.clone(), inner);
        }
        if attributes.insert(name.clone(), ty).is_some() {
            diags.push(
                Diagnostic::error("Invalid type specification")
                    .detail(format!("The attribute \"{name}\" stands here twice."))
                    .span(key.span),
            );
        }
    }
    (Type::Object(Arc::new(ObjectType { attributes, optional })), defaults)
}
