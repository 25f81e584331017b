//! MQTT 3.1, 3.1.1 and 5 over TCP; Sparkplug B topics lead to [`super::sparkplug_b`].
//!
//! TCP 1883.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 1 | packet type in the high nibble, flags in the low one |
//! | 1 | 1..4 | remaining length, seven bits an octet, low first |
//! | | | CONNECT: 00 04 "MQTT" level, or 00 06 "MQIsdp"; PUBLISH: topic length 2, topic, ... |
//!
//! Source: OASIS MQTT 3.1.1 cl. 2 and 3, MQTT 5.0 cl. 2 and 3. Function encoding: packet type. A plain PUBLISH is a write:
//! which topics are commands only the site knows. Off its port only CONNECT is found. Not parsed: payloads, properties.

use core::fmt;

use super::{Binding, Number, Protocol, Row, Sniff, op, sparkplug_b};
use crate::bytes::Bytes;
use crate::flags;
use crate::frame::TCP;
use crate::limits::STEPS;
use crate::op::{Class, Dir, Kind};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Mqtt;

const CONNECT: u32 = 1;
/// Last return code of version 3.1.1; those of version 5 begin at 0x80.
const CONNACK_CODES: u8 = 5;
const CONNACK: u32 = 2;
const PUBLISH: u32 = 3;
/// `spBv1.0/`
const SPARKPLUG: u64 = 0x7370_4276_312E_302F;

functions! {
    PACKETS, packet_rows, base 0;
    1 "CONNECT" Session;
    2 "CONNACK" Session;
    3 "PUBLISH" Write!;
    4 "PUBACK" Response;
    5 "PUBREC" Response;
    6 "PUBREL" Response;
    7 "PUBCOMP" Response;
    8 "SUBSCRIBE" Read;
    9 "SUBACK" Response;
    10 "UNSUBSCRIBE" Session;
    11 "UNSUBACK" Response;
    12 "PINGREQ" Session;
    13 "PINGRESP" Session;
    14 "DISCONNECT" Session;
    15 "AUTH" Auth;
}

/// Flags that a packet type must have; 0xFF for any (MQTT 5.0 cl. 2.1.3).
static FLAGS: [u8; 16] = [0xFE, 0, 0, 0xFF, 0, 0, 2, 0, 2, 0, 2, 0, 0, 0, 0, 0];
/// Remaining length that a packet type has at most; 0 for any.
static LONGEST: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0];

