//! `grappe state pull`: prints the state as it is on disk, its secrets sealed. Takes no lock, and no key where no run was interrupted.

use crate::Exit;
use crate::args::PullArgs;
use crate::project::store_of;
use crate::ui::Ui;

pub(super) fn run(ui: &Ui, args: &PullArgs) -> anyhow::Result<Exit> {
    if let Some(text) = store_of(&args.dir, &args.state)?.text()? {
        ui.raw(&text);
    }
    Ok(Exit::Done)
}
