//! DLMS/COSEM: electricity, gas and water meters over the TCP-UDP wrapper, and HDLC frames in TCP or UDP.
//!
//! Source: IEC 62056-47 (wrapper), IEC 62056-46 (HDLC), IEC 62056-53 and DLMS UA 1000-2 (APDU tags). Port 4059; 4060 is
//! the common choice for HDLC. Big endian.
//!
//! | off | size | wrapper |
//! |---|---|---|
//! | 0 | 2 | version 1 |
//! | 2 | 4 | source wPort, destination wPort |
//! | 6 | 2 | length of the APDU |
//! | 8 | | APDU: tag 1; GET, SET, ACTION: type 1, invoke id 1, class 2, OBIS 6, attribute or method 1 |
//!
//! | off | size | HDLC |
//! |---|---|---|
//! | 0 | 1 | flag 7E |
//! | 1 | 2 | A, segmentation bit 08, length 11 bits of what stands between the flags |
//! | 3 | | destination, source: 1, 2 or 4 octets each, bit 0 marks the last |
//! | | 1 | control |
//! | | | longer frames: header check 2, E6 E6 00 (request) or E6 E7 00 (response), APDU |
//! | | 3 | check 2, flag 7E |
//!
//! Function encoding: APDU tag; HDLC: | bit 8, control << 16. Unit: logical device (wrapper: the server's wPort). Address
//! of GET, SET and ACTION: class << 16 | attribute. Not parsed: OBIS codes, lists of attributes, ciphered contents, frame
//! checks.

use core::fmt;

use super::{Binding, Protocol, Row, Sniff, op};
use crate::bytes::Bytes;
use crate::flags;
use crate::op::{Class, Dir, Kind};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Dlms;

const HEAD: u32 = 8;
const FLAG: u32 = 0x7E;
const HDLC: u32 = 1 << 8;
/// Frame format, three addresses, check: the least between the flags.
const HDLC_MIN: u32 = 7;
const LLC_REQUEST: u32 = 0x00E6_E600;
const LLC_RESPONSE: u32 = 0x00E6_E700;
const GET: u32 = 0xC0;
const SET: u32 = 0xC1;
const ACTION: u32 = 0xC3;

functions! {
    TAGS, tag_rows, base 0;
    0x05 "short-name READ request" Read;
    0x06 "short-name WRITE request" Write!;
    0x0C "short-name READ response" Response;
    0x0D "short-name WRITE response" Response;
    0x0F "data notification" CyclicIo;
    0x60 "AARQ (association request)" Session;
    0x61 "AARE" Response;
    0x62 "RLRQ" Session;
    0x63 "RLRE" Response;
    0xC0 "GET request" Read;
    0xC1 "SET request" Write!;
    0xC2 "event notification" Alarm;
    0xC3 "ACTION request (method: disconnect, image transfer, key)" Control!;
    0xC4 "GET response" Response;
    0xC5 "SET response" Response;
    0xC7 "ACTION response" Response;
    0xC8 "glo-GET request (ciphered)" Read;
    0xC9 "glo-SET request (ciphered)" Write!;
    0xCB "glo-ACTION request (ciphered)" Control!;
    0xCC "glo-GET response" Response;
    0xCD "glo-SET response" Response;
    0xCF "glo-ACTION response" Response;
    0xD0 "ded-GET request (ciphered)" Read;
    0xD1 "ded-SET request (ciphered)" Write!;
    0xD3 "ded-ACTION request (ciphered)" Control!;
    0xD8 "exception response" Response;
    0xD9 "ACCESS request (mixed get/set/action)" Unknown!;
    0xDA "ACCESS response" Response;
    0xDB "general-glo-ciphering (service hidden)" Encrypted!;
    0xDC "general-ded-ciphering (service hidden)" Encrypted!;
    0xDD "general-ciphering (service hidden)" Encrypted!;
    0xE0 "general block transfer" Unknown;
}

functions! {
    /// HDLC controls with the poll bit cleared; odd ones that are not here are receive-ready, even ones information.
    CONTROLS, control_rows, base HDLC;
    0x01 "RR" Session;
    0x03 "UI" Unknown;
    0x05 "RNR" Session;
    0x0F "DM" Response;
    0x43 "DISC" Session;
    0x63 "UA" Response;
    0x83 "SNRM" Session;
    0x87 "FRMR" Response;
}

