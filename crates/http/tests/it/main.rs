//! Requests to a server that answers as the test says.

mod requests;
mod tls;
