//! `grappe state replace-provider`: objects are reached through another provider, or another configuration of it.
//!
//! What an object's block says counts more than what the state says: this is for objects whose block is gone, with the `provider` block that they were
//! made with, and for providers that got another name.

use std::collections::BTreeSet;

use grappe_plan::ProviderKey;
use grappe_provider::Registry;
use grappe_state::surgery::replace_provider;
use grappe_value::addr::InstanceAddr;

use super::{confirm, hold_existing, objects, save};
use crate::Exit;
use crate::args::ReplaceProviderArgs;
use crate::error::Explained;
use crate::registry::registry;
use crate::ui::Ui;
use crate::ui::diff::plural;

pub(super) fn run(ui: &Ui, args: &ReplaceProviderArgs) -> anyhow::Result<Exit> {
    let registry = registry();
    let (from, to) = (key(&args.from)?, key(&args.to)?);
    let session = hold_existing(ui, &args.at, "state replace-provider")?;
    let mut ledger = session.ledger().clone();
    let changed = replace_provider(&mut ledger, |_, provider| replaced(provider, &from, &to));
    if changed.is_empty() {
        let used: BTreeSet<&str> =
            session.state().objects.values().map(|object| object.provider.as_str()).collect();
        let used: Vec<&str> = used.into_iter().collect();
        ui.line(format!("No matching objects found: those of the state are of {}.", used.join(", ")));
        return Ok(Exit::Done);
    }
    fits(&registry, &to, &changed)?;
    ui.lines([
        "grappe will do this:".to_owned(),
        String::new(),
        "  ~ Updating provider:".to_owned(),
        format!("    - {from}"),
        format!("    + {to}"),
        String::new(),
        format!("Changing {}:", objects(changed.len())),
        String::new(),
    ]);
    ui.lines(changed.iter().map(|addr| format!("  {addr}")));
    if !args.auto_approve && !confirm(ui, "Do this?", "-auto-approve")? {
        ui.line("Not approved: nothing was changed.");
        return Ok(Exit::Error);
    }
    save(ui, session, ledger)?;
    let n = changed.len();
    ui.line(format!("\nSuccessfully replaced provider for {n} object{}.", plural(n)));
    Ok(Exit::Done)
}

/// A provider as people write it: `openstack`, `openstack.west`, `hashicorp/random`.
fn key(text: &str) -> anyhow::Result<ProviderKey> {
    // Terraform's names end in ours.
    let name = text.rsplit('/').next().unwrap_or(text);
    name.parse().map_err(|why: String| {
        Explained::new(why).hint("write NAME, NAME.ALIAS, or Terraform's HOST/NAMESPACE/NAME").into()
    })
}

/// What a provider becomes. One without an alias stands for all configurations of that name, each of which keeps its alias.
fn replaced(provider: &str, from: &ProviderKey, to: &ProviderKey) -> Option<String> {
    let have: ProviderKey = provider.parse().ok()?;
    let exact = from.alias.is_some() || to.alias.is_some() || !from.module.is_root() || from.name == to.name;
    let new = match exact {
        true if have == *from => to.clone(),
        false if have.name == from.name => ProviderKey { name: to.name.clone(), ..have.clone() },
        _ => return None,
    };
    (new != have).then(|| new.to_string())
}

/// Whether the provider has the types of all of them.
fn fits(registry: &Registry, to: &ProviderKey, changed: &[InstanceAddr]) -> anyhow::Result<()> {
    if registry.provider(&to.name).is_none() {
        let known: Vec<&str> = registry.providers().map(|p| p.name()).collect();
        let error = Explained::new(format!("there is no provider {:?} here", to.name));
        let near = grappe_diag::suggest(&to.name, known.iter().copied());
        return Err(error
            .hint(
                near.map_or_else(
                    || format!("there are {}", known.join(", ")),
                    |n| format!("did you mean {n}?"),
                ),
            )
            .into());
    }
    let owner = |addr: &&InstanceAddr| registry.provider_of(&addr.resource.ty) != Some(&*to.name);
    match changed.iter().find(owner) {
        None => Ok(()),
        Some(addr) => {
            let owner = registry.provider_of(&addr.resource.ty).unwrap_or("none that is here");
            Err(Explained::new(format!("provider {:?} has no type {}", to.name, addr.resource.ty))
                .hint(format!("{addr} belongs to provider {owner}; nothing was changed"))
                .into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_all_its_configurations_and_an_alias_for_one() {
        let of =
            |provider: &str, from: &str, to: &str| replaced(provider, &key(from).unwrap(), &key(to).unwrap());
        assert_eq!(of("a.west", "registry.terraform.io/x/a", "b"), Some("b.west".into()));
        assert_eq!(of("module.m.a", "a", "y/b"), Some("module.m.b".into()));
        assert_eq!(of("a.west", "a.west", "a"), Some("a".into()));
        assert_eq!(of("a", "a.west", "a"), None);
        assert_eq!(of("a", "a", "a.east"), Some("a.east".into()));
        assert_eq!(of("a.west", "a", "a.east"), None);
        assert_eq!(of("c", "a", "b"), None);
        assert!(key("a/b/").is_err());
    }
}
