//! A world in memory that a script rules: what each object's operations do, and what happened when.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use grappe_provider::{
    AnyEphemeral, AnyProvider, Context, EphemeralResource, Fault, Limit, Many, Opened, Provider, Resource,
    Setup, Stream, Timeouts, erased,
};
use grappe_value::{Attribute, Schema, Type, Value};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// What one try does.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Fails in a way that may pass.
    Busy,
    /// Fails, to be tried again after this long.
    BusyFor(Duration),
    /// Says that it is asked too much, for this long.
    Throttle(Duration),
    /// Fails before anything is there.
    Refuse,
    /// Fails after the object is there and checkpointed.
    RefuseLate,
    /// Fails in a way that may pass, after the object is there and checkpointed.
    BusyLate,
    /// Says that it is not there.
    Gone,
    /// Never ends, whatever it is told, after the object is there and checkpointed.
    Hang,
    /// Panics.
    Panic,
}

/// An object that exists.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Thing {
    pub(crate) name: String,
    pub(crate) key: String,
    /// What was asked for; negative while it is half made.
    pub(crate) size: Option<i64>,
}

/// Something that was done.
#[derive(Clone, Debug)]
pub(crate) struct Effect {
    /// How long the journal was then.
    pub(crate) journal: u64,
    pub(crate) id: String,
    /// What the object became; `None` where it was deleted.
    pub(crate) thing: Option<Thing>,
}

/// Shared by all clients: the far side.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) things: BTreeMap<String, Thing>,
    pub(crate) script: BTreeMap<String, VecDeque<Act>>,
    pub(crate) effects: Vec<Effect>,
    /// What was done to leases.
    pub(crate) leases: Vec<String>,
    /// Operations by name: seconds of their begin and end.
    pub(crate) spans: Vec<(String, u64, Option<u64>)>,
    pub(crate) reads: usize,
    /// How many objects each call asked for that reads many.
    pub(crate) many: Vec<usize>,
    /// How long a reading takes.
    pub(crate) read_secs: u64,
    /// How many readings go on, and the most that did.
    pub(crate) reading: (usize, usize),
    pub(crate) configured: usize,
    pub(crate) journal: Option<PathBuf>,
    pub(crate) start: Option<Instant>,
    /// What was done before it was in the journal: a breach of the engine's promise.
    pub(crate) unrecorded: Vec<String>,
}

impl World {
    fn effect(&mut self, id: &str, thing: Option<Thing>) {
        let journal = self.journal.as_ref().and_then(|p| p.metadata().ok()).map_or(0, |m| m.len());
        match &thing {
            Some(thing) => self.things.insert(id.to_owned(), thing.clone()),
            None => self.things.remove(id),
        };
        self.effects.push(Effect { journal, id: id.to_owned(), thing });
    }

    /// Notes it as a breach where the journal has no such record about this key by now.
    fn must_be_recorded(&mut self, record: &str, key: &str) {
        let Some(text) = self.journal.as_ref().and_then(|p| std::fs::read_to_string(p).ok()) else { return };
        let begins = format!("\"record\":{{\"{record}\"");
        if !text.lines().any(|line| line.contains(&begins) && line.contains(key)) {
            self.unrecorded.push(format!("{record} {key}"));
        }
    }

    /// The id of the object with this key: it is part of the id here.
    fn by_key(&self, key: &str) -> Option<String> {
        let id = format!("id-{key}");
        self.things.contains_key(&id).then_some(id)
    }

    fn now(&self) -> u64 {
        self.start.map_or(0, |s| s.elapsed().as_secs())
    }

    /// The most operations that ran at once, among those whose name begins like this.
    pub(crate) fn most_at_once(&self, prefix: &str) -> usize {
        let spans = || self.spans.iter().filter(|(n, _, _)| n.starts_with(prefix));
        let at = |t: u64| spans().filter(|(_, s, e)| *s <= t && e.is_some_and(|e| t < e)).count();
        spans().map(|(_, s, _)| at(*s)).max().unwrap_or(0)
    }

