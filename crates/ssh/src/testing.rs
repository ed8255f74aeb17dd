//! A real sshd on loopback, for tests: its own configuration, keys and port, run as whoever runs the test.

use crate::{Auth, Endpoint, HostKeyCheck};
use std::fs;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const SSHD: &str = "/usr/sbin/sshd";

/// A running sshd. It ends, with all its sessions, when this is dropped.
pub struct Sshd {
    dir: TempDir,
    child: Child,
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// Who may log in: the user that runs the test.
    pub user: String,
}

impl Sshd {
    /// Starts one.
    ///
    /// # Panics
    /// When OpenSSH's server is missing or does not start; the message says what to install.
    pub fn start() -> Sshd {
        Sshd::start_with("")
    }

    /// Starts one with these lines added to its sshd_config.
    ///
    /// # Panics
    /// As [`Sshd::start`].
    pub fn start_with(config: &str) -> Sshd {
        Sshd::run(config, None)
    }

    /// Starts one that lets a user in by this password, and by nothing else: asked for as such, or in the server's own words (`keyboard-interactive`).
    /// The account exists for this sshd alone.
    ///
    /// # Panics
    /// As [`Sshd::start`], and where the test is not run as root.
    pub fn start_with_password(password: &str, keyboard_interactive: bool) -> Sshd {
        let methods = if keyboard_interactive {
            "UsePAM yes\nKbdInteractiveAuthentication yes\nAuthenticationMethods keyboard-interactive"
        } else {
            "PasswordAuthentication yes\nAuthenticationMethods password"
        };
        Sshd::run(methods, Some(password))
    }

    fn run(config: &str, password: Option<&str>) -> Sshd {
        assert!(
            Path::new(SSHD).exists(),
            "{SSHD} is missing: install OpenSSH's server (apt-get install openssh-server) to run this test"
        );
        let dir = TempDir::with_prefix("grappe-sshd-").expect("a temporary folder");
        keygen(&dir.path().join("host_ed25519"), &["-t", "ed25519"]);
        keygen(&dir.path().join("host_ecdsa"), &["-t", "ecdsa"]);
        keygen(&dir.path().join("id"), &["-t", "ed25519"]);
        fs::copy(dir.path().join("id.pub"), dir.path().join("authorized_keys")).expect("copy the public key");
        let mut user = output(Command::new("id").arg("-un"));
        if user == "root" {
            // Its privilege separation wants this folder.
            fs::create_dir_all("/run/sshd").expect("make /run/sshd");
        }
        // Sessions have a home of their own: what a developer's start-up files do (print, wait for a lock) is not tested.
        let (config, set) = split_environment(config);
        let environment = format!("HOME={}{set}", dir.path().display());
        let mut command = Command::new(SSHD);
        if let Some(password) = password {
            assert!(user == "root", "an sshd with an account of its own needs root");
            user = ACCOUNT.to_owned();
            command = beside_accounts(dir.path(), password);
        }
        command.args(["-D", "-e", "-f"]).arg(dir.path().join("sshd_config"));
        let mut last = String::new();
        // Another process may take the port between our asking for a free one and sshd's binding it.
        for _ in 0..5 {
            let port = free_port();
            // Of what is said twice, sshd heeds the first.
            let text = format!(
                "{config}\nPort {port}\nListenAddress 127.0.0.1\nHostKey {d}/host_ed25519\nHostKey {d}/host_ecdsa\n\
                 AuthorizedKeysFile {d}/authorized_keys\nPidFile none\nUsePAM no\nStrictModes no\nLogLevel VERBOSE\n\
                 PasswordAuthentication no\nKbdInteractiveAuthentication no\nSetEnv {environment}\n",
                d = dir.path().display()
            );
            write(&dir.path().join("sshd_config"), &text);
            let log = log_file(&dir.path().join("log"));
            let mut child =
                command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("start sshd");
            if wait_for_port(port, &mut child) {
                return Sshd { dir, child, port, user };
            }
            let _ = child.kill();
            let _ = child.wait();
            last = fs::read_to_string(dir.path().join("log")).unwrap_or_default();
        }
        panic!("sshd does not start:\n{last}");
    }

