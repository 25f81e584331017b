//! BACnet/IP (ASHRAE 135, annex J): BVLC, network layer, application layer; and BACnet/IPv6 (annex U) by its header only.
//!
//! UDP 47808 (0xBAC0); on Ethernet the network layer behind LLC 82 82 03. Big endian.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 1 | 81 |
//! | 1 | 1 | BVLC function 00..0C |
//! | 2 | 2 | length of the datagram |
//! | 4 (10 in a Forwarded-NPDU) | 1 | network layer version 1 |
//! | +1 | 1 | control: 80 network message, 20 destination, 08 source |
//! | | | destination: network 2, length 1, address; source: the same; hop count 1 with a destination |
//! | | | network message type 1, or the application PDU: type in the high nibble |
//!
//! Sources: ANSI/ASHRAE 135 cl. 6.2 (network layer), 20.1 (application PDUs), 21 (services), J.2 (BVLC). Function
//! encoding: kind of PDU << 8, code. `unit` is the source network, `addr` the object identifier of the first context tag.
//! Not parsed: property values, further objects of a request, segments' reassembly, BACnet/SC.

use core::fmt;

use super::{Binding, Protocol, Row, Sniff, op};
use crate::bytes::Bytes;
use crate::flags;
use crate::frame::{LLC_BACNET, UDP};
use crate::limits::STEPS;
use crate::op::{Class, Dir, Kind};
use crate::walk::{Hint, Step, Walk};

/// See the module head.
pub struct Bacnet;

/// 0xBAC0 and the ports that sites use next.
const PORTS: [u16; 4] = [47808, 47809, 47810, 47811];
const FORWARDED: u8 = 4;
const FUNCTION_LAST: u8 = 0x0C;

/// What a function number stands for, in its second octet.
const BVLC: u32 = 0x000;
const NPDU: u32 = 0x100;
/// Application PDUs: 0x200 and the PDU type << 8.
const APDU: u32 = 0x200;

/// Does the BVLC function carry a network PDU?
static CARRIES: [bool; 16] =
    [false, false, false, false, true, false, false, false, false, true, true, true, false, false, false, false];

functions! {
    BVLC_FUNCTIONS, bvlc_rows, base 0;
    0x00 "BVLC-Result" Response;
    0x01 "Write-BDT" Config!;
    0x02 "Read-BDT" Discovery;
    0x03 "Read-BDT-Ack" Response;
    0x04 "Forwarded-NPDU" Session;
    0x05 "Register-Foreign-Device" Session!;
    0x06 "Read-FDT" Discovery;
    0x07 "Read-FDT-Ack" Response;
    0x08 "Delete-FDT-Entry" Config!;
    0x09 "Distribute-Broadcast-To-Network" Session;
    0x0a "Original-Unicast-NPDU" Session;
    0x0b "Original-Broadcast-NPDU" Session;
    0x0c "Secure-BVLL" Session;
}

functions! {
    MESSAGES, message_rows, base 0;
    0x00 "Who-Is-Router-To-Network" Discovery;
    0x01 "I-Am-Router-To-Network" Discovery;
    0x02 "I-Could-Be-Router" Discovery;
    0x03 "Reject-Message" Response;
    0x04 "Router-Busy" Config!;
    0x05 "Router-Available" Config;
    0x06 "Initialize-Routing-Table" Config!;
    0x07 "Initialize-Routing-Table-Ack" Response;
    0x08 "Establish-Connection" Config!;
    0x09 "Disconnect-Connection" Config!;
    0x12 "What-Is-Network-Number" Discovery;
    0x13 "Network-Number-Is" Config!;
    0x0a "Security message" Auth;
    0x0b "Security message" Auth;
    0x0c "Security message" Auth;
    0x0d "Security message" Auth;
    0x0e "Security message" Auth;
    0x0f "Security message" Auth;
    0x10 "Security message" Auth;
    0x11 "Security message" Auth;
}

functions! {
    CONFIRMED, confirmed_rows, base 0;
    0x00 "AcknowledgeAlarm" Alarm!;
    0x01 "ConfirmedCOVNotification" Alarm;
    0x02 "ConfirmedEventNotification" Alarm;
    0x03 "GetAlarmSummary" Alarm;
    0x04 "GetEnrollmentSummary" Alarm;
    0x05 "SubscribeCOV" Read;
    0x06 "AtomicReadFile" File;
    0x07 "AtomicWriteFile" File!;
    0x08 "AddListElement" Config!;
    0x09 "RemoveListElement" Config!;
    0x0a "CreateObject" Config!;
    0x0b "DeleteObject" Config!;
    0x0c "ReadProperty" Read;
    0x0d "ReadPropertyConditional" Read;
    0x0e "ReadPropertyMultiple" Read;
    0x0f "WriteProperty" Write!;
    0x10 "WritePropertyMultiple" Write!;
    0x11 "DeviceCommunicationControl" Control!;
    0x12 "ConfirmedPrivateTransfer" Unknown!;
    0x13 "ConfirmedTextMessage" Alarm!;
    0x14 "ReinitializeDevice (0 cold,1 warm,2-6 backup/restore,7 activate)" Control!;
    0x15 "VT-Open" Session!;
    0x16 "VT-Close" Session;
    0x17 "VT-Data" Session!;
    0x18 "Authenticate" Auth;
    0x19 "RequestKey" Auth;
    0x1a "ReadRange" Read;
    0x1b "LifeSafetyOperation" Control!;
    0x1c "SubscribeCOVProperty" Read;
    0x1d "GetEventInformation" Alarm;
    0x1e "SubscribeCOVPropertyMultiple" Read;
    0x1f "ConfirmedCOVNotificationMultiple" Alarm;
    0x20 "ConfirmedAuditNotification" Alarm;
    0x21 "AuditLogQuery" Read;
}

