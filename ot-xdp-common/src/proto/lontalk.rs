//! LonTalk over IP (EIA-852) over UDP.
//!
//! Source: ANSI/CEA-852, packet header and types; ISO/IEC 14908-1, cl. 6 to 10 (PDU formats). UDP 1628, 1629. Big endian.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 2 | length of the datagram |
//! | 2 | 1 | version, 1 |
//! | 3 | 1 | type |
//! | 4 | 1 | words of extended header |
//! | 5 | 15 | protocol flags, vendor, session, sequence, time stamp |
//!
//! Type 01 carries a LonTalk PDU: backlog 1, format 1 (version, PDU 2 bits: transport, session, authentication, application;
//! address 2 bits; domain 2 bits), address of 3, 3, 4 or 6, or 9 octets, domain of 0, 1, 3 or 6, then one header octet
//! (not in an application PDU) and the application PDU. Its first octet: from 80 network variable, 60 network management, 50
//! diagnostics, 40 foreign frame, below application.
//!
//! Function encoding: type; with a LonTalk PDU the first octet of the application PDU << 8, bit 16 for a session request,
//! bit 31. Address: selector of a network variable. Not parsed: authentication, data.

use core::fmt;

use super::{Binding, Protocol, Row, op};
use crate::bytes::Bytes;
use crate::op::{Class, Dir, Kind};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Lontalk;

const HEAD: u32 = 20;
const DATA: u8 = 0x01;
const PDU: u32 = 1 << 31;
const SESSION: u32 = 1 << 16;
const TRANSPORT_PDU: u32 = 0;
const SESSION_PDU: u32 = 1;
const APPLICATION_PDU: u32 = 3;

functions! {
    TYPES, type_rows, base 0;
    0x03 "device registration" Config!;
    0x04 "channel membership" Discovery;
    0x06 "send list" Discovery;
    0x07 "acknowledge" Response;
    0x08 "channel routing" Config!;
    0x60 "status, health, statistics request" Diagnostic;
    0x63 "device configuration request" Config;
    0x64 "channel membership request" Discovery;
    0x66 "send list request" Discovery;
    0x68 "channel routing request" Discovery;
    0x70 "status, health, statistics response" Response;
    0x71 "device configuration" Config!;
    0x7F "segment" Unknown!;
}

/// Which types there are, and which way they go: 1 both, 2 request, 3 response.
static TYPE: [u8; 128] = {
    let mut t = [0; 128];
    t[0x01] = 1;
    t[0x03] = 1;
    t[0x04] = 3;
    t[0x06] = 3;
    t[0x07] = 3;
    t[0x08] = 3;
    t[0x60] = 2;
    t[0x63] = 2;
    t[0x64] = 2;
    t[0x66] = 2;
    t[0x68] = 2;
    t[0x70] = 3;
    // Pushed by the configuration server: it changes the device that gets it.
    t[0x71] = 1;
    t[0x7F] = 1;
    t
};

functions! {
    /// Application PDUs below 80 by their first octet.
    CODES[128], code_rows, base 0;
    0x51 "query status" Diagnostic;
    0x52 "proxy command" Unknown!;
    0x53 "clear status" Diagnostic!;
    0x54 "query transceiver" Diagnostic;
    0x61 "query id" Discovery;
    0x63 "update domain" Config!;
    0x64 "leave domain" Config!;
    0x65 "update key" Auth!;
    0x66 "update address" Config!;
    0x67 "query address" Read;
    0x68 "query network variable configuration" Read;
    0x69 "update group address" Config!;
    0x6A "query domain" Read;
    0x6B "update network variable configuration" Config!;
    0x6C "set node mode" Control!;
    0x6D "read memory" ProgramUpload;
    0x6E "write memory" ProgramDownload!;
    0x6F "checksum recalculation" Config!;
    0x70 "wink" Diagnostic;
    0x71 "memory refresh" Config!;
    0x72 "query SNVT" Discovery;
    0x73 "network variable fetch" Read;
    0x7F "manual service request" Discovery;
}

/// Octets of the address by format.
static ADDRESS: [u8; 4] = [3, 3, 6, 9];
/// Octets of the domain.
static DOMAIN: [u8; 4] = [0, 1, 3, 6];

