//! From files to a configuration: a module's files are parsed, its blocks read one by one, and the modules that it calls are loaded below it.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use grappe_diag::{Diagnostic, Diagnostics, Sources, Span};
use indexmap::IndexMap;
use indexmap::map::Entry;

use super::fields::Fields;
use super::{Config, Module, ModuleCall, Settings, blocks, imports, merge, meta, references};
use crate::Files;
use crate::files::clean;
use crate::syntax::{self, RawBlock, RawBody};

/// Reads `*.tf` and `*.tf.json` of a folder and of the local modules that it calls, and says all that is wrong with them. The configuration is there unless
/// an error was found.
pub fn load(files: &dyn Files, dir: &Path) -> (Option<Config>, Sources, Diagnostics) {
    let mut loader = Loader {
        files,
        root: clean(dir),
        sources: Sources::new(),
        diags: Diagnostics::new(),
        parsed: HashMap::new(),
    };
    let module = loader.module(Vec::new(), &clean(dir), &mut Vec::new(), None);
    let Loader { sources, diags, .. } = loader;
    // A module that is called twice is read twice, but what is wrong with it is said once.
    let mut seen = HashSet::new();
    let mut diags: Diagnostics = diags
        .into_iter()
        .filter(|d| d.span.is_none() || seen.insert((d.span, d.summary.clone(), d.detail.clone())))
        .collect();
    diags.sort();
    let config = if diags.has_errors() { None } else { module.map(|root| Config { root: Arc::new(root) }) };
    (config, sources, diags)
}

/// As many calls may lead to a module: each has a folder of its own, so more means a chain of symbolic links.
const MAX_CALLS: usize = 64;

struct Loader<'f> {
    files: &'f dyn Files,
    root: PathBuf,
    sources: Sources,
    diags: Diagnostics,
    parsed: HashMap<PathBuf, Option<RawBody>>,
}

