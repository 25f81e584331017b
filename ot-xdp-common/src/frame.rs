//! The envelope: Ethernet, VLAN, LLC/SNAP, redundancy tags, IPv4, IPv6, TCP, UDP. What comes through a tunnel is opened
//! in [`tunnel`].
//!
//! Sources: IEEE 802.3 cl. 3, 802.1Q cl. 9, 802.1CB cl. 7.8, IEC 62439-3 cl. 4.2 and 5.7 (PRP, HSR), RFC 791, RFC 8200,
//! RFC 9293, RFC 768.

mod tunnel;
#[cfg(test)]
mod tunnel_tests;

pub use tunnel::tunnel;

use crate::bytes::Bytes;
use crate::flags;
use crate::limits::{IPV6_EXTENSIONS, REACH, VLAN_TAGS};

/// EtherType of IPv4.
pub const IPV4: u16 = 0x0800;
/// EtherType of IPv6.
pub const IPV6: u16 = 0x86DD;
/// IP protocol number of TCP.
pub const TCP: u8 = 6;
/// IP protocol number of UDP.
pub const UDP: u8 = 17;
/// IP protocol number of GRE (RFC 2784 cl. 3).
pub const GRE: u8 = 47;
/// UDP destination ports of VXLAN: the registered one (RFC 7348 cl. 5), and the one that Linux began with.
pub const VXLAN: [u16; 2] = [4789, 8472];

const HSR_TAG: u16 = 0x892F;
const R_TAG: u16 = 0xF1C1;
const PRP_SUFFIX: u16 = 0x88FB;

/// Stands for LLC with the BACnet service access point 82 (ASHRAE 135 cl. 7): no EtherType is as low.
pub const LLC_BACNET: u16 = 0x0082;
/// Stands for SNAP of Cimetrics (00-10-90, 1): BACnet MS/TP frames as recorded from their serial line.
pub const SNAP_MSTP: u16 = 0x0001;

/// What a frame's payload is, as far as the envelope tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Payload {
    /// TCP segment or UDP datagram with payload at [`Frame::off`].
    Transport = 0,
    /// TCP segment without payload.
    Empty = 1,
    /// Payload of a layer-2 protocol at [`Frame::off`].
    Layer2 = 2,
    /// IP that is neither TCP nor UDP.
    OtherIp = 3,
    /// Second or later fragment.
    Fragment = 4,
    /// Broken headers.
    Bad = 5,
    /// IPv6 with extension headers: call [`ipv6_chain`]. A case of its own, because few frames have them and the loop
    /// would multiply the verifier's work in the main path.
    Ipv6Chain = 6,
    /// Perhaps a tunnel, with its header at [`Frame::off`]: call [`tunnel`]. Only where [`Envelope::tunnels`] says so. A
    /// case of its own like [`Payload::Ipv6Chain`].
    Tunnel = 7,
}

/// Addresses and payload bounds of a frame (map memory of the kernel program; host byte order).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Frame {
    /// Source address in four words, most significant first: IPv6, IPv4 as `::ffff:a.b.c.d`, or for layer 2 the MAC
    /// in the last 48 bits.
    pub src: [u32; 4],
    /// Destination address, like `src`.
    pub dst: [u32; 4],
    /// Source MAC in the high 48 bits, source port in the low 16 (0 without ports).
    pub src_end: u64,
    /// Destination MAC and port, like `src_end`.
    pub dst_end: u64,
    /// Length of the frame in octets, padding included.
    pub len: u32,
    /// Offset of the payload.
    pub off: u32,
    /// End of the payload: from the IP, UDP or LLC length, never from the buffer.
    pub end: u32,
    /// See [`crate::flags`].
    pub flags: u32,
    /// EtherType behind VLAN, redundancy and SNAP headers.
    pub ethertype: u16,
    /// Outer VLAN id, 0 for untagged and for priority tags.
    pub vlan: u16,
    /// Inner VLAN id, 0 for none.
    pub vlan_inner: u16,
    /// Source port.
    pub sport: u16,
    /// Destination port.
    pub dport: u16,
    /// IP protocol number, 0 without IP.
    pub l4: u8,
    /// TCP flags octet.
    pub tcp: u8,
    /// TCP sequence number of the segment.
    pub seq: u32,
    /// Offset of the Ethernet header: not 0 in a tunnel.
    pub base: u32,
    /// Offset of the IP header, 0 without one.
    pub l3_at: u32,
    /// Offset of the TCP or UDP header, when `l4` is one of them and the frame no later fragment.
    pub l4_at: u32,
}

