//! PRP: supervision frames of the parallel redundancy protocol; leads to those of HSR.
//!
//! Source: IEC 62439-3 cl. 4.3 (PRP supervision), 5.7 (HSR supervision). EtherType 0x88FB, destinations
//! 01-15-4E-00-01-xx. Big endian.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 2 | path (4 bits), version |
//! | 2 | 2 | sequence; version 0 may lack it |
//! | 4 | 2 | TLV: type, length; then the address of the node 6 |
//! | | | further TLVs: 1E proxy, 1F nodes behind it; 0 ends the list |
//!
//! Function encoding: type of the TLV, an operation each. Types 22 and 23 make it HSR. The trailer of PRP and the tag of
//! HSR are skipped by the envelope; HSR tags of version 0, on this EtherType too, are not followed. Not parsed:
//! addresses, TLVs behind the third.

use core::fmt;

use super::{Binding, Number, Protocol, Row, hsr, op};
use crate::bytes::Bytes;
use crate::limits::STEPS;
use crate::op::Dir;
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Prp;

const ETHERTYPE: u16 = 0x88FB;
/// Destination of supervision frames, without its last octet.
const DESTINATION: u64 = 0x01_154E_0001;
/// First and last type of a node's own TLV, and the first of those of HSR.
const NODE: u32 = 20;
const NODE_LAST: u32 = 23;
const NODE_HSR: u32 = 22;
/// Octets of an address.
const ADDRESS: u32 = 6;
/// How many TLVs are still looked at, in the memory between steps; 0 before the header.
const LEFT: usize = 0;
/// TLVs that are looked at.
const TLVS: u32 = 3;

functions! {
    TYPES, type_rows, base 0;
    0x14 "PRP node, duplicate discard" Diagnostic;
    0x15 "PRP node, duplicate accept" Diagnostic;
    0x16 "HSR announce, version 0" Diagnostic;
    0x17 "HSR life check" Diagnostic;
    0x1E "address of the proxy" Discovery;
    0x1F "address of a node behind a proxy" Discovery;
}

impl Protocol for Prp {
    const NAME: &'static str = "prp";
    const TITLE: &'static str = "PRP supervision (IEC 62439-3)";
    const BINDING: Binding = Binding { tcp: &[], udp: &[], ethertypes: &[ETHERTYPE] };
    const TURNS: u32 = STEPS;

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        if w.mem[LEFT] != 0 {
            return tlv::<B, Prp>(b, w);
        }
        let off = w.off;
        let Some(to) = b.be64(w.base) else { return Step::REFUSE };
        let Some(head) = b.be64(off) else { return Step::REFUSE };
        // Version 0 without a sequence: the first TLV is where the sequence would be.
        let early = (head >> 32) as u32 & 0xFFFF;
        let version = (head >> 48) as u32 & 0xFFF;
        let short = version == 0 && early & 0xFF == ADDRESS && is_node(early >> 8);
        let at = if short { off + 2 } else { off + 4 };
        let Some(tlv) = b.be16(at) else { return Step::REFUSE };
        let of = tlv as u32 >> 8;
        let size = tlv as u32 & 0xFF;
        if to >> 24 != DESTINATION || !is_node(of) || size < ADDRESS || at + 2 + size > w.end {
            return Step::REFUSE;
        }
        w.pdu_end = w.end;
        w.mem[LEFT] = TLVS;
        w.inner(if of >= NODE_HSR { hsr::Hsr::NUMBER } else { Prp::NUMBER }, at, w.end)
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{function:#04x}")
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        rows(each);
    }
}

#[inline(always)]
fn is_node(of: u32) -> bool {
    of.wrapping_sub(NODE) <= NODE_LAST - NODE
}

/// The TLV at [`Walk::off`], as an operation of `P`. A step for each: the verifier of Linux 6.1 loses count of operations
/// that a loop pushes.
#[inline(always)]
pub(super) fn tlv<B: Bytes, P: Number>(b: B, w: &mut Walk) -> Step {
    let at = w.off;
    let Some(tlv) = b.be16(at) else { return Step::DONE };
    let of = tlv as u32 >> 8;
    if of == 0 {
        return Step::DONE;
    }
    w.push(op::<P>(of, TYPES[b.index::<0xFF>(of)], Dir::Publish, 0));
    w.mem[LEFT] -= 1;
    if w.mem[LEFT] == 0 {
        return Step::DONE;
    }
    w.off = at + 2 + (tlv as u32 & 0xFF);
    Step::INNER
}

/// Types of both.
pub(super) fn rows(each: &mut dyn FnMut(Row)) {
    type_rows(each);
}

#[cfg(test)]
mod tests {
    use crate::reason::Outcome;
    use crate::testing::{Seen, classify_frame, cuts, hex};

    fn to(destination: &str, payload: &[u8]) -> Seen {
        classify_frame(&[&hex(destination)[..], &hex("000102030405 88fb"), payload].concat())
    }
    fn frame(payload: &str) -> Seen {
        to("01154e000100", &hex(payload))
    }

    #[test]
    fn nodes_and_what_is_behind_them() {
        assert_eq!(frame("0001 1234 1406 000102030405 0000").lines(), ["prp:0x14 diagnostic publish"]);
        assert_eq!(frame("0000 1506 000102030405 0000").lines(), ["prp:0x15 diagnostic publish"]);
        let s = frame("0001 1234 1406 000102030405 1e06 000102030406 0000");
        assert_eq!(s.lines(), ["prp:0x14 diagnostic publish", "prp:0x1e discovery publish"]);
        assert_eq!(frame("0001 1234 1706 000102030405 0000").lines(), ["hsr:0x17 diagnostic publish"]);
        assert_eq!(frame("0000 0001 160c 000102030405 000102030405 0000").lines(), ["hsr:0x16 diagnostic publish"]);
    }

    #[test]
    fn other_frames_are_refused() {
        let p = hex("0001 1234 1406 000102030405 0000");
        assert_eq!(to("01154e000000", &p).outcome, Outcome::Unparsed);
        for p in ["0001 1234 1306 000102030405 0000", "0001 1234 1405 0001020304 000000", "0001 1234 1406 0001020304"] {
            assert_eq!(frame(p).outcome, Outcome::Unparsed, "{p}");
        }
        cuts(&p, &[], &|p| to("01154e000100", p));
    }
}
