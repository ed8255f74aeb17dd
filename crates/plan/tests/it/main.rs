//! The planner against configurations in text, a state in memory, and a provider whose world is a map.

mod lab;
mod types;

mod apply;
mod golden;
mod moves;
mod refuse;
mod rules;
