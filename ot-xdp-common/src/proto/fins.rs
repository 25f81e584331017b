//! OMRON FINS over UDP and TCP.
//!
//! Source: OMRON W227 and W342 (FINS frames, commands), W421 (Ethernet units, FINS/TCP). Port 9600. Big endian.
//!
//! FINS/TCP header:
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 4 | "FINS" |
//! | 4 | 4 | length of what follows |
//! | 8 | 4 | command: 0 and 1 node addresses, 2 frame, 3 error, 6 confirmation |
//! | 12 | 4 | error code |
//!
//! FINS frame:
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 1 | ICF: 80, with 40 response and 01 no response needed |
//! | 1 | 2 | 00, permitted gateways 0 to 7 |
//! | 3 | 3 | destination network, node, unit |
//! | 6 | 3 | source network, node, unit |
//! | 9 | 1 | SID |
//! | 10 | 2 | command |
//! | 12 | | memory area 1, address 3, count 2; response: end code 2 |
//!
//! Function encoding: the command; FINS/TCP's own commands | bit 16. Unit: network, node and unit of the device.
//! Address: memory area << 24 | word << 8 | bit. Not parsed: parameters and data.

use core::fmt;

use super::{Binding, Protocol, Row, Sniff, op};
use crate::bytes::Bytes;
use crate::flags;
use crate::frame::{TCP, UDP};
use crate::op::{Class, Dir, Kind};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Fins;

const PORT: u16 = 9600;
const MAGIC: u32 = 0x4649_4E53;
/// Octets of the FINS/TCP header.
const HEAD: u32 = 16;
/// Octets that the length of FINS/TCP does not count.
const UNCOUNTED: u32 = 8;
const LENGTH_MAX: u32 = 0xFFFF;
/// Octets of a frame without parameters.
const FRAME: u32 = 12;
const FRAME_SEND: u32 = 2;
const OVER_TCP: u32 = 1 << 16;
const MEMORY_READ: u32 = 0x0101;

functions! {
    COMMANDS[16384], command_rows, base 0;
    0x0101 "Memory Area Read" Read;
    0x0102 "Memory Area Write" Write!;
    0x0103 "Memory Area Fill" Write!;
    0x0104 "Multiple Memory Area Read" Read;
    0x0105 "Memory Area Transfer" Write!;
    0x0201 "Parameter Area Read" Read;
    0x0202 "Parameter Area Write" Config!;
    0x0203 "Parameter Area Clear" Config!;
    0x0220 "Data Link Table Read" Read;
    0x0221 "Data Link Table Write" Config!;
    0x0304 "Program Area Protect" Config!;
    0x0305 "Program Area Protect Clear" Config!;
    0x0306 "Program Area Read" ProgramUpload;
    0x0307 "Program Area Write" ProgramDownload!;
    0x0308 "Program Area Clear" ProgramDownload!;
    0x0401 "Run" Control!;
    0x0402 "Stop" Control!;
    0x0403 "Reset" Control!;
    0x0501 "Controller Data Read" Discovery;
    0x0502 "Connection Data Read" Discovery;
    0x0601 "Controller Status Read" Diagnostic;
    0x0602 "Network Status Read" Diagnostic;
    0x0603 "Data Link Status Read" Diagnostic;
    0x0620 "Cycle Time Read" Diagnostic;
    0x0701 "Clock Read" Read;
    0x0702 "Clock Write" Config!;
    0x0801 "Loop-back Test" Diagnostic;
    0x0802 "Broadcast Test Results Read" Diagnostic;
    0x0803 "Broadcast Test Data Send" Diagnostic;
    0x0920 "Message Read/Clear, FAL/FALS Read" Alarm!;
    0x0C01 "Access Right Acquire" Auth!;
    0x0C02 "Access Right Forced Acquire" Auth!;
    0x0C03 "Access Right Release" Auth;
    0x2101 "Error Clear" Alarm!;
    0x2102 "Error Log Read" Diagnostic;
    0x2103 "Error Log Clear" Alarm!;
    0x2201 "File Name Read" File;
    0x2202 "Single File Read" File;
    0x2203 "Single File Write" File!;
    0x2204 "Memory Card Format" File!;
    0x2205 "File Delete" File!;
    0x2206 "Volume Label Create/Delete" File!;
    0x2207 "File Copy" File!;
    0x2208 "File Name Change" File!;
    0x2209 "File Data Check" File;
    0x220A "Memory Area File Transfer" File!;
    0x220B "Parameter Area File Transfer" File!;
    0x220C "Program Area File Transfer" ProgramDownload!;
    0x220F "File Memory Index Read" File;
    0x2210 "File Memory Read" File;
    0x2211 "File Memory Write" File!;
    0x2301 "Forced Set/Reset" Write!;
    0x2302 "Forced Set/Reset Cancel" Write!;
    0x230A "Multiple Forced Status Read" Read;
    0x2601 "Name Set" Config!;
    0x2602 "Name Delete" Config!;
    0x2603 "Name Read" Discovery;
    0x2701 "UDP Open Request (Ethernet Unit)" Config!;
    0x2730 "FINS/TCP Connection Remote Node Change Request" Config!;
}

functions! {
    TCP_COMMANDS, tcp_rows, base OVER_TCP;
    0x00 "Node Address Data Send (client)" Session;
    0x01 "Node Address Data Send (server)" Session;
    0x02 "Frame Send (FINS frame follows)" Session;
    0x03 "Frame Send Error Notification" Response;
    0x06 "Connection Confirmation" Session;
}

