//! The pcapng file format: sections, interfaces, packets (draft-ietf-opsawg-pcapng).
//!
//! Block: type 4, total length 4, body, total length 4 again; a multiple of four octets. Only what a frame needs is
//! kept; options of packets and blocks of other kinds are passed over without being held in memory.

use super::error::CaptureError;
use super::record::{FRAME_LENGTH, FRAME_MAX, Record};
use super::stream::{Order, Stream};

/// Section Header Block (4.1); reads the same in both byte orders.
const SECTION: u32 = 0x0A0D_0D0A;
/// Interface Description Block (4.2).
const INTERFACE: u32 = 1;
/// Packet Block, obsolete (appendix A).
const OLD_PACKET: u32 = 2;
/// Simple Packet Block (4.4).
const SIMPLE_PACKET: u32 = 3;
/// Enhanced Packet Block (4.3).
const PACKET: u32 = 6;
/// Byte-order magic of a section (4.1).
const ORDER: u32 = 0x1A2B_3C4D;
/// Options of an interface (4.2): unit of time, seconds to add.
const IF_TSRESOL: u16 = 9;
const IF_TSOFFSET: u16 = 14;
/// Longest interface description we take, in octets, and most interfaces of a section: both are held in memory.
const INTERFACE_MAX: u32 = 256 * 1024;
const INTERFACES_MAX: usize = 65_536;
/// Type and both lengths of a block.
const FRAMING: u32 = 12;

struct Interface {
    link: u32,
    snap: u32,
    /// `if_tsresol`: a unit of 10^-n seconds, or with the highest bit 2^-n.
    resolution: u8,
    offset_s: i64,
    told: bool,
}

impl Interface {
    fn time(&self, high: u32, low: u32) -> i64 {
        let units = (i128::from(high) << 32) | i128::from(low);
        let exponent = u32::from(self.resolution & 0x7F);
        // Below 2^94 in both branches, so no step overflows.
        let ns = match (self.resolution & 0x80 == 0, exponent) {
            (true, ..=9) => units * 10_i128.pow(9 - exponent),
            (true, _) => 10_i128.checked_pow(exponent - 9).map_or(0, |divisor| units / divisor),
            (false, _) => (units * 1_000_000_000) >> exponent,
        };
        let ns = ns + i128::from(self.offset_s) * 1_000_000_000;
        i64::try_from(ns).unwrap_or(if ns < 0 { i64::MIN } else { i64::MAX })
    }
}

/// A pcapng file.
pub(super) struct Pcapng {
    order: Order,
    interfaces: Vec<Interface>,
    /// Time of the last frame, for packets without one.
    last_ns: i64,
}

impl Pcapng {
    /// Looks at the first block; `None` if this is no pcapng file.
    pub(super) fn open(stream: &mut Stream) -> Result<Option<Self>, CaptureError> {
        if stream.peek(4) != SECTION.to_be_bytes() {
            return Ok(None);
        }
        let mut this = Self { order: Order::Little, interfaces: Vec::new(), last_ns: 0 };
        this.block(stream)?;
        Ok(Some(this))
    }

