//! Emerson DeltaV controller network over UDP.
//!
//! Source: a public study of recorded traffic. UDP 18507. Big endian.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 2 | FA CE |
//! | 2 | 2 | length of the payload |
//! | 4 | 2 | message type |
//! | 6 | | sender, receiver, payload |
//!
//! The meaning of the types is not public: class unknown. The length of the header is not known for sure: 4 to 32 octets are
//! accepted. Function encoding: message type. Not parsed: everything else.

use core::fmt;

use super::{Binding, Protocol, Row, op};
use crate::bytes::Bytes;
use crate::op::Kind;
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Deltav;

const PORT: u16 = 18507;

impl Protocol for Deltav {
    const NAME: &'static str = "deltav";
    const TITLE: &'static str = "Emerson DeltaV";
    const BINDING: Binding = Binding { tcp: &[], udp: &[PORT], ethertypes: &[] };
    const WEAK: bool = true;

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let Some(head) = b.be32(off) else { return Step::REFUSE };
        let Some(code) = b.be16(off + 4) else { return Step::REFUSE };
        let rest = (w.end - off).wrapping_sub(head & 0xFFFF);
        if head >> 16 != 0xFACE || !(4..=32).contains(&rest) || w.strict() {
            return Step::REFUSE;
        }
        w.push(op::<Deltav>(code as u32, Kind::UNLISTED.0, w.port_dir(), 0));
        Step::DONE
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{function:#06x}")
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        each(Row {
            function: 0,
            name: "DeltaV message, content not public",
            class: crate::op::Class::Unknown,
            state_changing: true,
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::reason::Outcome;
    use crate::testing::{hex, udp};

    #[test]
    fn named_without_a_class() {
        let message = hex("face000200030000000000000000000000000000aabb");
        let message = &message[..18];
        assert_eq!(udp(40000, 18507, message).lines(), ["deltav:0x0003 unknown! request"]);
        assert_eq!(udp(40000, 18507, &message[..5]).outcome, Outcome::Unparsed);
        assert_eq!(udp(40000, 18507, &hex("facf00020003000000000000000000000000")).outcome, Outcome::Unparsed);
    }
}
