//! The uncompressed octets of a capture: buffered, counted, and never more in memory than one frame and one read.

use std::io::{ErrorKind, Read};

use bytes::{Buf, Bytes, BytesMut};

use super::error::CaptureError;

/// Octets asked for in one read: large enough that the system call does not matter.
const CHUNK: usize = 128 * 1024;

/// Byte order of a file or section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Big,
    Little,
}

impl Order {
    /// Takes the next 16-bit number from a header. A header too short gives 0; callers pass headers of the full length.
    pub(super) fn u16(self, from: &mut &[u8]) -> u16 {
        let value = if self == Self::Big { from.try_get_u16() } else { from.try_get_u16_le() };
        value.unwrap_or_default()
    }

    /// Takes the next 32-bit number, see [`Order::u16`].
    pub(super) fn u32(self, from: &mut &[u8]) -> u32 {
        let value = if self == Self::Big { from.try_get_u32() } else { from.try_get_u32_le() };
        value.unwrap_or_default()
    }

    /// Takes the next 64-bit number, see [`Order::u16`].
    pub(super) fn u64(self, from: &mut &[u8]) -> u64 {
        let value = if self == Self::Big { from.try_get_u64() } else { from.try_get_u64_le() };
        value.unwrap_or_default()
    }
}

/// Reads a capture front to back. Once it has ended, by end of file or by a fault, it stays ended.
pub(super) struct Stream {
    file: String,
    inner: Box<dyn Read + Send>,
    buf: BytesMut,
    /// Offset of the first octet of `buf`.
    offset: u64,
    ended: bool,
    fault: Option<std::io::Error>,
}

impl Stream {
    pub(super) fn new(file: String, inner: Box<dyn Read + Send>) -> Self {
        Self { file, inner, buf: BytesMut::new(), offset: 0, ended: false, fault: None }
    }

    /// Offset of the next octet.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The name of the file, for errors.
    pub(super) fn file(&self) -> String {
        self.file.clone()
    }

    /// Whether the capture ends here, as it may between two records. A failed read is no such end.
    pub(super) fn at_end(&mut self) -> Result<bool, CaptureError> {
        if self.fill(1) {
            return Ok(false);
        }
        match self.fault.take() {
            Some(source) => Err(CaptureError::Read { file: self.file(), offset: self.offset, source }),
            None => Ok(true),
        }
    }

    /// The next octets without taking them: `count` of them, fewer only at the end.
    pub(super) fn peek(&mut self, count: usize) -> &[u8] {
        self.fill(count);
        self.buf.get(..count).unwrap_or(&self.buf)
    }

    /// Takes `count` octets of `part`, which starts at `start`. The caller has checked `count` against a limit.
    pub(super) fn take(&mut self, count: usize, part: &'static str, start: u64) -> Result<Bytes, CaptureError> {
        if !self.fill(count) {
            let missing = count.saturating_sub(self.buf.len());
            return Err(self.short(missing as u64, part, start));
        }
        self.offset += count as u64;
        Ok(self.buf.split_to(count).freeze())
    }

    /// Takes a header of a fixed length, see [`Stream::take`].
    pub(super) fn header<const N: usize>(&mut self, part: &'static str, start: u64) -> Result<[u8; N], CaptureError> {
        self.fill(N);
        let Some(header) = self.buf.first_chunk::<N>().copied() else {
            let missing = N.saturating_sub(self.buf.len());
            return Err(self.short(missing as u64, part, start));
        };
        self.offset += N as u64;
        self.buf.advance(N);
        Ok(header)
    }

    /// Passes over `count` octets of `part` without keeping them, so that a forged length costs no memory.
    pub(super) fn skip(&mut self, count: u64, part: &'static str, start: u64) -> Result<(), CaptureError> {
        let mut missing = count;
        while missing > 0 {
            if !self.fill(1) {
                return Err(self.short(missing, part, start));
            }
            let here = self.buf.len().min(usize::try_from(missing).unwrap_or(usize::MAX));
            self.buf.advance(here);
            self.offset += here as u64;
            missing -= here as u64;
        }
        Ok(())
    }

    /// The error for a value at `offset` that cannot be.
    pub(super) fn corrupt(&self, offset: u64, expected: impl Into<String>, found: impl ToString) -> CaptureError {
        CaptureError::Corrupt { file: self.file(), offset, expected: expected.into(), found: found.to_string() }
    }

    /// The error for a file that begins like no capture.
    pub(super) fn not_a_capture(&mut self) -> CaptureError {
        let found = self.peek(4).iter().map(|octet| format!("{octet:02x}")).collect();
        match self.fault.take() {
            Some(source) => CaptureError::Read { file: self.file(), offset: 0, source },
            None => CaptureError::NotACapture { file: self.file(), found },
        }
    }

    fn short(&mut self, missing: u64, part: &'static str, start: u64) -> CaptureError {
        let offset = self.offset + self.buf.len() as u64;
        match self.fault.take() {
            Some(source) => CaptureError::Read { file: self.file(), offset, source },
            None => CaptureError::Truncated { file: self.file(), offset, part, start, missing },
        }
    }

    /// Reads until `count` octets are buffered; false if the capture ends before.
    fn fill(&mut self, count: usize) -> bool {
        while self.buf.len() < count {
            if self.ended {
                return false;
            }
            let have = self.buf.len();
            self.buf.resize(have + CHUNK.max(count - have), 0);
            let result = self.inner.read(self.buf.get_mut(have..).unwrap_or_default());
            self.buf.truncate(have + *result.as_ref().unwrap_or(&0));
            match result {
                Ok(0) => self.ended = true,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.ended = true;
                    self.fault = Some(error);
                }
            }
        }
        true
    }
}
