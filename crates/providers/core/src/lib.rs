//! The core provider.
