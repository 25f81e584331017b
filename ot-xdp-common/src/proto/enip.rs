//! EtherNet/IP encapsulation over TCP and UDP, which carries CIP.
//!
//! Source: The CIP Networks Library, volume 2 (EtherNet/IP adaptation of CIP), cl. 2-3 (encapsulation packet), 2-4
//! (commands), 2-6 (common packet format). Default port 44818. Little endian.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 2 | command |
//! | 2 | 2 | length of the data behind this header |
//! | 4 | 4 | session handle, 0 in RegisterSession requests |
//! | 8 | 4 | status, 0 in requests |
//! | 12 | 8 | sender context |
//! | 20 | 4 | options, 0 |
//! | 24 | 4 | SendRRData and SendUnitData: interface handle, 0 for CIP |
//! | 28 | 2 | the same: timeout |
//! | 30 | 2 | the same: number of items |
//! | 32 | | the same: items of type 2, length 2, data; B2 is unconnected CIP, B1 a sequence number 2 and connected CIP |
//!
//! Function encoding: the command. Not parsed: the data of the List commands, socket address items.

use core::fmt;

use super::{Binding, Number, Protocol, Row, Sniff, cip, op};
use crate::bytes::Bytes;
use crate::flags;
use crate::frame::TCP;
use crate::limits::STEPS;
use crate::op::{Dir, Kind};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Enip;

const PORT: u16 = 44818;
/// Octets of the encapsulation header.
const HEAD: u32 = 24;
/// Octets from the PDU's start to its first item.
const ITEMS_AT: u32 = 32;
/// Items of one PDU that are looked at; the specification has no PDU with more.
const ITEMS: u32 = 4;
/// Command that may carry anything; so that data are not taken for it, its options have to be 0.
const NOP: u32 = 0;
const REGISTER_SESSION: u32 = 0x65;
const SEND_RR_DATA: u32 = 0x6F;
const SEND_UNIT_DATA: u32 = 0x70;
/// Length of the data of RegisterSession.
const REGISTER_LENGTH: u32 = 4;
/// Protocol version 1, options 0, as one big-endian word.
const REGISTER_DATA: u32 = 0x0100_0000;
/// Shortest data of SendRRData and SendUnitData with two items.
const SEND_MIN: u32 = 16;
/// Item types, as they lie in the frame.
const UNCONNECTED: u32 = 0xB200;
const CONNECTED: u32 = 0xB100;
/// First item, type and length: null address, connected address.
const NULL_ADDRESS: u32 = 0;
const CONNECTED_ADDRESS: u32 = 0xA100_0400;
/// Bit of a CIP service that marks a reply.
const REPLY: u8 = 0x80;
/// Last status that the specification defines.
const STATUS_LAST: u32 = 0x6A;

functions! {
    COMMANDS, command_rows, base 0;
    0x00 "NOP" Session;
    0x01 "ListTargets" Discovery;
    0x04 "ListServices" Discovery;
    0x63 "ListIdentity" Discovery;
    0x64 "ListInterfaces" Discovery;
    0x65 "RegisterSession" Session;
    0x66 "UnregisterSession" Session;
    0x6F "SendRRData" Session;
    0x70 "SendUnitData" Session;
    0x72 "IndicateStatus" Session;
    0x73 "Cancel" Session;
    0xC8 "StartDTLS" Session;
}

/// Commands whose requests have no data and whose replies have some.
static LISTS: [bool; 256] = {
    let mut t = [false; 256];
    t[0x01] = true;
    t[0x04] = true;
    t[0x63] = true;
    t[0x64] = true;
    t
};

