//! Pure kubeadm knowledge: configuration files by version, HAProxy files, CNI rules.
