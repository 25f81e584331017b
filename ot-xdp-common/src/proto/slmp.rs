//! Mitsubishi SLMP, also called MC protocol: frames 3E and 4E, binary and ASCII.
//!
//! Source: CC-Link Partner Association, Seamless Message Protocol (SLMP) specification, overview (frames) and services
//! (commands). The port is set by the site; 5006 and 5007 are the usual ones. Little endian but for the subheader. The
//! ASCII form has every field as hexadecimal digits, high digit first, in the same order.
//!
//! | 3E | 4E | size | field |
//! |---|---|---|---|
//! | 0 | 0 | 2 | subheader: 5000 and D000 (3E), 5400 and D400 (4E) |
//! | | 2 | 4 | serial number 2, 0000 |
//! | 2 | 6 | 2 | network, station |
//! | 4 | 8 | 2 | module I/O number: 03FF, 03D0 to 03D3, 03E0 to 03E3 |
//! | 6 | 10 | 1 | multidrop station |
//! | 7 | 11 | 2 | length of what follows |
//! | 9 | 13 | 2 | monitoring timer; response: end code |
//! | 11 | 15 | 4 | command 2, subcommand 2 |
//! | 15 | 19 | | device number 3, code 1, points 2; with subcommands 0002 and 0003: 4, 2, 2 |
//!
//! Function encoding: the command; responses, which do not name it: the subheader. Unit: network << 8 | station.
//! Address: device code << 24 | number. Not parsed: devices behind the first, labels, file names; frame 1E.

use core::fmt;

use super::{Binding, Protocol, Row, Sniff, op};
use crate::bytes::Bytes;
use crate::flags;
use crate::op::{Class, Dir, Kind};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Slmp;

const REPLY_3E: u32 = 0xD000;
const REPLY_4E: u32 = 0xD400;
const DEVICE_READ: u32 = 0x0401;
const DEVICE_WRITE: u32 = 0x1401;
/// Timer, command, subcommand, one device: a whole device read.
const READ_LENGTH: u32 = 12;
const INVALID: u32 = u32::MAX;

functions! {
    COMMANDS[16384], command_rows, base 0;
    0x0101 "Read Type Name" Discovery;
    0x0401 "Device Read" Read;
    0x0403 "Device Read Random" Read;
    0x0406 "Device Read Block" Read;
    0x041A "Label Array Read" Read;
    0x041C "Label Read Random" Read;
    0x0601 "Extend Unit Read (buffer memory)" Read;
    0x0613 "Memory Read" Read;
    0x0619 "Self Test (loopback)" Diagnostic;
    0x0801 "Entry Monitor Device" Read;
    0x0802 "Execute Monitor" Read;
    0x0E30 "Node Search" Discovery;
    0x0E31 "IP Address Set" Config!;
    0x1001 "Remote RUN" Control!;
    0x1002 "Remote STOP" Control!;
    0x1003 "Remote PAUSE" Control!;
    0x1005 "Remote Latch Clear" Control!;
    0x1006 "Remote RESET" Control!;
    0x1401 "Device Write" Write!;
    0x1402 "Device Write Random" Write!;
    0x1406 "Device Write Block" Write!;
    0x141A "Label Array Write" Write!;
    0x141B "Label Write Random" Write!;
    0x1601 "Extend Unit Write" Write!;
    0x1613 "Memory Write" Write!;
    0x1617 "Clear Error" Alarm!;
    0x1630 "Remote Password Unlock" Auth!;
    0x1631 "Remote Password Lock" Auth!;
    0x1810 "Read Directory/File" File;
    0x1811 "Search Directory/File" File;
    0x1820 "New File" File!;
    0x1822 "Delete File" File!;
    0x1824 "Copy File" File!;
    0x1825 "Change File State" File!;
    0x1826 "Change File Date" File!;
    0x1827 "Open File" File!;
    0x1828 "Read File" ProgramUpload;
    0x1829 "Write File" ProgramDownload!;
    0x182A "Close File" File;
    0x2101 "On-demand (PLC initiated)" Alarm;
}