impl Protocol for Dlms {
    const NAME: &'static str = "dlms";
    const TITLE: &'static str = "DLMS/COSEM (IEC 62056): wrapper, HDLC";
    const BINDING: Binding = Binding { tcp: &[4059, 4060], udp: &[4059, 4060], ethertypes: &[] };
    const SNIFF: &'static [Sniff] = &[
        Sniff { l4: 0, mask: 0xFFFF_FF00, value: 0x0001_0000 },
        Sniff { l4: 0, mask: 0xFFF0_0000, value: 0x7EA0_0000 },
    ];
    const WEAK: bool = true;

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let Some(head) = b.be32(off) else { return Step::REFUSE };
        if head >> 24 == FLAG {
            return hdlc(b, w, head);
        }
        if head >> 16 != 1 {
            return Step::REFUSE;
        }
        let Some(rest) = b.be32(off + 4) else { return if w.strict() { Step::REFUSE } else { Step::PARTIAL } };
        let Some(tag) = b.u8(off + 8) else { return if w.strict() { Step::REFUSE } else { Step::PARTIAL } };
        let tag = tag as u32;
        let (source, target, length) = (head & 0xFFFF, rest >> 16, rest & 0xFFFF);
        let end = off + HEAD + length;
        let kind = TAGS[b.index::<0xFF>(tag)];
        if length == 0 || kind == Kind::UNLISTED.0 && w.strict() {
            return Step::REFUSE;
        }
        if w.strict() && (end != w.end || source > 0x7F || target > 0x7F) {
            return Step::REFUSE;
        }
        w.pdu_end = end;
        let dir = direction(w, kind, tag);
        let unit = if matches!(dir, Dir::Request) { target } else { source };
        apdu(b, w, off + HEAD, tag, kind, dir, unit, 0);
        Step::DONE
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        if function & HDLC != 0 {
            return out.write_str("hdlc");
        }
        write!(out, "{:#04x}", function & 0xFF)
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        tag_rows(each);
        control_rows(&mut |r| each(Row { function: (r.function & 0xFF) << 16 | HDLC, ..r }));
    }
}

/// Direction of an APDU: the tag says it but for the ciphered envelopes and block transfer.
#[inline(always)]
fn direction(w: &Walk, kind: u8, tag: u32) -> Dir {
    if kind == Class::Response as u8 {
        Dir::Response
    } else if tag == 0xC2 || tag == 0x0F {
        Dir::Publish
    } else if tag < 0xD4 {
        Dir::Request
    } else {
        w.port_dir()
    }
}

/// Pushes the operation of an APDU at `at`.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "inlined into its two callers")]
fn apdu<B: Bytes>(b: B, w: &mut Walk, at: u32, tag: u32, kind: u8, dir: Dir, unit: u32, extra: u32) {
    let mut found = op::<Dlms>(tag | extra, kind, dir, unit);
    if Kind(kind).class() == Class::Encrypted as u8 {
        w.flags |= flags::ENCRYPTED;
    }
    if tag == GET || tag == SET || tag == ACTION {
        // Type 1 is the form with a single attribute; others begin with a list or a block number.
        if b.u8(at + 1) == Some(1) {
            let class = b.be16(at + 3).unwrap_or(0) as u32;
            let attribute = b.u8(at + 11).unwrap_or(0) as u32;
            found.addr = class << 16 | attribute;
            found.span = 1;
        }
    }
    w.push(found);
}

/// Octets of the address at `at`, from the octets there: bit 0 marks the last; 0 for none.
#[inline(always)]
fn address(octets: u32) -> u32 {
    if octets & 0x0100_0000 != 0 {
        1
    } else if octets & 0x0001_0000 != 0 {
        2
    } else if octets & 0x1 != 0 {
        4
    } else {
        0
    }
}

