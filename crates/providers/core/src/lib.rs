//! The providers that need nothing but this process: `terraform`, `null`, `random`, `tls`.
//!
//! Types and arguments are those of Terraform's providers of the same names, so that a plan reads as is. One file holds one type.
//! Where we differ on purpose, the type's own page says so: outputs that can be computed while planning are (`terraform_data.output`), and no
//! key type is offered that SSH refuses.

pub mod null;
pub mod random;
pub mod terraform;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod tls;

use std::sync::Arc;

use grappe_provider::{AnyProvider, erased};

/// All providers of this crate, for the registry.
#[must_use]
pub fn providers() -> Vec<Arc<dyn AnyProvider>> {
    vec![
        erased::provider(terraform::Terraform),
        erased::provider(null::Null),
        erased::provider(random::Random),
        erased::provider(tls::Tls),
    ]
}

/// The configuration of a provider that takes none.
#[derive(serde::Deserialize)]
pub struct NoConfig {}
