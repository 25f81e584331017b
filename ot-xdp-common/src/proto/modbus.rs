//! Modbus application protocol over TCP and UDP (MBAP framing).
//!
//! Source: Modbus Messaging on TCP/IP Implementation Guide V1.0b, cl. 3.1.3 (MBAP); Modbus Application Protocol V1.1b3,
//! cl. 6 (functions) and 7 (exceptions). Default port 502. Big endian.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 2 | transaction id |
//! | 2 | 2 | protocol id, 0 |
//! | 4 | 2 | length of what follows: unit, function, data |
//! | 6 | 1 | unit id |
//! | 7 | 1 | function code; bit 7 marks an exception response |
//! | 8 | | data; requests of the read and write functions: start address 2, quantity 2 |
//!
//! Function encoding: code, sub-function (Diagnostics) or MEI type << 8, exception code << 24 with bit 31 for an
//! exception. What has no MBAP header is tried as RTU framing, see [`super::modbus_rtu`]. Not parsed: register values.
//!
//! Off its port the length has to be what the function needs, the PDUs have to fill the segment, and values with limits
//! have to keep them; that is less than 40 bits, so both directions have to match. On the port a request whose length
//! is not what its function needs is marked; when the octets behind the function's end are another request, that one is
//! walked too.

use core::fmt;

use super::{Binding, Number, Protocol, Row, Sniff, modbus_rtu, op, umas};
use crate::bytes::Bytes;
use crate::flags;
use crate::frame::TCP;
use crate::limits::STEPS;
use crate::op::{Dir, Kind, Op};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Modbus;

const PORT: u16 = 502;
/// Octets of the MBAP header in front of the unit id.
const MBAP: u32 = 6;
/// Longest length field outside UMAS: 253 octets of PDU and the unit id.
const LENGTH_MAX: u32 = 254;
/// UMAS blocks go beyond the limit of the specification (seen: 255; documented: about 1,022).
const UMAS_LENGTH_MAX: u32 = 2048;
const UMAS: u8 = 90;
const DIAGNOSTICS: u8 = 8;
const MEI: u8 = 43;
const EXCEPTION: u32 = 1 << 31;

functions! {
    FUNCTIONS, functions_rows, base 0;
    1 "Read Coils" Read;
    2 "Read Discrete Inputs" Read;
    3 "Read Holding Registers" Read;
    4 "Read Input Registers" Read;
    5 "Write Single Coil" Write!;
    6 "Write Single Register" Write!;
    7 "Read Exception Status" Diagnostic;
    8 "Diagnostics" Diagnostic!;
    9 "Program 484" ProgramDownload!;
    10 "Poll 484" Diagnostic;
    11 "Get Comm Event Counter" Diagnostic;
    12 "Get Comm Event Log" Diagnostic;
    13 "Program 584/984" ProgramDownload!;
    14 "Poll 584/984" Diagnostic;
    15 "Write Multiple Coils" Write!;
    16 "Write Multiple Registers" Write!;
    17 "Report Server ID" Discovery;
    18 "Program 884/U84" ProgramDownload!;
    19 "Reset Comm Link 884/U84" Control!;
    20 "Read File Record" File;
    21 "Write File Record" File!;
    22 "Mask Write Register" Write!;
    23 "Read/Write Multiple Registers" Write!;
    24 "Read FIFO Queue" Read;
    40 "Program ConCept" ProgramDownload!;
    41 "Multiple Function Codes" Unknown!;
    43 "Encapsulated Interface Transport" Unknown!;
    90 "Schneider UMAS (carrier)" Session;
    91 "Object Messaging" Unknown!;
    125 "Firmware Replacement" ProgramDownload!;
    126 "Program 584/984 (2)" ProgramDownload!;
    127 "Report Local Address" Discovery;
}

