//! `grappe graph`: what depends on what, for Graphviz or Mermaid.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use grappe_lang::{Expr, Module, Reference, Subject};
use grappe_plan::{OpAction, Plan};

use super::run::{How, Job};
use crate::Exit;
use crate::args::{GraphArgs, GraphFormat, GraphType};
use crate::project::Project;
use crate::ui::Ui;

pub(super) fn run(ui: &Ui, args: &GraphArgs) -> anyhow::Result<Exit> {
    let drawing = match args.kind {
        GraphType::Config => of_config(&Project::load(&args.dir)?.config.root),
        GraphType::Plan => {
            let job = Job::new(&ui.aside(), &args.dir, &args.state, Some(&args.variables), 32)?;
            let how = How { refresh: true, ..How::default() };
            let plan = job.block_on(async {
                let ledger = job.store.load()?;
                let _world = job.open_world(&ledger).await?;
                Ok(job.plan(&ledger, &how).await?.0)
            })?;
            of_plan(&plan)
        }
    };
    ui.raw(&match args.format {
        GraphFormat::Dot => drawing.dot(),
        GraphFormat::Mermaid => drawing.mermaid(),
    });
    Ok(Exit::Done)
}

/// Names, and which comes before which.
#[derive(Debug, Default, PartialEq, Eq)]
struct Drawing {
    nodes: BTreeMap<String, String>,
    edges: BTreeSet<(String, String)>,
}

impl Drawing {
    fn dot(&self) -> String {
        let quote = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        let mut out = String::from("digraph grappe {\n  rankdir = LR;\n  node [shape = box];\n");
        for (id, label) in &self.nodes {
            out.push_str(&format!("  {} [label = {}];\n", quote(id), quote(label)));
        }
        for (before, after) in &self.edges {
            out.push_str(&format!("  {} -> {};\n", quote(before), quote(after)));
        }
        out + "}\n"
    }

    fn mermaid(&self) -> String {
        let ids: BTreeMap<&str, usize> =
            self.nodes.keys().enumerate().map(|(i, id)| (id.as_str(), i)).collect();
        let mut out = String::from("flowchart LR\n");
        for (i, label) in self.nodes.values().enumerate() {
            out.push_str(&format!("  n{i}[\"{}\"]\n", label.replace('"', "#quot;")));
        }
        for (before, after) in &self.edges {
            if let (Some(before), Some(after)) = (ids.get(before.as_str()), ids.get(after.as_str())) {
                out.push_str(&format!("  n{before} --> n{after}\n"));
            }
        }
        out
    }
}

/// The operations of a plan. Joins are left out: what comes after one comes after all that it waits for.
fn of_plan(plan: &Plan) -> Drawing {
    let mut drawing = Drawing::default();
    let is_join = |id: grappe_plan::OpId| plan.operation(id).is_some_and(|o| o.action == OpAction::Join);
    let name = |id: grappe_plan::OpId| format!("{:05}", id.0);
    for op in plan.operations.iter().filter(|o| o.action != OpAction::Join) {
        drawing.nodes.insert(name(op.id), format!("{} {}", op.action.verb(), op.addr));
        let (mut waiting, mut seen) = (op.requires.clone(), BTreeSet::new());
        while let Some(before) = waiting.pop() {
            if !seen.insert(before) {
                continue;
            }
            if is_join(before) {
                waiting.extend(plan.operation(before).into_iter().flat_map(|o| &o.requires));
            } else {
                drawing.edges.insert((name(before), name(op.id)));
            }
        }
    }
    drawing
}

/// The resources of a configuration: an edge where one names another, through locals, variables and outputs too.
fn of_config(root: &Module) -> Drawing {
    let mut drawing = Drawing::default();
    Walk { callers: Vec::new(), module: root }.draw(&mut drawing);
    drawing
}

/// A module, with the modules that lead to it.
#[derive(Clone)]
struct Walk<'a> {
    callers: Vec<(Arc<str>, &'a Module)>,
    module: &'a Module,
}

impl<'a> Walk<'a> {
    fn name(&self, of: &str) -> String {
        let path: String = self.callers.iter().map(|(call, _)| format!("module.{call}.")).collect();
        format!("{path}{of}")
    }

