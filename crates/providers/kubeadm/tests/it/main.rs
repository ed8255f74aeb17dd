//! `kubeadm_host` on systems that cannot be had where this is built.

mod scripted;
mod transcripts;
