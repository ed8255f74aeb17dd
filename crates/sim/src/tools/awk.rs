//! A little awk: `pattern { print … }` rules with `$n`, `NF`, `NR`, `$NF`, strings, `/re/` and comparisons; `-F` and `-v`.

use super::grep::compile;
use super::{Cx, Status};

#[derive(Debug, Clone)]
enum Expr {
    Field(Box<Expr>),
    Text(String),
    Number(f64),
    Name(String),
    Match(Box<Expr>, String, bool),
    Compare(Box<Expr>, String, Box<Expr>),
    Both(Box<Expr>, Box<Expr>),
    Either(Box<Expr>, Box<Expr>),
    Not(Box<Expr>),
    Join(Vec<Expr>),
    Sum(Box<Expr>, char, Box<Expr>),
}

#[derive(Debug, Clone)]
enum Step {
    Print(Vec<Expr>),
    Printf(Vec<Expr>),
    Exit(i32),
    Next,
    Assign(String, char, Expr),
}

#[derive(Debug)]
enum When {
    Always,
    Begin,
    End,
    If(Expr),
}

struct Parser {
    chars: Vec<char>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn blanks(&mut self, newlines: bool) {
        while self
            .chars
            .get(self.at)
            .is_some_and(|c| *c == ' ' || *c == '\t' || (newlines && (*c == '\n' || *c == ';')))
        {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn take(&mut self, text: &str) -> bool {
        self.blanks(false);
        let found = text.chars().enumerate().all(|(n, c)| self.chars.get(self.at + n) == Some(&c));
        if found {
            self.at += text.chars().count();
        }
        found
    }

    fn name(&mut self) -> String {
        let rest = self.chars[self.at.min(self.chars.len())..].iter();
        let name: String = rest.take_while(|c| c.is_ascii_alphanumeric() || **c == '_').collect();
        self.at += name.len();
        name
    }

    fn rules(&mut self) -> Result<Vec<(When, Vec<Step>)>, String> {
        let mut rules = Vec::new();
        loop {
            self.blanks(true);
            let Some(c) = self.peek() else { return Ok(rules) };
            let when = if c == '{' {
                When::Always
            } else if self.take("BEGIN") {
                When::Begin
            } else if self.take("END") {
                When::End
            } else {
                When::If(self.expression()?)
            };
            self.blanks(false);
            let steps = if self.take("{") { self.steps()? } else { vec![Step::Print(Vec::new())] };
            rules.push((when, steps));
        }
    }

    fn steps(&mut self) -> Result<Vec<Step>, String> {
        let mut steps = Vec::new();
        loop {
            self.blanks(true);
            if self.take("}") {
                return Ok(steps);
            }
            if self.peek().is_none() {
                return Err("unexpected end of program".to_owned());
            }
            let start = self.at;
            let word = self.name();
            match word.as_str() {
                "print" | "printf" => {
                    let mut list = Vec::new();
                    self.blanks(false);
                    while !matches!(self.peek(), None | Some(';' | '}' | '\n')) {
                        list.push(self.expression()?);
                        if !self.take(",") {
                            break;
                        }
                    }
                    steps.push(if word == "print" { Step::Print(list) } else { Step::Printf(list) });
                }
                "exit" => {
                    self.blanks(false);
                    let code = self.name();
                    steps.push(Step::Exit(code.parse().unwrap_or(0)));
                }
                "next" => steps.push(Step::Next),
                name if !name.is_empty() => {
                    let operator = ["+=", "-=", "=", "++"].into_iter().find(|o| self.take(o));
                    match operator {
                        Some("++") => steps.push(Step::Assign(name.to_owned(), '+', Expr::Number(1.0))),
                        Some(op) => {
                            let value = self.expression()?;
                            let kind = op.chars().next().filter(|c| *c != '=').unwrap_or('=');
                            steps.push(Step::Assign(name.to_owned(), kind, value));
                        }
                        None => return Err(self.not_simulated(start)),
                    }
                }
                _ => return Err(self.not_simulated(start)),
            }
        }
    }

    fn not_simulated(&self, start: usize) -> String {
        let text: String = self.chars[start..].iter().take(20).collect();
        format!("`{text}`: not simulated (simulated host)")
    }

    fn expression(&mut self) -> Result<Expr, String> {
        self.depth += 1;
        if self.depth > 40 {
            return Err("nested too deep".to_owned());
        }
        let mut left = self.conjunction()?;
        while self.take("||") {
            left = Expr::Either(Box::new(left), Box::new(self.conjunction()?));
        }
        self.depth -= 1;
        Ok(left)
    }

    fn conjunction(&mut self) -> Result<Expr, String> {
        let mut left = self.comparison()?;
        while self.take("&&") {
            left = Expr::Both(Box::new(left), Box::new(self.comparison()?));
        }
        Ok(left)
    }

    fn comparison(&mut self) -> Result<Expr, String> {
        let left = self.joined()?;
        for operator in ["==", "!=", "<=", ">=", "!~", "~", "<", ">"] {
            if self.take(operator) {
                if operator.ends_with('~') {
                    self.blanks(false);
                    let text = match self.peek() {
                        Some('/') => self.regex()?,
                        _ => match self.joined()? {
                            Expr::Text(text) => text,
                            _ => return Err("a computed regular expression: not simulated".to_owned()),
                        },
                    };
                    return Ok(Expr::Match(Box::new(left), text, operator == "!~"));
                }
                let right = self.joined()?;
                return Ok(Expr::Compare(Box::new(left), operator.to_owned(), Box::new(right)));
            }
        }
        Ok(left)
    }

    fn joined(&mut self) -> Result<Expr, String> {
        let mut parts = vec![self.sum()?];
        loop {
            self.blanks(false);
            match self.peek() {
                Some(c) if c == '"' || c == '$' || c.is_ascii_alphanumeric() || c == '(' => {
                    parts.push(self.sum()?)
                }
                _ => break,
            }
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expr::Join(parts) })
    }

    fn sum(&mut self) -> Result<Expr, String> {
        let mut left = self.primary()?;
        loop {
            self.blanks(false);
            match (self.peek(), self.chars.get(self.at + 1)) {
                (Some(c @ ('+' | '-' | '*' | '/')), next) if next != Some(&'=') => {
                    self.at += 1;
                    left = Expr::Sum(Box::new(left), c, Box::new(self.primary()?));
                }
                _ => return Ok(left),
            }
        }
    }

    fn regex(&mut self) -> Result<String, String> {
        self.at += 1;
        let mut text = String::new();
        loop {
            let c = self.peek().ok_or("unterminated regexp")?;
            self.at += 1;
            match c {
                '/' => return Ok(text),
                '\\' if self.peek() == Some('/') => {
                    self.at += 1;
                    text.push('/');
                }
                c => text.push(c),
            }
        }
    }

    fn primary(&mut self) -> Result<Expr, String> {
        self.depth += 1;
        if self.depth > 40 {
            return Err("nested too deep".to_owned());
        }
        self.blanks(false);
        let start = self.at;
        let expr = match self.peek() {
            Some('$') => {
                self.at += 1;
                Expr::Field(Box::new(self.primary()?))
            }
            Some('"') => {
                self.at += 1;
                let mut raw = String::new();
                loop {
                    let c = self.peek().ok_or("unterminated string")?;
                    self.at += 1;
                    match c {
                        '"' => break,
                        '\\' => {
                            raw.push('\\');
                            raw.extend(self.peek());
                            self.at += 1;
                        }
                        c => raw.push(c),
                    }
                }
                Expr::Text(crate::shell::escape::unescape(&raw, true).0)
            }
            Some('/') => {
                let text = self.regex()?;
                Expr::Match(Box::new(Expr::Field(Box::new(Expr::Number(0.0)))), text, false)
            }
            Some('!') => {
                self.at += 1;
                Expr::Not(Box::new(self.primary()?))
            }
            Some('(') => {
                self.at += 1;
                let inner = self.expression()?;
                if !self.take(")") {
                    return Err("expected `)'".to_owned());
                }
                inner
            }
            Some(c) if c.is_ascii_digit() => {
                let rest = self.chars[self.at..].iter();
                let number: String = rest.take_while(|c| c.is_ascii_digit() || **c == '.').collect();
                self.at += number.len();
                Expr::Number(number.parse().map_err(|_| "bad number")?)
            }
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                let name = self.name();
                if self.peek() == Some('(') {
                    return Err(self.not_simulated(start));
                }
                Expr::Name(name)
            }
            _ => return Err(self.not_simulated(start)),
        };
        self.depth -= 1;
        Ok(expr)
    }
}

