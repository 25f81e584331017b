//! Red Lion Crimson 3: engineering protocol of operator panels over TCP.
//!
//! Source: the two public probes of the protocol. TCP 789. Big endian.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 2 | length of what follows |
//! | 2 | 2 | register |
//!
//! Only the registers 012A and 012B are public. Any other one is named on the port when its first octet is 01 and the length
//! is exact, with the class unknown. Function encoding: register. Direction from the port.

use core::fmt;

use super::{Binding, Protocol, Row, Sniff, op};
use crate::bytes::Bytes;
use crate::frame::TCP;
use crate::op::{Dir, Kind};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Crimson;

const PORT: u16 = 789;

functions! {
    /// By the low octet of the register.
    FUNCTIONS, functions_rows, base 0x100;
    0x2A "read model" Discovery;
    0x2B "read manufacturer" Discovery;
}

impl Protocol for Crimson {
    const NAME: &'static str = "crimson";
    const TITLE: &'static str = "Red Lion Crimson 3";
    const BINDING: Binding = Binding { tcp: &[PORT], udp: &[], ethertypes: &[] };
    const SNIFF: &'static [Sniff] = &[Sniff { l4: TCP, mask: 0xFFFF_FFFE, value: 0x0004_012A }];
    const WEAK: bool = true;

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let Some(head) = b.be32(off) else { return Step::REFUSE };
        let (length, register) = (head >> 16, head & 0xFFFF);
        if register >> 8 != 1 || length < 2 {
            return Step::REFUSE;
        }
        w.pdu_end = off + 2 + length;
        let kind = FUNCTIONS[b.index::<0xFF>(register)];
        let known = kind != Kind::UNLISTED.0;
        if (!known && w.pdu_end != w.end) || (w.strict() && (!known || w.pdu_end != w.end)) {
            return Step::REFUSE;
        }
        let dir = if w.strict() { Dir::Request } else { w.port_dir() };
        w.push(op::<Crimson>(register, kind, dir, 0));
        Step::DONE
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{function:#x}")
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
    fn manufacturer_and_model() {
        assert_eq!(tcp(40000, 789, &hex("0004012b1b00")).lines(), ["crimson:0x12b discovery request"]);
        assert_eq!(tcp(789, 40000, &hex("000a012a0300473330366100")).lines(), ["crimson:0x12a discovery response"]);
        assert_eq!(tcp(40000, 789, &hex("000401501b00")).lines(), ["crimson:0x150 unknown! request"]);
    }

    #[test]
    fn other_octets() {
        assert_eq!(tcp(40000, 789, &hex("000501501b00")).outcome, Outcome::Unparsed);
        assert_eq!(tcp(40000, 789, &hex("0004022b1b00")).outcome, Outcome::Unparsed);
        assert_eq!(tcp(40000, 789, &hex("000401")).ops.len(), 0);
    }
}