/// Size of [`Frame`] in octets.
pub const FRAME_SIZE: usize = 96;
const _: () = assert!(size_of::<Frame>() == FRAME_SIZE);

/// What the envelope asks of the side it runs on.
pub trait Envelope {
    /// Length of the whole frame in octets, asked only when its headers promise more than is readable: a helper call in
    /// the kernel.
    fn frame_len(&mut self) -> u32;

    /// Are tunnels opened? Fixed when the program is loaded: the kernel takes the code out of a program that does not.
    fn tunnels(&mut self) -> bool;
}

/// Reads the envelope of a frame into `f`. Only the first [`REACH`] octets are looked at.
#[inline(always)]
pub fn parse<B: Bytes, E: Envelope>(b: B, f: &mut Frame, env: &mut E) -> Payload {
    let b = b.until(REACH);
    f.len = b.len();
    f.flags = 0;
    if f.len >= REACH {
        long(f, env);
    }
    match ethernet(b, f, 0) {
        Some(payload) => payload,
        None => network(b, f, env),
    }
}

/// Forgets what an earlier frame, or the headers around a tunnel, left behind.
#[inline(always)]
fn clear<B: Bytes>(b: B, f: &mut Frame) {
    f.vlan = 0;
    f.vlan_inner = 0;
    f.sport = 0;
    f.dport = 0;
    f.l4 = 0;
    f.tcp = 0;
    f.l3_at = 0;
    f.end = b.len();
}

// The readers below stop at the first octets that are missing: a tuple of loads would try all of them, and the verifier
// all ways through it.

/// Destination and source address, each with the two octets behind it.
#[inline(always)]
fn addresses<B: Bytes>(b: B, base: u32) -> Option<(u64, u64)> {
    Some((b.be64(base)?, b.be64(base + 6)?))
}

/// The IPv4 header without options: octets 0 to 7, 8 to 11, addresses.
#[inline(always)]
fn ipv4_header<B: Bytes>(b: B, off: u32) -> Option<(u64, u32, u64)> {
    Some((b.be64(off)?, b.be32(off + 8)?, b.be64(off + 12)?))
}

/// The IPv6 header: octets 0 to 7, addresses.
#[inline(always)]
fn ipv6_header<B: Bytes>(b: B, off: u32) -> Option<[u64; 5]> {
    Some([b.be64(off)?, b.be64(off + 8)?, b.be64(off + 16)?, b.be64(off + 24)?, b.be64(off + 32)?])
}

/// Reads the Ethernet header at `base` with its tags and LLC. None when a network header or a layer-2 payload follows.
#[inline(always)]
fn ethernet<B: Bytes>(b: B, f: &mut Frame, base: u32) -> Option<Payload> {
    clear(b, f);
    f.base = base;
    let Some((dst, src)) = addresses(b, base) else {
        f.src = [0; 4];
        f.dst = [0; 4];
        f.src_end = 0;
        f.dst_end = 0;
        f.ethertype = 0;
        f.off = base;
        return Some(Payload::Bad);
    };
    f.dst_end = dst & !0xFFFF;
    f.src_end = src & !0xFFFF;
    f.off = base + 14;
    f.ethertype = src as u16;
    if is_tag(f.ethertype) && !tags(b, f) {
        layer2_addresses(f);
        return Some(Payload::Bad);
    }
    if f.ethertype <= 1500 && !llc(b, f) {
        layer2_addresses(f);
        return Some(Payload::Layer2);
    }
    None
}

/// Reads the network header at [`Frame::off`] and what is behind it.
#[inline(always)]
fn network<B: Bytes, E: Envelope>(b: B, f: &mut Frame, env: &mut E) -> Payload {
    if f.ethertype == IPV4 {
        return ipv4(b, f, env);
    }
    if f.ethertype == IPV6 {
        return ipv6(b, f, env);
    }
    layer2_addresses(f);
    Payload::Layer2
}

/// A frame that may go on behind what is readable.
#[inline(always)]
fn long<E: Envelope>(f: &mut Frame, env: &mut E) {
    let readable = f.len;
    f.len = env.frame_len();
    if f.len > readable {
        f.flags |= flags::BEYOND_REACH;
    }
}

#[inline(always)]
fn is_tag(ethertype: u16) -> bool {
    ethertype == 0x8100 || ethertype == 0x88A8 || ethertype == 0x9100 || ethertype == HSR_TAG || ethertype == R_TAG
}

