//! `test` and `[`.

use super::Shell;
use crate::host::files::{Kind, Node};

/// Evaluates the words of a test.
///
/// # Errors
/// A message without the shell's prefix; the exit status is then 2.
pub fn evaluate(shell: &Shell, words: &[String]) -> Result<bool, String> {
    // POSIX decides by the number of arguments first, so that `[ "$x" = "$y" ]` holds whatever the values look like.
    match words {
        [] => return Ok(false),
        [one] => return Ok(!one.is_empty()),
        [not, one] if not == "!" => return Ok(one.is_empty()),
        [op, arg] => {
            return unary(shell, op, arg)?.ok_or_else(|| format!("{op}: unexpected operator"));
        }
        [left, op, right] => {
            if let Some(result) = binary(shell, left, op, right)? {
                return Ok(result);
            }
            if left == "!" {
                return evaluate(shell, &words[1..]).map(|b| !b);
            }
            if left == "(" && right == ")" {
                return Ok(!op.is_empty());
            }
        }
        [not, rest @ ..] if rest.len() == 3 && not == "!" => return evaluate(shell, rest).map(|b| !b),
        _ => {}
    }
    let mut parser = Parser { shell, words, at: 0, depth: 0 };
    let result = parser.or()?;
    if parser.at < words.len() {
        return Err(format!("{}: unexpected operator", words[parser.at]));
    }
    Ok(result)
}

struct Parser<'a> {
    shell: &'a Shell,
    words: &'a [String],
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&str> {
        self.words.get(self.at).map(String::as_str)
    }

    fn or(&mut self) -> Result<bool, String> {
        self.depth += 1;
        if self.depth > 100 {
            return Err("nested too deep (simulated host)".to_owned());
        }
        let mut value = self.and()?;
        while self.peek() == Some("-o") {
            self.at += 1;
            value |= self.and()?;
        }
        self.depth -= 1;
        Ok(value)
    }

    fn and(&mut self) -> Result<bool, String> {
        let mut value = self.not()?;
        while self.peek() == Some("-a") {
            self.at += 1;
            value &= self.not()?;
        }
        Ok(value)
    }

    fn not(&mut self) -> Result<bool, String> {
        let mut negate = false;
        while self.peek() == Some("!") {
            self.at += 1;
            negate = !negate;
        }
        self.primary().map(|v| v != negate)
    }

    fn primary(&mut self) -> Result<bool, String> {
        let rest = &self.words[self.at.min(self.words.len())..];
        if let [left, op, right, ..] = rest
            && let Some(value) = binary(self.shell, left, op, right)?
        {
            self.at += 3;
            return Ok(value);
        }
        match rest {
            [open, ..] if open == "(" => {
                self.at += 1;
                let value = self.or()?;
                if self.peek() != Some(")") {
                    return Err("closing paren expected".to_owned());
                }
                self.at += 1;
                Ok(value)
            }
            [op, arg, ..] => {
                if let Some(value) = unary(self.shell, op, arg)? {
                    self.at += 2;
                    return Ok(value);
                }
                self.at += 1;
                Ok(!op.is_empty())
            }
            [one] => {
                self.at += 1;
                Ok(!one.is_empty())
            }
            [] => Err("argument expected".to_owned()),
        }
    }
}

/// A unary primary; none if `op` is none.
pub(super) fn unary(shell: &Shell, op: &str, arg: &str) -> Result<Option<bool>, String> {
    let stat = || -> Option<Node> {
        let path = shell.path(arg);
        if arg.is_empty() { None } else { shell.host(|h, now| h.stat(&path, now).ok()) }
    };
    let root = shell.user == "root";
    let mine = |n: &Node| n.owner == shell.user;
    Ok(Some(match op {
        "-n" => !arg.is_empty(),
        "-z" => arg.is_empty(),
        "-e" | "-a" => stat().is_some(),
        "-f" => stat().is_some_and(|n| matches!(n.kind, Kind::File(_)) && !arg.starts_with("/dev/")),
        "-d" => stat().is_some_and(|n| n.is_dir()),
        "-s" => stat().is_some_and(|n| n.size() > 0),
        "-r" => stat().is_some_and(|n| root || n.mode & if mine(&n) { 0o400 } else { 0o004 } != 0),
        "-w" => stat().is_some_and(|n| root || n.mode & if mine(&n) { 0o200 } else { 0o002 } != 0),
        "-x" => stat().is_some_and(|n| n.mode & 0o111 != 0),
        "-h" | "-L" => {
            let path = shell.path(arg);
            shell.host(|h, _| h.files.lstat(&path).is_ok_and(|(_, n)| matches!(n.kind, Kind::Link(_))))
        }
        "-O" => stat().is_some_and(|n| mine(&n)),
        "-c" => arg == "/dev/null",
        "-u" => stat().is_some_and(|n| n.mode & 0o4000 != 0),
        "-g" => stat().is_some_and(|n| n.mode & 0o2000 != 0),
        "-k" => stat().is_some_and(|n| n.mode & 0o1000 != 0),
        "-b" | "-p" | "-S" => {
            op == "-S"
                && match arg {
                    "/run/containerd/containerd.sock" | "/var/run/containerd/containerd.sock" => {
                        shell.host(|h, _| h.active("containerd"))
                    }
                    _ => false,
                }
        }
        "-t" => false,
        "-v" if shell.bash => shell.var(arg).is_some(),
        _ => return Ok(None),
    }))
}

/// A binary primary; none if `op` is none.
pub(super) fn binary(shell: &Shell, left: &str, op: &str, right: &str) -> Result<Option<bool>, String> {
    let numbers = || -> Result<(i64, i64), String> {
        let number = |text: &str| {
            text.trim().parse::<i64>().map_err(|_| {
                if shell.bash {
                    format!("{text}: integer expression expected")
                } else {
                    format!("Illegal number: {text}")
                }
            })
        };
        Ok((number(left)?, number(right)?))
    };
    let time = |path: &str| {
        let path = shell.path(path);
        shell.host(|h, now| h.stat(&path, now).ok().map(|n| n.mtime))
    };
    Ok(Some(match op {
        "=" => left == right,
        "==" if shell.bash => left == right,
        "!=" => left != right,
        "<" => left < right,
        ">" => left > right,
        "-eq" => numbers().map(|(a, b)| a == b)?,
        "-ne" => numbers().map(|(a, b)| a != b)?,
        "-lt" => numbers().map(|(a, b)| a < b)?,
        "-le" => numbers().map(|(a, b)| a <= b)?,
        "-gt" => numbers().map(|(a, b)| a > b)?,
        "-ge" => numbers().map(|(a, b)| a >= b)?,
        "-nt" => time(left) > time(right),
        "-ot" => time(left) < time(right),
        "-ef" => shell.path(left) == shell.path(right),
        _ => return Ok(None),
    }))
}
