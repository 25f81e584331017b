//! Frames in tunnels: what is opened, what stays closed, and how far is read.

extern crate std;

use std::vec;
use std::vec::Vec;

use super::*;
use crate::reason::Outcome;
use crate::testing::{Host, hex, tcp_frame};

struct Side {
    len: u32,
    tunnels: bool,
}

impl Envelope for Side {
    fn frame_len(&mut self) -> u32 {
        self.len
    }
    fn tunnels(&mut self) -> bool {
        self.tunnels
    }
}

/// Envelope of a frame of which `readable` octets can be read, as both sides follow it.
fn envelope(frame: &[u8], readable: usize, tunnels: bool) -> (Payload, Frame) {
    let (b, mut f) = (&frame[..readable], Frame { seq: 7, ..Frame::default() });
    let mut side = Side { len: frame.len() as u32, tunnels };
    let mut payload = parse(b, &mut f, &mut side);
    for _ in 0..4 {
        payload = match payload {
            Payload::Ipv6Chain => ipv6_chain(b.until(f.end), &mut f, &mut side),
            Payload::Tunnel => tunnel(b, &mut f, &mut side),
            other => return (other, f),
        };
    }
    (payload, f)
}

fn opened(frame: &[u8]) -> (Payload, Frame) {
    envelope(frame, frame.len(), true)
}

