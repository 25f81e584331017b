//! Kernels out of downloaded Debian packages, and the initial file system that they boot into.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// A kernel and the one module that the test needs (it depends on no other).
pub struct Kernel {
    /// Boot image.
    pub image: PathBuf,
    /// `veth.ko`, or `veth.ko.xz` where the distribution compresses modules.
    pub veth: PathBuf,
}

impl Kernel {
    /// Takes the newest stock kernel of a series, such as `6.1`, out of its package, which is downloaded and not
    /// installed. What an earlier call left in `cache` is used again.
    ///
    /// # Errors
    /// Why it cannot be had here.
    pub fn fetch(series: &str, cache: &Path) -> Result<Kernel> {
        let folder = cache.join(series);
        if !folder.is_dir() {
            // Another name until it is complete, so that an interrupted download is not taken for a kernel.
            let part = cache.join(format!("{series}.part"));
            if part.exists() {
                fs::remove_dir_all(&part)?;
            }
            fs::create_dir_all(&part)?;
            unpack(&newest(series)?, &part)?;
            fs::rename(&part, &folder)?;
        }
        let find = |prefix: &str| {
            let mut files = fs::read_dir(&folder)?.flatten().map(|e| e.path());
            let found = files.find(|p| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with(prefix)));
            found.with_context(|| format!("no {prefix} in {}; remove that folder", folder.display()))
        };
        Ok(Kernel { image: find("vmlinuz")?, veth: find("veth.ko")? })
    }
}

/// Name of the newest package with a stock kernel of this series.
fn newest(series: &str) -> Result<String> {
    // Neither the cloud and real-time flavours nor the unsigned packages, which have more words in their names.
    let pattern = format!(r"^linux-image-{}\.[0-9.]+[-+][a-z0-9]+-amd64$", series.replace('.', r"\."));
    let text = output(Command::new("apt-cache").args(["search", "--names-only", &pattern]))?;
    let names = text.lines().filter_map(|l| l.split(' ').next());
    let numbers = |name: &str| -> Vec<u64> { name.split(|c: char| !c.is_ascii_digit()).flat_map(str::parse).collect() };
    let found = names.max_by_key(|n| numbers(n)).map(str::to_owned);
    found.with_context(|| format!("the package sources of this machine have no Linux {series} (`apt-get update`?)"))
}

/// Downloads a package and puts its kernel and module into a folder.
fn unpack(package: &str, to: &Path) -> Result<()> {
    output(Command::new("apt-get").args(["--quiet", "download", package]).current_dir(to))?;
    let archive = fs::read_dir(to)?.flatten().map(|e| e.path()).find(|p| p.extension().is_some_and(|e| e == "deb"));
    let archive = archive.with_context(|| format!("apt-get downloaded no {package}"))?;
    let mut reader = Command::new("dpkg-deb").arg("--fsys-tarfile").arg(&archive).stdout(Stdio::piped()).spawn()?;
    let content = reader.stdout.take().context("no pipe")?;
    let mut tar = Command::new("tar");
    tar.args(["-x", "--wildcards", "--transform=s,.*/,,", "*/boot/vmlinuz-*", "*/kernel/drivers/net/veth.ko*"]);
    let unpacked = output(tar.current_dir(to).stdin(content));
    ensure!(reader.wait()?.success(), "{package} cannot be read");
    unpacked?;
    Ok(fs::remove_file(archive)?)
}

/// What a program prints.
fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let done = command.output().with_context(|| format!("cannot run {name}"))?;
    if !done.status.success() {
        bail!("{name}: {}", String::from_utf8_lossy(&done.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// An initial file system: a cpio archive in the "newc" format (Documentation/driver-api/early-userspace/
/// buffer-format.rst of Linux).
#[derive(Default)]
pub struct Image {
    archive: Vec<u8>,
    folders: BTreeSet<PathBuf>,
    entries: u32,
}

impl Image {
    /// Adds a file that all may read and run, and the folders above it.
    pub fn file(&mut self, path: &str, content: &[u8]) {
        let mut above: Vec<&Path> = Path::new(path).ancestors().skip(1).collect();
        above.reverse();
        for folder in above.into_iter().filter(|f| f.parent().is_some()) {
            self.folder(folder);
        }
        self.entry(path, 0o100_755, content);
    }

    /// Adds a folder, once.
    pub fn folder(&mut self, path: &Path) {
        if self.folders.insert(path.to_owned()) {
            self.entry(&path.to_string_lossy(), 0o040_755, &[]);
        }
    }

    /// Adds a program as `/bin/NAME` with the libraries that it loads, each where it looks for it.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub fn program(&mut self, name: &str, program: &Path) -> Result<()> {
        let read = |p: &Path| fs::read(p).with_context(|| format!("cannot read {}", p.display()));
        self.file(&format!("/bin/{name}"), &read(program)?);
        // Lines are `NAME => PATH (ADDRESS)` or `PATH (ADDRESS)`. It fails for a static program, which has none.
        let libraries = output(Command::new("ldd").arg(program)).unwrap_or_default();
        for path in libraries.split_whitespace().filter(|word| word.starts_with('/')) {
            if self.folders.insert(path.into()) {
                self.file(path, &read(Path::new(path))?);
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: &str, mode: u32, content: &[u8]) {
        self.entries += 1;
        self.header(path.trim_start_matches('/'), self.entries, mode, content.len());
        self.archive.extend_from_slice(content);
        self.align();
    }

    fn header(&mut self, name: &str, inode: u32, mode: u32, size: usize) {
        self.archive.extend_from_slice(b"070701");
        // inode, mode, uid, gid, links, time, size, device (2), device of a device file (2), length of the name, checksum
        for n in [inode as usize, mode as usize, 0, 0, 1, 0, size, 0, 0, 0, 0, name.len() + 1, 0] {
            // Writing to memory does not fail.
            let _ = write!(self.archive, "{n:08x}");
        }
        self.archive.extend_from_slice(name.as_bytes());
        self.archive.push(0);
        self.align();
    }

    fn align(&mut self) {
        self.archive.resize(self.archive.len().next_multiple_of(4), 0);
    }

    /// The archive.
    pub fn finish(mut self) -> Vec<u8> {
        self.header("TRAILER!!!", 0, 0, 0);
        self.archive
    }
}