impl Protocol for Enip {
    const NAME: &'static str = "enip";
    const TITLE: &'static str = "EtherNet/IP encapsulation";
    const BINDING: Binding = Binding { tcp: &[PORT], udp: &[PORT], ethertypes: &[] };
    const SNIFF: &'static [Sniff] = &[
        Sniff { l4: TCP, mask: 0xFFFF_0000, value: 0x6F00_0000 },
        Sniff { l4: TCP, mask: 0xFFFF_0000, value: 0x7000_0000 },
        Sniff { l4: TCP, mask: 0xFFFF_FFFF, value: 0x6500_0400 },
    ];
    const TURNS: u32 = STEPS;

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let Some(head) = b.be32(off) else { return few(b, w) };
        let command = head >> 24;
        let length = swap(head);
        let kind = COMMANDS[b.index::<0xFF>(command)];
        if head & 0x00FF_0000 != 0 || kind == Kind::UNLISTED.0 {
            return Step::REFUSE;
        }
        // One by one: of a tuple of reads that fail, the verifier sees registers that were never written.
        let Some(session) = b.le32(off + 4) else { return unread(w) };
        let Some(status) = b.le32(off + 8) else { return unread(w) };
        let Some(options) = b.le32(off + 20) else { return unread(w) };
        // Vendors' status codes go up to FFFF; other options than 0 are discarded by a receiver, but still the port's.
        if status > 0xFFFF || (command == NOP && options != 0) {
            return Step::REFUSE;
        }
        // Behind a gap a header of zeros may be data; in the middle of a connection it has a session handle.
        if w.in_gap() && session == 0 {
            return Step::REFUSE;
        }
        if w.strict() && w.pdus == 0 && (options != 0 || status > STATUS_LAST || !strong(b, off, command, length)) {
            return Step::REFUSE;
        }
        w.pdu_end = off + HEAD + length;
        let mut dir = w.port_dir();
        if status != 0 {
            dir = Dir::Response;
        } else if LISTS[b.index::<0xFF>(command)] {
            dir = if length == 0 { Dir::Request } else { Dir::Response };
        } else if command == REGISTER_SESSION && matches!(dir, Dir::Unknown) {
            dir = if session == 0 { Dir::Request } else { Dir::Response };
        }
        if command != SEND_RR_DATA && command != SEND_UNIT_DATA {
            w.push(op::<Enip>(command, kind, dir, 0));
            return Step::DONE;
        }
        find_cip(b, w);
        let (at, end) = (w.mem[0], w.mem[1]);
        w.mem = [0; 6];
        if at != 0 && end != w.pdu_end {
            odd(b, w, end);
        }
        // The service says it, whatever the ports are.
        if at != 0
            && let Some(service) = b.u8(at)
        {
            dir = if service & REPLY != 0 { Dir::Response } else { Dir::Request };
        }
        w.push(op::<Enip>(command, kind, dir, 0));
        if at == 0 {
            // The items may lie in the next segment.
            return if w.pdu_end > w.end { Step::PARTIAL } else { Step::DONE };
        }
        // What lies behind both the encapsulation and the segment is not waited for.
        let most = if w.pdu_end > w.end { w.pdu_end } else { w.end };
        w.inner(cip::Cip::NUMBER, at, if end > most { most } else { end })
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{function:#06x}")
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        command_rows(each);
    }
}

/// The low 16 bits of a big-endian word, read as little-endian.
#[inline(always)]
fn swap(word: u32) -> u32 {
    (word as u16).swap_bytes() as u32
}

/// Everything that the specification fixes in the PDUs that begin a connection or make up nearly all of one.
#[inline(always)]
fn strong<B: Bytes>(b: B, off: u32, command: u32, length: u32) -> bool {
    let Some(first) = b.be32(off + HEAD) else { return false };
    if command == REGISTER_SESSION {
        return length == REGISTER_LENGTH && first == REGISTER_DATA;
    }
    let Some(count) = b.le16(off + ITEMS_AT - 2) else { return false };
    let Some(item) = b.be32(off + ITEMS_AT) else { return false };
    let count = count as u32;
    (command == SEND_RR_DATA || command == SEND_UNIT_DATA)
        && length >= SEND_MIN
        && first == 0
        && count.wrapping_sub(1) < ITEMS
        && (item == NULL_ADDRESS || item == CONNECTED_ADDRESS)
}

/// Start and end of the CIP message in the walk's memory, 0 when there is none. Through memory, so that the verifier
/// need not follow each way out of the loop to the end.
#[inline(always)]
fn find_cip<B: Bytes>(b: B, w: &mut Walk) {
    let count = b.le16(w.off + ITEMS_AT - 2).unwrap_or(0) as u32;
    let mut at = w.off + ITEMS_AT;
    for n in 0..ITEMS {
        if n >= count || at + 4 > w.pdu_end {
            break;
        }
        let Some(item) = b.be32(at) else { break };
        let length = swap(item);
        at += 4;
        if item >> 16 == UNCONNECTED || item >> 16 == CONNECTED {
            w.mem[0] = if item >> 16 == CONNECTED { at + 2 } else { at };
            w.mem[1] = at + length;
            break;
        }
        at += length;
    }
}

/// The item with the CIP message ends at `end` and not where the encapsulation does.
#[inline(always)]
fn odd<B: Bytes>(b: B, w: &mut Walk, end: u32) {
    if end > w.pdu_end {
        // A receiver goes on behind the encapsulation, where the item is still read by us.
        w.flags |= flags::LENGTH_LIE;
    } else if let Some(head) = b.be32(end) {
        let command = head >> 24;
        let covered = head & 0x00FF_0000 == 0 && (command == SEND_RR_DATA || command == SEND_UNIT_DATA);
        // Socket addresses may follow the item; another encapsulation may not.
        if covered && strong(b, end, command, swap(head)) {
            w.flags |= flags::LENGTH_LIE;
            w.pdu_end = end;
        }
    }
}

/// The segment ends inside the header: the beginning of a PDU where the port or a PDU before it says so.
#[inline(always)]
fn unread(w: &Walk) -> Step {
    if w.strict() && w.pdus == 0 { Step::REFUSE } else { Step::PARTIAL }
}

