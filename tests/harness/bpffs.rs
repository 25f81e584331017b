//! A BPF file system for a test, gone with its guard.

use std::path::PathBuf;
use std::process::Command;

/// A BPF file system of the test's own.
pub struct BpfFs(PathBuf);

impl BpfFs {
    /// Mounts one below the directory for temporary files.
    ///
    /// # Panics
    /// Without root, or a kernel that has none.
    pub fn new(name: &str) -> BpfFs {
        let path = std::env::temp_dir().join(format!("ot-xdp-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("directory");
        let done = Command::new("mount").args(["-t", "bpf", "bpf"]).arg(&path).status().expect("mount");
        assert!(done.success(), "a BPF file system can be mounted");
        BpfFs(path)
    }

    /// A directory for pins.
    pub fn pins(&self) -> PathBuf {
        self.0.join("pins")
    }

    /// The option of `run`.
    pub fn option(&self) -> String {
        format!("--pin={}", self.pins().display())
    }

    /// What is pinned.
    pub fn names(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.pins()) else { return Vec::new() };
        let mut names: Vec<String> = entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

impl Drop for BpfFs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
        let _ = std::fs::remove_dir(&self.0);
    }
}
