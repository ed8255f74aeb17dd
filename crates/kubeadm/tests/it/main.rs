//! Pure knowledge put before the real programs: what we write, they must read.

mod flows;
mod haproxy;
mod join;
mod manifests;
