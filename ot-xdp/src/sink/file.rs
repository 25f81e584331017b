//! A file of lines: rotated by size and time, compressed, opened anew when somebody has moved it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::transport::{Record, Reply, SinkError, Transport};

/// When a file is full, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Begin a new file at this size.
    pub size: Option<u64>,
    /// Begin a new file after this time.
    pub every: Option<Duration>,
    /// Old files that are kept; all of them without a number.
    pub keep: Option<u32>,
    /// Compress old files.
    pub compress: bool,
}

/// Lines in a file.
pub struct LineFile {
    path: PathBuf,
    rotation: Rotation,
    reopens: Arc<AtomicU64>,
    seen: u64,
    open: Option<Open>,
}

struct Open {
    file: File,
    size: u64,
    since: SystemTime,
    inode: u64,
}

impl LineFile {
    /// Lines at the end of the file at `path`. A change of `reopens` has it opened anew.
    pub fn new(path: PathBuf, rotation: Rotation, reopens: Arc<AtomicU64>) -> LineFile {
        let seen = reopens.load(Relaxed);
        LineFile { path, rotation, reopens, seen, open: None }
    }

    /// Can the file be written?
    ///
    /// # Errors
    /// What the system says.
    pub fn check(path: &Path) -> io::Result<()> {
        let existed = path.exists();
        options().open(path)?;
        if !existed {
            fs::remove_file(path)?;
        }
        Ok(())
    }

    fn opened(&mut self) -> io::Result<&mut Open> {
        let asked = self.reopens.load(Relaxed);
        if asked != self.seen {
            self.seen = asked;
            self.open = None;
        }
        let open = match self.open.take() {
            Some(open) => open,
            None => {
                let file = options().open(&self.path)?;
                let about = file.metadata()?;
                cut_torn_line(&self.path, &about)?;
                let size = file.metadata()?.len();
                // A file that is gone on with is as old as it is: a restart each hour must not make it endless.
                let since =
                    if size == 0 { SystemTime::now() } else { about.created().unwrap_or_else(|_| SystemTime::now()) };
                Open { file, size, since, inode: about.ino() }
            }
        };
        Ok(self.open.insert(open))
    }

    fn write(&mut self, batch: &[Record]) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = batch.get(done..).filter(|r| !r.is_empty()) {
            let limit = self.rotation.size.unwrap_or(u64::MAX);
            let every = self.rotation.every;
            let open = self.opened()?;
            let mut block = Vec::with_capacity(64 << 10);
            let mut here = 0;
            for record in rest {
                let size = open.size + block.len() as u64;
                if size != 0 && size + record.body.len() as u64 >= limit {
                    break;
                }
                block.extend_from_slice(&record.body);
                block.push(b'\n');
                here += 1;
            }
            let old = every.is_some_and(|e| open.size != 0 && open.since.elapsed().is_ok_and(|age| age >= e));
            if here == 0 || old {
                self.rotate()?;
                continue;
            }
            if let Err(e) = open.file.write_all(&block) {
                // Half a line must not stand before a whole one.
                let _ = open.file.set_len(open.size);
                return if done == 0 { Err(e) } else { Ok(done) };
            }
            open.size += block.len() as u64;
            done += here;
        }
        Ok(done)
    }

    /// Gives the file a name with its time, and begins a new one.
    fn rotate(&mut self) -> io::Result<()> {
        let Some(open) = self.open.take() else { return Ok(()) };
        drop(open.file);
        // Somebody else may have moved it; then there is nothing of ours to rename.
        if fs::metadata(&self.path).is_ok_and(|m| m.ino() == open.inode) {
            let stamp = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S%.6fZ").to_string();
            let old = PathBuf::from(format!("{}.{stamp}", self.path.display()));
            fs::rename(&self.path, &old)?;
            let (path, rotation) = (self.path.clone(), self.rotation.clone());
            // Compression takes its time, and lines keep coming.
            std::thread::spawn(move || {
                if rotation.compress
                    && let Err(e) = compress(&old)
                {
                    tracing::warn!("{}: not compressed: {e}", old.display());
                }
                if let Some(keep) = rotation.keep
                    && let Err(e) = tidy(&path, keep as usize)
                {
                    tracing::warn!("{}: old files not removed: {e}", path.display());
                }
            });
        }
        Ok(())
    }

    fn error(&self, e: &io::Error) -> SinkError {
        let text = format!("{}: {e}", self.path.display());
        if e.kind() == io::ErrorKind::PermissionDenied { SinkError::Refused(text) } else { SinkError::Lost(text) }
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o640);
    options
}

/// A crash may have left half a line; the next line must not be glued to it.
fn cut_torn_line(path: &Path, about: &fs::Metadata) -> io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    if !about.is_file() || about.len() == 0 {
        return Ok(());
    }
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut end = about.len();
    let mut block = [0; 4096];
    while end > 0 {
        let from = end.saturating_sub(block.len() as u64);
        let Some(part) = block.get_mut(..(end - from) as usize) else { return Ok(()) };
        file.seek(SeekFrom::Start(from))?;
        file.read_exact(part)?;
        if let Some(at) = part.iter().rposition(|b| *b == b'\n') {
            end = from + at as u64 + 1;
            break;
        }
        end = from;
    }
    if end != about.len() {
        let mut begin = [0; 5];
        file.seek(SeekFrom::Start(end))?;
        let n = file.read(&mut begin)?;
        if begin.get(..n).is_some_and(|b| b.starts_with(b"{") || b.starts_with(b"CEF:")) {
            file.set_len(end)?;
        }
    }
    Ok(())
}

fn compress(old: &Path) -> io::Result<()> {
    let new = PathBuf::from(format!("{}.gz", old.display()));
    let part = PathBuf::from(format!("{}.part", new.display()));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o640);
    let mut out = GzEncoder::new(options.open(&part)?, Compression::default());
    io::copy(&mut File::open(old)?, &mut out)?;
    out.finish()?.sync_all()?;
    fs::rename(part, new)?;
    fs::remove_file(old)
}

/// Removes the oldest of the old files. Their names sort by time.
fn tidy(path: &Path, keep: usize) -> io::Result<()> {
    let Some(name) = path.file_name().and_then(|n| n.to_str()) else { return Ok(()) };
    let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut old: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let file = entry.file_name();
        let stamp = file.to_str().and_then(|f| f.strip_prefix(name)).and_then(|f| f.strip_prefix('.'));
        // 20261122T183000.123456Z, with or without .gz
        if stamp.is_some_and(|s| s.get(8..9) == Some("T") && s.get(22..23) == Some("Z") && !s.ends_with(".part")) {
            old.push(entry.path());
        }
    }
    old.sort();
    let surplus = old.len().saturating_sub(keep);
    old.iter().take(surplus).try_for_each(fs::remove_file)
}

impl Transport for LineFile {
    fn connect(&mut self) -> Reply<'_, Result<(), SinkError>> {
        self.open = None;
        let done = self.opened().map(|_| ());
        let done = done.map_err(|e| self.error(&e));
        Box::pin(async move { done })
    }

    fn send<'a>(&'a mut self, batch: &'a [Record]) -> Reply<'a, Result<usize, SinkError>> {
        Box::pin(async move { self.write(batch).map_err(|e| self.error(&e)) })
    }

    fn close(&mut self) -> Reply<'_, ()> {
        Box::pin(async move {
            if let Some(open) = &self.open {
                let _ = open.file.sync_data();
            }
        })
    }
}

#[cfg(test)]
mod tests;
