//! Debian packages: which are there, and how to install them.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, bail};

use crate::shell;

/// Package lists are fetched once, and only when a package is not to be had without.
static UPDATED: AtomicBool = AtomicBool::new(false);

/// Can packages be installed? If not, why.
pub fn usable() -> Result<(), &'static str> {
    if shell::on_path("apt-get").is_none() {
        Err("this machine has no apt-get")
    } else if !shell::is_root() {
        Err("installing packages needs root")
    } else {
        Ok(())
    }
}

/// Version of a package that could be installed, or is.
pub fn candidate(package: &str) -> Option<String> {
    if let Some(version) = policy(package) {
        return Some(version);
    }
    if usable().is_ok() && update().is_ok() { policy(package) } else { None }
}

/// Installs packages.
pub fn install(packages: &[&str]) -> Result<()> {
    if let Err(why) = usable() {
        bail!("{why}; as root: {}", person(packages));
    }
    if packages.iter().any(|p| policy(p).is_none()) {
        update()?;
    }
    let done = apt().args(["install", "-y", "--no-install-recommends"]).args(packages).run();
    if done.is_err() && !UPDATED.load(Ordering::Relaxed) {
        // A list that is out of date names files that the mirror no longer has.
        update()?;
        return apt().args(["install", "-y", "--no-install-recommends"]).args(packages).run();
    }
    done
}

/// What a person would type.
pub fn person(packages: &[&str]) -> String {
    format!("apt-get install {}", packages.join(" "))
}

fn policy(package: &str) -> Option<String> {
    let text = shell::output(Command::new("apt-cache").args(["policy", package]).env("LC_ALL", "C")).ok()?;
    let version = text.lines().find_map(|l| l.trim().strip_prefix("Candidate: "))?;
    (version != "(none)").then(|| version.to_owned())
}

fn update() -> Result<()> {
    if UPDATED.swap(true, Ordering::Relaxed) {
        return Ok(());
    }
    apt().arg("update").run()
}

fn apt() -> Command {
    let mut c = Command::new("apt-get");
    c.args(["-q", "-o", "Dpkg::Use-Pty=0"]).env("DEBIAN_FRONTEND", "noninteractive");
    c
}

trait Run {
    fn run(&mut self) -> Result<()>;
}

impl Run for Command {
    fn run(&mut self) -> Result<()> {
        shell::run(self)
    }
}