    /// When an operation began and ended.
    pub(crate) fn span(&self, name: &str) -> (u64, u64) {
        let (_, start, end) = self.spans.iter().find(|(n, _, _)| n == name).expect("it ran");
        (*start, end.expect("it ended"))
    }
}

pub(crate) type Shared = Arc<Mutex<World>>;

#[derive(Deserialize)]
struct Args {
    name: String,
    size: Option<i64>,
    secs: Option<u64>,
    password: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct State {
    name: String,
    id: String,
    size: Option<i64>,
    secs: Option<u64>,
}

/// A type: its name, whether it is read, and how long it may take.
struct Kind(&'static str, bool, u64);

impl Kind {
    async fn act(
        &self,
        ctx: &Context<Shared>,
        name: &str,
        secs: Option<u64>,
        late: impl AsyncFnOnce() -> Result<String, Fault>,
    ) -> Result<String, Fault> {
        let (act, span) = {
            let mut world = ctx.client().lock().unwrap();
            let now = world.now();
            world.spans.push((name.to_owned(), now, None));
            (world.script.get_mut(name).and_then(VecDeque::pop_front), world.spans.len() - 1)
        };
        ctx.progress(format!("working on {name}"));
        let result = match act {
            Some(Act::Busy) => Err(Fault::transient("busy")),
            Some(Act::BusyFor(wait)) => Err(Fault::transient("busy").after(wait)),
            Some(Act::Throttle(wait)) => Err(Fault::throttled("slow down").after(wait)),
            Some(Act::Refuse) => Err(Fault::permanent("refused").details("because\nso").hint("ask again")),
            Some(Act::Gone) => Err(Fault::gone("not there")),
            Some(Act::Panic) => panic!("a bug in {name}"),
            Some(Act::RefuseLate) => late().await.and(Err(Fault::permanent("refused late"))),
            Some(Act::BusyLate) => late().await.and(Err(Fault::transient("busy late"))),
            Some(Act::Hang) => {
                late().await?;
                std::future::pending().await
            }
            None => {
                tokio::time::sleep(Duration::from_secs(secs.unwrap_or(0))).await;
                late().await
            }
        };
        let mut world = ctx.client().lock().unwrap();
        world.spans[span].2 = Some(world.now());
        result
    }
}

/// What the script says of a reading.
async fn read_act(ctx: &Context<Shared>, name: &str) -> Result<(), Fault> {
    let (act, secs) = {
        let mut world = ctx.client().lock().unwrap();
        world.reading.0 += 1;
        world.reading.1 = world.reading.1.max(world.reading.0);
        (world.script.get_mut(name).and_then(VecDeque::pop_front), world.read_secs)
    };
    if secs > 0 {
        tokio::time::sleep(Duration::from_secs(secs)).await;
    }
    ctx.client().lock().unwrap().reading.0 -= 1;
    refusal(act)
}

fn refusal(act: Option<Act>) -> Result<(), Fault> {
    match act {
        Some(Act::Busy) => Err(Fault::transient("busy")),
        Some(Act::Throttle(wait)) => Err(Fault::throttled("slow down").after(wait)),
        Some(Act::Refuse) => Err(Fault::permanent("refused")),
        _ => Ok(()),
    }
}

impl Resource for Kind {
    type Client = Shared;
    type Args = Args;
    type State = State;

    fn name(&self) -> &'static str {
        self.0
    }

    fn schema(&self) -> Schema {
        Schema::new("A thing.")
            .attr("name", Attribute::required(Type::String, "Its name.").replace())
            .attr("size", Attribute::optional(Type::Number, "Its size."))
            .attr("secs", Attribute::optional(Type::Number, "How long its operations take."))
            .attr("group", Attribute::optional(Type::String, "Two of a group at once."))
            .attr("password", Attribute::optional(Type::String, "Secret.").sensitive())
            .attr("token_wo", Attribute::optional(Type::String, "Told, and not kept.").write_only())
            .attr("id", Attribute::computed(Type::String, "Its id."))
    }

    fn limits(&self, object: &Value) -> Vec<Limit> {
        let group = object.get("group").and_then(|g| g.as_str().map(str::to_owned));
        group.map(|group| Limit { group, max: 2 }).into_iter().collect()
    }

    fn max_parallel(&self) -> Option<usize> {
        (self.0 == "t_few").then_some(3)
    }

    fn reads(&self) -> bool {
        self.1
    }

    fn read_group(&self, state: &Value) -> Option<String> {
        let group = state.get("group").and_then(Value::as_str).unwrap_or_default();
        (self.0 == "t_many").then(|| group.to_owned())
    }

    async fn read_many(&self, ctx: &Context<Shared>, states: Vec<State>) -> Result<Many<State>, Fault> {
        ctx.client().lock().unwrap().many.push(states.len());
        read_act(ctx, "read many").await?;
        let mut world = ctx.client().lock().unwrap();
        let mut answer = |state: State| {
            let act = world.script.get_mut(&format!("read {}", state.name)).and_then(VecDeque::pop_front);
            refusal(act)?;
            Ok(world.things.get(&state.id).map(|t| State { size: t.size, ..state }))
        };
        Ok(states.into_iter().map(&mut answer).collect())
    }

    fn timeouts(&self) -> Timeouts {
        let long = Duration::from_secs(self.2);
        Timeouts { create: long, read: long, update: long, delete: long }
    }

    async fn read(&self, ctx: &Context<Shared>, state: State) -> Result<Option<State>, Fault> {
        ctx.client().lock().unwrap().reads += 1;
        read_act(ctx, &format!("read {}", state.name)).await?;
        let world = ctx.client().lock().unwrap();
        Ok(world.things.get(&state.id).map(|t| State { size: t.size, ..state }))
    }

    async fn create(&self, ctx: &Context<Shared>, args: Args) -> Result<State, Fault> {
        if let Some(password) = &args.password {
            ctx.output(Stream::Stdout, &format!("logging in with {password}"));
        }
        let thing = Thing { name: args.name.clone(), key: ctx.key().to_owned(), size: args.size };
        let make = async || {
            let id = {
                let mut world = ctx.client().lock().unwrap();
                if self.1 {
                    world.must_be_recorded("intent", ctx.key());
                }
                world.by_key(ctx.key()).unwrap_or_else(|| {
                    let id = format!("id-{}", ctx.key());
                    world.effect(&id, Some(Thing { size: Some(-1), ..thing.clone() }));
                    id
                })
            };
            let state = State { name: args.name.clone(), id: id.clone(), size: Some(-1), secs: args.secs };
            ctx.checkpoint(&state).await?;
            // The second step, which a crash may leave undone.
            let mut world = ctx.client().lock().unwrap();
            if self.1 {
                world.must_be_recorded("checkpoint", ctx.key());
            }
            world.effect(&id, Some(thing.clone()));
            Ok(id)
        };
        let id = self.act(ctx, &args.name, args.secs, make).await?;
        Ok(State { name: args.name, id, size: args.size, secs: args.secs })
    }

    async fn update(&self, ctx: &Context<Shared>, prior: State, args: Args) -> Result<State, Fault> {
        let make = async || {
            let half =
                State { name: args.name.clone(), id: prior.id.clone(), size: Some(-2), secs: args.secs };
            ctx.checkpoint(&half).await?;
            let mut world = ctx.client().lock().unwrap();
            let thing = world.things.get(&prior.id).cloned().ok_or_else(|| Fault::gone("not there"))?;
            world.effect(&prior.id, Some(Thing { size: args.size, ..thing }));
            Ok(prior.id.clone())
        };
        let id = self.act(ctx, &args.name, args.secs, make).await?;
        Ok(State { name: args.name, id, size: args.size, secs: args.secs })
    }

    async fn delete(&self, ctx: &Context<Shared>, state: State) -> Result<(), Fault> {
        let make = async || {
            let mut world = ctx.client().lock().unwrap();
            if world.things.contains_key(&state.id) {
                world.effect(&state.id, None);
                Ok(String::new())
            } else {
                Err(Fault::gone("not there"))
            }
        };
        self.act(ctx, &format!("delete {}", state.name), state.secs, make).await.map(|_| ())
    }

    async fn adopt(&self, ctx: &Context<Shared>, args: Args) -> Result<Option<State>, Fault> {
        let world = ctx.client().lock().unwrap();
        let found = world.by_key(ctx.key());
        Ok(found.map(|id| State { size: world.things[&id].size, name: args.name, id, secs: args.secs }))
    }
}

struct TestProvider(Shared);

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    broken: bool,
}