impl Loader<'_> {
    /// The module in a folder. `above` are the folders of the calls that lead here.
    fn module(
        &mut self,
        path: Vec<Arc<str>>,
        dir: &Path,
        above: &mut Vec<PathBuf>,
        call: Option<Span>,
    ) -> Option<Module> {
        let raw = match self.parsed.get(dir) {
            Some(raw) => raw.clone(),
            None => {
                let raw = self.parse(dir, call);
                self.parsed.insert(dir.to_owned(), raw.clone());
                raw
            }
        }?;
        let mut module = Module {
            path,
            dir: if dir.as_os_str().is_empty() { PathBuf::from(".") } else { dir.to_owned() },
            variables: IndexMap::new(),
            locals: IndexMap::new(),
            outputs: IndexMap::new(),
            resources: IndexMap::new(),
            calls: IndexMap::new(),
            providers: Vec::new(),
            moved: Vec::new(),
            removed: Vec::new(),
            checks: IndexMap::new(),
            imports: Vec::new(),
            settings: Settings::default(),
        };
        for attribute in raw.attributes {
            self.diags.push(
                Diagnostic::error("Unsupported argument")
                    .detail(format!("An argument named \"{}\" is not expected here.", attribute.name.name))
                    .span(attribute.name.span)
                    .hint("at the top of a file only blocks stand; values go into a locals block"),
            );
        }
        let mut calls = Vec::new();
        let mut broken = HashSet::new();
        for block in raw.blocks {
            if &*block.ty.name == "module" {
                calls.push(block);
            } else {
                blocks::read(block, &mut module, &mut self.diags);
            }
        }
        above.push(dir.to_owned());
        for block in calls {
            let name = block.labels.first().map(|l| l.name.clone());
            self.call(block, &mut module, above);
            broken.extend(name.filter(|name| !module.calls.contains_key(name)));
        }
        above.pop();
        references::check(&module, &broken, &mut self.diags);
        imports::check(&module, &mut self.diags);
        Some(module)
    }

    /// `module "name" { … }`
    fn call(&mut self, block: RawBlock, module: &mut Module, above: &mut Vec<PathBuf>) {
        let Some([name]) = blocks::labels(&block, ["name"], &mut self.diags) else { return };
        let mut fields = Fields::new(block);
        let span = fields.head;
        let meta = meta::read(&mut fields, &mut self.diags);
        let providers = meta::providers(&mut fields, &mut self.diags);
        let source_at =
            fields.body.attributes.iter().find(|a| &*a.name.name == "source").map(|a| a.value.span);
        let source = match source_at {
            Some(_) => fields.text("source", &mut self.diags),
            None => {
                fields.required("source", &mut self.diags);
                None
            }
        };
        if let Some(version) = fields.take("version") {
            self.diags.push(
                Diagnostic::error("Invalid module version")
                    .detail("A version is for modules from a registry; modules in local folders have none.")
                    .span(version.name.span),
            );
        }
        for inner in std::mem::take(&mut fields.body.blocks) {
            self.diags.push(
                Diagnostic::error("Unsupported block type")
                    .detail(format!(
                        "Blocks of type \"{}\" are not expected in a module call.",
                        inner.ty.name
                    ))
                    .span(inner.head()),
            );
        }
        let arguments: IndexMap<_, _> = fields
            .body
            .attributes
            .drain(..)
            .map(|a| (a.name.clone(), crate::Expr::new(a.value, &[], &mut self.diags)))
            .map(|(name, expr)| (name.name, (name.span, expr)))
            .collect();
        let Some(source) = source else { return };
        let Some(child) = self.child(&name.name, &source, source_at.unwrap_or(span), module, above) else {
            return;
        };
        for (argument, (at, _)) in &arguments {
            if !child.variables.contains_key(argument) {
                self.diags.push(
                    Diagnostic::error("Unsupported argument")
                        .detail(format!("An argument named \"{argument}\" is not expected here: the module in \"{source}\" has no such variable."))
                        .span(*at)
                        .did_you_mean(argument, child.variables.keys().map(|k| &**k)),
                );
            }
        }
        for variable in child.variables.values() {
            if variable.default.is_none() && !arguments.contains_key(&variable.name) {
                self.diags.push(
                    Diagnostic::error("Missing required argument")
                        .detail(format!(
                            "The argument \"{}\" is required, but no definition was found.",
                            variable.name
                        ))
                        .span(span)
                        .related(variable.span, "the variable has no default"),
                );
            }
        }
        let call = ModuleCall {
            name: name.name.clone(),
            source,
            count: meta.count,
            for_each: meta.for_each,
            depends_on: meta.depends_on,
            arguments: arguments.into_iter().map(|(name, (_, expr))| (name, expr)).collect(),
            providers,
            module: Arc::new(child),
            span,
        };
        match module.calls.entry(name.name) {
            Entry::Vacant(entry) => {
                entry.insert(call);
            }
            Entry::Occupied(entry) => self.diags.push(
                Diagnostic::error("Duplicate module call")
                    .detail(format!("A module call named \"{}\" was already declared. Module calls must have unique names within a module.", entry.key()))
                    .span(span)
                    .related(entry.get().span, "first declared here"),
            ),
        }
    }

    /// The module that a call names.
    fn child(
        &mut self,
        name: &Arc<str>,
        source: &str,
        span: Span,
        module: &Module,
        above: &mut Vec<PathBuf>,
    ) -> Option<Module> {
        if !(source.starts_with("./") || source.starts_with("../") || source == "." || source == "..") {
            self.diags.push(
                Diagnostic::error("Module source not supported")
                    .detail(format!("The module source \"{source}\" is not a local path. Modules from registries, Git or URLs are not downloaded."))
                    .hint("put the module into a folder beside this one, and write source = \"./NAME\"")
                    .span(span),
            );
            return None;
        }
        let dir = clean(&module.dir.join(source));
        if above.contains(&dir) || above.len() > MAX_CALLS {
            self.diags.push(
                Diagnostic::error("Module calls itself")
                    .detail(format!("The module in \"{}\" is called from itself, directly or by way of others: that would never end.", show(&dir)))
                    .span(span),
            );
            return None;
        }
        let path = module.path.iter().cloned().chain([name.clone()]).collect();
        self.module(path, &dir, above, Some(span))
    }

    /// The files of a folder as one body.
    fn parse(&mut self, dir: &Path, call: Option<Span>) -> Option<RawBody> {
        let mut names = match self.files.list(dir) {
            Ok(names) => names,
            Err(error) => {
                self.diags.push(
                    Diagnostic::error("Unreadable module directory")
                        .detail(format!("The folder \"{}\" can't be read: {error}.", show(dir)))
                        .span(call),
                );
                return None;
            }
        };
        names.sort();
        let mut whole: Option<RawBody> = None;
        let mut overrides = Vec::new();
        for name in names {
            // What editors leave behind is no configuration.
            if name.starts_with('.') || name.ends_with('~') {
                continue;
            }
            let Some(stem) = name.strip_suffix(".tf").or(name.strip_suffix(".tf.json")) else { continue };
            let Some(body) = self.parse_file(&dir.join(&name)) else { continue };
            if merge::is_override(stem) {
                overrides.push(body);
                continue;
            }
            match &mut whole {
                Some(whole) => {
                    whole.attributes.extend(body.attributes);
                    whole.blocks.extend(body.blocks);
                }
                None => whole = Some(body),
            }
        }
        // In the order of their names: the last one has the last word.
        for over in overrides {
            let span = over.span;
            let none = || RawBody { attributes: Vec::new(), blocks: Vec::new(), span };
            merge::merge(whole.get_or_insert_with(none), over, &mut self.diags);
        }
        if whole.is_none() && !self.diags.has_errors() {
            self.diags.push(
                Diagnostic::error("No configuration files")
                    .detail(format!(
                        "The folder \"{}\" contains no configuration files (*.tf, *.tf.json).",
                        show(dir)
                    ))
                    .span(call),
            );
        }
        whole
    }

    fn parse_file(&mut self, path: &Path) -> Option<RawBody> {
        let name = show(path.strip_prefix(&self.root).unwrap_or(path));
        let bytes = match self.files.read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.diags.push(
                    Diagnostic::error("Failed to read file")
                        .detail(format!("The file \"{name}\" could not be read: {error}.")),
                );
                return None;
            }
        };
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let good = error.utf8_error().valid_up_to();
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                let id = self.sources.add(name, text);
                self.diags.push(
                    Diagnostic::error("Invalid character encoding")
                        .detail("The file is not valid UTF-8 from here on. Files must be saved as UTF-8.")
                        .span(Span::new(id, good, good + 1)),
                );
                return None;
            }
        };
        let text: Arc<str> = text.into();
        let id = self.sources.add(name, text.clone());
        Some(match path.extension().is_some_and(|ext| ext == "json") {
            true => syntax::json::parse_file(id, &text, &mut self.diags),
            false => syntax::parse_file(id, &text, &mut self.diags),
        })
    }
}

fn show(path: &Path) -> String {
    if path.as_os_str().is_empty() { ".".to_owned() } else { path.to_string_lossy().into_owned() }
}
