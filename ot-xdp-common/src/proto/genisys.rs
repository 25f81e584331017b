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
use crate::op::Dir;
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Genisys;

const PORT: u16 = 10001;
const PORT_SECOND: u16 = 10002;
const END: u8 = 0xF6;
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

/// 1 for the escape character.
static IS_ESCAPE: [u8; 256] = {
    let mut t = [0; 256];
    t[0xF0] = 1;
    t
};

/// The CRC after one more octet.
#[inline(always)]
fn update<B: Bytes>(crc: u32, octet: u32, b: B) -> u32 {
    crc >> 8 ^ CRC_TABLE[b.index::<0xFF>(crc ^ octet)] as u32
}

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
        // Without branches but for the two ways out: the verifier follows every path through every octet.
        let mut crc = update(0xFFFF, code as u32, b);
        let (mut last, mut escaped) = (crc, 0);
        let mut length = 0;
        for n in 1..LONGEST {
            let Some(octet) = b.u8(off + n) else { return Step::PARTIAL };
            if octet == END {
                length = n + 1;
                break;
            }
            // `last` takes an escape as an octet of its own: so it was, when the end follows.
            last = update(crc, octet as u32 | (0u32.wrapping_sub(escaped) & 0xF0), b);
            let escape = IS_ESCAPE[octet as usize] as u32 & !escaped;
            crc ^= (crc ^ last) & escape.wrapping_sub(1);
            escaped = escape;
        }
        let plain = length == 3 && (code == ACKNOWLEDGE || code == POLL);
        if length == 0 || (!plain && (last & 0xFFFF != 0 || length < 5)) {
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