struct Machine {
    vars: std::collections::BTreeMap<String, String>,
    fields: Vec<String>,
    line: String,
}

fn number(text: &str) -> f64 {
    let text = text.trim_start();
    let end = text
        .char_indices()
        .take_while(|(n, c)| c.is_ascii_digit() || *c == '.' || (*n == 0 && *c == '-'))
        .count();
    text[..end].parse().unwrap_or(0.0)
}

fn show(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        format!("{value:.0}")
    } else {
        format!("{value:.6}").trim_end_matches('0').to_owned()
    }
}

impl Machine {
    fn eval(&self, expr: &Expr) -> Result<String, String> {
        let truth = |b: bool| if b { "1" } else { "0" }.to_owned();
        Ok(match expr {
            Expr::Text(text) => text.clone(),
            Expr::Number(n) => show(*n),
            Expr::Name(name) if name == "NF" => self.fields.len().to_string(),
            Expr::Name(name) => self.vars.get(name).cloned().unwrap_or_default(),
            Expr::Field(n) => match number(&self.eval(n)?) as usize {
                0 => self.line.clone(),
                n => self.fields.get(n - 1).cloned().unwrap_or_default(),
            },
            Expr::Match(of, regex, not) => {
                let found = compile(regex, true, false)?.is_match(self.eval(of)?.as_bytes());
                truth(found != *not)
            }
            Expr::Compare(a, op, b) => {
                let (a, b) = (self.eval(a)?, self.eval(b)?);
                let numeric = |t: &str| t.trim().parse::<f64>().is_ok();
                let order =
                    if numeric(&a) && numeric(&b) { number(&a).total_cmp(&number(&b)) } else { a.cmp(&b) };
                truth(match op.as_str() {
                    "==" => order.is_eq(),
                    "!=" => order.is_ne(),
                    "<" => order.is_lt(),
                    ">" => order.is_gt(),
                    "<=" => order.is_le(),
                    _ => order.is_ge(),
                })
            }
            Expr::Both(a, b) => truth(self.holds(a)? && self.holds(b)?),
            Expr::Either(a, b) => truth(self.holds(a)? || self.holds(b)?),
            Expr::Not(a) => truth(!self.holds(a)?),
            Expr::Join(parts) => parts.iter().map(|p| self.eval(p)).collect::<Result<Vec<_>, _>>()?.concat(),
            Expr::Sum(a, op, b) => {
                let (a, b) = (number(&self.eval(a)?), number(&self.eval(b)?));
                match op {
                    '+' => show(a + b),
                    '-' => show(a - b),
                    '*' => show(a * b),
                    _ if b == 0.0 => return Err("division by zero".to_owned()),
                    _ => show(a / b),
                }
            }
        })
    }

