//! Two values side by side: what appears, changes and goes, down to the element and the line.
//!
//! What stays is counted, not shown, but for the `id` and `name` by which people know an object.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use grappe_value::{Kind, Marks, Path, Step, Value};
use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::style::{Style, Tone, columns, wrap};
use super::value::{SENSITIVE, cut_lines, entry_name, gist, inline, is_text, padded, text_lines};

/// Unchanged lines of a text that are shown around a changed one.
const CONTEXT: usize = 2;

/// What happens to the thing on a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// `+`
    Add,
    /// `~`
    Change,
    /// `-`
    Remove,
    /// Nothing.
    Same,
}

impl Mark {
    /// Two columns.
    fn painted(self, style: Style) -> String {
        match self {
            Mark::Add => style.paint(Tone::Add, "+ "),
            Mark::Change => style.paint(Tone::Change, "~ "),
            Mark::Remove => style.paint(Tone::Remove, "- "),
            Mark::Same => "  ".into(),
        }
    }
}

/// Writes differences as indented lines.
#[derive(Clone, Debug)]
pub struct Differ {
    /// How text is laid out.
    pub style: Style,
    /// What forces a replacement.
    pub forces: Vec<Path>,
    /// Attributes at the root that only the provider gives: named, not shown, where they appear or change.
    pub computed: BTreeSet<Arc<str>>,
    /// Attributes at the root that say how to reach something else: shown by name and address only, where they appear.
    pub references: BTreeSet<Arc<str>>,
    /// Texts of more lines are cut where they appear.
    pub most_lines: usize,
    /// The lines so far.
    pub out: Vec<String>,
}

type Entries = BTreeMap<Arc<str>, Value>;

impl Differ {
    /// Nothing written yet.
    #[must_use]
    pub fn new(style: Style, forces: Vec<Path>) -> Self {
        Differ {
            style,
            forces,
            computed: BTreeSet::new(),
            references: BTreeSet::new(),
            most_lines: usize::MAX,
            out: Vec::new(),
        }
    }

    /// One line with its mark.
    pub fn line(&mut self, indent: usize, mark: Mark, text: &str) {
        self.out.push(format!("{}{}{text}", " ".repeat(indent), mark.painted(self.style)));
    }

    /// A comment that most readers skip.
    pub fn note(&mut self, indent: usize, text: &str) {
        let text = self.style.paint(Tone::Dim, format!("# {text}"));
        self.out.push(format!("{}  {text}", " ".repeat(indent)));
    }