/// The LonTalk PDU at `at`.
#[inline(always)]
fn pdu<B: Bytes>(b: B, w: &mut Walk, at: u32) {
    let carrier = op::<Lontalk>(DATA as u32, Kind::UNLISTED.0, Dir::Unknown, 0);
    let Some(format) = b.u8(at + 1) else { return w.push(carrier) };
    let Some(node) = b.u8(at + 3) else { return w.push(carrier) };
    let format = format as u32;
    let mut size = ADDRESS[(format >> 2 & 3) as usize] as u32;
    // Format 2: without the group's octets when the source node has its upper bit.
    if format >> 2 & 3 == 2 && node & 0x80 != 0 {
        size = 4;
    }
    let at = at + 2 + size + DOMAIN[(format & 3) as usize] as u32;
    let kind = format >> 4 & 3;
    let Some(head) = b.u8(at) else { return w.push(carrier) };
    let code = if kind == APPLICATION_PDU { Some(head) } else { b.u8(at + 1) };
    let step = head >> 4 & 7;
    // Acknowledgements and reminders carry no application PDU; authentication is not followed.
    if step == 2 && (kind == TRANSPORT_PDU || kind == SESSION_PDU) {
        let function = PDU | DATA as u32 | (code.unwrap_or(0) as u32) << 8;
        return w.push(op::<Lontalk>(function, Kind::new(Class::Response, false).0, Dir::Response, 0));
    }
    let Some(code) = code else { return w.push(carrier) };
    if kind == 2 || (kind != APPLICATION_PDU && step > 1) {
        return w.push(carrier);
    }
    let session = kind == SESSION_PDU;
    let mut found = op::<Lontalk>(PDU | DATA as u32 | (code as u32) << 8, 0, Dir::Request, 0);
    let mut known = CODES[b.index::<0x7F>(code as u32)];
    if code >= 0x80 {
        known = Kind::new(if session { Class::Read } else { Class::Write }, !session).0;
        let low = if kind == APPLICATION_PDU { b.u8(at + 1) } else { b.u8(at + 2) };
        found.addr = (code as u32 & 0x3F) << 8 | low.unwrap_or(0) as u32;
        found.function = PDU | DATA as u32 | 0x8000 | if session { SESSION } else { 0 };
    }
    found.tag = op::<Lontalk>(0, known, Dir::Request, 0).tag;
    w.push(found);
}

impl Protocol for Lontalk {
    const NAME: &'static str = "lontalk";
    const TITLE: &'static str = "LonTalk over IP (EIA-852)";
    const BINDING: Binding = Binding { tcp: &[], udp: &[1628, 1629], ethertypes: &[] };
    const WEAK: bool = true;

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let Some(head) = b.be32(off) else { return Step::REFUSE };
        let Some(more) = b.u8(off + 4) else { return Step::REFUSE };
        let code = head as u8;
        let start = HEAD + more as u32 * 4;
        let size = w.end - off;
        if head >> 16 != size || (head >> 8) as u8 != 1 || code > 0x7F || start > size || w.strict() {
            return Step::REFUSE;
        }
        let way = TYPE[b.index::<0x7F>(code as u32)];
        if way == 0 {
            return Step::REFUSE;
        }
        if code == DATA {
            pdu(b, w, off + start);
            return Step::DONE;
        }
        let dir = if way == 2 {
            Dir::Request
        } else if way == 3 {
            Dir::Response
        } else {
            Dir::Unknown
        };
        w.push(op::<Lontalk>(code as u32, TYPES[code as usize], dir, 0));
        Step::DONE
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        let code = function >> 8 & 0xFF;
        if function & PDU == 0 {
            return write!(out, "{function:#04x}");
        }
        match code >> 4 {
            0..=3 => write!(out, "app/{code:#04x}"),
            4 => write!(out, "ff/{code:#04x}"),
            5 => write!(out, "nd/{code:#04x}"),
            6 | 7 => write!(out, "nm/{code:#04x}"),
            _ => write!(out, "nv"),
        }
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        type_rows(each);
        let data = PDU | DATA as u32;
        code_rows(&mut |r| each(Row { function: r.function << 8 | data, ..r }));
        let mut row = |function, name, class, state_changing| each(Row { function, name, class, state_changing });
        row(data | 0x8000, "network variable update", Class::Write, true);
        row(data | 0x8000 | SESSION, "network variable poll", Class::Read, false);
    }
}

#[cfg(test)]
mod tests {
    use crate::reason::Outcome;
    use crate::testing::{hex, udp};

    #[test]
    fn a_configuration_request() {
        let ask = hex("0014016300000000000000000000000000000000");
        assert_eq!(udp(1628, 1629, &ask).lines(), ["lontalk:0x63 config request"]);
        assert_eq!(udp(1628, 1629, &ask[..19]).outcome, Outcome::Unparsed);
        let other = hex("0014026300000000000000000000000000000000");
        assert_eq!(udp(1628, 1629, &other).outcome, Outcome::Unparsed);
    }

    #[test]
    fn network_management_and_variables() {
        let memory = hex("002001010000000000000000000000000000000000090181018201016e0000ff");
        let memory = &memory[..];
        let s = udp(1628, 1629, memory);
        assert_eq!(s.lines(), ["lontalk:nm/0x6e program-download! request"]);
        let variable = hex("001c0101000000000000000000000000000000000009018101820101");
        assert_eq!(udp(1628, 1629, &variable).lines(), ["lontalk:0x01 unknown! -"]);
    }
}
