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
//! exception. Not parsed: register values; Modbus RTU framing over TCP.

use core::fmt;

use super::{Binding, Number, Protocol, Row, op, umas};
use crate::bytes::Bytes;
use crate::flags;
use crate::op::{Dir, Op};
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

impl Protocol for Modbus {
    const NAME: &'static str = "modbus";
    const TITLE: &'static str = "Modbus/TCP, Modbus/UDP";
    const BINDING: Binding = Binding { tcp: &[PORT], udp: &[PORT], ethertypes: &[] };

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let Some(head) = b.be64(off) else { return short(b, off) };
        let code = head as u8;
        let length = ((head >> 16) & 0xFFFF) as u32;
        if (head >> 32) & 0xFFFF != 0 || w.strict() {
            return Step::REFUSE;
        }
        let function = (code & 0x7F) as u32;
        let mut kind = FUNCTIONS[code as usize & 0x7F];
        w.pdu_end = off + MBAP + length;
        let unit = ((head >> 8) & 0xFF) as u32;
        if code & 0x80 != 0 {
            let reason = b.u8(off + 8).unwrap_or(0) & 0x7F;
            w.push(op::<Modbus>(function | EXCEPTION | (reason as u32) << 24, kind, Dir::Response, unit));
            return limits(w, code, length);
        }
        let dir = w.port_dir();
        let mut sub = 0;
        if code == DIAGNOSTICS {
            sub = b.be16(off + 8).unwrap_or(0xFF) as u8;
            kind = DIAGNOSTIC[sub as usize];
        } else if code == MEI {
            sub = b.u8(off + 8).unwrap_or(0);
            kind = MEI_TYPE[sub as usize];
        }
        let mut found = op::<Modbus>(function | (sub as u32) << 8, kind, dir, unit);
        if !matches!(dir, Dir::Response) {
            address(b, off, code, &mut found);
        }
        w.push(found);
        if code == UMAS && length > 3 {
            w.mem = [unit, 0, 0, 0, 0, 0];
            return w.inner(umas::Umas::NUMBER, off + 8, off + MBAP + length);
        }
        limits(w, code, length)
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

/// Fewer than eight octets: the beginning of an ADU, unless the protocol id can be seen and is not 0.
#[inline(always)]
fn short<B: Bytes>(b: B, off: u32) -> Step {
    match b.be16(off + 2) {
        Some(0) => Step::PARTIAL,
        Some(_) => Step::REFUSE,
        None => Step::PARTIAL,
    }
}

/// The length rule. A length that no ADU can have is malformed: what follows cannot be found.
#[inline(always)]
fn limits(w: &mut Walk, code: u8, length: u32) -> Step {
    let max = if code == UMAS { UMAS_LENGTH_MAX } else { LENGTH_MAX };
    if length < 2 || length > max {
        w.flags |= flags::MALFORMED;
        return Step::MALFORMED;
    }
    Step::DONE
}

#[inline(always)]
fn address<B: Bytes>(b: B, off: u32, code: u8, found: &mut Op) {
    let shape = ADDRESS[code as usize];
    if shape == ADDR_NONE {
        return;
    }
    let at = if shape == ADDR_READ_WRITE { off + 12 } else { off + 8 };
    let Some(range) = b.be32(at) else { return };
    found.addr = range >> 16;
    found.span = if shape == ADDR_ONE { 1 } else { range & 0xFFFF };
}
