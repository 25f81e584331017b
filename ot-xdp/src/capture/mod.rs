//! Capture files: pcap and pcapng, plain or packed with gzip or zstd, as a stream of Ethernet frames.
//!
//! ```text
//! file or stdin -> source (gzip, zstd) -> stream -> pcap | pcapng -> link -> Captured
//! ```
//!
//! The framing of both formats is read here and not by a crate, because a fault must be named with its octet and what
//! was expected there, after the frames before it are delivered. pcap-file 2 gives no offsets, takes every pcapng time
//! for nanoseconds and refuses frames whose length on the wire is above the snap length. pcap-parser 0.17 leaves
//! offsets to its caller and names no expectation, holds each block whole, also those it passes over, and does not know
//! big-endian files of the patched pcap.
//!
//! Memory: one read buffer, one frame, the interfaces of a section (at most 65,536) and for zstd its window.

mod error;
mod gzip;
mod link;
mod pcap;
mod pcapng;
mod record;
mod source;
mod stream;
#[cfg(test)]
mod tests;
mod zstd;

use std::io::Read;
use std::iter::FusedIterator;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

pub use self::error::CaptureError;
use self::link::Outcome;
use self::source::Source;
use self::stream::Stream;

/// A frame of a capture file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    /// Number of the record in this file, from 1. Frames that are left out are counted, so that this is the number that
    /// other programs show.
    pub number: u64,
    /// Nanoseconds since the Unix epoch. A Simple Packet Block has no time and gets that of the frame before it, else
    /// 0.
    pub at_ns: i64,
    /// Length on the wire in octets, for a rebuilt frame with the header that was made up. At least the length of
    /// `data`.
    pub orig_len: u32,
    /// The Ethernet frame as captured: perhaps cut, perhaps shorter than a header. It shares the read buffer; copy it
    /// if it is to be kept for long.
    pub data: Bytes,
    /// The Ethernet header was made up, because the capture is of another link type.
    pub rebuilt: bool,
}

enum Format {
    Pcap(pcap::Pcap),
    Pcapng(pcapng::Pcapng),
}

/// A capture file that is being read, front to back.
///
/// The iterator gives every readable frame, then at a fault one error, then nothing more. An error for which
/// [`CaptureError::ends_file`] is false comes between frames: those of one interface are left out.
pub struct Capture {
    stream: Stream,
    format: Format,
    position: Arc<AtomicU64>,
    size: u64,
    number: u64,
    skipped: u64,
    ended: bool,
}

impl Capture {
    /// Opens a capture file, `-` being standard input, and reads its header.
    ///
    /// # Errors
    /// It cannot be read, is empty or no capture, or its header is cut or corrupt.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        let file = if path.as_os_str() == "-" { source::STDIN.to_owned() } else { path.display().to_string() };
        let (source, size) = source::open(path, &file)?;
        Self::new(file, source, size)
    }

    /// Reads a capture from anything, `file` being its name in errors. Its [`Capture::size`] is 0.
    ///
    /// # Errors
    /// See [`Capture::open`].
    pub fn from_reader(file: &str, reader: impl Read + Send + 'static) -> Result<Self, CaptureError> {
        Self::new(file.to_owned(), source::unpack(reader, file)?, 0)
    }

    fn new(file: String, source: Source, size: u64) -> Result<Self, CaptureError> {
        let mut stream = Stream::new(file, source.octets);
        let format = if let Some(pcap) = pcap::Pcap::open(&mut stream)? {
            Format::Pcap(pcap)
        } else if let Some(pcapng) = pcapng::Pcapng::open(&mut stream)? {
            Format::Pcapng(pcapng)
        } else {
            return Err(stream.not_a_capture());
        };
        Ok(Self { stream, format, position: source.position, size, number: 0, skipped: 0, ended: false })
    }

    /// Octets of the file read so far, as it is on disk: compressed if it is compressed.
    pub fn position(&self) -> u64 {
        self.position.load(Ordering::Relaxed)
    }

    /// Octets of the file as it is on disk; 0 if that is not known, as for standard input.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Frames left out so far because no Ethernet frame could be rebuilt from them.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    fn step(&mut self) -> Result<Option<Captured>, CaptureError> {
        loop {
            let record = match &mut self.format {
                Format::Pcap(pcap) => pcap.next(&mut self.stream)?,
                Format::Pcapng(pcapng) => pcapng.next(&mut self.stream)?,
            };
            let Some(record) = record else { return Ok(None) };
            self.number += 1;
            let (data, orig_len, rebuilt) = match link::to_ethernet(record.link, &record.data) {
                Outcome::AsItIs => (record.data, record.orig_len, false),
                Outcome::Rebuilt { frame, removed } => (frame, link::rebuilt_len(record.orig_len, removed), true),
                Outcome::Impossible => {
                    self.skipped += 1;
                    continue;
                }
                Outcome::Unsupported => {
                    self.skipped += 1;
                    let first = match &mut self.format {
                        Format::Pcap(pcap) => pcap.first_time(),
                        Format::Pcapng(pcapng) => pcapng.first_time(record.interface),
                    };
                    if first {
                        return Err(CaptureError::LinkType {
                            file: self.stream.file(),
                            offset: record.start,
                            interface: record.interface,
                            link_type: record.link,
                        });
                    }
                    continue;
                }
            };
            // Some writers leave the length on the wire at 0.
            let orig_len = orig_len.max(u32::try_from(data.len()).unwrap_or(u32::MAX));
            return Ok(Some(Captured { number: self.number, at_ns: record.at_ns, orig_len, data, rebuilt }));
        }
    }
}

impl Iterator for Capture {
    type Item = Result<Captured, CaptureError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let item = self.step().transpose();
        self.ended = match &item {
            None => true,
            Some(Err(error)) => error.ends_file(),
            Some(Ok(_)) => false,
        };
        item
    }
}

impl FusedIterator for Capture {}
