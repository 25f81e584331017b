//! GOOSE: IEC 61850 events on layer 2, and the GSE management inside its EtherType.
//!
//! Source: IEC 61850-8-1 cl. 18.1 (GOOSE), Annex A (abstract syntax), Annex C (frame layout). EtherType 0x88B8; on
//! 0x88B9 the same layout is GSE management. Big endian, then BER.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 2 | APPID |
//! | 2 | 2 | length, from APPID on |
//! | 4 | 2 | reserved 1; bit 15: simulation |
//! | 6 | 2 | reserved 2 |
//! | 8 | 1 | tag: 0x61 goosePdu, 0x60 gseMngtPdu |
//! | 9 | 1-3 | BER length |
//! | | | goosePdu: 80 gocbRef, 81 timeAllowedtoLive, 82 datSet, 83 goID, 84 t, 85 stNum, 86 sqNum, 87 simulation, ... |
//! | | | gseMngtPdu: 80 stateID, then A1 requests or A2 responses, inside it the service |
//!
//! Function encoding: tag; management: | A1 or A2 << 8 | service tag << 16. Unit: APPID. A publication is cyclic data in
//! form and a command (trip, interlock) in effect, so it is state-changing. The destination address says nothing: some
//! relays publish to their own. Not parsed: the data set; signatures behind the PDU.

use core::fmt;

use super::{Binding, Number, Protocol, Row, op};
use crate::bytes::Bytes;
use crate::flags;
use crate::op::Dir;
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Goose;

const ETHERTYPES: &[u16] = &[0x88B8];
/// Octets in front of the PDU.
const HEAD: u32 = 8;
const GOOSE_PDU: u32 = 0x61;
const MANAGEMENT: u32 = 0x60;
/// First element of both PDUs: gocbRef, stateID.
const FIRST: u32 = 0x80;
const SIMULATION: u32 = 0x87;
/// Elements of a goosePdu up to the simulation mark.
const ELEMENTS: u32 = 8;
const REQUESTS: u32 = 0xA1;
const RESPONSES: u32 = 0xA2;

functions! {
    PDUS, pdu_rows, base 0;
    0x60 "gseMngtPdu" Config;
    0x61 "goosePdu" CyclicIo!;
}

functions! {
    /// Requests of a gseMngtPdu.
    SERVICES, service_rows, base 0;
    0xA1 "GetGoReference" Discovery;
    0xA2 "GetGOOSEElementNumber" Discovery;
    0xA3 "GetGsReference" Discovery;
    0xA4 "GetGSSEDataOffset" Discovery;
}

functions! {
    /// Requests and responses of a gseMngtPdu.
    DIRECTIONS, direction_rows, base MANAGEMENT;
    0xA2 "management response" Response;
}

impl Protocol for Goose {
    const NAME: &'static str = "goose";
    const TITLE: &'static str = "IEC 61850 GOOSE";
    const BINDING: Binding = Binding { tcp: &[], udp: &[], ethertypes: ETHERTYPES };

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        parse::<B, Goose>(b, w)
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        if function == GOOSE_PDU {
            return out.write_str("pdu");
        }
        out.write_str("mgmt")?;
        match (function >> 8 & 0xFF, function >> 16) {
            (0, _) => Ok(()),
            (choice, 0) => write!(out, "/{choice:#04x}"),
            (choice, service) => write!(out, "/{choice:#04x}/{service:#04x}"),
        }
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        pdu_rows(each);
        service_rows(&mut |r| each(Row { function: r.function << 16 | REQUESTS << 8 | MANAGEMENT, ..r }));
        direction_rows(&mut |r| each(Row { function: RESPONSES << 8 | MANAGEMENT, ..r }));
    }
}

/// A frame of either EtherType, as an operation of `P`.
#[inline(always)]
pub(super) fn parse<B: Bytes, P: Number>(b: B, w: &mut Walk) -> Step {
    let off = w.off;
    let Some(head) = b.be64(off) else { return Step::REFUSE };
    let Some(pdu) = b.be32(off + HEAD) else { return Step::REFUSE };
    let tag = pdu >> 24;
    if tag != GOOSE_PDU && tag != MANAGEMENT {
        return Step::REFUSE;
    }
    // One PDU a frame; behind it is padding, a redundancy trailer or a signature.
    w.pdu_end = w.end;
    let length = (head >> 32) as u32 & 0xFFFF;
    if head & 0x8000_0000 != 0 {
        w.flags |= flags::SIMULATION;
    }
    let (skip, size) = ber(pdu);
    let unit = (head >> 48) as u32;
    let first = off + HEAD + skip;
    if tag == GOOSE_PDU {
        simulation(b, w, first);
        w.push(op::<P>(GOOSE_PDU, PDUS[GOOSE_PDU as usize], Dir::Publish, unit));
    } else {
        management::<B, P>(b, w, first, unit);
    }
    let fits = skip != 0 && length == HEAD + skip + size && length <= w.end.wrapping_sub(off);
    if fits && b.u8(first) == Some(FIRST as u8) { Step::DONE } else { Step::MALFORMED }
}