/// Skips VLAN tags and one redundancy tag from [`Frame::off`] on. False when a tag is cut off.
#[inline(always)]
fn tags<B: Bytes>(b: B, f: &mut Frame) -> bool {
    let (mut off, mut ethertype) = (f.off, f.ethertype);
    for _ in 0..VLAN_TAGS + 1 {
        if !is_tag(ethertype) {
            break;
        }
        if ethertype == HSR_TAG || ethertype == R_TAG {
            // HSR: path and size 2, sequence 2, EtherType; R-TAG: reserved 2, sequence 2, EtherType.
            let Some(next) = b.be16(off + 4) else { return false };
            ethertype = next;
            off += 6;
            f.flags |= flags::REDUNDANCY;
        } else {
            let Some(tag) = b.be32(off) else { return false };
            let vid = ((tag >> 16) & 0xFFF) as u16;
            // A priority tag (VLAN id 0) is no VLAN: it must not make a second conversation.
            if f.vlan == 0 {
                f.vlan = vid;
            } else {
                f.vlan_inner = vid;
            }
            ethertype = tag as u16;
            off += 4;
        }
        // So that the verifier goes on with any number of tags at once.
        off = b.forget(off);
        ethertype = b.forget(ethertype as u32) as u16;
    }
    f.off = off;
    f.ethertype = ethertype;
    if is_tag(ethertype) {
        f.flags |= flags::VLAN_DEPTH;
    }
    true
}

/// IEEE 802.3 length field with LLC; SNAP with OUI 0 carries an EtherType. False when there is none.
#[inline(always)]
fn llc<B: Bytes>(b: B, f: &mut Frame) -> bool {
    let end = f.off + f.ethertype as u32;
    f.ethertype = 0;
    if end < f.end {
        f.end = end;
    }
    let Some(header) = b.until(f.end).be64(f.off) else { return false };
    if header >> 40 == 0x82_8203 {
        f.off += 3;
        f.ethertype = LLC_BACNET;
        return true;
    }
    if header == 0xAAAA_0300_1090_0001 {
        f.off += 8;
        f.ethertype = SNAP_MSTP;
        return true;
    }
    if header >> 16 != 0xAAAA_0300_0000 {
        return false;
    }
    f.flags |= flags::SNAP;
    f.off += 8;
    f.ethertype = header as u16;
    true
}

#[inline(always)]
fn layer2_addresses(f: &mut Frame) {
    f.src = [0, 0, (f.src_end >> 48) as u32, (f.src_end >> 16) as u32];
    f.dst = [0, 0, (f.dst_end >> 48) as u32, (f.dst_end >> 16) as u32];
}

/// Takes a PRP trailer off the end of a layer-2 payload: suffix, LAN id and size must all fit (IEC 62439-3 cl. 4.2.7.4).
#[inline(always)]
pub fn strip_prp<B: Bytes>(b: B, f: &mut Frame) {
    if f.end < f.off + 6 || f.len > REACH {
        return;
    }
    let Some(trailer) = b.be32(f.end - 4) else { return };
    let (lan, size) = (trailer >> 28, (trailer >> 16) & 0xFFF);
    if trailer as u16 == PRP_SUFFIX && (lan == 0xA || lan == 0xB) && size == f.end - f.off {
        f.end -= 6;
        f.flags |= flags::REDUNDANCY;
    }
}

#[inline(always)]
fn ipv4<B: Bytes, E: Envelope>(b: B, f: &mut Frame, env: &mut E) -> Payload {
    let off = f.off;
    f.l3_at = off;
    let Some((a, c, addr)) = ipv4_header(b, off) else {
        layer2_addresses(f);
        return Payload::Bad;
    };
    f.src = [0, 0, 0xFFFF, (addr >> 32) as u32];
    f.dst = [0, 0, 0xFFFF, addr as u32];
    let header = ((a >> 56) & 0xF) as u32 * 4;
    let total = ((a >> 32) & 0xFFFF) as u32;
    if a >> 60 != 4 || header < 20 {
        return Payload::Bad;
    }
    f.l4 = (c >> 16) as u8;
    // A total length of 0 is what segmentation offload leaves in frames captured on their own host.
    if total != 0 {
        end_at(f, off + total, env);
    }
    if header != 20 {
        f.flags |= flags::IP_OPTIONS;
    }
    let fragment = a as u16;
    if fragment & 0x3FFF != 0 {
        f.flags |= flags::FRAGMENT;
        if fragment & 0x1FFF != 0 {
            return Payload::Fragment;
        }
    }
    f.off = off + header;
    transport(b, f, env)
}

