//! `grappe state push`: puts a state that was pulled (and perhaps edited) in the place of the one at hand. What is sealed in it is opened with the key
//! at hand; what somebody wrote into it under `$sensitive` is sealed.

use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use grappe_state::StateError;
use grappe_state::surgery::may_replace;
use serde_json::Value as Json;

use super::{hold, objects, refused, save};
use crate::Exit;
use crate::args::PushArgs;
use crate::error::Explained;
use crate::ui::Ui;

pub(super) fn run(ui: &Ui, args: &PushArgs) -> anyhow::Result<Exit> {
    let bytes = read(&args.path)?;
    if let Ok(json) = serde_json::from_slice::<Json>(&bytes)
        && json["terraform_version"].is_string()
    {
        return Err(Explained::new(format!("{} is a state of Terraform", args.path.display()))
            .hint("\"grappe state import-terraform\" takes over what it holds")
            .into());
    }
    let session = hold(ui, &args.at, "state push")?;
    let new = session.store().parse(&bytes, &args.path).map_err(|error| match error {
        StateError::Snapshot { .. } => {
            let hint = "push takes what \"grappe state pull\" printed; nothing was changed";
            anyhow::Error::from(Explained::new(error.to_string()).hint(hint))
        }
        other => other.into(),
    })?;
    let have = session.ledger();
    if new == *have {
        ui.line("The state is this one already.");
        return Ok(Exit::Done);
    }
    if !args.force {
        may_replace(have, &new).map_err(|e| refused(e, have))?;
    }
    let ledger = save(ui, session, new)?;
    let n = ledger.state.objects.len();
    ui.line(format!("The state is serial {} now, with {}.", ledger.state.serial, objects(n)));
    Ok(Exit::Done)
}

pub(super) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes)?;
        return Ok(bytes);
    }
    std::fs::read(path).with_context(|| format!("can't read {}", path.display()))
}
