//! What plan, apply and destroy share: a plan folder, its state, and an engine over both.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use grappe_engine::{Cancel, Engine, Options, RunError};
use grappe_plan::{Earlier, Input, Plan, PlanMode, Surroundings, Waves};
use grappe_provider::{Client, Registry, Setup};
use grappe_ssh::Pool;
use grappe_state::{Holder, Ledger, Store};
use grappe_value::Value;
use tokio::signal::unix::{SignalKind, signal};

use crate::Exit;
use crate::args::{PlanningArgs, StateArgs, VariableArgs};
use crate::error::{Explained, Rejected};
use crate::limits;
use crate::project::{Project, data_dir};
use crate::registry;
use crate::ui::progress::Progress;
use crate::ui::{Ui, ages, summary};
use crate::variables;

/// How to plan.
#[derive(Clone, Debug, Default)]
pub(super) struct How {
    pub(super) mode: PlanMode,
    pub(super) refresh: bool,
    /// What is younger is not read.
    pub(super) refresh_age: Option<Duration>,
    pub(super) targets: Vec<grappe_value::addr::Target>,
    pub(super) excludes: Vec<grappe_value::addr::Target>,
    pub(super) replace: BTreeSet<grappe_value::addr::InstanceAddr>,
    /// What is taken into the state: ids by address.
    pub(super) imports: BTreeMap<grappe_value::addr::InstanceAddr, Arc<str>>,
    /// What earlier waves of the same apply did.
    pub(super) earlier: BTreeMap<grappe_value::addr::InstanceAddr, Earlier>,
    /// What `plantimestamp()` gives, where that is not the present.
    pub(super) timestamp: Option<Arc<str>>,
}

impl How {
    pub(super) fn new(args: &PlanningArgs, destroy: bool) -> Self {
        How {
            mode: match (destroy, args.refresh_only) {
                (true, _) => PlanMode::Destroy,
                (false, true) => PlanMode::RefreshOnly,
                (false, false) => PlanMode::Normal,
            },
            refresh: args.refresh,
            refresh_age: args.refresh_age,
            targets: args.targets.clone(),
            excludes: args.excludes.clone(),
            replace: args.replace.iter().cloned().collect(),
            imports: BTreeMap::new(),
            earlier: BTreeMap::new(),
            timestamp: None,
        }
    }

    /// How what a plan leaves open is planned, when the plan is applied.
    pub(super) fn after(plan: &Plan, refresh: bool, waves: &Waves) -> Self {
        How {
            mode: plan.mode,
            refresh,
            refresh_age: None,
            targets: plan.targets.clone(),
            excludes: plan.excludes.clone(),
            replace: plan.open_replace.iter().cloned().collect(),
            imports: BTreeMap::new(),
            earlier: waves.earlier.clone(),
            timestamp: plan.timestamp.clone(),
        }
    }
}

/// How much a command does at once.
pub(super) struct Load<'a> {
    parallelism: u16,
    /// `-limit`
    limits: &'a [String],
}

impl From<u16> for Load<'_> {
    fn from(parallelism: u16) -> Self {
        Load { parallelism, limits: &[] }
    }
}

impl<'a> From<&'a PlanningArgs> for Load<'a> {
    fn from(args: &'a PlanningArgs) -> Self {
        Load { parallelism: args.parallelism, limits: &args.limits }
    }
}

/// A command's hold on a plan folder.
pub(super) struct Job {
    pub(super) ui: Ui,
    pub(super) project: Project,
    pub(super) store: Store,
    pub(super) variables: BTreeMap<Arc<str>, Value>,
    pub(super) registry: Arc<Registry>,
    pub(super) engine: Engine,
    pub(super) progress: Arc<Progress>,
    pub(super) cancel: Cancel,
    /// The connections that all providers share.
    pub(super) pool: Pool,
    pub(super) setup: Setup,
}

