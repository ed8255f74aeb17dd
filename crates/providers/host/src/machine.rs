//! `host_machine`: a machine that SSH reaches. It waits until the machine can be worked with, and exports how.

use std::time::{Duration, Instant};

use grappe_provider::{Change, Context, Fault, Importable, Imported, Problem, Resource, Timeouts};
use grappe_ssh::{Cause, Endpoint, Host, HostKeyCheck, SshError};
use grappe_value::{Attribute, Schema, Type, Value};
use serde::{Deserialize, Serialize};

use crate::facts::{self, Facts};
use crate::{Bastion, Connection, Hosts, Session, duration, fault};

/// A booting machine may accept connections before cloud-init has put our key in its place.
const KEY_GRACE: Duration = Duration::from_secs(90);

/// The resource type `host_machine`.
pub struct HostMachine;

/// The arguments of a `host_machine`.
#[derive(Clone, Debug, Deserialize)]
pub struct Args {
    address: String,
    port: u16,
    user: String,
    sudo: Option<bool>,
    host_key: Option<String>,
    known_hosts: bool,
    private_key_file: Option<String>,
    agent: Option<bool>,
    bastion: Option<Bastion>,
    instance: Option<String>,
    wait_timeout: String,
}

/// What is kept of a `host_machine`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    id: String,
    host_key: Option<String>,
    connection: Connection,
    #[serde(flatten)]
    facts: Facts,
}

impl Args {
    /// `host_key` is the one that is pinned by now.
    fn connection(&self, id: &str, host_key: Option<String>) -> Connection {
        Connection {
            id: Some(id.to_owned()),
            address: self.address.clone(),
            port: self.port,
            user: self.user.clone(),
            sudo: Some(self.sudo.unwrap_or(self.user != "root")),
            host_key,
            private_key_file: self.private_key_file.clone(),
            agent: Some(self.agent.unwrap_or(self.private_key_file.is_none())),
            bastion: self.bastion.clone(),
        }
    }

    fn endpoint(&self, hosts: &Hosts, connection: &Connection) -> Endpoint {
        let mut endpoint = hosts.endpoint(connection);
        if connection.host_key.is_none() && !self.known_hosts {
            endpoint.host_key = HostKeyCheck::FirstUse;
        }
        endpoint
    }

    fn deadline(&self) -> Result<Instant, Fault> {
        let wait = duration::parse(&self.wait_timeout)
            .map_err(|why| Fault::permanent(why).attribute("wait_timeout"))?;
        Ok(Instant::now() + wait)
    }
}

impl Resource for HostMachine {
    type Client = Hosts;
    type Args = Args;
    type State = State;

