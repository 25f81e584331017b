//! Routable GOOSE and sampled values: IEC 61850 publications over UDP.
//!
//! Source: IEC 61850-8-1 Annex G and IEC TR 61850-90-5 cl. 8 (session), ISO 8602 / RFC 1240 (connectionless transport).
//! UDP port 102. Big endian; offsets from the first octet of the session, which is at 1 + LI.
//!
//! | off | size | field |
//! |---|---|---|
//! | -1 - LI | 1 | LI: octets of the transport header behind this one |
//! | -LI | 1 | transport: high nibble 4, unit data |
//! | 0 | 1 | session: A0 tunnelled, A1 GOOSE, A2 sampled values, A3 management |
//! | 1 | 1 | length of the session header |
//! | 2 | 2 | common header: 80, length |
//! | 4 | 4 | octets behind this field |
//! | 8 | 16 | number 4, version 2, time of key 4, time to next key 2, key id 4 |
//! | 24 | 1 + n | initialization vector: length n, octets; with one the payload is encrypted |
//! | 25 + n | 4 | length of the payload |
//! | 29 + n | | payload: PDUs of tag 1 (81 GOOSE, 82 sampled values, 83 tunnelled, 84 management), simulation 1, APPID 2, length 2 |
//!
//! Function encoding: session octet that belongs to the PDU's tag. Unit: APPID. A publication is a command in effect, so
//! it is state-changing. Sampled values and management had no capture to be checked on. Not parsed: the PDUs
//! themselves, tunnelled frames, padding and signature behind the payload.

use core::fmt;

use super::{Binding, Number, Protocol, Row, Sniff, op};
use crate::bytes::Bytes;
use crate::flags;
use crate::frame::UDP;
use crate::limits::STEPS;
use crate::op::{Class, Dir, Kind};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Rgoose;

const PORT: u16 = 102;
/// Octets of the session in front of the vector.
const HEAD: u32 = 24;
/// Octets in front of a PDU.
const PDU_HEAD: u32 = 6;
/// Tag of padding behind the PDUs.
const PADDING: u8 = 0xAF;
/// Where the step is: behind the session.
const PAYLOAD: u32 = 1;
/// The payload is encrypted.
const ENCRYPTED: u32 = 2;

functions! {
    SESSIONS, session_rows, base 0;
    0xA0 "tunnelled PDU" Unknown!;
    0xA1 "GOOSE" CyclicIo!;
    0xA2 "sampled values" CyclicIo!;
    0xA3 "management" Config!;
}

/// Session octet by the tag of a PDU.
static TAGS: [u8; 256] = {
    let mut t = [0; 256];
    t[0x81] = 0xA1;
    t[0x82] = 0xA2;
    t[0x83] = 0xA0;
    t[0x84] = 0xA3;
    t
};

impl Protocol for Rgoose {
    const NAME: &'static str = "rgoose";
    const TITLE: &'static str = "Routable GOOSE and sampled values (IEC 61850 over UDP)";
    const BINDING: Binding = Binding { tcp: &[], udp: &[PORT], ethertypes: &[] };
    const SNIFF: &'static [Sniff] = &[Sniff { l4: UDP, mask: 0xFFF0_FC00, value: 0x0140_A000 }];
    const TURNS: u32 = STEPS;

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        if w.mem[0] & PAYLOAD == 0 {
            return session(b, w);
        }
        let off = w.off;
        if w.n_ops != 0 && b.u8(off) == Some(PADDING) {
            return Step::DONE;
        }
        let Some(head) = b.be32(off) else { return Step::MALFORMED };
        let length = b.be16(off + 4).unwrap_or(0xFFFF);
        let function = TAGS[b.index::<0xFF>(head >> 24)] as u32;
        let next = off + PDU_HEAD + length as u32;
        if function == 0 || next > w.inner_end {
            return Step::MALFORMED;
        }
        if head & 0x00FF_0000 != 0 {
            w.flags |= flags::SIMULATION;
        }
        let mut kind = SESSIONS[b.index::<0xFF>(function)];
        if w.mem[0] & ENCRYPTED != 0 {
            w.flags |= flags::ENCRYPTED;
            kind = Kind::new(Class::Encrypted, true).0;
        }
        w.push(op::<Rgoose>(function, kind, Dir::Publish, head & 0xFFFF));
        if next < w.inner_end {
            let end = w.inner_end;
            return w.inner(Rgoose::NUMBER, next, end);
        }
        Step::DONE
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        match function {
            0xA0 => out.write_str("tunnel"),
            0xA1 => out.write_str("pdu"),
            0xA2 => out.write_str("sv"),
            _ => out.write_str("mgmt"),
        }
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        session_rows(each);
    }
}

