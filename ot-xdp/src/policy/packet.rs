//! Frames around payloads that somebody asks about: Ethernet, perhaps a VLAN tag, IPv4 or IPv6, TCP or UDP.

use std::net::IpAddr;

/// What is around the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Source address.
    pub src: IpAddr,
    /// Destination address, of the same family.
    pub dst: IpAddr,
    /// Source MAC, in the low 48 bits.
    pub src_mac: u64,
    /// Destination MAC.
    pub dst_mac: u64,
    /// VLAN id, none for untagged.
    pub vlan: Option<u16>,
    /// Source port.
    pub sport: u16,
    /// Destination port.
    pub dport: u16,
    /// UDP instead of TCP.
    pub udp: bool,
}

/// SYN in the flags octet of TCP (RFC 9293 cl. 3.1).
pub const SYN: u8 = 0x02;
/// PSH and ACK.
pub const PUSH: u8 = 0x18;

/// A frame with this payload; sequence number and flags count for TCP only. Checksums are left out: nothing of the way
/// through the parsers looks at them.
pub fn frame(e: &Envelope, seq: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut transport = [e.sport.to_be_bytes(), e.dport.to_be_bytes()].concat();
    if e.udp {
        let length = u16::try_from(payload.len() + 8).unwrap_or(u16::MAX);
        transport.extend(length.to_be_bytes());
        transport.extend([0, 0]);
    } else {
        transport.extend(seq.to_be_bytes());
        transport.extend([0; 4]);
        // Header of five words, the flags, a window of 64 KiB.
        transport.extend([0x50, flags, 0xFF, 0xFF, 0, 0, 0, 0]);
    }
    transport.extend(payload);
    let mut out = mac(e.dst_mac);
    out.extend(mac(e.src_mac));
    if let Some(vlan) = e.vlan {
        out.extend([0x81, 0]);
        out.extend(vlan.to_be_bytes());
    }
    let protocol = if e.udp { 17 } else { 6 };
    match (e.src, e.dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let total = u16::try_from(transport.len() + 20).unwrap_or(u16::MAX);
            out.extend([0x08, 0x00, 0x45, 0]);
            out.extend(total.to_be_bytes());
            out.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
            out.extend(src.octets());
            out.extend(dst.octets());
        }
        (src, dst) => {
            let wide = |addr: IpAddr| match addr {
                IpAddr::V4(v4) => v4.to_ipv6_mapped(),
                IpAddr::V6(v6) => v6,
            };
            let length = u16::try_from(transport.len()).unwrap_or(u16::MAX);
            out.extend([0x86, 0xDD, 0x60, 0, 0, 0]);
            out.extend(length.to_be_bytes());
            out.extend([protocol, 64]);
            out.extend(wide(src).octets());
            out.extend(wide(dst).octets());
        }
    }
    out.extend(transport);
    out
}

fn mac(mac: u64) -> Vec<u8> {
    mac.to_be_bytes().into_iter().skip(2).collect()
}
