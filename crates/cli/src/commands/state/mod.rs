//! `grappe state …`: looks into a state, and works on it by hand.
//!
//! Whoever changes it holds its lock, changes what was read in memory ([`grappe_state::surgery`] says what may be done), and puts the whole in its
//! place by one rename: a kill leaves the state as it was or as was wanted. What was there is kept among the backups. What an interrupted run began
//! is carried along.

mod import_terraform;
mod look;
mod mv;
mod pull;
mod push;
mod rekey;
mod replace_provider;
mod restore;
mod rm;

use std::sync::Arc;

use grappe_engine::{Cancel, Engine, Options, RunError};
use grappe_provider::{Registry, Setup};
use grappe_state::surgery::Refused;
use grappe_state::{Ledger, Session, State, Store};
use grappe_value::addr::{InstanceAddr, Target};

pub(crate) use look::{decode as decode_object, render as render_object};

use crate::Exit;
use crate::args::{StateCommand, SurgeryArgs};
use crate::error::Explained;
use crate::project::store_of;
use crate::ui::Ui;
use crate::ui::progress::Progress;

pub(super) fn run(ui: &Ui, command: &StateCommand) -> anyhow::Result<Exit> {
    match command {
        StateCommand::List { state, dir, addresses } => look::list(ui, state, dir, addresses),
        StateCommand::Show { state, dir, address } => look::show(ui, state, dir, address),
        StateCommand::Mv(args) => mv::run(ui, args),
        StateCommand::Rm(args) => rm::run(ui, args),
        StateCommand::Pull(args) => pull::run(ui, args),
        StateCommand::Push(args) => push::run(ui, args),
        StateCommand::Rekey(args) => rekey::run(ui, args),
        StateCommand::ReplaceProvider(args) => replace_provider::run(ui, args),
        StateCommand::Restore(args) => restore::run(ui, args),
        StateCommand::ImportTerraform(args) => import_terraform::run(ui, args),
    }
}

/// Takes the lock and reads what exists.
pub(super) fn hold(ui: &Ui, at: &SurgeryArgs, what: &str) -> anyhow::Result<Session> {
    hold_store(ui, &store_of(&at.dir, &at.state)?, at, what)
}