impl Job {
    /// Reads the plan folder and the variables.
    pub(super) fn new<'a>(
        ui: &Ui,
        dir: &Path,
        state: &StateArgs,
        given: Option<&VariableArgs>,
        load: impl Into<Load<'a>>,
    ) -> anyhow::Result<Self> {
        let load = load.into();
        let mut project = Project::load(dir)?;
        let store = project.store(state)?;
        let mut values = BTreeMap::new();
        if let Some(given) = given {
            let (gathered, found) =
                variables::gather(ui, given, &project.config, &project.files, &mut project.sources);
            if found.has_errors() {
                return Err(project.rejected(found).into());
            }
            project.warnings.extend(found);
            values = gathered;
        }
        let setup = Setup {
            plan_dir: std::path::absolute(&project.dir)?,
            data_dir: std::path::absolute(data_dir(&project.dir, &store))?,
        };
        let pool = Pool::new();
        let registry = Arc::new(registry::over(pool.clone()));
        let progress = Progress::new(ui);
        let cancel = Cancel::default();
        let (limits, found) = limits::gather(load.limits, &registry, &project.dir, &mut project.sources);
        if found.has_errors() {
            return Err(project.rejected(found).into());
        }
        let options = Options { parallelism: load.parallelism.into(), limits, ..Options::default() };
        let engine = Engine::new(registry.clone(), setup.clone(), options, cancel.clone(), progress.sink());
        Ok(Job {
            ui: ui.clone(),
            project,
            store,
            variables: values,
            registry,
            engine,
            progress,
            cancel,
            pool,
            setup,
        })
    }

    /// Runs to the end, or until Ctrl-C says otherwise.
    pub(super) fn block_on<T>(&self, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let result = runtime.block_on(async {
            let signals = tokio::spawn(listen(self.cancel.clone())?);
            let result = work.await;
            signals.abort();
            anyhow::Ok(result)
        });
        self.progress.finish();
        // A prompt that nobody answered may still be waiting.
        runtime.shutdown_timeout(Duration::from_millis(100));
        result?
    }

    /// See [`super::world`]. To be held as long as the run goes on.
    pub(super) async fn open_world(&self, ledger: &Ledger) -> anyhow::Result<Vec<Client>> {
        let mut worlds = Vec::new();
        for provider in super::world::WITH_MACHINES.iter().filter_map(|name| self.registry.provider(name)) {
            worlds.extend(super::world::open(&**provider, &self.project, &ledger.state, &self.setup).await?);
        }
        Ok(worlds)
    }

    /// Plans from what exists. Gives the plan and how long it took.
    pub(super) async fn plan(&self, ledger: &Ledger, how: &How) -> anyhow::Result<(Plan, Duration)> {
        let begin = Instant::now();
        let Surroundings { cwd, home, timestamp, .. } = self.surroundings();
        let options = grappe_plan::Options {
            mode: how.mode,
            refresh: how.refresh,
            fresh_since: how.refresh_age.map(|age| ages::now().saturating_sub(age.as_secs())),
            targets: how.targets.clone(),
            excludes: how.excludes.clone(),
            replace: how.replace.clone(),
            imports: how.imports.clone(),
            earlier: how.earlier.clone(),
            timestamp: how.timestamp.clone().or(timestamp),
            withholds: self.store.sealer().withholds().is_some(),
            cwd,
            home,
            ..grappe_plan::Options::default()
        };
        let mut read = BTreeSet::new();
        let plan = self
            .engine
            .plan_with(ledger, how.mode, |known| {
                read = known.refreshed.keys().cloned().collect();
                grappe_plan::plan(&Input {
                    config: &self.project.config,
                    registry: &self.registry,
                    state: known.state,
                    refreshed: known.refreshed,
                    data_reads: known.data_reads,
                    imported: known.imported,
                    left: known.left,
                    opened: known.opened,
                    variables: &self.variables,
                    pending: known.pending,
                    files: &self.project.files,
                    options: &options,
                })
            })
            .await
            .map_err(|e| self.explain(e))?;
        if let Some(why) = self.store.sealer().withholds() {
            grappe_plan::unkept(&plan, &self.registry, why)
                .map_err(|lost| self.project.rejected(lost.into()))?;
        }
        let took = begin.elapsed();
        if !how.refresh || how.refresh_age.is_some() {
            let reused = ages::reused(&plan, &ledger.state, &self.registry, &read);
            self.ui.lines(ages::render(&reused, ages::now(), self.ui.style()));
            self.ui.event(&ages::json(&reused, ages::now()));
        }
        Ok((plan, took))
    }

    /// What expressions may ask of where they are evaluated.
    pub(super) fn surroundings(&self) -> Surroundings<'_> {
        let cwd = std::env::current_dir().map_or_else(|_| ".".into(), |d| d.display().to_string());
        Surroundings {
            files: &self.project.files,
            cwd: cwd.into(),
            home: std::env::var("HOME").ok().map(Into::into),
            // The state's clock: one place that writes times.
            timestamp: Some(Holder::this("plan").since.into()),
            random: Some(rand::random),
        }
    }

    /// Warnings of the configuration and the plan, and what providers want said.
    pub(super) fn tell_about(&self, plan: &Plan) {
        self.ui.diagnostics(&self.project.warnings, &self.project.sources);
        self.ui.diagnostics(&plan.warnings, &self.project.sources);
        let mut used: BTreeSet<&str> = plan.providers.iter().map(|p| &*p.key.name).collect();
        used.extend(plan.operations.iter().map(|o| &*o.provider.name));
        for name in used {
            if let Some(notice) = self.registry.provider(name).and_then(|p| p.notice()) {
                self.progress.notice(notice);
            }
        }
    }

    /// A run's error with places and what to do.
    pub(super) fn explain(&self, error: RunError) -> anyhow::Error {
        match error {
            RunError::Refused(found) => self.project.rejected(found).into(),
            RunError::Reads(failed) => {
                let found = failed
                    .iter()
                    .map(|(addr, f)| summary::of_failure(f, Some(addr), &self.project.config))
                    .collect();
                self.project.rejected(found).into()
            }
            RunError::State(error) => error.into(),
            RunError::Interrupted => Interrupted::Before.into(),
            other => {
                let hint = other.hint();
                let explained = Explained::new(other.to_string());
                match hint {
                    Some(hint) => explained.hint(hint).into(),
                    None => explained.into(),
                }
            }
        }
    }

    /// Asks whether to go on; only "yes" does.
    pub(super) async fn approve(&self, question: &str) -> anyhow::Result<bool> {
        if !self.ui.is_interactive() {
            return Err(Explained::new("nobody is there to approve this")
                .hint("look at the plan, then run again with -auto-approve; or save it with plan -out=FILE and apply FILE")
                .into());
        }
        let (ui, prompt) = (self.ui.clone(), format!("\n{question}\n  Only \"yes\" goes on: "));
        let answer = tokio::task::spawn_blocking(move || ui.ask(&prompt));
        tokio::select! {
            answer = answer => Ok(answer.ok().flatten().as_deref() == Some("yes")),
            () = self.cancel.soft.cancelled() => Err(Interrupted::Before.into()),
        }
    }
}

impl Project {
    pub(crate) fn rejected(&self, found: grappe_diag::Diagnostics) -> Rejected {
        Rejected { found, sources: self.sources.clone() }
    }
}

/// The user asked to stop while nothing was being changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Interrupted {
    /// Before anything was.
    #[error("interrupted: nothing was changed")]
    Before,
    /// After a wave.
    #[error("interrupted: what was applied stays, and the rest is for the next apply")]
    Between,
}

impl Interrupted {
    /// The same error, where waves were applied already.
    pub(super) fn after(waves: usize, error: anyhow::Error) -> anyhow::Error {
        if waves > 0 && error.is::<Interrupted>() { Interrupted::Between.into() } else { error }
    }
}

/// The first Ctrl-C (or SIGTERM) asks for a soft stop, the second for a hard one.
fn listen(cancel: Cancel) -> anyhow::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        for token in [&cancel.soft, &cancel.hard] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            token.cancel();
        }
    })
}

/// The exit code of a run that came to an end.
pub(super) fn exit_of(summary: &grappe_engine::Summary) -> Exit {
    match (summary.is_success(), summary.interrupted) {
        (true, _) => Exit::Done,
        (false, true) => Exit::Interrupted,
        (false, false) => Exit::Error,
    }
}
