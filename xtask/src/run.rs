//! `cargo xtask run`: builds, then becomes the sensor.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{build, shell};

/// The task.
pub fn task(args: &[String]) -> Result<()> {
    let args = args.strip_prefix(&["--".to_owned()]).unwrap_or(args);
    if !names_interface(args) {
        return Err(crate::usage("run -- --interface IF [options of `ot-xdp run`]"));
    }
    let program = build::build(false)?;
    // XDP needs privileges. With sudo a person is asked; without it the program says itself what it lacks.
    let mut c = if !shell::is_root() && shell::on_path("sudo").is_some() {
        let mut c = Command::new("sudo");
        c.arg(&program);
        c
    } else {
        Command::new(&program)
    };
    shell::without_own_cargo(&mut c);
    Err(c.arg("run").args(args).exec()).with_context(|| format!("cannot start {}", program.display()))
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
