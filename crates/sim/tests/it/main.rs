//! Integration tests of the simulated world.

mod differential;
mod kubeadm;
mod lab;
mod ssh;
