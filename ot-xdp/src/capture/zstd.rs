//! Unpacks zstd (RFC 8878): several frames, skippable frames, checksums.
//!
//! The decoding is ruzstd's, block by block, so that at a fault the blocks before it are still given out. Its limits
//! hold the memory: a window of at most 128 MiB and 128 KiB a block, whatever the file claims.

use std::io::{self, BufRead, ErrorKind, Read};

use ruzstd::decoding::errors::FrameDecoderError;
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// Where the data should go on but does not.
const CUT: &str = "the zstd data is cut, expected more of it; copy the file again if it should be whole";
/// First octets of a zstd frame (RFC 8878 3.1.1).
pub(super) const MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
/// First octets of a skippable frame, whose first octet may be 0x50 to 0x5F (RFC 8878 3.1.2).
pub(super) const SKIPPABLE: [u8; 4] = [0x50, 0x2A, 0x4D, 0x18];
/// An empty raw block that is the frame's last (RFC 8878 3.1.1.2), and a checksum if the frame has one. The decoder
/// keeps a window's worth of octets back until the frame ends; at a fault this ends it.
const EMPTY_LAST_BLOCK: [u8; 7] = [1, 0, 0, 0, 0, 0, 0];

/// Unpacks what it reads from `R`.
pub(super) struct Unzstd<R> {
    source: R,
    frame: Option<FrameDecoder>,
    fault: Option<io::Error>,
}

impl<R: BufRead> Unzstd<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, frame: None, fault: None }
    }

    /// Goes to the next frame; false at the end of the file.
    fn next_frame(&mut self) -> io::Result<bool> {
        if self.source.fill_buf()?.is_empty() {
            return Ok(false);
        }
        let mut magic = [0; 4];
        self.source.read_exact(&mut magic).map_err(cut)?;
        if is_skippable(magic) {
            let mut length = [0; 4];
            self.source.read_exact(&mut length).map_err(cut)?;
            let length = u64::from(u32::from_le_bytes(length));
            if io::copy(&mut self.source.by_ref().take(length), &mut io::sink())? < length {
                return Err(cut(ErrorKind::UnexpectedEof.into()));
            }
        } else {
            // A new decoder for each frame: one that is used again reserves the window the frame claims at once.
            let mut frame = FrameDecoder::new();
            frame.init((&magic[..]).chain(&mut self.source)).map_err(fault)?;
            self.frame = Some(frame);
        }
        Ok(true)
    }
}

impl<R: BufRead> Read for Unzstd<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            let Some(frame) = &mut self.frame else {
                match self.fault.take() {
                    Some(fault) => return Err(fault),
                    None if self.next_frame()? => continue,
                    None => return Ok(0),
                }
            };
            if frame.can_collect() > 0 {
                return frame.read(out);
            }
            if frame.is_finished() {
                let stored = frame.get_checksum_from_data();
                if self.fault.is_none() && stored.is_some() && stored != frame.get_calculated_checksum() {
                    self.fault = Some(damaged("a checksum that does not match"));
                }
                self.frame = None;
            } else if let Err(error) = frame.decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1)) {
                self.fault = Some(fault(error));
                if frame.decode_blocks(&EMPTY_LAST_BLOCK[..], BlockDecodingStrategy::UptoBlocks(1)).is_err() {
                    self.frame = None;
                }
            }
        }
    }
}

/// Whether these are the first octets of a skippable frame.
pub(super) fn is_skippable(magic: [u8; 4]) -> bool {
    [magic[0] & 0xF0, magic[1], magic[2], magic[3]] == SKIPPABLE
}

fn fault(error: FrameDecoderError) -> io::Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(here) = cause {
        if let Some(io) = here.downcast_ref::<io::Error>() {
            return cut(io::Error::new(io.kind(), io.to_string()));
        }
        cause = here.source();
    }
    match error {
        FrameDecoderError::WindowSizeTooBig { requested, max } => io::Error::new(
            ErrorKind::InvalidData,
            format!(
                "the zstd window is {requested} octets, expected at most {max}; unpack the file first \
                 with `zstd -d --long=31`"
            ),
        ),
        FrameDecoderError::DictNotProvided { dict_id } => io::Error::new(
            ErrorKind::InvalidData,
            format!("the zstd data needs dictionary {dict_id}; unpack the file first with `zstd -d -D DICTIONARY`"),
        ),
        other => damaged(&other.to_string()),
    }
}

fn damaged(found: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("the zstd data is damaged, found {found}; copy the file again"))
}

fn cut(error: io::Error) -> io::Error {
    if error.kind() == ErrorKind::UnexpectedEof { io::Error::new(error.kind(), CUT) } else { error }
}
