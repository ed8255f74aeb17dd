//! What the test beds are built by: stages, each made once for its content, in the user's cache folder; the host's packages that they need.

mod shell;
mod stage;
mod tools;

use std::path::PathBuf;

use anyhow::{Context, Result};

pub use shell::output;
pub use stage::{Build, Make, Recipe, Room, Stage, line, sha256, write_new};
pub use tools::ensure;

/// `grappe/beds/NAME` in the user's cache folder.
///
/// # Errors
///
/// Where the environment does not say where that is.
pub fn folder(name: &str) -> Result<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let cache = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    let cache = cache.context("neither XDG_CACHE_HOME nor HOME says where the test bed is to be")?;
    Ok(cache.join("grappe/beds").join(name))
}
