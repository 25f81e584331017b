//! Lantronix device search and set-up over UDP.
//!
//! Source: public probes of the protocol. UDP 30718.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 3 | 0 |
//! | 3 | 1 | F6 to FF: F8 asks for the set-up record, F9 carries it |
//! | 4 | | data |
//!
//! The signature is weak (it was seen in a game's traffic): only on the port, and an answer has to come from it. A search is
//! four octets long. Function encoding: the fourth octet. Not parsed: records.

use core::fmt;

use super::{Binding, Protocol, Row, op};
use crate::bytes::Bytes;
use crate::op::Dir;
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Lantronix;

const PORT: u16 = 30718;
const LONGEST: u32 = 512;

functions! {
    FUNCTIONS, functions_rows, base 0;
    0xF6 "query firmware and identity" Discovery;
    0xF7 "identity reply" Response;
    0xF8 "get set-up record" Auth;
    0xF9 "set-up record reply" Response;
    0xFA "set set-up record" Config!;
}

impl Protocol for Lantronix {
    const NAME: &'static str = "lantronix";
    const TITLE: &'static str = "Lantronix device search and set-up";
    const BINDING: Binding = Binding { tcp: &[], udp: &[PORT], ethertypes: &[] };
    const WEAK: bool = true;

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let Some(head) = b.be32(off) else { return Step::REFUSE };
        let code = head & 0xFF;
        if head >> 8 != 0 || code < 0xF6 || w.end - off > LONGEST || w.strict() {
            return Step::REFUSE;
        }
        let query = code == 0xF6 || code == 0xF8;
        if query && w.end - off != 4 {
            return Step::REFUSE;
        }
        let dir = if code == 0xF7 || code == 0xF9 {
            Dir::Response
        } else if query {
            Dir::Request
        } else {
            w.port_dir()
        };
        w.push(op::<Lantronix>(code, FUNCTIONS[b.index::<0xFF>(code)], dir, 0));
        Step::DONE
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{function:#04x}")
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        functions_rows(each);
    }
}

#[cfg(test)]
mod tests {
    use crate::reason::Outcome;
    use crate::testing::{hex, udp};

    #[test]
    fn search_and_set_up() {
        assert_eq!(udp(40000, 30718, &hex("000000f8")).lines(), ["lantronix:0xf8 auth request"]);
        assert_eq!(udp(30718, 40000, &hex("000000f90011")).lines(), ["lantronix:0xf9 response response"]);
        assert_eq!(udp(40000, 30718, &hex("000000fa0011")).lines(), ["lantronix:0xfa config! request"]);
    }

    #[test]
    fn other_octets() {
        assert_eq!(udp(40000, 30718, &hex("000000f5")).outcome, Outcome::Unparsed);
        assert_eq!(udp(40000, 30718, &hex("0000f8")).outcome, Outcome::Unparsed);
        assert_eq!(udp(40000, 40001, &hex("000000f8")).outcome, Outcome::NotOt);
    }
}