/// Unit addresses: 1 for those that exist (CPU, CPU bus units, inner board, Ethernet unit).
static UNITS: [u8; 256] = {
    let mut t = [0; 256];
    t[0] = 1;
    t[0xE1] = 1;
    t[0xFE] = 1;
    let mut i = 0x10;
    while i < 0x20 {
        t[i] = 1;
        i += 1;
    }
    t
};

impl Protocol for Fins {
    const NAME: &'static str = "fins";
    const TITLE: &'static str = "OMRON FINS";
    const BINDING: Binding = Binding { tcp: &[PORT], udp: &[PORT], ethertypes: &[] };
    const SNIFF: &'static [Sniff] =
        &[Sniff { l4: UDP, mask: 0xBEFF_F880, value: 0x8000_0000 }, Sniff { l4: TCP, mask: 0xFFFF_FFFF, value: MAGIC }];
    const WEAK: bool = true;

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let Some(first) = b.be32(off) else { return Step::REFUSE };
        let mut at = off;
        let mut end = w.end;
        if first == MAGIC {
            let Some(length) = b.be32(off + 4) else { return Step::PARTIAL };
            let Some(command) = b.be32(off + 8) else { return Step::PARTIAL };
            if !(UNCOUNTED..=LENGTH_MAX).contains(&length) || command > 6 {
                return Step::REFUSE;
            }
            w.pdu_end = off + UNCOUNTED + length;
            if command != FRAME_SEND {
                let kind = TCP_COMMANDS[b.index::<0xFF>(command)];
                let dir = if command & 5 == 0 { Dir::Request } else { Dir::Response };
                let dir = if command == 6 { Dir::Response } else { dir };
                w.push(op::<Fins>(command | OVER_TCP, kind & !Kind::STATE_CHANGING, dir, 0));
                return Step::DONE;
            }
            at = off + HEAD;
            end = w.pdu_end;
        } else if w.service >> 16 == TCP as u32 {
            return Step::REFUSE;
        }
        let Some(head) = b.be64(at) else { return if at == off { Step::REFUSE } else { Step::PARTIAL } };
        let Some(tail) = b.be32(at + 8) else { return if at == off { Step::REFUSE } else { Step::PARTIAL } };
        let command = tail & 0xFFFF;
        let known = if command < 16384 { COMMANDS[b.index::<0x3FFF>(command)] } else { Kind::UNLISTED.0 };
        // ICF, RSV, GCT, networks; off the port the units and the command too.
        if head & 0xBEFF_F880_0000_8000 != 1 << 63 {
            return if at == off { Step::REFUSE } else { Step::MALFORMED };
        }
        let units = UNITS[b.index::<0xFF>((head >> 16) as u32)] & UNITS[b.index::<0xFF>(tail >> 24)];
        if at == off && w.strict() && (units == 0 || known == Kind::UNLISTED.0) {
            return Step::REFUSE;
        }
        let response = head >> 62 & 1 != 0;
        if response && at == off && end < at + FRAME + 2 {
            return Step::REFUSE;
        }
        let target = (head >> 16) as u32 & 0x00FF_FFFF;
        let source = ((head & 0xFFFF) << 8) as u32 | tail >> 24;
        let (dir, unit) = if response { (Dir::Response, source) } else { (Dir::Request, target) };
        let mut found = op::<Fins>(command, known, dir, unit);
        if !response && command > 0x0100 && command < 0x0104 {
            found.addr = b.be32(at + FRAME).unwrap_or(0);
            found.span = b.be16(at + FRAME + 4).unwrap_or(0) as u32;
        }
        w.push(found);
        // Behind the end of a read there is room for another PDU.
        if at != off && !response && command == MEMORY_READ && end >= at + FRAME + 6 + HEAD {
            w.flags |= flags::LENGTH_LIE;
            w.pdu_end = at + FRAME + 6;
        }
        Step::DONE
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        if function & OVER_TCP != 0 {
            return write!(out, "tcp/{:#010x}", function & 0xFF);
        }
        write!(out, "{:#06x}", function & 0xFFFF)
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        command_rows(each);
        tcp_rows(each);
        each(Row { function: OVER_TCP | 4, name: "FINS/TCP command 4", class: Class::Unknown, state_changing: false });
    }
}

#[cfg(test)]
mod tests {
    use crate::reason::Outcome;
    use crate::testing::{cuts, hex, tcp, udp};

    const READ: &str = "800007000200000100600101820064000004";
    const ANSWER: &str = "c00007000100000200600101000000 2a002a002a002a";

    #[test]
    fn udp_both_ways() {
        let s = udp(9600, 9600, &hex(READ));
        assert_eq!((s.lines(), s.flags), (["fins:0x0101 read request".into()].into(), 0));
        assert_eq!((s.ops[0].addr, s.ops[0].span, s.ops[0].unit), (0x8200_6400, 4, 0x000200));
        assert_eq!(udp(9600, 9600, &hex(ANSWER)).lines(), ["fins:0x0101 read response"]);
        cuts(&hex(READ), &[], &|p| udp(9600, 9600, p));
    }

    #[test]
    fn tcp_with_its_own_commands() {
        let s = tcp(40000, 9600, &hex("46494e53 0000000c 00000000 00000000 00000000"));
        assert_eq!(s.lines(), ["fins:tcp/0x00000000 session request"]);
        let s = tcp(40000, 9600, &hex("46494e53 00000015 00000002 00000000 800007000200000100 60 0402 00"));
        assert_eq!(s.paths(), ["fins:0x0402"]);
        assert!(s.ops[0].state_changing());
    }

    #[test]
    fn refusals() {
        assert_eq!(udp(40000, 9600, &hex("00000700020000010060010182006400")).outcome, Outcome::Unparsed);
        assert_eq!(udp(40000, 9600, b"hello, world").outcome, Outcome::Unparsed);
    }
}
