//! `grappe apply` and `grappe destroy`.

use std::path::Path;
use std::time::Duration;

use grappe_engine::summary::Counts;
use grappe_engine::{Summary, resolver};
use grappe_plan::{Plan, PlanMode, Waves};
use grappe_state::{Session, State};
use serde_json::json;

use super::plan::show;
use super::run::{How, Interrupted, Job, exit_of};
use crate::Exit;
use crate::args::{ApplyArgs, DestroyArgs, PlanningArgs, StateArgs};
use crate::error::Explained;
use crate::saved::Saved;
use crate::ui::{self, Tone, Ui};
use crate::variables;

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
    let job = Job::new(ui, dir, &planning.state, Some(&planning.variables), planning)?;
    let how = How::new(planning, destroy);
    let what = if destroy { "destroy" } else { "apply" };
    job.block_on(async {
        let session = open(&job, what, planning).await?;
        let _world = job.open_world(session.ledger()).await?;
        waves(&job, Waves::default(), how, approved, session).await
    })
}

async fn open(job: &Job, what: &str, planning: &PlanningArgs) -> anyhow::Result<Session> {
    let lock = job.engine.lock(&job.store, what, planning.lock_timeout).await.map_err(|e| job.explain(e))?;
    Ok(job.store.session(lock)?)
}

/// Plans, asks and applies; and once more as long as something is left open. The lock is held over all of it.
async fn waves(
    job: &Job,
    mut waves: Waves,
    mut how: How,
    approved: bool,
    mut session: Session,
) -> anyhow::Result<Exit> {
    let mut done = Counts::default();
    loop {
        let number = waves.count() + 1;
        if number > 1 {
            job.ui.line("");
            job.ui.line(job.ui.style().paint(Tone::Strong, format!("Wave {number}: what was left open")));
            job.ui.event(&json!({ "type": "wave", "number": number }));
        }
        let between = |error| Interrupted::after(waves.count(), error);
        let (plan, took) = job.plan(session.ledger(), &how).await.map_err(between)?;
        waves.next(&plan).map_err(|found| job.project.rejected(found))?;
        job.tell_about(&plan);
        show(job, &plan, false);
        if plan.is_empty() {
            tell_outputs(job, &session.close()?.state)?;
            return Ok(Exit::Done);
        }
        let question = match how.mode {
            PlanMode::Destroy => "Destroy all this? There is no way back.",
            PlanMode::RefreshOnly => "Record this in the state?",
            PlanMode::Normal if number > 1 => "Do this too?",
            PlanMode::Normal => "Do this?",
        };
        // What only brings the state's records up to date needs no word.
        let asks = ui::plan::changes(&plan) || how.mode == PlanMode::RefreshOnly;
        let between = |error| Interrupted::after(waves.count(), error);
        if asks && !approved && !job.approve(question).await.map_err(between)? {
            job.ui.line(match number {
                1 => "Not approved: nothing was changed.",
                _ => "Not approved: what was applied before stays, and the rest is for the next apply.",
            });
            return Ok(Exit::Error);
        }
        let (summary, after) = apply(job, &plan, took, session).await?;
        done = done.plus(&summary.counts);
        if plan.open.is_empty() || !summary.is_success() || summary.interrupted {
            if number > 1 {
                job.ui.line(ui::summary::in_waves(number, &done));
            }
            tell_outputs(job, &after.close()?.state)?;
            let stopped = summary.interrupted && !plan.open.is_empty();
            return Ok(if stopped { Exit::Interrupted } else { exit_of(&summary) });
        }
        waves.applied(&plan);
        how = How::after(&plan, how.refresh, &waves);
        session = after;
    }
}

/// A plan that `plan -out` saved: applied as it was shown, or not at all.
fn saved(ui: &Ui, args: &ApplyArgs) -> anyhow::Result<Exit> {
    let planning = &args.planning;
    let given = [
        args.destroy,
        planning.refresh_only,
        !planning.refresh,
        planning.refresh_age.is_some(),
        !planning.targets.is_empty(),
        !planning.excludes.is_empty(),
        !planning.replace.is_empty(),
        planning.state.state_dir.is_some(),
    ];
    if given.contains(&true) {
        return Err(Explained::new("a saved plan can't be changed any more")
            .hint(
                "-target, -exclude, -replace, -destroy, -refresh, -refresh-age, -refresh-only and -state-dir belong to the \"plan\" that \
                 saves it",
            )
            .into());
    }
    let mut saved = Saved::read(&args.what)?;
    let state = StateArgs { state_dir: saved.state_dir.clone(), ..planning.state.clone() };
    let mut job = Job::new(ui, &saved.dir, &state, None, planning)?;
    if let Some(path) = job.project.files.changed_since(&saved.files) {
        return Err(Explained::new(format!("{} has changed since the plan was saved", path.display()))
            .hint("make a new plan: what would be done is no longer what was shown")
            .into());
    }
    variables::give_again(ui, &planning.variables, &mut job.project, &mut saved.plan)?;
    job.variables.clone_from(&saved.plan.variables);
    if args.all_waves && !args.auto_approve && !saved.plan.open.is_empty() && !ui.is_interactive() {
        return Err(Explained::new("nobody is there to approve what this plan leaves open")
            .hint("apply it with -auto-approve too; or without -all-waves, and plan the rest then")
            .into());
    }
    job.block_on(async {
        let session = open(&job, "apply", planning).await?;
        let _world = job.open_world(session.ledger()).await?;
        let plan = &saved.plan;
        job.tell_about(plan);
        let mut wave = Waves::default();
        wave.next(plan).map_err(|found| job.project.rejected(found))?;
        let (summary, session) = apply(&job, plan, Duration::ZERO, session).await?;
        if plan.open.is_empty() || !summary.is_success() {
            tell_outputs(&job, &session.close()?.state)?;
            return Ok(exit_of(&summary));
        }
        if args.all_waves {
            wave.applied(plan);
            let how = How::after(plan, true, &wave);
            return waves(&job, wave, how, args.auto_approve, session).await;
        }
        tell_outputs(&job, &session.close()?.state)?;
        job.ui.line("");
        job.ui.lines(ui::plan::left_open(plan, job.ui.style()));
        job.ui.line("That was not part of this plan: plan and apply again to do it.");
        Ok(Exit::Changes)
    })
}

/// Applies one plan.
async fn apply(
    job: &Job,
    plan: &Plan,
    took: Duration,
    session: Session,
) -> anyhow::Result<(Summary, Session)> {
    let resolver =
        resolver(&job.project.config, plan, &job.registry, job.surroundings(), &session.ledger().state)
            .map_err(|found| job.project.rejected(found))?;
    let (summary, session) =
        job.engine.apply_wave(plan, resolver, session).await.map_err(|e| job.explain(e))?;
    job.progress.finish();
    job.ui.diagnostics(&ui::summary::failures(&summary, &job.project.config), &job.project.sources);
    job.ui.diagnostics(&summary.warnings.iter().cloned().collect(), &job.project.sources);
    job.ui.lines(ui::summary::render(&summary, plan, took, job.ui.style()));
    for notice in job.store.sealer().take_notices() {
        job.ui.warn(&notice);
    }
    Ok((summary, session))
}

fn tell_outputs(job: &Job, state: &State) -> anyhow::Result<()> {
    if !state.outputs.is_empty() {
        job.ui.line("");
        job.ui.line("Outputs:");
        job.ui.lines(super::output::all(state, job.ui.style())?);
        job.ui.event(&json!({ "type": "outputs", "outputs": ui::json::outputs(state) }));
    }
    Ok(())
}