    fn name(&self) -> &'static str {
        "host_machine"
    }

    fn schema(&self) -> Schema {
        let fact = |ty, description| Attribute::computed(ty, description);
        Schema::new(
            "A machine that SSH reaches. Waits until sshd answers and cloud-init is done, records the host's key, and exports \
             `connection` for all that lives on the machine. Destroying it leaves the machine as it is.",
        )
        .attr("address", Attribute::required(Type::String, "A host name or an IP address."))
        .attr("port", Attribute::optional(Type::Number, "The TCP port of sshd.").default(22))
        .attr("user", Attribute::optional(Type::String, "Who logs in.").default("root"))
        .attr("sudo", Attribute::optional(Type::Bool, "Whether commands run as root by sudo. They do unless `user` is root."))
        .attr(
            "host_key",
            Attribute::optional_computed(
                Type::String,
                "The host's key: an OpenSSH public key line or `SHA256:…`. Without it, the key that is shown first is recorded \
                 and no other one accepted from then on.",
            ),
        )
        .attr(
            "known_hosts",
            Attribute::optional(Type::Bool, "Whether the first key shown must be in the user's or the system's known_hosts.")
                .default(false)
                .record(),
        )
        .attr(
            "private_key_file",
            Attribute::optional(Type::String, "The private key to log in with; a relative path starts at the plan's folder."),
        )
        .attr("agent", Attribute::optional(Type::Bool, "Whether the SSH agent is asked. It is unless there is a key file."))
        .attr(
            "bastion",
            Attribute::optional(
                Bastion::ty(),
                "The host to go through: an object with `address` and, as needed, `port`, `user`, `host_key`, \
                 `private_key_file`, `agent`; `host_machine.NAME.connection` fits.",
            ),
        )
        .attr(
            "instance",
            Attribute::optional(
                Type::String,
                "The id of the virtual machine behind the address. Another one is another machine, on which everything is new.",
            )
            .replace()
            .home(),
        )
        .attr(
            "wait_timeout",
            Attribute::optional(Type::String, "How long to wait for sshd and cloud-init: `90s`, `10m`.").default("10m").record(),
        )
        .attr("id", fact(Type::String, "The machine's identity: `instance`, or one of our making."))
        .attr("connection", fact(Connection::ty(), "How to reach it: the `host` of what lives on it."))
        .attr("hostname", fact(Type::String, "Its own name."))
        .attr("os_id", fact(Type::String, "Its system: `debian`, `ubuntu`, `rhel`."))
        .attr("os_version", fact(Type::String, "Its system's version: `12`, `24.04`."))
        .attr("kernel", fact(Type::String, "The release of its kernel."))
        .attr("arch", fact(Type::String, "Its architecture: `x86_64`, `aarch64`."))
        .attr("cpus", fact(Type::Number, "Its processors."))
        .attr("memory_mb", fact(Type::Number, "Its memory in MiB."))
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        let mut problems = Vec::new();
        if let Some(text) = config.get("wait_timeout").and_then(Value::as_str)
            && let Err(why) = duration::parse(text)
        {
            problems.push(Problem::new("wait_timeout", why));
        }
        if let Some(text) = config.get("private_key_file").and_then(Value::as_str)
            && text.contains("PRIVATE KEY-----")
        {
            problems.push(Problem::new("private_key_file", "this is a key, not the path of a file").hint(
                "keep keys out of plans: put it into a file of mode 0600, or load it into the SSH agent",
            ));
        }
        problems
    }

    /// The connection is known as soon as its parts are; the identity stays through all changes but that of `instance`.
    fn plan(&self, change: &mut Change<'_>) {
        let instance = change.planned().get("instance").filter(|instance| !instance.is_null()).cloned();
        if change.prior.is_none()
            && let Some(instance) = instance
        {
            change.set("id", instance);
        }
        let planned = |name: &str| change.planned().get(name).cloned().unwrap_or(Value::NULL);
        let (user, key_file) = (planned("user"), planned("private_key_file"));
        let or_else = |given: Value, known: Option<bool>| match known {
            _ if !given.is_null() => given,
            Some(known) => known.into(),
            None => Value::unknown(Type::Bool),
        };
        let sudo = or_else(planned("sudo"), user.as_str().map(|user| user != "root"));
        let agent = or_else(planned("agent"), (!key_file.is_unknown()).then(|| key_file.is_null()));
        let connection = Value::object([
            ("id", planned("id")),
            ("address", planned("address")),
            ("port", planned("port")),
            ("user", user),
            ("sudo", sudo),
            ("host_key", planned("host_key")),
            ("private_key_file", key_file),
            ("agent", agent),
            ("bastion", planned("bastion")),
        ]);
        change.set("connection", connection);
    }

    fn timeouts(&self) -> Timeouts {
        // wait_timeout ends it before that.
        Timeouts { create: Duration::from_secs(2 * 3600), ..Timeouts::default() }
    }

    async fn read(&self, ctx: &Context<Hosts>, state: State) -> Result<Option<State>, Fault> {
        let session = ctx.client().session(ctx, &state.connection).await.map_err(rebuilt)?;
        let facts = gather(&session).await?;
        Ok(Some(State { facts, ..state }))
    }

    async fn create(&self, ctx: &Context<Hosts>, args: Args) -> Result<State, Fault> {
        let id = args.instance.clone().unwrap_or_else(|| ctx.key().to_owned());
        // A key that an interrupted run has seen stays the only one accepted.
        let seen = ctx.resumed::<State>().filter(|state| state.id == id).and_then(|state| state.host_key);
        let expected = args.host_key.clone().or(seen);
        let endpoint = args.endpoint(ctx.client(), &args.connection(&id, expected.clone()));
        let deadline = args.deadline()?;
        let host = wait_for_ssh(ctx, &endpoint, deadline).await?;
        // A pinned fingerprint stays as it was written; otherwise the whole key is the record.
        let host_key = expected.unwrap_or_else(|| host.host_key().to_owned());
        let connection = args.connection(&id, Some(host_key.clone()));
        let mut state = State { id, host_key: Some(host_key), connection, facts: Facts::default() };
        ctx.checkpoint(&state).await?;
        wait_for_cloud_init(ctx, &state.connection, deadline).await?;
        state.facts = gather(&ctx.client().session(ctx, &state.connection).await?).await?;
        Ok(state)
    }

    async fn update(&self, ctx: &Context<Hosts>, prior: State, args: Args) -> Result<State, Fault> {
        let host_key = args.host_key.clone().or(prior.host_key);
        let connection = args.connection(&prior.id, host_key.clone());
        let endpoint = args.endpoint(ctx.client(), &connection);
        wait_for_ssh(ctx, &endpoint, args.deadline()?).await.map_err(rebuilt)?;
        Ok(State { id: prior.id, host_key, connection, facts: prior.facts })
    }

    fn importable(&self) -> Importable {
        Importable::By(
            "what is to be its `id`: its `instance`, where its block gives one, or any text that no other machine has",
        )
    }

    async fn import(&self, ctx: &Context<Hosts>, id: &str, args: Args) -> Result<Option<Imported>, Fault> {
        if args.instance.as_deref().is_some_and(|instance| instance != id) {
            return Err(Fault::permanent("its block says that it is another instance")
                .attribute("instance")
                .hint("import it by its instance"));
        }
        let endpoint = args.endpoint(ctx.client(), &args.connection(id, args.host_key.clone()));
        let host = ctx.client().pool().host(&endpoint).await.map_err(fault)?;
        let host_key = args.host_key.clone().unwrap_or_else(|| host.host_key().to_owned());
        let connection = args.connection(id, Some(host_key.clone()));
        let facts = gather(&ctx.client().session(ctx, &connection).await?).await?;
        Imported::new(&State { id: id.to_owned(), host_key: Some(host_key), connection, facts }).map(Some)
    }

    async fn delete(&self, ctx: &Context<Hosts>, state: State) -> Result<(), Fault> {
        ctx.client().pool().forget(&ctx.client().endpoint(&state.connection)).await;
        Ok(())
    }
}

