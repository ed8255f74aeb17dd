//! `grappe state rekey`: the state's secrets are sealed with another key.
//!
//! They are opened with the old key (`GRAPPE_STATE_OLD_KEY` and its kin, or our own file) and sealed with the one that the environment tells of otherwise.
//! The snapshots of earlier runs stay as they are: only their own key opens them.

use std::sync::Arc;

use grappe_state::Sealer;

use super::{existing, hold_store, objects, save};
use crate::Exit;
use crate::args::RekeyArgs;
use crate::ui::Ui;
use crate::ui::diff::plural;

pub(super) fn run(ui: &Ui, args: &RekeyArgs) -> anyhow::Result<Exit> {
    let store = existing(&args.at)?.sealed_by(Arc::new(Sealer::rekeying()));
    let session = hold_store(ui, &store, &args.at, "state rekey")?;
    let ledger = session.ledger().clone();
    let ledger = save(ui, session, ledger)?;
    let n = ledger.state.objects.len() + ledger.state.deposed.len();
    ui.line(format!("Sealed the secrets of {} with {}.", objects(n), store.sealer().describe()));
    let old = store.snapshots()?.len();
    if old > 0 {
        ui.line(format!(
            "What is kept of {old} earlier run{} ({}) stays as it was: only the key that it was written with opens it. Where that key is in wrong hands, \
             change what it sealed.",
            plural(old),
            store.place().display()
        ));
    }
    Ok(Exit::Done)
}
