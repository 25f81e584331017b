//! Who looks for whom without an operation: address resolution, and attempts to connect.
//!
//! Sources: RFC 826 (ARP over Ethernet for IPv4), RFC 9293 cl. 3.1 (SYN without ACK opens a connection).

use crate::bytes::Bytes;
use crate::frame::{Frame, TCP};
use crate::wire::{PROBE_ARP_REPLY, PROBE_ARP_REQUEST, PROBE_SYN, ProbeKey};

/// EtherType of ARP.
const ARP: u16 = 0x0806;
/// Hardware type 1 (Ethernet), protocol type IPv4.
const ETHERNET_IPV4: u32 = 0x0001_0800;
/// Octets of a hardware and of a protocol address.
const LENGTHS: u16 = 0x0604;
/// SYN and ACK in the flags octet.
const SYN_ACK: u8 = 0x12;
/// SYN alone.
const SYN: u8 = 0x02;

/// Fills the key when the frame looks for a station; returns the hardware address and port of the sender, as in
/// [`Frame::src_end`], and 0 when it does not. The address of an ARP frame is the one inside: it is what others will believe.
#[inline(always)]
pub fn of_frame<B: Bytes>(b: B, f: &Frame, ifindex: u32, key: &mut ProbeKey) -> u64 {
    key.ifindex = ifindex;
    if f.l4 == TCP {
        if f.tcp & SYN_ACK != SYN {
            return 0;
        }
        key.src = f.src;
        key.dst = f.dst;
        key.service = (f.vlan as u32) << 16 | f.dport as u32;
        key.kind = PROBE_SYN;
        return f.src_end;
    }
    if f.l4 != 0 || f.ethertype != ARP {
        return 0;
    }
    let at = f.off;
    let (Some(types), Some(lengths), Some(code)) = (b.be32(at), b.be16(at + 4), b.be16(at + 6)) else { return 0 };
    if types != ETHERNET_IPV4 || lengths != LENGTHS || code == 0 || code > 2 {
        return 0;
    }
    let (Some(high), Some(low)) = (b.be32(at + 8), b.be16(at + 12)) else { return 0 };
    let (Some(sender), Some(target)) = (b.be32(at + 14), b.be32(at + 24)) else { return 0 };
    // A probe before an address is used (RFC 5227) has no sender yet.
    if sender == 0 {
        return 0;
    }
    key.src = [0, 0, 0xFFFF, sender];
    key.dst = [0, 0, 0xFFFF, target];
    key.service = (f.vlan as u32) << 16;
    key.kind = if code == 1 { PROBE_ARP_REQUEST } else { PROBE_ARP_REPLY };
    ((high as u64) << 16 | low as u64) << 16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arp(code: u8, [a, b, c, d]: [u8; 4]) -> [u8; 28] {
        [0, 1, 8, 0, 6, 4, 0, code, 2, 0, 0, 0, 0, 9, a, b, c, d, 0, 0, 0, 0, 0, 0, 10, 0, 0, 1]
    }

    #[test]
    fn address_resolution_names_both_stations() {
        let f = Frame { ethertype: ARP, vlan: 7, ..Frame::default() };
        let mut key = ProbeKey::default();
        let octets = arp(1, [10, 0, 0, 9]);
        let end = of_frame(octets.as_slice(), &f, 3, &mut key);
        assert_eq!(end >> 16, 0x0200_0000_0009);
        assert_eq!((key.src[3], key.dst[3], key.kind), (0x0A00_0009, 0x0A00_0001, PROBE_ARP_REQUEST));
        assert_eq!((key.vlan(), key.port(), key.ifindex), (7, 0, 3));
        assert_eq!(of_frame(arp(1, [0; 4]).as_slice(), &f, 3, &mut key), 0, "a probe");
        assert_eq!(of_frame(&octets[..20], &f, 3, &mut key), 0, "cut");
    }

    #[test]
    fn only_a_bare_syn_is_an_attempt() {
        let f = |tcp| Frame { l4: TCP, tcp, dport: 502, src_end: 5, ..Frame::default() };
        let mut key = ProbeKey::default();
        assert_eq!(of_frame([].as_slice(), &f(0x02), 1, &mut key), 5);
        assert_eq!((key.kind, key.port()), (PROBE_SYN, 502));
        assert_eq!(of_frame([].as_slice(), &f(0x12), 1, &mut key), 0);
        assert_eq!(of_frame([].as_slice(), &f(0x10), 1, &mut key), 0);
    }
}
