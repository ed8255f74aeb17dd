//! What a provider is made of.
//!
//! A [`Provider`] is configured once a run and gives a client (a pool of connections, an API session). Its [`Resource`]s are the
//! types that a plan can name: each is small, typed with serde, and does one operation at a time on one object. Retries, rate
//! limits, deadlines, journalling and output are the engine's: a resource reports [`Fault`]s and speaks through its [`Context`].
//!
//! The engine and the planner see none of these types: they work with values through [`AnyProvider`], [`AnyResource`] and
//! [`AnyDataSource`], which [`erased`] makes of the typed ones. So unknown values never reach a provider's structs, and a
//! provider that lives in another process is one more implementation of the erased traits.
//!
//! # What a resource promises
//! - `create` may be called again with the same [`Context::key`] after a crash: it finds what the first call planted under that key
//!   (a tag, a metadata entry, a marker file) and goes on from there; it never makes a second object.
//! - As soon as an object's id is known, `create` hands it to [`Context::checkpoint`], which returns once it is on disk.
//! - `delete` of what is already gone is a success.
//! - `read_many`, where there is one, says of each object what `read` would say, with fewer calls.
//! - `read` tells a thing that is gone (`None`) from one that can't be asked now (a fault): a network that is down destroys nothing.

mod change;
mod context;
pub mod erased;
mod fault;
mod import;
mod provisioner;
mod registry;
mod resource;

pub use change::{Change, Problem};
pub use context::{Context, Run, Stream};
pub use erased::{AnyContext, AnyDataSource, AnyEphemeral, AnyProvider, AnyResource, Client};
pub use fault::{Fault, FaultKind};
pub use import::{Importable, Imported};
pub use provisioner::{AnyProvisioner, StepContext};
pub use registry::Registry;
pub use resource::{DataSource, EphemeralResource, Limit, Many, Opened, Provider, Resource, Setup, Timeouts};
