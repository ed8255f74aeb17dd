//! Plans on a real OpenStack: the life of every type, kills in the middle, and what must not be written anywhere.

mod balancing;
mod cloud;
mod killed;
mod machines;
mod networks;
mod secrets;
mod volumes;
