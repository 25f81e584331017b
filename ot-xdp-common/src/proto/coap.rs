//! CoAP: constrained application protocol over UDP.
//!
//! Source: RFC 7252 cl. 3 (message format) and 12.1 (codes); RFC 8132 (FETCH, PATCH). Port 5683. Big endian.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 1 | version 1 (2 bits), type (2 bits), token length 0 to 8 |
//! | 1 | 1 | code: class (3 bits), detail (5 bits) |
//! | 2 | 2 | message id |
//! | 4 | | token, options, FF and payload |
//!
//! Function encoding: the code. Ten bits of signature: only on its port. Not parsed: options, CoAP over TCP.

use core::fmt;

use super::{Binding, Protocol, Row, op};
use crate::bytes::Bytes;
use crate::op::{Class, Dir};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Coap;

const HEAD: u32 = 4;
const TOKEN_MAX: u32 = 8;
/// Marks the payload.
const PAYLOAD: u32 = 0xFF;

functions! {
    CODES, code_rows, base 0;
    0x00 "Empty" Session;
    0x01 "GET" Read;
    0x02 "POST" Write!;
    0x03 "PUT" Write!;
    0x04 "DELETE" Config!;
    0x05 "FETCH" Read;
    0x06 "PATCH" Write!;
    0x07 "iPATCH" Write!;
}

/// Directions by the class of a code; 1, 3 and 6 are reserved, 7 is signalling and only over TCP.
static CLASSES: [Dir; 8] =
    [Dir::Request, Dir::Unknown, Dir::Response, Dir::Unknown, Dir::Response, Dir::Response, Dir::Unknown, Dir::Unknown];

impl Protocol for Coap {
    const NAME: &'static str = "coap";
    const TITLE: &'static str = "CoAP (RFC 7252)";
    const BINDING: Binding = Binding { tcp: &[], udp: &[5683], ethertypes: &[] };
    const WEAK: bool = true;

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let Some(head) = b.be32(off) else { return Step::REFUSE };
        let token = head >> 24 & 0xF;
        let code = head >> 16 & 0xFF;
        let dir = CLASSES[b.index::<7>(code >> 5)];
        let length = w.end - off;
        if w.strict() || head >> 30 != 1 || token > TOKEN_MAX || matches!(dir, Dir::Unknown) || length < HEAD + token {
            return Step::REFUSE;
        }
        // An empty message is its header; no option has the nibble 15.
        let next = b.u8(off + HEAD + token).unwrap_or(0) as u32;
        if (code == 0 && length != HEAD) || (next != PAYLOAD && (next >> 4 == 15 || next & 15 == 15)) {
            return Step::REFUSE;
        }
        let response = matches!(dir, Dir::Response);
        let dir = if code == 0 { w.port_dir() } else { dir };
        let kind = if response { Class::Response as u8 } else { CODES[b.index::<0xFF>(code)] };
        w.pdu_end = w.end;
        w.push(op::<Coap>(code, kind, dir, 0));
        Step::DONE
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{}.{:02}", function >> 5 & 7, function & 31)
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        code_rows(each);
        for (function, name) in [(0x40, "Success"), (0x80, "Client error"), (0xA0, "Server error")] {
            each(Row { function, name, class: Class::Response, state_changing: false });
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::reason::Outcome;
    use crate::testing::{cuts, hex, udp};

    const PUT: &str = "4203123401 02b56c69676874ff31";

    #[test]
    fn methods_and_answers() {
        let s = udp(40000, 5683, &hex(PUT));
        assert_eq!((s.lines(), s.flags), (["coap:0.03 write! request".into()].into(), 0));
        assert_eq!(udp(5683, 40000, &hex("624412340102")).lines(), ["coap:2.04 response response"]);
        assert_eq!(udp(40000, 5683, &hex("40001234")).lines(), ["coap:0.00 session request"]);
        cuts(&hex(PUT), &[], &|p| udp(40000, 5683, p));
    }

    #[test]
    fn refusals() {
        assert_eq!(udp(40000, 40001, &hex(PUT)).outcome, Outcome::NotOt);
        assert_eq!(udp(40000, 5683, &hex("8203123401 02b56c")).outcome, Outcome::Unparsed);
    }
}
