//! `cargo xtask test`: everything that must hold before a change is good.

use anyhow::Result;

use crate::run::{answers, cargo, go, say};
use crate::{bed, docs, setup};

pub(crate) fn all() -> Result<()> {
    setup::ensure()?;
    go(cargo().args(["fmt", "--all", "--check"]))?;
    go(cargo().args(["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]))?;
    docs::write(true)?;
    go(cargo().args(["doc", "--workspace", "--no-deps", "--quiet"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    // Tests start grappe itself: it must be there, and be this one.
    go(cargo().args(["build", "--package", "grappe-cli", "--quiet"]))?;
    bed::build()?;
    // Last, so that the runner's own summary ends what is printed.
    let tested = tests();
    tested.and(bed::leave())
}

fn tests() -> Result<()> {
    if answers("cargo-nextest", "--version") {
        go(cargo().args(["nextest", "run", "--workspace", "--no-fail-fast"]))
    } else {
        say("cargo-nextest is not installed: cargo test takes its place.");
        go(cargo().args(["test", "--workspace", "--no-fail-fast"]))
    }
}
