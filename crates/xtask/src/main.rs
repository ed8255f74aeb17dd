//! Set-up, CI and benchmarks of this repository.
fn main() {}
