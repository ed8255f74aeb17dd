//! One binary for all integration tests.

mod apply;
mod crash;
mod ephemeral;
mod journal;
mod planned;
mod plans;
mod pools;
mod reads;
mod stop;
mod timing;
mod world;
