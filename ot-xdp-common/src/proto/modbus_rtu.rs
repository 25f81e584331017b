//! Modbus RTU framing over TCP: what a serial gateway passes on, without an MBAP header.
//!
//! Source: Modbus over Serial Line V1.02, cl. 2.5.1 (RTU framing: unit, function, data, CRC) and 6.2.2 (CRC); Modbus
//! Application Protocol V1.1b3, cl. 6 (lengths of the functions). Port 502 where devices speak it there, otherwise any.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 1 | unit |
//! | 1 | 1 | function code; bit 7 marks an exception response |
//! | 2 | | data |
//! | end - 2 | 2 | CRC of everything in front of it, low octet first |
//!
//! Reached from [`super::modbus`] for what is no MBAP header, and gives back what is no RTU frame. The frame has no
//! length of its own: the function's rule says it, and the CRC has to agree. Off the port the MBAP header is judged here,
//! too: what that takes is not verified and not paid for on the port. Operations are those of Modbus. Not parsed:
//! frames that are cut in front of their CRC; functions without a rule for their length.

use core::fmt;

use super::modbus::{AT_LEAST, DIRS, LATER, Modbus, NO, REQUEST, RESPONSE, operation, shape, strong, wanted};
use super::{Binding, Number, Protocol, Row};
use crate::bytes::Bytes;
use crate::limits::STEPS;
use crate::op::Dir;
use crate::walk::{Step, Walk};

/// See the module head.
pub struct ModbusRtu;

/// Octets that MBAP has in front of the unit id.
const MBAP: u32 = 6;
const CRC: u32 = 2;
/// Longest frame.
const FRAME_MAX: u32 = 256;
/// Shortest frame: unit, function, CRC.
const FRAME_MIN: u32 = 4;

/// CRC of one octet: polynomial 0x8005, reflected 0xA001.
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

impl Protocol for ModbusRtu {
    const NAME: &'static str = "modbus_rtu";
    const TITLE: &'static str = "Modbus RTU framing over TCP (named as modbus)";
    const BINDING: Binding = Binding { tcp: &[], udp: &[], ethertypes: &[] };
    const TURNS: u32 = STEPS;

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let rest = w.end - off;
        let Some(head) = b.be16(off) else { return back(w) };
        let code = head as u8;
        let (ask, answer) = (REQUEST[b.index::<0xFF>(head as u32)], RESPONSE[b.index::<0xFF>(head as u32)]);
        let mut dir = w.port_dir();
        let size = if w.strict() {
            let told = mbap(b, w);
            if told != NO {
                w.push(operation(b, off + 7, b.u8(off + 7).unwrap_or(0), DIRS[b.index::<3>(told)], unit(b, off + 6)));
                return Step::DONE;
            }
            if rest < FRAME_MIN {
                return Step::REFUSE;
            }
            let told = shape(b.until(w.end - CRC), off, code, rest - CRC, MBAP);
            if told == NO || ask >> 8 == AT_LEAST {
                return Step::REFUSE;
            }
            dir = DIRS[b.index::<3>(told)];
            rest
        } else {
            let rule = if matches!(dir, Dir::Response) { answer } else { ask };
            let want = wanted(b, off, rule, MBAP);
            if rule == 0 || want == LATER {
                return back(w);
            }
            if rule >> 8 == AT_LEAST { rest } else { want + CRC }
        };
        if size > rest || !(FRAME_MIN..=FRAME_MAX).contains(&size) {
            return back(w);
        }
        if !intact(b, off, size) {
            return back(w);
        }
        w.pdu_end = off + size;
        w.push(operation(b, off + 1, code, dir, (head >> 8) as u32));
        Step::DONE
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        Modbus::path(function, out)
    }

    fn rows(_: &mut dyn FnMut(Row)) {}
}

#[inline(always)]
fn unit<B: Bytes>(b: B, at: u32) -> u32 {
    b.u8(at).unwrap_or(0) as u32
}

