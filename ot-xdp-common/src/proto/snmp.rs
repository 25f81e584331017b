//! SNMP: versions 1, 2c and 3 over UDP.
//!
//! Source: RFC 1157 cl. 4 (version 1), RFC 3416 cl. 3 (PDUs), RFC 3412 cl. 6 (version 3). Ports 161, 162 for
//! notifications. BER.
//!
//! | element | versions 1 and 2c | version 3 |
//! |---|---|---|
//! | 30 message | up to the end of the datagram | the same |
//! | 02 version | 0, 1 | 3 |
//! | next | 04 community | 30 global data, 04 security parameters |
//! | then | A0 to A8 PDU | 30 scoped PDU (04 context engine, 04 context name, A0 to A8 PDU), or 04 encrypted |
//!
//! Function encoding: tag of the PDU, 0x04 when it is encrypted; version << 8. Direction: by the PDU. Not parsed: object
//! identifiers and values; community and user.

use core::fmt;

use super::{Binding, Protocol, Row, Sniff, op};
use crate::bytes::Bytes;
use crate::frame::UDP;
use crate::op::{Dir, Kind};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Snmp;

const PORTS: &[u16] = &[161, 162];
const SEQUENCE: u32 = 0x30;
const INTEGER_1: u32 = 0x0201;
const STRING: u32 = 0x04;
const VERSION_3: u32 = 3;
/// Version 2 (historic, RFC 1441) had a layout of its own.
const VERSIONS: u32 = 0b1011;

functions! {
    PDUS, pdu_rows, base 0;
    0x04 "encrypted PDU" Encrypted;
    0xA0 "GetRequest" Read;
    0xA1 "GetNextRequest" Read;
    0xA2 "Response" Response;
    0xA3 "SetRequest" Config!;
    0xA4 "Trap (version 1)" Alarm;
    0xA5 "GetBulkRequest" Read;
    0xA6 "InformRequest" Alarm;
    0xA7 "Trap" Alarm;
    0xA8 "Report" Response;
}

/// Direction by the low nibble of the tag: requests, a response, notifications, a report.
static DIRECTIONS: [u8; 16] = {
    let mut t = [Dir::Request as u8; 16];
    t[2] = Dir::Response as u8;
    t[4] = Dir::Publish as u8;
    t[7] = Dir::Publish as u8;
    t[8] = Dir::Response as u8;
    t
};

impl Protocol for Snmp {
    const NAME: &'static str = "snmp";
    const TITLE: &'static str = "SNMP";
    const BINDING: Binding = Binding { tcp: &[], udp: PORTS, ethertypes: &[] };
    const SNIFF: &'static [Sniff] = &[
        Sniff { l4: UDP, mask: 0xFF80_FFFF, value: 0x3000_0201 },
        Sniff { l4: UDP, mask: 0xFFFF_00FF, value: 0x3081_0002 },
        Sniff { l4: UDP, mask: 0xFFFF_0000, value: 0x3082_0000 },
    ];

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let (tag, mut at, end) = element(b, w.off);
        if tag != SEQUENCE || end != w.end {
            return Step::REFUSE;
        }
        let Some(version) = b.be32(at) else { return Step::REFUSE };
        let (integer, version) = (version >> 16, (version >> 8) & 0xFF);
        if integer != INTEGER_1 || version > VERSION_3 || VERSIONS >> version & 1 == 0 {
            return Step::REFUSE;
        }
        at += 3;
        if version == VERSION_3 {
            let (tag, _, global_end) = element(b, at);
            let (security, _, security_end) = element(b, global_end);
            if tag != SEQUENCE || security != STRING {
                return Step::REFUSE;
            }
            at = security_end;
            let (scoped, content, _) = element(b, at);
            if scoped == SEQUENCE {
                let (engine, _, engine_end) = element(b, content);
                let (name, _, name_end) = element(b, engine_end);
                if engine != STRING || name != STRING {
                    return Step::REFUSE;
                }
                at = name_end;
            }
        } else {
            let (community, _, community_end) = element(b, at);
            if community != STRING {
                return Step::REFUSE;
            }
            at = community_end;
        }
        let (tag, _, pdu_end) = element(b, at);
        let kind = PDUS[b.index::<0xFF>(tag)];
        if kind == Kind::UNLISTED.0 || pdu_end != w.end || (tag == STRING && version != VERSION_3) {
            return Step::REFUSE;
        }
        let dir = if tag == STRING { w.port_dir() } else { Dir::from_code(DIRECTIONS[b.index::<0xF>(tag)]) };
        w.push(op::<Snmp>(tag | version << 8, kind, dir, 0));
        Step::DONE
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        let version = match function >> 8 {
            0 => "1",
            1 => "2c",
            _ => "3",
        };
        write!(out, "v{version}/{:#04x}", function & 0xFF)
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        pdu_rows(&mut |r| {
            for version in (0..=VERSION_3).filter(|v| VERSIONS >> v & 1 != 0) {
                // The first version has neither GetBulk nor Inform nor the later trap and report; only the last encrypts.
                let first_has = (0xA0..=0xA4).contains(&r.function);
                let later_has = r.function != 0xA4 && (r.function != STRING || version == VERSION_3);
                if if version == 0 { first_has } else { later_has } {
                    each(Row { function: r.function | version << 8, ..r });
                }
            }
        });
    }
}

