//! Starting the bed, or joining it where it is up.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use grappe_bed_stages::{Build, folder};
use serde_json::Value;

use crate::{ADDRESS, recipe};

/// A start takes a tenth of it on an idle machine, and the bed gives up before.
const START: Duration = Duration::from_secs(420);
/// An answer to what is asked of a bed that is up.
const ANSWER: Duration = Duration::from_secs(60);
/// How much of a log is shown, in lines.
const SHOWN: usize = 20;

/// The bed, up and used: it stays while this lives.
#[derive(Debug)]
pub struct Bed {
    address: IpAddr,
    run: PathBuf,
    venv: PathBuf,
    control: Mutex<BufReader<UnixStream>>,
    _hold: File,
}

impl Bed {
    /// Joins the bed, and starts it where it is not up.
    ///
    /// # Errors
    ///
    /// Where it is not built, or does not start within 7 minutes: with what its services said.
    pub fn open() -> Result<Bed> {
        Self::reach(true)?.context("the OpenStack test bed is not up")
    }

    /// Joins the bed where it is up.
    ///
    /// # Errors
    ///
    /// Where it is up but fails.
    pub fn running() -> Result<Option<Bed>> {
        Self::reach(false)
    }

    fn reach(start: bool) -> Result<Option<Bed>> {
        let build = recipe::build(folder("openstack")?);
        let unbuilt = || "the OpenStack test bed is not built: run `cargo xtask bed openstack` as root";
        // Held first: what is there then stays.
        let hold = match build.hold() {
            Ok(hold) => hold,
            Err(_) if !start => return Ok(None),
            Err(error) => return Err(error.context(unbuilt())),
        };
        if !build.missing().is_empty() {
            if !start {
                return Ok(None);
            }
            bail!(unbuilt());
        }
        let place = Place::of(&build)?;
        let Some((control, address)) = place.join(start)? else { return Ok(None) };
        let venv = place.venv;
        Ok(Some(Bed { address, run: place.run, venv, control: Mutex::new(control), _hold: hold }))
    }

    /// Where all services listen.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Where clients look for users.
    pub fn auth_url(&self) -> String {
        format!("http://{}:5000/v3", self.address)
    }

    /// The folder of `clouds.yaml` (cloud `bed`, the administrator) and `openrc`, which only their owner reads, and of the logs.
    pub fn folder(&self) -> &Path {
        &self.run
    }

    /// OpenStack's own client, without a user: [`Tenant::openstack`](crate::Tenant::openstack) has one.
    pub(crate) fn client(&self) -> Command {
        self.program("openstack")
    }

    /// The Python that has OpenStack's SDK.
    pub fn python(&self) -> Command {
        self.program("python")
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.venv.join("bin").join(name));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", &self.run);
        command.env("LANG", "C.UTF-8").env("no_proxy", "127.0.0.0/8").stdin(Stdio::null());
        command
    }

    /// OpenStack's own client as the administrator.
    pub fn openstack(&self, args: &[&str]) -> Result<String> {
        let mut command = self.client();
        command.env("OS_CLIENT_CONFIG_FILE", self.run.join("clouds.yaml")).env("OS_CLOUD", "bed").args(args);
        said(&mut command)
    }

    /// Lets the bed stay when nobody uses it any more, until [`Self::stop`].
    ///
    /// # Errors
    ///
    /// Where the bed has gone.
    pub fn keep(&self) -> Result<()> {
        self.tell("keep")
    }

    /// Lets the bed end when its last user has gone, without waiting for another.
    ///
    /// # Errors
    ///
    /// Where the bed has gone.
    pub fn leave(self) -> Result<()> {
        self.tell("leave")
    }

    /// Ends the bed, whoever uses it, and waits for the end of all its processes.
    ///
    /// # Errors
    ///
    /// Where it does not end.
    pub fn stop(self) -> Result<()> {
        self.tell("stop")?;
        let mut control = self.control.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut line = String::new();
        match control.read_line(&mut line) {
            // It ends by its process's end.
            Ok(0) => Ok(()),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(()),
            Err(error) => Err(error).context("the OpenStack test bed does not end"),
            Ok(_) => bail!("the OpenStack test bed says {line:?} instead of ending"),
        }
    }

    fn tell(&self, what: &str) -> Result<()> {
        let control = self.control.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut stream = control.get_ref();
        stream.write_all(format!("{what}\n").as_bytes()).context("the OpenStack test bed has gone")
    }

    /// Asks, and reads the answer.
    pub(crate) fn ask(&self, what: &str) -> Result<Value> {
        self.tell(what)?;
        let mut control = self.control.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut line = String::new();
        control.read_line(&mut line).context("the OpenStack test bed does not answer")?;
        serde_json::from_str(&line).with_context(|| format!("the OpenStack test bed says {line:?}"))
    }
}