impl Protocol for Mqtt {
    const NAME: &'static str = "mqtt";
    const TITLE: &'static str = "MQTT (OASIS)";
    const BINDING: Binding = Binding { tcp: &[1883], udp: &[], ethertypes: &[] };
    const SNIFF: &'static [Sniff] = &[
        Sniff { l4: TCP, mask: 0xFF80_FFFF, value: 0x1000_0004 },
        Sniff { l4: TCP, mask: 0xFF80_FFFF, value: 0x1000_0006 },
    ];
    const TURNS: u32 = STEPS;

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let Some(head) = b.be16(off) else {
            let waits = !w.strict() && b.u8(off).is_some_and(|x| FLAGS[b.index::<15>((x >> 4) as u32)] == x & 15);
            return if waits { Step::PARTIAL } else { Step::REFUSE };
        };
        let packet = (head >> 12) as u32;
        let low = (head >> 8) as u8 & 15;
        let wanted = FLAGS[b.index::<15>(packet)];
        let forbidden = low & 6 == 6;
        if (wanted != 0xFF && low != wanted) || (forbidden && w.strict()) {
            return Step::REFUSE;
        }
        let (mut length, mut at) = ((head & 0x7F) as u32, off + 2);
        if head & 0x80 != 0 {
            let Some(next) = b.u8(at) else { return Step::PARTIAL };
            length |= (next as u32 & 0x7F) << 7;
            at += 1;
            if next & 0x80 != 0 {
                let Some(next) = b.u8(at) else { return Step::PARTIAL };
                length |= (next as u32 & 0x7F) << 14;
                at += 1;
                if next & 0x80 != 0 {
                    let Some(next) = b.u8(at) else { return Step::PARTIAL };
                    if next & 0x80 != 0 {
                        return Step::REFUSE;
                    }
                    length |= (next as u32) << 21;
                    at += 1;
                }
            }
        }
        let longest = LONGEST[b.index::<15>(packet)] as u32;
        if longest != 0 && length >= longest {
            return Step::REFUSE;
        }
        w.pdu_end = at + length;
        if packet == CONNACK {
            // Flags with one bit, a code, properties: more is something else on a client's port.
            let Some(said) = b.be16(at) else { return if length < 2 { Step::REFUSE } else { Step::PARTIAL } };
            let code = said as u8;
            if length < 2 || said >> 8 > 1 || (code > CONNACK_CODES && code < 0x80) {
                return Step::REFUSE;
            }
        }
        if packet == CONNECT {
            let Some(name) = b.be32(at + 2) else { return Step::PARTIAL };
            let fits = b.be16(at) == Some(4) && name == 0x4D51_5454 || b.be16(at) == Some(6) && name == 0x4D51_4973;
            if !fits {
                return Step::REFUSE;
            }
        } else if w.strict() && w.pdus == 0 {
            return Step::REFUSE;
        }
        let dir = w.port_dir();
        let mut kind = PACKETS[b.index::<0xFF>(packet)];
        if packet == PUBLISH {
            let Some(topic) = b.be16(at) else { return Step::PARTIAL };
            let end = at + 2 + topic as u32;
            if end > w.pdu_end {
                return Step::REFUSE;
            }
            if forbidden {
                // A quality of service that does not exist: a receiver has to close the connection (MQTT-3.3.1-4).
                w.flags |= flags::MALFORMED;
            }
            if topic > 8 {
                let Some(prefix) = b.be64(at + 2) else { return Step::PARTIAL };
                if prefix == SPARKPLUG {
                    // What the message does says its topic.
                    kind = Kind::new(Class::Session, false).0;
                    w.push(op::<Mqtt>(packet, kind, dir, 0));
                    return w.inner(sparkplug_b::SparkplugB::NUMBER, at + 10, end);
                }
            }
        }
        let dir = if matches!(dir, Dir::Unknown) && packet == CONNECT { Dir::Request } else { dir };
        w.push(op::<Mqtt>(packet, kind, dir, 0));
        Step::DONE
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{function}")
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        packet_rows(each);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use crate::flags;
    use crate::reason::Outcome;
    use crate::testing::{hex, tcp};

    const CONNECT: &str = "101000044d5154540402003c0004746573 74";

    #[test]
    fn packets() {
        assert_eq!(tcp(40000, 1883, &hex(CONNECT)).lines(), ["mqtt:1 session request"]);
        assert_eq!(tcp(40000, 17501, &hex(CONNECT)).lines(), ["mqtt:1 session request"]);
        let publish = [hex("3007 0003 612f62 3432"), hex("c000")].concat();
        assert_eq!(tcp(40000, 1883, &publish).lines(), ["mqtt:3 write! request", "mqtt:12 session request"]);
        assert_eq!(tcp(1883, 40000, &hex("20020000")).lines(), ["mqtt:2 session response"]);
    }

    #[test]
    fn sparkplug_commands_are_control() {
        let publish = |topic: &str| {
            let mut p = Vec::from([0x30, topic.len() as u8 + 3, 0, topic.len() as u8]);
            p.extend(topic.as_bytes());
            p.push(8);
            tcp(40000, 1883, &p).lines()
        };
        assert_eq!(publish("spBv1.0/plant/DCMD/edge/pump")[1], "sparkplug-b:DCMD control! request");
        assert_eq!(publish("spBv1.0/plant/NDATA/edge")[1], "sparkplug-b:NDATA read request");
        assert_eq!(publish("spBv1.0/STATE/host")[1], "sparkplug-b:STATE session request");
        assert_eq!(publish("spBv1.0/plant/OTHER/edge")[1], "sparkplug-b:? unknown! request");
    }

    #[test]
    fn other_traffic_and_cut_short() {
        assert_eq!(tcp(40000, 1883, b"SSH-2.0-x\r\n").ops.iter().filter(|o| o.proto() == 26).count(), 0);
        let s = tcp(40000, 1883, &hex("3605000374656d"));
        assert_eq!((s.paths(), s.flags), (["mqtt:3".into()].into(), flags::MALFORMED));
        assert_eq!(tcp(40000, 1883, &hex("1010")).outcome, Outcome::Continuation);
        assert_eq!(tcp(40000, 1883, &hex("f5ff")).outcome, Outcome::Unparsed);
    }
}
