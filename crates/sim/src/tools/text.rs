//! Programs that turn text into text.

use base64::Engine as _;

use super::{Cx, Status, hash};

pub(super) fn dispatch(tool: &str, cx: &mut Cx<'_>) -> Option<Status> {
    Some(match tool {
        "cat" => cat(cx),
        "head" => head(cx),
        "tail" => tail(cx),
        "wc" => wc(cx),
        "sort" => sort(cx),
        "uniq" => uniq(cx),
        "cut" => cut(cx),
        "tr" => tr(cx),
        "tee" => tee(cx),
        "tac" => tac(cx),
        "seq" => seq(cx),
        "base64" => base64(cx),
        "sha256sum" | "sha512sum" | "sha1sum" | "md5sum" => hash::run(cx),
        "cmp" | "diff" => compare(cx),
        "echo" => {
            let text = super::echo(cx.args, true);
            cx.out(text);
            Ok(0)
        }
        "printf" => {
            let (bytes, errors) = super::printf(cx.args);
            cx.out(bytes);
            for error in &errors {
                cx.fail(1, error);
            }
            Ok(i32::from(!errors.is_empty()))
        }
        "yes" => {
            let word = if cx.args.is_empty() { "y".to_owned() } else { cx.args.join(" ") };
            let block = format!("{word}\n").repeat(256);
            for _ in 0..64 {
                if !cx.out(&block) {
                    break;
                }
            }
            Ok(141)
        }
        _ => return None,
    })
}

/// All inputs in one, complaints printed; the flag tells whether any failed.
pub(super) fn inputs(cx: &mut Cx<'_>, names: &[String]) -> (Vec<u8>, bool) {
    if names.is_empty() {
        return (cx.stdin(), false);
    }
    let (mut all, mut failed) = (Vec::new(), false);
    for name in names {
        match cx.read(name) {
            Ok(bytes) => all.extend(bytes),
            Err(e) => {
                cx.fail(1, format!("{name}: {e}"));
                failed = true;
            }
        }
    }
    (all, failed)
}

/// Lines with their newlines.
pub(super) fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split_inclusive(|b| *b == b'\n').collect()
}

fn cat(cx: &mut Cx<'_>) -> Status {
    let opts = cx.opts("nAbesTtuv", &["number", "show-all"])?;
    if cx.args.is_empty() || opts.rest.is_empty() {
        let all = cx.stdin();
        cx.out(all);
        return Ok(0);
    }
    let mut status = 0;
    let mut number = 0;
    for name in &opts.rest {
        match cx.read(name) {
            Ok(bytes) if opts.has(&["n", "number"]) => {
                for line in lines(&bytes) {
                    number += 1;
                    cx.out([format!("{number:6}\t").as_bytes(), line].concat());
                }
            }
            Ok(bytes) => {
                cx.out(bytes);
            }
            Err(e) => status = cx.fail(1, format!("{name}: {e}")),
        }
    }
    Ok(status)
}

/// `-5` as `-n 5`, where it is no option's value.
fn old_count(args: &[String]) -> Vec<String> {
    let mut out = Vec::new();
    for (n, arg) in args.iter().enumerate() {
        let count = arg.strip_prefix('-').filter(|a| !a.is_empty() && a.chars().all(|c| c.is_ascii_digit()));
        let value = n > 0 && ["-n", "-c"].contains(&args[n - 1].as_str());
        match count {
            Some(count) if !value => out.extend(["-n".to_owned(), count.to_owned()]),
            _ => out.push(arg.clone()),
        }
    }
    out
}

fn head(cx: &mut Cx<'_>) -> Status {
    let args = old_count(cx.args);
    let opts = super::getopt(&args, "n:c:qv", &["lines=", "bytes=", "quiet"]).map_err(|e| cx.fail(1, e))?;
    let (all, failed) = inputs(cx, &opts.rest);
    let cut = |total: usize, text: &str| match text.strip_prefix('-') {
        Some(less) => total.saturating_sub(less.parse().unwrap_or(0)),
        None => text.parse().unwrap_or(0).min(total),
    };
    if let Some(count) = opts.value(&["c", "bytes"]) {
        let n = cut(all.len(), count);
        cx.out(&all[..n]);
    } else {
        let lines = lines(&all);
        let n = cut(lines.len(), opts.value(&["n", "lines"]).unwrap_or("10"));
        cx.out(lines[..n].concat());
    }
    Ok(i32::from(failed))
}

