//! `grappe apply` and `grappe destroy`.

use std::path::Path;
use std::time::Duration;

use grappe_engine::resolver;
use grappe_plan::{Plan, PlanMode};
use grappe_state::Session;
use serde_json::json;

use super::plan::show;
use super::run::{How, Job, exit_of};
use crate::Exit;
use crate::args::{ApplyArgs, DestroyArgs, PlanningArgs, StateArgs};
use crate::error::Explained;
use crate::saved::Saved;
use crate::ui::{self, Ui};

pub(super) fn run(ui: &Ui, args: &ApplyArgs) -> anyhow::Result<Exit> {
    if args.what.is_file() {
        return saved(ui, args);
    }
    plan_and_apply(ui, &args.planning, args.destroy, args.auto_approve, &args.what)
}

pub(super) fn destroy(ui: &Ui, args: &DestroyArgs) -> anyhow::Result<Exit> {
    plan_and_apply(ui, &args.planning, true, args.auto_approve, &args.dir)
}

fn plan_and_apply(
    ui: &Ui,
    planning: &PlanningArgs,
    destroy: bool,
    approved: bool,
    dir: &Path,
) -> anyhow::Result<Exit> {
    let job = Job::new(ui, dir, &planning.state, Some(&planning.variables), planning.parallelism)?;
    let how = How::new(planning, destroy);
    let what = if destroy { "destroy" } else { "apply" };
    job.block_on(async {
        let lock =
            job.engine.lock(&job.store, what, planning.lock_timeout).await.map_err(|e| job.explain(e))?;
        let session = job.store.session(lock)?;
        let _world = job.open_world(session.ledger()).await?;
        let (plan, took) = job.plan(session.ledger(), &how).await?;
        job.tell_about(&plan);
        show(&job, &plan);
        if plan.is_empty() {
            session.close()?;
            return Ok(Exit::Done);
        }
        let question = match how.mode {
            PlanMode::Destroy => "Destroy all this? There is no way back.",
            PlanMode::RefreshOnly => "Record this in the state?",
            PlanMode::Normal => "Do this?",
        };
        // What only brings the state's records up to date needs no word.
        let asks = ui::plan::changes(&plan) || how.mode == PlanMode::RefreshOnly;
        if asks && !approved && !job.approve(question).await? {
            job.ui.line("Not approved: nothing was changed.");
            return Ok(Exit::Error);
        }
        apply(&job, &plan, took, session).await
    })
}

/// A plan that `plan -out` saved: applied as it was shown, or not at all.
fn saved(ui: &Ui, args: &ApplyArgs) -> anyhow::Result<Exit> {
    let planning = &args.planning;
    let given = [
        args.destroy,
        planning.refresh_only,
        !planning.refresh,
        !planning.variables.given.is_empty(),
        !planning.targets.is_empty(),
        !planning.excludes.is_empty(),
        !planning.replace.is_empty(),
        planning.state.state_dir.is_some(),
    ];
    if given.contains(&true) {
        return Err(Explained::new("a saved plan can't be changed any more")
            .hint(
                "-var, -var-file, -target, -exclude, -replace, -destroy, -refresh, -refresh-only and -state-dir belong to the \"plan\" that \
                 saves it",
            )
            .into());
    }
    let saved = Saved::read(&args.what)?;
    let state = StateArgs { state_dir: saved.state_dir.clone() };
    let mut job = Job::new(ui, &saved.dir, &state, None, planning.parallelism)?;
    if let Some(path) = job.project.files.changed_since(&saved.files) {
        return Err(Explained::new(format!("{} has changed since the plan was saved", path.display()))
            .hint("make a new plan: what would be done is no longer what was shown")
            .into());
    }
    job.variables.clone_from(&saved.plan.variables);
    job.block_on(async {
        let lock =
            job.engine.lock(&job.store, "apply", planning.lock_timeout).await.map_err(|e| job.explain(e))?;
        let session = job.store.session(lock)?;
        let _world = job.open_world(session.ledger()).await?;
        job.tell_about(&saved.plan);
        apply(&job, &saved.plan, Duration::ZERO, session).await
    })
}

async fn apply(job: &Job, plan: &Plan, took: Duration, session: Session) -> anyhow::Result<Exit> {
    let resolver =
        resolver(&job.project.config, plan, &job.registry, job.surroundings(), &session.ledger().state)
            .map_err(|found| job.project.rejected(found))?;
    let applied = job.engine.apply(plan, resolver, session).await.map_err(|e| job.explain(e))?;
    job.progress.finish();
    let summary = &applied.summary;
    job.ui.diagnostics(&ui::summary::failures(summary, &job.project.config), &job.project.sources);
    job.ui.diagnostics(&summary.warnings.iter().cloned().collect(), &job.project.sources);
    job.ui.lines(ui::summary::render(summary, plan.mode, took, job.ui.style()));
    for notice in job.store.sealer().take_notices() {
        job.ui.warn(&notice);
    }
    let state = &applied.ledger.state;
    if !state.outputs.is_empty() {
        job.ui.line("");
        job.ui.line("Outputs:");
        job.ui.lines(super::output::all(state, job.ui.style())?);
        job.ui.event(&json!({ "type": "outputs", "outputs": ui::json::outputs(state) }));
    }
    Ok(exit_of(summary))
}
