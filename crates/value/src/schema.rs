//! Schemas: the type of a block, with what a planner must know of each argument.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{Type, Value};

/// Who gives an attribute its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// The configuration must.
    Required,
    /// The configuration may; null otherwise (or the default).
    Optional,
    /// Only the provider.
    Computed,
    /// The configuration may; the provider does otherwise.
    OptionalComputed,
}

/// What a changed value means for an object that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnChange {
    /// It is updated in place.
    Update,
    /// It is deleted and created anew.
    Replace,
    /// It is created anew when this member of the value differs (the identity of a host or of a cluster); a difference elsewhere in it
    /// (a new address, one more control plane to talk to) is recorded and asks for no action.
    ReplaceWhen(&'static str),
    /// It is recorded and asks for no action (how to reach a thing, not what it is).
    Record,
}

/// One attribute.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    /// Its type.
    pub ty: Type,
    /// Who gives it.
    pub presence: Presence,
    /// What stands for null where the configuration gives nothing. Only with [`Presence::Optional`].
    pub default: Option<Value>,
    /// Never shown, sealed in what is stored.
    pub sensitive: bool,
    /// Whether it need not be stored: a read gives it back, or says of what the configuration gives again whether it is still so. No operation needs to
    /// be told what it was. Sensitive values of other attributes are stored sealed, or not at all and then nothing is done.
    pub found_again: bool,
    /// What a change means.
    pub on_change: OnChange,
    /// Whether it names what the object lives on, by that one's `id`: a machine. When that is gone, so is the object.
    pub home: bool,
    /// Whether it names what the object leads others to, as a load balancer does: a change of it goes before what depends on the object goes.
    pub routes: bool,
    /// Whether it is told to the provider and nobody else: no plan and no state holds it, so it may be ephemeral. That it changed is seen from another
    /// attribute: a version.
    pub write_only: bool,
    /// Whether it names what goes with the object, and nobody would know from the object's name: a plan that deletes it tells.
    pub takes_along: bool,
    /// One or two sentences for its user.
    pub description: &'static str,
}

impl Attribute {
    fn new(ty: Type, presence: Presence, description: &'static str) -> Self {
        Attribute {
            ty,
            presence,
            default: None,
            sensitive: false,
            found_again: false,
            on_change: OnChange::Update,
            home: false,
            routes: false,
            write_only: false,
            takes_along: false,
            description,
        }
    }

    /// One that the configuration must give.
    #[must_use]
    pub fn required(ty: Type, description: &'static str) -> Self {
        Self::new(ty, Presence::Required, description)
    }

    /// One that the configuration may give.
    #[must_use]
    pub fn optional(ty: Type, description: &'static str) -> Self {
        Self::new(ty, Presence::Optional, description)
    }

    /// One that the provider gives.
    #[must_use]
    pub fn computed(ty: Type, description: &'static str) -> Self {
        Self::new(ty, Presence::Computed, description)
    }

    /// One that the configuration may give, and the provider does otherwise.
    #[must_use]
    pub fn optional_computed(ty: Type, description: &'static str) -> Self {
        Self::new(ty, Presence::OptionalComputed, description)
    }

    /// With a default.
    #[must_use]
    pub fn default(mut self, value: impl Into<Value>) -> Self {
        self.default = Some(value.into());
        self
    }

    /// Sensitive.
    #[must_use]
    pub fn sensitive(mut self) -> Self {
        self.sensitive = true;
        self
    }

    /// It need not be stored: it can be had again. See [`Attribute::found_again`].
    #[must_use]
    pub fn found_again(mut self) -> Self {
        self.found_again = true;
        self
    }

    /// A change replaces the object.
    #[must_use]
    pub fn replace(mut self) -> Self {
        self.on_change = OnChange::Replace;
        self
    }

    /// A change of this member replaces the object; other changes are recorded.
    #[must_use]
    pub fn replace_when(mut self, member: &'static str) -> Self {
        self.on_change = OnChange::ReplaceWhen(member);
        self
    }

    /// A change is recorded, no more.
    #[must_use]
    pub fn record(mut self) -> Self {
        self.on_change = OnChange::Record;
        self
    }

    /// The object lives on what this names, by that one's `id`, and is gone when that is. Where a change of one member replaces the object, that
    /// member is the name.
    #[must_use]
    pub fn home(mut self) -> Self {
        self.home = true;
        self
    }

    /// It names what the object leads others to: nothing is led any more to what is about to go.
    #[must_use]
    pub fn routes(mut self) -> Self {
        self.routes = true;
        self
    }

    /// Told to the provider, and stored nowhere.
    #[must_use]
    pub fn write_only(mut self) -> Self {
        self.write_only = true;
        self
    }

