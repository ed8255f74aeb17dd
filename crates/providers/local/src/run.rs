//! Running this computer's own programs, and waiting for it.

use std::io;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use grappe_provider::Fault;

/// Programs that are not in every system, and Debian's package of each.
const PACKAGES: [(&str, &str); 13] = [
    ("ip", "iproute2"),
    ("flock", "util-linux"),
    ("nsenter", "util-linux"),
    ("unshare", "util-linux"),
    ("setsid", "util-linux"),
    ("pivot_root", "util-linux"),
    ("mmdebstrap", "mmdebstrap"),
    ("slirp4netns", "slirp4netns"),
    ("nft", "nftables"),
    ("zstd", "zstd"),
    ("xz", "xz-utils"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("mke2fs", "e2fsprogs"),
];

/// Where programs of an administrator are, which a user's `PATH` may lack.
const SBIN: &str = "/usr/local/sbin:/usr/sbin:/sbin";

/// A program with these arguments, in the C locale and with nothing on its standard input.
pub(crate) fn command(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned());
    command.args(args).env("PATH", format!("{path}:{SBIN}")).env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
    command
}

/// Runs a program, and returns what it printed.
pub(crate) fn run(program: &str, args: &[&str]) -> Result<String, Fault> {
    output(&mut command(program, args))
}

/// Runs a command, and returns what it printed; what it said on standard error is in the fault.
pub(crate) fn output(command: &mut Command) -> Result<String, Fault> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|e| not_run(&program, e))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let words: Vec<_> = command.get_args().map(|a| a.to_string_lossy()).take(12).collect();
    let fault = Fault::permanent(format!("{program} {}: {}", words.join(" "), output.status));
    Err(fault.details(String::from_utf8_lossy(&output.stderr)))
}

/// Why a program could not be run.
pub(crate) fn not_run(program: &str, error: io::Error) -> Fault {
    let fault = Fault::permanent(format!("can't run {program}: {error}"));
    if error.kind() != io::ErrorKind::NotFound {
        return fault;
    }
    let package = package(program);
    fault.hint(format!("install {program}; on Debian or Ubuntu: apt-get install {package}"))
}

/// The Debian package of a program.
fn package(program: &str) -> &str {
    PACKAGES.iter().find(|(name, _)| *name == program).map_or(program, |(_, package)| package)
}

/// The first of these programs that is not here, with its package.
pub(crate) fn missing<'a>(programs: &[&'a str]) -> Option<(&'a str, &'a str)> {
    let path = std::env::var("PATH").unwrap_or_default();
    let here = |program: &str| {
        path.split(':').chain(SBIN.split(':')).any(|dir| std::path::Path::new(dir).join(program).is_file())
    };
    programs.iter().find(|program| !here(program)).map(|program| (*program, package(program)))
}

/// Asks again and again until there is an answer, or `limit` has passed. To be called on a thread that may block.
pub(crate) fn wait_for<T>(
    limit: Duration,
    mut ask: impl FnMut() -> Result<Option<T>, Fault>,
) -> Result<Option<T>, Fault> {
    let end = Instant::now() + limit;
    let mut pause = Duration::from_millis(2);
    loop {
        if let Some(answer) = ask()? {
            return Ok(Some(answer));
        }
        if Instant::now() >= end {
            return Ok(None);
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "on a thread of tokio's blocking pool, never a worker"
        )]
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
