//! What the state remembers and what was read since: the side of the planner that is not the configuration.

use std::collections::{BTreeMap, HashMap, HashSet};

use grappe_diag::{Diagnostic, Diagnostics};
use grappe_provider::AnyResource;
use grappe_state::{Action, Object, Pending};
use grappe_value::addr::{InstanceAddr, InstanceKey, Mode};
use grappe_value::{Value, wire};

use crate::input::{Input, Left, Reading};
use crate::moves::Moves;
use crate::withheld;

/// What is there at an address.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Prior {
    /// Nothing was.
    Absent,
    /// Something was, and is gone.
    Gone(Value),
    /// This is.
    There {
        /// As last read, or as remembered where it was not read.
        value: Value,
        /// As the state remembers it, where that is something else.
        remembered: Option<Value>,
    },
}

impl Prior {
    /// What is there.
    pub(crate) fn value(&self) -> Option<&Value> {
        match self {
            Prior::There { value, .. } => Some(value),
            Prior::Absent | Prior::Gone(_) => None,
        }
    }
}

/// The state with the readings laid over it.
pub(crate) struct World<'a> {
    input: &'a Input<'a>,
    /// What was moved before.
    pub(crate) moves: &'a Moves<'a>,
    /// The managed objects of known types, decoded once.
    remembered: HashMap<&'a InstanceAddr, Result<Value, Diagnostics>>,
    /// The ids of objects that were found to be gone: whatever lives on them is gone too.
    gone: HashSet<String>,
    /// Interrupted creations, the last of each address last.
    creations: BTreeMap<&'a InstanceAddr, Vec<&'a Pending>>,
}

impl<'a> World<'a> {
    pub(crate) fn new(input: &'a Input<'a>, moves: &'a Moves<'a>) -> Self {
        let mut creations: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for begun in input.pending.iter().filter(|p| p.action == Action::Create && p.deposed.is_none()) {
            creations.entry(&begun.addr).or_default().push(begun);
        }
        let mut remembered = HashMap::with_capacity(input.state.objects.len());
        for (addr, object) in &input.state.objects {
            if let Some(kind) =
                input.registry.resource(&addr.resource.ty).filter(|_| addr.resource.mode == Mode::Managed)
            {
                remembered.insert(addr, decode(kind, addr, object));
            }
        }
        let gone = |(addr, reading): (&InstanceAddr, &Reading)| {
            let object = remembered.get(addr)?.as_ref().ok()?;
            (*reading == Reading::Gone).then(|| object.get("id")?.as_str().map(str::to_owned))?
        };
        World { input, moves, gone: input.refreshed.iter().filter_map(gone).collect(), remembered, creations }
    }

    /// The managed objects of the state.
    pub(crate) fn objects(&self) -> impl Iterator<Item = (&'a InstanceAddr, &'a Object)> {
        self.input.state.objects.iter().filter(|(addr, _)| addr.resource.mode == Mode::Managed)
    }

    /// The address in the state of the object that an instance of the configuration is: its own, or (when `count` came or went, that of the
    /// single instance or of the first: a block is repeated in one way, so nothing else in the configuration can claim that one).
    pub(crate) fn remembered_as(&self, addr: &InstanceAddr) -> Option<(&'a InstanceAddr, &'a Object)> {
        let find = |addr: &InstanceAddr| self.input.state.objects.get_key_value(addr);
        find(addr).or_else(|| {
            // Whoever says which instance is which has the last word.
            if self.moves.mention(&addr.resource) {
                return None;
            }
            let other = match addr.key {
                InstanceKey::Int(0) => InstanceKey::None,
                InstanceKey::None => InstanceKey::Int(0),
                _ => return None,
            };
            find(&addr.resource.instance(other))
        })
    }

    /// The creation of this instance that was interrupted last.
    pub(crate) fn begun(&self, addr: &InstanceAddr) -> Option<&'a Pending> {
        self.creations.get(addr)?.last().copied()
    }

    /// Whether what a creation left was found.
    pub(crate) fn is_found(&self, begun: &Pending) -> bool {
        self.input.left.get(&begun.key) == Some(&Left::There)
    }

    /// All interrupted creations.
    pub(crate) fn all_begun(&self) -> impl Iterator<Item = &'a Pending> {
        self.creations.values().flatten().copied()
    }

    /// What the state remembers of an object, by the address in the state.
    ///
    /// # Errors
    /// Where it can't be read as an object of its type, or no provider has that.
    pub(crate) fn remembered(&self, addr: &InstanceAddr) -> Result<Value, Diagnostics> {
        self.remembered.get(addr).cloned().unwrap_or_else(|| {
            Err(Diagnostic::error("Unknown resource type in the state")
                .detail(format!("No provider here has the type of {addr}."))
                .hint("take it out of the state, or use a program that has the provider")
                .address(addr)
                .into())
        })
    }

    /// The `id` of what an object lives on.
    fn home<'v>(&self, addr: &InstanceAddr, object: &'v Value) -> Option<&'v str> {
        self.input.registry.resource(&addr.resource.ty)?.schema().home(object)
    }

    /// What is there now, by the address in the state.
    ///
    /// # Errors
    /// As [`World::remembered`].
    pub(crate) fn prior(&self, addr: &InstanceAddr) -> Result<Prior, Diagnostics> {
        let remembered = self.remembered(addr)?;
        if self.home(addr, &remembered).is_some_and(|home| self.gone.contains(home)) {
            return Ok(Prior::Gone(remembered));
        }
        Ok(match self.input.refreshed.get(addr) {
            Some(Reading::Gone) => Prior::Gone(remembered),
            Some(Reading::Found(value)) => {
                let (remembered, value) = match self.input.registry.resource(&addr.resource.ty) {
                    Some(kind) => withheld::reconcile(kind.schema(), remembered, value.clone()),
                    None => (remembered, value.clone()),
                };
                // Where it is the same value, that of the state has its marks where they belong.
                match value.same(&remembered) {
                    true => Prior::There { value: remembered, remembered: None },
                    false => Prior::There { value, remembered: Some(remembered) },
                }
            }
            Some(Reading::NotRead) | None => Prior::There { value: remembered, remembered: None },
        })
    }
}

/// What the state holds of an object, as a value of its type.
///
/// # Errors
/// Where it is none.
pub(crate) fn decode(
    kind: &dyn AnyResource,
    addr: &InstanceAddr,
    object: &Object,
) -> Result<Value, Diagnostics> {
    if object.schema_version > kind.schema().version {
        return Err(Diagnostic::error("Resource instance managed by newer provider version")
            .detail(format!(
                "The state of {addr} was written by a newer version of its provider (schema {}, and this one knows {}).",
                object.schema_version,
                kind.schema().version
            ))
            .hint("use the version that wrote it, or a later one")
            .address(addr)
            .into());
    }
    match wire::decode(&object.attributes, kind.ty()) {
        Ok(value) => Ok(kind.schema().mark(value)),
        Err(e) => Err(Diagnostic::error("Invalid object in the state")
            .detail(format!("What the state holds for {addr} is no {}: {e}.", kind.name()))
            .address(addr)
            .into()),
    }
}
