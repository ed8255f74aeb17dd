//! Real machines on this computer, driven as planner and engine drive them. They need root.

mod docker;
mod host;
mod image;
mod killed;
mod lab;
mod machine;
mod qemu;
mod refused;