/// Waits until sshd greets, then logs in. The greeting is asked for first, since sshd penalises failed logins.
async fn wait_for_ssh(ctx: &Context<Hosts>, endpoint: &Endpoint, deadline: Instant) -> Result<Host, Fault> {
    let pool = ctx.client().pool();
    ctx.progress("waiting for SSH");
    until(ctx, deadline, || pool.probe(endpoint), SshError::is_transient).await?;
    ctx.progress("logging in");
    let grace = Instant::now() + KEY_GRACE;
    let may_pass = |error: &SshError| {
        error.is_transient()
            || matches!(error.cause(), Cause::AuthRefused { .. }) && Instant::now() < grace.min(deadline)
    };
    until(ctx, deadline, || pool.host(endpoint), may_pass).await
}

/// Tries again what may pass, at growing intervals, until it succeeds or the time is up.
async fn until<T, F: Future<Output = Result<T, SshError>>>(
    ctx: &Context<Hosts>,
    deadline: Instant,
    attempt: impl Fn() -> F,
    may_pass: impl Fn(&SshError) -> bool,
) -> Result<T, Fault> {
    let mut pause = Duration::from_millis(200);
    loop {
        let result = tokio::select! {
            result = attempt() => result,
            () = ctx.cancelled() => return Err(Session::stopped()),
        };
        match result {
            Ok(value) => return Ok(value),
            Err(error) if may_pass(&error) && Instant::now() + pause < deadline => {
                ctx.progress(format!("waiting for SSH ({})", error.cause()));
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = ctx.cancelled() => return Err(Session::stopped()),
                }
                pause = (pause * 3 / 2).min(Duration::from_secs(5));
            }
            Err(error) if error.is_transient() => {
                // The wait is over, so trying the same again at once is no use: the user decides.
                let summary = format!("the machine is not ready within wait_timeout: {}", error.report());
                let hint = error.hint().unwrap_or_default();
                return Err(Fault::permanent(summary).hint(hint).attribute("wait_timeout").source(error));
            }
            Err(error) => return Err(fault(error)),
        }
    }
}

/// Waits for cloud-init, where there is one: until then it may still install, rename, reboot.
async fn wait_for_cloud_init(
    ctx: &Context<Hosts>,
    connection: &Connection,
    deadline: Instant,
) -> Result<(), Fault> {
    const SCRIPT: &str = "if command -v cloud-init >/dev/null 2>&1; then cloud-init status --wait --long; fi";
    loop {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_secs(1));
        let session = ctx.client().session(ctx, connection).await;
        let result = match session {
            Ok(session) => {
                ctx.progress("waiting for cloud-init");
                let exec = grappe_ssh::Exec::new(SCRIPT).timeout(left);
                session.exec(exec).await.map(|output| (session, output))
            }
            Err(fault) => Err(fault),
        };
        let (session, output) = match result {
            Ok(done) => done,
            // It may reboot the machine as its last deed.
            Err(fault) if fault.is_transient() && Instant::now() < deadline => {
                ctx.progress("waiting for SSH");
                tokio::time::sleep(Duration::from_secs(2)).await;
                continue;
            }
            Err(fault) => return Err(fault.context("waiting for cloud-init")),
        };
        return match output.code() {
            Some(0) => Ok(()),
            // Recoverable: it went on, and warned (deprecated keys in the user data, for one).
            Some(2) => {
                ctx.progress("cloud-init ended with warnings");
                Ok(())
            }
            _ => Err(session.failure("cloud-init", &output).details(output.stdout_str()).hint(
                "look at /var/log/cloud-init-output.log on the machine; correct its user data and create it anew",
            )),
        };
    }
}

async fn gather(session: &Session) -> Result<Facts, Fault> {
    let output = session.ask(facts::SCRIPT).await?;
    if !output.success() {
        return Err(session.failure("gather facts", &output));
    }
    Ok(facts::parse(&output.stdout_str()))
}

/// A recorded key that does not match any more has two explanations, and only the user knows which is true.
fn rebuilt(fault: Fault) -> Fault {
    if fault.summary.contains("HOST KEY CHANGED") {
        return fault.hint(
            "if the machine was rebuilt on purpose, replace this resource (plan -replace=ADDRESS, or set `instance` to the \
             machine's id); if not, somebody may sit between you and it",
        );
    }
    fault
}