/// Fewer than four octets: the beginning of a header, or a keep-alive octet.
#[inline(always)]
fn few<B: Bytes>(b: B, w: &Walk) -> Step {
    let Some(command) = b.le16(w.off) else { return unread(w) };
    if command > 0xFF || COMMANDS[b.index::<0xFF>(command as u32)] == Kind::UNLISTED.0 {
        Step::REFUSE
    } else {
        unread(w)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::Outcome;
    use crate::testing::{cuts, hex, tcp, udp};

    const REGISTER: &str = "65000400000000000000000000000000000000000000000001000000";
    const REGISTERED: &str = "65000400c551c6180000000000000000000000000000000001000000";
    const LIST: &str = "630000000000000000000000000000000000000000000000";
    const LISTED: &str = "63003c00000000000000000000000000000000000000000001000c00360001000002af1200000000000000000000000001000e003600140b60311a066c0014313735362d4c36312f42204c4f47495835353631ff";
    const STOP: &str = "6f001600dfccc6ed00000000000000000000000000000000000000000000020000000000b20006000702208e2401";

    #[test]
    fn sessions_and_lists() {
        assert_eq!(tcp(40000, 44818, &hex(REGISTER)).lines(), ["enip:0x0065 session request"]);
        assert_eq!(tcp(44818, 40000, &hex(REGISTERED)).lines(), ["enip:0x0065 session response"]);
        assert_eq!(udp(40000, 44818, &hex(LIST)).lines(), ["enip:0x0063 discovery request"]);
        // Between equal ports the data decide.
        assert_eq!(udp(44818, 44818, &hex(LIST)).lines(), ["enip:0x0063 discovery request"]);
        assert_eq!(udp(44818, 44818, &hex(LISTED)).lines(), ["enip:0x0063 discovery response"]);
        for p in [REGISTER, LIST, LISTED, STOP] {
            cuts(&hex(p), &[], &|p| tcp(40000, 44818, p));
        }
    }

    #[test]
    fn errors_are_responses() {
        let failed = "6f000000c551c61801000000000000000000000000000000";
        assert_eq!(tcp(44818, 44818, &hex(failed)).lines(), ["enip:0x006f session response"]);
    }

    #[test]
    fn pipelined_and_split_pdus() {
        let s = tcp(40000, 44818, &hex(&[REGISTER, STOP].concat()));
        assert_eq!(s.paths(), ["enip:0x0065", "enip:0x006f", "cip:0x07"]);
        assert_eq!(s.flags, flags::PIPELINED);
        let s = tcp(40000, 44818, &hex(&LISTED[..100]));
        assert_eq!((s.paths(), s.flags), (["enip:0x0063".into()].into(), flags::SPLIT));
    }

    #[test]
    fn an_item_longer_than_its_pdu_is_a_lie_and_still_named() {
        let mut near = hex(STOP);
        near[38] = 0x60;
        let s = tcp(40000, 44818, &near);
        assert_eq!((s.paths(), s.flags), (["enip:0x006f".into(), "cip:0x07".into()].into(), flags::LENGTH_LIE));
    }

    #[test]
    fn both_pdus_are_named_whichever_length_lies() {
        let all = ["enip:0x006f", "cip:0x0e", "enip:0x006f", "cip:0x07"];
        let mut read = hex(&STOP.replace("0702208e2401", "0e02208e2401"));
        let stop = hex(STOP);
        // The encapsulation covers the second PDU.
        read[2] += stop.len() as u8;
        let s = tcp(40000, 44818, &[&read[..], &stop].concat());
        assert_eq!((s.paths(), s.flags & flags::LENGTH_LIE), (all.map(Into::into).into(), flags::LENGTH_LIE));
        // The item does.
        read[2] -= stop.len() as u8;
        read[38] += stop.len() as u8;
        let s = tcp(40000, 44818, &[&read[..], &stop].concat());
        assert_eq!((s.paths(), s.flags & flags::LENGTH_LIE), (all.map(Into::into).into(), flags::LENGTH_LIE));
    }

    #[test]
    fn found_off_its_port_by_the_whole_signature() {
        let s = tcp(40000, 4102, &hex(STOP));
        assert_eq!(s.lines(), ["enip:0x006f session request", "cip:0x07 control! request"]);
        assert_eq!(s.flags, flags::PORT_MISMATCH);
        assert_eq!(tcp(4102, 40000, &hex(REGISTERED)).lines(), ["enip:0x0065 session response"]);
        // Command, length, status, options, interface, count, first item.
        for (at, value) in [(1, 1), (2, 15), (8, 0x6B), (20, 1), (24, 1), (30, 0), (30, 5), (32, 1)] {
            let mut near = hex(STOP);
            near[at] = value;
            assert_eq!(tcp(40000, 4102, &near).outcome, Outcome::NotOt, "octet {at}");
        }
        assert_eq!(tcp(40000, 4102, &hex(LIST)).outcome, Outcome::NotOt);
        assert_eq!(tcp(40000, 4102, &hex(&STOP[..60])).outcome, Outcome::NotOt);
    }

    #[test]
    fn what_is_not_a_pdu_stays_unparsed() {
        assert_eq!(tcp(40000, 44818, &[0]).outcome, Outcome::Continuation);
        assert_eq!(tcp(40000, 44818, &hex(&LIST.replacen("63", "62", 1))).outcome, Outcome::Unparsed);
        let s = tcp(40000, 44818, &hex(&STOP[..32]));
        assert_eq!((s.outcome, s.flags), (Outcome::Continuation, flags::SPLIT));
    }
}
