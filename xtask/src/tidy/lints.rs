//! Formatting and lints on both sides.

use std::process::Command;

use anyhow::Result;

use super::{File, Finding};
use crate::setup::Tools;
use crate::{ebpf, shell};

/// `cargo fmt --check` of the workspace.
pub fn format_user(_: &[File], _: &Tools) -> Result<Finding> {
    // `--all` would also format the crates that others depend on by path, which is the kernel side's business.
    format(shell::cargo().args(["fmt", "--check"]))
}

/// `cargo fmt --check` of the kernel crate, which is a workspace of its own.
pub fn format_kernel(_: &[File], _: &Tools) -> Result<Finding> {
    format(shell::cargo().current_dir(ebpf::folder()).args(["fmt", "--check"]))
}

/// `cargo fmt --check` of the fuzz crate, which is a workspace of its own too.
pub fn format_fuzz(_: &[File], _: &Tools) -> Result<Finding> {
    format(shell::cargo().current_dir(shell::root().join("tests/fuzz")).args(["fmt", "--check"]))
}

/// `cargo clippy` of the workspace, every target; a warning is an error.
pub fn clippy_user(_: &[File], _: &Tools) -> Result<Finding> {
    let mut c = shell::cargo();
    c.args(["clippy", "--quiet", "--workspace", "--all-targets"]);
    if !ebpf::is_fresh() {
        // Lints do not need the kernel object.
        c.env("OT_XDP_SKIP_BPF", "1");
    }
    lint(&mut c, "clippy")
}

/// `cargo clippy` of the fuzz crate.
pub fn clippy_fuzz(_: &[File], _: &Tools) -> Result<Finding> {
    if shell::on_path("c++").is_none() {
        return Ok(Finding::Skipped("there is no C++ compiler, which its dependencies need".to_owned()));
    }
    lint(shell::cargo().current_dir(shell::root().join("tests/fuzz")).args(["clippy", "--quiet"]), "clippy")
}

/// Clippy of the kernel crate, with the compiler and the flags of its build.
pub fn clippy_kernel(_: &[File], tools: &Tools) -> Result<Finding> {
    let Some(clippy) = ebpf::clippy(tools) else {
        return Ok(Finding::Skipped(format!("there is no clippy beside {}", tools.toolchain.rustc.display())));
    };
    lint(ebpf::cargo(tools, clippy, "clippy", &ebpf::folder()).arg("--quiet"), "clippy")
}

fn format(c: &mut Command) -> Result<Finding> {
    if shell::on_path("rustfmt").is_none() {
        return Ok(Finding::Skipped("there is no rustfmt (rustup component add rustfmt)".to_owned()));
    }
    // The differences go to standard output in full; the files say enough.
    let out = c.args(["--", "--files-with-diff"]).output()?;
    let text = String::from_utf8_lossy(&out.stdout);
    let root = shell::root();
    let files = text.lines().map(|l| l.trim_start_matches(&*root.to_string_lossy()).trim_start_matches('/'));
    let mut broken: Vec<String> = files.map(|f| format!("{f}: run `cargo fmt`")).collect();
    if broken.is_empty() && !out.status.success() {
        broken.push(String::from_utf8_lossy(&out.stderr).trim().to_owned());
    }
    Ok(Finding::Broken(broken))
}

fn lint(c: &mut Command, what: &str) -> Result<Finding> {
    if shell::on_path("cargo-clippy").is_none() {
        return Ok(Finding::Skipped("there is no clippy (rustup component add clippy)".to_owned()));
    }
    // Its complaints name file and line themselves.
    let done = c.args(["--", "--deny", "warnings"]).status()?;
    Ok(Finding::Broken(if done.success() { Vec::new() } else { vec![format!("{what} has complaints, see above")] }))
}