functions! {
    /// Sub-functions of code 8 (Modbus Application Protocol V1.1b3, cl. 6.8.1).
    DIAGNOSTIC, diagnostic_rows, base 0;
    0x00 "Return Query Data" Diagnostic;
    0x01 "Restart Communications Option" Control!;
    0x02 "Return Diagnostic Register" Diagnostic;
    0x03 "Change ASCII Input Delimiter" Config!;
    0x04 "Force Listen Only Mode" Control!;
    0x0A "Clear Counters and Diagnostic Register" Diagnostic!;
    0x0B "Return Bus Message Count" Diagnostic;
    0x0C "Return Bus Communication Error Count" Diagnostic;
    0x0D "Return Bus Exception Error Count" Diagnostic;
    0x0E "Return Server Message Count" Diagnostic;
    0x0F "Return Server No Response Count" Diagnostic;
    0x10 "Return Server NAK Count" Diagnostic;
    0x11 "Return Server Busy Count" Diagnostic;
    0x12 "Return Bus Character Overrun Count" Diagnostic;
    0x14 "Clear Overrun Counter and Flag" Diagnostic!;
}

functions! {
    /// MEI types of code 43 (Modbus Application Protocol V1.1b3, cl. 6.19 to 6.21).
    MEI_TYPE, mei_rows, base 0;
    0x0D "CANopen General Reference" Unknown!;
    0x0E "Read Device Identification" Discovery;
}

/// Where a request names the addresses it touches.
const ADDR_NONE: u8 = 0;
/// Start address 2, quantity 2.
const ADDR_RANGE: u8 = 1;
/// One address.
const ADDR_ONE: u8 = 2;
/// Read range 4, then write range 4: the write counts.
const ADDR_READ_WRITE: u8 = 3;

static ADDRESS: [u8; 256] = {
    let mut t = [ADDR_NONE; 256];
    t[1] = ADDR_RANGE;
    t[2] = ADDR_RANGE;
    t[3] = ADDR_RANGE;
    t[4] = ADDR_RANGE;
    t[5] = ADDR_ONE;
    t[6] = ADDR_ONE;
    t[15] = ADDR_RANGE;
    t[16] = ADDR_RANGE;
    t[22] = ADDR_ONE;
    t[23] = ADDR_READ_WRITE;
    t
};

/// How long a message is, unit id included: base in the low octet (0: not known); in the high octet where the count of
/// the octets behind it lies, from the MBAP header's start, 0 for none, [`AT_LEAST`] when the base is the least.
pub(super) type Rule = u16;
/// See [`Rule`].
pub(super) const AT_LEAST: u16 = 0xFF;

const fn counted(base: u16, at: u16) -> Rule {
    base | at << 8
}

/// Lengths of requests (cl. 6).
pub(super) static REQUEST: [Rule; 256] = {
    let mut t = [0; 256];
    let mut i = 1;
    while i < 7 {
        t[i] = 6;
        i += 1;
    }
    t[7] = 2;
    t[8] = counted(6, AT_LEAST);
    t[11] = 2;
    t[12] = 2;
    t[15] = counted(7, 12);
    t[16] = counted(7, 12);
    t[17] = 2;
    t[20] = counted(3, 8);
    t[21] = counted(3, 8);
    t[22] = 8;
    t[23] = counted(11, 16);
    t[24] = 4;
    t[43] = counted(5, AT_LEAST);
    t
};

/// Lengths of responses (cl. 6 and 7).
pub(super) static RESPONSE: [Rule; 256] = {
    let mut t = [0; 256];
    let mut i = 1;
    while i < 5 {
        t[i] = counted(3, 8);
        i += 1;
    }
    t[5] = 6;
    t[6] = 6;
    t[7] = 3;
    t[8] = counted(6, AT_LEAST);
    t[11] = 6;
    t[12] = counted(3, 8);
    t[15] = 6;
    t[16] = 6;
    t[17] = counted(3, 8);
    t[20] = counted(3, 8);
    t[21] = counted(3, 8);
    t[22] = 8;
    t[23] = counted(3, 8);
    // The count has two octets and is 64 at most.
    t[24] = counted(4, 9);
    t[43] = counted(8, AT_LEAST);
    let mut i = 1;
    while i < 44 {
        if t[i] != 0 {
            t[i | 0x80] = 3;
        }
        i += 1;
    }
    t
};

