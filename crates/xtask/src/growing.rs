//! Plans that can be of any size, to see what grows how: `cargo xtask bench`.
//!
//! All but one are of `terraform_data` alone: Terraform has that type built in, so it needs no network either.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::run::say;

const LAYERS: usize = 20;

/// How the resources of a plan hang together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Growing {
    Count,
    ForEach,
    Layered,
    Chain,
    Mixed,
}

impl Growing {
    pub(crate) const ALL: [Growing; 5] =
        [Growing::Count, Growing::ForEach, Growing::Layered, Growing::Chain, Growing::Mixed];

    /// The word for it on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Growing::Count => "count",
            Growing::ForEach => "for_each",
            Growing::Layered => "layered",
            Growing::Chain => "chain",
            Growing::Mixed => "mixed",
        }
    }

    /// What it is, for whoever reads its figures.
    pub(crate) fn description(self) -> &'static str {
        match self {
            Growing::Count => "One block with `count`, its input made of `count.index`.",
            Growing::ForEach => "One block with `for_each` over a set, its input made of `each.key`.",
            Growing::Layered => "20 layers of blocks, each built on two or three of the layer before.",
            Growing::Chain => "Blocks each built on the one before: nothing can be done at once.",
            Growing::Mixed => {
                "Layered too, of `terraform_data`, `null_resource`, `random_id` and `random_password` (whose values are sealed in the state). \
                 Grappe alone: Terraform would need provider plugins."
            }
        }
    }

    /// Whether a Terraform without plugins can do it.
    pub(crate) fn is_builtin(self) -> bool {
        self != Growing::Mixed
    }

    /// The plan.
    pub(crate) fn plan(self, size: usize) -> String {
        match self {
            Growing::Count => format!(
                "resource \"terraform_data\" \"many\" {{\n  count = {size}\n  input = {{ name = \"node-${{count.index}}\", kind = \
                 count.index % 2 == 0 ? \"even\" : \"odd\" }}\n}}\n"
            ),
            Growing::ForEach => format!(
                "resource \"terraform_data\" \"many\" {{\n  for_each = toset([for p in setproduct(range({}), range(100)) : \
                 \"node-${{p[0]}}-${{p[1]}}\" if p[0] * 100 + p[1] < {size}])\n  input    = {{ name = each.key, upper = upper(each.value) }}\n}}\n",
                size.div_ceil(100)
            ),
            Growing::Layered => layered(size, &[TERRAFORM_DATA]),
            Growing::Mixed => layered(size, &MIXED),
            Growing::Chain => {
                let mut out = String::new();
                for n in 0..size {
                    let input = if n == 0 { "0".to_owned() } else { format!("terraform_data.c{}.id", n - 1) };
                    let _ = writeln!(out, "resource \"terraform_data\" \"c{n}\" {{\n  input = {input}\n}}");
                }
                out
            }
        }
    }

    /// Writes the plan into a folder.
    pub(crate) fn write(self, size: usize, dir: &Path) -> Result<()> {
        write(dir, &self.plan(size))
    }
}

impl std::str::FromStr for Growing {
    type Err = anyhow::Error;

    fn from_str(word: &str) -> Result<Self> {
        let Some(found) = Growing::ALL.into_iter().find(|shape| shape.name() == word) else {
            let names: Vec<&str> = Growing::ALL.iter().map(|shape| shape.name()).collect();
            bail!("{word:?} is no shape of a plan: there are {}", names.join(", "));
        };
        Ok(found)
    }
}

/// `cargo xtask plan SHAPE SIZE DIR`
pub(crate) fn command(shape: &str, size: &str, dir: &str) -> Result<()> {
    let shape: Growing = shape.parse()?;
    let size: usize = size.parse().with_context(|| format!("{size:?} is no number of resources"))?;
    shape.write(size, Path::new(dir))?;
    say(format!("wrote {dir}/main.tf: {} {size}", shape.name()));
    Ok(())
}

/// Writes a plan of one file.
pub(crate) fn write(dir: &Path, text: &str) -> Result<()> {
    std::fs::create_dir_all(dir)?;
    Ok(grappe_state::files::write_atomic(&dir.join("main.tf"), text.as_bytes(), 0o644)?)
}

/// A type, and its argument that takes values of the layer before: a text with `{}` in the place of a list of them.
type Kind = (&'static str, &'static str);

const TERRAFORM_DATA: Kind = ("terraform_data", "input = {}");
const MIXED: [Kind; 4] = [
    TERRAFORM_DATA,
    ("null_resource", "triggers = { on = join(\",\", {}) }"),
    ("random_id", "byte_length = 8\n  keepers = { on = join(\",\", {}) }"),
    ("random_password", "length = 20\n  keepers = { on = join(\",\", {}) }"),
];

/// Layers of resources of these types in turn.
fn layered(size: usize, kinds: &[Kind]) -> String {
    let mut out = String::new();
    for n in 0..size {
        let (ty, argument) = kinds[n % kinds.len()];
        let (layer, at) = place(n, size);
        let ids: Vec<String> = below(n, size)
            .into_iter()
            .map(|m| {
                let (layer, at) = place(m, size);
                format!("{}.l{layer}_{at}.id", kinds[m % kinds.len()].0)
            })
            .collect();
        let list = if ids.is_empty() { format!("[\"{n}\"]") } else { format!("[{}]", ids.join(", ")) };
        let argument = argument.replace("{}", &list);
        let _ = writeln!(out, "resource \"{ty}\" \"l{layer}_{at}\" {{\n  {argument}\n}}");
    }
    out
}

fn width(size: usize) -> usize {
    size.div_ceil(LAYERS).max(1)
}

/// The layer of a resource, and its place there.
pub(crate) fn place(n: usize, size: usize) -> (usize, usize) {
    (n / width(size), n % width(size))
}

/// What a resource is built on: neighbours and one from afar in the layer before, the same in every run.
pub(crate) fn below(n: usize, size: usize) -> Vec<usize> {
    let width = width(size);
    let (layer, at) = place(n, size);
    if layer == 0 {
        return Vec::new();
    }
    let mut on = vec![at, (at + 1) % width];
    if n.is_multiple_of(2) {
        on.push((at * 7 + 3) % width);
    }
    on.sort_unstable();
    on.dedup();
    on.into_iter().map(|at| (layer - 1) * width + at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_have_as_many_resources_as_asked_and_refer_to_what_is_there() {
        for shape in [Growing::Layered, Growing::Mixed, Growing::Chain] {
            let text = shape.plan(1000);
            let blocks: std::collections::BTreeSet<String> = text
                .lines()
                .filter_map(|l| l.strip_prefix("resource ")?.strip_suffix(" {"))
                .map(|l| l.replace('"', "").replace(' ', "."))
                .collect();
            assert_eq!(blocks.len(), 1000, "{shape:?}");
            let references: Vec<&str> = text
                .split([' ', '[', ',', ')', ']', '\n'])
                .filter_map(|word| word.strip_suffix(".id"))
                .collect();
            assert!(references.len() >= 999, "{shape:?}");
            for reference in references {
                assert!(blocks.contains(reference), "{shape:?}: {reference}");
            }
        }
    }

    #[test]
    fn each_shape_has_a_word() {
        for shape in Growing::ALL {
            assert_eq!(shape.name().parse::<Growing>().unwrap(), shape);
        }
        assert!("round".parse::<Growing>().is_err());
    }
}
