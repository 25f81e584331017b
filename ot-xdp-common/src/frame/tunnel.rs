//! Tunnels: VXLAN, GRE and what remote mirror ports put into it (ERSPAN). One level is opened, so that the work of a frame
//! has a bound.
//!
//! Sources: RFC 7348 cl. 5 (VXLAN), RFC 2784 cl. 2 and RFC 2890 cl. 2 (GRE), draft-foschiano-erspan-03 cl. 4 (ERSPAN).

use crate::bytes::Bytes;
use crate::flags;
use crate::limits::REACH;

use super::{Envelope, Frame, GRE, IPV4, IPV6, Payload, UDP, clear, datagram, ethernet, network};

/// EtherType of an Ethernet frame in GRE (transparent Ethernet bridging, RFC 1701).
const ETHERNET: u16 = 0x6558;
/// EtherType of ERSPAN type I and II.
const ERSPAN: u16 = 0x88BE;
/// EtherType of ERSPAN type III.
const ERSPAN_3: u16 = 0x22EB;

/// Octets of a VXLAN header.
const VXLAN_HEADER: u32 = 8;
/// A VXLAN header without its network identifier: flag I, all else reserved.
const VXLAN_FIXED: u64 = 0x0800_0000_0000_0000;
/// The identifier's bits.
const VXLAN_NETWORK: u64 = 0x0000_0000_FFFF_FF00;

/// What is inside a tunnel.
struct Opened {
    /// Offset of its first octet.
    base: u32,
    /// [`ETHERNET`], [`IPV4`] or [`IPV6`].
    ethertype: u16,
}

/// Opens what the envelope takes for a tunnel with its header at [`Frame::off`]: the frame inside takes the place of the
/// one around it, but for the length and the flags. A second tunnel inside stays closed; what is none is judged as it is.
#[inline(always)]
pub fn tunnel<B: Bytes, E: Envelope>(b: B, f: &mut Frame, env: &mut E) -> Payload {
    let b = b.until(REACH);
    if f.l4 == UDP {
        let Some(length) = b.until(f.end).be16(f.off - 4) else { return Payload::Bad };
        datagram(f, length as u32);
    }
    let payload = b.until(f.end);
    let opened = if f.l4 == GRE { gre(payload, f.off) } else { vxlan(payload, f.off) };
    let Some(opened) = opened else {
        return if f.l4 != UDP {
            Payload::OtherIp
        } else if f.off < f.end {
            Payload::Transport
        } else {
            Payload::Empty
        };
    };
    if f.flags & flags::TUNNEL != 0 {
        return Payload::OtherIp;
    }
    f.flags |= flags::TUNNEL;
    let len = f.len;
    let whole = if f.end < b.len() { f.end } else { env.frame_len() };
    if f.end < b.len() {
        f.len = f.end;
    }
    let payload = enter(payload, f, &opened, &mut Inside { whole });
    if f.len < len {
        f.len = len;
    }
    payload
}

/// The envelope of the frame inside.
struct Inside {
    /// Where the outer payload ends. The frame inside cannot be longer, whatever lies behind.
    whole: u32,
}

impl Envelope for Inside {
    #[inline(always)]
    fn frame_len(&mut self) -> u32 {
        self.whole
    }
    #[inline(always)]
    fn tunnels(&mut self) -> bool {
        true
    }
}

#[inline(always)]
fn enter<B: Bytes>(b: B, f: &mut Frame, opened: &Opened, env: &mut Inside) -> Payload {
    f.seq = 0;
    if opened.ethertype != ETHERNET {
        clear(b, f);
        f.src_end = 0;
        f.dst_end = 0;
        f.off = opened.base;
        f.ethertype = opened.ethertype;
    } else if let Some(payload) = ethernet(b, f, opened.base) {
        return payload;
    }
    network(b, f, env)
}

/// The frame in a VXLAN payload. The header must be the plain one: extensions use its reserved bits for other things than
/// Ethernet.
#[inline(always)]
fn vxlan<B: Bytes>(b: B, off: u32) -> Option<Opened> {
    let header = b.be64(off)?;
    if header & !VXLAN_NETWORK != VXLAN_FIXED {
        return None;
    }
    Some(Opened { base: off + VXLAN_HEADER, ethertype: ETHERNET })
}

/// Sequence number present.
const SEQUENCE: u16 = 0x1000;
/// Bits that must be zero: routing and the four behind the sequence bit (RFC 2784 cl. 2.3), version.
const NOT_OURS: u16 = 0x4C07;

/// The frame or packet in a GRE payload. Checksum (bit 0), key (bit 2) and sequence number (bit 3) take four octets each.
#[inline(always)]
fn gre<B: Bytes>(b: B, off: u32) -> Option<Opened> {
    let header = b.be32(off)?;
    let (bits, ethertype) = ((header >> 16) as u16, header as u16);
    if bits & NOT_OURS != 0 {
        return None;
    }
    // Without branches: each one would double the verifier's work behind it.
    let optional = (bits >> 15) + (bits >> 13 & 1) + (bits >> 12 & 1);
    let mut base = off + 4 + 4 * optional as u32;
    if ethertype == ERSPAN_3 {
        base += erspan_3(b, base)?;
    } else if ethertype == ERSPAN {
        // Type I has neither a sequence number nor a header of its own.
        if bits & SEQUENCE != 0 {
            base += erspan_2(b, base)?;
        }
    } else if ethertype == IPV4 || ethertype == IPV6 || ethertype == ETHERNET {
        return Some(Opened { base, ethertype });
    } else {
        return None;
    }
    Some(Opened { base, ethertype: ETHERNET })
}

/// Length of an ERSPAN type II header in octets: version 1 in its first four bits.
#[inline(always)]
fn erspan_2<B: Bytes>(b: B, off: u32) -> Option<u32> {
    if b.be64(off)? >> 60 == 1 { Some(8) } else { None }
}

/// Length of an ERSPAN type III header in octets: version 2, frame type 0 (Ethernet), and in the last bit whether eight
/// octets for the platform follow.
#[inline(always)]
fn erspan_3<B: Bytes>(b: B, off: u32) -> Option<u32> {
    let (first, last) = (b.be64(off)?, b.be32(off + 8)?);
    if first >> 60 != 2 || last >> 10 & 0x1F != 0 {
        return None;
    }
    if last & 1 == 0 {
        return Some(12);
    }
    b.be64(off + 12)?;
    Some(20)
}