/// Largest quantity that a request may ask for; its function's address and quantity come first.
pub(super) static QUANTITY: [u16; 256] = {
    let mut t = [0; 256];
    t[1] = 2000;
    t[2] = 2000;
    t[3] = 125;
    t[4] = 125;
    t[15] = 1968;
    t[16] = 123;
    t[23] = 125;
    t
};

/// The length that a message of this rule has, or [`LATER`] when the count lies behind the octets' end. `shift` is what
/// the framing has fewer octets in front of the unit id than MBAP.
#[inline(always)]
pub(super) fn wanted<B: Bytes>(b: B, off: u32, rule: Rule, shift: u32) -> u32 {
    let (base, at) = ((rule & 0xFF) as u32, (rule >> 8) as u32);
    if at == 0 || at == AT_LEAST as u32 {
        return base;
    }
    match b.u8(off + at - shift) {
        Some(count) => base + count as u32,
        None => LATER,
    }
}

/// See [`wanted`].
pub(super) const LATER: u32 = 0xFFFF;

/// An operation by the offset of its function code.
#[inline(always)]
pub(super) fn operation<B: Bytes>(b: B, at: u32, code: u8, dir: Dir, unit: u32) -> Op {
    let function = (code & 0x7F) as u32;
    let mut kind = FUNCTIONS[b.index::<0x7F>(code as u32)];
    if code & 0x80 != 0 {
        let reason = b.u8(at + 1).unwrap_or(0) & 0x7F;
        return op::<Modbus>(function | EXCEPTION | (reason as u32) << 24, kind, Dir::Response, unit);
    }
    let mut sub = 0;
    if code == DIAGNOSTICS {
        sub = b.be16(at + 1).unwrap_or(0xFF) as u8;
        kind = DIAGNOSTIC[sub as usize];
    } else if code == MEI {
        sub = b.u8(at + 1).unwrap_or(0);
        kind = MEI_TYPE[sub as usize];
    }
    let mut found = op::<Modbus>(function | (sub as u32) << 8, kind, dir, unit);
    if !matches!(dir, Dir::Response) {
        address(b, at, code, &mut found);
    }
    found
}

impl Protocol for Modbus {
    const NAME: &'static str = "modbus";
    const TITLE: &'static str = "Modbus/TCP, Modbus/UDP";
    const BINDING: Binding = Binding { tcp: &[PORT], udp: &[PORT], ethertypes: &[] };
    /// MBAP by its protocol id; RTU framing by its function code, without and with the mark of exceptions.
    const SNIFF: &'static [Sniff] = &[
        Sniff { l4: 0, mask: 0x0000_FFFF, value: 0 },
        Sniff { l4: TCP, mask: 0x00E0_0000, value: 0 },
        Sniff { l4: TCP, mask: 0x00E0_0000, value: 0x0080_0000 },
    ];
    const WEAK: bool = true;
    const TURNS: u32 = STEPS;

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let Some(head) = b.be64(off) else { return short(b, w) };
        let code = head as u8;
        let length = ((head >> 16) & 0xFFFF) as u32;
        let end = off + MBAP + length;
        if (head >> 32) & 0xFFFF != 0 || w.strict() {
            return rtu(w);
        }
        // Reading from register 0 on looks like an MBAP header of another length; not with another header behind it.
        let listed = FUNCTIONS[b.index::<0x7F>(code as u32)] != Kind::UNLISTED.0;
        if (end != w.end || length == 2 || !listed)
            && w.mem[0] == 0
            && REQUEST[b.index::<0x7F>((head >> 48) as u32)] != 0
            && !(end < w.end && listed && b.be16(end + 2) == Some(0))
        {
            return rtu(w);
        }
        let dir = w.port_dir();
        w.pdu_end = end;
        let unit = ((head >> 8) & 0xFF) as u32;
        // Exception code, sub-function or MEI type, which come with the next segment.
        let more = if code == DIAGNOSTICS { 2 } else { (code & 0x80 != 0 || code == MEI) as u32 };
        if end > w.end && off + 8 + more > w.end {
            return Step::PARTIAL;
        }
        w.push(operation(b, off + 7, code, dir, unit));
        if code == UMAS && length > 3 {
            w.mem = [unit, 0, 0, 0, 0, 0];
            return w.inner(umas::Umas::NUMBER, off + 8, end);
        }
        let max = if code == UMAS { UMAS_LENGTH_MAX } else { LENGTH_MAX };
        if length < 2 || length > max {
            // A length that no ADU can have: what follows cannot be found.
            w.flags |= flags::MALFORMED;
            return Step::MALFORMED;
        }
        let rule = REQUEST[code as usize];
        if rule == 0 || !matches!(dir, Dir::Request) {
            return Step::DONE;
        }
        let want = wanted(b, off, rule, 0);
        if want == length { Step::DONE } else { lies(b, w, rule, want, length) }
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{}", function & 0x7F)?;
        if function & EXCEPTION != 0 { write!(out, "!{}", (function >> 24) & 0x7F) } else { Ok(()) }
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        functions_rows(each);
        diagnostic_rows(&mut |r| each(Row { function: r.function << 8 | DIAGNOSTICS as u32, ..r }));
        mei_rows(&mut |r| each(Row { function: r.function << 8 | MEI as u32, ..r }));
    }
}

