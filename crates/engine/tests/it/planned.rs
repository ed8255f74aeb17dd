//! From text to a state, with the real language and planner.

use std::path::Path;
use std::sync::Arc;

use grappe_engine::{Applied, RunError, resolver};
use grappe_lang::{Config, MemoryFiles};
use grappe_plan::{Action, Input, Plan, PlanMode, Surroundings};
use grappe_provider::Registry;
use grappe_state::Session;
use grappe_value::{Value, wire};

use crate::plans::{Bench, addr, names};
use crate::world::{Act, provider};

/// A plan folder in memory, and a bench to run it on.
pub(crate) struct Desk {
    pub(crate) bench: Bench,
    files: MemoryFiles,
    registry: Arc<Registry>,
    options: grappe_plan::Options,
    _dir: tempfile::TempDir,
}

impl Desk {
    pub(crate) fn new(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut bench = Bench::new(dir.path());
        bench.options.retry.first = std::time::Duration::from_millis(1);
        let mut registry = Registry::default().with(provider(&bench.world));
        for provider in grappe_provider_core::providers() {
            registry = registry.with(provider);
        }
        bench.registry = Some(Arc::new(registry));
        let registry = bench.registry.clone().unwrap();
        let mut desk =
            Desk { bench, files: MemoryFiles::new(), registry, options: Default::default(), _dir: dir };
        desk.write(text);
        desk
    }

    pub(crate) fn write(&mut self, text: &str) {
        self.files = MemoryFiles::new().with("main.tf", text);
    }

    fn config(&self) -> Config {
        let (config, _, found) = grappe_lang::load(&self.files, Path::new(""));
        config.unwrap_or_else(|| panic!("{found}"))
    }

    pub(crate) async fn plan(&self, session: &Session) -> Result<Plan, RunError> {
        let (config, variables) = (self.config(), Default::default());
        self.bench
            .engine()
            .plan_with(session.ledger(), self.options.mode, |known| {
                grappe_plan::plan(&Input {
                    config: &config,
                    registry: &self.registry,
                    state: known.state,
                    refreshed: known.refreshed,
                    data_reads: known.data_reads,
                    imported: known.imported,
                    left: known.left,
                    opened: known.opened,
                    variables: &variables,
                    pending: known.pending,
                    files: &self.files,
                    options: &self.options,
                })
            })
            .await
    }

    async fn apply_plan(&self, plan: &Plan, session: Session) -> Applied {
        let config = self.config();
        let surroundings =
            Surroundings { files: &self.files, cwd: ".".into(), home: None, timestamp: None, random: None };
        let resolver = resolver(&config, plan, &self.registry, surroundings, session.state()).unwrap();
        self.bench.engine().apply(plan, resolver, session).await.unwrap()
    }

    pub(crate) async fn apply(&self) -> Applied {
        let session = self.bench.session();
        let plan = self.plan(&session).await.unwrap();
        self.apply_plan(&plan, session).await
    }

    /// Applies, and says what was wrong where something was.
    pub(crate) async fn works(&self) -> Applied {
        let applied = self.apply().await;
        assert!(applied.summary.is_success(), "{:?}", applied.summary.errors);
        applied
    }

    /// What a plan would do.
    async fn would(&self) -> Vec<String> {
        let session = self.bench.session();
        let plan = self.plan(&session).await.unwrap();
        let done = plan.operations.iter().map(|o| format!("{} {}", o.action.verb(), o.addr));
        let outputs = plan.outputs.iter().filter(|(_, o)| o.action != Action::NoOp);
        done.chain(outputs.map(|(name, _)| format!("output {name}"))).collect()
    }

    fn attribute(&self, at: &str, name: &str) -> Value {
        let state = self.bench.state();
        let ty = self.registry.resource(&addr(at).resource.ty).unwrap().ty();
        let value = wire::decode(&state.objects[&addr(at)].attributes, ty).unwrap();
        value.get(name).unwrap().clone()
    }
}

const CHAIN: &str = r#"
    resource "t_thing" "a" {
      count = 3
      name  = "a${count.index}"
    }
    resource "t_thing" "b" {
      name     = "b-${t_thing.a[1].id}"
      password = "hunter2!"
    }
    resource "terraform_data" "note" {
      input = { ids = t_thing.a[*].id }
    }
    output "b" { value = t_thing.b.id }
    output "secret" {
      value     = t_thing.b.password
      sensitive = true
    }
"#;

#[tokio::test]
async fn what_a_plan_says_is_made_kept_and_destroyed() {
    let mut desk = Desk::new(CHAIN);
    let applied = desk.works().await;
    assert_eq!(applied.summary.counts.created, 5);
    let id = desk.attribute("t_thing.a[1]", "id");
    assert_eq!(
        desk.attribute("t_thing.b", "name").as_str().unwrap(),
        format!("b-{}", id.as_str().unwrap()),
        "what was unknown is filled in"
    );
    let outputs = &applied.ledger.state.outputs;
    assert_eq!(outputs.len(), 2);
    let snapshot = std::fs::read_to_string(desk.bench.snapshot_path()).unwrap();
    assert!(!snapshot.contains("hunter2"));
    let deps = &applied.ledger.state.objects[&addr("t_thing.b")].dependencies;
    assert_eq!(deps, &[addr("t_thing.a[1]")], "instance to instance");

    assert_eq!(desk.would().await, [""; 0], "nothing to do");
    desk.write(&CHAIN.replace("count = 3", "count = 2"));
    let applied = desk.works().await;
    assert_eq!((applied.summary.counts.deleted, applied.summary.counts.updated), (1, 1));
    assert_eq!(names(&desk.bench.world).len(), 3);

    desk.options.mode = PlanMode::Destroy;
    let applied = desk.works().await;
    assert!(applied.ledger.state.is_empty(), "{:?}", applied.ledger.state);
    assert!(names(&desk.bench.world).is_empty());
}

