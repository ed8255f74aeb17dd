//! Sensitive values that are not stored, because there is no key to seal them with.
//!
//! In the state, such a value is withheld: [`Value::withheld`], not known. It is known again when a read gives it back. What the configuration says
//! anyway is believed to be so, as in an import; its schema promises that a read tells of a difference otherwise, by a checksum ([`found_again`]). So
//! nothing changes because of what was withheld. What can be had in neither way must never be made: [`unkept`] finds it before anything is done.
//!
//! [`found_again`]: grappe_value::Attribute::found_again

use std::fmt::Write as _;

use grappe_diag::Diagnostic;
use grappe_provider::{AnyResource, Registry};
use grappe_value::addr::InstanceAddr;
use grappe_value::{Marks, Schema, Value};

use crate::model::{OpAction, Plan};

/// What the state remembers and what was read, each with what the other knows of what was withheld.
pub(crate) fn reconcile(schema: &Schema, remembered: Value, read: Value) -> (Value, Value) {
    if !remembered.is_withheld_deep() {
        return (remembered, read);
    }
    let names = schema.attributes.keys().chain(schema.blocks.keys());
    names.fold((remembered, read), |(remembered, read), name| {
        let (Some(before), Some(now)) = (remembered.get(name).cloned(), read.get(name).cloned()) else {
            return (remembered, read);
        };
        if !before.is_withheld_deep() {
            (remembered, read)
        } else if now.is_null() || now.is_withheld_deep() {
            (remembered, read.with_attr(name, before))
        } else {
            let now = now.without_marks(Marks::WITHHELD);
            (remembered.with_attr(name, now.clone()), read.with_attr(name, now))
        }
    })
}

/// What there is, with what was withheld of it as the configuration says.
pub(crate) fn believe(schema: &Schema, prior: &Value, config: &Value) -> Value {
    if !prior.is_withheld_deep() {
        return prior.clone();
    }
    let settable = schema.attributes.iter().filter(|(_, a)| a.is_settable()).map(|(name, _)| name);
    settable.chain(schema.blocks.keys()).fold(prior.clone(), |prior, name| {
        let (Some(before), Some(given)) = (prior.get(name), config.get(name)) else { return prior };
        // What will be another thing once it is known is no reason to believe anything.
        let says = !given.is_null() && (given.is_wholly_known() || given.is_withheld_deep());
        if before.is_withheld_deep() && says { prior.with_attr(name, given.clone()) } else { prior }
    })
}

/// Whether nothing changes from one to the other. What was withheld and will be something else changes, known or not.
pub(crate) fn unchanged(before: &Value, after: &Value) -> bool {
    before.same(after) && (!before.is_withheld_deep() || after.is_withheld_deep())
}

/// The attributes of an object that were withheld and are not known.
pub(crate) fn of_object(schema: &Schema, object: &Value) -> Vec<String> {
    let names = schema.attributes.keys().chain(schema.blocks.keys());
    names.filter(|n| object.get(n).is_some_and(Value::is_withheld_deep)).map(ToString::to_string).collect()
}

/// That these attributes are not known, and what follows.
pub(crate) fn warning(unknown: &[(InstanceAddr, Vec<String>)], refresh: bool) -> Option<Diagnostic> {
    if unknown.is_empty() {
        return None;
    }
    let mut detail =
        "There was no key to seal sensitive values with, so the state does not hold these, and they are not known:\n".to_owned();
    for (addr, names) in unknown {
        let _ = writeln!(detail, "  {addr}: {}", names.join(", "));
    }
    detail.push_str(
        "Whether they are still as the configuration wants them is not known either: they are taken to be.",
    );
    let hint = match refresh {
        true => {
            "with a key (GRAPPE_STATE_KEY, GRAPPE_STATE_PASSPHRASE, …) they are stored, sealed, by the next apply"
        }
        false => "plan without -refresh=false: reading gives them back",
    };
    Some(Diagnostic::warning("Sensitive values are not known").detail(detail).hint(hint))
}

