//! The pcap file format (draft-ietf-opsawg-pcap): header and records, also the longer records of a patched libpcap.
//!
//! Header, 24 octets: magic 4 (tells byte order and unit of time), version 2+2, obsolete 8, snap length 4, link type 4.
//! Record: seconds 4, fraction 4, captured length 4, length on the wire 4, frame. The fraction is in micro- or
//! nanoseconds. The patched format (magic 0xA1B2CD34) has 8 more octets before the frame: interface, protocol, type.

use super::error::CaptureError;
use super::record::{FRAME_LENGTH, FRAME_MAX, Record};
use super::stream::{Order, Stream};

/// The magic numbers as written in the file's own byte order: value, nanoseconds of a fraction unit, octets of a record
/// header beyond 16.
const MAGICS: [(u32, i64, u64); 3] = [(0xA1B2_C3D4, 1000, 0), (0xA1B2_3C4D, 1, 0), (0xA1B2_CD34, 1000, 8)];
/// Bits of the link type field that hold it; those above tell the length of the frame check sequence.
const LINK_TYPE: u32 = 0x03FF_FFFF;

/// A pcap file behind its header.
pub(super) struct Pcap {
    order: Order,
    fraction_ns: i64,
    extra: u64,
    link: u32,
    told: bool,
}

/// Whether a file that begins so is pcap: byte order and the line of [`MAGICS`].
fn kind(magic: [u8; 4]) -> Option<(Order, i64, u64)> {
    let line = |value: u32| MAGICS.iter().find(|(known, ..)| *known == value);
    if let Some((_, fraction_ns, extra)) = line(u32::from_be_bytes(magic)) {
        return Some((Order::Big, *fraction_ns, *extra));
    }
    let (_, fraction_ns, extra) = line(u32::from_le_bytes(magic))?;
    Some((Order::Little, *fraction_ns, *extra))
}

impl Pcap {
    /// Reads the header; `None` if this is no pcap file.
    pub(super) fn open(stream: &mut Stream) -> Result<Option<Self>, CaptureError> {
        let Some((order, fraction_ns, extra)) = stream.peek(4).first_chunk().copied().and_then(kind) else {
            return Ok(None);
        };
        let header: [u8; 24] = stream.header("file header", 0)?;
        let mut fields = &header[4..];
        let version = order.u16(&mut fields);
        if version != 2 {
            return Err(stream.corrupt(4, "version 2 of pcap", version));
        }
        let link = order.u32(&mut &header[20..]) & LINK_TYPE;
        Ok(Some(Self { order, fraction_ns, extra, link, told: false }))
    }

    /// The next frame; `None` at the end of the file.
    pub(super) fn next(&mut self, stream: &mut Stream) -> Result<Option<Record>, CaptureError> {
        if stream.at_end()? {
            return Ok(None);
        }
        let start = stream.offset();
        let header: [u8; 16] = stream.header("record header", start)?;
        let mut fields = &header[..];
        let seconds = i64::from(self.order.u32(&mut fields));
        let fraction = i64::from(self.order.u32(&mut fields));
        let captured = self.order.u32(&mut fields);
        let orig_len = self.order.u32(&mut fields);
        if captured > FRAME_MAX {
            return Err(stream.corrupt(start + 8, FRAME_LENGTH, captured));
        }
        stream.skip(self.extra, "record header", start)?;
        let data = stream.take(captured as usize, "record", start)?;
        let at_ns = seconds * 1_000_000_000 + fraction * self.fraction_ns;
        Ok(Some(Record { start, interface: 0, link: self.link, at_ns, orig_len, data }))
    }

    /// True the first time it is asked.
    pub(super) fn first_time(&mut self) -> bool {
        !std::mem::replace(&mut self.told, true)
    }
}