    /// The attributes of an object (or the entries of a map): from `before` to `after`.
    pub fn entries(&mut self, indent: usize, path: &Path, before: Option<&Value>, after: Option<&Value>) {
        let none = Entries::new();
        let of = |v: Option<&Value>| v.and_then(Value::as_entries).cloned().unwrap_or_else(|| none.clone());
        let is_map = [before, after].iter().flatten().any(|v| matches!(v.kind(), Kind::Map(..)));
        let (before, after) = (of(before), of(after));
        // Null and absent are the same to people.
        let there = |v: Option<&Value>| v.filter(|v| !v.is_null()).cloned();
        let names: BTreeSet<&Arc<str>> = before.keys().chain(after.keys()).collect();
        let rows: Vec<(String, Path, Option<Value>, Option<Value>)> = names
            .into_iter()
            .map(|name| {
                let step = if is_map { Step::Key(name.clone()) } else { Step::Attr(name.clone()) };
                (entry_name(name, is_map), path.then(step), there(before.get(name)), there(after.get(name)))
            })
            .collect();
        let root = path.0.is_empty() && !is_map;
        let (mut hidden, mut shown) = (0, Vec::new());
        let (mut later, mut derived) = (Vec::new(), Vec::new());
        for row in rows {
            let same = match (&row.2, &row.3) {
                (None, None) => continue,
                (Some(b), Some(a)) => unchanged(b, a),
                _ => false,
            };
            if same && !(root && matches!(row.0.as_str(), "id" | "name")) {
                hidden += 1;
                continue;
            }
            let open = row.3.as_ref().is_some_and(|v| v.is_unknown() && !v.is_sensitive_deep());
            let computed = root && !same && self.computed.contains(row.0.as_str());
            match (computed, open) {
                (true, true) => later.push(row.0),
                // What fits a line says more than its name: `kubelet_version = "1.34.2" -> "1.35.1"`.
                (true, false)
                    if row.3.is_some() && !row.2.as_ref().zip(row.3.as_ref()).is_some_and(brief) =>
                {
                    derived.push(row);
                }
                _ => shown.push((row, same)),
            }
        }
        // Where nothing else differs they are what the change is about: drift that is put right.
        if !before.is_empty() && shown.iter().all(|(_, same)| *same) {
            shown.extend(derived.drain(..).map(|row| (row, false)));
        }
        let derived: Vec<String> = derived.into_iter().map(|row| row.0).collect();
        let pad = shown.iter().map(|((name, ..), _)| columns(name)).max().unwrap_or(0);
        for ((name, path, before, after), same) in shown {
            let head = format!("{} = ", padded(&name, pad));
            let note = if self.forces.contains(&path) {
                self.style.paint(Tone::Remove, " # forces replacement")
            } else {
                String::new()
            };
            match (before, after) {
                (None, Some(after)) if root && self.references.contains(name.as_str()) => {
                    self.reference(indent, Mark::Add, &head, &after);
                }
                (_, Some(after)) if same => self.value(indent, Mark::Same, &head, &after, &note),
                (before, after) => self.change(indent, &path, &head, before.as_ref(), after.as_ref(), &note),
            }
        }
        let lead = if before.is_empty() { "computed" } else { "changes with it" };
        self.names(indent, lead, &derived);
        self.names(indent, "known after apply", &later);
        if hidden > 0 {
            let what = if is_map { "element" } else { "attribute" };
            self.note(indent, &format!("({hidden} unchanged {what}{} hidden)", plural(hidden)));
        }
    }

    /// A comment that names attributes: `(known after apply: id, address)`.
    pub fn names(&mut self, indent: usize, lead: &str, names: &[String]) {
        if names.is_empty() {
            return;
        }
        let text = format!("({lead}: {})", names.join(", "));
        for line in wrap(&text, self.style.width.saturating_sub(indent + 4)) {
            self.note(indent, &line);
        }
    }

    /// A value under a mark; `head` is what stands before it, `tail` behind its first line.
    pub fn value(&mut self, indent: usize, mark: Mark, head: &str, value: &Value, tail: &str) {
        let width = self.style.width.saturating_sub(indent + 2 + columns(head) + columns(tail));
        let mut all = cut_lines(value, width, self.most_lines).into_iter();
        let first = all.next().unwrap_or_default();
        self.line(indent, mark, &format!("{head}{first}{tail}"));
        for line in all {
            self.line(indent, Mark::Same, &line);
        }
    }

    /// A reference to something else, or several, in short.
    pub fn reference(&mut self, indent: usize, mark: Mark, head: &str, value: &Value) {
        let Some(gist) = gist(value) else { return self.value(indent, mark, head, value, "") };
        let width = self.style.width.saturating_sub(indent + 2 + columns(head));
        if columns(&gist) > width
            && let Some(items) = value.as_items()
        {
            self.line(indent, mark, &format!("{head}["));
            for item in items.iter().filter_map(super::value::gist) {
                self.line(indent + 4, Mark::Same, &format!("{item},"));
            }
            return self.line(indent, Mark::Same, "]");
        }
        // Broken between members only.
        let mut lines = vec![String::new()];
        for member in gist.split_inclusive(", ") {
            let last = lines.last().map_or(0, |line| columns(line));
            if last > 0 && last + columns(member.trim_end()) > width {
                lines.push(String::new());
            }
            lines.last_mut().into_iter().for_each(|line| line.push_str(member));
        }
        let under = " ".repeat(columns(head));
        for (i, line) in lines.iter().enumerate() {
            let (mark, head) = if i == 0 { (mark, head) } else { (Mark::Same, under.as_str()) };
            self.line(indent, mark, format!("{head}{line}").trim_end());
        }
    }