    fn child(&self, call: &str) -> Option<Walk<'a>> {
        let called = self.module.calls.get(call)?;
        let mut callers = self.callers.clone();
        callers.push((called.name.clone(), self.module));
        Some(Walk { callers, module: &called.module })
    }

    fn parent(&self) -> Option<(Walk<'a>, Arc<str>)> {
        let mut callers = self.callers.clone();
        let (call, module) = callers.pop()?;
        Some((Walk { callers, module }, call))
    }

    fn draw(&self, drawing: &mut Drawing) {
        for resource in self.module.resources.values() {
            let subject = Subject::Resource {
                mode: resource.mode,
                ty: resource.ty.clone(),
                name: resource.name.clone(),
            };
            let name = self.name(&subject.to_string());
            drawing.nodes.insert(name.clone(), name.clone());
            let mut found = BTreeSet::new();
            let mut seen = BTreeSet::new();
            let own = [&resource.count, &resource.for_each].into_iter().flatten().flat_map(Expr::references);
            let all = resource.body.references().iter().chain(own).chain(&resource.depends_on);
            let triggers = resource.lifecycle.replace_triggered_by.all().flatten();
            self.follow(all.chain(triggers), &mut found, &mut seen);
            drawing.edges.extend(found.into_iter().filter(|f| *f != name).map(|f| (f, name.clone())));
        }
        for call in self.module.calls.keys() {
            if let Some(child) = self.child(call) {
                child.draw(drawing);
            }
        }
    }

    /// The resources behind references. `seen` holds what was followed already: a cycle ends there.
    fn follow<'r>(
        &self,
        references: impl Iterator<Item = &'r Reference>,
        found: &mut BTreeSet<String>,
        seen: &mut BTreeSet<String>,
    ) {
        for reference in references {
            let subject = &reference.subject;
            let output = match subject {
                Subject::Module { output: Some(output), .. } => format!(".{output}"),
                _ => String::new(),
            };
            if !seen.insert(self.name(&format!("{subject}{output}"))) {
                continue;
            }
            match subject {
                Subject::Resource { .. } => {
                    found.insert(self.name(&subject.to_string()));
                }
                Subject::Local(name) => {
                    let references = self.module.locals.get(name).map(|l| l.expr.references());
                    self.follow(references.into_iter().flatten(), found, seen);
                }
                Subject::Variable(name) => {
                    let Some((parent, call)) = self.parent() else { continue };
                    let argument = parent.module.calls.get(&call).and_then(|c| c.arguments.get(name));
                    parent.follow(argument.into_iter().flat_map(Expr::references), found, seen);
                }
                Subject::Module { call, output } => {
                    let Some(child) = self.child(call) else { continue };
                    for (name, out) in &child.module.outputs {
                        if output.as_ref().is_none_or(|o| o == name) {
                            child.follow(out.expr.references().iter(), found, seen);
                        }
                    }
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use grappe_lang::{MemoryFiles, load};

    use super::*;

    fn drawing() -> Drawing {
        let files = MemoryFiles::new()
            .with(
                "main.tf",
                r#"
                resource "terraform_data" "a" { input = 1 }
                locals { id = terraform_data.a.id }
                module "m" {
                  source = "./m"
                  id     = local.id
                }
                resource "terraform_data" "z" {
                  count = 2
                  input = [module.m.out, "${count.index}"]
                }
                "#,
            )
            .with(
                "m/main.tf",
                r#"
                variable "id" {}
                resource "terraform_data" "b" { input = var.id }
                output "out" { value = terraform_data.b.output }
                "#,
            );
        let (config, _, found) = load(&files, Path::new("."));
        assert!(!found.has_errors(), "{found}");
        of_config(&config.unwrap().root)
    }

    #[test]
    fn edges_go_through_locals_variables_and_outputs() {
        let edges: Vec<String> = drawing().edges.into_iter().map(|(a, b)| format!("{a} > {b}")).collect();
        assert_eq!(
            edges,
            ["module.m.terraform_data.b > terraform_data.z", "terraform_data.a > module.m.terraform_data.b"]
        );
    }

    #[test]
    fn both_languages_draw_the_same() {
        let drawing = drawing();
        let dot = drawing.dot();
        assert!(dot.contains("\"terraform_data.a\" -> \"module.m.terraform_data.b\";"), "{dot}");
        let mermaid = drawing.mermaid();
        assert!(mermaid.contains("n1[\"terraform_data.a\"]") && mermaid.contains("n1 --> n0"), "{mermaid}");
    }
}
