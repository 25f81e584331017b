//! Genisys: railway interlocking code line over TCP.
//!
//! Source: the public description of the Genisys protocol, and recorded traffic. TCP 10001 (10002 seen in use).
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 1 | header character F1 to F3 (from the field unit) or F9 to FE (to it) |
//! | 1 | 1 | station address |
//! | 2 | | pairs of index and value, then a CRC 2 little endian (not in F1, and not in plain polls) |
//! | end - 1 | 1 | F6 |
//!
//! Between header and F6 the octet F0 escapes: the next octet's low nibble makes F0 to FF. The CRC is CRC-16 with the
//! polynomial of Modbus and the initial value FFFF over everything before it, without escapes. A CRC octet F0 may stand
//! unescaped in front of F6.
//!
//! Function encoding: header character. Not parsed: index and value pairs; messages longer than 256 octets.

use core::fmt;

use super::{Binding, Protocol, Row, op};
use crate::bytes::Bytes;
use crate::op::{Dir};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Genisys;

const PORT: u16 = 10001;
const PORT_SECOND: u16 = 10002;
const END: u8 = 0xF6;
const ESCAPE: u32 = 0xF0;
const LONGEST: u32 = 256;
const ACKNOWLEDGE: u8 = 0xF1;
const POLL: u8 = 0xFB;

functions! {
    FUNCTIONS, functions_rows, base 0;
    0xF1 "acknowledge client" Response;
    0xF2 "indication data" Read;
    0xF3 "control data checkback" Response;
    0xF9 "common control data" Control!;
    0xFA "acknowledge indication and poll" Read;
    0xFB "poll" Read;
    0xFC "control data" Control!;
    0xFD "recall header" Read;
    0xFE "execute controls" Control!;
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

impl Protocol for Genisys {
    const NAME: &'static str = "genisys";
    const TITLE: &'static str = "Genisys (railway signalling)";
    const BINDING: Binding = Binding { tcp: &[PORT, PORT_SECOND], udp: &[], ethertypes: &[] };
    const WEAK: bool = true;

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let Some(code) = b.u8(off) else { return Step::REFUSE };
        if code < 0xF1 || code == 0xFF || (code > 0xF3 && code < 0xF9) || w.strict() {
            return Step::REFUSE;
        }
        let Some(station) = b.u8(off + 1) else { return Step::PARTIAL };
        let mut crc = CRC_TABLE[(code ^ 0xFF) as usize] ^ 0xFF;
        let mut escaped = 0;
        let mut length = 0;
        for n in 1..LONGEST {
            let Some(octet) = b.u8(off + n) else { return Step::PARTIAL };
            if octet == END {
                length = n + 1;
                break;
            }
            let mut value = octet as u32;
            if value == ESCAPE && escaped == 0 && b.u8(off + n + 1) != Some(END) {
                escaped = ESCAPE;
                continue;
            }
            value |= escaped;
            escaped = 0;
            crc = crc >> 8 ^ CRC_TABLE[b.index::<0xFF>(crc as u32 ^ value)];
        }
        let plain = length == 3 && (code == ACKNOWLEDGE || code == POLL);
        if length == 0 || (!plain && (crc != 0 || length < 5)) {
            return Step::REFUSE;
        }
        w.pdu_end = off + length;
        let dir = if code <= 0xF3 { Dir::Response } else { Dir::Request };
        w.push(op::<Genisys>(code as u32, FUNCTIONS[code as usize], dir, station as u32));
        Step::DONE
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "0x{function:02x}")
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        functions_rows(each);
    }
}

#[cfg(test)]
mod tests {
    use crate::reason::Outcome;
    use crate::testing::{hex, tcp};

    #[test]
    fn poll_acknowledge_and_two_in_a_segment() {
        assert_eq!(tcp(40000, 10001, &hex("fb018340f6")).lines(), ["genisys:0xfb read request"]);
        assert_eq!(tcp(10001, 40000, &hex("f101f6")).lines(), ["genisys:0xf1 response response"]);
        let two = tcp(40000, 10001, &hex("fb018340f6fd0180e0f6"));
        assert_eq!(two.paths(), ["genisys:0xfb", "genisys:0xfd"]);
    }

    #[test]
    fn a_wrong_crc_is_not_genisys() {
        assert_eq!(tcp(40000, 10001, &hex("fb018341f6")).outcome, Outcome::Unparsed);
        assert_eq!(tcp(40000, 10001, &hex("fffd06")).outcome, Outcome::Unparsed);
        assert_eq!(tcp(40000, 10001, &hex("fd0180")).ops.len(), 0);
    }
}
