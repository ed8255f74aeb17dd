//! Plans applied in any order that they allow.
