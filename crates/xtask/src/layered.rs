//! Layered plans: 20 layers of `terraform_data`, each object built on two or three of the layer before. What a real plan looks like to a planner, at any
//! size.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};

use crate::run::say;

const LAYERS: usize = 20;

/// `cargo xtask layered SIZE DIR`
pub(crate) fn command(size: &str, dir: &str) -> Result<()> {
    let size: usize = size.parse().with_context(|| format!("{size:?} is no number of resources"))?;
    write(size, Path::new(dir))?;
    say(format!("wrote {dir}/main.tf with {size} resources"));
    Ok(())
}

/// Writes a plan of `size` resources.
pub(crate) fn write(size: usize, dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir)?;
    Ok(grappe_state::files::write_atomic(&dir.join("main.tf"), plan(size).as_bytes(), 0o644)?)
}

fn plan(size: usize) -> String {
    let width = size.div_ceil(LAYERS).max(1);
    let mut out = String::new();
    for n in 0..size {
        let (layer, at) = (n / width, n % width);
        let _ = writeln!(out, "resource \"terraform_data\" \"l{layer}_{at}\" {{");
        if layer == 0 {
            let _ = writeln!(out, "  input = \"{n}\"");
        } else {
            // Neighbours and one from afar, the same in every run.
            let mut deps = vec![at, (at + 1) % width];
            if n % 2 == 0 {
                deps.push((at * 7 + 3) % width);
            }
            deps.sort_unstable();
            deps.dedup();
            let ids: Vec<String> =
                deps.iter().map(|d| format!("terraform_data.l{}_{d}.id", layer - 1)).collect();
            let _ = writeln!(out, "  input = [{}]", ids.join(", "));
        }
        out.push_str("}\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_as_many_resources_as_asked_and_refers_to_what_is_there() {
        let text = plan(1000);
        assert_eq!(text.matches("resource \"terraform_data\"").count(), 1000);
        for id in text.split("terraform_data.").skip(1).filter_map(|t| t.split(".id").next()) {
            assert!(text.contains(&format!("\"terraform_data\" \"{id}\"")), "{id}");
        }
    }
}