/// Device codes by the first letter of their name in the ASCII form.
static LETTERS: [u8; 32] = {
    let mut t = [0; 32];
    t[b'M' as usize & 31] = 0x90;
    t[b'L' as usize & 31] = 0x92;
    t[b'F' as usize & 31] = 0x93;
    t[b'V' as usize & 31] = 0x94;
    t[b'X' as usize & 31] = 0x9C;
    t[b'Y' as usize & 31] = 0x9D;
    t[b'B' as usize & 31] = 0xA0;
    t[b'D' as usize & 31] = 0xA8;
    t[b'W' as usize & 31] = 0xB4;
    t
};

/// Device codes with hexadecimal numbers: X, Y, B, W.
const fn hexadecimal(code: u32) -> bool {
    code == 0x9C || code == 0x9D || code == 0xA0 || code == 0xB4
}

impl Protocol for Slmp {
    const NAME: &'static str = "slmp";
    const TITLE: &'static str = "SLMP / MC protocol (MELSEC 3E, 4E)";
    const BINDING: Binding = Binding { tcp: &[5006, 5007], udp: &[5006, 5007], ethertypes: &[] };
    const SNIFF: &'static [Sniff] = &[
        Sniff { l4: 0, mask: 0xFFFF_0000, value: 0x5000_0000 },
        Sniff { l4: 0, mask: 0xFFFF_0000, value: 0x5400_0000 },
        Sniff { l4: 0, mask: 0xFFFF_0000, value: 0xD000_0000 },
        Sniff { l4: 0, mask: 0xFFFF_0000, value: 0xD400_0000 },
        Sniff { l4: 0, mask: 0xFFFF_FFFF, value: 0x3530_3030 },
        Sniff { l4: 0, mask: 0xFFFF_FFFF, value: 0x3534_3030 },
        Sniff { l4: 0, mask: 0xFFFF_FFFF, value: 0x4430_3030 },
        Sniff { l4: 0, mask: 0xFFFF_FFFF, value: 0x4434_3030 },
    ];

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let Some(first) = b.be32(off) else { return Step::REFUSE };
        if first & 0xFFFB_FFFF == 0x3530_3030 || first & 0xFFFB_FFFF == 0x4430_3030 {
            return text(b, w, first);
        }
        let sub = first >> 16;
        let reply = sub & 0x8000 != 0;
        if sub & 0x7BFF != 0x5000 {
            return Step::REFUSE;
        }
        let shift = if sub & 0x0400 != 0 { 4 } else { 0 };
        if shift != 0 {
            let Some(zero) = b.be16(off + 4) else { return short(w) };
            if zero != 0 {
                return Step::REFUSE;
            }
        }
        let at = off + shift;
        let Some(route) = b.be32(at + 2) else { return short(w) };
        let io = ((route & 0xFFFF) as u16).swap_bytes() as u32;
        if !module(io) {
            return Step::REFUSE;
        }
        let Some(length) = b.be16(at + 7) else { return short(w) };
        let length = length.swap_bytes() as u32;
        let unit = route >> 16;
        let end = at + 9 + length;
        if length < if reply { 2 } else { 6 } || (w.strict() && w.pdus == 0 && end != w.end) {
            return Step::REFUSE;
        }
        w.pdu_end = end;
        if reply {
            return answer(w, sub, unit);
        }
        let Some(command) = b.le32(at + 11) else { return short(w) };
        let (command, subcommand) = (command & 0xFFFF, command >> 16);
        let kind = kind_of(b, command);
        if w.strict() && kind == Kind::UNLISTED.0 {
            return Step::REFUSE;
        }
        let mut found = op::<Slmp>(command, kind, Dir::Request, unit);
        let plain = subcommand < 2;
        if command == DEVICE_READ || command == DEVICE_WRITE {
            let wide = subcommand & !1 == 2;
            let number = b.le32(at + 15).unwrap_or(0);
            let code = if wide { b.u8(at + 19).unwrap_or(0) as u32 } else { number >> 24 };
            let points = match b.be16(if wide { at + 21 } else { at + 19 }) {
                Some(points) => points.swap_bytes() as u32,
                // It comes with the next segment, and says where the command ends.
                None if end > w.end && length >= READ_LENGTH => return short(w),
                None => 0,
            };
            if plain || wide {
                found.addr = code << 24 | number & 0x00FF_FFFF;
                found.span = points;
            }
            let words = if subcommand == 0 { points * 2 } else { points.div_ceil(2) };
            let need = READ_LENGTH + if command == DEVICE_WRITE { words } else { 0 };
            // Behind the end of the command there is room for another frame.
            if plain && length >= need + 15 {
                w.flags |= flags::LENGTH_LIE;
                w.pdu_end = at + 9 + need;
            }
        } else if plain && several(command) {
            let counts = b.be16(at + 15).unwrap_or(0) as u32;
            let number = b.le32(at + 17).unwrap_or(0);
            found.addr = number;
            found.span = (counts >> 8) + (counts & 0xFF);
        }
        w.push(found);
        Step::DONE
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{:#06x}", function & 0xFFFF)
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        command_rows(each);
        for (function, name) in [(REPLY_3E, "3E response"), (REPLY_4E, "4E response")] {
            each(Row { function, name, class: Class::Response, state_changing: false });
        }
    }
}

