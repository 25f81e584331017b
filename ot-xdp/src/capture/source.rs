//! Where the octets come from: a file or standard input, unpacked if it is packed.

use std::fs::File;
use std::io::{self, BufReader, Cursor, ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::CaptureError;
use super::{gzip, zstd};

/// What errors call standard input.
pub(super) const STDIN: &str = "standard input";
/// Octets looked at to tell the kind of compression.
const LOOK: usize = 6;
/// Octets of compressed input read at once.
const PACKED_CHUNK: usize = 64 * 1024;

/// Compressions we do not read: first octets, program, command that unpacks.
const OTHER_COMPRESSIONS: [(&[u8], &str, &str); 4] = [
    (&[0xFD, b'7', b'z', b'X', b'Z', 0], "xz", "xz -dc"),
    (b"BZh", "bzip2", "bzip2 -dc"),
    (&[0x04, 0x22, 0x4D, 0x18], "lz4", "lz4 -dc"),
    (&[b'P', b'K', 3, 4], "zip", "unzip -p"),
];

/// A capture's octets, unpacked.
pub(super) struct Source {
    pub(super) octets: Box<dyn Read + Send>,
    /// Octets read from the file itself so far.
    pub(super) position: Arc<AtomicU64>,
}

/// Opens `path`, `-` being standard input. Also gives the size of the file, 0 if it has none (a pipe).
pub(super) fn open(path: &Path, file: &str) -> Result<(Source, u64), CaptureError> {
    if path.as_os_str() == "-" {
        return Ok((unpack(io::stdin(), file)?, 0));
    }
    let fail = |source| CaptureError::Open { file: file.to_owned(), source };
    let opened = File::open(path).map_err(fail)?;
    let metadata = opened.metadata().map_err(fail)?;
    if metadata.is_dir() {
        return Err(CaptureError::Folder { file: file.to_owned() });
    }
    Ok((unpack(opened, file)?, metadata.len()))
}

/// Tells by content whether `input` is packed and unpacks it.
pub(super) fn unpack(input: impl Read + Send + 'static, file: &str) -> Result<Source, CaptureError> {
    let position = Arc::new(AtomicU64::new(0));
    let mut input = Counted { input, position: Arc::clone(&position) };
    let mut start = Vec::with_capacity(LOOK);
    input.by_ref().take(LOOK as u64).read_to_end(&mut start).map_err(|source| CaptureError::Read {
        file: file.to_owned(),
        offset: 0,
        source,
    })?;
    if start.is_empty() {
        return Err(CaptureError::Empty { file: file.to_owned() });
    }
    if let Some((_, program, command)) = OTHER_COMPRESSIONS.iter().find(|(magic, ..)| start.starts_with(magic)) {
        let command = if file == STDIN { (*command).to_owned() } else { format!("{command} {file}") };
        return Err(CaptureError::OtherCompression { file: file.to_owned(), program, command });
    }
    let gzip = start.starts_with(&gzip::MAGIC);
    let zstd = start.first_chunk().is_some_and(|magic| *magic == zstd::MAGIC || zstd::is_skippable(*magic));
    let whole = Cursor::new(start).chain(input);
    let octets: Box<dyn Read + Send> = if gzip {
        Box::new(gzip::Gunzip::new(BufReader::with_capacity(PACKED_CHUNK, whole)))
    } else if zstd {
        Box::new(zstd::Unzstd::new(BufReader::with_capacity(PACKED_CHUNK, whole)))
    } else {
        Box::new(whole)
    };
    Ok(Source { octets, position })
}

struct Counted<R> {
    input: R,
    position: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.input.read(out) {
                // Handled here because the decompressors would take it for the end of their data.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(count) => {
                    self.position.fetch_add(count as u64, Ordering::Relaxed);
                    return Ok(count);
                }
                Err(error) => return Err(error),
            }
        }
    }
}
