//! Integration tests of the simulated world.

mod differential;
mod fuzz;
mod kubeadm;
mod lab;
mod ssh;
mod store;
