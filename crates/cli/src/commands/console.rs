//! `grappe console`: expressions, evaluated over what exists.
//!
//! From a pipe it does what `terraform console` does: each line is an expression, the first that is wrong ends it, and the last result is printed. On a
//! terminal what is open (brackets, heredocs) goes on in the next line, names are completed, and lines that were typed come back; they are kept in
//! memory only, since they may hold secrets.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;
use std::sync::Arc;

use grappe_diag::Sources;
use grappe_lang::{Expr, functions, unfinished};
use grappe_plan::{Console, Plan};
use grappe_state::State;
use grappe_value::addr::InstanceAddr;
use grappe_value::{Kind, Value};
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Editor, Helper};

use super::run::{How, Job};
use crate::Exit;
use crate::args::ConsoleArgs;
use crate::ui::{Ui, shown};

const HELP: &str = "Type an expression to see its value: var.name, local.name, resource_type.name.attribute,
upper(\"x\"). What is open goes on in the next line; Tab completes names.

To leave, type \"exit\", or press Ctrl-C or Ctrl-D.";

pub(super) fn run(ui: &Ui, args: &ConsoleArgs) -> anyhow::Result<Exit> {
    let mut job = Job::new(ui, &args.dir, &args.state, Some(&args.variables), 32)?;
    let ledger = job.store.load()?;
    let plan = match args.plan {
        true => Some(job.block_on(async {
            let _world = job.open_world(&ledger).await?;
            let how = How { refresh: true, ..How::default() };
            Ok(job.plan(&ledger, &how).await?.0)
        })?),
        false => None,
    };
    // What has no value is not known, rather than an error.
    let mut variables = std::mem::take(&mut job.variables);
    for (name, variable) in job.project.config.root.variables.iter().filter(|(_, v)| v.default.is_none()) {
        variables.entry(name.clone()).or_insert_with(|| Value::unknown(variable.ty.clone()));
    }
    let values = Existing { job: &job, state: &ledger.state, planned: plan.as_ref().map(planned) };
    let over = Console::new(
        &job.project.config,
        &job.registry,
        job.surroundings(),
        &variables,
        &|addr: &InstanceAddr| values.get(addr),
    );
    let over = over.map_err(|found| job.project.rejected(found))?;
    if over.problems().has_errors() {
        ui.diagnostics(over.problems(), &job.project.sources);
        ui.warn("Because of this, some expressions have no value here.");
    }
    let session = Session { ui, over, names: names(&job) };
    if ui.is_interactive() { session.talk() } else { session.pipe() }
}

/// Objects by address.
struct Existing<'j> {
    job: &'j Job,
    state: &'j State,
    /// What a plan makes of them.
    planned: Option<BTreeMap<InstanceAddr, Value>>,
}

impl Existing<'_> {
    fn get(&self, addr: &InstanceAddr) -> Option<Value> {
        let planned = self.planned.as_ref().and_then(|planned| planned.get(addr).cloned());
        planned.or_else(|| {
            let object = self.state.get(addr, None)?;
            Some(super::decode_object(&self.job.registry, addr, object))
        })
    }
}

fn planned(plan: &Plan) -> BTreeMap<InstanceAddr, Value> {
    let data = plan.data.iter().map(|data| (data.addr.clone(), data.value.clone()));
    let made = plan.operations.iter().filter_map(|op| Some((op.addr.clone(), op.planned.clone()?)));
    data.chain(made).collect()
}

/// What can be named in the root module.
fn names(job: &Job) -> BTreeSet<String> {
    let root = &job.project.config.root;
    let mut names: BTreeSet<String> =
        ["path.module", "path.root", "path.cwd", "terraform.workspace", "true", "false", "null"]
            .map(str::to_owned)
            .into();
    names.extend(root.variables.keys().map(|name| format!("var.{name}")));
    names.extend(root.locals.keys().map(|name| format!("local.{name}")));
    names.extend(root.calls.keys().map(|name| format!("module.{name}")));
    names.extend(
        root.resources
            .values()
            .map(|resource| format!("{}{}.{}", resource.mode.prefix(), resource.ty, resource.name)),
    );
    names.extend(functions::names().map(|name| format!("{name}(")));
    names
}

struct Session<'a> {
    ui: &'a Ui,
    over: Console<'a>,
    names: BTreeSet<String>,
}

/// What a line came to.
enum Answer {
    Text(String),
    Leave,
    Wrong,
}