/// The same of a store that was opened already.
fn hold_store(ui: &Ui, store: &Store, at: &SurgeryArgs, what: &str) -> anyhow::Result<Session> {
    let progress = Progress::new(ui);
    let setup = Setup { plan_dir: at.dir.clone(), data_dir: at.dir.clone() };
    let engine = Engine::new(
        Arc::new(Registry::default()),
        setup,
        Options::default(),
        Cancel::default(),
        progress.sink(),
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let lock = runtime.block_on(engine.lock(store, what, at.lock_timeout));
    progress.finish();
    let lock = lock.map_err(|error| match error {
        RunError::State(error) => anyhow::Error::from(error),
        other => Explained::new(other.to_string()).into(),
    })?;
    Ok(store.session(lock)?)
}

/// The same of a state that must be there: no folder is made for one that is not.
pub(super) fn hold_existing(ui: &Ui, at: &SurgeryArgs, what: &str) -> anyhow::Result<Session> {
    let store = existing(at)?;
    hold_store(ui, &store, at, what)
}

fn existing(at: &SurgeryArgs) -> anyhow::Result<Store> {
    let store = store_of(&at.dir, &at.state)?;
    if store.exists()? {
        return Ok(store);
    }
    Err(Explained::new(format!("there is no state in {}", store.place().display()))
        .hint("apply a plan first; -dir names its folder, -state-dir a state elsewhere")
        .into())
}

/// Puts what came of it in place.
pub(super) fn save(ui: &Ui, session: Session, ledger: Ledger) -> anyhow::Result<Ledger> {
    let sealer = session.store().sealer().clone();
    if let Some(why) = sealer.withholds() {
        nothing_is_lost(&ledger, why)?;
    }
    let ledger = session.rewrite(ledger)?;
    for notice in sealer.take_notices() {
        ui.warn(&notice);
    }
    Ok(ledger)
}

/// That everything sensitive that an object has could be had again without being stored.
fn nothing_is_lost(ledger: &Ledger, why: &str) -> anyhow::Result<()> {
    let registry = crate::registry::registry();
    let current = ledger.state.objects.iter();
    let deposed = ledger.state.deposed.iter().map(|((addr, _), object)| (addr, object));
    for (addr, object) in current.chain(deposed) {
        let lost = match registry.resource(&addr.resource.ty) {
            Some(kind) => {
                let value = grappe_value::wire::decode(&object.attributes, kind.ty())?;
                grappe_plan::lost_of(kind, &kind.schema().mark(value))
            }
            None if object.attributes.to_string().contains("\"$sensitive\"") => {
                vec!["what is sensitive in it".into()]
            }
            None => Vec::new(),
        };
        if !lost.is_empty() {
            return Err(Explained::new(format!(
                "without a key ({why}) the state can't hold {addr}: {} could not be read back from anywhere",
                lost.join(", ")
            ))
            .hint("give a key: GRAPPE_STATE_KEY, GRAPPE_STATE_KEY_FILE, GRAPPE_STATE_KEY_COMMAND or GRAPPE_STATE_PASSPHRASE; nothing was changed")
            .into());
        }
    }
    Ok(())
}

/// Whether somebody says "yes"; what `flag` says goes without asking.
pub(super) fn confirm(ui: &Ui, question: &str, flag: &str) -> anyhow::Result<bool> {
    if !ui.is_interactive() {
        return Err(Explained::new("nobody is there to approve this")
            .hint(format!("run again with {flag}"))
            .into());
    }
    Ok(ui.ask(&format!("\n{question}\n  Only \"yes\" goes on: ")).as_deref() == Some("yes"))
}

/// Why something was not done, with what to do.
pub(super) fn refused(error: Refused, ledger: &Ledger) -> Explained {
    let said = Explained::new(error.to_string());
    match error {
        Refused::Nothing(address) => absent(&address, &ledger.state),
        Refused::Unfinished(_) => said.hint(
            "\"grappe apply\" finds what was begun and goes on with it, \"grappe destroy\" clears it away; -force forgets it",
        ),
        Refused::SameSerial(serial) => said.hint(format!(
            "where this is what you want, set \"serial\" in it to {} first, or use -force",
            serial + 1
        )),
        Refused::Lineage { .. } | Refused::Older { .. } => {
            said.hint("look at both with \"grappe state list\" first; -force does it all the same")
        }
        Refused::Taken(_) => said.hint("move that one away first, or take it out with \"grappe state rm\""),
        Refused::NotTainted(_) | Refused::Same(_) | Refused::Kinds { .. } | Refused::Impossible(_) => said,
    }
}

/// That the state has no such thing, with what may have been meant.
pub(super) fn absent(address: &str, state: &State) -> Explained {
    let error = Explained::new(format!("the state has no object {address}"));
    let known: Vec<String> = state.objects.keys().map(ToString::to_string).collect();
    let near = grappe_diag::suggest(address, known.iter().map(String::as_str)).map(str::to_owned);
    let as_target = address.parse::<Target>().ok();
    let instances: Vec<&str> = state
        .objects
        .keys()
        .zip(&known)
        .filter(|(addr, _)| as_target.as_ref().is_some_and(|t| t.matches(addr)))
        .map(|(_, text)| text.as_str())
        .collect();
    match (near, instances.first()) {
        (_, Some(first)) => error.hint(format!("it has instances, such as {first}")),
        (Some(near), None) => error.hint(format!("did you mean {near}?")),
        (None, None) => match near_block(address, state) {
            Some(near) => error.hint(format!("did you mean {near}?")),
            None => error.hint("grappe state list shows what it has"),
        },
    }
}

/// The resource or module whose name is nearest.
fn near_block(address: &str, state: &State) -> Option<String> {
    let blocks = |addr: &InstanceAddr| [addr.resource.to_string(), addr.resource.module.to_string()];
    let names: Vec<String> = state.objects.keys().flat_map(blocks).filter(|name| !name.is_empty()).collect();
    grappe_diag::suggest(address, names.iter().map(String::as_str)).map(str::to_owned)
}

/// `object`, `objects`
pub(super) fn objects(n: usize) -> String {
    format!("{n} object{}", crate::ui::diff::plural(n))
}