#[inline(always)]
fn short(w: &Walk) -> Step {
    if w.strict() { Step::REFUSE } else { Step::PARTIAL }
}

/// Is this the I/O number of a CPU module?
#[inline(always)]
fn module(io: u32) -> bool {
    io == 0x03FF || io & 0xFFFC == 0x03D0 || io & 0xFFFC == 0x03E0
}

/// Random and block commands: two counts in front of the first device.
#[inline(always)]
fn several(command: u32) -> bool {
    command == 0x0403 || command == 0x0406 || command == 0x1402 || command == 0x1406
}

#[inline(always)]
fn kind_of<B: Bytes>(b: B, command: u32) -> u8 {
    if command < 16384 { COMMANDS[b.index::<0x3FFF>(command)] } else { Kind::UNLISTED.0 }
}

#[inline(always)]
fn answer(w: &mut Walk, sub: u32, unit: u32) -> Step {
    w.push(op::<Slmp>(sub, Class::Response as u8, Dir::Response, unit));
    Step::DONE
}

/// Four hexadecimal digits in upper case as a number, [`INVALID`] for anything else.
#[inline(always)]
fn digits(text: u32) -> u32 {
    let letter = text >> 6 & 0x0101_0101;
    let value = (text & 0x0F0F_0F0F) + letter * 9;
    let high = (value + 0x0606_0606) >> 4 & 0x0101_0101;
    if value & 0xF0F0_F0F0 != 0 || high != letter || text != value + 0x3030_3030 + letter * 7 {
        return INVALID;
    }
    value >> 12 & 0xF000 | value >> 8 & 0xF00 | value >> 4 & 0xF0 | value & 0xF
}

/// The ASCII form.
#[inline(always)]
fn text<B: Bytes>(b: B, w: &mut Walk, first: u32) -> Step {
    let sub = digits(first);
    let off = w.off;
    let reply = sub & 0x8000 != 0;
    if sub & 0x7BFF != 0x5000 {
        return Step::REFUSE;
    }
    let shift = if sub & 0x0400 != 0 { 8 } else { 0 };
    let at = off + shift;
    let Some(route) = b.be32(at + 4) else { return short(w) };
    let Some(io) = b.be32(at + 8) else { return short(w) };
    let Some(length) = b.be32(at + 14) else { return short(w) };
    let (unit, length) = (digits(route), digits(length));
    if unit == INVALID || !module(digits(io)) || length == INVALID || length < if reply { 4 } else { 12 } {
        return Step::REFUSE;
    }
    let end = at + 18 + length;
    if w.strict() && w.pdus == 0 && end != w.end {
        return Step::REFUSE;
    }
    w.pdu_end = end;
    if reply {
        return answer(w, sub, unit);
    }
    let Some(command) = b.be32(at + 22) else { return short(w) };
    let command = digits(command);
    let kind = kind_of(b, command);
    if command == INVALID || (w.strict() && kind == Kind::UNLISTED.0) {
        return Step::REFUSE;
    }
    let mut found = op::<Slmp>(command, kind, Dir::Request, unit);
    if command == DEVICE_READ || command == DEVICE_WRITE {
        let name = b.be16(at + 30).unwrap_or(0) as u32;
        let code = if name & 0xFF == 0x2A { LETTERS[b.index::<31>(name >> 8)] as u32 } else { 0 };
        let high = digits(b.be32(at + 32).unwrap_or(0));
        let low = digits(b.be32(at + 34).unwrap_or(0));
        let points = digits(b.be32(at + 38).unwrap_or(0));
        if high != INVALID && low != INVALID && points != INVALID {
            let number = high << 8 | low & 0xFF;
            found.addr = code << 24 | if hexadecimal(code) { number } else { decimal(number) };
            found.span = points;
        }
    }
    w.push(found);
    Step::DONE
}