    /// The folder with its keys and its log, for files of the test too.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The private key that may log in.
    pub fn key(&self) -> PathBuf {
        self.dir.path().join("id")
    }

    /// The OpenSSH line of its host key of this kind (`ed25519`, `ecdsa`), without a comment.
    pub fn host_key(&self, kind: &str) -> String {
        let line =
            fs::read_to_string(self.dir.path().join(format!("host_{kind}.pub"))).expect("the host key");
        line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
    }

    /// Logs in with the key, with its host key pinned.
    pub fn endpoint(&self) -> Endpoint {
        let check = HostKeyCheck::Pinned(self.host_key("ed25519"));
        let mut endpoint = Endpoint::new("127.0.0.1", &self.user, Auth::key_file(self.key()), check);
        endpoint.port = self.port;
        endpoint
    }

    /// All it has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// How many TCP connections it has logged a login on.
    pub fn logins(&self) -> usize {
        // An sshd that is not root logs some of them twice: what counts is the client's port.
        let log = self.log();
        let accepted = log.lines().filter(|line| line.starts_with("Accepted publickey"));
        accepted
            .filter_map(|line| line.split(" port ").nth(1))
            .collect::<std::collections::BTreeSet<_>>()
            .len()
    }

    /// Kills the server's processes (the sessions' too), as a power cut would. It no longer listens after that.
    pub fn kill(&mut self) {
        // The sessions first: without their parent they could not be told from others.
        self.kill_sessions();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Kills the sessions and what runs in them; the server goes on listening.
    pub fn kill_sessions(&self) {
        self.kill_family(|_| true);
    }

    /// Cuts the connections; what runs in their sessions lives on and sees its input end.
    pub fn kill_connections(&self) {
        self.kill_family(|name| name.starts_with("sshd"));
    }

    /// Kills those of the server's descendants whose command name is wanted.
    fn kill_family(&self, wanted: impl Fn(&str) -> bool) {
        let processes: Vec<(u32, u32, String)> = fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                let pid = entry.file_name().to_str()?.parse().ok()?;
                let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
                // pid (name) state ppid …; the name may hold blanks and parentheses.
                let (head, tail) = stat.rsplit_once(')')?;
                let name = head.split_once('(')?.1.to_owned();
                Some((pid, tail.split_whitespace().nth(1)?.parse().ok()?, name))
            })
            .collect();
        let mut family = vec![self.child.id()];
        let mut next = 0;
        while next < family.len() {
            for (pid, parent, name) in &processes {
                if *parent == family[next] {
                    family.push(*pid);
                    if wanted(name) {
                        let _ = Command::new("kill")
                            .args(["-9", &pid.to_string()])
                            .stderr(Stdio::null())
                            .status();
                    }
                }
            }
            next += 1;
        }
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A real ssh-agent with an empty key ring. It ends when this is dropped.
pub struct Agent {
    dir: TempDir,
    child: Child,
}

impl Agent {
    /// Starts one.
    ///
    /// # Panics
    /// When ssh-agent is missing (apt-get install openssh-client) or does not start.
    pub fn start() -> Agent {
        let dir = TempDir::with_prefix("grappe-agent-").expect("a temporary folder");
        let child = Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(dir.path().join("socket"))
            .stdout(Stdio::null())
            .spawn()
            .expect("start ssh-agent (apt-get install openssh-client)");
        let agent = Agent { dir, child };
        wait_until("ssh-agent's socket", || agent.socket().exists());
        agent
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("socket")
    }