/// Goes on with RTU framing or with the strong signature, once.
#[inline(always)]
fn rtu(w: &mut Walk) -> Step {
    if w.mem[0] != 0 {
        return Step::REFUSE;
    }
    let (at, end) = (w.off, w.end);
    w.mem[0] = 1;
    w.inner(modbus_rtu::ModbusRtu::NUMBER, at, end)
}

/// Fewer than eight octets: the beginning of an ADU, unless the protocol id can be seen and is not 0.
#[inline(always)]
fn short<B: Bytes>(b: B, w: &mut Walk) -> Step {
    if w.strict() || b.be16(w.off + 2).unwrap_or(0) != 0 {
        return rtu(w);
    }
    Step::PARTIAL
}

pub(super) const NO: u32 = 0;
const ASKS: u32 = 1;
const ANSWERS: u32 = 2;
const BOTH: u32 = 3;
/// Directions by what [`shape`] says.
pub(super) static DIRS: [Dir; 4] = [Dir::Unknown, Dir::Request, Dir::Response, Dir::Unknown];

/// Transaction id of an LDAP message whose length has four octets: the rest of its head looks like MBAP.
const LDAP: u64 = 0x3084;
/// Unit id of the same: the type of the message's number.
const LDAP_UNIT: u64 = 2;

/// Everything that the specification fixes: is it a request, a response, or may it be both?
#[inline(always)]
pub(super) fn strong<B: Bytes>(b: B, w: &Walk, head: u64) -> u32 {
    let off = w.off;
    let code = head as u8;
    let length = ((head >> 16) & 0xFFFF) as u32;
    let end = off + MBAP + length;
    if head >> 48 == LDAP && head >> 8 & 0xFF == LDAP_UNIT || end > w.end {
        return NO;
    }
    // What follows in the segment has to be an ADU again.
    if end < w.end {
        let Some(next) = b.be64(end) else { return NO };
        let length = ((next >> 16) & 0xFFFF) as u32;
        if (next >> 32) & 0xFFFF != 0 || end + MBAP + length > w.end {
            return NO;
        }
    }
    shape(b, off, code, length, 0)
}

/// Do length and values fit a request or a response of this function? `shift`: see [`wanted`].
#[inline(always)]
pub(super) fn shape<B: Bytes>(b: B, off: u32, code: u8, length: u32, shift: u32) -> u32 {
    let at = off + 8 - shift;
    let Some(first) = b.u8(at) else { return if length == 2 && REQUEST[code as usize] == 2 { ASKS } else { NO } };
    let (ask, answer) = (REQUEST[code as usize], RESPONSE[code as usize]);
    let mut found = if fits(b, off, ask, length, shift) { ASKS } else { NO };
    if fits(b, off, answer, length, shift) {
        found |= ANSWERS;
    }
    if code & 0x80 != 0 {
        return if REASONS & 1 << (first & 31) != 0 && first < 32 { found } else { NO };
    }
    let most = QUANTITY[code as usize] as u32;
    if most != 0 && length >= 6 {
        let quantity = b.be16(at + 2).unwrap_or(0) as u32;
        if quantity.wrapping_sub(1) >= most {
            found &= !(if answer >> 8 == 0 { BOTH } else { ASKS });
        }
    }
    // An answer has data, and registers have two octets.
    let registers = code == 3 || code == 4 || code == 23;
    if answer >> 8 == 8 && (first == 0 || registers && first & 1 != 0) {
        found &= !ANSWERS;
    }
    // A coil is set to FF00 or 0000.
    if code == 5 && b.be16(at + 2).unwrap_or(1) & 0xFF != 0 {
        return NO;
    }
    found
}