/// Tag, begin of the content, end of the content; tag 0 where there is no element of a definite length up to 64 KiB.
#[inline(always)]
fn element<B: Bytes>(b: B, off: u32) -> (u32, u32, u32) {
    let Some(head) = b.be16(off) else { return (0, off, off) };
    let (tag, length) = ((head >> 8) as u32, (head & 0xFF) as u32);
    if length < 0x80 {
        return (tag, off + 2, off + 2 + length);
    }
    let Some(long) = b.be16(off + 2) else { return (0, off, off) };
    if length == 0x81 {
        return (tag, off + 3, off + 3 + (long >> 8) as u32);
    }
    if length == 0x82 {
        return (tag, off + 4, off + 4 + long as u32);
    }
    (0, off, off)
}

#[cfg(test)]
mod tests {
    use crate::reason::Outcome;
    use crate::testing::{cuts, hex, udp};

    const GET: &str = "302602010004067075626c6963a019020101020100020100300e300c06082b060102010101000500";
    const SET: &str = "302a020101040770726976617465a31c02010102010002010030113 00f06082b060102010106000403616263";
    const V3_GET: &str = "303e020103301102044f3c1a2b020300ffe30401040201030410300e0400020100020100040004000400\
                          30140400 0400a00e02044f3c1a2b0201000201003000";
    const V3_ENCRYPTED: &str = "302d020103301102044f3c1a2b020300ffe30401070201030410300e0400020100020100040004000400\
                                0403aabbcc";

    #[test]
    fn requests_responses_and_notifications() {
        let s = udp(50000, 161, &hex(GET));
        assert_eq!(s.lines(), ["snmp:v1/0xa0 read request"]);
        let s = udp(50000, 161, &hex(SET));
        assert_eq!(s.lines(), ["snmp:v2c/0xa3 config! request"]);
        let mut other = hex(GET);
        for (tag, line) in [
            (0xA2, "snmp:v1/0xa2 response response"),
            (0xA4, "snmp:v1/0xa4 alarm publish"),
            (0xA5, "snmp:v1/0xa5 read request"),
        ] {
            other[13] = tag;
            assert_eq!(udp(161, 50000, &other).lines(), [line]);
        }
        cuts(&hex(GET), &[], &|p| udp(50000, 161, p));
    }

    #[test]
    fn version_3_in_the_clear_and_encrypted() {
        assert_eq!(udp(50000, 161, &hex(V3_GET)).lines(), ["snmp:v3/0xa0 read request"]);
        assert_eq!(udp(161, 50000, &hex(V3_ENCRYPTED)).lines(), ["snmp:v3/0x04 encrypted response"]);
        cuts(&hex(V3_GET), &[], &|p| udp(50000, 161, p));
    }

    #[test]
    fn refused_where_a_length_or_tag_does_not_fit() {
        for at in [0, 1, 2, 3, 5, 6, 13, 14] {
            let mut near = hex(GET);
            near[at] ^= 0x40;
            assert_eq!(udp(50000, 161, &near).outcome, Outcome::Unparsed, "octet {at}");
            assert_eq!(udp(50000, 50001, &near).outcome, Outcome::NotOt, "octet {at}");
        }
        assert_eq!(udp(50000, 50001, &hex(GET)).paths(), ["snmp:v1/0xa0"]);
    }
}
