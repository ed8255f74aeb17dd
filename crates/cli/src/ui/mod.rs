//! What people see. This is the one place that prints.

pub mod diff;
pub mod plan;
pub mod style;
pub mod value;
