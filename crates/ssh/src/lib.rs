//! One pooled, multiplexed SSH connection a host, verified, with deadlines.
