//! Moxa device search and configuration over UDP.
//!
//! Source: public probes of the protocol, and recorded answers. UDP 4800. Big endian.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 1 | command; bit 7: response |
//! | 1 | 1 | status |
//! | 2 | 2 | length of the datagram |
//! | 4 | 4 | 0 in a search |
//! | 8 | | model, MAC address, data |
//!
//! Function encoding: command, bit 7 as in the frame. Not parsed: everything behind the header.

use core::fmt;

use super::{Binding, Protocol, Row, op};
use crate::bytes::Bytes;
use crate::op::{Class, Dir, Kind};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Moxa;

const PORT: u16 = 4800;
const HEAD: u32 = 8;
const LONGEST: u32 = 1024;

functions! {
    FUNCTIONS[128], functions_rows, base 0;
    0x01 "identify" Discovery;
    0x10 "get server name" Discovery;
    0x14 "get network activity" Read;
    0x16 "unlock (5110, MGate)" Auth;
    0x1A "get date and time" Read;
    0x1B "get time server" Read;
    0x1E "unlock (6xxx)" Auth;
    0x28 "get SNMP community" Auth;
    0x29 "get administrator password" Auth;
    0x2C "get all credentials" Auth;
}

impl Protocol for Moxa {
    const NAME: &'static str = "moxa";
    const TITLE: &'static str = "Moxa device search and configuration";
    const BINDING: Binding = Binding { tcp: &[], udp: &[PORT], ethertypes: &[] };
    const WEAK: bool = true;

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let Some(head) = b.be32(off) else { return Step::REFUSE };
        let size = w.end - off;
        let code = head >> 24;
        let response = code & 0x80 != 0;
        if head & 0xFFFF != size || !(HEAD..=LONGEST).contains(&size) || w.strict() {
            return Step::REFUSE;
        }
        // A request has no status; codes of one octet without any meaning yet stay below 40 hexadecimal.
        if (!response && head >> 16 & 0xFF != 0) || code & 0x7F == 0 || code & 0x40 != 0 {
            return Step::REFUSE;
        }
        if response {
            w.push(op::<Moxa>(code, Kind::new(Class::Response, false).0, Dir::Response, 0));
        } else {
            w.push(op::<Moxa>(code, FUNCTIONS[b.index::<0x7F>(code)], Dir::Request, 0));
        }
        Step::DONE
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{function:#04x}")
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        functions_rows(each);
        each(Row { function: 0x81, name: "identify response", class: Class::Response, state_changing: false });
    }
}

#[cfg(test)]
mod tests {
    use crate::reason::Outcome;
    use crate::testing::{hex, udp};

    #[test]
    fn search_answer_and_change() {
        assert_eq!(udp(40000, 4800, &hex("0100000800000000")).lines(), ["moxa:0x01 discovery request"]);
        let answer = hex("810000180000000004511080045100 90e81234560a000001".replace(' ', "").as_str());
        assert_eq!(udp(4800, 40000, &answer).lines(), ["moxa:0x81 response response"]);
        assert_eq!(udp(40000, 4800, &hex("3000000800000000")).lines(), ["moxa:0x30 unknown! request"]);
    }

    #[test]
    fn wrong_length() {
        assert_eq!(udp(40000, 4800, &hex("0100000900000000")).outcome, Outcome::Unparsed);
        assert_eq!(udp(40000, 4800, &hex("01000008000000")).outcome, Outcome::Unparsed);
    }
}
