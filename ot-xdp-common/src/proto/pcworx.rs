//! PCWorx: engineering protocol of Phoenix Contact inline controllers over TCP.
//!
//! Source: public probes of the protocol, and recorded traffic. TCP 1962. Big endian.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 1 | 01 request, 81 response |
//! | 1 | 1 | command |
//! | 2 | 2 | length of the whole PDU |
//!
//! The signature is weak (Microsoft's TDS begins alike): only on the port, and the type has to fit the side that sends.
//! Function encoding: type, command << 8. Not parsed: everything behind the command.

use core::fmt;

use super::{Binding, Protocol, Row, op};
use crate::bytes::Bytes;
use crate::op::{Class, Dir, Kind};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Pcworx;

const PORT: u16 = 1962;
const REQUEST: u8 = 0x01;
const RESPONSE: u8 = 0x81;

functions! {
    FUNCTIONS, functions_rows, base 0;
    0x01 "session init" Session;
    0x05 "session set-up, second step" Session;
    0x06 "device information" Discovery;
}

impl Protocol for Pcworx {
    const NAME: &'static str = "pcworx";
    const TITLE: &'static str = "PCWorx (Phoenix Contact)";
    const BINDING: Binding = Binding { tcp: &[PORT], udp: &[], ethertypes: &[] };
    const WEAK: bool = true;

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let Some(head) = b.be32(off) else { return Step::REFUSE };
        let (kind, code) = ((head >> 24) as u8, (head >> 16) as u8);
        let length = head & 0xFFFF;
        let dir = w.port_dir();
        let fits =
            (kind == REQUEST && matches!(dir, Dir::Request)) || (kind == RESPONSE && matches!(dir, Dir::Response));
        if !fits || length < 8 {
            return Step::REFUSE;
        }
        w.pdu_end = off + length;
        let table = FUNCTIONS[code as usize];
        let class = if kind == RESPONSE { Kind::new(Class::Response, false).0 } else { table };
        w.push(op::<Pcworx>(kind as u32 | (code as u32) << 8, class, dir, 0));
        Step::DONE
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "0x{:02x}", function & 0xFF)
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        functions_rows(&mut |r| each(Row { function: r.function << 8 | REQUEST as u32, ..r }));
    }
}

#[cfg(test)]
mod tests {
    use crate::reason::Outcome;
    use crate::testing::{hex, tcp};

    #[test]
    fn information_and_its_answer() {
        let ask = hex("0106000e000cac660000004c0400");
        assert_eq!(tcp(40000, 1962, &ask).lines(), ["pcworx:0x01 discovery request"]);
        let answer = hex("81050012000b00010000000000020000004c");
        assert_eq!(tcp(1962, 40000, &answer).lines(), ["pcworx:0x81 response response"]);
    }

    #[test]
    fn the_wrong_side_or_too_little() {
        let ask = hex("0106000e000cac660000004c0400");
        assert_eq!(tcp(1962, 1433, &ask).outcome, Outcome::Unparsed);
        assert_eq!(tcp(40000, 1962, &ask[..3]).ops.len(), 0);
    }
}
