//! `timeouts { create = "30m" }`: how long operations on an object may take, for every type.
//!
//! Operations carry what the block says, and the state remembers it: a deletion has it when the block is gone. What is read or deleted without its
//! block being evaluated (a refresh, a destruction) goes by the block where that is made of constants, and by what is remembered otherwise: who gives
//! more time to a reading that never ends must be heard at once.

use std::time::Duration;

use grappe_diag::{Diagnostic, Diagnostics};
use grappe_lang::{Body, ConstantScope, Resource};
use grappe_state::{Object, Timeouts};
use grappe_value::addr::{InstanceAddr, Mode};
use grappe_value::{Attribute, Path, Schema, Type, Value, duration};

use crate::leaving::block;
use crate::statics::Statics;
use crate::walk::{At, NodeId, Walk};

const NAMES: [&str; 4] = ["create", "read", "update", "delete"];

/// What the block of a resource (of a data source: only `read`) may hold.
fn schema(mode: Mode) -> Schema {
    let names = NAMES.into_iter().filter(|name| mode == Mode::Managed || *name == "read");
    names.fold(Schema::new(""), |schema, name| {
        schema.attr(name, Attribute::optional(Type::String, "A duration: `90s`, `10m`, `1h30m`."))
    })
}

/// What is wrong with a block whatever its expressions give.
pub(crate) fn check(resource: &Resource) -> Diagnostics {
    resource.timeouts.as_ref().map(|body| body.check(&schema(resource.mode))).unwrap_or_default()
}

/// What an instance's block says.
pub(crate) fn of(walk: &Walk<'_>, at: &At<'_>, deps: &mut Vec<NodeId>, found: &mut Diagnostics) -> Timeouts {
    let Some(body) = &at.resource.timeouts else { return Timeouts::default() };
    let made = walk.eval(&at.frame, |scope| body.decode(&schema(at.resource.mode), scope));
    deps.extend(made.deps);
    found.extend(made.found);
    match made.value.map(|value| read(body, &value)) {
        Some(Ok(timeouts)) => timeouts,
        Some(Err(wrong)) => {
            found.extend(wrong);
            Timeouts::default()
        }
        None => Timeouts::default(),
    }
}

fn read(body: &Body, value: &Value) -> Result<Timeouts, Diagnostics> {
    let mut found = Diagnostics::new();
    let mut get = |name: &str| -> Option<u64> {
        let given = value.get(name).filter(|v| !v.is_null())?;
        let wrong = |why: String| {
            Diagnostic::error(format!("Invalid value for \"timeouts.{name}\""))
                .detail(why)
                .span(body.attr_span(&Path::attr(name)))
        };
        if given.is_unknown() {
            found.push(wrong("How long an operation may take must be known before it is applied.".into()));
            return None;
        }
        match duration::parse(given.as_str()?) {
            Ok(Duration::ZERO) => {
                found.push(
                    wrong("Nothing is done in no time.".into())
                        .hint("leave it out for as long as the type says"),
                );
                None
            }
            Ok(time) => u64::try_from(time.as_millis()).ok(),
            Err(why) => {
                found.push(wrong(format!("{why}.")));
                None
            }
        }
    };
    let timeouts =
        Timeouts { create: get("create"), read: get("read"), update: get("update"), delete: get("delete") };
    if found.has_errors() { Err(found) } else { Ok(timeouts) }
}

/// What a block says that is made of constants; nothing where there is none.
pub(crate) fn constant(resource: &Resource) -> Option<Timeouts> {
    let Some(body) = &resource.timeouts else { return Some(Timeouts::default()) };
    read(body, &body.decode(&schema(resource.mode), &ConstantScope).ok()?).ok()
}

/// Those of an object of the state.
pub(crate) fn of_object(statics: &Statics<'_>, addr: &InstanceAddr, object: &Object) -> Timeouts {
    block(statics, addr).and_then(constant).unwrap_or(object.timeouts)
}

/// How long a reading may take.
pub(crate) fn deadline(timeouts: Timeouts) -> Option<Duration> {
    timeouts.read.map(Duration::from_millis)
}
