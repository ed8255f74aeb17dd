//! Integration tests of the simulated world.

mod differential;
mod fuzz;
mod kubeadm;
mod lab;
mod provider;
mod scale;
mod ssh;
mod store;
mod upgrade;
