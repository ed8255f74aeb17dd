//! `grappe state import-terraform`: takes over what a state of Terraform holds, all of it or nothing.

use grappe_state::surgery::Refused;
use serde_json::Value as Json;

use super::push::read;
use super::{hold, objects, refused, save};
use crate::Exit;
use crate::args::ImportTerraformArgs;
use crate::error::Explained;
use crate::registry::registry;
use crate::tfstate::{self, Taken};
use crate::ui::Ui;
use crate::ui::diff::plural;

pub(super) fn run(ui: &Ui, args: &ImportTerraformArgs) -> anyhow::Result<Exit> {
    let shown = args.path.display();
    let json: Json = serde_json::from_slice(&read(&args.path)?)
        .map_err(|e| Explained::new(format!("{shown} is not a state of Terraform: {e}")))?;
    let Taken { state, refused: left, notes } = tfstate::take(&json, &registry()).map_err(|why| {
        Explained::new(format!("{shown} can't be taken over: {why}"))
            .hint("name a terraform.tfstate, or what \"terraform state pull\" printed")
    })?;
    for note in &notes {
        ui.warn(note);
    }
    if !left.is_empty() && !args.partial {
        let reasons: Vec<String> = left.iter().map(|(addr, why)| format!("{addr}: {why}")).collect();
        ui.error(
            &format!("{} of {shown} can't be taken over; nothing was", objects(left.len())),
            &reasons,
            Some("-partial takes over the rest, and leaves these to Terraform"),
        );
        return Ok(Exit::Error);
    }
    let session = hold(ui, &args.at, "state import-terraform")?;
    let mut ledger = session.ledger().clone();
    let deposed = state.deposed.keys().map(|(addr, _)| addr);
    for addr in state.objects.keys().chain(deposed) {
        if ledger.state.objects.contains_key(addr) {
            return Err(refused(Refused::Taken(addr.clone()), &ledger).into());
        }
        if ledger.pending().any(|p| p.addr == *addr) {
            return Err(refused(Refused::Unfinished(vec![addr.clone()]), &ledger).into());
        }
    }
    ui.lines(left.iter().map(|(addr, why)| format!("Leaving {addr}: {why}")));
    let does = if args.dry_run { "Would take over" } else { "Taking over" };
    ui.lines(state.objects.keys().map(|addr| format!("{does} {addr}")));
    ui.lines(state.deposed.keys().map(|(addr, key)| format!("{does} {addr} (deposed object {key})")));
    let (n, outputs) = (state.objects.len() + state.deposed.len(), state.outputs.len());
    if args.dry_run {
        return Ok(Exit::Done);
    }
    ledger.state.objects.extend(state.objects);
    ledger.state.deposed.extend(state.deposed);
    for (name, output) in state.outputs {
        ledger.state.outputs.entry(name).or_insert(output);
    }
    save(ui, session, ledger)?;
    ui.line(format!(
        "Successfully took over {} and {outputs} output{}. \"grappe plan\" shows what differs; from now on, leave them to grappe.",
        objects(n),
        plural(outputs)
    ));
    Ok(Exit::Done)
}