impl Provider for TestProvider {
    type Client = Shared;
    type Config = Config;

    fn name(&self) -> &'static str {
        "test"
    }

    fn schema(&self) -> Schema {
        Schema::new("").attr("broken", Attribute::optional(Type::Bool, "Can't be configured."))
    }

    fn resources(&self) -> Vec<Box<dyn grappe_provider::AnyResource>> {
        vec![
            // Read and journalled; in the state only, so that no disk is waited for while time is paused; the same with a short deadline.
            erased::resource(Kind("t_thing", true, 1200)),
            erased::resource(Kind("t_timed", false, 1200)),
            erased::resource(Kind("t_short", false, 10)),
            // At most three at once; read together.
            erased::resource(Kind("t_few", false, 1200)),
            erased::resource(Kind("t_many", true, 1200)),
        ]
    }

    fn ephemerals(&self) -> Vec<Box<dyn AnyEphemeral>> {
        vec![erased::ephemeral(Lease)]
    }

    fn notice(&self) -> Option<&'static str> {
        Some("nothing is real")
    }

    async fn configure(&self, _: &Setup, config: Config) -> Result<Shared, Fault> {
        if config.broken {
            return Err(Fault::permanent("no such region"));
        }
        self.0.lock().unwrap().configured += 1;
        Ok(self.0.clone())
    }
}

