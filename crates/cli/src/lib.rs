//! The `grappe` command.

pub mod ui;
