//! Places the kernel object beside the binary, and refuses one that does not belong to the sources.

#[path = "../xtask/src/stamp.rs"]
mod stamp;

use std::path::{Path, PathBuf};
use std::{env, fs, process};

fn main() {
    println!("cargo::rerun-if-env-changed=OT_XDP_SKIP_BPF");
    println!("cargo::rerun-if-env-changed=OT_XDP_BPF_OBJECT");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let placed = out.join(stamp::OBJECT);
    // Lints and tests that need no kernel program can be run without one; the binary then says so.
    if env::var_os("OT_XDP_SKIP_BPF").is_some_and(|v| v == "1") {
        return write(&placed, &[]);
    }
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("..");
    let object = env::var_os("OT_XDP_BPF_OBJECT").map_or_else(|| beside_build(&out), PathBuf::from);
    let stamp_file = stamp::beside(&object);
    println!("cargo::rerun-if-changed={}", object.display());
    println!("cargo::rerun-if-changed={}", stamp_file.display());
    let sources = stamp::sources(&root).unwrap_or_default();
    sources.iter().for_each(|s| println!("cargo::rerun-if-changed={}", s.display()));
    let Ok(bytes) = fs::read(&object) else {
        refuse(&format!("there is no kernel object at {}", object.display()));
    };
    let is = stamp::fingerprint(&root).unwrap_or_default();
    let was = fs::read_to_string(&stamp_file).unwrap_or_default();
    if stamp::sources_of(&was) != is {
        refuse("the kernel object is stale: its sources have changed since it was built");
    }
    write(&placed, &bytes);
}

/// `target/PROFILE/build/PACKAGE/out` lies four folders below the target folder.
fn beside_build(out: &Path) -> PathBuf {
    out.ancestors().nth(4).unwrap_or(out).join(stamp::OBJECT)
}

fn write(to: &Path, bytes: &[u8]) {
    if let Err(e) = fs::write(to, bytes) {
        refuse(&format!("cannot write {}: {e}", to.display()));
    }
}

fn refuse(why: &str) -> ! {
    println!("cargo::error={why}; run `cargo xtask build` (or set OT_XDP_SKIP_BPF=1 to build without the kernel side)");
    process::exit(1)
}
