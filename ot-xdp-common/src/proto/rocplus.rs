//! Emerson ROC and ROC Plus over TCP and UDP.
//!
//! Source: the public ROC Plus protocol specification, cl. 2. Default port 4000.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 2 | destination unit, group |
//! | 2 | 2 | source unit, group |
//! | 4 | 1 | opcode |
//! | 5 | 1 | length of the data |
//! | 6 | | data |
//! | 6 + length | 2 | CRC-16 little endian, polynomial of Modbus; initial value FFFF or 0 (real devices were not at hand) |
//!
//! Function encoding: opcode; of opcode CB its file function << 8; nothing marks a request, so the direction comes from the
//! port. Address: point type, logical number and parameter of the parameter opcodes. Not parsed: messages inside opcode 18,
//! history, parameters behind the first.

use core::fmt;

use super::{Binding, Protocol, Row, op};
use crate::bytes::Bytes;
use crate::limits::STEPS;
use crate::op::{Dir, Kind};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct RocPlus;

const PORT: u16 = 4000;
const HEAD: u32 = 6;
const CRC: u32 = 2;
const FILE: u8 = 0xCB;
/// Listed, but of class unknown.
const STORE_FORWARD: u8 = 0x18;
const PEER: u8 = 0xCD;

functions! {
    FUNCTIONS, functions_rows, base 0;
    0x06 "system configuration" Read;
    0x07 "read real-time clock" Read;
    0x08 "set real-time clock" Write!;
    0x0A "read configurable opcode data" Read;
    0x0B "write configurable opcode data" Write!;
    0x11 "login, logout" Auth;
    0x18 "store and forward" Unknown!;
    0x32 "request I/O point position" Discovery;
    0x64 "access user-defined information" Read;
    0x69 "today and yesterday minimum, maximum" Read;
    0x6C "history tag and periodic index" Read;
    0x76 "request alarm data" Alarm;
    0x77 "request event data" Alarm;
    0x87 "single history point" Read;
    0x88 "multiple history points" Read;
    0x89 "history index" Read;
    0x8A "daily and periodic history" Read;
    0x8B "history information" Read;
    0xA6 "set single-point parameters" Write!;
    0xA7 "request single-point parameters" Read;
    0xB4 "request parameters" Read;
    0xB5 "write parameters" Write!;
    0xCD "peer-to-peer network messages" Unknown!;
    0xCE "read transaction history" Read;
    0xE0 "SRBX signal" Alarm;
    0xE1 "acknowledge SRBX" Alarm!;
    0xFF "error indicator" Response;
}

functions! {
    /// File functions of opcode CB.
    FILES, file_rows, base 0;
    0x01 "file open" File!;
    0x02 "file read" ProgramUpload;
    0x03 "file write" ProgramDownload!;
    0x04 "file close" Session;
    0x05 "file delete" File!;
    0x06 "read directory" File;
    0x40 "read directory (64)" File;
}

/// CRC-16 as Modbus has it (reflected polynomial 0xA001), one octet.
static CRC_TABLE: [u16; 256] = {
    let mut t = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = i as u16;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 != 0 { crc >> 1 ^ 0xA001 } else { crc >> 1 };
            bit += 1;
        }
        t[i] = crc;
        i += 1;
    }
    t
};

/// The first octet that the CRC does not cover yet, in the memory between steps.
const AT: usize = 0;
/// Both CRCs there: the one that begins with 0 above the complement of the one that begins with 0xFFFF.
const CRCS: usize = 1;
/// Octets that a step covers; a power of two.
const CHUNK: u32 = 32;

/// The CRC after one more octet.
#[inline(always)]
fn update<B: Bytes>(b: B, crc: u32, octet: u8) -> u32 {
    crc >> 8 ^ CRC_TABLE[b.index::<0xFF>(crc ^ octet as u32)] as u32
}

