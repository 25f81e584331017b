//! PTP: precision time, in the profiles of power, industry and audio; also gPTP.
//!
//! Source: IEEE 1588-2008 and 1588-2019 cl. 13 (messages), 15 (management), Annex D to F (transports); IEEE 1588-2002
//! cl. 8 (version 1); IEEE 802.1AS. EtherType 0x88F7, UDP ports 319 (events) and 320. Big endian.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 1 | profile (high nibble), message type |
//! | 1 | 1 | minor version (high nibble), version 2 |
//! | 2 | 2 | length |
//! | 4 | 1 | domain |
//! | 34 | | body; management: port 10, hops 2, action (low nibble) at 46, TLV type 2, length 2, management id at 52 |
//!
//! Version 1: 1 in two octets, network version 1 in two, 1 or 2 at 20 (event, general), control at 32: what it is.
//!
//! Function encoding: message type; management: | action << 8. Messages of version 1 take the types of version 2 | bit 16.
//! Unit: domain. Address: management id. Too weak for other ports. Not parsed: times, clocks, TLVs of signalling.

use core::fmt;

use super::{Binding, Protocol, Row, op};
use crate::bytes::Bytes;
use crate::op::{Dir, Kind};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Ptp;

const ETHERTYPE: u16 = 0x88F7;
const EVENT: u16 = 319;
const GENERAL: u16 = 320;
const MANAGEMENT: u32 = 0xD;
const VERSION_1: u32 = 1 << 16;
/// First word of version 1.
const VERSIONS: u32 = 0x0001_0001;
/// Octets of the smallest message of version 1.
const MIN_1: u32 = 60;

functions! {
    MESSAGES[16], message_rows, base 0;
    0x0 "Sync" Infrastructure;
    0x1 "Delay_Req" Infrastructure;
    0x2 "Pdelay_Req" Infrastructure;
    0x3 "Pdelay_Resp" Infrastructure;
    0x8 "Follow_Up" Infrastructure;
    0x9 "Delay_Resp" Infrastructure;
    0xA "Pdelay_Resp_Follow_Up" Infrastructure;
    0xB "Announce" Infrastructure;
    0xC "Signaling" Infrastructure;
}

functions! {
    /// Actions of a management message.
    ACTIONS[16], action_rows, base 0;
    0 "Management GET" Read;
    1 "Management SET" Config!;
    2 "Management RESPONSE" Response;
    3 "Management COMMAND" Control!;
    4 "Management ACKNOWLEDGE" Response;
}

/// Octets that a message has at least, 0 for types that do not exist.
static MIN: [u8; 16] = [44, 44, 54, 54, 0, 0, 0, 0, 44, 54, 54, 64, 44, 48, 0, 0];
/// Message types of version 2 by the control field of version 1.
static CONTROLS: [u8; 8] = [0, 1, 8, 9, 13, 0, 0, 0];
/// Direction by action.
static DIRECTIONS: [Dir; 16] = {
    let mut t = [Dir::Unknown; 16];
    t[0] = Dir::Request;
    t[1] = Dir::Request;
    t[2] = Dir::Response;
    t[3] = Dir::Request;
    t[4] = Dir::Response;
    t
};

