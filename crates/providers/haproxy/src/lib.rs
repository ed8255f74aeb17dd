//! The haproxy provider.
