//! bash's `[[ … ]]`: like `test`, but words do not split, `==` takes a pattern and `=~` a regular expression.

use super::ast::{Part, Word};
use super::io::Io;
use super::{Flow, Shell, pattern, test};

struct Parser<'a> {
    shell: &'a mut Shell,
    words: &'a [Word],
    io: &'a Io,
    at: usize,
    depth: usize,
}

type Value = Result<Result<bool, String>, Flow>;

macro_rules! value {
    ($e:expr) => {
        match $e? {
            Ok(value) => value,
            Err(message) => return Ok(Err(message)),
        }
    };
}

/// Evaluates; the inner error is a message, the outer one ends the shell.
pub(super) fn evaluate(shell: &mut Shell, words: &[Word], io: &Io) -> Value {
    let mut parser = Parser { shell, words, io, at: 0, depth: 0 };
    let result = value!(parser.or());
    if parser.at < words.len() {
        return Ok(Err("syntax error in conditional expression".to_owned()));
    }
    Ok(Ok(result))
}

impl Parser<'_> {
    fn operator(&self, n: usize) -> Option<&str> {
        match self.words.get(self.at + n)?.0.as_slice() {
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    fn or(&mut self) -> Value {
        self.depth += 1;
        if self.depth > 50 {
            return Ok(Err("nested too deep (simulated host)".to_owned()));
        }
        let mut value = value!(self.and());
        while self.operator(0) == Some("||") {
            self.at += 1;
            value |= value!(self.and());
        }
        self.depth -= 1;
        Ok(Ok(value))
    }

    fn and(&mut self) -> Value {
        let mut value = value!(self.not());
        while self.operator(0) == Some("&&") {
            self.at += 1;
            value &= value!(self.not());
        }
        Ok(Ok(value))
    }

    fn not(&mut self) -> Value {
        let mut negate = false;
        while self.operator(0) == Some("!") {
            self.at += 1;
            negate = !negate;
        }
        let value = value!(self.primary());
        Ok(Ok(value != negate))
    }

    fn primary(&mut self) -> Value {
        if self.operator(0) == Some("(") {
            self.at += 1;
            let value = value!(self.or());
            if self.operator(0) != Some(")") {
                return Ok(Err("`)' expected".to_owned()));
            }
            self.at += 1;
            return Ok(Ok(value));
        }
        let words = self.words;
        let Some(first) = words.get(self.at) else { return Ok(Err("argument expected".to_owned())) };
        let ends = |op: Option<&str>| matches!(op, None | Some("&&" | "||" | ")"));
        if let (Some(op), Some(arg)) = (self.operator(0).map(str::to_owned), words.get(self.at + 1))
            && op.starts_with('-')
            && (self.at + 2 >= words.len() || ends(self.operator(2)))
        {
            let arg = self.shell.expand_string(arg, self.io)?;
            self.at += 2;
            return Ok(test::unary(self.shell, &op, &arg)
                .and_then(|v| v.ok_or_else(|| format!("{op}: unary operator expected"))));
        }
        let left = self.shell.expand_string(first, self.io)?;
        if self.at + 1 >= words.len() || ends(self.operator(1)) {
            self.at += 1;
            return Ok(Ok(!left.is_empty()));
        }
        let op = self.operator(1).unwrap_or_default().to_owned();
        let Some(right) = words.get(self.at + 2) else { return Ok(Err("argument expected".to_owned())) };
        self.at += 3;
        match op.as_str() {
            "==" | "=" | "!=" => {
                let marks = self.shell.expand_marks(right, self.io)?;
                let text: Vec<char> = left.chars().collect();
                Ok(Ok(pattern::matches(&marks, &text) == (op != "!=")))
            }
            "=~" => {
                let marks = self.shell.expand_marks(right, self.io)?;
                let text: String = marks
                    .iter()
                    .map(|(c, quoted)| if *quoted { regex::escape(&c.to_string()) } else { c.to_string() })
                    .collect();
                match regex::Regex::new(&text) {
                    Ok(regex) => Ok(Ok(regex.is_match(&left))),
                    Err(_) => Ok(Err("invalid regular expression".to_owned())),
                }
            }
            _ => {
                let right = self.shell.expand_string(right, self.io)?;
                Ok(test::binary(self.shell, &left, &op, &right)
                    .and_then(|v| v.ok_or_else(|| format!("{op}: conditional binary operator expected"))))
            }
        }
    }
}