/// A number of six decimal digits, one in each half octet.
#[inline(always)]
fn decimal(digits: u32) -> u32 {
    (digits >> 20 & 15) * 100_000
        + (digits >> 16 & 15) * 10_000
        + (digits >> 12 & 15) * 1000
        + (digits >> 8 & 15) * 100
        + (digits >> 4 & 15) * 10
        + (digits & 15)
}

#[cfg(test)]
mod tests {
    use crate::flags;
    use crate::reason::Outcome;
    use crate::testing::{cuts, hex, tcp, udp};

    const READ: &str = "500000ffff03000c00040001040000640000a80500";
    const ANSWER: &str = "d00000ffff03000c0000002a002a002a002a002a00";

    #[test]
    fn binary_frames() {
        let s = tcp(38014, 5007, &hex(READ));
        assert_eq!((s.lines(), s.flags), (["slmp:0x0401 read request".into()].into(), 0));
        assert_eq!((s.ops[0].addr, s.ops[0].span, s.ops[0].unit), (0xA800_0064, 5, 0xFF));
        assert_eq!(tcp(5007, 38014, &hex(ANSWER)).lines(), ["slmp:0xd000 response response"]);
        let s = tcp(40000, 40001, &hex("500000ffff030008000400021000000100"));
        assert_eq!((s.lines(), s.flags), (["slmp:0x1002 control! request".into()].into(), flags::PORT_MISMATCH));
        let s = udp(40000, 40001, &hex("5400 0100 0000 00ff ff03 00 0a00 0400 0110 0000 0300 0200"));
        assert_eq!(s.lines(), ["slmp:0x1001 control! request"]);
        cuts(&hex(READ), &[], &|p| tcp(38014, 5007, p));
    }

    #[test]
    fn a_command_that_goes_on_in_the_next_segment() {
        let write =
            hex("500000ffff03002000 0400 0114 0000 640000 a8 0a00 00000000000000000000000000000000000000000000");
        let s = tcp(38014, 5007, &write[..20]);
        assert_eq!((s.outcome, s.flags), (Outcome::Continuation, flags::SPLIT));
        assert_eq!(tcp(38014, 5007, &write[..21]).lines(), ["slmp:0x1401 write! request"]);
    }

    #[test]
    fn ascii_frames() {
        let s = tcp(40000, 40001, b"500000FF03FF00001800040401".as_slice());
        assert_eq!(s.outcome, Outcome::NotOt);
        let s = tcp(40000, 5007, b"500000FF03FF000018000414010000D*0001000001");
        assert_eq!(s.lines(), ["slmp:0x1401 write! request"]);
        assert_eq!((s.ops[0].addr, s.ops[0].span), (0xA800_0064, 1));
        assert_eq!(tcp(5007, 40000, b"D00000FF03FF000008000012AB").lines(), ["slmp:0xd000 response response"]);
    }

    #[test]
    fn refusals() {
        assert_eq!(tcp(38014, 5007, b"5000 bananas, please").outcome, Outcome::Unparsed);
        let mut p = hex(READ);
        p[4] = 0xFE;
        assert_eq!(tcp(38014, 5007, &p).outcome, Outcome::Unparsed);
    }

    #[test]
    fn a_frame_hidden_behind_a_read() {
        let mut p = hex(READ);
        p[7] = 12 + 17;
        p.extend(hex("500000ffff030008000400021000000100"));
        let s = tcp(38014, 5007, &p);
        assert_eq!(s.paths(), ["slmp:0x0401", "slmp:0x1002"]);
        assert_ne!(s.flags & flags::LENGTH_LIE, 0);
    }
}
