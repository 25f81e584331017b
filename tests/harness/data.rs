//! Test data: captures of the repository, and the shared corpus where it is present.

use std::path::{Path, PathBuf};

use ot_xdp::capture::Capture;

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Folder of the shared corpus: `OT_XDP_SHARED`, or `shared` beside the repository. None when it is absent.
pub fn shared() -> Option<PathBuf> {
    let folder = std::env::var_os("OT_XDP_SHARED").map_or_else(|| root().join("../shared"), PathBuf::from);
    folder.join("corpus").is_dir().then_some(folder)
}

/// Captures in a folder, sorted by name; empty when the folder is absent.
pub fn captures(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|e| e == "pcap" || e == "pcapng"))
        .collect();
    files.sort();
    files
}

/// Every frame of a capture.
///
/// # Errors
/// What is wrong with the file.
pub fn frames(file: &Path) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut frames = Vec::new();
    for item in Capture::open(file)? {
        match item {
            Ok(c) => frames.push(c.data.to_vec()),
            Err(e) if e.ends_file() => return Err(e.into()),
            Err(_) => {}
        }
    }
    Ok(frames)
}

/// Captures that come with the repository: real stacks of each protocol.
pub fn own_captures() -> Vec<PathBuf> {
    captures(&root().join("tests/data/captures/live"))
}