fn tail(cx: &mut Cx<'_>) -> Status {
    let args = old_count(cx.args);
    let opts = super::getopt(&args, "n:c:qvfF", &["lines=", "bytes=", "quiet"]).map_err(|e| cx.fail(1, e))?;
    let (all, failed) = inputs(cx, &opts.rest);
    let start = |total: usize, text: &str| match text.strip_prefix('+') {
        Some(from) => from.parse::<usize>().unwrap_or(1).saturating_sub(1).min(total),
        None => total.saturating_sub(text.trim_start_matches('-').parse().unwrap_or(0)),
    };
    if let Some(count) = opts.value(&["c", "bytes"]) {
        let from = start(all.len(), count);
        cx.out(&all[from..]);
    } else {
        let lines = lines(&all);
        let from = start(lines.len(), opts.value(&["n", "lines"]).unwrap_or("10"));
        cx.out(lines[from..].concat());
    }
    Ok(i32::from(failed))
}

fn wc(cx: &mut Cx<'_>) -> Status {
    let opts = cx.opts("lwcm", &["lines", "words", "bytes", "chars"])?;
    let all = !opts.has(&["l", "w", "c", "m", "lines", "words", "bytes", "chars"]);
    let named = !opts.rest.is_empty();
    let names = if named { opts.rest.clone() } else { vec!["-".to_owned()] };
    let mut status = 0;
    let mut rows = Vec::new();
    let mut total = [0; 3];
    for name in &names {
        match cx.read(name) {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes);
                let characters = if opts.has(&["m", "chars"]) { text.chars().count() } else { bytes.len() };
                let counts = [
                    bytes.iter().filter(|b| **b == b'\n').count(),
                    text.split_whitespace().count(),
                    characters,
                ];
                for (sum, n) in total.iter_mut().zip(counts) {
                    *sum += n;
                }
                rows.push((counts, name.as_str()));
            }
            Err(e) => status = cx.fail(1, format!("{name}: {e}")),
        }
    }
    if names.len() > 1 {
        rows.push((total, "total"));
    }
    let wanted =
        [opts.has(&["l", "lines"]), opts.has(&["w", "words"]), opts.has(&["c", "m", "bytes", "chars"])];
    let columns = wanted.iter().filter(|w| **w).count();
    let width = if columns == 1 && names.len() == 1 {
        0
    } else if named {
        total[2].to_string().len()
    } else {
        7
    };
    for (counts, name) in rows {
        let shown = counts.iter().zip(wanted).filter(|(_, w)| all || *w).map(|(n, _)| format!("{n:>width$}"));
        let line = shown.collect::<Vec<_>>().join(" ");
        cx.out(if named { format!("{line} {name}\n") } else { format!("{line}\n") });
    }
    Ok(status)
}

