//! The kube provider.
