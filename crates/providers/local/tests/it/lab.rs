//! A directory of the provider's, with what tests make in it; all of it goes when the lab does, also when a test fails.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use grappe_provider::Fault;
use grappe_provider_core::testing::Bench;
use grappe_ssh::testing::keygen;
use grappe_ssh::{Auth, Endpoint, Exec, Host, HostKeyCheck, Pool};
use grappe_value::Value;

/// Some objects of a provider, and a key to their machines.
///
/// Labs share a directory as plans do, with the image that all machines lie on: it is unpacked once, and stays for the next time.
pub(crate) struct Lab {
    dir: tempfile::TempDir,
    bench: Bench,
    pool: Pool,
    runtime: tokio::runtime::Runtime,
    made: Vec<(String, &'static str, Value)>,
    failed: Vec<(String, &'static str, Value)>,
}

/// What the folder of a lab begins with, before its process's pid.
const LAB: &str = "lab-";

fn lives(pid: &str) -> bool {
    Path::new("/proc").join(pid).exists()
}

/// The directory that labs share.
pub(crate) fn shared() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("local")
}

/// The value of a string attribute.
pub(crate) fn str_of<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).unwrap().as_str().unwrap()
}

impl Lab {
    pub(crate) fn new() -> Lab {
        let mut lab = Lab::over(&shared());
        lab.sweep();
        lab
    }

    /// A lab over a directory of the provider's.
    pub(crate) fn over(directory: &Path) -> Lab {
        Lab::configured(directory, "unix:///nowhere")
    }

    /// A lab over a directory, with Docker's API at a place.
    pub(crate) fn configured(directory: &Path, docker_host: &str) -> Lab {
        let prefix = format!("{LAB}{}-", std::process::id());
        let dir = tempfile::Builder::new().prefix(&prefix).tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let pool = Pool::new();
        let provider = grappe_provider_local::provider(pool.clone());
        let config = Value::object([
            ("directory", Value::from(directory.to_str().unwrap())),
            ("cache", Value::null(grappe_value::Type::String)),
            ("docker_host", docker_host.into()),
        ]);
        let bench = Bench::configured(provider, dir.path().to_owned(), &config);
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        keygen(&dir.path().join("id"), &["-t", "ed25519"]);
        Lab { dir, bench, pool, runtime, made: Vec::new(), failed: Vec::new() }
    }

    /// The key of an object of this lab's: no other lab has it.
    pub(crate) fn key(&self, name: &str) -> String {
        format!("{} {}/{name}", std::process::id(), self.path().display())
    }

