//! The kubeadm provider.