    fn holds(&self, expr: &Expr) -> Result<bool, String> {
        let value = self.eval(expr)?;
        Ok(match expr {
            Expr::Text(_) | Expr::Join(_) => !value.is_empty(),
            _ => !value.is_empty() && value.trim().parse::<f64>() != Ok(0.0),
        })
    }

    fn read(&mut self, line: &str) {
        self.line = line.to_owned();
        let separator = self.vars.get("FS").map_or(" ", String::as_str);
        self.fields = match separator {
            " " => line.split_whitespace().map(str::to_owned).collect(),
            _ if line.is_empty() => Vec::new(),
            s if s.chars().count() == 1 => line.split(s).map(str::to_owned).collect(),
            s => match compile(s, true, false) {
                Ok(regex) => {
                    regex.split(line.as_bytes()).map(|f| String::from_utf8_lossy(f).into_owned()).collect()
                }
                Err(_) => vec![line.to_owned()],
            },
        };
    }

    /// Runs steps; tells whether to stop with a status.
    fn run(&mut self, steps: &[Step], out: &mut String) -> Result<Option<i32>, String> {
        for step in steps {
            match step {
                Step::Print(list) if list.is_empty() => {
                    out.push_str(&self.line);
                    out.push('\n');
                }
                Step::Print(list) => {
                    let values = list.iter().map(|e| self.eval(e)).collect::<Result<Vec<_>, _>>()?;
                    out.push_str(&values.join(self.vars.get("OFS").map_or(" ", String::as_str)));
                    out.push('\n');
                }
                Step::Printf(list) => {
                    let values = list.iter().map(|e| self.eval(e)).collect::<Result<Vec<_>, _>>()?;
                    let (bytes, _) = super::printf(&values);
                    out.push_str(&String::from_utf8_lossy(&bytes));
                }
                Step::Exit(status) => return Ok(Some(*status)),
                Step::Next => return Ok(None),
                Step::Assign(name, kind, value) => {
                    let value = self.eval(value)?;
                    let old = number(self.vars.get(name).map_or("", String::as_str));
                    let new = match kind {
                        '+' => show(old + number(&value)),
                        '-' => show(old - number(&value)),
                        _ => value,
                    };
                    self.vars.insert(name.clone(), new);
                }
            }
        }
        Ok(None)
    }
}

