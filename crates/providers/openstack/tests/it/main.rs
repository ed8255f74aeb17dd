//! Types on a cloud that keeps what it is told in memory: what of them needs no real one. Their lives on a real OpenStack are in the end-to-end tests.

mod fake;
mod keys;
mod reading;
mod waits;
