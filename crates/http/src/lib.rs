//! The second shell to the world: HTTP APIs.
//!
//! One [`Http`] for each set of TLS settings, over one pool of connections; rustls with ring, no other TLS. Proxies come from the environment
//! (`HTTPS_PROXY`, `NO_PROXY`), and every wait has a bound: for the connection, and for each piece of the answer.
//!
//! It tries nothing again: that is the engine's, which knows of all operations of a run. An [`HttpError`] becomes a [`grappe_provider::Fault`] that tells
//! what may pass (a connection that breaks, 429, 5xx; with the far side's `Retry-After`) from what is gone (404) and what is wrong for good, in the API's own words
//! and with the id of the request, by which its operator finds it.
//!
//! Nothing secret is written anywhere: headers and bodies go to no log and no error, and what the far side quotes of a request is blotted out where the request
//! says that it is a secret ([`Request::hide`]).

mod client;
mod error;
mod said;
#[cfg(feature = "testing")]
pub mod testing;

pub use client::{Http, Options, Reply, Request, file_body};
pub use error::{HttpError, Kind};
pub use reqwest::Method;
