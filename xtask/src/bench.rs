//! `cargo xtask bench`: floors and ours on the same packets in one run, as a table and a JSON file.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{build, ebpf, setup, shell};

/// The kernel object with the floors and the packet feeder.
const OBJECT: &str = "ot-xdp-bench";

/// The task. Options go to the bench program: `--quick`, `--json FILE`.
pub fn task(args: &[String]) -> Result<()> {
    build::build(false)?;
    let object = ebpf::compile(&setup::ready()?, OBJECT)?;
    let placed = shell::target().join("ot-xdp-bench.bpf.o");
    fs::copy(&object, &placed).with_context(|| format!("cannot write {}", placed.display()))?;
    let program = build::tool(OBJECT)?;
    let mut c = Command::new(program);
    c.arg("--object").arg(placed).args(args);
    if !args.iter().any(|a| a == "--json") {
        c.arg("--json").arg(shell::target().join("bench.json"));
    }
    shell::run(&mut c)
}
