//! `$(( … ))`: C's integer expressions on 64 bits.

/// Evaluates an expression after expansion. `get` and `set` reach the variables named in it.
///
/// # Errors
/// A message without the shell's prefix.
pub fn evaluate(
    text: &str,
    get: &dyn Fn(&str) -> Option<String>,
    set: &mut dyn FnMut(&str, i64),
) -> Result<i64, String> {
    let mut e = Evaluator { chars: text.chars().collect(), at: 0, get, set, depth: 0, skipping: 0 };
    e.blanks();
    if e.at == e.chars.len() {
        return Ok(0);
    }
    let value = e.assignment()?;
    e.blanks();
    if e.at < e.chars.len() {
        return Err(format!("arithmetic expression: expecting EOF: \"{text}\""));
    }
    Ok(value)
}

struct Evaluator<'a> {
    chars: Vec<char>,
    at: usize,
    get: &'a dyn Fn(&str) -> Option<String>,
    set: &'a mut dyn FnMut(&str, i64),
    depth: usize,
    skipping: usize,
}

/// Binary operators by rising strength.
const LEVELS: &[&[&str]] = &[
    &["||"],
    &["&&"],
    &["|"],
    &["^"],
    &["&"],
    &["==", "!="],
    &["<=", ">=", "<", ">"],
    &["<<", ">>"],
    &["+", "-"],
    &["*", "/", "%"],
];

impl Evaluator<'_> {
    fn blanks(&mut self) {
        while self.chars.get(self.at).is_some_and(|c| c.is_whitespace()) {
            self.at += 1;
        }
    }

    fn looking_at(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(n, c)| self.chars.get(self.at + n) == Some(&c))
    }

    fn take(&mut self, text: &str) -> bool {
        self.blanks();
        let found = self.looking_at(text);
        if found {
            self.at += text.len();
        }
        found
    }

    fn fail<T>(&self, what: &str) -> Result<T, String> {
        let text: String = self.chars.iter().collect();
        Err(format!("arithmetic expression: {what}: \"{text}\""))
    }

    fn name(&self) -> String {
        let rest = self.chars[self.at..].iter();
        let name: String = rest.take_while(|c| c.is_ascii_alphanumeric() || **c == '_').collect();
        if super::parse::is_name(&name) { name } else { String::new() }
    }

    fn assignment(&mut self) -> Result<i64, String> {
        self.depth += 1;
        if self.depth > 50 {
            return self.fail("nested too deep (simulated host)");
        }
        self.blanks();
        let start = self.at;
        let name = self.name();
        if !name.is_empty() {
            self.at += name.len();
            self.blanks();
            for operator in ["=", "+=", "-=", "*=", "/=", "%=", "<<=", ">>=", "&=", "|=", "^="] {
                if self.looking_at(operator) && !(operator == "=" && self.looking_at("==")) {
                    self.at += operator.len();
                    let right = self.assignment()?;
                    let value = match operator.strip_suffix('=') {
                        Some("") | None => right,
                        Some(binary) => {
                            let left = self.variable(&name)?;
                            self.apply(binary, left, right)?
                        }
                    };
                    if self.skipping == 0 {
                        (self.set)(&name, value);
                    }
                    self.depth -= 1;
                    return Ok(value);
                }
            }
            self.at = start;
        }
        let value = self.ternary();
        self.depth -= 1;
        value
    }

    fn ternary(&mut self) -> Result<i64, String> {
        let condition = self.binary(0)?;
        if !self.take("?") {
            return Ok(condition);
        }
        self.skipping += usize::from(condition == 0);
        let yes = self.assignment()?;
        self.skipping -= usize::from(condition == 0);
        if !self.take(":") {
            return self.fail("expecting ':'");
        }
        self.skipping += usize::from(condition != 0);
        let no = self.assignment()?;
        self.skipping -= usize::from(condition != 0);
        Ok(if condition != 0 { yes } else { no })
    }

    fn binary(&mut self, level: usize) -> Result<i64, String> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        'next: loop {
            self.blanks();
            for operator in *operators {
                if !self.looking_at(operator) || self.is_longer(operator) {
                    continue;
                }
                self.at += operator.len();
                let skip = (*operator == "||" && left != 0) || (*operator == "&&" && left == 0);
                self.skipping += usize::from(skip);
                let right = self.binary(level + 1)?;
                self.skipping -= usize::from(skip);
                left = self.apply(operator, left, right)?;
                continue 'next;
            }
            return Ok(left);
        }
    }

    /// `|` is not `||`, `<` not `<<` or `<=`, and `+` not `+=`.
    fn is_longer(&self, operator: &str) -> bool {
        let next = self.chars.get(self.at + operator.len()).copied();
        match operator {
            "|" | "&" => next == operator.chars().next() || next == Some('='),
            "<" | ">" => next == operator.chars().next(),
            "+" | "-" | "*" | "/" | "%" | "^" | "<<" | ">>" => next == Some('='),
            _ => false,
        }
    }

    fn apply(&self, operator: &str, a: i64, b: i64) -> Result<i64, String> {
        Ok(match operator {
            "||" => i64::from(a != 0 || b != 0),
            "&&" => i64::from(a != 0 && b != 0),
            "|" => a | b,
            "^" => a ^ b,
            "&" => a & b,
            "==" => i64::from(a == b),
            "!=" => i64::from(a != b),
            "<=" => i64::from(a <= b),
            ">=" => i64::from(a >= b),
            "<" => i64::from(a < b),
            ">" => i64::from(a > b),
            "<<" => a.wrapping_shl(b as u32),
            ">>" => a.wrapping_shr(b as u32),
            "+" => a.wrapping_add(b),
            "-" => a.wrapping_sub(b),
            "*" => a.wrapping_mul(b),
            "/" | "%" if b == 0 && self.skipping > 0 => 0,
            "/" | "%" if b == 0 => return self.fail("division by zero"),
            "/" => a.wrapping_div(b),
            _ => a.wrapping_rem(b),
        })
    }

    fn unary(&mut self) -> Result<i64, String> {
        self.depth += 1;
        if self.depth > 50 {
            return self.fail("nested too deep (simulated host)");
        }
        self.blanks();
        let value = match self.chars.get(self.at) {
            Some('!') if self.chars.get(self.at + 1) != Some(&'=') => {
                self.at += 1;
                i64::from(self.unary()? == 0)
            }
            Some('-') => {
                self.at += 1;
                self.unary()?.wrapping_neg()
            }
            Some('+') => {
                self.at += 1;
                self.unary()?
            }
            Some('~') => {
                self.at += 1;
                !self.unary()?
            }
            Some('(') => {
                self.at += 1;
                let value = self.assignment()?;
                if !self.take(")") {
                    return self.fail("expecting ')'");
                }
                value
            }
            Some(c) if c.is_ascii_digit() => {
                let rest = self.chars[self.at..].iter();
                let word: String = rest.take_while(|c| c.is_ascii_alphanumeric()).collect();
                self.at += word.len();
                match number(&word) {
                    Some(value) => value,
                    None => return self.fail("expecting EOF"),
                }
            }
            _ => {
                let name = self.name();
                if name.is_empty() {
                    return self.fail("expecting primary");
                }
                self.at += name.len();
                self.variable(&name)?
            }
        };
        self.depth -= 1;
        Ok(value)
    }

    fn variable(&self, name: &str) -> Result<i64, String> {
        match (self.get)(name) {
            None => Ok(0),
            Some(text) if text.trim().is_empty() => Ok(0),
            Some(text) => signed(text.trim()).ok_or_else(|| format!("Illegal number: {text}")),
        }
    }
}

