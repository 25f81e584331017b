//! `cargo xtask eval`: the detectors on labelled captures and generated traffic, as a table.

use std::process::Command;

use anyhow::Result;

use crate::{build, shell};

/// The task. Options go to the program: sections (`E1` ... `E10`), `--data DIR`, `--json`, `--verbose`.
pub fn task(args: &[String]) -> Result<()> {
    build::build(false)?;
    let program = build::tool("ot-xdp-eval")?;
    let mut c = Command::new(program);
    c.arg("--program").arg(shell::target().join("release/ot-xdp")).args(args);
    shell::run(&mut c)
}