impl Protocol for Ptp {
    const NAME: &'static str = "ptp";
    const TITLE: &'static str = "PTP (IEEE 1588), gPTP";
    const BINDING: Binding = Binding { tcp: &[], udp: &[EVENT, GENERAL], ethertypes: &[ETHERTYPE] };

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let Some(head) = b.be64(off) else { return Step::REFUSE };
        // Behind the message is padding, over IPv6 two octets of a checksum.
        w.pdu_end = w.end;
        let first = (head >> 32) as u32;
        if first == VERSIONS {
            return version_1(b, w);
        }
        let of = (first >> 24) & 0xF;
        let least = MIN[b.index::<0xF>(of)] as u32;
        let length = first & 0xFFFF;
        // Minor version 0 or 1.
        if (first >> 16) & 0xEF != 2 || least == 0 || length < least || off + length > w.end {
            return Step::REFUSE;
        }
        let unit = (head >> 24) as u32 & 0xFF;
        if of != MANAGEMENT {
            w.push(op::<Ptp>(of, MESSAGES[b.index::<0xF>(of)], Dir::Publish, unit));
            return Step::DONE;
        }
        let Some(action) = b.u8(off + 46) else { return Step::REFUSE };
        let action = (action & 0xF) as u32;
        let kind = ACTIONS[b.index::<0xF>(action)];
        let mut found = op::<Ptp>(of | action << 8, kind, DIRECTIONS[b.index::<0xF>(action)], unit);
        if length >= 54 {
            found.addr = b.be16(off + 52).unwrap_or(0) as u32;
        }
        w.push(found);
        Step::DONE
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{}", function & 0xF)
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        message_rows(each);
        action_rows(&mut |r| each(Row { function: MANAGEMENT | r.function << 8, ..r }));
    }
}

#[inline(always)]
fn version_1<B: Bytes>(b: B, w: &mut Walk) -> Step {
    let off = w.off;
    let Some(message) = b.u8(off + 20) else { return Step::REFUSE };
    let Some(control) = b.u8(off + 32) else { return Step::REFUSE };
    // Sync and Delay_Req are events.
    if control > 4 || message != 1 + (control > 1) as u8 || off + MIN_1 > w.end {
        return Step::REFUSE;
    }
    let of = CONTROLS[b.index::<7>(control as u32)] as u32;
    // What its management asks for is not looked at.
    let kind = if of == MANAGEMENT { Kind::UNLISTED.0 } else { MESSAGES[b.index::<0xF>(of)] };
    w.push(op::<Ptp>(of | VERSION_1, kind, Dir::Publish, 0));
    Step::DONE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::Outcome;
    use crate::testing::{cuts, hex, layer2, udp};

    fn message(head: &str, body: usize) -> std::vec::Vec<u8> {
        [hex(head), std::vec![0; body]].concat()
    }

    extern crate std;

    #[test]
    fn messages() {
        assert_eq!(layer2(ETHERTYPE, &message("0002002c05", 39)).lines(), ["ptp:0 infrastructure publish"]);
        assert_eq!(layer2(ETHERTYPE, &message("1b12004000", 59)).lines(), ["ptp:11 infrastructure publish"]);
        assert_eq!(layer2(ETHERTYPE, &message("0002002c05", 39)).ops[0].unit, 5);
        let sync = message("0002002c05", 39);
        assert_eq!(udp(319, 319, &sync).paths(), ["ptp:0"]);
        assert_eq!(udp(40000, 40001, &sync).outcome, Outcome::NotOt);
        cuts(&sync, &[], &|p| udp(319, 319, p));
    }

    #[test]
    fn management_by_action() {
        let manage = |action: u8| {
            let mut p = message("0d02003600", 49);
            (p[46], p[53]) = (action, 9);
            udp(40000, 320, &p)
        };
        assert_eq!(manage(0).lines(), ["ptp:13 read request"]);
        assert_eq!((manage(1).lines(), manage(1).ops[0].addr), (["ptp:13 config! request".into()].into(), 9));
        assert_eq!(manage(0xF3).lines(), ["ptp:13 control! request"]);
        assert_eq!(manage(2).lines(), ["ptp:13 response response"]);
        assert_eq!(manage(9).lines(), ["ptp:13 unknown! -"]);
    }

    #[test]
    fn version_1_by_control() {
        let mut p = message("00010001", 120);
        (p[20], p[32]) = (2, 2);
        assert_eq!(udp(320, 320, &p).lines(), ["ptp:8 infrastructure publish"]);
        p[20] = 1;
        assert_eq!(udp(320, 320, &p).outcome, Outcome::Unparsed);
    }

    #[test]
    fn other_octets_are_refused() {
        for head in ["0003002c00", "0022002c00", "0402002c00", "0002002b00", "0002002d00"] {
            assert_eq!(layer2(ETHERTYPE, &message(head, 39)).outcome, Outcome::Unparsed, "{head}");
        }
    }
}
