//! What most types have in common: an object of a REST collection, whose arguments are fields of the same (or nearly the same) name.
//!
//! A type is a table of fields ([`Table`]) and what is special about it ([`Kind`]). [`Thing`] makes a resource of the two: it creates with the key
//! planted, reads back, updates what differs, deletes and waits. Its rules:
//!
//! - **The key.** Octavia's objects carry it as a tag from the start. Neutron takes no tags in a creation: there the object is created with `grappe:KEY` as its
//!   description. Where the plan gives a description, the key moves to a tag before that one takes its place. So whatever the run dies of, the object is found by its key.
//! - **What others add is theirs.** Tags that the plan does not name stay, and are shown in `all_tags` only.
//! - **What is empty is not there.** Where the plan says nothing and the cloud says `""` or `[]`, nothing differs.

mod resource;
mod values;

use std::future::Future;

use grappe_provider::{Change, Context, Fault, Problem};
use grappe_value::{Attribute, Nesting, Schema, Type, Value};
use serde_json::{Map, Value as Json, json};

use crate::client::{Client, Service};

pub(crate) use resource::Thing;
pub(crate) use values::{
    METADATA_KEY, blocks, is_empty, is_mark, known_tags, mark, merged_tags, of, settled, strings, text,
    unmarked, without_empties,
};

/// Attributes by name.
pub(crate) type Object = Map<String, Json>;

/// What every request of an operation needs.
pub(crate) type Ctx = Context<Client>;

/// One argument or attribute.
pub(crate) struct Field {
    pub(crate) name: &'static str,
    /// Its name in the API.
    api: &'static str,
    attribute: Attribute,
    /// Neither sent nor read: the type itself sees to it.
    own: bool,
    /// Sent in creations only, and read never.
    write_only: bool,
    /// Not known any more when one of these changes.
    follows: &'static [&'static str],
}

impl Field {
    pub(crate) fn new(name: &'static str, attribute: Attribute) -> Self {
        Field { name, api: name, attribute, own: false, write_only: false, follows: &[] }
    }

    /// With another name in the API.
    pub(crate) fn api(mut self, api: &'static str) -> Self {
        self.api = api;
        self
    }

    /// Seen to by the type itself.
    pub(crate) fn own(mut self) -> Self {
        self.own = true;
        self
    }

    /// Sent in creations only; nothing is read of it.
    pub(crate) fn write_only(mut self) -> Self {
        self.write_only = true;
        self
    }

    /// Computed from these arguments.
    pub(crate) fn follows(mut self, arguments: &'static [&'static str]) -> Self {
        self.follows = arguments;
        self
    }

    /// What is sent for null: that which takes the value away.
    fn cleared(&self) -> Json {
        match &self.attribute.ty {
            Type::String => "".into(),
            Type::List(_) | Type::Set(_) => json!([]),
            Type::Map(_) => json!({}),
            _ => Json::Null,
        }
    }
}

/// A nested block; the type itself sees to what is in it.
pub(crate) struct Nested {
    pub(crate) name: &'static str,
    pub(crate) nesting: Nesting,
    pub(crate) schema: Schema,
    pub(crate) max: Option<usize>,
}

/// What a type is made of.
pub(crate) struct Table {
    pub(crate) service: Service,
    /// `ports`
    pub(crate) path: &'static str,
    /// `port`
    pub(crate) one: &'static str,
    /// What people call it: `port`.
    pub(crate) noun: &'static str,
    pub(crate) description: &'static str,
    /// Where the key goes.
    pub(crate) keyed: Keyed,
    /// Whether it has `tags` and `all_tags`.
    pub(crate) tags: bool,
    pub(crate) fields: Vec<Field>,
    pub(crate) blocks: Vec<Nested>,
}

/// Where the idempotency key is planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keyed {
    /// Neutron: the description, or a tag where the plan gives a description.
    Description,
    /// Neutron's rules, whose description can't be changed and which take no tags: behind the description.
    Suffix,
    /// Octavia: a tag from the start.
    Tag,
    /// Nova, Cinder: a metadata entry.
    Metadata,
}

/// Where a body keeps what stands beside the object in the request.
pub(crate) const BESIDE: &str = "\0beside";

/// What is special about a type.
pub(crate) trait Kind: Send + Sync + 'static {
    /// The type's name.
    const NAME: &'static str;

    fn table() -> Table;

    /// By what it is imported.
    const IMPORT: &'static str = "its id";

    /// What is wrong beyond the schema.
    fn validate(config: &Value) -> Vec<Problem> {
        let _ = config;
        Vec::new()
    }

    /// Refines a planned change.
    fn plan(change: &mut Change<'_>) {
        let _ = change;
    }

    /// Completes the body of a creation.
    fn body(args: &Object, body: &mut Object) -> Result<(), Fault> {
        let _ = (args, body);
        Ok(())
    }

    /// Completes the body of an update; `now` is the object as it is. Empty where nothing is to be sent.
    fn changes(prior: &Object, args: &Object, now: &Json, body: &mut Object) -> Result<(), Fault> {
        let _ = (prior, args, now, body);
        Ok(())
    }

    /// Completes what is known of an object; `before` is what was planned or remembered.
    fn seen(object: &Json, before: &Object, state: &mut Object) {
        let _ = (object, before, state);
    }

    /// Looks up what a body needs, before a creation or an update.
    fn prepare(ctx: &Ctx, args: &mut Object) -> impl Future<Output = Result<(), Fault>> + Send {
        let _ = (ctx, args);
        async { Ok(()) }
    }

    /// What else belongs to a creation, once the object exists. Done again where a run was cut off in it.
    fn created(ctx: &Ctx, args: &Object, object: Json) -> impl Future<Output = Result<Json, Fault>> + Send {
        let _ = (ctx, args);
        async { Ok(object) }
    }

    /// What else belongs to an update.
    fn updated(
        ctx: &Ctx,
        prior: &Object,
        args: &Object,
        object: Json,
    ) -> impl Future<Output = Result<Json, Fault>> + Send {
        let _ = (ctx, prior, args);
        async { Ok(object) }
    }

    /// What must be done before it can be deleted.
    fn leaving(ctx: &Ctx, state: &Object) -> impl Future<Output = Result<(), Fault>> + Send {
        let _ = (ctx, state);
        async { Ok(()) }
    }

    /// Waits until it is gone, where the answer to the delete does not mean that yet.
    fn gone(ctx: &Ctx, state: &Object) -> impl Future<Output = Result<(), Fault>> + Send {
        let _ = (ctx, state);
        async { Ok(()) }
    }

    /// The load balancer that changes below it wait for in turn.
    fn balancer(ctx: &Ctx, args: &Object) -> impl Future<Output = Result<Option<String>, Fault>> + Send {
        let _ = (ctx, args);
        async { Ok(None) }
    }

    /// The path of the collection where it depends on arguments.
    fn collection(args: &Object) -> String {
        let _ = args;
        Self::table().path.to_owned()
    }
}

/// The `region` of every type.
pub(crate) fn region() -> Field {
    let description = "The region. The provider's by default.";
    Field::new("region", Attribute::optional_computed(Type::String, description).replace()).own()
}

/// `tags` and `all_tags`.
pub(crate) fn tag_fields() -> [Field; 2] {
    let tags = Type::set(Type::String);
    [
        Field::new("tags", Attribute::optional(tags.clone(), "Tags. Those that others set stay.")).own(),
        Field::new("all_tags", Attribute::computed(tags, "All tags, those of others too."))
            .own()
            .follows(&["tags"]),
    ]
}