/// Octets of tag and length, and the length, of an element whose first four octets these are; nothing for lengths of
/// more than two octets.
#[inline(always)]
pub(super) fn ber(element: u32) -> (u32, u32) {
    let form = (element >> 16) & 0xFF;
    if form < 0x80 {
        (2, form)
    } else if form == 0x81 {
        (3, (element >> 8) & 0xFF)
    } else if form == 0x82 {
        (4, element & 0xFFFF)
    } else {
        (0, 0)
    }
}

/// Flags a goosePdu whose own simulation element is true.
#[inline(always)]
fn simulation<B: Bytes>(b: B, w: &mut Walk, first: u32) {
    let mut at = first;
    for _ in 0..ELEMENTS {
        let Some(element) = b.be32(at) else { break };
        let tag = element >> 24;
        if tag >= SIMULATION {
            if tag == SIMULATION && element & 0x00FF_FF00 > 0x0001_0000 {
                w.flags |= flags::SIMULATION;
            }
            break;
        }
        let (skip, size) = ber(element);
        if skip == 0 {
            break;
        }
        at += skip + size;
    }
}

#[inline(always)]
fn management<B: Bytes, P: Number>(b: B, w: &mut Walk, first: u32, unit: u32) {
    let mut at = first;
    let mut element = b.be32(at).unwrap_or(0);
    if element >> 24 == FIRST {
        let (skip, size) = ber(element);
        at += skip + size;
        element = b.be32(at).unwrap_or(0);
    }
    let choice = element >> 24;
    let (skip, _) = ber(element);
    let found = if choice == REQUESTS {
        let service = b.u8(at + skip).unwrap_or(0) as u32;
        let function = MANAGEMENT | choice << 8 | service << 16;
        op::<P>(function, SERVICES[b.index::<0xFF>(service)], Dir::Request, unit)
    } else if choice == RESPONSES {
        op::<P>(MANAGEMENT | choice << 8, DIRECTIONS[RESPONSES as usize], Dir::Response, unit)
    } else {
        op::<P>(MANAGEMENT, PDUS[MANAGEMENT as usize], Dir::Unknown, unit)
    };
    w.push(found);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::Outcome;
    use crate::testing::{cuts, hex, layer2};

    const PUBLISH: &str = "3001006800000000615e8015494544314c44302f4c4c4e3024474f246763623031810207d08210494544314c44302f\
                           4c4c4e302464733183046769643184086b03301d00c49b0a8501018601008701008801018901008a0103ab0d830101\
                           8501008705083fc00000";

    #[test]
    fn publications_are_cyclic_and_change_state() {
        let s = layer2(0x88B8, &hex(PUBLISH));
        assert_eq!((s.lines(), s.flags), (["goose:pdu cyclic-io! publish".into()].into(), 0));
        assert_eq!(s.ops[0].unit, 0x3001);
        // Padding or a redundancy trailer behind it.
        let s = layer2(0x88B8, &[hex(PUBLISH), hex("000000000000")].concat());
        assert_eq!((s.outcome, s.flags, s.ops.len()), (Outcome::Classified, 0, 1));
    }

    #[test]
    fn both_simulation_marks_are_seen() {
        let s = layer2(0x88B8, &hex(&PUBLISH.replace("870100880101", "870101880101")));
        assert_eq!(s.flags, flags::SIMULATION);
        let mut p = hex(PUBLISH);
        p[4] = 0x80;
        assert_eq!(layer2(0x88B8, &p).flags, flags::SIMULATION);
    }

    #[test]
    fn management_has_requests_and_responses() {
        let s = layer2(0x88B8, &hex("0001001300000000600980010 1a104a2021234"));
        assert_eq!(s.lines(), ["goose:mgmt/0xa1/0xa2 discovery request"]);
        let s = layer2(0x88B8, &hex("00010013000000006009800101a204a2021234"));
        assert_eq!(s.lines(), ["goose:mgmt/0xa2 response response"]);
        let s = layer2(0x88B8, &hex("000100100000000060068001 01a0000000"));
        assert_eq!(s.paths(), ["goose:mgmt"]);
    }

    #[test]
    fn broken_lengths_are_malformed_and_other_tags_not_goose() {
        for (at, value) in [(3, 0x67), (3, 0x69), (9, 0x5D), (9, 0x84), (10, 0x81)] {
            let mut p = hex(PUBLISH);
            p[at] = value;
            let s = layer2(0x88B8, &p);
            assert_eq!((s.outcome, s.paths()), (Outcome::Malformed, ["goose:pdu".into()].into()), "octet {at}");
        }
        let mut p = hex(PUBLISH);
        p[8] = 0x62;
        assert_eq!(layer2(0x88B8, &p).outcome, Outcome::Unparsed);
    }

    #[test]
    fn lengths_may_be_longer_than_needed() {
        let mut p = hex(PUBLISH);
        p[3] = 0x6A;
        p.splice(9..10, [0x82, 0, 0x5E]);
        assert_eq!(layer2(0x88B8, &p).outcome, Outcome::Classified);
    }

    #[test]
    fn no_cut_changes_the_meaning() {
        cuts(&hex(PUBLISH), &[], &|p| layer2(0x88B8, p));
        cuts(&hex("00010013000000006009800101a104a2021234"), &["goose:mgmt", "goose:mgmt/0xa1"], &|p| {
            layer2(0x88B8, p)
        });
    }
}