    fn change(
        &mut self,
        indent: usize,
        path: &Path,
        head: &str,
        before: Option<&Value>,
        after: Option<&Value>,
        note: &str,
    ) {
        let (before, after) = match (before, after) {
            (None, Some(after)) => return self.value(indent, Mark::Add, head, after, note),
            (Some(before), None) => {
                self.value(indent, Mark::Remove, head, before, note);
                if let Some(last) = self.out.last_mut() {
                    last.push_str(" -> null");
                }
                return;
            }
            (Some(before), Some(after)) => (before, after),
            (None, None) => return,
        };
        let hidden = |v: &Value| v.marks().contains(Marks::SENSITIVE);
        if hidden(before) || hidden(after) {
            return self.scalar(indent, head, before, after, note);
        }
        match (before.kind(), after.kind()) {
            (Kind::Map(..) | Kind::Object(_), Kind::Map(..) | Kind::Object(_)) => {
                self.line(indent, Mark::Change, &format!("{head}{{{note}"));
                self.entries(indent + 4, path, Some(before), Some(after));
                self.line(indent, Mark::Same, "}");
            }
            (Kind::Set(_, old), Kind::Set(_, new)) => {
                self.line(indent, Mark::Change, &format!("{head}[{note}"));
                self.set(indent + 4, old, new);
                self.line(indent, Mark::Same, "]");
            }
            (Kind::List(_, old) | Kind::Tuple(old), Kind::List(_, new) | Kind::Tuple(new)) => {
                self.line(indent, Mark::Change, &format!("{head}[{note}"));
                self.list(indent + 4, path, old, new);
                self.line(indent, Mark::Same, "]");
            }
            (Kind::String(old), Kind::String(new)) if is_text(old) || is_text(new) => {
                self.line(indent, Mark::Change, &format!("{head}<<-EOT{note}"));
                self.text(indent + 4, old, new);
                self.line(indent, Mark::Same, "EOT");
            }
            _ => self.scalar(indent, head, before, after, note),
        }
    }

    fn scalar(&mut self, indent: usize, head: &str, before: &Value, after: &Value, note: &str) {
        let (Some(old), Some(new)) = (inline(before), inline(after)) else {
            // A text or a collection gives way to something else: one below the other.
            self.value(indent, Mark::Remove, head, before, "");
            return self.value(indent, Mark::Add, head, after, note);
        };
        if old == SENSITIVE && new == SENSITIVE {
            return self.line(indent, Mark::Change, &format!("{head}{SENSITIVE}{note}"));
        }
        let text = format!("{head}{old} -> {new}{note}");
        if indent + 2 + columns(&text) <= self.style.width || columns(&old) + columns(&new) < 24 {
            self.line(indent, Mark::Change, &text);
        } else {
            // The note stands where there is room for it.
            let fits = indent + 2 + columns(head) + columns(&old) + columns(note) <= self.style.width;
            let (first, second) = if fits { (note, "") } else { ("", note) };
            self.line(indent, Mark::Change, &format!("{head}{old}{first}"));
            let under = " ".repeat(columns(head).saturating_sub(3));
            self.line(indent, Mark::Same, &format!("{under}-> {new}{second}"));
        }
    }

    fn set(&mut self, indent: usize, old: &[Value], new: &[Value]) {
        let mut same = 0;
        for item in old {
            if new.iter().any(|n| n.same(item)) {
                same += 1;
            } else {
                self.value(indent, Mark::Remove, "", item, ",");
            }
        }
        for item in new.iter().filter(|n| !old.iter().any(|o| o.same(n))) {
            self.value(indent, Mark::Add, "", item, ",");
        }
        self.hidden_elements(indent, same);
    }

