//! `grappe import`: takes an object that exists into the state, under the address of its block.
//!
//! The planner evaluates the block, the provider looks for what the id names, and only what was found is written: what differs from the block is for
//! the next plan. Nothing in the world is changed.

use grappe_engine::imported_object;
use grappe_plan::{Action, Change, Reason};
use grappe_value::Path;
use grappe_value::addr::{InstanceKey, Target};

use super::run::{How, Job};
use super::state::{refused, render_object, save};
use crate::Exit;
use crate::args::ImportArgs;
use crate::error::Explained;
use crate::ui::Ui;

pub(super) fn run(ui: &Ui, args: &ImportArgs) -> anyhow::Result<Exit> {
    let job = Job::new(ui, &args.at.dir, &args.at.state, Some(&args.variables), 1)?;
    let addr = &args.address;
    let how = How {
        targets: vec![match addr.key {
            InstanceKey::None => Target::Resource((*addr.resource).clone()),
            _ => Target::Instance(addr.clone()),
        }],
        imports: [(addr.clone(), args.id.as_str().into())].into(),
        ..How::default()
    };
    job.block_on(async {
        let lock = job.engine.lock(&job.store, "import", args.at.lock_timeout).await;
        let session = job.store.session(lock.map_err(|e| job.explain(e))?)?;
        free(&session, addr)?;
        let _world = job.open_world(session.ledger()).await?;
        let (plan, _) = job.plan(session.ledger(), &how).await?;
        let Some(import) = plan.imports.iter().find(|i| i.addr == *addr) else {
            return Err(Explained::new(format!("{addr} was not imported (a bug in grappe)")).into());
        };
        let mut ledger = session.ledger().clone();
        let mut object = imported_object(import, &job.registry)
            .ok_or_else(|| Explained::new(format!("there is no type {}", addr.resource.ty)))?;
        let operation = plan.operations.iter().find(|op| op.addr == *addr);
        if let Some(operation) = operation {
            object.dependencies.clone_from(&operation.dependencies);
            object.timeouts = operation.timeouts;
        }
        ui.lines(render_object(&job.registry, addr, &object, ui.style()));
        ledger.state.put(addr.clone(), None, object);
        save(ui, session, ledger)?;
        ui.line("");
        ui.line(format!("Import successful! {addr} is in the state, and grappe looks after it from now on."));
        ui.lines(plan.changes.iter().find(|c| c.addr == *addr).and_then(next));
        Ok(Exit::Done)
    })
}

/// Whether nothing is at the address, and nothing was begun there.
fn free(session: &grappe_state::Session, addr: &grappe_value::addr::InstanceAddr) -> anyhow::Result<()> {
    if session.state().objects.contains_key(addr) {
        return Err(Explained::new(format!(
            "Resource already managed by grappe: the state has an object at {addr}"
        ))
        .hint(format!(
            "to import another one to this address, take that one out first: grappe state rm \"{addr}\""
        ))
        .into());
    }
    match session.ledger().pending().find(|p| p.addr == *addr) {
        None => Ok(()),
        Some(_) => {
            let begun = grappe_state::surgery::Refused::Unfinished(vec![addr.clone()]);
            Err(refused(begun, session.ledger()).into())
        }
    }
}

/// What the next apply makes of it.
fn next(change: &Change) -> Option<String> {
    let (does, differs) = match (change.action, &change.reason) {
        (Action::Update, _) => ("update it in place", &change.changed),
        (Action::Replace { .. }, Some(Reason::Attributes(paths))) => ("replace it", paths),
        (Action::Replace { .. }, _) => return Some("The next apply would replace it.".into()),
        _ => return None,
    };
    let first = |path: &Path| path.0.first().map(|step| Path(vec![step.clone()]).to_string());
    let mut names: Vec<String> = differs.iter().filter_map(first).collect();
    names.dedup();
    Some(format!("The next apply would {does}: the block wants another {}.", names.join(", another ")))
}
