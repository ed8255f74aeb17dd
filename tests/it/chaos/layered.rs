//! Layered plans, killed.

use super::drawn::{Drawn, draw};
use super::scene::{Look, Scene, nothing_to_do, trials};
use super::tally::{self, Settings, Tally};
use crate::sandbox::Sandbox;

/// What is applied first, what is made of it then, and that all of it goes.
pub(super) fn scenes(name: &str, settings: &Settings, size: usize) -> [Scene; 3] {
    let [one, two] = draw(&mut settings.chance(name), size);
    let up = ["apply", "-auto-approve", "-parallelism=4"];
    let base = || Sandbox::new(&one.text);
    let applied = base();
    applied.expect(0, &up);
    let changed = applied.twin();
    changed.write("main.tf", &two.text);
    [
        Scene::new(format!("{name} up"), base(), &up, is(one)).and_destroyed(gone()),
        Scene::new(format!("{name} change"), changed, &up, is(two)).and_destroyed(gone()),
        Scene::new(format!("{name} down"), applied, &["destroy", "-auto-approve"], gone()),
    ]
}

fn is(drawn: Drawn) -> Look {
    Box::new(move |sandbox, runs| {
        drawn.is_so(sandbox, runs);
        nothing_to_do(sandbox, &[]);
    })
}

fn gone() -> Look {
    Box::new(|sandbox, runs| Drawn::default().is_so(sandbox, runs))
}

#[test]
fn layered_plans_converge_wherever_they_are_killed() {
    let (settings, tally) = (Settings::of_environment(), Tally::default());
    let plans = if settings.kills.is_some() { 5 } else { 1 };
    let scenes: Vec<Scene> =
        (1..=plans).flat_map(|n| scenes(&format!("layered {n}"), &settings, 42)).collect();
    let kills = settings.kills(70, 70);
    tally::all("layered", &settings, &tally, trials("layered", &scenes, kills, &settings, &tally));
}