/// An outer frame from 192.0.2.1 to 192.0.2.2.
fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = hex("0200 0000 00b2 0200 0000 00a1 8100 0064 0800 4500");
    frame.extend((payload.len() as u16 + 20).to_be_bytes());
    frame.extend([0, 1, 0x40, 0, 64, protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    frame.extend(payload);
    frame
}

/// An outer frame over IPv6 with these extension headers in front of the tunnel.
fn ipv6(next: u8, extensions: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut frame = hex("0200 0000 00b2 0200 0000 00a1 86dd 6000 0000");
    frame.extend(((extensions.len() + payload.len()) as u16).to_be_bytes());
    frame.extend([next, 64]);
    frame.extend([0x20, 1, 0xD, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    frame.extend([0x20, 1, 0xD, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    frame.extend(extensions);
    frame.extend(payload);
    frame
}

fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let mut datagram = vec![0xC0, 0];
    datagram.extend(port.to_be_bytes());
    datagram.extend((payload.len() as u16 + 8).to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    datagram
}

fn vxlan(port: u16, inner: &[u8]) -> Vec<u8> {
    ipv4(UDP, &udp(port, &[&hex("0800 0000 0012 3400"), inner].concat()))
}

/// GRE with these first two octets, EtherType, octets between header and inner frame.
fn gre(bits: u16, ethertype: u16, between: &[u8], inner: &[u8]) -> Vec<u8> {
    ipv4(GRE, &[&bits.to_be_bytes(), &ethertype.to_be_bytes(), between, inner].concat())
}

const READ: [u8; 12] = [0, 1, 0, 0, 0, 6, 1, 3, 0, 10, 0, 2];

/// The usual inner frame: a Modbus read.
fn modbus() -> Vec<u8> {
    tcp_frame(0x9C40, 502, &READ)
}

/// The same in a VLAN and over IPv6 with a destination option.
fn modbus_ipv6() -> Vec<u8> {
    let bare = modbus();
    let mut frame = hex("0200 0000 0002 0200 0000 0001 8100 0007 86dd 6000 0000");
    frame.extend((bare.len() as u16 - 34 + 8).to_be_bytes());
    frame.extend([60, 64]);
    frame.extend([0xFD; 32]);
    frame.extend([TCP, 0, 1, 4, 0, 0, 0, 0]);
    frame.extend(&bare[34..]);
    frame
}

/// Every kind of tunnel around an inner frame, with its name.
fn every_kind(inner: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let at = if inner[12..14] == [0x81, 0] { 18 } else { 14 };
    let mut kinds = vec![
        ("VXLAN", vxlan(4789, inner)),
        ("VXLAN of Linux", vxlan(8472, inner)),
        ("GRE", gre(0, 0x6558, &[], inner)),
        ("GRE with a checksum", gre(0x8000, 0x6558, &[9; 4], inner)),
        ("GRE with a key", gre(0x2000, 0x6558, &[9; 4], inner)),
        ("GRE with a sequence number", gre(0x1000, 0x6558, &[9; 4], inner)),
        ("GRE with all of them", gre(0xB000, 0x6558, &[9; 12], inner)),
        ("ERSPAN I", gre(0, 0x88BE, &[], inner)),
        ("ERSPAN II", gre(0x1000, 0x88BE, &hex("00000001 1064 0001 0000 0002"), inner)),
        ("ERSPAN III", gre(0x1000, 0x22EB, &hex("00000001 2064 0001 0000 0002 0000 0000"), inner)),
        (
            "ERSPAN III with a platform header",
            gre(0x1000, 0x22EB, &hex("00000001 2064 0001 0000 0002 0000 0001 0102 0304 0506 0708"), inner),
        ),
        ("VXLAN over IPv6", ipv6(UDP, &[], &udp(4789, &[&hex("0800 0000 0012 3400"), inner].concat()))),
        (
            "VXLAN behind an extension header",
            ipv6(60, &[UDP, 0, 1, 4, 0, 0, 0, 0], &udp(4789, &[&hex("0800 0000 0012 3400"), inner].concat())),
        ),
    ];
    let (name, bits, key): (_, _, &[u8]) =
        if inner[at - 2] == 8 { ("IPv4 in GRE", 0, &[]) } else { ("IPv6 in GRE", 0x2000, &[0, 0, 0, 1]) };
    kinds.push((name, gre(bits, u16::from_be_bytes([inner[at - 2], inner[at - 1]]), key, &inner[at..])));
    kinds
}

#[test]
fn the_frame_inside_takes_the_place_of_the_one_around_it() {
    for inner in [modbus(), modbus_ipv6()] {
        let (bare_payload, bare) = envelope(&inner, inner.len(), false);
        assert_eq!(bare_payload, Payload::Transport);
        for (kind, frame) in every_kind(&inner) {
            let (payload, f) = opened(&frame);
            assert_eq!(payload, Payload::Transport, "{kind}");
            assert_eq!((f.src, f.dst, f.l4, f.tcp, f.seq), (bare.src, bare.dst, TCP, bare.tcp, bare.seq), "{kind}");
            assert_eq!((f.sport, f.dport, f.ethertype), (0x9C40, 502, bare.ethertype), "{kind}");
            assert_eq!((f.off, f.end), (frame.len() as u32 - 12, frame.len() as u32), "{kind}");
            assert_eq!(f.len, frame.len() as u32, "{kind}: the frame counts whole");
            let outside = if kind.contains("extension") { flags::IP_OPTIONS } else { 0 };
            assert_eq!(f.flags, bare.flags | flags::TUNNEL | outside, "{kind}");
            if kind.contains("in GRE") {
                assert_eq!((f.src_end, f.dst_end, f.vlan), (0x9C40, 502, 0), "{kind}: no Ethernet inside");
            } else {
                let inside = (bare.src_end, bare.dst_end, bare.vlan, bare.vlan_inner);
                assert_eq!((f.src_end, f.dst_end, f.vlan, f.vlan_inner), inside, "{kind}");
            }
            let mut host = Host::opening_tunnels();
            let seen = host.frame(&frame);
            assert_eq!((seen.outcome, seen.paths()), (Outcome::Classified, vec!["modbus:3".into()]), "{kind}");
        }
    }
}

#[test]
fn a_layer_2_protocol_inside_has_its_addresses() {
    let inner = hex("010c cd01 0001 0200 0000 0007 88b8 0001 0008 0000 0000");
    let (payload, f) = opened(&vxlan(4789, &inner));
    assert_eq!((payload, f.ethertype, f.l4, f.sport), (Payload::Layer2, 0x88B8, 0, 0));
    assert_eq!((f.src, f.dst), ([0, 0, 0x0200, 7], [0, 0, 0x010C, 0xCD01_0001]));
}

#[test]
fn nothing_is_opened_unless_it_is_asked_for() {
    for (kind, frame) in every_kind(&modbus()) {
        let (payload, f) = envelope(&frame, frame.len(), false);
        let expected = if f.l4 == UDP { Payload::Transport } else { Payload::OtherIp };
        assert_eq!((payload, f.flags & flags::TUNNEL), (expected, 0), "{kind}");
        assert!(f.src[3] == 0xC000_0201 || f.src[0] == 0x2001_0DB8, "{kind}: the outer address");
        assert_eq!(Host::default().frame(&frame).outcome, Outcome::NotOt, "{kind}");
    }
}

/// What looks like a tunnel by its port or protocol number only is judged as if tunnels were not opened.
#[test]
fn what_is_no_tunnel_is_judged_as_before() {
    let inner = modbus();
    let flagged = |head: &str| ipv4(UDP, &udp(4789, &[&hex(head), &inner[..]].concat()));
    for frame in [
        flagged("0000 0000 0012 3400"),
        flagged("0c00 0003 0012 3400"),
        flagged("0800 0001 0012 3400"),
        flagged("0800 0000 0012 3401"),
        ipv4(UDP, &udp(4789, &[8, 0, 0, 0, 0, 0, 1])),
        ipv4(UDP, &udp(4789, &[])),
        ipv4(UDP, &udp(4788, &[&hex("0800 0000 0012 3400"), &inner[..]].concat())),
        // Version 1 (PPTP), routing, a reserved bit, an unknown EtherType, other ERSPAN versions and frame types.
        gre(0x2001, 0x880B, &[0; 4], &inner),
        gre(0x4000, 0x6558, &[], &inner),
        gre(0x0400, 0x6558, &[], &inner),
        gre(0, 0x880B, &[], &inner),
        gre(0x1000, 0x88BE, &hex("00000001 3064 0001 0000 0002"), &inner),
        gre(0x1000, 0x22EB, &hex("00000001 1064 0001 0000 0002 0000 0000"), &inner),
        gre(0x1000, 0x22EB, &hex("00000001 2064 0001 0000 0002 0000 0800"), &inner),
        ipv4(GRE, &[0, 0]),
        ipv4(GRE, &[]),
    ] {
        assert_eq!(opened(&frame), envelope(&frame, frame.len(), false), "{frame:02x?}");
    }
}

#[test]
fn a_second_tunnel_stays_closed() {
    for (outer_kind, outer) in every_kind(&vxlan(4789, &modbus())) {
        let (payload, f) = opened(&outer);
        assert_eq!((payload, f.dport), (Payload::OtherIp, 4789), "{outer_kind}");
        assert_ne!(f.flags & flags::TUNNEL, 0, "{outer_kind}");
        let mut host = Host::opening_tunnels();
        assert_eq!(host.frame(&outer).outcome, Outcome::NotOt, "{outer_kind}");
    }
    let (payload, f) = opened(&vxlan(4789, &gre(0, 0x6558, &[], &modbus())));
    assert_eq!((payload, f.l4, f.src[3]), (Payload::OtherIp, GRE, 0xC000_0201));
    // Not a tunnel, but its port: judged by its content, as everywhere.
    let (payload, _) = opened(&vxlan(4789, &ipv4(UDP, &udp(4789, &[1; 20]))));
    assert_eq!(payload, Payload::Transport);
}

/// Cut in the capture, and shortened by the mirror port: no octet behind the outer end is read, and what is missing is
/// flagged.
#[test]
fn every_cut_is_seen() {
    for inner in [modbus(), modbus_ipv6()] {
        for (kind, frame) in every_kind(&inner) {
            for n in 0..frame.len() {
                let (payload, f) = opened(&frame[..n]);
                assert!(f.end as usize <= n, "{kind} cut to {n}");
                assert_eq!(f.flags & flags::BEYOND_REACH, 0, "{kind} cut to {n}");
                let begun = matches!(payload, Payload::Transport | Payload::Empty);
                if begun && f.flags & flags::TUNNEL != 0 {
                    assert_ne!(f.flags & flags::SHORT_FRAME, 0, "{kind} cut to {n}");
                }
            }
        }
    }
}

/// A length field of the headers around the tunnel ends the inner frame, though the buffer goes on.
#[test]
fn the_outer_end_is_the_end() {
    let inner = modbus();
    for (kind, mut frame) in every_kind(&inner) {
        let whole = frame.len() as u32;
        // The outer IP length says 5 octets less; those are still in the buffer, and 40 more behind them.
        let at = if frame[12..14] == [0x81, 0] { 20 } else { 18 };
        let len = u16::from_be_bytes([frame[at], frame[at + 1]]) - 5;
        frame[at..at + 2].copy_from_slice(&len.to_be_bytes());
        frame.extend([0xEE; 40]);
        let (payload, f) = opened(&frame);
        assert_eq!((payload, f.end, f.len), (Payload::Transport, whole - 5, whole + 40), "{kind}");
        assert_eq!(f.flags & (flags::SHORT_FRAME | flags::BEYOND_REACH), flags::SHORT_FRAME, "{kind}");
    }
    // Padding inside: the inner length counts.
    let padded = [&inner[..], &[0xEE; 30]].concat();
    let (_, f) = opened(&vxlan(4789, &padded));
    assert_eq!((f.end, f.flags), (18 + 20 + 8 + 8 + inner.len() as u32, flags::TUNNEL));
}

/// Of a frame in several buffers only the first is readable: the rest is beyond reach, not missing.
#[test]
fn what_is_not_readable_is_not_missing() {
    for (kind, frame) in every_kind(&modbus()) {
        let (payload, f) = envelope(&frame, frame.len() - 4, true);
        assert_eq!((payload, f.len), (Payload::Transport, frame.len() as u32), "{kind}");
        let both = flags::SHORT_FRAME | flags::BEYOND_REACH;
        assert_eq!(f.flags & both, flags::BEYOND_REACH, "{kind}");
    }
}

/// An inner frame that is broken is a broken frame that came through a tunnel.
#[test]
fn a_broken_frame_inside_is_bad() {
    for inner in [&hex("0200 0000")[..], &hex("0200 0000 0002 0200 0000 0001 0800 4500 0014")] {
        let (payload, f) = opened(&vxlan(4789, inner));
        assert_eq!((payload, f.flags & flags::TUNNEL), (Payload::Bad, flags::TUNNEL));
    }
    let (payload, f) = opened(&gre(0, 0x0800, &[], &hex("6500 0014 0000 0000 4006 0000 0a00 0001 0a00 0002")));
    assert_eq!((payload, f.flags & flags::TUNNEL), (Payload::Bad, flags::TUNNEL));
}