fn signed(text: &str) -> Option<i64> {
    match text.strip_prefix('-') {
        Some(rest) => number(rest).map(i64::wrapping_neg),
        None => number(text.strip_prefix('+').unwrap_or(text)),
    }
}

fn number(word: &str) -> Option<i64> {
    if let Some(hex) = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        return i64::from_str_radix(hex, 16).ok();
    }
    if word.len() > 1 && word.starts_with('0') {
        return i64::from_str_radix(word, 8).ok();
    }
    word.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eval(text: &str) -> Result<i64, String> {
        evaluate(text, &|n| (n == "x").then(|| "7".to_owned()), &mut |_, _| {})
    }

    #[test]
    fn c_like() {
        for (text, value) in [
            ("1+2*3", 7),
            ("(1+2)*3", 9),
            ("x%4", 3),
            ("-x", -7),
            ("!0", 1),
            ("1<2&&2<3", 1),
            ("1?2:3", 2),
            ("010", 8),
            ("0xff", 255),
            ("y", 0),
            ("", 0),
            ("1<<4", 16),
            ("5>=5", 1),
            ("0||0", 0),
            ("x=3", 3),
            ("~0", -1),
            ("7/2", 3),
            ("0&&1/0", 0),
            ("5-3-1", 1),
            ("x==7", 1),
            ("1|2", 3),
        ] {
            assert_eq!(eval(text), Ok(value), "{text}");
        }
        assert!(eval("1/0").is_err() && eval("1 +").is_err() && eval("2 3").is_err());
        assert!(eval(&"(".repeat(10_000)).is_err());
    }
}
