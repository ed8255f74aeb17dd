//! A simulated world: networks and machines in a file, each machine with an SSH server in this process.
//!
//! It is no mock of our own calls. It is one small model of a cloud, of Debian hosts and of a kubeadm cluster, that answers the commands a
//! real host would answer, in the right order and in the wrong one; so that the providers meant for real machines work on it unchanged, with no
//! account and no root. Everything in it says that it is simulated.
//!
//! - [`world`]: the file, the cloud's API, power, the network between machines, user data.
//! - [`host`]: one machine's disk and kernel: files, packages, units, parameters.
//! - [`shell`]: a POSIX shell over a host, and in `tools` the programs it finds there; `kubeadm` and `kubectl` among them.
//! - [`cluster`]: what kubeadm and kubectl act upon: etcd members, tokens, objects, pods and nodes.
//! - [`provider`]: the cloud as resource types of a plan.
//! - [`server`]: SSH, so that nothing above has to know that a host is simulated.
//!
//! What is true of the simulation is measured: the shell is run beside the real dash, HAProxy's refusals are HAProxy's own.

pub mod cluster;
mod dialer;
pub mod host;
mod kubeadm;
mod kubectl;
pub mod provider;
pub mod server;
pub mod shell;
mod tools;
pub mod world;
pub mod yaml;

pub use world::{
    ApiError, Knobs, Machine, Mishap, Network, NewMachine, NewPort, Port, Quota, StoreError, World,
};
