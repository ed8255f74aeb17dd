//! Real machines, real kubeadm: `plans/local-ha` on the test bed, in a network namespace of the test's own.

mod files;
mod kills;
mod lab;
mod life;
