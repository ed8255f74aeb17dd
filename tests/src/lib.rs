//! End-to-end tests: the grappe binary as a user runs it.
