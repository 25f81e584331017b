//! `cargo xtask build`: the kernel object, then the program with the object inside.

use std::path::PathBuf;

use anyhow::Result;

use crate::{ebpf, setup, shell};

/// The task.
pub fn task(args: &[String]) -> Result<()> {
    let debug = match args {
        [] => false,
        [one] if one == "--debug" => true,
        _ => return Err(crate::usage("build [--debug]")),
    };
    let program = build(debug)?;
    eprintln!("{} is ready: one file, the kernel program is inside", program.display());
    Ok(())
}

/// Builds and says where the program is.
pub fn build(debug: bool) -> Result<PathBuf> {
    ebpf::build(&setup::ready()?)?;
    let mut c = shell::cargo();
    c.args(["build", "--package", "ot-xdp", "--bin", "ot-xdp"]).env_remove("OT_XDP_SKIP_BPF");
    if !debug {
        c.arg("--release");
    }
    shell::run(&mut c)?;
    Ok(shell::target().join(if debug { "debug" } else { "release" }).join("ot-xdp"))
}

/// Builds a tool of the tests package (lab, bench) and says where it is.
pub fn tool(name: &str) -> Result<PathBuf> {
    let mut c = shell::cargo();
    c.args(["build", "--release", "--package", "ot-xdp-tests", "--bin", name]).env_remove("OT_XDP_SKIP_BPF");
    shell::run(&mut c)?;
    Ok(shell::target().join("release").join(name))
}