impl Protocol for RocPlus {
    const NAME: &'static str = "rocplus";
    const TITLE: &'static str = "Emerson ROC, ROC Plus";
    const BINDING: Binding = Binding { tcp: &[PORT], udp: &[PORT], ethertypes: &[] };
    const WEAK: bool = true;
    const TURNS: u32 = STEPS;

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        if w.strict() {
            return Step::REFUSE;
        }
        let Some(code) = b.u8(off + 4) else { return Step::PARTIAL };
        let Some(length) = b.u8(off + 5) else { return Step::PARTIAL };
        let size = HEAD + length as u32 + CRC;
        w.pdu_end = off + size;
        if w.pdu_end > w.end {
            // The CRC cannot be seen yet: only a listed opcode is worth waiting for.
            let listed = FUNCTIONS[code as usize] != Kind::UNLISTED.0 || code == STORE_FORWARD || code == PEER;
            return if listed { Step::PARTIAL } else { Step::REFUSE };
        }
        // In steps: the verifier would follow the longest message octet by octet.
        let first = w.mem[AT];
        let (mut crc, mut zero) = (w.mem[CRCS] ^ 0xFFFF, w.mem[CRCS] >> 16);
        for i in 0..CHUNK {
            let n = first + b.index::<{ CHUNK - 1 }>(i) as u32;
            if n >= size {
                break;
            }
            let Some(octet) = b.u8(off + n) else { return Step::REFUSE };
            crc = update(b, crc & 0xFFFF, octet);
            zero = update(b, zero, octet);
        }
        w.mem[CRCS] = zero << 16 | crc ^ 0xFFFF;
        w.mem[AT] = first + CHUNK;
        if first + CHUNK < size {
            return Step::INNER;
        }
        let Some(from_to) = b.be32(off) else { return Step::REFUSE };
        if (crc & 0xFFFF != 0 && zero != 0) || from_to == 0 {
            return Step::REFUSE;
        }
        let mut function = code as u32;
        let mut kind = FUNCTIONS[code as usize];
        let dir = if code == 0xFF { Dir::Response } else { w.port_dir() };
        if code == FILE {
            let sub = b.u8(off + HEAD).unwrap_or(0);
            function |= (sub as u32) << 8;
            kind = FILES[sub as usize];
        }
        let unit = if matches!(dir, Dir::Response) { from_to & 0xFFFF } else { from_to >> 16 };
        let mut found = op::<RocPlus>(function, kind, dir, unit);
        if (code == 0xB4 || code == 0xB5) && length > 3 {
            found.addr = b.be32(off + HEAD).unwrap_or(0) & 0x00FF_FFFF;
        } else if (code == 0xA6 || code == 0xA7) && length > 3 {
            let point = b.be32(off + HEAD).unwrap_or(0);
            found.addr = (point >> 16) << 8 | point & 0xFF;
            found.span = (point >> 8) & 0xFF;
        }
        w.push(found);
        Step::DONE
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "0x{:02x}", function & 0xFF)
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        functions_rows(each);
        file_rows(&mut |r| each(Row { function: r.function << 8 | FILE as u32, ..r }));
    }
}

#[cfg(test)]
mod tests {
    use crate::reason::Outcome;
    use crate::testing::{hex, tcp, udp};

    #[test]
    fn reads_and_writes() {
        assert_eq!(udp(32107, 4000, &hex("0102030407003bbf")).lines(), ["rocplus:0x07 read request"]);
        assert_eq!(udp(32107, 4000, &hex("0102030408071e2d0c0f0307e8890d")).lines(), ["rocplus:0x08 write! request"]);
        assert_eq!(udp(4000, 32107, &hex("0102030408003e4f")).lines(), ["rocplus:0x08 write response"]);
        let two = tcp(32107, 4000, &hex("0102030407003bbf0102030408071e2d0c0f0307e8890d"));
        assert_eq!(two.paths(), ["rocplus:0x07", "rocplus:0x08"]);
    }

    #[test]
    fn a_wrong_crc_or_length_is_refused() {
        assert_eq!(udp(32107, 4000, &hex("0102030407003bbe")).outcome, Outcome::Unparsed);
        assert_eq!(udp(32107, 4000, &hex("0102030407083bbf")).ops.len(), 0);
        assert_eq!(udp(32107, 4001, &hex("0102030407003bbf")).outcome, Outcome::NotOt);
    }
}
