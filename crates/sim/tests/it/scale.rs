//! Fifty machines: what one more command costs does not grow out of hand.

use std::time::{Duration, Instant};

use crate::lab::Lab;

#[test]
fn fifty_machines_are_prepared_at_once() {
    let lab = Lab::new();
    let machines: Vec<String> = (0..50).map(|n| lab.machine(&format!("m{n}"))).collect();
    let start = Instant::now();
    std::thread::scope(|scope| {
        for machine in &machines {
            scope.spawn(|| lab.prepare(machine, "1.34"));
        }
    });
    let prepared = start.elapsed();
    let start = Instant::now();
    for machine in &machines {
        lab.ok(machine, "echo x > /root/x");
    }
    let each = start.elapsed() / 50;
    let size = std::fs::metadata(lab.world.path()).unwrap().len();
    // Generous on a busy machine; each command is a few milliseconds of work and an fsync.
    assert!(prepared < Duration::from_secs(60), "preparing took {prepared:?}");
    assert!(each < Duration::from_millis(500), "one command took {each:?}");
    assert!(size < 2_000_000, "the world's file has {size} bytes");
}