    fn list(&mut self, indent: usize, path: &Path, old: &[Value], new: &[Value]) {
        // Marks are no difference between elements.
        let bare =
            |items: &[Value]| -> Vec<Value> { items.iter().map(|v| v.clone().unmark_deep().0).collect() };
        let mut same = 0;
        for op in capture_diff_slices(Algorithm::Myers, &bare(old), &bare(new)) {
            match op {
                DiffOp::Equal { len, .. } => same += len,
                DiffOp::Delete { old_index, old_len, .. } => {
                    for item in &old[old_index..old_index + old_len] {
                        self.value(indent, Mark::Remove, "", item, ",");
                    }
                }
                DiffOp::Insert { new_index, new_len, .. } => {
                    for item in &new[new_index..new_index + new_len] {
                        self.value(indent, Mark::Add, "", item, ",");
                    }
                }
                DiffOp::Replace { old_index, old_len, new_index, new_len } => {
                    let pairs = old_len.min(new_len);
                    for i in 0..pairs {
                        let at = path.then(Step::Index(new_index + i));
                        self.change(
                            indent,
                            &at,
                            "",
                            Some(&old[old_index + i]),
                            Some(&new[new_index + i]),
                            "",
                        );
                    }
                    for item in &old[old_index + pairs..old_index + old_len] {
                        self.value(indent, Mark::Remove, "", item, ",");
                    }
                    for item in &new[new_index + pairs..new_index + new_len] {
                        self.value(indent, Mark::Add, "", item, ",");
                    }
                }
            }
        }
        self.hidden_elements(indent, same);
    }

    fn hidden_elements(&mut self, indent: usize, count: usize) {
        if count > 0 {
            self.note(indent, &format!("({count} unchanged element{} hidden)", plural(count)));
        }
    }

    fn text(&mut self, indent: usize, old: &str, new: &str) {
        let (old, new) = (text_lines(old), text_lines(new));
        let ops = capture_diff_slices(Algorithm::Myers, &old, &new);
        let last = ops.len().saturating_sub(1);
        for (i, op) in ops.iter().enumerate() {
            if let DiffOp::Equal { new_index, len, .. } = *op {
                let (before, after) = (if i == 0 { 0 } else { CONTEXT }, if i == last { 0 } else { CONTEXT });
                let same = &new[new_index..new_index + len];
                if len <= before + after + 1 {
                    same.iter().for_each(|l| self.line(indent, Mark::Same, l));
                    continue;
                }
                same[..before].iter().for_each(|l| self.line(indent, Mark::Same, l));
                let skipped = len - before - after;
                self.note(indent, &format!("({skipped} unchanged line{} hidden)", plural(skipped)));
                same[len - after..].iter().for_each(|l| self.line(indent, Mark::Same, l));
                continue;
            }
            old[op.old_range()].iter().for_each(|l| self.line(indent, Mark::Remove, l));
            new[op.new_range()].iter().for_each(|l| self.line(indent, Mark::Add, l));
        }
    }
}

/// Whether a change from one value to another fits a line: two short texts, neither secret.
fn brief((before, after): (&Value, &Value)) -> bool {
    let short = |value: &Value| {
        !value.is_sensitive_deep()
            && value.as_str().is_some_and(|text| text.len() <= 24 && !text.contains('\n'))
    };
    short(before) && short(after)
}

/// Whether nothing changes: an unknown value may.
fn unchanged(before: &Value, after: &Value) -> bool {
    after.is_wholly_known() && before.same(after)
}

/// The plural's `s`.
#[must_use]
pub fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

#[cfg(test)]
mod tests {
    use grappe_value::Type;

    use super::*;

    fn diff(before: &Value, after: &Value) -> String {
        let mut differ = Differ::new(Style::default(), vec![Path::attr("zone")]);
        differ.entries(0, &Path::default(), Some(before), Some(after));
        differ.out.join("\n")
    }