fn sort(cx: &mut Cx<'_>) -> Status {
    let opts = cx.opts(
        "runVbfk:t:so:hcz",
        &["reverse", "unique", "numeric-sort", "version-sort", "key=", "field-separator=", "stable"],
    )?;
    let (all, failed) = inputs(cx, &opts.rest);
    let text = String::from_utf8_lossy(&all).into_owned();
    let mut rows: Vec<&str> = text.lines().collect();
    let separator = opts.value(&["t", "field-separator"]).and_then(|t| t.chars().next());
    let key = opts.value(&["k", "key"]).map(str::to_owned);
    let from: usize =
        key.as_deref().and_then(|k| k.split([',', '.', 'n', 'r', 'V']).next()?.parse().ok()).unwrap_or(1);
    let to: Option<usize> =
        key.as_deref().and_then(|k| k.split_once(',')?.1.trim_end_matches(char::is_alphabetic).parse().ok());
    let part = |row: &str| -> String {
        if key.is_none() {
            return row.to_owned();
        }
        let fields: Vec<&str> = match separator {
            Some(c) => row.split(c).collect(),
            None => row.split_whitespace().collect(),
        };
        let end = to.unwrap_or(fields.len()).min(fields.len());
        fields.get(from - 1..end.max(from - 1)).unwrap_or_default().join(" ")
    };
    let flag = |c: char| key.as_deref().is_some_and(|k| k.contains(c));
    let numeric = opts.has(&["n", "numeric-sort", "h"]) || flag('n');
    let version = opts.has(&["V", "version-sort"]) || flag('V');
    let number = |t: &str| {
        let t = t.trim_start();
        let digits = t
            .char_indices()
            .take_while(|(n, c)| c.is_ascii_digit() || *c == '.' || (*n == 0 && *c == '-'))
            .count();
        t[..digits].parse::<f64>().unwrap_or(0.0)
    };
    let order = |a: &&str, b: &&str| {
        let (x, y) = (part(a), part(b));
        let first = if numeric {
            number(&x).total_cmp(&number(&y))
        } else if version {
            natural(&x).cmp(&natural(&y))
        } else if opts.has(&["f"]) {
            x.to_lowercase().cmp(&y.to_lowercase())
        } else {
            x.cmp(&y)
        };
        let first = if opts.has(&["r", "reverse"]) || flag('r') { first.reverse() } else { first };
        if opts.has(&["u", "unique", "s", "stable"]) {
            return first;
        }
        let last = a.cmp(b);
        first.then(if opts.has(&["r", "reverse"]) { last.reverse() } else { last })
    };
    rows.sort_by(order);
    if opts.has(&["u", "unique"]) {
        rows.dedup_by(|a, b| order(&&**a, &&**b).is_eq());
    }
    let sorted: String = rows.iter().map(|r| format!("{r}\n")).collect();
    match opts.value(&["o"]) {
        Some(path) => {
            let path = cx.sh.path(path);
            cx.files_mut(|f, a| f.write(&path, sorted.as_bytes(), false, a)).map_err(|e| cx.fail(2, e))?;
        }
        None => {
            cx.out(sorted);
        }
    }
    Ok(if failed { 2 } else { 0 })
}

/// Text cut into numbers and words, so that v1.10 comes after v1.9.
fn natural(text: &str) -> Vec<(String, u64)> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let word = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let digits = rest[word..].find(|c: char| !c.is_ascii_digit()).map_or(rest.len(), |n| word + n);
        parts.push((rest[..word].to_owned(), rest[word..digits].parse().unwrap_or(0)));
        rest = &rest[digits..];
    }
    parts
}

fn uniq(cx: &mut Cx<'_>) -> Status {
    let opts = cx.opts("cdui", &["count", "repeated", "unique"])?;
    let (all, failed) = inputs(cx, &opts.rest);
    let text = String::from_utf8_lossy(&all).into_owned();
    let mut groups: Vec<(usize, &str)> = Vec::new();
    for line in text.lines() {
        match groups.last_mut() {
            Some((n, last)) if *last == line => *n += 1,
            _ => groups.push((1, line)),
        }
    }
    for (n, line) in groups {
        if (opts.has(&["d", "repeated"]) && n < 2) || (opts.has(&["u", "unique"]) && n > 1) {
            continue;
        }
        let count = if opts.has(&["c", "count"]) { format!("{n:7} ") } else { String::new() };
        cx.out(format!("{count}{line}\n"));
    }
    Ok(i32::from(failed))
}

/// `1,3-5,7-`
fn ranges(text: &str) -> Option<Vec<(usize, usize)>> {
    let one = |part: &str| {
        let (from, to) = match part.split_once('-') {
            Some(("", to)) => (1, to.parse().ok()?),
            Some((from, "")) => (from.parse().ok()?, usize::MAX),
            Some((from, to)) => (from.parse().ok()?, to.parse().ok()?),
            None => (part.parse().ok()?, part.parse().ok()?),
        };
        (from > 0 && from <= to).then_some((from, to))
    };
    text.split(',').map(one).collect()
}

fn cut(cx: &mut Cx<'_>) -> Status {
    let opts = cx.opts(
        "d:f:c:b:s",
        &["delimiter=", "fields=", "characters=", "bytes=", "only-delimited", "output-delimiter="],
    )?;
    let (all, failed) = inputs(cx, &opts.rest);
    let fields = opts.value(&["f", "fields"]);
    let list = fields.or_else(|| opts.value(&["c", "b", "characters", "bytes"]));
    let Some(list) = list.and_then(ranges) else {
        return Err(cx.fail(1, "you must specify a list of bytes, characters, or fields"));
    };
    let inside = |n: usize| list.iter().any(|(from, to)| (*from..=*to).contains(&n));
    let delimiter = opts.value(&["d", "delimiter"]).unwrap_or("\t").to_owned();
    let joiner = opts.value(&["output-delimiter"]).unwrap_or(&delimiter).to_owned();
    for line in String::from_utf8_lossy(&all).lines() {
        let kept: String = if fields.is_some() {
            if !line.contains(&delimiter) {
                if opts.has(&["s", "only-delimited"]) {
                    continue;
                }
                line.to_owned()
            } else {
                let parts = line.split(&delimiter).enumerate().filter(|(n, _)| inside(n + 1));
                parts.map(|(_, p)| p).collect::<Vec<_>>().join(&joiner)
            }
        } else {
            line.chars().enumerate().filter(|(n, _)| inside(n + 1)).map(|(_, c)| c).collect()
        };
        cx.out(format!("{kept}\n"));
    }
    Ok(i32::from(failed))
}

