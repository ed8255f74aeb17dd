//! What the tests share: a scope made of plain maps, and a loader of texts.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use grappe_diag::{Diagnostic, Diagnostics, Sources, Style, render};
use grappe_lang::{Config, Files, InstanceKey, MemoryFiles, Mode, Paths, Scope, load};
use grappe_value::{Type, Value};

/// A scope in which names stand for what was put in.
#[derive(Default)]
pub(crate) struct TestScope {
    pub(crate) variables: BTreeMap<String, Value>,
    pub(crate) locals: BTreeMap<String, Value>,
    pub(crate) resources: BTreeMap<String, Value>,
    pub(crate) modules: BTreeMap<String, Value>,
    pub(crate) each: Option<(Value, Value)>,
    pub(crate) count: Option<u64>,
    pub(crate) files: MemoryFiles,
    /// Each read of a resource or module, as it was asked for.
    pub(crate) reads: std::cell::RefCell<Vec<String>>,
}

fn find(map: &BTreeMap<String, Value>, name: &str) -> Result<Value, Diagnostic> {
    map.get(name).cloned().ok_or_else(|| Diagnostic::error(format!("no {name} in the test's scope")))
}

/// One instance of many, as a planner would give it.
fn instance(value: Value, key: Option<&InstanceKey>) -> Result<Value, Diagnostic> {
    let found = match key {
        None | Some(InstanceKey::None) => Some(value),
        Some(InstanceKey::Int(i)) => {
            let i = usize::try_from(*i).unwrap();
            value.as_items().and_then(|items| items.get(i)).cloned()
        }
        Some(InstanceKey::Str(key)) => value.get(key).cloned(),
    };
    found.ok_or_else(|| Diagnostic::error("no such instance"))
}

impl Scope for TestScope {
    fn variable(&self, name: &str) -> Result<Value, Diagnostic> {
        find(&self.variables, name)
    }
    fn local(&self, name: &str) -> Result<Value, Diagnostic> {
        find(&self.locals, name)
    }
    fn resource(
        &self,
        mode: Mode,
        ty: &str,
        name: &str,
        key: Option<&InstanceKey>,
    ) -> Result<Value, Diagnostic> {
        let data = mode.prefix();
        let shown = key.map_or_else(String::new, ToString::to_string);
        self.reads.borrow_mut().push(format!("{data}{ty}.{name}{shown}"));
        instance(find(&self.resources, &format!("{data}{ty}.{name}"))?, key)
    }
    fn resource_type(&self, mode: Mode, ty: &str, name: &str) -> Option<(Type, bool)> {
        let value = self.resources.get(&format!("{}{ty}.{name}", mode.prefix()))?;
        (mode != Mode::Data).then(|| (value.ty(), false))
    }
    fn module(
        &self,
        call: &str,
        key: Option<&InstanceKey>,
        output: Option<&str>,
    ) -> Result<Value, Diagnostic> {
        let shown = key.map_or_else(String::new, ToString::to_string);
        let dot = output.map_or_else(String::new, |o| format!(".{o}"));
        self.reads.borrow_mut().push(format!("module.{call}{shown}{dot}"));
        let value = instance(find(&self.modules, call)?, key)?;
        match output {
            Some(output) => value.get_marked(output).ok_or_else(|| Diagnostic::error("no such output")),
            None => Ok(value),
        }
    }
    fn each(&self) -> Option<(&Value, &Value)> {
        self.each.as_ref().map(|(k, v)| (k, v))
    }
    fn count(&self) -> Option<u64> {
        self.count
    }
    fn path(&self) -> Paths {
        Paths { module: ".".into(), root: ".".into(), cwd: "/plans/lab".into() }
    }
    fn files(&self) -> &dyn Files {
        &self.files
    }
    fn home(&self) -> Option<Arc<str>> {
        Some("/home/me".into())
    }
}

/// Loads files given as `(name, text)`.
pub(crate) fn load_files(files: &[(&str, &str)]) -> (Option<Config>, Sources, Diagnostics) {
    let files = files.iter().fold(MemoryFiles::new(), |f, (name, text)| f.with(*name, *text));
    load(&files, Path::new("."))
}

/// All diagnostics as people see them.
pub(crate) fn rendered(diags: &Diagnostics, sources: &Sources) -> String {
    diags.iter().map(|d| render(d, sources, Style::default())).collect::<Vec<_>>().join("\n\n")
}

/// The only output of a root module, evaluated.
pub(crate) fn evaluate(text: &str, scope: &TestScope) -> Result<Value, String> {
    evaluate_beside("", text, scope)
}

/// The same, in a file with other blocks.
pub(crate) fn evaluate_beside(blocks: &str, text: &str, scope: &TestScope) -> Result<Value, String> {
    let source = format!("output \"o\" {{\n  value = {text}\n}}\n{blocks}");
    let (config, sources, diags) = load_files(&[("main.tf", &source)]);
    let Some(config) = config else { return Err(rendered(&diags, &sources)) };
    config.root.outputs["o"].expr.eval(scope).map_err(|d| rendered(&d, &sources))
}
