//! A body, evaluated: the object that its schema describes.

use std::collections::BTreeMap;
use std::sync::Arc;

use grappe_diag::{Diagnostic, Diagnostics};
use grappe_value::{
    Attribute, Block, Kind, Marks, Nesting, Number, Path, Presence, Schema, Step, Value, convert,
};

use super::check::{bounds, too_few, too_many};
use super::{Body, Dynamic, Nested};
use crate::Scope;
use crate::expr::Eval;

impl Body {
    /// The object that the schema describes: arguments converted, defaults of optional ones applied, computed ones null, nested blocks by
    /// their nesting, `dynamic` ones expanded, and what the schema calls sensitive marked. Nothing is said of arguments and blocks that
    /// the schema does not have: [`Body::check`] does.
    ///
    /// # Errors
    /// All that is wrong, each with its place.
    pub fn decode(&self, schema: &Schema, scope: &dyn Scope) -> Result<Value, Diagnostics> {
        let mut diags = Diagnostics::new();
        let value = self.object(schema, &mut Eval::new(scope), &mut diags);
        diags.sort();
        diags.into_result(value).map(|(value, _)| value)
    }

    fn object(&self, schema: &Schema, eval: &mut Eval<'_>, diags: &mut Diagnostics) -> Value {
        let body = self.read_by(schema);
        let mut entries: BTreeMap<Arc<str>, Value> = BTreeMap::new();
        for (name, attribute) in &schema.attributes {
            let value = body.attribute(name, attribute, eval, diags);
            entries.insert(name.clone(), value);
        }
        for (name, block) in &schema.blocks {
            let value = body.nested(name, block, eval, diags);
            entries.insert(name.clone(), value);
        }
        Kind::Object(Arc::new(entries)).into()
    }

    fn attribute(
        &self,
        name: &str,
        attribute: &Attribute,
        eval: &mut Eval<'_>,
        diags: &mut Diagnostics,
    ) -> Value {
        let absent = || Value::null(attribute.ty.clone());
        let given = self.argument(name).filter(|_| attribute.is_settable());
        let mut value = absent();
        if let Some(expr) = given {
            let Some(found) = diags.keep(eval.node(expr.node())) else { return absent() };
            value = match convert(&found, &attribute.ty) {
                Ok(value) => value,
                Err(error) => {
                    // The whole way to the part that does not fit.
                    let steps = [Step::Attr(name.into())].into_iter().chain(error.path.0);
                    let at = Path(steps.collect());
                    let within = if at.0.len() > 1 { format!("{at}: ") } else { String::new() };
                    diags.push(
                        Diagnostic::error("Incorrect attribute value type")
                            .detail(format!(
                                "Inappropriate value for attribute \"{name}\": {within}{}.",
                                error.message
                            ))
                            .span(expr.span()),
                    );
                    return absent();
                }
            };
            if value.is_null() && attribute.presence == Presence::Required {
                diags.push(
                    Diagnostic::error("Missing required argument")
                        .detail(format!("The argument \"{name}\" is required, but its value is null."))
                        .span(expr.span()),
                );
            }
        }
        if value.is_null()
            && let Some(default) = &attribute.default
        {
            value =
                convert(default, &attribute.ty).unwrap_or_else(|_| default.clone()).with_marks(value.marks());
        }
        if attribute.sensitive && !value.is_null() { value.sensitive() } else { value }
    }

    fn nested(&self, name: &str, block: &Block, eval: &mut Eval<'_>, diags: &mut Diagnostics) -> Value {
        let ty = block.ty();
        let mut gathered = Gathered { objects: Vec::new(), marks: Marks::NONE, known: true };
        for nested in self.0.blocks.iter().filter(|b| &*b.name.name == name) {
            gathered.add(nested, &block.schema, eval, diags);
        }
        let (count, (min, max)) = (gathered.objects.len(), bounds(block));
        if !gathered.known {
            return Value::unknown_not_null(ty).with_marks(gathered.marks);
        }
        // What `check` could not see: how many blocks the dynamic ones give.
        let open = self.0.blocks.iter().find(|b| &*b.name.name == name && b.dynamic.is_some());
        if let Some(open) = open {
            if count < min {
                diags.push(too_few(name, min, count).span(open.name.span));
            }
            if let Some(max) = max.filter(|max| count > *max) {
                diags.push(too_many(name, max).span(open.name.span));
            }
        }
        let object = block.schema.ty();
        match block.nesting {
            Nesting::Single => gathered.objects.into_iter().next().unwrap_or_else(|| Value::null(object)),
            Nesting::List => Value::list(object, gathered.objects),
            Nesting::Set => Value::set(object, gathered.objects),
        }
        .with_marks(gathered.marks)
    }
}

/// The objects of the blocks of one type.
struct Gathered {
    objects: Vec<Value>,
    marks: Marks,
    known: bool,
}

impl Gathered {
    fn add(&mut self, nested: &Nested, schema: &Schema, eval: &mut Eval<'_>, diags: &mut Diagnostics) {
        let Some(dynamic) = &nested.dynamic else {
            self.objects.push(nested.body.object(schema, eval, diags));
            return;
        };
        let Some(pairs) = self.pairs(dynamic, eval, diags) else { return };
        for (key, value) in pairs {
            let item = Value::object([("key", key), ("value", value)]);
            let before = diags.len();
            let object = eval.with(&dynamic.iterator, item, |eval| nested.body.object(schema, eval, diags));
            self.objects.push(object);
            // What is wrong with one is wrong with all.
            if diags.len() > before {
                return;
            }
        }
    }

    fn pairs(
        &mut self,
        dynamic: &Dynamic,
        eval: &mut Eval<'_>,
        diags: &mut Diagnostics,
    ) -> Option<Vec<(Value, Value)>> {
        let (value, marks) = diags.keep(eval.node(dynamic.for_each.node()))?.unmark();
        self.marks = self.marks.union(marks);
        let mut bad = |detail: String| {
            diags.push(
                Diagnostic::error("Invalid dynamic for_each value")
                    .detail(detail)
                    .span(dynamic.for_each.span()),
            );
            None
        };
        match value.kind() {
            Kind::Unknown(_) => {
                self.known = false;
                None
            }
            Kind::Null(_) => bad("Cannot use a null value in for_each.".into()),
            Kind::List(_, items) | Kind::Tuple(items) => {
                Some(items.iter().enumerate().map(|(i, v)| (Number::from(i).into(), v.clone())).collect())
            }
            Kind::Set(_, items) => Some(items.iter().map(|v| (v.clone(), v.clone())).collect()),
            Kind::Map(_, entries) | Kind::Object(entries) => {
                Some(entries.iter().map(|(k, v)| (k.clone().into(), v.clone())).collect())
            }
            _ => bad(format!(
                "Cannot use a {} value in for_each. An iterable collection is required.",
                value.ty().friendly()
            )),
        }
    }
}
