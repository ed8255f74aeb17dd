//! `grappe flows`: the flows of each `data "kubeadm_flows"` of a plan.
//!
//! They depend on variables and other data only, so that a firewall can be opened before anything is made: nothing else is planned.

use grappe_lang::{Mode, Module};
use grappe_plan::DataValue;
use grappe_value::addr::{InstanceKey, ModuleAddr, ResourceAddr, Target};
use grappe_value::{Value, json};

use super::run::{How, Job};
use crate::Exit;
use crate::args::{FlowsArgs, TableFormat};
use crate::error::Explained;
use crate::ui::Ui;

const TYPE: &str = "kubeadm_flows";

pub(super) fn run(ui: &Ui, args: &FlowsArgs) -> anyhow::Result<Exit> {
    let job = Job::new(&ui.aside(), &args.dir, &args.state, Some(&args.variables), 32)?;
    let mut targets = Vec::new();
    collect(&job.project.config.root, &ModuleAddr::root(), &mut targets);
    if targets.is_empty() {
        return Err(Explained::new(format!("the plan has no data {TYPE:?}"))
            .hint("it says which groups of machines there are, and which network plugin: see docs/providers/kubeadm.md")
            .into());
    }
    let how = How { targets, ..How::default() };
    let plan = job.block_on(async {
        let ledger = job.store.load()?;
        Ok(job.plan(&ledger, &how).await?.0)
    })?;
    let found: Vec<&DataValue> = plan.data.iter().filter(|data| &*data.addr.resource.ty == TYPE).collect();
    if found.is_empty() {
        return Err(Explained::new("the flows are not known before an apply")
            .hint("give data \"kubeadm_flows\" arguments that are known while planning: names and ranges from variables, not from what is made")
            .into());
    }
    if args.json {
        let parts = |data: &DataValue| {
            let part = |name: &str| data.value.get(name).map(|value| (name.to_owned(), value.clone()));
            (data.addr.to_string(), Value::object(["flows", "rules"].into_iter().filter_map(part)))
        };
        let all = Value::object(found.iter().map(|data| parts(data)));
        ui.raw(&format!("{}\n", json::to_text(&all, true)?));
        return Ok(Exit::Done);
    }
    let attribute = match args.format {
        TableFormat::Text => "table",
        TableFormat::Csv => "csv",
        TableFormat::Markdown => "markdown",
    };
    for (i, data) in found.iter().enumerate() {
        if found.len() > 1 {
            let gap = if i > 0 { "\n" } else { "" };
            ui.raw(&format!("{gap}# {}\n", data.addr));
        }
        ui.raw(data.value.get(attribute).and_then(Value::as_str).unwrap_or_default());
    }
    Ok(Exit::Done)
}

/// All blocks of the type, in whatever module.
fn collect(module: &Module, addr: &ModuleAddr, targets: &mut Vec<Target>) {
    let sources = module.resources.values().filter(|block| block.mode == Mode::Data && &*block.ty == TYPE);
    targets.extend(sources.map(|block| {
        let (ty, name) = (block.ty.clone(), block.name.clone());
        Target::Resource(ResourceAddr { module: addr.clone(), mode: Mode::Data, ty, name })
    }));
    for call in module.calls.values() {
        // Without a key: all instances.
        collect(&call.module, &addr.child(call.name.clone(), InstanceKey::None), targets);
    }
}