    /// Loads a key. `passphrase` opens an encrypted one.
    ///
    /// # Panics
    /// When ssh-add refuses.
    pub fn add(&self, key: &Path, passphrase: &str) {
        let askpass = self.dir.path().join("askpass");
        write(&askpass, &format!("#!/bin/sh\necho '{passphrase}'\n"));
        fs::set_permissions(&askpass, fs::Permissions::from_mode(0o700)).expect("chmod");
        output(
            Command::new("ssh-add")
                .arg(key)
                .env("SSH_AUTH_SOCK", self.socket())
                .env("SSH_ASKPASS", &askpass)
                .env("SSH_ASKPASS_REQUIRE", "force")
                .stdin(Stdio::null()),
        );
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The only user that [`Sshd::start_with_password`] lets in.
const ACCOUNT: &str = "grappe-tester";

/// An sshd that sees accounts of its own: those of this computer are never touched.
fn beside_accounts(dir: &Path, password: &str) -> Command {
    let salted = "print crypt($ARGV[0], q($6$grappe$))";
    let hash = output(Command::new("perl").args(["-e", salted, password]));
    let own = |name: &str, line: String| {
        let there = fs::read_to_string(Path::new("/etc").join(name)).expect("the accounts of this computer");
        write(&dir.join(name), &format!("{there}{line}\n"));
    };
    own("passwd", format!("{ACCOUNT}:x:61234:61234::/tmp:/bin/sh"));
    own("shadow", format!("{ACCOUNT}:{hash}:19000:0:99999:7:::"));
    write(
        &dir.join("pam"),
        "auth required pam_unix.so\naccount required pam_unix.so\nsession required pam_permit.so\n",
    );
    let script = "mount --bind $0/passwd /etc/passwd && mount --bind $0/shadow /etc/shadow && \
                  if [ -e /etc/pam.d/sshd ]; then mount --bind $0/pam /etc/pam.d/sshd; fi && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", script]).arg(dir).arg(SSHD);
    command
}

/// The lines of an sshd_config without its `SetEnv`, and what that sets: sshd heeds only the first.
fn split_environment(config: &str) -> (String, String) {
    let (set, rest): (Vec<&str>, Vec<&str>) = config.lines().partition(|line| line.starts_with("SetEnv "));
    (rest.join("\n"), set.iter().map(|line| &line["SetEnv".len()..]).collect())
}

/// Makes a key pair with ssh-keygen: no passphrase unless `args` has a `-N`.
///
/// # Panics
/// When ssh-keygen is missing (apt-get install openssh-client) or refuses.
pub fn keygen(path: &Path, args: &[&str]) {
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-f"]).arg(path).args(args);
    if !args.contains(&"-N") {
        command.args(["-N", ""]);
    }
    output(&mut command);
}

/// Writes a file of the test.
///
/// # Panics
/// When that fails.
#[expect(clippy::disallowed_methods, reason = "a throw-away file of a test")]
pub fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|error| panic!("write {}: {error}", path.display()));
}

#[expect(clippy::disallowed_methods, reason = "a throw-away file of a test")]
fn log_file(path: &Path) -> fs::File {
    fs::File::create(path).expect("make the log")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().map(|address| address.port()).expect("a bound socket has an address")
}

fn wait_for_port(port: u16, child: &mut Child) -> bool {
    let end = Instant::now() + Duration::from_secs(20);
    while Instant::now() < end && matches!(child.try_wait(), Ok(None)) {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(_) => return true,
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => pause(),
            Err(error) => panic!("loopback does not work: {error}"),
        }
    }
    false
}

/// Waits up to twenty seconds for `done`.
///
/// # Panics
/// When it does not come.
pub fn wait_until(what: &str, done: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < end, "{what} did not come within 20 seconds");
        pause();
    }
}

#[expect(clippy::disallowed_methods, reason = "the set-up of a test, outside any runtime's hot path")]
fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}

/// What a command prints.
fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| {
        panic!("{command:?} cannot be run ({error}): apt-get install openssh-client openssh-server")
    });
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