    fn strings(items: &[&str]) -> Value {
        Value::list(Type::String, items.iter().map(|s| Value::from(*s)))
    }

    #[test]
    fn each_kind_of_value_shows_what_differs_in_it() {
        let labels = |pairs: &[(&'static str, &str)]| {
            Value::map(Type::String, pairs.iter().map(|(k, v)| (*k, Value::from(*v))))
        };
        let disk = |size: i64| Value::object([("size", Value::from(size)), ("kind", "ssd".into())]);
        let before = Value::object([
            ("name", Value::from("w-1")),
            ("zone", "a".into()),
            ("cpus", 2.into()),
            ("image", "debian-12".into()),
            ("labels", labels(&[("role", "web"), ("arch", "amd64"), ("old", "x")])),
            ("taints", Value::set(Type::String, ["a".into(), "b".into()])),
            ("servers", strings(&["cp-1:6443", "cp-2:6443", "cp-3:6443"])),
            ("disks", Value::list(disk(0).ty(), [disk(1), disk(10)])),
            ("gone", true.into()),
            ("password", Value::from("x").sensitive()),
        ]);
        let after = Value::object([
            ("name", Value::from("w-1")),
            ("zone", "b".into()),
            ("cpus", 2.into()),
            ("image", "debian-12".into()),
            ("labels", labels(&[("role", "db"), ("arch", "amd64"), ("net", "dmz")])),
            ("taints", Value::set(Type::String, ["a".into(), "c".into()])),
            ("servers", strings(&["cp-1:6443", "cp-3:6443", "cp-4:6443"])),
            ("disks", Value::list(disk(0).ty(), [disk(1), disk(20)])),
            ("gone", Value::null(Type::Bool)),
            ("password", Value::from("y").sensitive()),
            ("address", Value::unknown(Type::String)),
        ]);
        insta::assert_snapshot!(diff(&before, &after));
    }

    #[test]
    fn a_text_shows_the_lines_that_differ() {
        let text = |port: &str| {
            let lines: Vec<String> = (1..=9).map(|n| format!("line {n}")).collect();
            Value::object([("content", Value::from(format!("{}\nbind {port}\nend\n", lines.join("\n"))))])
        };
        insta::assert_snapshot!(diff(&text("6443"), &text("5443")), @r"
        ~ content = <<-EOT
              # (7 unchanged lines hidden)
              line 8
              line 9
            - bind 6443
            + bind 5443
              end
          EOT
        ");
    }

    #[test]
    fn references_break_between_their_members() {
        let host =
            |n: i64| Value::object([("address", Value::from(format!("10.77.2.{n}"))), ("port", 22.into())]);
        let cluster = ["name", "endpoint", "version"].map(|name| (name, Value::from("a text of its own")));
        let after = Value::object([
            ("cluster", Value::object(cluster)),
            ("hosts", Value::list(host(0).ty(), [host(11), host(12), host(13)])),
            ("one", Value::list(host(0).ty(), [host(11)])),
        ]);
        let mut differ = Differ::new(Style::default(), Vec::new());
        differ.references = ["cluster", "hosts", "one"].map(Arc::from).into();
        differ.entries(6, &Path::default(), None, Some(&after));
        insta::assert_snapshot!(differ.out.join("\n"));
    }

    #[test]
    fn long_values_break_before_the_arrow() {
        let of = |c: &str| Value::object([("key", Value::from(c.repeat(50)))]);
        insta::assert_snapshot!(diff(&of("a"), &of("b")), @r#"
        ~ key = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
             -> "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
        "#);
        let zone = |zone: Value| Value::object([("zone", zone)]);
        let note = diff(&zone("a".repeat(60).into()), &zone(Value::unknown(Type::String)));
        insta::assert_snapshot!(note, @r#"
        ~ zone = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
              -> (known after apply) # forces replacement
        "#);
        assert!(note.lines().all(|line| columns(line) <= 80));
    }
}
