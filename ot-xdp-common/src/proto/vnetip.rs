//! Yokogawa Vnet/IP over UDP.
//!
//! Source: none that describes the header: it is not public. UDP 5313, from and to that port.
//!
//! This is the weakest recognition of all: the content cannot be checked. A datagram is named only when both ports are 5313,
//! which a client's changing port never is, and when it is not text. Class unknown. Function encoding: always 0. Not parsed:
//! everything.

use core::fmt;

use super::{Binding, Protocol, Row, op};
use crate::bytes::Bytes;
use crate::op::{Dir, Kind};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Vnetip;

const PORT: u16 = 5313;
const BOTH: u32 = (PORT as u32) << 16 | PORT as u32;
/// Octets of the UDP header, in front of the payload.
const UDP_HEADER: u32 = 8;
/// Nothing shorter can hold a header.
const SHORTEST: u32 = 8;

impl Protocol for Vnetip {
    const NAME: &'static str = "vnetip";
    const TITLE: &'static str = "Yokogawa Vnet/IP";
    const BINDING: Binding = Binding { tcp: &[], udp: &[PORT], ethertypes: &[] };
    const WEAK: bool = true;

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let Some(first) = b.be32(off) else { return Step::REFUSE };
        let Some(ports) = b.be32(off.wrapping_sub(UDP_HEADER)) else { return Step::REFUSE };
        let text = first & 0x8080_8080 == 0 && first & 0x6000_0000 != 0 && first & 0x0060_6060 != 0;
        if ports != BOTH || w.end - off < SHORTEST || text || w.strict() {
            return Step::REFUSE;
        }
        w.push(op::<Vnetip>(0, Kind::UNLISTED.0, Dir::Unknown, 0));
        Step::DONE
    }

    fn path(_function: u32, _out: &mut dyn fmt::Write) -> fmt::Result {
        Ok(())
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        each(Row {
            function: 0,
            name: "Vnet/IP message, content not public",
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
    fn both_ports() {
        let message = hex("0001020304050607");
        assert_eq!(udp(5313, 5313, &message).lines(), ["vnetip: unknown! -"]);
        assert_eq!(udp(40000, 5313, &message).outcome, Outcome::Unparsed);
        assert_eq!(udp(5313, 5313, b"GET / HTTP/1.1").outcome, Outcome::Unparsed);
        assert_eq!(udp(5313, 5313, &message[..4]).outcome, Outcome::Unparsed);
    }
}
