//! `grappe plan`.

use grappe_state::StateError;
use serde_json::json;

use super::run::{How, Job};
use crate::Exit;
use crate::args::PlanArgs;
use crate::saved::Saved;
use crate::ui::{self, Ui};

pub(super) fn run(ui: &Ui, args: &PlanArgs) -> anyhow::Result<Exit> {
    let planning = &args.planning;
    if let Some(file) = &args.generate_config_out {
        super::generate::run(ui, args, file)?;
    }
    let job = Job::new(ui, &args.dir, &planning.state, Some(&planning.variables), planning)?;
    let how = How::new(planning, args.destroy);
    let (plan, live) = job.block_on(async {
        // Nothing is written: no lock is needed, and a run that goes on meanwhile is not held up.
        let at_work =
            || Ok::<_, StateError>(job.store.holder()?.filter(|seen| seen.lives).map(|seen| seen.holder));
        let before = at_work()?;
        let ledger = job.store.load()?;
        // One that ended or began meanwhile was at it, too.
        let live = before.or(at_work()?);
        let _world = job.open_world(&ledger).await?;
        let plan = job.plan(&ledger, &how).await?.0;
        Ok((plan, live))
    })?;
    job.tell_about(&plan);
    if let Some(holder) = &live {
        job.progress.notice(&format!(
            "Another run is at work: {holder}. What it has begun is in progress, and this plan sees it as it is now."
        ));
    }
    show(&job, &plan, live.is_some());
    let changes = ui::plan::changes(&plan);
    if let Some(path) = &args.out {
        let saved = Saved::new(plan, &job.project.dir, job.store.dir(), job.project.files.seen())?;
        saved.write(path, job.store.sealer())?;
        job.ui.line(format!("Saved. To do exactly this: grappe apply {}", path.display()));
    }
    for notice in job.store.sealer().take_notices() {
        job.ui.warn(&notice);
    }
    Ok(if args.detailed_exitcode && changes { Exit::Changes } else { Exit::Done })
}

/// The plan for people, or as lines of JSON; `live` where what was begun is what a run at work is at.
pub(super) fn show(job: &Job, plan: &grappe_plan::Plan, live: bool) {
    if !job.ui.is_json() {
        return job.ui.lines(ui::plan::render_beside(plan, &job.registry, job.ui.style(), live));
    }
    let shown = |c: &&grappe_plan::Change| {
        c.action != grappe_plan::Action::NoOp || c.importing.is_some() || plan.moved_from(&c.addr).is_some()
    };
    for change in plan.changes.iter().filter(shown) {
        let change = ui::json::change(change, plan, &job.registry);
        job.ui.event(&json!({ "type": "planned_change", "change": change }));
    }
    for (name, output) in plan.outputs.iter().filter(|(_, o)| o.action != grappe_plan::Action::NoOp) {
        let change = ui::json::output_change(output);
        job.ui.event(&json!({ "type": "planned_output", "name": &**name, "change": change }));
    }
    for open in &plan.open {
        job.ui.event(&json!({ "type": "planned_open", "open": ui::json::open(open) }));
    }
    for drift in &plan.drift {
        let changed: Vec<String> = drift.changed.iter().map(ToString::to_string).collect();
        job.ui.event(&json!({
            "type": "resource_drift",
            "address": drift.addr.to_string(),
            "gone": drift.after.is_none(),
            "changed": changed,
        }));
    }
    let counts = ui::plan::Counts::of(plan);
    job.ui.event(&json!({
        "type": "change_summary",
        "changes": { "import": counts.import, "add": counts.add, "change": counts.change, "remove": counts.destroy, "forget": counts.forget },
        "open": plan.open.len(),
        "anything": ui::plan::changes(plan),
    }));
}