impl Session<'_> {
    fn answer(&self, line: &str) -> Answer {
        match line.trim() {
            "" => return Answer::Text(String::new()),
            "exit" => return Answer::Leave,
            "help" => return Answer::Text(HELP.to_owned()),
            _ => {}
        }
        let mut sources = Sources::new();
        let value = Expr::parse(&mut sources, "<console-input>", line)
            .and_then(|expr| Ok((self.over.eval(&expr)?, expr.calls("type"))));
        match value {
            // A type is no text.
            Ok((value, true)) => Answer::Text(value.as_str().unwrap_or_default().to_owned()),
            Ok((value, false)) => Answer::Text(shown::show(&value)),
            Err(found) => {
                self.ui.diagnostics(&found, &sources);
                Answer::Wrong
            }
        }
    }

    fn pipe(&self) -> anyhow::Result<Exit> {
        let mut last = String::new();
        for line in std::io::stdin().lock().lines() {
            match self.answer(line?.trim()) {
                Answer::Text(text) => last = text,
                Answer::Leave => return Ok(Exit::Done),
                Answer::Wrong => return Ok(Exit::Error),
            }
        }
        self.ui.raw(&format!("{last}\n"));
        Ok(Exit::Done)
    }

    fn talk(&self) -> anyhow::Result<Exit> {
        // What several names begin with is listed, as in a shell.
        let config = Config::builder().completion_type(CompletionType::List).build();
        let mut editor: Editor<Names<'_>, _> = Editor::with_config(config)?;
        editor.set_helper(Some(Names(self)));
        loop {
            let line = match editor.readline("> ") {
                Ok(line) => line,
                Err(ReadlineError::Eof | ReadlineError::Interrupted) => return Ok(Exit::Done),
                Err(error) => return Err(error.into()),
            };
            if !line.trim().is_empty() {
                editor.add_history_entry(&line)?;
            }
            match self.answer(&line) {
                Answer::Text(text) if text.is_empty() => {}
                Answer::Text(text) => self.ui.raw(&format!("{text}\n")),
                Answer::Leave => return Ok(Exit::Done),
                Answer::Wrong => {}
            }
        }
    }

    /// What a name that ends at the cursor may become, and where it starts: names of the module, functions, and attributes of what is before the dot.
    fn complete(&self, line: &str) -> (usize, Vec<String>) {
        let is_part = |c: char| c.is_alphanumeric() || "_-.".contains(c);
        let start =
            line.char_indices().rev().take_while(|(_, c)| is_part(*c)).last().map_or(line.len(), |(i, _)| i);
        let word = &line[start..];
        let mut found: BTreeSet<String> = self
            .names
            .iter()
            .filter(|name| name.starts_with(word))
            .map(|name| {
                // Up to the next dot: `var.`, then what is behind it.
                let next = name[word.len()..].find('.').map_or(name.len(), |i| word.len() + i + 1);
                name[..next].to_owned()
            })
            .collect();
        if let Some((object, part)) = word.rsplit_once('.') {
            found.extend(
                self.attributes(object)
                    .filter(|name| name.starts_with(part))
                    .map(|n| format!("{object}.{n}")),
            );
        }
        (start, found.into_iter().collect())
    }

    fn attributes(&self, object: &str) -> impl Iterator<Item = Arc<str>> + use<> {
        let value = Expr::parse(&mut Sources::new(), "", object).and_then(|expr| self.over.eval(&expr));
        let names: Vec<Arc<str>> = match value.as_ref().map(Value::kind) {
            Ok(Kind::Object(entries) | Kind::Map(_, entries)) => entries.keys().cloned().collect(),
            Ok(Kind::Unknown(unknown)) => match &unknown.ty {
                grappe_value::Type::Object(object) => object.attributes.keys().cloned().collect(),
                _ => Vec::new(),
            },
            _ => Vec::new(),
        };
        names.into_iter()
    }
}

/// What the line editor asks.
struct Names<'s>(&'s Session<'s>);

impl Helper for Names<'_> {}
impl Highlighter for Names<'_> {}
impl Hinter for Names<'_> {
    type Hint = String;
}

impl Validator for Names<'_> {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let open = unfinished(&format!("{}\n", context.input()));
        Ok(if open { ValidationResult::Incomplete } else { ValidationResult::Valid(None) })
    }
}

impl Completer for Names<'_> {
    type Candidate = Pair;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let (start, found) = self.0.complete(&line[..pos]);
        let pairs = found.into_iter().map(|name| Pair { display: name.clone(), replacement: name });
        Ok((start, pairs.collect()))
    }
}