/// A set of tr: ranges, classes, escapes.
fn tr_set(text: &str) -> Vec<char> {
    let (text, _) = crate::shell::escape::unescape(text, true);
    let mut out = Vec::new();
    let chars: Vec<char> = text.chars().collect();
    let mut at = 0;
    while at < chars.len() {
        let rest: String = chars[at..].iter().collect();
        if let Some(end) = rest.strip_prefix("[:").and_then(|r| r.find(":]")) {
            let class = &rest[2..2 + end];
            let range = (0..=127u8).map(char::from);
            out.extend(range.filter(|c| match class {
                "upper" => c.is_ascii_uppercase(),
                "lower" => c.is_ascii_lowercase(),
                "alpha" => c.is_ascii_alphabetic(),
                "digit" => c.is_ascii_digit(),
                "alnum" => c.is_ascii_alphanumeric(),
                "space" => c.is_ascii_whitespace() || *c == '\u{b}',
                "blank" => *c == ' ' || *c == '\t',
                "punct" => c.is_ascii_punctuation(),
                "xdigit" => c.is_ascii_hexdigit(),
                "cntrl" => c.is_ascii_control(),
                "print" => c.is_ascii_graphic() || *c == ' ',
                "graph" => c.is_ascii_graphic(),
                _ => false,
            }));
            at += end + 4;
            continue;
        }
        if let (Some('-'), Some(to)) = (chars.get(at + 1), chars.get(at + 2)) {
            out.extend((chars[at]..=*to).take(0x3000));
            at += 3;
            continue;
        }
        out.push(chars[at]);
        at += 1;
    }
    out
}

fn tr(cx: &mut Cx<'_>) -> Status {
    let opts = cx.opts("+dscC", &["delete", "squeeze-repeats", "complement"])?;
    let Some(first) = opts.rest.first() else { return Err(cx.fail(1, "missing operand")) };
    let (delete, squeeze) = (opts.has(&["d", "delete"]), opts.has(&["s", "squeeze-repeats"]));
    let complement = opts.has(&["c", "C", "complement"]);
    let from = tr_set(first);
    let to = opts.rest.get(1).map(|t| tr_set(t));
    if !delete && !squeeze && to.is_none() {
        return Err(cx.fail(1, format!("missing operand after '{first}'")));
    }
    let inside = |c: char| from.contains(&c) != complement;
    let squeezed =
        if delete { to.clone().unwrap_or_default() } else { to.clone().unwrap_or_else(|| from.clone()) };
    let mut out = String::new();
    let mut last = None;
    for c in String::from_utf8_lossy(&cx.stdin()).chars() {
        if delete && inside(c) {
            continue;
        }
        let changed = match &to {
            Some(to) if !delete && inside(c) => {
                let place =
                    if complement { usize::MAX } else { from.iter().rposition(|f| *f == c).unwrap_or(0) };
                to.get(place).or(to.last()).copied().unwrap_or(c)
            }
            _ => c,
        };
        let repeats =
            squeeze && last == Some(changed) && (squeezed.contains(&changed) != (complement && to.is_none()));
        if !repeats {
            out.push(changed);
        }
        last = Some(changed);
    }
    cx.out(out);
    Ok(0)
}

fn tee(cx: &mut Cx<'_>) -> Status {
    let opts = cx.opts("ai", &["append"])?;
    let all = cx.stdin();
    let mut status = 0;
    for name in &opts.rest {
        match cx.sh.open_write(name, opts.has(&["a", "append"])) {
            Ok(fd) => {
                let io = cx.io.with(1, fd);
                cx.sh.write(&io, 1, &all);
            }
            Err(e) => status = cx.fail(1, format!("{name}: {e}")),
        }
    }
    cx.out(all);
    Ok(status)
}

