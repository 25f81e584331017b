//! Rules that each file keeps for itself.

use std::collections::BTreeSet;

use anyhow::Result;

use super::{File, Finding};
use crate::setup::Tools;

/// The top level of the repository; more files and folders would be rooms that nobody planned.
const TOP_LEVEL: [&str; 15] = [
    ".cargo",
    ".ci",
    ".gitignore",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "clippy.toml",
    "ot-xdp",
    "ot-xdp-common",
    "ot-xdp-ebpf",
    "rustfmt.toml",
    "tests",
    "xtask",
];

/// Files that may hold `unsafe`. A name that ends in `/` stands for the files of that folder.
const UNSAFE: [&str; 22] = [
    "ot-xdp-ebpf/src/bench/main.rs",
    "ot-xdp-ebpf/src/count.rs",
    "ot-xdp-ebpf/src/gate.rs",
    "ot-xdp-ebpf/src/jump.rs",
    "ot-xdp-ebpf/src/kernel.rs",
    "ot-xdp-ebpf/src/main.rs",
    "ot-xdp-ebpf/src/maps.rs",
    "ot-xdp-ebpf/src/opaque.rs",
    "ot-xdp-ebpf/src/packet.rs",
    "ot-xdp-ebpf/src/protocols.rs",
    "ot-xdp-ebpf/src/refuse.rs",
    "ot-xdp-ebpf/src/window.rs",
    "ot-xdp/src/source/kernel.rs",
    "ot-xdp/src/sys/",
    "tests/bench/bridge.rs",
    "tests/bench/map_read.rs",
    "tests/bench/rig.rs",
    "tests/harness/netns.rs",
    "tests/harness/packet.rs",
    "tests/harness/sink.rs",
    "tests/lab/plant.rs",
    "tests/lab/play.rs",
];

/// The only file that may write the verdict that loses a frame.
const VERDICT: &str = "ot-xdp-ebpf/src/verdict.rs";
/// Programs that see no frames but the bench's own.
const BENCH: &str = "ot-xdp-ebpf/src/bench/";

// Written in two parts, so that this file does not break its own rules.
const DROP: &str = concat!("XDP", "_DROP");
const ABORTED: &str = concat!("XDP", "_ABORTED");

/// Folders of one machine, and hosts of registries: none of them means anything to a reader elsewhere.
const PLACES: [&str; 10] = [
    concat!("/wo", "rk/"),
    concat!("/roo", "t/"),
    concat!("/hom", "e/"),
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("static.", "rust-lang.org"),
    concat!("deb.", "debian.org"),
    concat!("py", "pi.org"),
    concat!("python", "hosted.org"),
    concat!("npm", "js.org"),
];

/// The top level is exactly the agreed one.
pub fn top_level(files: &[File], _: &Tools) -> Result<Finding> {
    let is: BTreeSet<&str> = files.iter().filter_map(|f| f.path.split('/').next()).collect();
    let should = BTreeSet::from(TOP_LEVEL);
    let missing = should.difference(&is).map(|n| format!("{n}: missing"));
    let extra = is.difference(&should).map(|n| format!("{n}: not one of {}", TOP_LEVEL.join(", ")));
    Ok(Finding::Broken(missing.chain(extra).collect()))
}

/// Every Rust file begins with a `//!` line.
pub fn heads(files: &[File], _: &Tools) -> Result<Finding> {
    let headless = |f: &&File| f.is_rust() && !f.text.starts_with("//! ");
    let broken =
        files.iter().filter(headless).map(|f| format!("{}:1: begin with a `//!` line that says what it is", f.path));
    Ok(Finding::Broken(broken.collect()))
}

/// No Rust file above 600 lines.
pub fn length(files: &[File], _: &Tools) -> Result<Finding> {
    let lengths = files.iter().filter(|f| f.is_rust()).map(|f| (f, f.text.lines().count()));
    Ok(Finding::Broken(lengths.filter(|(_, n)| *n > 600).map(|(f, n)| format!("{}: {n} lines", f.path)).collect()))
}

/// `unsafe` only in the named files.
pub fn unsafe_code(files: &[File], _: &Tools) -> Result<Finding> {
    let may = |f: &File| UNSAFE.iter().any(|u| *u == f.path || (u.ends_with('/') && f.path.starts_with(u)));
    let suspects = files.iter().filter(|f| f.is_rust() && !may(f));
    Ok(Finding::Broken(lines_where(suspects, "this file may not hold unsafe code", has_unsafe)))
}

/// The verdict that drops is written in one file, the one that aborts in none.
pub fn verdicts(files: &[File], _: &Tools) -> Result<Finding> {
    let rust = || files.iter().filter(|f| f.is_rust() && !f.path.starts_with(BENCH));
    let mut broken =
        lines_where(rust().filter(|f| f.path != VERDICT), &format!("only {VERDICT} may drop"), |l| l.contains(DROP));
    broken.extend(lines_where(rust(), "a frame that was not understood is passed", |l| l.contains(ABORTED)));
    Ok(Finding::Broken(broken))
}

/// No path of a machine, no host of a registry.
pub fn places(files: &[File], _: &Tools) -> Result<Finding> {
    let texts = files.iter().filter(|f| !f.path.ends_with("Cargo.lock"));
    Ok(Finding::Broken(lines_where(texts, "names a place that others do not have", names_place)))
}

fn lines_where<'f>(files: impl Iterator<Item = &'f File>, why: &str, is: impl Fn(&str) -> bool) -> Vec<String> {
    files.flat_map(|f| f.lines().filter(|(_, l)| is(l)).map(move |(n, _)| format!("{}:{n}: {why}", f.path))).collect()
}

/// The keyword in code: not in a comment, nor as a part of a word.
fn has_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    code.match_indices("unsafe").any(|(at, word)| {
        let before = code.get(..at).unwrap_or_default();
        let after = code.get(at + word.len()..).unwrap_or_default();
        let starts = !before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        starts
            && ["{", "fn", "impl", "extern", "trait"]
                .iter()
                .any(|k| after.trim_start().starts_with(k) && after.starts_with(' '))
    })
}

/// One of the places; a folder only where the path begins with it.
fn names_place(line: &str) -> bool {
    PLACES.iter().any(|place| {
        line.match_indices(place).any(|(at, _)| {
            let before = line.get(..at).unwrap_or_default();
            let begins =
                !before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | '}' | '*'));
            begins || !place.starts_with('/')
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_keyword() {
        let word = concat!("un", "safe");
        for line in ["WORD { x }", "    let y = WORD { f() };", "WORD impl Pod for X {}", "pub WORD fn f() {}"] {
            assert!(has_unsafe(&line.replace("WORD", word)), "{line}");
        }
        for line in ["// unsafe { x }", "unsafe_code = 1", "#[unsafe(no_mangle)]", "is_unsafe {", "an unsafe value"] {
            assert!(!has_unsafe(line), "{line}");
        }
    }

    #[test]
    fn finds_places() {
        let [folder, other, host] =
            [concat!("cd /wo", "rk/main"), concat!("\"/hom", "e/x\""), concat!("https://in", "dex.crates.io/")];
        assert!(names_place(folder) && names_place(other));
        assert!(names_place(host) && !names_place(concat!("a/wo", "rk/b")) && !names_place(concat!("../wo", "rk/")));
    }
}
