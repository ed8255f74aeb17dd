//! A data source that is the one object of a list which fits.

use grappe_http::Method;
use grappe_provider::{DataSource, Fault};
use grappe_value::{Attribute, Schema, Type};
use serde_json::Value as Json;

use crate::client::{Call, Client, Service};
use crate::thing::{Ctx, Object, is_mark, of, strings, text, unmarked};

/// One argument or attribute.
pub(super) struct Part {
    pub(super) name: &'static str,
    /// Its name in what is found.
    pub(super) api: &'static str,
    pub(super) attribute: Attribute,
    /// Whether it says what to look for: the service compares it (by this name), or it is compared here.
    pub(super) filter: Filter,
}

/// How an argument is compared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Filter {
    /// Not at all: it is only told.
    No,
    /// By the service, under this name.
    There(&'static str),
    /// Here.
    Here,
}

pub(super) struct Table {
    pub(super) ty: &'static str,
    pub(super) service: Service,
    pub(super) path: &'static str,
    pub(super) many: &'static str,
    pub(super) noun: &'static str,
    pub(super) description: &'static str,
    pub(super) parts: Vec<Part>,
    /// Computes what has no field of its own.
    pub(super) more: fn(&Json, &mut Object),
}

pub(super) struct Found(pub(super) Table);

impl DataSource for Found {
    type Client = Client;
    type Args = Object;
    type State = Object;

    fn name(&self) -> &'static str {
        self.0.ty
    }

    fn schema(&self) -> Schema {
        let schema = Schema::new(self.0.description)
            .attr(
                "region",
                Attribute::optional_computed(Type::String, "The region. The provider's by default."),
            )
            .attr("id", Attribute::computed(Type::String, "Its id."));
        self.0.parts.iter().fold(schema, |schema, part| schema.attr(part.name, part.attribute.clone()))
    }

    async fn read(&self, ctx: &Ctx, args: Object) -> Result<Object, Fault> {
        let table = &self.0;
        let mut call = Call::new(Method::GET, table.service, text(&args, "region"), table.path);
        for part in &table.parts {
            if let (Filter::There(name), Some(value)) = (part.filter, args.get(part.name)) {
                call = match value {
                    Json::String(text) => call.query(name, text.as_str()),
                    Json::Array(_) => call.query(name, strings(Some(value)).join(",")),
                    other => call.query(name, other.to_string()),
                };
            }
        }
        let mut all = ctx.client().list(call, table.many).await?;
        for part in table.parts.iter().filter(|p| p.filter == Filter::Here) {
            if let Some(wanted) = args.get(part.name).filter(|w| !w.is_null()) {
                all.retain(|object| same(object.get(part.api), wanted));
            }
        }
        let object = the_one(table.noun, all, &args)?;
        let mut state = Object::new();
        for part in table.parts.iter().filter(|p| p.filter == Filter::No || p.attribute.is_computed()) {
            let Some(value) = object.get(part.api).filter(|v| !v.is_null()) else { continue };
            state.insert(part.name.into(), value.clone());
        }
        if let Some(description) = of(&object, "description").filter(|_| state.contains_key("description")) {
            state.insert("description".into(), unmarked(description).into());
        }
        if state.contains_key("all_tags") {
            let tags: Vec<String> = strings(object.get("tags")).into_iter().filter(|t| !is_mark(t)).collect();
            state.insert("all_tags".into(), tags.into());
        }
        state.insert("id".into(), object["id"].clone());
        state.insert("region".into(), ctx.client().region(text(&args, "region")).into());
        (table.more)(&object, &mut state);
        Ok(state)
    }
}

/// Numbers may come as text, and are the same.
fn same(now: Option<&Json>, wanted: &Json) -> bool {
    match now {
        Some(Json::String(now)) => wanted.as_str() == Some(now),
        Some(now) if now == wanted => true,
        Some(now) => now.as_f64().is_some() && now.as_f64() == wanted.as_f64(),
        None => false,
    }
}

/// The only one.
pub(super) fn the_one(noun: &str, mut all: Vec<Json>, args: &Object) -> Result<Json, Fault> {
    let said: Vec<String> = args
        .iter()
        .filter(|(name, _)| *name != "region")
        .map(|(name, value)| format!("{name} = {value}"))
        .collect();
    match (all.pop(), all.len()) {
        (Some(one), 0) => Ok(one),
        (None, _) => Err(Fault::permanent(format!("no {noun} has {}", said.join(", ")))
            .hint("is it in another region or project?")),
        (Some(last), more) => {
            let ids: Vec<&str> =
                std::iter::once(&last).chain(&all).take(5).filter_map(|o| of(o, "id")).collect();
            Err(Fault::permanent(format!("{} objects fit: {noun} with {}", more + 1, said.join(", ")))
                .details(format!("among them {}", ids.join(", ")))
                .hint("say more of it, or give its id"))
        }
    }
}
