//! Unpacks gzip (RFC 1952), several members included.
//!
//! The inflating is flate2's. Its ready-made gzip reader throws away what it unpacked in the call that meets a fault,
//! up to a whole buffer of good frames; so the framing is done here.

use std::io::{self, BufRead, ErrorKind, Read};

use flate2::{Crc, Decompress, FlushDecompress, Status};

/// Where the data should go on but does not.
const CUT: &str = "the gzip data is cut, expected more of it; copy the file again if it should be whole";
/// First octets of a gzip member: identification and the one compression method there is (RFC 1952 2.3.1).
pub(super) const MAGIC: [u8; 3] = [0x1F, 0x8B, 8];

const HEADER_CRC: u8 = 0x02;
const EXTRA: u8 = 0x04;
const NAME: u8 = 0x08;
const COMMENT: u8 = 0x10;
const RESERVED: u8 = 0xE0;

enum State {
    /// Before a member.
    Head,
    Body,
    /// Before a member's checksum.
    Tail,
    /// The compressed data is not what it should be; everything before has been given out.
    Broken,
}

/// Unpacks what it reads from `R`.
pub(super) struct Gunzip<R> {
    source: R,
    state: State,
    inflate: Decompress,
    crc: Crc,
}

impl<R: BufRead> Gunzip<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, state: State::Head, inflate: Decompress::new(false), crc: Crc::new() }
    }

    fn octets<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut octets = [0; N];
        self.source.read_exact(&mut octets).map_err(cut)?;
        Ok(octets)
    }

    fn text(&mut self) -> io::Result<()> {
        while self.octets::<1>()? != [0] {}
        Ok(())
    }

    fn head(&mut self) -> io::Result<()> {
        let [id1, id2, method, flags, ..] = self.octets::<10>()?;
        if [id1, id2, method] != MAGIC || flags & RESERVED != 0 {
            return Err(damaged("octets that are no gzip member"));
        }
        if flags & EXTRA != 0 {
            for _ in 0..u16::from_le_bytes(self.octets()?) {
                self.octets::<1>()?;
            }
        }
        if flags & NAME != 0 {
            self.text()?;
        }
        if flags & COMMENT != 0 {
            self.text()?;
        }
        if flags & HEADER_CRC != 0 {
            self.octets::<2>()?;
        }
        self.inflate.reset(false);
        self.crc.reset();
        self.state = State::Body;
        Ok(())
    }

    fn body(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let input = self.source.fill_buf()?;
        let ended = input.is_empty();
        let (in_before, out_before) = (self.inflate.total_in(), self.inflate.total_out());
        let status = self.inflate.decompress(input, out, FlushDecompress::None);
        // Both counts also move in a call that fails.
        let taken = (self.inflate.total_in() - in_before) as usize;
        let made = (self.inflate.total_out() - out_before) as usize;
        self.source.consume(taken);
        self.crc.update(out.get(..made).unwrap_or_default());
        match status {
            Ok(Status::StreamEnd) => self.state = State::Tail,
            Ok(_) if made > 0 || taken > 0 => {}
            Ok(_) if ended => return Err(cut(ErrorKind::UnexpectedEof.into())),
            Ok(_) | Err(_) => self.state = State::Broken,
        }
        Ok(made)
    }

    fn tail(&mut self) -> io::Result<()> {
        let sum = u32::from_le_bytes(self.octets()?);
        let length = u32::from_le_bytes(self.octets()?);
        if (sum, length) != (self.crc.sum(), self.crc.amount()) {
            return Err(damaged("a checksum that does not match"));
        }
        self.state = State::Head;
        Ok(())
    }
}

impl<R: BufRead> Read for Gunzip<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            match self.state {
                State::Head if self.source.fill_buf()?.is_empty() => return Ok(0),
                State::Head => self.head()?,
                State::Body => match self.body(out)? {
                    0 => {}
                    made => return Ok(made),
                },
                State::Tail => self.tail()?,
                State::Broken => return Err(damaged("octets that are no deflate data")),
            }
        }
    }
}

fn damaged(found: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("the gzip data is damaged, found {found}; copy the file again"))
}

fn cut(error: io::Error) -> io::Error {
    if error.kind() == ErrorKind::UnexpectedEof { io::Error::new(error.kind(), CUT) } else { error }
}