functions! {
    UNCONFIRMED, unconfirmed_rows, base 0;
    0x00 "I-Am" Discovery;
    0x01 "I-Have" Discovery;
    0x02 "UnconfirmedCOVNotification" Alarm;
    0x03 "UnconfirmedEventNotification" Alarm;
    0x04 "UnconfirmedPrivateTransfer" Unknown!;
    0x05 "UnconfirmedTextMessage" Alarm!;
    0x06 "TimeSynchronization" Config!;
    0x07 "Who-Has" Discovery;
    0x08 "Who-Is" Discovery;
    0x09 "UTCTimeSynchronization" Config!;
    0x0a "WriteGroup" Write!;
    0x0b "UnconfirmedCOVNotificationMultiple" Alarm;
    0x0d "Who-Am-I" Discovery;
    0x0e "You-Are" Config!;
    0x0c "UnconfirmedAuditNotification" Alarm;
}

/// Where the service octet is behind the PDU's first octet, by PDU type; 0 for none.
static SERVICE_AT: [u8; 16] = [3, 1, 2, 2, 0, 2, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0];
const CONFIRMED_REQUEST: u32 = 0;
const UNCONFIRMED_REQUEST: u32 = 1;
const COMPLEX_ACK: u32 = 3;
const SEGMENT_ACK: u32 = 4;
const ABORT: u32 = 7;
/// First octet of a PDU: it is one segment of several.
const SEGMENTED: u8 = 0x08;

impl Protocol for Bacnet {
    const NAME: &'static str = "bacnet";
    const TITLE: &'static str = "BACnet/IP (ASHRAE 135)";
    const BINDING: Binding = Binding { tcp: &[], udp: &PORTS, ethertypes: &[LLC_BACNET] };
    const SNIFF: &'static [Sniff] = &[
        Sniff { l4: UDP, mask: 0xFFFF_0000, value: 0x8104_0000 },
        Sniff { l4: UDP, mask: 0xFFFF_0000, value: 0x8109_0000 },
        Sniff { l4: UDP, mask: 0xFFFE_0000, value: 0x810A_0000 },
    ];
    const WEAK: bool = true;
    const TURNS: u32 = STEPS;

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        if w.mem[0] != 0 {
            return network(b, w);
        }
        let off = w.off;
        if w.hint == Hint::EtherType as u8 {
            // On Ethernet there is no BVLC (cl. 7).
            let Some(version) = b.be16(off) else { return Step::REFUSE };
            return if version & 0xFF50 == 0x0100 { network(b, w) } else { Step::REFUSE };
        }
        let Some(head) = b.be32(off) else { return Step::REFUSE };
        let function = (head >> 16) as u8;
        let length = head & 0xFFFF;
        if head >> 24 != 0x81 || function > FUNCTION_LAST || length < 4 {
            return Step::REFUSE;
        }
        // The network layer's version octet tells BACnet from other traffic where the length does not fit.
        let carries = CARRIES[b.index::<15>(function as u32)];
        let at = if function == FORWARDED { off + 10 } else { off + 4 };
        let fits = off + length == w.end;
        if !fits && (w.strict() || off + length > w.end) {
            return Step::REFUSE;
        }
        if carries {
            let Some(version) = b.u8(at) else { return Step::REFUSE };
            let Some(control) = b.u8(at + 1) else { return Step::REFUSE };
            if version != 1 || control & 0x50 != 0 {
                return Step::REFUSE;
            }
            w.mem[0] = at;
            let end = w.end;
            return w.inner(<Bacnet as super::Number>::NUMBER, at, end);
        }
        if !fits {
            return Step::REFUSE;
        }
        let kind = BVLC_FUNCTIONS[function as usize];
        let mut found = op::<Bacnet>(BVLC | function as u32, kind, Dir::Unknown, 0);
        if Kind(kind).class() == Class::Response as u8 {
            found.tag = crate::op::Tag::new(found.tag.proto(), kind, Dir::Unknown, 0);
        }
        w.push(found);
        Step::DONE
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        let code = function & 0xFF;
        match function >> 8 {
            0 => write!(out, "bvlc/{code}"),
            1 => write!(out, "npdu/{code}"),
            2 => write!(out, "creq/{code}"),
            3 => write!(out, "ureq/{code}"),
            4 => write!(out, "sack/{code}"),
            5 => write!(out, "cack/{code}"),
            6 => out.write_str("segack/-"),
            7 => write!(out, "error/{code}"),
            8 => out.write_str("reject/-"),
            _ => out.write_str("abort/-"),
        }
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        bvlc_rows(each);
        message_rows(&mut |r| each(Row { function: r.function | NPDU, ..r }));
        confirmed_rows(&mut |r| each(Row { function: r.function | APDU, ..r }));
        unconfirmed_rows(&mut |r| each(Row { function: r.function | (APDU + 0x100), ..r }));
    }
}

