//! The host provider.
