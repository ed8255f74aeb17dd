//! Plans on a real OpenStack: the life of every type, kills in the middle, faults of the API, and what must not be written anywhere.

mod balancing;
mod cloud;
mod fleet;
mod machines;
mod networks;
mod plan;
mod secrets;
mod volumes;
