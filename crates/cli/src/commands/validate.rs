//! `grappe validate`: the configuration against the schemas, with no state and no network.

use grappe_diag::{Diagnostics, Sources};

use crate::Exit;
use crate::args::ValidateArgs;
use crate::error::Rejected;
use crate::project::Project;
use crate::registry::registry;
use crate::ui::{Tone, Ui};

pub(super) fn run(ui: &Ui, args: &ValidateArgs) -> anyhow::Result<Exit> {
    let (found, sources) = match Project::load(&args.dir) {
        Ok(project) => {
            let mut found = project.warnings.clone();
            found.extend(grappe_plan::validate(&project.config, &registry(), &project.files));
            (found, project.sources)
        }
        Err(error) => match error.downcast::<Rejected>() {
            Ok(Rejected { found, sources }) => (found, sources),
            Err(other) => return Err(other),
        },
    };
    Ok(tell(ui, args, &found, &sources))
}

fn tell(ui: &Ui, args: &ValidateArgs, found: &Diagnostics, sources: &Sources) -> Exit {
    if args.json {
        let answer = grappe_diag::list_to_json(found, sources, &grappe_lang::block_around);
        ui.raw(&format!("{answer:#}\n"));
    } else {
        ui.diagnostics(found, sources);
        if !found.has_errors() {
            ui.line(format!("{} The plan is valid.", ui.style().paint(Tone::Add, "Good:")));
        }
    }
    if found.has_errors() { Exit::Error } else { Exit::Done }
}