/// Exception codes that the specification has (cl. 7): 1 to 6, 8, 10 and 11.
const REASONS: u32 = 0b1101_0111_1110;

#[inline(always)]
fn fits<B: Bytes>(b: B, off: u32, rule: Rule, length: u32, shift: u32) -> bool {
    if rule >> 8 == AT_LEAST {
        return length >= (rule & 0xFF) as u32 && length <= LENGTH_MAX;
    }
    rule != 0 && wanted(b, off, rule, shift) == length
}

/// A request whose length is not what its function needs.
#[inline(always)]
fn lies<B: Bytes>(b: B, w: &mut Walk, rule: Rule, want: u32, length: u32) -> Step {
    if rule >> 8 == AT_LEAST && length > want {
        return Step::DONE;
    }
    if want == LATER {
        // The count is not there yet. Or it never comes: then the length is too small.
        if w.pdu_end > w.end {
            return Step::PARTIAL;
        }
        w.flags |= flags::LENGTH_LIE;
        return Step::DONE;
    }
    w.flags |= flags::LENGTH_LIE;
    if length < want {
        return Step::DONE;
    }
    // Whoever reads what the function needs takes the rest for the next request, if it is one.
    let hidden = w.off + MBAP + want;
    let Some(next) = b.be64(hidden) else {
        return if w.pdu_end > w.end && hidden + 8 > w.end { Step::PARTIAL } else { Step::DONE };
    };
    let size = ((next >> 16) & 0xFFFF) as u32;
    let known = FUNCTIONS[b.index::<0x7F>(next as u32)] != Kind::UNLISTED.0;
    if (next >> 32) & 0xFFFF == 0 && known && size >= 2 && hidden + MBAP + size <= w.pdu_end {
        w.pdu_end = hidden;
    }
    Step::DONE
}