pub(super) fn run(cx: &mut Cx<'_>) -> Status {
    let opts =
        super::getopt(cx.args, "+F:v:", &["field-separator=", "assign="]).map_err(|e| cx.fail(2, e))?;
    let Some((program, files)) = opts.rest.split_first() else {
        return Err(cx.fail(2, "usage: awk 'program' [file ...]"));
    };
    let mut parser = Parser { chars: program.chars().collect(), at: 0, depth: 0 };
    let rules = parser.rules().map_err(|e| cx.fail(2, e))?;
    let mut machine = Machine { vars: Default::default(), fields: Vec::new(), line: String::new() };
    for assign in opts.values(&["v", "assign"]) {
        let (name, value) = assign.split_once('=').unwrap_or((assign, ""));
        machine.vars.insert(name.to_owned(), crate::shell::escape::unescape(value, true).0);
    }
    if let Some(separator) = opts.value(&["F", "field-separator"]) {
        let text = if separator == "t" {
            "\t".to_owned()
        } else {
            crate::shell::escape::unescape(separator, true).0
        };
        machine.vars.insert("FS".to_owned(), text);
    }
    let mut out = String::new();
    let result = (|| -> Result<i32, String> {
        for (_, steps) in rules.iter().filter(|(w, _)| matches!(w, When::Begin)) {
            if let Some(status) = machine.run(steps, &mut out)? {
                return Ok(status);
            }
        }
        let mut status = 0;
        if rules.iter().any(|(w, _)| !matches!(w, When::Begin)) {
            let (all, failed) = super::text::inputs(cx, files);
            status = if failed { 2 } else { 0 };
            let text = String::from_utf8_lossy(&all).into_owned();
            'lines: for (n, line) in text.lines().enumerate() {
                machine.vars.insert("NR".to_owned(), (n + 1).to_string());
                machine.read(line);
                for (when, steps) in &rules {
                    let runs = match when {
                        When::Always => true,
                        When::If(condition) => machine.holds(condition)?,
                        When::Begin | When::End => false,
                    };
                    if runs {
                        if let Some(end) = machine.run(steps, &mut out)? {
                            status = end;
                            break 'lines;
                        }
                        if steps.iter().any(|s| matches!(s, Step::Next)) {
                            continue 'lines;
                        }
                    }
                }
            }
        }
        for (_, steps) in rules.iter().filter(|(w, _)| matches!(w, When::End)) {
            machine.run(steps, &mut out)?;
        }
        Ok(status)
    })();
    cx.out(out);
    result.map_err(|e| cx.fail(2, e))
}
