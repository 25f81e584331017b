//! Where things are, and how the tasks start other programs.
//!
//! Whatever the tasks say goes to standard error, also what the programs they start print: standard output belongs to
//! `ot-xdp run`, whose events may be piped.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, io};

use anyhow::{Context, Result, bail};

/// The repository's root.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// The target folder, wherever it was configured: cargo put this program below it, and marks it by this file.
pub fn target() -> PathBuf {
    let exe = env::current_exe().unwrap_or_default();
    let marked = exe.ancestors().find(|d| d.join(".rustc_info.json").is_file());
    marked.map_or_else(|| root().join("target"), Path::to_owned)
}

/// Tools that the set-up installs for this project only.
pub fn tools() -> PathBuf {
    target().join("tools")
}

/// The first program of that name on `PATH`.
pub fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    // Debian keeps `ip` out of an ordinary user's path.
    env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]).map(|d| d.join(name)).find(|p| p.is_file())
}

/// Cargo of the user-space side.
pub fn cargo_path() -> PathBuf {
    env::var_os("CARGO").map(PathBuf::from).or_else(|| on_path("cargo")).unwrap_or_else(|| "cargo".into())
}

/// Cargo of the user-space side, with this project's target folder.
pub fn cargo() -> Command {
    let mut c = Command::new(cargo_path());
    c.current_dir(root()).env("CARGO_TARGET_DIR", target()).env_remove("CARGO_BUILD_TARGET");
    without_own_cargo(&mut c);
    c
}

/// Removes what the cargo that started this program told it: the library path of its toolchain would reach the compilers
/// of other toolchains.
pub fn without_own_cargo(c: &mut Command) {
    for name in ["LD_LIBRARY_PATH", "CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH", "RUST_RECURSION_COUNT"] {
        c.env_remove(name);
    }
}

/// Prints the command and runs it.
pub fn run(c: &mut Command) -> Result<()> {
    eprintln!("  $ {}", line(c));
    let status =
        c.stdin(Stdio::null()).stdout(io::stderr()).status().with_context(|| format!("cannot start {}", line(c)))?;
    if !status.success() {
        bail!("{} failed ({status})", line(c));
    }
    Ok(())
}

/// Runs the command and returns its standard output.
pub fn output(c: &mut Command) -> Result<String> {
    let out = c.stdin(Stdio::null()).output().with_context(|| format!("cannot start {}", line(c)))?;
    if !out.status.success() {
        bail!("{} failed ({}): {}", line(c), out.status, String::from_utf8_lossy(&out.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// Can this process install packages and load programs?
pub fn is_root() -> bool {
    output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

fn line(c: &Command) -> String {
    let program = Path::new(c.get_program()).file_name().unwrap_or(c.get_program());
    let words: Vec<_> = std::iter::once(program).chain(c.get_args()).map(|w| w.to_string_lossy()).collect();
    words.join(" ")
}
