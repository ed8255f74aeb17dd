//! The JSON syntax: what `*.tf.json` holds, read into the same blocks and expressions as the native one.
//!
//! JSON does not say whether a property is an argument or a block: whoever knows what belongs there does. So a property is read as an argument, and
//! keeps its JSON beside it: [`Json::blocks`] reads it as blocks when those are asked for.
//!
//! A string is a template, as in a file of `templatefile`: nothing is escaped in it but by JSON itself. Where only constants may stand it is the plain text
//! ([`Json::value`]), and where a reference or a type stands, that stands in the string without `${ }`.
//!
//! Source: the [HCL JSON syntax specification](https://github.com/hashicorp/hcl/blob/main/json/spec.md).

mod read;

use std::collections::BTreeMap;
use std::sync::Arc;

use grappe_diag::{Diagnostic, Diagnostics, SourceId, Span};
use grappe_value::{Kind, Value};

use super::{Ident, RawAttribute, RawBlock, RawBody};
use crate::expr::{Node, NodeKind};

/// A JSON value with its place. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Json {
    form: Form,
    pub(crate) span: Span,
}

#[derive(Clone, Debug)]
enum Form {
    /// `null`, `true`, a number.
    Plain(Value),
    /// The text, and what it is as a template.
    Text(Arc<str>, Box<Node>),
    Array(Arc<[Json]>),
    Object(Arc<[Property]>),
}

#[derive(Debug)]
struct Property {
    name: Ident,
    /// The name as a template, for where names are computed.
    key: Node,
    value: Json,
}

/// How many labels blocks of a type have. Where they are known by a schema alone, they have none.
fn label_names(ty: &str) -> &'static [&'static str] {
    match ty {
        "resource" | "data" | "ephemeral" => &["type", "name"],
        "variable" | "output" | "module" | "provider" | "check" => &["name"],
        "provisioner" | "backend" | "provider_meta" | "dynamic" => &["type"],
        _ => &[],
    }
}

/// Parses a file. What could be read is returned whatever was wrong.
pub(crate) fn parse_file(source: SourceId, text: &str, diags: &mut Diagnostics) -> RawBody {
    let mut found = Diagnostics::new();
    let mut body = RawBody { attributes: Vec::new(), blocks: Vec::new(), span: Span::new(source, 0, 0) };
    if let Some(json) = read::text(source, text, &mut found) {
        body.span = json.span;
        // Any property at the top is a block: one of a type that is not known is told of as that.
        for property in json.body(&mut found).attributes {
            body.blocks.extend(property.blocks(&mut found));
        }
    }
    found.sort();
    diags.extend(found);
    body
}

/// Parses the object of values that a variables file is.
pub(crate) fn parse_values(source: SourceId, text: &str, diags: &mut Diagnostics) -> Vec<(Ident, Value)> {
    let Some(json) = read::text(source, text, diags) else { return Vec::new() };
    let Form::Object(properties) = &json.form else {
        diags.push(
            Diagnostic::error("Invalid variables file")
                .detail("The file holds one JSON object: variable names with their values.")
                .span(json.start()),
        );
        return Vec::new();
    };
    properties.iter().map(|p| (p.name.clone(), p.value.value())).collect()
}

impl Json {
    /// As an expression.
    pub(crate) fn node(&self) -> Node {
        let kind = match &self.form {
            Form::Plain(value) => NodeKind::Literal(value.clone()),
            Form::Text(_, node) => return (**node).clone(),
            Form::Array(items) => NodeKind::Tuple(items.iter().map(Json::node).collect()),
            Form::Object(properties) => {
                NodeKind::Object(properties.iter().map(|p| (p.key.clone(), p.value.node())).collect())
            }
        };
        Node::new(kind, self.span)
    }

    /// As a constant: nothing in a string is computed.
    pub(crate) fn value(&self) -> Value {
        match &self.form {
            Form::Plain(value) => value.clone(),
            Form::Text(text, _) => Value::from(&**text),
            Form::Array(items) => Value::tuple(items.iter().map(Json::value)),
            Form::Object(properties) => {
                let entries: BTreeMap<Arc<str>, Value> =
                    properties.iter().map(|p| (p.name.name.clone(), p.value.value())).collect();
                Kind::Object(Arc::new(entries)).into()
            }
        }
    }

    /// The text of a string.
    pub(crate) fn text(&self) -> Option<&Arc<str>> {
        match &self.form {
            Form::Text(text, _) => Some(text),
            _ => None,
        }
    }

    /// As what stands in a block: each property an argument, or (see [`Json::blocks`]) blocks. `//` is a comment.
    pub(crate) fn body(&self, diags: &mut Diagnostics) -> RawBody {
        let properties =
            self.properties(diags, "A JSON object is required here, setting the arguments for this block.");
        let attribute = |p: &Property| RawAttribute {
            name: p.name.clone(),
            value: p.value.node(),
            json: Some(p.value.clone()),
        };
        let is_content = |p: &&Property| &*p.name.name != "//";
        RawBody {
            attributes: properties.into_iter().filter(is_content).map(attribute).collect(),
            blocks: Vec::new(),
            span: self.inside(),
        }
    }

    /// As blocks of a type: an object is one, an array several; the labels are the names of the objects around them.
    pub(crate) fn blocks(&self, ty: &Ident, labels: &[&str], diags: &mut Diagnostics) -> Vec<RawBlock> {
        let mut blocks = Vec::new();
        self.labelled(ty, labels, &mut Vec::new(), diags, &mut blocks);
        blocks
    }