#[tokio::test]
async fn what_others_changed_is_found_and_put_right() {
    let desk = Desk::new(r#"resource "t_thing" "a" { name = "a" }"#);
    desk.works().await;
    desk.bench.world.lock().unwrap().things.clear();
    assert_eq!(desk.would().await, ["create t_thing.a"]);
    let applied = desk.works().await;
    assert_eq!(applied.summary.counts.created, 1);
    assert_eq!(names(&desk.bench.world), ["a"]);
}

#[tokio::test]
async fn a_new_address_is_no_new_object() {
    let mut desk = Desk::new(r#"resource "t_thing" "a" { name = "a" }"#);
    desk.works().await;
    let id = desk.attribute("t_thing.a", "id");
    desk.write(
        r#"
        resource "t_thing" "a" {
          count = 1
          name  = "a"
        }
        resource "t_thing" "on" { name = "on-${t_thing.a[0].id}" }
        "#,
    );
    let applied = desk.works().await;
    assert_eq!(applied.summary.counts.created, 1);
    assert_eq!(desk.attribute("t_thing.a[0]", "id"), id);
    assert!(!applied.ledger.state.objects.contains_key(&addr("t_thing.a")));
    assert_eq!(desk.would().await, [""; 0]);
}

const TWO: &str = r#"
    resource "t_thing" "a" { name = "a" }
    resource "t_thing" "b" { name = "b" }
"#;

#[tokio::test]
async fn what_an_interrupted_run_began_is_gone_on_with_or_cleared_away() {
    let mut desk = Desk::new(TWO);
    desk.bench.options.retry.tries = 1;
    desk.bench.script("a", [Act::BusyLate]);
    desk.bench.script("b", [Act::BusyLate]);
    let applied = desk.apply().await;
    assert_eq!((applied.summary.failed, applied.ledger.pending().count()), (2, 2));

    // One is still wanted, the other is not.
    desk.write(r#"resource "t_thing" "a" { name = "a" }"#);
    let mut would = desk.would().await;
    would.sort();
    assert_eq!(would, ["create t_thing.a", "delete t_thing.b"]);
    let applied = desk.works().await;
    assert_eq!(names(&desk.bench.world), ["a"]);
    assert_eq!(applied.ledger.pending().count(), 0);
    let made: std::collections::BTreeSet<String> =
        desk.bench.world.lock().unwrap().effects.iter().map(|e| e.id.clone()).collect();
    assert_eq!(made.len(), 2, "nothing was made twice");
    assert_eq!(desk.would().await, [""; 0]);
}

#[tokio::test]
async fn a_tainted_object_is_made_anew() {
    let desk = Desk::new(r#"resource "t_thing" "a" { name = "a" }"#);
    desk.bench.script("a", [Act::RefuseLate]);
    assert_eq!(desk.apply().await.summary.failed, 1);
    assert_eq!(desk.would().await, ["delete t_thing.a", "create t_thing.a"]);
    desk.works().await;
    assert_eq!(names(&desk.bench.world), ["a"]);
    assert_eq!(desk.would().await, [""; 0]);
}

#[tokio::test]
async fn a_replacement_that_creates_first_never_leaves_a_gap() {
    let text = r#"
        resource "t_thing" "a" {
          name = "NAME"
          lifecycle { create_before_destroy = true }
        }
    "#;
    let mut desk = Desk::new(&text.replace("NAME", "old"));
    desk.works().await;
    desk.write(&text.replace("NAME", "new"));
    desk.bench.script("delete old", [Act::Refuse]);
    let applied = desk.apply().await;
    assert_eq!((applied.summary.counts.created, applied.summary.failed), (1, 1));
    assert_eq!(applied.ledger.state.deposed.len(), 1);
    assert_eq!(names(&desk.bench.world), ["new", "old"]);
    // The next run still knows of it.
    desk.works().await;
    assert_eq!(names(&desk.bench.world), ["new"]);
    assert_eq!(desk.would().await, [""; 0]);
}

#[tokio::test]
async fn the_language_s_own_types_work() {
    let mut desk = Desk::new(
        r#"
        resource "random_pet" "name" { length = 2 }
        resource "random_password" "p" { length = 20 }
        resource "terraform_data" "all" {
          count = 50
          input = "${random_pet.name.id}-${count.index}"
          triggers_replace = random_password.p.result
        }
        output "all" { value = terraform_data.all[*].output }
        "#,
    );
    let applied = desk.works().await;
    assert_eq!(applied.summary.counts.created, 52);
    assert_eq!(applied.ledger.state.outputs.len(), 1);
    assert_eq!(desk.would().await, [""; 0]);
    desk.options.mode = PlanMode::Destroy;
    assert!(desk.works().await.ledger.state.is_empty());
}
