//! A plan folder: its configuration, and where its state is.

use std::path::{Path, PathBuf};

use grappe_diag::{Diagnostics, Sources};
use grappe_lang::{Config, load};
use grappe_state::Store;

use crate::args::StateArgs;
use crate::backend;
use crate::error::{Explained, Rejected};
use crate::files::PlanFiles;

/// The folder of the state inside the plan's, where neither a flag, nor the configuration, nor the project's layout names another.
pub(crate) const STATE_DIR: &str = "grappe.state";

/// The folder of a plan's state by the layout of its project: `state/NAME` for `plans/NAME`, where the project keeps plans and states side by side;
/// `grappe.state/` in the plan's own folder otherwise. It follows from where the plan is, never from where the program was started.
fn default_state_dir(dir: &Path) -> PathBuf {
    let by_layout = || {
        let plan = dir.canonicalize().ok()?;
        let plans = plan.parent().filter(|parent| parent.file_name().is_some_and(|name| name == "plans"))?;
        let states = plans.parent()?.join("state");
        states.is_dir().then(|| Some(states.join(plan.file_name()?)))?
    };
    // A state that is there already is never left behind by a `state/` folder that is made later.
    let own = dir.join(STATE_DIR);
    if own.is_dir() { own } else { by_layout().unwrap_or(own) }
}

/// The folder on this computer for what is beside a plan's state, such as a simulated world: the state's own, where it is in one.
pub(crate) fn data_dir(dir: &Path, store: &Store) -> PathBuf {
    store.dir().map_or_else(|| default_state_dir(dir), Path::to_owned)
}

/// A plan folder that was read.
#[derive(Debug)]
pub(crate) struct Project {
    /// The folder, as the user named it.
    pub(crate) dir: PathBuf,
    /// What is in it.
    pub(crate) config: Config,
    /// The texts of it.
    pub(crate) sources: Sources,
    /// How it is read.
    pub(crate) files: PlanFiles,
    /// What was found that is no error.
    pub(crate) warnings: Diagnostics,
}

impl Project {
    /// Reads a plan folder.
    ///
    /// # Errors
    /// [`Rejected`] with all that is wrong with it.
    pub(crate) fn load(dir: &Path) -> anyhow::Result<Self> {
        if !dir.is_dir() {
            return Err(Explained::new(format!("there is no plan folder {}", dir.display()))
                .hint("name a folder that holds *.tf files; without one, the working folder is taken")
                .into());
        }
        let files = PlanFiles::new(dir);
        // Paths in the configuration start at its own folder, wherever the program was started: as with Terraform's -chdir.
        let (config, sources, found) = load(&files, Path::new("."));
        match config {
            Some(config) if !found.has_errors() => {
                Ok(Project { dir: dir.to_owned(), config, sources, files, warnings: found })
            }
            _ => Err(Rejected { found, sources }.into()),
        }
    }

    /// The state of this folder: where `-state-dir` says, or its `backend` block, or [`default_state_dir`].
    ///
    /// # Errors
    /// Where the configuration names a backend that there is not.
    pub(crate) fn store(&self, args: &StateArgs) -> anyhow::Result<Store> {
        if let Some(dir) = &args.state_dir {
            return Ok(Store::open(dir));
        }
        let Some(backend) = &self.config.root.settings.backend else {
            if !args.backend_config.is_empty() {
                return Err(Explained::new(
                    "-backend-config is for the settings of a backend, and the plan has none",
                )
                .hint("write terraform { backend \"s3\" {} } (or pg, local) into it")
                .into());
            }
            return Ok(Store::open(default_state_dir(&self.dir)));
        };
        backend::open(self, backend, &args.backend_config)
    }
}

/// The state of a plan folder that need not be valid: `show` and `output` work while the configuration is broken.
///
/// # Errors
/// As [`Project::store`], where the configuration can be read.
pub(crate) fn store_of(dir: &Path, args: &StateArgs) -> anyhow::Result<Store> {
    if let Some(dir) = &args.state_dir {
        return Ok(Store::open(dir));
    }
    match Project::load(dir) {
        Ok(project) => project.store(args),
        Err(_) if default_state_dir(dir).is_dir() => Ok(Store::open(default_state_dir(dir))),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_and_states_lie_side_by_side_where_a_project_has_both() {
        let project = tempfile::tempdir().unwrap();
        let plan = project.path().join("plans/lab");
        std::fs::create_dir_all(&plan).unwrap();
        assert_eq!(default_state_dir(&plan), plan.join(STATE_DIR));
        std::fs::create_dir(project.path().join("state")).unwrap();
        let root = project.path().canonicalize().unwrap();
        assert_eq!(default_state_dir(&plan), root.join("state/lab"));
        assert_eq!(default_state_dir(&plan.join("../lab")), root.join("state/lab"));
        assert_eq!(default_state_dir(project.path()), project.path().join(STATE_DIR));
        std::fs::create_dir(plan.join(STATE_DIR)).unwrap();
        assert_eq!(default_state_dir(&plan), plan.join(STATE_DIR), "a state that is there stays in use");
    }
}