fn tac(cx: &mut Cx<'_>) -> Status {
    let opts = cx.opts("", &[])?;
    let (all, failed) = inputs(cx, &opts.rest);
    let mut lines = lines(&all);
    lines.reverse();
    cx.out(lines.concat());
    Ok(i32::from(failed))
}

fn seq(cx: &mut Cx<'_>) -> Status {
    let opts = super::getopt(cx.args, "+ws:", &["equal-width", "separator="]).map_err(|e| cx.fail(1, e))?;
    let numbers: Option<Vec<i64>> = opts.rest.iter().map(|a| a.parse().ok()).collect();
    let (from, step, to) = match numbers.as_deref() {
        Some([to]) => (1, 1, *to),
        Some([from, to]) => (*from, 1, *to),
        Some([from, step, to]) if *step != 0 => (*from, *step, *to),
        _ => return Err(cx.fail(1, "expects one to three whole numbers (simulated host)")),
    };
    let mut out = Vec::new();
    let mut n = from;
    while (step > 0 && n <= to) || (step < 0 && n >= to) {
        out.push(n.to_string());
        if out.len() > 100_000 {
            return Err(cx.fail(1, "too long (simulated host)"));
        }
        n += step;
    }
    let width =
        if opts.has(&["w", "equal-width"]) { out.iter().map(String::len).max().unwrap_or(0) } else { 0 };
    let out: Vec<String> = out.iter().map(|n| format!("{n:0>width$}")).collect();
    if !out.is_empty() {
        let text = out.join(opts.value(&["s", "separator"]).unwrap_or("\n"));
        cx.out(format!("{text}\n"));
    }
    Ok(0)
}

fn base64(cx: &mut Cx<'_>) -> Status {
    let opts = cx.opts("dw:i", &["decode", "wrap=", "ignore-garbage"])?;
    let (all, failed) = inputs(cx, &opts.rest);
    if failed {
        return Ok(1);
    }
    let engine = base64::engine::general_purpose::STANDARD;
    if opts.has(&["d", "decode"]) {
        let text: Vec<u8> = all.into_iter().filter(|b| !b.is_ascii_whitespace()).collect();
        return match engine.decode(text) {
            Ok(bytes) => {
                cx.out(bytes);
                Ok(0)
            }
            Err(_) => Err(cx.fail(1, "invalid input")),
        };
    }
    let text = engine.encode(all);
    let width: usize = opts.value(&["w", "wrap"]).and_then(|w| w.parse().ok()).unwrap_or(76);
    if width == 0 {
        cx.out(text);
        return Ok(0);
    }
    for line in text.as_bytes().chunks(width) {
        cx.out([line, b"\n"].concat());
    }
    Ok(0)
}

fn compare(cx: &mut Cx<'_>) -> Status {
    let opts = cx.opts("qsuNbwr", &["quiet", "silent", "brief", "unified?"])?;
    let [left, right] = opts.rest.as_slice() else { return Err(cx.fail(2, "missing operand")) };
    let mut contents = Vec::new();
    for name in [left, right] {
        match cx.read(name) {
            Ok(bytes) => contents.push(bytes),
            Err(e) => return Err(cx.fail(2, format!("{name}: {e}"))),
        }
    }
    if contents[0] == contents[1] {
        return Ok(0);
    }
    if cx.name == "diff" {
        if opts.has(&["q", "brief"]) {
            cx.out(format!("Files {left} and {right} differ\n"));
        } else {
            let text = |n: usize| String::from_utf8_lossy(&contents[n]).into_owned();
            let mut shown = format!("--- {left}\n+++ {right}\n");
            for (mark, n) in [('-', 0), ('+', 1)] {
                let (mine, other) = (text(n), text(1 - n));
                for line in mine.lines().filter(|l| !other.lines().any(|o| o == *l)) {
                    shown.push_str(&format!("{mark}{line}\n"));
                }
            }
            cx.out(shown);
        }
    } else if !opts.has(&["s", "quiet", "silent"]) {
        let byte = contents[0].iter().zip(&contents[1]).take_while(|(a, b)| a == b).count();
        let line = contents[0][..byte].iter().filter(|b| **b == b'\n').count() + 1;
        cx.out(format!("{left} {right} differ: byte {}, line {line}\n", byte + 1));
    }
    Ok(1)
}
