//! The steps of `provisioner` blocks: `local-exec` on this computer, `remote-exec` and `file` on the host that a `connection` block names.
//!
//! They are Terraform's, with its arguments. What is otherwise:
//!
//! - Host keys are verified, here as everywhere: the `host_key` of the connection, or known_hosts. (Terraform takes any key where none is given.)
//! - Scripts are read by their owner only while they are on the host; what is secret in the arguments is masked in the output, the rest of which is shown.
//! - WinRM, SSH certificates and proxies are refused with a word.

mod connection;
mod file;
mod local_exec;
mod remote;
mod remote_exec;

use std::sync::Arc;

use grappe_provider::{AnyProvisioner, Fault};
use grappe_ssh::Pool;
use grappe_value::{Value, json};
use serde::de::DeserializeOwned;

/// All of them, over a pool of connections that others share.
#[must_use]
pub fn provisioners(pool: &Pool) -> Vec<Arc<dyn AnyProvisioner>> {
    vec![
        Arc::new(local_exec::LocalExec::new()),
        Arc::new(remote_exec::RemoteExec::new(pool.clone())),
        Arc::new(file::File::new(pool.clone())),
    ]
}

/// The arguments in a value.
fn arguments<T: DeserializeOwned>(what: &str, value: &Value) -> Result<T, Fault> {
    serde_json::from_value(json::to_args(value)).map_err(|e| {
        // serde's message may quote a value, and a value may be a secret.
        let why = if value.is_sensitive_deep() {
            "one has a form that it can't take".to_owned()
        } else {
            e.to_string()
        };
        Fault::permanent(format!("the arguments of {what} don't fit: {why}"))
    })
}

/// That the user asked to stop.
fn stopped() -> Fault {
    Fault::permanent("stopped as asked").hint("the next apply begins with this step again")
}
