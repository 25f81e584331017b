//! `cargo xtask run`: builds, then becomes the sensor, or without an interface the plant lab.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{build, setup, shell};

/// The task.
pub fn task(args: &[String]) -> Result<()> {
    let args = args.strip_prefix(&["--".to_owned()]).unwrap_or(args);
    let program = build::build(false)?;
    if names_interface(args) {
        return become_program(&program, &[OsStr::new("run")], args);
    }
    // Nothing to listen on: the plant lab shows the same program on traffic of its own.
    setup::for_lab()?;
    let lab = build::tool("ot-xdp-lab")?;
    become_program(&lab, &[OsStr::new("run"), OsStr::new("--bin"), program.as_os_str()], args)
}

/// Replaces this process, as root where there is a way: XDP needs privileges. With sudo a person is asked; without it
/// the program says itself what it lacks.
fn become_program(program: &Path, first: &[&OsStr], args: &[String]) -> Result<()> {
    let mut c = if !shell::is_root() && shell::on_path("sudo").is_some() {
        let mut c = Command::new("sudo");
        c.arg(program);
        c
    } else {
        Command::new(program)
    };
    shell::without_own_cargo(&mut c);
    Err(c.args(first).args(args).exec()).with_context(|| format!("cannot start {}", program.display()))
}

/// Do the arguments say what to listen on, or ask for help?
fn names_interface(args: &[String]) -> bool {
    const OPTIONS: [&str; 6] = ["-i", "--interface", "-c", "--config", "-h", "--help"];
    args.iter().map(|a| a.split('=').next().unwrap_or(a)).any(|a| OPTIONS.contains(&a) || is_attached(a))
}

/// A short option with its value attached, as in `-ieth0`.
fn is_attached(arg: &str) -> bool {
    !arg.starts_with("--") && (arg.starts_with("-i") || arg.starts_with("-c"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interface_or_lab() {
        let args = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        for text in [
            "--interface eth0",
            "--interface=eth0",
            "-i eth0",
            "-ieth0",
            "--duration 2s -i a -i b",
            "-c x.toml",
            "--help",
        ] {
            assert!(names_interface(&args(text)), "{text}");
        }
        for text in ["", "--duration 20s", "--interval 5s"] {
            assert!(!names_interface(&args(text)), "{text}");
        }
    }
}