    /// It names what goes with the object.
    #[must_use]
    pub fn takes_along(mut self) -> Self {
        self.takes_along = true;
        self
    }

    /// Whether the configuration may set it.
    #[must_use]
    pub fn is_settable(&self) -> bool {
        self.presence != Presence::Computed
    }

    /// Whether the provider may give it.
    #[must_use]
    pub fn is_computed(&self) -> bool {
        matches!(self.presence, Presence::Computed | Presence::OptionalComputed)
    }
}

/// How often a nested block may stand, and what its value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nesting {
    /// At most once: an object or null.
    Single,
    /// Any number: a list of objects.
    List,
    /// Any number, order without meaning: a set of objects.
    Set,
}

/// A nested block.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// How often.
    pub nesting: Nesting,
    /// What it holds.
    pub schema: Schema,
    /// The least number.
    pub min: usize,
    /// The greatest number; `None` for no bound.
    pub max: Option<usize>,
}

/// The attributes and nested blocks of a block.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schema {
    /// Counts up when stored objects must be migrated.
    pub version: u32,
    /// What it is, for its user.
    pub description: &'static str,
    /// Its attributes by name.
    pub attributes: BTreeMap<Arc<str>, Attribute>,
    /// Its nested blocks by name.
    pub blocks: BTreeMap<Arc<str>, Block>,
}

impl Schema {
    /// A schema with no attribute yet.
    #[must_use]
    pub fn new(description: &'static str) -> Self {
        Schema { description, ..Schema::default() }
    }

    /// With one attribute more.
    #[must_use]
    pub fn attr(mut self, name: &str, attribute: Attribute) -> Self {
        self.attributes.insert(name.into(), attribute);
        self
    }

    /// With one nested block more.
    #[must_use]
    pub fn block(mut self, name: &str, nesting: Nesting, schema: Schema) -> Self {
        self.blocks.insert(name.into(), Block { nesting, schema, min: 0, max: None });
        self
    }

    /// The `id` of what an object lives on, where it says.
    #[must_use]
    pub fn home<'v>(&self, object: &'v Value) -> Option<&'v str> {
        let (name, attribute) = self.attributes.iter().find(|(_, attribute)| attribute.home)?;
        let value = object.get(name)?;
        match attribute.on_change {
            OnChange::ReplaceWhen(member) => value.get(member)?.as_str(),
            _ => value.as_str(),
        }
    }

    /// The object type that values of this schema have.
    #[must_use]
    pub fn ty(&self) -> Type {
        let attributes = self.attributes.iter().map(|(name, a)| (name.clone(), a.ty.clone()));
        let blocks = self.blocks.iter().map(|(name, b)| (name.clone(), b.ty()));
        Type::object(attributes.chain(blocks))
    }

    /// The names of the attributes that are stored nowhere.
    pub fn write_only(&self) -> impl Iterator<Item = &Arc<str>> {
        self.attributes.iter().filter(|(_, a)| a.write_only).map(|(name, _)| name)
    }

    /// An object without what is stored nowhere.
    #[must_use]
    pub fn to_store(&self, value: Value) -> Value {
        self.write_only().fold(value, |value, name| {
            let ty = self.attributes[name].ty.clone();
            value.with_attr(name, Value::null(ty))
        })
    }

    /// The value with the schema's sensitive attributes marked.
    #[must_use]
    pub fn mark(&self, value: Value) -> Value {
        let Some(entries) = value.as_entries() else { return value };
        let mut marked = value.clone();
        for (name, attribute) in &self.attributes {
            if attribute.sensitive
                && let Some(inner) = entries.get(name)
                && !inner.is_null()
            {
                marked = marked.with_attr(name, inner.clone().sensitive());
            }
        }
        for (name, block) in &self.blocks {
            let Some(inner) = entries.get(name) else { continue };
            let remarked = match (block.nesting, inner.as_items()) {
                (Nesting::Single, _) => block.schema.mark(inner.clone()),
                (Nesting::List, Some(items)) => {
                    Value::list(block.schema.ty(), items.iter().map(|i| block.schema.mark(i.clone())))
                        .with_marks(inner.marks())
                }
                // A set gathers its elements' marks: it is sensitive as a whole or not at all.
                (Nesting::Set, Some(items)) => {
                    Value::set(block.schema.ty(), items.iter().map(|i| block.schema.mark(i.clone())))
                        .with_marks(inner.marks())
                }
                _ => continue,
            };
            marked = marked.with_attr(name, remarked);
        }
        marked
    }
}

impl Block {
    /// The type of the value that stands for the block.
    #[must_use]
    pub fn ty(&self) -> Type {
        match self.nesting {
            Nesting::Single => self.schema.ty(),
            Nesting::List => Type::list(self.schema.ty()),
            Nesting::Set => Type::set(self.schema.ty()),
        }
    }
}
