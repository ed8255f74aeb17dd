//! Commands that work on a state by hand, killed: the state is as it was before or as it is after, and never between.

use serde_json::Value as Json;

use super::blow::{self, Blow, Run};
use super::scene::{nothing_to_do, rests};
use super::tally::{self, Settings, Tally, Trial};
use crate::sandbox::Sandbox;

const PLAN: &str = r#"
resource "terraform_data" "a" {
  count = 3
  input = count.index
}

resource "local_file" "f" {
  filename = "out/f"
  content  = terraform_data.a[0].id
}

resource "random_password" "p" {
  length = 20
}
"#;

const COMMANDS: [&[&str]; 8] = [
    &["state", "mv", "terraform_data.a[2]", "terraform_data.b"],
    &["state", "rm", "terraform_data.a[1]", "random_password.p"],
    &["state", "replace-provider", "-auto-approve", "local", "local"],
    &["state", "push", "-force", "pushed.json"],
    &["state", "restore", "-auto-approve", "1"],
    &["taint", "terraform_data.a[1]"],
    &["untaint", "random_password.p"],
    &["import", "terraform_data.c", "5b0c2a52-1111-4222-8333-944445555666"],
];

/// The state, but for its number and what is new each time: seals, keys and times.
fn state(sandbox: &Sandbox) -> Json {
    let mut json: Json = serde_json::from_str(&sandbox.expect(0, &["state", "pull"]).stdout).unwrap();
    json.as_object_mut().unwrap().remove("serial");
    for (_, object) in json["objects"].as_object_mut().unwrap() {
        for each_time in ["key", "seen", "duration_ms"] {
            object.as_object_mut().unwrap().remove(each_time);
        }
        object["attributes"].as_object_mut().unwrap().retain(|_, value| value.get("$sealed").is_none());
    }
    json
}

fn base() -> Sandbox {
    let sandbox = Sandbox::new(&PLAN.replace("count = 3", "count = 2"));
    sandbox.expect(0, &["apply", "-auto-approve"]);
    sandbox.write("main.tf", &format!("{PLAN}resource \"terraform_data\" \"c\" {{}}\n"));
    sandbox.expect(0, &["apply", "-auto-approve", "-exclude=terraform_data.c"]);
    sandbox.expect(0, &["taint", "random_password.p"]);
    let pulled = sandbox.expect(0, &["state", "pull"]).stdout;
    sandbox.write("pushed.json", &pulled.replace("\"input\": 2", "\"input\": 7"));
    sandbox
}

fn trial(base: &Sandbox, args: &[&str], after: &Json, blow: Blow, tally: &Tally) {
    let sandbox = base.twin();
    let before = state(&sandbox);
    let run = Run { sandbox: &sandbox, args, env: &[] };
    if blow.strike(&run).is_none() {
        tally.add("commands", "kills", 1);
        tally.add("commands", blow.name(), 1);
    }
    let now = state(&sandbox);
    assert!(now == before || now == *after, "neither before nor after: {now:#}");
    if now == before {
        sandbox.expect(0, args);
        assert_eq!(state(&sandbox), *after);
        rests(&sandbox);
    }
    sandbox.expect(0, &["apply", "-auto-approve"]);
    nothing_to_do(&sandbox, &[]);
    rests(&sandbox);
}

#[test]
fn work_on_the_state_is_done_whole_or_not_at_all() {
    let (settings, tally) = (Settings::of_environment(), Tally::default());
    let base = base();
    let mut trials = Vec::new();
    for args in COMMANDS {
        let (measured, counted) = (base.twin(), base.twin());
        measured.expect(0, args);
        let after = std::sync::Arc::new(state(&measured));
        let calls = blow::count(&Run { sandbox: &counted, args, env: &[] });
        for (point, nth) in calls.into_iter().flat_map(|(point, n)| (1..=n).map(move |nth| (point, nth))) {
            let id = format!("commands/{}/{} {nth}", args.join(" "), point.name);
            let (base, after, tally) = (&base, after.clone(), &tally);
            trials.push(Trial::new(id, move |_| trial(base, args, &after, Blow::Call(point, nth), tally)));
        }
    }
    tally::all("commands", &settings, &tally, trials.into_iter());
}