/// Transport and session: everything is checked, on the port and off it.
#[inline(always)]
fn session<B: Bytes>(b: B, w: &mut Walk) -> Step {
    let Some(transport) = b.be16(w.off) else { return Step::REFUSE };
    let off = w.off + 1 + (transport >> 8) as u32;
    let Some(head) = b.be64(off) else { return Step::REFUSE };
    let Some(vector) = b.u8(off + HEAD) else { return Step::REFUSE };
    let at = off + HEAD + 1 + vector as u32;
    let Some(payload) = b.be32(at) else { return Step::REFUSE };
    let id = (head >> 56) as u32;
    let room = w.end.wrapping_sub(at + 4);
    if transport & 0xF0 != 0x40
        || id & 0xFC != 0xA0
        || head as u32 != w.end.wrapping_sub(off + 8)
        || payload > room
        || payload < PDU_HEAD
    {
        return Step::REFUSE;
    }
    let Some(tag) = b.u8(at + 4) else { return Step::REFUSE };
    if TAGS[b.index::<0xFF>(tag as u32)] == 0 {
        if vector == 0 {
            return Step::REFUSE;
        }
        w.flags |= flags::ENCRYPTED;
        w.push(op::<Rgoose>(id, Kind::new(Class::Encrypted, true).0, Dir::Publish, 0));
        return Step::DONE;
    }
    w.mem[0] = if vector != 0 { PAYLOAD | ENCRYPTED } else { PAYLOAD };
    w.inner(Rgoose::NUMBER, at + 4, at + 4 + payload)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;
    use crate::reason::Outcome;
    use crate::testing::{cuts, hex, udp};

    /// A session of one kind around PDUs, with the octets of a vector.
    fn datagram(id: u8, vector: &[u8], pdus: &[u8]) -> Vec<u8> {
        let mut rest = hex("00009646000200000000000000000000");
        rest.push(vector.len() as u8);
        rest.extend(vector);
        rest.extend((pdus.len() as u32).to_be_bytes());
        rest.extend(pdus);
        let mut p = Vec::from([1, 0x40, id, 0x17, 0x80, 0x15, 0, 0, 0, rest.len() as u8]);
        p.extend(rest);
        p
    }

    #[test]
    fn publications_carry_their_appid() {
        let s = udp(51766, 102, &datagram(0xA1, &[], &hex("81003001 0004 61028001")));
        assert_eq!((s.lines(), s.flags), (["rgoose:pdu cyclic-io! publish".into()].into(), 0));
        assert_eq!(s.ops[0].unit, 0x3001);
        let s = udp(51766, 102, &datagram(0xA2, &[], &hex("82014001 0002 6000 81003001 0002 6100 af00")));
        assert_eq!((s.paths(), s.flags), (["rgoose:sv".into(), "rgoose:pdu".into()].into(), flags::SIMULATION));
    }

    #[test]
    fn a_vector_means_encryption() {
        let s = udp(51766, 102, &datagram(0xA1, &[1, 2, 3, 4], &hex("81003001 0002 abcd")));
        assert_eq!((s.lines(), s.flags), (["rgoose:pdu encrypted! publish".into()].into(), flags::ENCRYPTED));
        let s = udp(51766, 102, &datagram(0xA2, &[1, 2, 3, 4], &hex("1234567890abcdef")));
        assert_eq!((s.lines(), s.flags), (["rgoose:sv encrypted! publish".into()].into(), flags::ENCRYPTED));
    }

    #[test]
    fn every_length_has_to_be_right() {
        let p = datagram(0xA1, &[], &hex("81003001 0004 61028001"));
        assert_eq!(udp(51766, 4102, &p).paths(), ["rgoose:pdu"]);
        for (at, value) in [(1, 0x30), (2, 0xA4), (9, 1), (30, 99), (31, 0x80)] {
            let mut near = p.clone();
            near[at] = value;
            assert_eq!(udp(51766, 102, &near).outcome, Outcome::Unparsed, "octet {at}");
        }
        let mut near = p.clone();
        near[36] = 9;
        assert_eq!(udp(51766, 102, &near).outcome, Outcome::Malformed);
        cuts(&p, &[], &|p| udp(51766, 102, p));
    }
}