/// What a program prints, and an error with what it complains of.
pub(crate) fn said(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("can't run {command:?}"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let args: Vec<_> = command.get_args().map(|arg| arg.to_string_lossy()).collect();
        bail!("openstack {}: {}: {}", args.join(" "), output.status, text.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Where a bed of this content runs.
struct Place {
    run: PathBuf,
    venv: PathBuf,
    golden: PathBuf,
    /// What the bed locks as its users do, so that all of it stays.
    hold: PathBuf,
}

impl Place {
    fn of(build: &Build) -> Result<Place> {
        let golden = build.product("golden");
        let name = golden.file_name().unwrap_or_default().to_string_lossy().replace("golden", "run");
        let run = golden.with_file_name(name);
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&run);
        made.with_context(|| format!("can't create {}", run.display()))?;
        Ok(Place { run, venv: build.product("venv").join("venv"), golden, hold: build.in_use() })
    }

    /// A connection to the bed, once it is up: it is started by whoever finds it down.
    fn join(&self, start: bool) -> Result<Option<(BufReader<UnixStream>, IpAddr)>> {
        let deadline = Instant::now() + START;
        let mut started = false;
        loop {
            if let Ok(stream) = self.connect() {
                stream
                    .set_read_timeout(Some(deadline.saturating_duration_since(Instant::now()).max(ANSWER)))?;
                let mut control = BufReader::new(stream);
                let mut line = String::new();
                match control.read_line(&mut line) {
                    Ok(0) => {}
                    Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
                    Err(error) => {
                        return Err(error)
                            .with_context(|| format!("the OpenStack test bed does not start{}", self.log()));
                    }
                    Ok(_) => match line.trim().split_once(' ') {
                        Some(("ready", address)) => {
                            control.get_ref().set_read_timeout(Some(ANSWER))?;
                            return Ok(Some((control, address.parse()?)));
                        }
                        Some(("failed", why)) => {
                            let why: String = serde_json::from_str(why).unwrap_or_else(|_| why.to_owned());
                            bail!(
                                "the OpenStack test bed does not start: {why}\nIts logs are in {}.",
                                self.logs().display()
                            );
                        }
                        _ => bail!("the OpenStack test bed says {line:?}"),
                    },
                }
            }
            // The lock is the bed's while any of its processes lives: it gets this file from us, and we forget it.
            let alive =
                File::options().write(true).create(true).truncate(false).open(self.run.join("alive"))?;
            if alive.try_lock().is_ok() {
                if !start {
                    return Ok(None);
                }
                if started {
                    bail!("the OpenStack test bed has gone while it started{}", self.log());
                }
                self.start(&alive)?;
                started = true;
            }
            if Instant::now() > deadline {
                bail!(
                    "the OpenStack test bed is neither up nor down after {} s{}",
                    START.as_secs(),
                    self.log()
                );
            }
            pause();
        }
    }

    /// Through the folder's descriptor, since the address of a socket is short.
    fn connect(&self) -> std::io::Result<UnixStream> {
        let folder = File::open(&self.run)?;
        UnixStream::connect(format!("/proc/self/fd/{}/control", folder.as_raw_fd()))
    }

    fn logs(&self) -> PathBuf {
        self.run.join("log")
    }

    fn log(&self) -> String {
        let path = self.run.join("bed.log");
        let text = fs::read_to_string(&path).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let end = lines[lines.len().saturating_sub(SHOWN)..].join("\n");
        format!("; the log {} ends:\n{end}", path.display())
    }

    /// Starts the bed, apart from us: a session and a process namespace of its own.
    fn start(&self, alive: &File) -> Result<()> {
        let log = self.run.join("bed.log");
        let log = File::options().write(true).create(true).truncate(true).open(log)?;
        let mut command = Command::new("setsid");
        command.args(["unshare", "--mount", "--propagation", "private", "--pid", "--mount-proc"]);
        command.args(["--fork", "--kill-child"]);
        command.arg(self.venv.join("bin/python")).arg(self.golden.join("bed/bed.py")).arg("serve");
        command.arg("--venv").arg(&self.venv).arg("--folder").arg(&self.run);
        command.arg("--golden").arg(self.golden.join("state")).arg("--hold").arg(&self.hold);
        if let Some(address) = std::env::var_os(ADDRESS) {
            command.arg("--address").arg(address);
        }
        command.stdin(alive.try_clone()?).stdout(log.try_clone()?).stderr(log);
        let mut child = command.spawn().context("can't run setsid (package util-linux)")?;
        // It is waited for by nobody when we end before it; while we live, it must not stay a zombie.
        std::thread::Builder::new().name("bed".into()).spawn(move || child.wait())?;
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "a test, or a person, waits for another process")]
fn pause() {
    std::thread::sleep(Duration::from_millis(100));
}
