//! The providers that this program knows.

use grappe_provider::Registry;

/// All of them.
#[must_use]
pub fn registry() -> Registry {
    let registry = Registry::default();
    grappe_provider_core::providers().into_iter().fold(registry, Registry::with)
}