/// Off the port: an MBAP header with everything that the specification fixes.
#[inline(always)]
fn mbap<B: Bytes>(b: B, w: &mut Walk) -> u32 {
    let Some(head) = b.be64(w.off) else { return NO };
    if (head >> 32) & 0xFFFF != 0 {
        return NO;
    }
    w.pdu_end = w.off + MBAP + ((head >> 16) & 0xFFFF) as u32;
    strong(b, w, head)
}

/// No RTU frame: MBAP decides.
#[inline(always)]
fn back(w: &mut Walk) -> Step {
    let (at, end) = (w.off, w.end);
    w.inner(Modbus::NUMBER, at, end)
}

/// Does the CRC over all octets, the CRC among them, come to zero? Eight octets a load: the verifier follows each.
#[inline(always)]
fn intact<B: Bytes>(b: B, off: u32, size: u32) -> bool {
    let mut crc = 0xFFFFu32;
    let whole = size / 8;
    for i in 0..FRAME_MAX / 8 {
        if i >= whole {
            break;
        }
        let Some(word) = b.be64(off + 8 * i) else { return false };
        for n in 0..8 {
            crc = more(b, crc, (word >> (56 - 8 * n)) as u32 & 0xFF);
        }
    }
    for i in 0..7 {
        if i >= size % 8 {
            break;
        }
        let Some(octet) = b.u8(off + 8 * whole + i) else { return false };
        crc = more(b, crc, octet as u32);
    }
    crc == 0
}

#[inline(always)]
fn more<B: Bytes>(b: B, crc: u32, octet: u32) -> u32 {
    let at = b.index::<0xFF>(crc ^ octet);
    crc >> 8 ^ CRC_TABLE.get(at).copied().unwrap_or(0) as u32
}

#[cfg(test)]
mod tests {
    use crate::flags;
    use crate::reason::Outcome;
    use crate::testing::{cuts, hex, tcp};

    const READ: &str = "01 03 0000 000a c5cd";
    const VALUES: &str = "01 03 04 0001 0002 2a32";
    const WRITE: &str = "11 06 0001 0003 9a9b";
    const FAILED: &str = "0a 81 02 b053";

    #[test]
    fn on_the_port_of_modbus() {
        let s = tcp(40000, 502, &hex(READ));
        assert_eq!((s.lines(), s.flags), (["modbus:3 read request".into()].into(), 0));
        assert_eq!((s.ops[0].unit, s.ops[0].addr, s.ops[0].span), (1, 0, 10));
        assert_eq!(tcp(502, 40000, &hex(VALUES)).lines(), ["modbus:3 read response"]);
        assert_eq!(tcp(40000, 502, &hex(WRITE)).lines(), ["modbus:6 write! request"]);
        assert_eq!(tcp(502, 40000, &hex(FAILED)).paths(), ["modbus:1!2"]);
        let s = tcp(40000, 502, &hex(&[READ, WRITE].concat()));
        assert_eq!((s.paths(), s.flags), (["modbus:3".into(), "modbus:6".into()].into(), flags::PIPELINED));
    }

    /// Two registers from 0 on: as MBAP it would be a request of another function.
    #[test]
    fn the_crc_decides_between_the_framings() {
        assert_eq!(tcp(40000, 502, &hex("01 03 0000 0002 c40b")).paths(), ["modbus:3"]);
        assert_eq!(tcp(40000, 502, &hex("01 03 0000 0002 c40c")).paths(), ["modbus:12"]);
    }

    #[test]
    fn what_is_no_frame_stays_unparsed() {
        let mut near = hex(WRITE);
        near[7] ^= 1;
        assert_eq!(tcp(40000, 502, &near).outcome, Outcome::Unparsed);
        // Off its port a frame alone is not named.
        assert_eq!(tcp(40000, 40101, &hex(READ)).outcome, Outcome::NotOt);
        cuts(&hex(WRITE), &[], &|p| tcp(40000, 502, p));
    }
}
