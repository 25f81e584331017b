//! Build of the kernel object: every flag in one place, and the checks on what comes out.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, bail};
use object::{Object, ObjectSymbol};

use crate::setup::Tools;
use crate::toolchain::Route;
use crate::{shell, stamp};

/// The kernel runs programs of its own byte order.
pub const TARGET: &str = if cfg!(target_endian = "big") { "bpfeb-unknown-none" } else { "bpfel-unknown-none" };

/// The sensor among the programs of the kernel crate.
const SENSOR: &str = "ot-xdp";

/// Compiler flags of the kernel side, each with its reason.
pub fn flags(linker: &Path) -> String {
    let flags = [
        // Turns LLVM bitcode into a BPF object.
        format!("-Clinker={}", linker.display()),
        // BTF is made from debug information, and names the source line in a verifier's complaint.
        "-Cdebuginfo=2".to_owned(),
        // Types of maps and programs: frags, global subprograms and map dumps need them.
        "-Clink-arg=--btf".to_owned(),
        // In-order expansion of copies hides them from the optimiser: half as many verified instructions again in the
        // Modbus program (75,643 instead of 51,502).
        "-Clink-arg=--disable-expand-memcpy-in-order".to_owned(),
        // 32-bit jumps and arithmetic: loops 10 to 15 % faster, less code. Kernels from 5.1 know it; v4 gains nothing.
        "-Ctarget-cpu=v3".to_owned(),
        // aya-ebpf chooses the register layout of kernel structures by it.
        format!("--cfg=bpf_target_arch=\"{}\"", env::consts::ARCH),
    ];
    flags.join("\u{1f}")
}

/// Cargo with the compiler, flags and target folder of the kernel side, in `folder`.
pub fn cargo(tools: &Tools, program: impl AsRef<OsStr>, task: &str, folder: &Path) -> Command {
    let t = &tools.toolchain;
    let mut c = Command::new(program);
    c.current_dir(folder).arg(task).args(["--release", "--target", TARGET, "--target-dir"]);
    c.arg(shell::target().join("bpf"));
    if t.route == Route::Source {
        c.arg("-Zbuild-std=core");
    }
    shell::without_own_cargo(&mut c);
    for name in ["RUSTFLAGS", "RUSTC_WORKSPACE_WRAPPER", "CARGO_BUILD_TARGET", "CARGO_TARGET_DIR", "RUSTUP_TOOLCHAIN"] {
        c.env_remove(name);
    }
    c.env("CARGO", &t.cargo).env("RUSTC", &t.rustc).env("CARGO_ENCODED_RUSTFLAGS", flags(&tools.linker));
    // Inline assembly for BPF and `-Z build-std` are unstable; both are used on stable compilers, whose release is known.
    c.env("RUSTC_BOOTSTRAP", "1");
    c
}

/// The crate of the kernel side.
pub fn folder() -> PathBuf {
    shell::root().join("ot-xdp-ebpf")
}

/// Where `ot-xdp/build.rs` looks for the object.
pub fn placed() -> PathBuf {
    shell::target().join(stamp::OBJECT)
}

/// Does the placed object belong to the sources as they are?
pub fn is_fresh() -> bool {
    let was = fs::read_to_string(stamp::beside(&placed())).unwrap_or_default();
    placed().is_file() && stamp::fingerprint(&shell::root()).is_ok_and(|is| stamp::sources_of(&was) == is)
}

/// Builds the sensor's object when its sources or tools have changed, and puts it where `ot-xdp/build.rs` embeds it.
pub fn build(tools: &Tools) -> Result<()> {
    let fingerprint = stamp::fingerprint(&shell::root()).context("cannot read the sources of the kernel program")?;
    let stamp = format!("{fingerprint}\n{}\n", tools.identity());
    let (to, stamp_file) = (placed(), stamp::beside(&placed()));
    if to.is_file() && fs::read_to_string(&stamp_file).is_ok_and(|was| was == stamp) {
        return Ok(());
    }
    let object = compile(tools, SENSOR)?;
    check_panics(&object)?;
    // Once more: the compilation may have brought the lock file up to date.
    let fingerprint = stamp::fingerprint(&shell::root()).context("cannot read the sources of the kernel program")?;
    let stamp = format!("{fingerprint}\n{}\n", tools.identity());
    // Never an old stamp beside a new object, nor the reverse: the stamp goes first and comes last.
    if stamp_file.exists() {
        fs::remove_file(&stamp_file)?;
    }
    fs::copy(&object, &to).with_context(|| format!("cannot write {}", to.display()))?;
    fs::write(&stamp_file, stamp).with_context(|| format!("cannot write {}", stamp_file.display()))?;
    eprintln!("kernel object: {}, {} kB, no panic in it", to.display(), fs::metadata(&to)?.len().div_ceil(1000));
    Ok(())
}

/// Cargo's clippy of the very compiler that builds the kernel side, if it is installed: another one cannot read its `core`.
pub fn clippy(tools: &Tools) -> Option<PathBuf> {
    let program = tools.toolchain.rustc.with_file_name("cargo-clippy");
    program.is_file().then_some(program)
}

/// Compiles a program of the kernel crate.
pub fn compile(tools: &Tools, program: &str) -> Result<PathBuf> {
    let mut c = cargo(tools, &tools.toolchain.cargo, "build", &folder());
    shell::run(c.args(["--bin", program]))?;
    Ok(shell::target().join("bpf").join(TARGET).join("release").join(program))
}

/// A reachable panic links without complaint, and then fails to load with "last insn is not an exit or jmp" and no hint.
fn check_panics(file: &Path) -> Result<()> {
    let data = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let object = object::File::parse(&*data).with_context(|| format!("{} is no ELF object", file.display()))?;
    let names: Vec<&str> = object.symbols().filter_map(|s| s.name().ok()).filter(|n| n.contains("panicking")).collect();
    if !names.is_empty() {
        bail!(
            "the kernel object holds panics, which the verifier refuses:\n  {}\nLook for an index, a slice, a \
             division or an unwrap that the compiler cannot prove to succeed.",
            names.join("\n  ")
        );
    }
    Ok(())
}