/// The network PDU at [`Walk::off`].
#[inline(always)]
fn network<B: Bytes>(b: B, w: &mut Walk) -> Step {
    let mut at = w.off + 2;
    let control = b.u8(w.off + 1).unwrap_or(0);
    let mut source = 0;
    if control & 0x20 != 0 {
        let Some(length) = b.u8(at + 2) else { return malformed(w) };
        at += 3 + length as u32;
    }
    if control & 0x08 != 0 {
        let Some(net) = b.be16(at) else { return malformed(w) };
        let Some(length) = b.u8(at + 2) else { return malformed(w) };
        source = net as u32;
        at += 3 + length as u32;
    }
    if control & 0x20 != 0 {
        at += 1;
    }
    let Some(first) = b.u8(at) else { return malformed(w) };
    if control & 0x80 != 0 {
        w.push(op::<Bacnet>(NPDU | first as u32, MESSAGES[first as usize], Dir::Unknown, source));
        return Step::DONE;
    }
    let pdu = (first >> 4) as u32;
    if pdu > ABORT {
        return malformed(w);
    }
    let mut skip = SERVICE_AT[b.index::<15>(pdu)] as u32;
    if first & SEGMENTED != 0 && (pdu == CONFIRMED_REQUEST || pdu == COMPLEX_ACK) {
        skip += 2;
    }
    let code = if pdu == SEGMENT_ACK {
        0
    } else {
        let Some(code) = b.u8(at + skip) else { return malformed(w) };
        code
    };
    let response = Kind::new(Class::Response, false).0;
    let (kind, dir) = if pdu == CONFIRMED_REQUEST {
        (CONFIRMED[code as usize], Dir::Request)
    } else if pdu == UNCONFIRMED_REQUEST {
        (UNCONFIRMED[code as usize], Dir::Request)
    } else if pdu == COMPLEX_ACK || pdu == 2 {
        (CONFIRMED[code as usize], Dir::Response)
    } else {
        (response, Dir::Response)
    };
    let mut found = op::<Bacnet>((APDU + (pdu << 8)) | code as u32, kind, dir, source);
    // Context tag 0, four octets: an object identifier (cl. 20.2.14).
    if pdu == CONFIRMED_REQUEST && b.u8(at + skip + 1) == Some(0x0C) {
        found.addr = b.be32(at + skip + 2).unwrap_or(0);
        found.span = 1;
    }
    w.push(found);
    Step::DONE
}

#[inline(always)]
fn malformed(w: &mut Walk) -> Step {
    w.push(op::<Bacnet>(NPDU | 0xFF, Kind::new(Class::Unknown, false).0, Dir::Unknown, 0));
    w.flags |= flags::MALFORMED;
    Step::MALFORMED
}

#[cfg(test)]
mod tests {
    use crate::reason::Outcome;
    use crate::testing::{classify_frame, hex, udp};

    #[test]
    fn reads_and_writes() {
        let read = udp(47808, 47808, &hex("810a001101040005010c0c008000011955"));
        assert_eq!(read.lines(), ["bacnet:creq/12 read request"]);
        assert_eq!(read.ops[0].addr, 0x0080_0001);
        let write =
            udp(50000, 47808, &hex("810a001801040005020f0c00800001195 53e44425c00003f4908".replace(' ', "").as_str()));
        assert_eq!(write.lines(), ["bacnet:creq/15 write! request"]);
        let answer = udp(47808, 47808, &hex("810a000901002002 0f"));
        assert_eq!(answer.lines(), ["bacnet:sack/15 write response"]);
    }

    #[test]
    fn behind_a_router_and_broadcast() {
        let who = udp(47808, 47808, &hex("810b000c0120ffff00ff1008"));
        assert_eq!(who.lines(), ["bacnet:ureq/8 discovery request"]);
        let register = udp(47808, 47808, &hex("8105000600 3c"));
        assert_eq!(register.lines(), ["bacnet:bvlc/5 session! -"]);
    }

    #[test]
    fn on_ethernet() {
        let mut frame = hex("ffffffffffff000c6eb03c150017");
        frame.extend(hex("8282030120ffff00ff1000c40200007b2201e091032100"));
        assert_eq!(classify_frame(&frame).lines(), ["bacnet:ureq/0 discovery request"]);
    }

    #[test]
    fn other_traffic_and_cut_short() {
        assert_eq!(udp(40000, 47808, &hex("474e440a")).outcome, Outcome::Unparsed);
        assert_eq!(udp(40000, 47808, &hex("810a0011020400")).outcome, Outcome::Unparsed);
        assert_eq!(udp(40000, 47808, &hex("810a00060120")).outcome, Outcome::Malformed);
    }
}
