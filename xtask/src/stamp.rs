//! Fingerprint of the kernel program's sources: which object belongs to which source. Shared with `ot-xdp/build.rs`.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// Name of the object and, with `.stamp` behind it, of its fingerprint, below the target folder.
pub const OBJECT: &str = "ot-xdp.bpf.o";

/// The file that says what an object was made of: the fingerprint of its sources, then the tools, a line each.
pub fn beside(object: &Path) -> PathBuf {
    let mut name = object.as_os_str().to_owned();
    name.push(".stamp");
    name.into()
}

/// Fingerprint of the sources in the text of such a file.
pub fn sources_of(stamp: &str) -> &str {
    stamp.lines().next().unwrap_or_default().trim()
}

/// Fingerprint (FNV-1a, 64 bits) of every file that the object is made of, in hexadecimal.
///
/// # Errors
/// When a source cannot be read.
pub fn fingerprint(root: &Path) -> io::Result<String> {
    let mut files = sources(root)?;
    files.sort();
    let mut hash: u64 = 0xCBF2_9CE4_8422_2325;
    let mut eat = |bytes: &[u8]| {
        for b in bytes {
            hash = (hash ^ u64::from(*b)).wrapping_mul(0x0100_0000_01B3);
        }
    };
    for file in &files {
        let name = file.strip_prefix(root).unwrap_or(file);
        eat(name.to_string_lossy().as_bytes());
        eat(&fs::read(file)?);
    }
    Ok(format!("{hash:016x}"))
}

/// The files that the kernel object is made of.
///
/// # Errors
/// When a folder cannot be listed.
pub fn sources(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for folder in ["ot-xdp-ebpf", "ot-xdp-common"] {
        walk(&root.join(folder), &mut files)?;
    }
    Ok(files)
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            if path.file_name().is_some_and(|n| n != "target") {
                walk(&path, files)?;
            }
        } else if path.extension().is_some_and(|e| e == "rs" || e == "toml" || e == "lock") {
            files.push(path);
        }
    }
    Ok(())
}
