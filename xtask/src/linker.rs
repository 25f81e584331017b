//! `bpf-linker`: an existing one, or one built for this project only.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{apt, shell};

/// Versions whose options the build uses.
const VERSION: &str = "^0.13";
/// Majors of LLVM that this `bpf-linker` has features for.
const LLVM: std::ops::RangeInclusive<u32> = 21..=23;

/// Linkers on this machine: the one on the path first, then our own.
pub fn existing() -> Vec<PathBuf> {
    [shell::on_path("bpf-linker"), Some(own())].into_iter().flatten().filter(|p| p.is_file()).collect()
}

/// First line of its version.
pub fn version(linker: &Path) -> Result<String> {
    let text = shell::output(Command::new(linker).arg("--version"))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// Builds one below the target folder against an LLVM that is not older than the compiler's.
pub fn install(llvm: u32) -> Result<PathBuf> {
    let (major, prefix) = match installed_llvm(llvm) {
        Some(found) => found,
        None => install_llvm(llvm)?,
    };
    if shell::on_path("c++").is_none() {
        apt::install(&["g++"]).context("bpf-linker links the C++ library of LLVM")?;
    }
    let mut c = shell::cargo();
    let scratch = shell::tools().join("bpf-linker-build");
    c.args(arguments(major)).arg("--root").arg(shell::tools()).arg("--target-dir").arg(&scratch);
    shell::run(c.arg("--force").env("LLVM_PREFIX", &prefix))?;
    // 300 MB that nothing reads again; what stays behind does no harm.
    let _ = std::fs::remove_dir_all(&scratch);
    Ok(own())
}

/// What a person would install for [`install`], if anything.
pub fn person(llvm: u32) -> Option<String> {
    let major = llvm.max(*LLVM.start());
    installed_llvm(llvm).is_none().then(|| apt::person(&[&format!("llvm-{major}-dev"), "g++"]))
}

fn arguments(llvm: u32) -> Vec<String> {
    let feature = format!("llvm-{llvm}");
    let words =
        ["install", "--locked", "bpf-linker", "--version", VERSION, "--no-default-features", "--features", &feature];
    words.map(str::to_owned).to_vec()
}

fn own() -> PathBuf {
    shell::tools().join("bin/bpf-linker")
}

/// The smallest LLVM with headers that will do.
fn installed_llvm(llvm: u32) -> Option<(u32, PathBuf)> {
    let named = env::var_os("LLVM_PREFIX").map(PathBuf::from);
    let usual = LLVM.map(|n| PathBuf::from(format!("/usr/lib/llvm-{n}")));
    named.into_iter().chain(usual).find_map(|prefix| {
        if !prefix.join("include/llvm-c/Core.h").is_file() {
            return None;
        }
        let version = shell::output(Command::new(prefix.join("bin/llvm-config")).arg("--version")).ok()?;
        let major = version.split('.').next()?.parse().ok()?;
        (llvm <= major && LLVM.contains(&major)).then_some((major, prefix))
    })
}

fn install_llvm(llvm: u32) -> Result<(u32, PathBuf)> {
    for major in LLVM.filter(|m| llvm <= *m) {
        let package = format!("llvm-{major}-dev");
        if apt::candidate(&package).is_some() {
            apt::install(&[&package])?;
            return installed_llvm(llvm)
                .with_context(|| format!("{package} is installed, but has no LLVM {llvm} or newer"));
        }
    }
    bail!(
        "bpf-linker needs an LLVM of at least {llvm} (the compiler's), and there is no package for one up to {}",
        LLVM.end()
    )
}
