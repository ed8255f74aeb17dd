//! What to run on a host, and what came of it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The limit for a command where none is said.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);
/// What the timeout error of a command names.
pub(crate) const TIMEOUT_WHAT: &str = "the command";
/// Linux refuses single arguments of 128 KiB (MAX_ARG_STRLEN).
pub(crate) const MAX_COMMAND: usize = 120_000;

/// Where a line of output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamKind {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Called for each line of output as it comes.
pub type OnOutput = Arc<dyn Fn(StreamKind, &str) + Send + Sync>;

/// A POSIX sh script to run on a host.
#[derive(Clone)]
pub struct Exec {
    pub(crate) script: String,
    pub(crate) stdin: Vec<u8>,
    pub(crate) timeout: Duration,
    pub(crate) sudo: bool,
    pub(crate) private: bool,
    pub(crate) to_its_end: bool,
    pub(crate) on_output: Option<OnOutput>,
}

/// Runs a script with somebody who always reads what it prints: without, its first word after the connection is lost would be its last
/// (SIGPIPE). What nobody hears any more is dropped. Both streams come as one.
const LISTENER: &str = r#"trap '' HUP
listen() {
  trap '' PIPE
  while IFS= read -r line || [ -n "$line" ]; do printf '%s\n' "$line" 2>/dev/null || :; done
}
exec 3>&1
status=$( { { sh -c SCRIPT 2>&1 3>&- 4>&-; echo $? >&4; } | listen >&3; } 4>&1 )
exit "$status""#;

impl Exec {
    /// Runs `script` with `sh -c`, with empty input, ten minutes at most. The script shows in the host's process list:
    /// put secrets into [`stdin`](Exec::stdin), or make it [`private`](Exec::private).
    pub fn new(script: impl Into<String>) -> Self {
        Exec {
            script: script.into(),
            stdin: Vec::new(),
            timeout: DEFAULT_TIMEOUT,
            sudo: false,
            private: false,
            to_its_end: false,
            on_output: None,
        }
    }

    /// What the script reads from its standard input.
    pub fn stdin(mut self, content: impl Into<Vec<u8>>) -> Self {
        self.stdin = content.into();
        self
    }

    /// How long the script may run, from when the host has a channel for it.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// Runs it as root, by `sudo -n`.
    pub fn sudo(mut self, sudo: bool) -> Self {
        self.sudo = sudo;
        self
    }

    /// Hands the script over by standard input, so that it shows in no process list. It then has no input of its own.
    pub fn private(mut self, private: bool) -> Self {
        self.private = private;
        self
    }

    /// Goes on to its end, within its time, when the connection is lost: for what must not be left half done. It may leave nothing behind that
    /// holds its output.
    pub fn to_its_end(mut self) -> Self {
        self.to_its_end = true;
        self
    }

    /// Calls `f` for each line of output as it comes, without its newline.
    pub fn on_output(mut self, f: OnOutput) -> Self {
        self.on_output = Some(f);
        self
    }

    /// The command line for sshd and the input, or why there is none.
    pub(crate) fn wire(&self, sudo: bool) -> Result<(String, Vec<u8>), String> {
        if self.script.contains('\0') {
            return Err("a script cannot contain a NUL character".into());
        }
        // The host enforces the limit too (a second later, so that ours is the one that is told): whatever happens to us,
        // no command of ours outlives it. sshd passes no signals on to what root runs.
        let limit = self.timeout.as_secs() + 2;
        let shell = format!("{}timeout -k 2 {limit} sh -c ", if sudo { "sudo -n -- " } else { "" });
        let script = match self.to_its_end {
            true => &LISTENER.replace("SCRIPT", &quote(&self.script)),
            false => &self.script,
        };
        let command = format!("{shell}{}", quote(script));
        if !self.private && command.len() <= MAX_COMMAND {
            return Ok((command, self.stdin.clone()));
        }
        if !self.stdin.is_empty() {
            let why = if self.private { "private" } else { "longer than 120,000 bytes" };
            return Err(format!(
                "a script that is {why} is sent by stdin, so it cannot have an input of its own"
            ));
        }
        Ok((format!("{shell}{}", quote(r#"eval "$(cat)""#)), script.clone().into_bytes()))
    }
}

impl fmt::Debug for Exec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let script = if self.private { "(private)" } else { &self.script };
        f.debug_struct("Exec")
            .field("script", &script)
            .field("stdin", &format_args!("({} bytes)", self.stdin.len()))
            .field("timeout", &self.timeout)
            .field("sudo", &self.sudo)
            .finish()
    }
}

/// `text` as one word of a POSIX shell.
pub fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExitStatus {
    /// It exited.
    Code(u32),
    /// A signal ended it (its name without SIG, as in `KILL`).
    Signal(String),
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExitStatus::Code(code) => write!(f, "exit status {code}"),
            ExitStatus::Signal(name) => write!(f, "ended by signal {name}"),
        }
    }
}

/// What a command left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// All of its standard output.
    pub stdout: Vec<u8>,
    /// All of its standard error.
    pub stderr: Vec<u8>,
}

impl Output {
    /// Exit status 0.
    pub fn success(&self) -> bool {
        self.status == ExitStatus::Code(0)
    }

    /// The exit code, unless a signal ended the command.
    pub fn code(&self) -> Option<u32> {
        match self.status {
            ExitStatus::Code(code) => Some(code),
            ExitStatus::Signal(_) => None,
        }
    }