/// What a plan would make that could never be had again without a key: refused before anything is done.
///
/// # Errors
/// Where there is anything: all of it, with what to do.
pub fn unkept(plan: &Plan, registry: &Registry, why: &str) -> Result<(), Diagnostic> {
    let mut lost = String::new();
    let written =
        |action: &OpAction| matches!(action, OpAction::Create { .. } | OpAction::Update | OpAction::Record);
    let made = plan.operations.iter().filter(|op| written(&op.action));
    let made = made.filter_map(|op| Some((&op.addr, op.planned.as_ref()?)));
    for (addr, object) in made.chain(plan.imports.iter().map(|import| (&import.addr, &import.value))) {
        let Some(kind) = registry.resource(&addr.resource.ty) else { continue };
        let names = lost_of(kind, object);
        if !names.is_empty() {
            let _ = writeln!(lost, "  {addr}: {}", names.join(", "));
        }
    }
    if lost.is_empty() {
        return Ok(());
    }
    Err(Diagnostic::error("Sensitive values that nothing would keep")
        .detail(format!(
            "There is no key to seal sensitive values with ({why}), so the state can't hold them, and these could not be read back from anywhere:\n{lost}\
             Nothing was done."
        ))
        .hint(
            "give a key: GRAPPE_STATE_KEY (head -c 32 /dev/urandom | base64), GRAPPE_STATE_KEY_FILE, GRAPPE_STATE_KEY_COMMAND or GRAPPE_STATE_PASSPHRASE; \
             or take these out of the plan",
        ))
}

/// The attributes of an object that are sensitive and can't be had again.
#[must_use]
pub fn lost_of(kind: &dyn AnyResource, object: &Value) -> Vec<String> {
    let sensitive = |name: &str, always: bool| {
        object
            .get(name)
            .is_some_and(|v| !v.is_null() && (v.is_sensitive_deep() || (always && !v.is_wholly_known())))
    };
    let schema = kind.schema();
    let attributes = schema
        .attributes
        .iter()
        .filter(|(name, a)| sensitive(name, a.sensitive) && !(a.found_again && kind.reads()))
        .map(|(name, _)| name.to_string());
    let blocks = schema.blocks.keys().filter(|name| sensitive(name, false)).map(ToString::to_string);
    attributes.chain(blocks).collect()
}

#[cfg(test)]
mod tests {
    use grappe_value::{Attribute, Type};

    use super::*;

    fn schema() -> Schema {
        Schema::new("A test.")
            .attr("password", Attribute::optional(Type::String, "Given.").sensitive())
            .attr("token", Attribute::computed(Type::String, "Made.").sensitive())
            .attr("id", Attribute::computed(Type::String, "Made."))
    }

    fn object(password: Value, token: Value) -> Value {
        Value::object([("password", password), ("token", token), ("id", "1".into())])
    }

    fn withheld() -> Value {
        Value::withheld(Type::String)
    }

    #[test]
    fn a_read_gives_back_what_it_knows_and_is_no_difference() {
        let null = || Value::null(Type::String);
        let read = object(null(), Value::from("t").with_marks(withheld().marks()));
        let (remembered, read) = reconcile(&schema(), object(withheld(), withheld()), read);
        assert!(remembered.same(&read));
        assert_eq!(read.get("token"), Some(&Value::from("t").sensitive()));
        assert_eq!(read.get("password"), Some(&withheld()), "it said nothing of it");
    }

    #[test]
    fn what_the_configuration_says_is_believed_and_what_it_will_say_is_not() {
        let prior = object(withheld(), withheld());
        let of = |password: Value| object(password, Value::null(Type::String));
        let believed = believe(&schema(), &prior, &of("p".into()));
        assert_eq!(believed.get("password"), Some(&Value::from("p")));
        assert_eq!(believed.get("token"), Some(&withheld()), "no configuration sets it");
        for open in [Value::unknown(Type::String), Value::null(Type::String)] {
            let believed = believe(&schema(), &prior, &of(open.clone()));
            assert!(!unchanged(believed.get("password").unwrap(), &open), "{open:?}");
        }
        assert!(unchanged(believe(&schema(), &prior, &of(withheld())).get("password").unwrap(), &withheld()));
    }
}