    /// The next frame; `None` at the end of the file.
    pub(super) fn next(&mut self, stream: &mut Stream) -> Result<Option<Record>, CaptureError> {
        while !stream.at_end()? {
            if let Some(record) = self.block(stream)? {
                self.last_ns = record.at_ns;
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// True the first time it is asked for this interface.
    pub(super) fn first_time(&mut self, interface: u32) -> bool {
        self.interfaces.get_mut(interface as usize).is_some_and(|it| !std::mem::replace(&mut it.told, true))
    }

    fn block(&mut self, stream: &mut Stream) -> Result<Option<Record>, CaptureError> {
        let start = stream.offset();
        let mut header: &[u8] = &stream.header::<8>("block header", start)?;
        let kind = self.order.u32(&mut header);
        if kind == SECTION {
            self.section(stream, start)?;
        }
        let total = self.order.u32(&mut header);
        let mut block = Block { start, left: 0, total };
        block.left = match total.checked_sub(FRAMING) {
            Some(left) if left % 4 == 0 => left,
            _ => return Err(stream.corrupt(start + 4, "a block length of at least 12 and a multiple of 4", total)),
        };
        let record = match kind {
            SECTION => {
                block.header::<16>(stream, "a section header block of at least 28 octets")?;
                None
            }
            INTERFACE => {
                self.interface(&mut block, stream)?;
                None
            }
            PACKET | OLD_PACKET => Some(self.packet(kind, &mut block, stream)?),
            SIMPLE_PACKET => Some(self.simple_packet(&mut block, stream)?),
            _ => None,
        };
        stream.skip(u64::from(block.left), "block", start)?;
        let end = stream.offset();
        let again = self.order.u32(&mut &stream.header::<4>("block", start)?[..]);
        if again != total {
            return Err(stream.corrupt(end, format!("the block length {total} again"), again));
        }
        Ok(record)
    }

    /// Looks at the head of a section header block, behind type and length: the byte order counts for the length too.
    fn section(&mut self, stream: &mut Stream, start: u64) -> Result<(), CaptureError> {
        let Some([magic @ .., v0, v1, _, _]) = stream.peek(8).first_chunk::<8>() else {
            return stream.header::<16>("section header block", start).map(|_| ());
        };
        let (magic, version) = (*magic, [*v0, *v1]);
        self.order = match (u32::from_be_bytes(magic), u32::from_le_bytes(magic)) {
            (ORDER, _) => Order::Big,
            (_, ORDER) => Order::Little,
            (other, _) => {
                return Err(stream.corrupt(start + 8, "the byte-order magic 1a2b3c4d", format!("{other:08x}")));
            }
        };
        let version = self.order.u16(&mut &version[..]);
        if version != 1 {
            return Err(stream.corrupt(start + 12, "version 1 of pcapng", version));
        }
        self.interfaces.clear();
        Ok(())
    }

    fn interface(&mut self, block: &mut Block, stream: &mut Stream) -> Result<(), CaptureError> {
        let start = block.start;
        if block.left > INTERFACE_MAX {
            let expected = "an interface description of at most 256 KiB";
            return Err(stream.corrupt(start + 4, expected, block.total));
        }
        if self.interfaces.len() >= INTERFACES_MAX {
            return Err(stream.corrupt(start, "at most 65536 interfaces in a section", "one more"));
        }
        let mut body: &[u8] = &block.header::<8>(stream, "an interface description block of at least 20 octets")?;
        let link = u32::from(self.order.u16(&mut body));
        self.order.u16(&mut body);
        let snap = self.order.u32(&mut body);
        let mut interface = Interface { link, snap, resolution: 6, offset_s: 0, told: false };
        let options_at = stream.offset();
        let all = stream.take(block.left as usize, "interface description block", start)?;
        block.left = 0;
        let mut options = &all[..];
        while !options.is_empty() {
            let at = options_at + (all.len() - options.len()) as u64;
            let code = self.order.u16(&mut options);
            let length = self.order.u16(&mut options);
            let padded = usize::from(length).next_multiple_of(4);
            let Some((value, rest)) = options.split_at_checked(padded) else {
                return Err(stream.corrupt(at + 2, format!("an option of at most {} octets", options.len()), length));
            };
            match (code, length, value) {
                (0, ..) => break,
                (IF_TSRESOL, 1, [resolution, ..]) => interface.resolution = *resolution,
                (IF_TSOFFSET, 8, mut value) => interface.offset_s = self.order.u64(&mut value).cast_signed(),
                _ => {}
            }
            options = rest;
        }
        self.interfaces.push(interface);
        Ok(())
    }

    fn packet(&mut self, kind: u32, block: &mut Block, stream: &mut Stream) -> Result<Record, CaptureError> {
        let start = block.start;
        let mut head: &[u8] = &block.header::<20>(stream, "a packet block of at least 32 octets")?;
        let number = if kind == PACKET {
            self.order.u32(&mut head)
        } else {
            // The old block counts drops in the other half of the word.
            let number = u32::from(self.order.u16(&mut head));
            self.order.u16(&mut head);
            number
        };
        let (high, low) = (self.order.u32(&mut head), self.order.u32(&mut head));
        let (captured, orig_len) = (self.order.u32(&mut head), self.order.u32(&mut head));
        let Some(interface) = self.interfaces.get(number as usize) else {
            let expected = format!("one of the {} interfaces described so far", self.interfaces.len());
            return Err(stream.corrupt(start + 8, expected, format!("interface {number}")));
        };
        let data = block.frame(captured, start + 20, stream)?;
        Ok(Record { start, interface: number, link: interface.link, at_ns: interface.time(high, low), orig_len, data })
    }

    fn simple_packet(&mut self, block: &mut Block, stream: &mut Stream) -> Result<Record, CaptureError> {
        let start = block.start;
        let head = block.header::<4>(stream, "a simple packet block of at least 16 octets")?;
        let orig_len = self.order.u32(&mut &head[..]);
        // It belongs to the section's first interface, whose snap length alone tells how much is here.
        let Some(interface) = self.interfaces.first() else {
            return Err(stream.corrupt(start, "an interface description before the packet", "none"));
        };
        let captured = if interface.snap == 0 { orig_len } else { orig_len.min(interface.snap) };
        let data = block.frame(captured, start + 8, stream)?;
        Ok(Record { start, interface: 0, link: interface.link, at_ns: self.last_ns, orig_len, data })
    }
}

/// A block whose body is being read.
struct Block {
    start: u64,
    /// Octets of the body not yet read.
    left: u32,
    total: u32,
}

impl Block {
    fn header<const N: usize>(&mut self, stream: &mut Stream, expected: &'static str) -> Result<[u8; N], CaptureError> {
        let Some(left) = u32::try_from(N).ok().and_then(|size| self.left.checked_sub(size)) else {
            return Err(stream.corrupt(self.start + 4, expected, self.total));
        };
        self.left = left;
        stream.header("block", self.start)
    }

    /// Takes the frame; its length stands at offset `at`.
    fn frame(&mut self, captured: u32, at: u64, stream: &mut Stream) -> Result<bytes::Bytes, CaptureError> {
        if captured > FRAME_MAX {
            return Err(stream.corrupt(at, FRAME_LENGTH, captured));
        }
        let Some(left) = self.left.checked_sub(captured) else {
            return Err(stream.corrupt(
                at,
                format!("a frame that fits in {} octets of its block", self.left),
                captured,
            ));
        };
        self.left = left;
        stream.take(captured as usize, "block", self.start)
    }
}
