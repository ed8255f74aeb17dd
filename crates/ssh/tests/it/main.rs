//! SSH against real sshd.
fn main() {}
