//! The planner against configurations in text, a state in memory, and a provider whose world is a map.

mod lab;
mod types;
mod waves;

mod apply;
mod checks;
mod ephemeral;
mod exclude;
mod flags;
mod golden;
mod imports;
mod moves;
mod open;
mod providers;
mod provisioners;
mod refuse;
mod rules;
mod seed;
mod timeouts;
