//! `provider "tls"`: key pairs.

mod pem;
mod private_key;

use grappe_provider::{AnyEphemeral, AnyResource, Fault, Provider, Setup, erased};

use crate::NoConfig;

/// The provider of keys.
pub struct Tls;

impl Provider for Tls {
    type Client = ();
    type Config = NoConfig;

    fn name(&self) -> &'static str {
        "tls"
    }

    fn resources(&self) -> Vec<Box<dyn AnyResource>> {
        vec![erased::resource(private_key::PrivateKey)]
    }

    fn ephemerals(&self) -> Vec<Box<dyn AnyEphemeral>> {
        vec![erased::ephemeral(private_key::Ephemeral)]
    }

    async fn configure(&self, _: &Setup, _: NoConfig) -> Result<(), Fault> {
        Ok(())
    }
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
