//! Integration tests of the simulated world.

mod differential;
mod lab;
mod ssh;