/// Sets the payload's end to what a header declares.
#[inline(always)]
fn end_at<E: Envelope>(f: &mut Frame, end: u32, env: &mut E) {
    if end <= f.end {
        f.end = end;
        return;
    }
    if f.flags & flags::BEYOND_REACH == 0 {
        long(f, env);
    }
    if end > f.len {
        f.flags |= flags::SHORT_FRAME;
    }
}

#[inline(always)]
fn ipv6<B: Bytes, E: Envelope>(b: B, f: &mut Frame, env: &mut E) -> Payload {
    let off = f.off;
    f.l3_at = off;
    let Some([a, s0, s1, d0, d1]) = ipv6_header(b, off) else {
        layer2_addresses(f);
        return Payload::Bad;
    };
    f.src = [(s0 >> 32) as u32, s0 as u32, (s1 >> 32) as u32, s1 as u32];
    f.dst = [(d0 >> 32) as u32, d0 as u32, (d1 >> 32) as u32, d1 as u32];
    if a >> 60 != 6 {
        return Payload::Bad;
    }
    f.l4 = (a >> 8) as u8;
    f.off = off + 40;
    let length = ((a >> 16) & 0xFFFF) as u32;
    if length != 0 {
        end_at(f, off + 40 + length, env);
    }
    if is_extension(f.l4) {
        f.flags |= flags::IP_OPTIONS;
        return Payload::Ipv6Chain;
    }
    transport(b, f, env)
}

/// Hop-by-hop, routing, destination options; fragment; authentication (RFC 8200 cl. 4, RFC 4302 cl. 2).
#[inline(always)]
fn is_extension(next: u8) -> bool {
    next == 0 || next == 43 || next == 60 || next == FRAGMENT_HEADER || next == AUTHENTICATION_HEADER
}

const FRAGMENT_HEADER: u8 = 44;
const AUTHENTICATION_HEADER: u8 = 51;

/// Follows the extension headers from [`Frame::off`] on, and the transport header behind them.
#[inline(always)]
pub fn ipv6_chain<B: Bytes, E: Envelope>(b: B, f: &mut Frame, env: &mut E) -> Payload {
    let (mut off, mut next) = (f.off, f.l4);
    for _ in 0..IPV6_EXTENSIONS {
        if !is_extension(next) {
            break;
        }
        let Some(x) = b.be32(off) else { return Payload::Bad };
        let units = (x >> 16) & 0xFF;
        off += if next == FRAGMENT_HEADER {
            8
        } else if next == AUTHENTICATION_HEADER {
            (units + 2) * 4
        } else {
            (units + 1) * 8
        };
        if next == FRAGMENT_HEADER {
            f.flags |= flags::FRAGMENT;
            if x & 0xFFF8 != 0 {
                f.l4 = (x >> 24) as u8;
                return Payload::Fragment;
            }
        }
        next = (x >> 24) as u8;
    }
    if is_extension(next) {
        f.flags |= flags::IPV6_CHAIN;
    }
    f.l4 = next;
    f.off = off;
    transport(b, f, env)
}

#[inline(always)]
fn transport<B: Bytes, E: Envelope>(b: B, f: &mut Frame, env: &mut E) -> Payload {
    let off = f.off;
    if f.l4 != TCP && f.l4 != UDP {
        return if env.tunnels() && f.l4 == GRE { Payload::Tunnel } else { Payload::OtherIp };
    }
    f.l4_at = off;
    let b = b.until(f.end);
    let Some(head) = b.be64(off) else { return Payload::Bad };
    f.sport = (head >> 48) as u16;
    f.dport = (head >> 32) as u16;
    f.src_end |= head >> 48;
    f.dst_end |= (head >> 32) & 0xFFFF;
    if f.l4 == UDP {
        f.off = off + 8;
        if env.tunnels() && VXLAN.contains(&f.dport) {
            return Payload::Tunnel;
        }
        datagram(f, (head >> 16) as u16 as u32);
    } else {
        let Some(more) = b.be16(off + 12) else { return Payload::Bad };
        let header = (more >> 12) as u32 * 4;
        f.tcp = more as u8;
        f.seq = head as u32;
        f.off = off + header;
        if header < 20 || f.off > f.end {
            return Payload::Bad;
        }
    }
    if f.off < f.end { Payload::Transport } else { Payload::Empty }
}

/// Sets the payload's end to the length in a UDP header, which counts the header.
#[inline(always)]
fn datagram(f: &mut Frame, length: u32) {
    let end = f.off - 8 + length;
    if length >= 8 && end < f.end {
        f.end = end;
    } else if end > f.end && f.flags & flags::BEYOND_REACH == 0 {
        f.flags |= flags::SHORT_FRAME;
    }
}