/// A frame of the HDLC profile.
#[inline(always)]
fn hdlc<B: Bytes>(b: B, w: &mut Walk, head: u32) -> Step {
    let off = w.off;
    let length = head >> 8 & 0x7FF;
    if head >> 20 != 0x7EA || length < HDLC_MIN {
        return Step::REFUSE;
    }
    let mut end = off + length + 2;
    let close = b.u8(end - 1);
    if close.is_none() && w.strict() {
        return Step::REFUSE;
    }
    if close.is_some() && close != Some(FLAG as u8) {
        // The frame goes on behind its length: on the port a receiver that looks for the flag still takes it.
        if w.strict() || b.u8(w.end - 1) != Some(FLAG as u8) {
            return Step::REFUSE;
        }
        end = w.end;
        w.flags |= flags::LENGTH_LIE;
    }
    let Some(first) = b.be32(off + 3) else { return Step::PARTIAL };
    let target = address(first);
    let Some(second) = b.be32(off + 3 + target) else { return Step::PARTIAL };
    let source = address(second);
    let at = off + 3 + target + source;
    let Some(control) = b.u8(at) else { return Step::PARTIAL };
    let control = control as u32;
    if target == 0 || source == 0 || at + 3 >= end {
        return Step::REFUSE;
    }
    w.pdu_end = end;
    let extra = HDLC | control << 16;
    let information = control & 1 == 0 || control & 0xEF == 0x03;
    let body = at + 7 < end;
    let llc = match b.be32(at + 3) {
        Some(llc) => llc,
        None if information && body => return Step::PARTIAL,
        None => 0,
    };
    if information && body && (llc >> 8 == LLC_REQUEST || llc >> 8 == LLC_RESPONSE) {
        let tag = llc & 0xFF;
        let kind = TAGS[b.index::<0xFF>(tag)];
        let dir = if llc >> 8 == LLC_REQUEST { Dir::Request } else { Dir::Response };
        let unit = if matches!(dir, Dir::Request) { first } else { second } >> 25;
        apdu(b, w, at + 6, tag, kind, dir, unit, extra);
        return Step::DONE;
    }
    if information {
        // A segment of an APDU that began in an earlier frame.
        w.flags |= flags::TRANSPORT_FRAGMENT;
        let dir = w.port_dir();
        let class = if matches!(dir, Dir::Response) { Class::Response } else { Class::Unknown };
        w.push(op::<Dlms>(extra, class as u8, dir, 0));
        return Step::DONE;
    }
    let plain = control & 0xEF;
    let known = if control & 3 == 1 { Class::Session as u8 } else { CONTROLS[b.index::<0xFF>(plain)] };
    if known == Kind::UNLISTED.0 {
        return Step::REFUSE;
    }
    let dir = if known == Class::Response as u8 {
        Dir::Response
    } else if control & 3 == 3 {
        Dir::Request
    } else {
        w.port_dir()
    };
    w.push(op::<Dlms>(extra, known, dir, 0));
    Step::DONE
}

#[cfg(test)]
mod tests {
    use crate::reason::Outcome;
    use crate::testing::{cuts, hex, tcp};

    const GET: &str = "7ea0190321326fd8e6e600c001c1000f0000280000010200becf7e";
    const SET: &str = "0001 0010 0001 000d c101c1 0008 0000010000ff 02 00";

    #[test]
    fn hdlc_frames() {
        assert_eq!(tcp(55203, 4060, &hex("7ea0070321930f017e")).lines(), ["dlms:hdlc session request"]);
        let s = tcp(55203, 4060, &hex(GET));
        assert_eq!((s.lines(), s.flags), (["dlms:hdlc read request".into()].into(), 0));
        assert_eq!(s.ops[0].addr, 15 << 16 | 2);
        let s = tcp(4060, 55203, &hex("7ea011210352b1f8e6e700c401c10104ccf67e"));
        assert_eq!(s.lines(), ["dlms:hdlc response response"]);
        cuts(&hex(GET), &[], &|p| tcp(55203, 4060, p));
    }

    #[test]
    fn wrapper() {
        let s = tcp(46092, 4059, &hex(SET));
        assert_eq!((s.lines(), s.flags), (["dlms:0xc1 write! request".into()].into(), 0));
        assert_eq!((s.ops[0].addr, s.ops[0].unit), (8 << 16 | 2, 1));
        cuts(&hex(SET), &[], &|p| tcp(46092, 4059, p));
    }

    #[test]
    fn an_hdlc_frame_that_goes_on_in_the_next_segment() {
        let p = hex(GET);
        let s = tcp(55203, 4060, &p[..9]);
        assert_eq!((s.outcome, s.flags), (Outcome::Continuation, crate::flags::SPLIT));
        assert_eq!(tcp(55203, 4060, &p[..12]).lines(), ["dlms:hdlc read request"]);
    }

    #[test]
    fn refusals() {
        let mut p = hex(GET);
        *p.last_mut().expect("octets") = 0x7F;
        assert_eq!(tcp(55203, 4060, &p).outcome, Outcome::Unparsed);
        let mut p = hex(GET);
        p[2] -= 3;
        assert_eq!(tcp(55203, 4060, &p).flags, crate::flags::LENGTH_LIE);
        let mut p = hex(SET);
        p[8] = 0x99;
        assert_eq!(tcp(40000, 40001, &p).outcome, Outcome::NotOt);
    }
}
