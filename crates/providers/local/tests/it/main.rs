//! Real machines.