#[inline(always)]
fn address<B: Bytes>(b: B, function_at: u32, code: u8, found: &mut Op) {
    let shape = ADDRESS[code as usize];
    if shape == ADDR_NONE {
        return;
    }
    let at = if shape == ADDR_READ_WRITE { function_at + 5 } else { function_at + 1 };
    let Some(range) = b.be32(at) else { return };
    found.addr = range >> 16;
    found.span = if shape == ADDR_ONE { 1 } else { range & 0xFFFF };
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::reason::Outcome;
    use crate::testing::{Host, Seen, cuts, hex, tcp, tcp_frame};

    extern crate std;

    const READ: &str = "000100000006 01 03 000a 0002";
    const VALUES: &str = "000100000007 01 03 04 00010002";
    const WRITE: &str = "000200000006 01 06 0010 abcd";

    fn to(payload: &str) -> Seen {
        tcp(40000, PORT, &hex(payload))
    }

    #[test]
    fn requests_and_exceptions() {
        assert_eq!(to(READ).lines(), ["modbus:3 read request"]);
        assert_eq!(tcp(PORT, 40000, &hex(VALUES)).lines(), ["modbus:3 read response"]);
        assert_eq!(tcp(PORT, 40000, &hex("000100000003 01 83 02")).paths(), ["modbus:3!2"]);
        cuts(&hex(WRITE), &[], &|p| tcp(40000, PORT, p));
    }

    /// A request alone is not named; from its response on everything is, and a later connection from its first frame.
    #[test]
    fn off_its_port_both_directions_have_to_match() {
        let mut host = Host::default();
        let mut see = |sport, dport, payload: &str| host.frame(&tcp_frame(sport, dport, &hex(payload)));
        assert_eq!(see(40000, 8502, READ).outcome, Outcome::NotOt);
        // The test frames have one address each way, so ports tell the directions apart.
        assert_eq!(see(40000, 8502, WRITE).outcome, Outcome::NotOt);
        for near in ["000100000006 01 03 000a 0000", "000100010006 01 03 000a 0002", "000100000007 01 03 000a 0002"] {
            assert_eq!(see(40000, 8502, near).outcome, Outcome::NotOt, "{near}");
        }
    }

    #[test]
    fn ldap_is_not_modbus() {
        let unbind = hex("308400000006 02 02 0002 4200");
        let (mut f, mut w) = (0, Walk { end: 12, hint: 0, pdu_end: 12, ..Walk::default() });
        let head = unbind.as_slice().be64(0).unwrap_or(0);
        f |= strong(unbind.as_slice(), &w, head);
        assert_eq!(f, NO);
        let read = hex(READ);
        w.end = 12;
        assert_eq!(strong(read.as_slice(), &w, read.as_slice().be64(0).unwrap_or(0)), ASKS);
        let values = hex(VALUES);
        w.end = 13;
        assert_eq!(strong(values.as_slice(), &w, values.as_slice().be64(0).unwrap_or(0)), ANSWERS);
    }

    #[test]
    fn a_request_hidden_behind_another_one_is_counted() {
        let s = to("000100000012 01 03 000a 0002 000200000006 01 06 0010 abcd");
        assert_eq!(s.paths(), ["modbus:3", "modbus:6"]);
        assert_eq!(s.flags, flags::LENGTH_LIE | flags::PIPELINED);
        let s = to("000100000017 01 10 0001 0001 02 0001 000200000006 01 05 0010 ff00 0000");
        assert_eq!(
            (s.paths(), s.flags & flags::LENGTH_LIE),
            (["modbus:16".into(), "modbus:5".into()].into(), flags::LENGTH_LIE)
        );
        // Nothing that could be a request behind it; one that would reach beyond the first one's end; too short.
        for p in [
            "000100000008 01 03 000a 0002 0000",
            "000100000012 01 03 000a 0002 000200000009 01 06 0010 abcd",
            "000100000004 01 03 000a",
            "00010000000b 01 10 0001 0002 06 00010002",
        ] {
            let s = to(p);
            assert_eq!((s.paths().len(), s.flags), (1, flags::LENGTH_LIE), "{p}");
        }
    }

    #[test]
    fn honest_requests_are_not_marked() {
        for p in [
            READ,
            WRITE,
            "00010000000b 01 10 0001 0002 04 00010002",
            "000100000008 01 16 0001 0002 0003",
            "00010000000d 01 17 0001 0002 0003 0001 02 0004",
            "000100000005 01 2b 0e 01 00",
            "000100000006 01 08 0000 1234",
            "00010000000a 01 14 07 06 0001 0002 0003",
        ] {
            let s = to(p);
            assert_eq!((s.flags, s.paths().len()), (0, 1), "{p}");
        }
        let all: Vec<u8> = [READ, WRITE].iter().flat_map(|p| hex(p)).collect();
        assert_eq!(tcp(40000, PORT, &all).flags, flags::PIPELINED);
    }

    #[test]
    fn what_names_the_function_comes_with_the_next_segment() {
        let exception = hex("000100000003 01 83 02");
        assert_eq!(tcp(502, 40000, &exception).lines(), ["modbus:3!2 read response"]);
        assert_eq!(tcp(502, 40000, &exception[..8]).outcome, Outcome::Continuation);
        let restart = hex("000100000006 01 08 0001 0000");
        assert_eq!(tcp(40000, 502, &restart).lines(), ["modbus:8 control! request"]);
        assert_eq!(tcp(40000, 502, &restart[..9]).outcome, Outcome::Continuation);
        assert_eq!(tcp(40000, 502, &restart[..10]).lines(), ["modbus:8 control! request"]);
        let identify = hex("000100000005 01 2b 0e 01 00");
        assert_eq!(tcp(40000, 502, &identify).lines(), ["modbus:43 discovery request"]);
        assert_eq!(tcp(40000, 502, &identify[..8]).outcome, Outcome::Continuation);
    }
}
