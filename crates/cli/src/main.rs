//! The grappe command.
fn main() {}
