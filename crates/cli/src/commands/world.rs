//! Machines that only grappe can reach are reachable before anybody dials one of them.
//!
//! Simulated machines, and those of a lab on this computer, are on no network of this computer: they are reached through a dialer that their provider adds to
//! the connection pool when it is configured. The engine configures a provider when its first object is needed, and an object on a machine does not know whose
//! machine it is: without this, a run that begins there would look for it on the real network.

use grappe_lang::{ConstantScope, Module};
use grappe_provider::{AnyProvider, Client, Setup};
use grappe_state::State;
use grappe_value::Value;

use crate::project::Project;

/// The providers whose machines are reached through them.
pub(super) const WITH_MACHINES: [&str; 2] = ["sim", "local"];

/// Configures `provider` where the plan or the state uses it; the world stays open while the client is held.
///
/// Where its block is not made of constants, the engine configures it when it can.
pub(super) async fn open(
    provider: &dyn AnyProvider,
    project: &Project,
    state: &State,
    setup: &Setup,
) -> anyhow::Result<Option<Client>> {
    let ours = |ty: &str| provider.resources().iter().any(|r| r.name() == ty);
    let root = &project.config.root;
    let used = state.objects.keys().any(|addr| ours(&addr.resource.ty)) || mentions(root, &ours);
    if !used {
        return Ok(None);
    }
    let block = root.providers.iter().find(|p| &*p.name == provider.name() && p.alias.is_none());
    let value = match block {
        Some(block) => match block.body.decode(provider.schema(), &ConstantScope) {
            Ok(value) if value.is_wholly_known() => value,
            _ => return Ok(None),
        },
        None => {
            let defaults = provider.schema().attributes.iter();
            Value::object(defaults.map(|(name, a)| {
                (name.clone(), a.default.clone().unwrap_or_else(|| Value::null(a.ty.clone())))
            }))
        }
    };
    // What is wrong with it is said by the engine, in its place.
    Ok(provider.configure(setup, &value).await.ok())
}

/// Whether a module, or one that it calls, has a resource of these types.
fn mentions(module: &Module, ours: &dyn Fn(&str) -> bool) -> bool {
    module.resources.values().any(|r| ours(&r.ty)) || module.calls.values().any(|c| mentions(&c.module, ours))
}
