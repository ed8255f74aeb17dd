//! Everything that can go wrong around a run, by chance that can be repeated: kills at each change of a file and at any instant, mishaps of the cloud, full
//! disks, clocks that jump, runs at the same time. After each, the same command again must converge: what exists is exactly what the plan says.
//!
//! `cargo xtask chaos` does all of it; as tests, a share of it is done. See docs/chaos.md.

mod blow;
mod clock;
mod commands;
mod disk;
mod drawn;
mod faults;
mod lab;
mod layered;
mod races;
mod scene;
mod tally;