/// `ephemeral "t_lease"`: lasts so many seconds, and is renewed as often as its provider says.
struct Lease;

#[derive(Deserialize)]
struct LeaseArgs {
    secs: Option<u64>,
    #[serde(default)]
    broken: bool,
}

#[derive(Serialize)]
struct LeaseState {
    token: String,
}

impl EphemeralResource for Lease {
    type Client = Shared;
    type Args = LeaseArgs;
    type State = LeaseState;

    fn name(&self) -> &'static str {
        "t_lease"
    }

    fn schema(&self) -> Schema {
        Schema::new("A lease.")
            .attr("secs", Attribute::optional(Type::Number, "How long until it is renewed."))
            .attr("broken", Attribute::optional(Type::Bool, "Can't be opened."))
            .attr("token", Attribute::computed(Type::String, "What it gives."))
    }

    async fn open(&self, ctx: &Context<Shared>, args: LeaseArgs) -> Result<Opened<LeaseState>, Fault> {
        let mut world = ctx.client().lock().unwrap();
        let n = world.leases.iter().filter(|l| l.starts_with("open")).count() + 1;
        if args.broken {
            return Err(Fault::permanent("no lease is left"));
        }
        world.leases.push(format!("open {n}"));
        let renew_after = args.secs.map(Duration::from_secs);
        Ok(Opened { state: LeaseState { token: format!("token-{n}") }, ticket: n.into(), renew_after })
    }

    async fn renew(
        &self,
        ctx: &Context<Shared>,
        ticket: &serde_json::Value,
    ) -> Result<Option<Duration>, Fault> {
        let mut world = ctx.client().lock().unwrap();
        world.leases.push(format!("renew {ticket}"));
        let times = world.leases.iter().filter(|l| **l == format!("renew {ticket}")).count();
        if times > 2 {
            Err(Fault::permanent("it was renewed often enough"))
        } else {
            Ok(Some(Duration::from_secs(5)))
        }
    }

    async fn close(&self, ctx: &Context<Shared>, ticket: &serde_json::Value) -> Result<(), Fault> {
        ctx.client().lock().unwrap().leases.push(format!("close {ticket}"));
        Ok(())
    }
}

/// The provider over a world.
pub(crate) fn provider(world: &Shared) -> Arc<dyn AnyProvider> {
    erased::provider(TestProvider(world.clone()))
}