    /// Standard output as text, without blanks at its ends.
    pub fn stdout_str(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim().to_owned()
    }

    /// Standard error as text, without blanks at its ends.
    pub fn stderr_str(&self) -> String {
        String::from_utf8_lossy(&self.stderr).trim().to_owned()
    }

    /// Itself if it succeeded; otherwise an error that says what was being done and how the host complained.
    ///
    /// # Errors
    /// The command did not exit with 0.
    pub fn check(self, what: impl Into<String>) -> Result<Output, CommandError> {
        if self.success() { Ok(self) } else { Err(self.error(what)) }
    }

    /// The error that [`check`](Output::check) makes of a failure.
    pub fn error(&self, what: impl Into<String>) -> CommandError {
        // Some tools complain on stdout.
        let complaint = if self.stderr_str().is_empty() { self.stdout_str() } else { self.stderr_str() };
        let lines: Vec<&str> = complaint.lines().filter(|line| !line.trim().is_empty()).collect();
        let tail = lines[lines.len().saturating_sub(CommandError::LINES)..].iter();
        CommandError {
            what: what.into(),
            status: self.status.clone(),
            last_lines: tail.map(|&line| line.to_owned()).collect(),
        }
    }
}

/// A command that ran and failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {status}{}", tail(.last_lines))]
pub struct CommandError {
    /// What was being done.
    pub what: String,
    /// How it ended.
    pub status: ExitStatus,
    /// The last lines the host printed about it.
    pub last_lines: Vec<String>,
}

impl CommandError {
    /// How many lines are kept.
    pub const LINES: usize = 20;
}

fn tail(lines: &[String]) -> String {
    match lines {
        [] => " with no message".into(),
        [line] => format!(": {line}"),
        lines => format!(":\n  {}", lines.join("\n  ")),
    }
}

/// Cuts a byte stream into lines for [`Exec::on_output`].
pub(crate) struct Lines {
    kind: StreamKind,
    callback: Option<OnOutput>,
    rest: Vec<u8>,
}

impl Lines {
    pub(crate) fn new(kind: StreamKind, callback: Option<OnOutput>) -> Self {
        Lines { kind, callback, rest: Vec::new() }
    }

    pub(crate) fn push(&mut self, data: &[u8]) {
        let Some(callback) = &self.callback else { return };
        self.rest.extend_from_slice(data);
        while let Some(end) = self.rest.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            callback(self.kind, visible(&String::from_utf8_lossy(&line)));
        }
    }

    /// The last line, which has no newline.
    pub(crate) fn finish(&mut self) {
        if let Some(callback) = &self.callback
            && !self.rest.is_empty()
        {
            callback(self.kind, visible(&String::from_utf8_lossy(&self.rest)));
            self.rest.clear();
        }
    }
}

/// What a terminal would show of a line: progress bars overwrite themselves after each carriage return.
fn visible(line: &str) -> &str {
    let line = line.trim_end_matches(['\r', '\n']);
    line.rsplit_once('\r').map_or(line, |(_, last)| last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn a_script_is_one_word_whatever_is_in_it() {
        assert_eq!(quote("it's $HOME"), r"'it'\''s $HOME'");
        let (command, _) = Exec::new("echo 'a'").wire(true).unwrap();
        assert_eq!(command, r"sudo -n -- timeout -k 2 602 sh -c 'echo '\''a'\'''");
    }

    #[test]
    fn private_and_long_scripts_go_by_stdin() {
        let (command, input) = Exec::new("echo secret").private(true).wire(false).unwrap();
        assert_eq!(command, r#"timeout -k 2 602 sh -c 'eval "$(cat)"'"#);
        assert_eq!(input, b"echo secret");
        let long = format!("echo {}", "x".repeat(MAX_COMMAND));
        assert_eq!(Exec::new(&long).wire(false).unwrap().1, long.as_bytes());
        assert!(Exec::new(&long).stdin("input").wire(false).unwrap_err().contains("stdin"));
        assert!(Exec::new("a\0b").wire(false).is_err());
    }

    #[test]
    fn debug_shows_neither_input_nor_private_scripts() {
        let text = format!("{:?}", Exec::new("echo s3cret").private(true).stdin("s3cret"));
        assert!(!text.contains("s3cret"), "{text}");
    }

    #[test]
    fn a_failure_carries_the_last_lines() {
        let stderr = (1..=30).map(|n| format!("line {n}\n")).collect::<String>().into_bytes();
        let output = Output { status: ExitStatus::Code(3), stdout: vec![], stderr };
        let error = output.check("install haproxy").unwrap_err();
        assert_eq!(error.last_lines.len(), CommandError::LINES);
        let text = error.to_string();
        assert!(text.starts_with("install haproxy: exit status 3:\n  line 11\n"), "{text}");
        assert!(text.ends_with("line 30"), "{text}");
    }

    #[test]
    fn output_is_cut_into_lines_across_packets() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = seen.clone();
        let mut lines = Lines::new(
            StreamKind::Stdout,
            Some(Arc::new(move |_, line| sink.lock().unwrap().push(line.to_owned()))),
        );
        for part in ["one\ntw", "o\r\n", "\n5%\r100%\rthr", "ee"] {
            lines.push(part.as_bytes());
        }
        lines.finish();
        assert_eq!(*seen.lock().unwrap(), ["one", "two", "", "three"]);
    }
}