    fn labelled(
        &self,
        ty: &Ident,
        missing: &[&str],
        labels: &mut Vec<Ident>,
        diags: &mut Diagnostics,
        blocks: &mut Vec<RawBlock>,
    ) {
        if let [label, rest @ ..] = missing {
            let why =
                format!("A JSON object is required here, to specify {} labels for this block.", ty.name);
            let properties = self.properties(diags, &why);
            if properties.is_empty() && matches!(self.form, Form::Object(_)) {
                diags.push(
                    Diagnostic::error("Missing block label")
                        .detail(format!(
                            "At least one object property is required, whose name represents the {} block's {label}.",
                            ty.name
                        ))
                        .span(self.start()),
                );
            }
            for property in properties {
                labels.push(property.name.clone());
                property.value.labelled(ty, rest, labels, diags, blocks);
                labels.pop();
            }
            return;
        }
        let objects = match &self.form {
            Form::Plain(value) if value.is_null() => return,
            Form::Object(_) => std::slice::from_ref(self),
            Form::Array(items) => &items[..],
            Form::Plain(_) | Form::Text(..) => {
                diags.push(
                    Diagnostic::error("Incorrect JSON value type")
                        .detail(format!(
                            "Either a JSON object or a JSON array is required, representing the contents of one or more \"{}\" blocks.",
                            ty.name
                        ))
                        .span(self.start()),
                );
                return;
            }
        };
        // The type stands far from the last label, and maybe above other blocks: a block is shown by its last label.
        let at = labels.last().map_or(ty.span, |label| label.span);
        for object in objects {
            let ty = Ident { name: ty.name.clone(), span: at };
            blocks.push(RawBlock { ty, labels: labels.clone(), body: object.body(diags) });
        }
    }

    /// The properties of an object, or of all the objects of an array; none of null.
    fn properties(&self, diags: &mut Diagnostics, why: &str) -> Vec<&Property> {
        let objects = match &self.form {
            Form::Array(items) => &items[..],
            Form::Plain(value) if value.is_null() => return Vec::new(),
            _ => std::slice::from_ref(self),
        };
        let mut out = Vec::new();
        for object in objects {
            match &object.form {
                Form::Object(properties) => out.extend(properties.iter()),
                _ => diags
                    .push(Diagnostic::error("Incorrect JSON value type").detail(why).span(object.start())),
            }
        }
        out
    }

    /// Whether a `dynamic` block stands in it, if it is read as blocks.
    pub(crate) fn has_dynamic(&self) -> bool {
        match &self.form {
            Form::Object(properties) => {
                properties.iter().any(|p| &*p.name.name == "dynamic" || p.value.has_dynamic())
            }
            Form::Array(items) => items.iter().any(Json::has_dynamic),
            _ => false,
        }
    }

    /// Between the brackets.
    fn inside(&self) -> Span {
        let Span { source, start, end } = self.span;
        Span { source, start: start + 1, end: end.saturating_sub(1).max(start + 1) }
    }

    /// Its first character, so that of a large object one line is shown.
    fn start(&self) -> Span {
        match &self.form {
            Form::Array(_) | Form::Object(_) => Span { end: self.span.start + 1, ..self.span },
            _ => self.span,
        }
    }
}

impl RawAttribute {
    /// Of the JSON syntax: whether it is objects with properties of these names and no others.
    pub(crate) fn has_only(&self, names: &[&str]) -> bool {
        fn only(json: &Json, names: &[&str]) -> bool {
            match &json.form {
                Form::Object(properties) => properties.iter().all(|p| names.contains(&&*p.name.name)),
                Form::Array(items) => items.iter().all(|item| only(item, names)),
                Form::Plain(_) | Form::Text(..) => false,
            }
        }
        self.json.as_ref().is_some_and(|json| only(json, names))
    }

    /// Of the JSON syntax: read as blocks of its name, which is one of the language's own. None of the native syntax.
    pub(crate) fn blocks(&self, diags: &mut Diagnostics) -> Vec<RawBlock> {
        let labels = label_names(&self.name.name);
        self.json.as_ref().map(|json| json.blocks(&self.name, labels, diags)).unwrap_or_default()
    }

    /// What is read and not evaluated: a name, an address, a type. In the JSON syntax it stands in a string.
    pub(crate) fn as_static(&self) -> Node {
        match self.json.as_ref().and_then(Json::text) {
            Some(text) => match super::parse_expr(self.value.span.source, text) {
                Ok(mut node) => {
                    node.each_span(&mut |span| *span = self.value.span);
                    node
                }
                Err(_) => self.value.clone(),
            },
            None => self.value.clone(),
        }
    }
}

impl RawBody {
    /// Makes blocks of the properties of a name, and gives the blocks of that type with those of the native syntax.
    pub(crate) fn take_blocks(&mut self, name: &str, diags: &mut Diagnostics) -> Vec<RawBlock> {
        let is = |block: &mut RawBlock| &*block.ty.name == name;
        let mut taken: Vec<RawBlock> = self.blocks.extract_if(.., is).collect();
        let is = |attribute: &mut RawAttribute| attribute.json.is_some() && &*attribute.name.name == name;
        for property in self.attributes.extract_if(.., is) {
            taken.extend(property.blocks(diags));
        }
        taken
    }
}