    /// Removes what tests left that were killed.
    fn sweep(&mut self) {
        let mut options = std::fs::OpenOptions::new();
        let turn = options.append(true).create(true).open(shared().with_extension("sweep")).unwrap();
        turn.lock().unwrap();
        let network = Value::object([("name", Value::from("x")), ("cidr", "10.0.0.0/30".into())]);
        let machine = Value::object([
            ("name", Value::from("x")),
            ("image_id", "x".into()),
            ("network_id", "x".into()),
            ("ip", "10.0.0.1".into()),
        ]);
        for (kind, ty, args) in
            [("machines", "local_machine", machine), ("networks", "local_network", network)]
        {
            for folder in std::fs::read_dir(shared().join(kind)).into_iter().flatten().flatten() {
                let Ok(record) = std::fs::read(folder.path().join("record.json")) else { continue };
                let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
                let key = record["key"].as_str().unwrap().to_owned();
                let pid = key.split(' ').next().unwrap();
                if !lives(pid) {
                    self.bench.key = key;
                    if let Some(left) = self.bench.adopt(ty, &args) {
                        self.bench.delete(ty, &left);
                    }
                }
            }
        }
        for folder in std::fs::read_dir(env!("CARGO_TARGET_TMPDIR")).unwrap().flatten() {
            let name = folder.file_name().to_string_lossy().into_owned();
            let pid = name.strip_prefix(LAB).and_then(|rest| rest.split('-').next());
            if pid.is_some_and(|pid| !lives(pid)) {
                let _ = std::fs::remove_dir_all(folder.path());
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Tries to create an object under a key.
    pub(crate) fn try_create(
        &mut self,
        ty: &'static str,
        key: &str,
        args: &[(&str, Value)],
    ) -> Result<Value, Fault> {
        self.bench.key = self.key(key);
        let given = Value::object(args.iter().cloned());
        self.failed.push((key.to_owned(), ty, given.clone()));
        let made = self.bench.try_create(ty, &given)?;
        self.failed.retain(|(k, t, _)| (k.as_str(), *t) != (key, ty));
        self.made.retain(|(k, t, _)| (k.as_str(), *t) != (key, ty));
        self.made.push((key.to_owned(), ty, made.clone()));
        Ok(made)
    }

    pub(crate) fn create(&mut self, ty: &'static str, key: &str, args: &[(&str, Value)]) -> Value {
        self.try_create(ty, key, args).unwrap_or_else(|fault| panic!("{ty}: {fault}: {:?}", fault.details))
    }

    /// A Debian with systemd and sshd: built once, and kept in the user's cache folder and in the labs' directory.
    pub(crate) fn image(&mut self) -> Value {
        self.kept_image("kept for the next test", &[("suite", "bookworm".into())])
    }

    /// The same, with a kernel.
    pub(crate) fn image_with_kernel(&mut self) -> Value {
        let include = Value::tuple([Value::from("linux-image-cloud-amd64")]);
        self.kept_image("kept with a kernel", &[("suite", "bookworm".into()), ("include", include)])
    }

    fn kept_image(&mut self, key: &str, debian: &[(&str, Value)]) -> Value {
        let debian = Value::object(debian.iter().cloned());
        self.bench.key = key.to_owned();
        self.bench.create("local_image", &Value::object([("debian", debian)]))
    }

    pub(crate) fn network(&mut self, cidr: &str) -> Value {
        self.create("local_network", cidr, &[("name", "lab".into()), ("cidr", cidr.into())])
    }

    /// The arguments of a machine that the lab's key opens.
    pub(crate) fn machine_args(
        &self,
        image: &Value,
        network: &Value,
        name: &str,
        ip: &str,
    ) -> Vec<(&'static str, Value)> {
        let key = std::fs::read_to_string(self.path().join("id.pub")).unwrap();
        vec![
            ("name", name.into()),
            ("image_id", image.get("id").unwrap().clone()),
            ("network_id", network.get("id").unwrap().clone()),
            ("ip", ip.into()),
            ("authorized_keys", Value::tuple([Value::from(key.as_str())])),
        ]
    }

    pub(crate) fn machine(&mut self, image: &Value, network: &Value, name: &str, ip: &str) -> Value {
        let args = self.machine_args(image, network, name, ip);
        self.create("local_machine", name, &args)
    }

    pub(crate) fn bench(&mut self, key: &str) -> &mut Bench {
        self.bench.key = self.key(key);
        &mut self.bench
    }

    /// The bench, with the key that it has.
    pub(crate) fn bench_as_is(&self) -> &Bench {
        &self.bench
    }

    pub(crate) fn try_delete(&mut self, ty: &'static str, key: &str, state: &Value) -> Result<(), Fault> {
        self.bench.key = self.key(key);
        self.bench.try_delete(ty, state)?;
        self.made.retain(|(k, t, _)| (k.as_str(), *t) != (key, ty));
        Ok(())
    }

    pub(crate) fn delete(&mut self, ty: &'static str, key: &str, state: &Value) {
        self.try_delete(ty, key, state).unwrap();
    }

    /// A machine by SSH, once its sshd answers with the key that the provider told and runs a command: the pool may hold a connection to
    /// what it was before its plug was pulled.
    pub(crate) fn ssh(&self, machine: &Value) -> Host {
        let mut endpoint = Endpoint::new(
            str_of(machine, "ip"),
            "root",
            Auth::key_file(self.path().join("id")),
            HostKeyCheck::Pinned(str_of(machine, "host_key").to_owned()),
        );
        // An emulated machine on a busy computer takes its time.
        endpoint.connect_timeout = Duration::from_secs(15);
        let end = Instant::now() + Duration::from_secs(120);
        loop {
            let host = self.runtime.block_on(async {
                let host = self.pool.host(&endpoint).await?;
                host.exec(Exec::new("true")).await.map(|_| host)
            });
            match host {
                Ok(host) => return host,
                Err(error) if Instant::now() > end => panic!("no SSH after 120 s: {error}"),
                Err(_) => pause(Duration::from_millis(50)),
            }
        }
    }

    /// What a script on a machine prints.
    pub(crate) fn on(&self, host: &Host, script: &str) -> String {
        let output = self.runtime.block_on(host.exec(Exec::new(script))).unwrap();
        assert!(output.success(), "{script}: {}", output.stderr_str());
        output.stdout_str().trim().to_owned()
    }

    /// Turns a machine off from inside, without a word to its systemd, whose 252 may wait for ever for its mounts when it goes down within a
    /// second after it came up. The connection ends before the command's answer.
    pub(crate) fn power_off(&self, host: &Host) {
        let _ = self.runtime.block_on(host.exec(Exec::new("sync; systemctl --force --force poweroff")));
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for (key, ty, args) in std::mem::take(&mut self.failed) {
            self.bench.key = self.key(&key);
            if let Some(left) = self.bench.adopt(ty, &args) {
                self.made.push((key, ty, left));
            }
        }
        while let Some((key, ty, state)) = self.made.pop() {
            self.bench.key = self.key(&key);
            if let Err(fault) = self.bench.try_delete(ty, &state)
                && !std::thread::panicking()
            {
                panic!("{ty} is left: {fault}");
            }
        }
    }
}

pub(crate) fn pause(time: Duration) {
    #[expect(clippy::disallowed_methods, reason = "on the test's own thread")]
    std::thread::sleep(time);
}

/// What a command of this computer prints.
pub(crate) fn sh(script: &str) -> String {
    let output = Command::new("sh").args(["-c", script]).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Waits for what must become true within a minute.
pub(crate) fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !is() {
        assert!(Instant::now() < end, "not within 60 s: {what}");
        pause(Duration::from_millis(20));
    }
}
