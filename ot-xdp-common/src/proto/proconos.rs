//! ProConOS controller runtime: engineering protocol and eCLR remoting over TCP.
//!
//! Source: public descriptions and probes of the protocol, and recorded traffic. TCP 20547 (ProConOS) and
//! 41100 (remoting of ProConOS eCLR controllers). Little endian.
//!
//! | off | size | field (20547) |
//! |---|---|---|
//! | 0 | 3 | CC 01 00 |
//! | 3 | 1 | command |
//! | 4 | 1 | flags: 40 request, C0 inside a session |
//! | 5 | 1 | sequence |
//! | 6 | 2 | length of the data |
//! | 8 | | data, then CRC 2 |
//!
//! | off | size | field (41100) |
//! |---|---|---|
//! | 0 | 2 | 01 00 |
//! | 2 | 1 | 0 open, 1 opened, 2 call, 3 reply |
//! | 3 | 1 | 0 |
//! | 4 | 2 | 0 |
//! | 6 | 2 | length of what follows the header of 16 octets |
//! | 8 | 4 | call: service 2, method 2 |
//!
//! Function encoding: command; for remoting its type, service << 8, method << 20, bit 31. Direction at 20547 from the port.
//! Not parsed: the CRC, arguments.

use core::fmt;

use super::{Binding, Protocol, Row, Sniff, op};
use crate::bytes::Bytes;
use crate::frame::TCP;
use crate::op::{Class, Dir, Kind};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Proconos;

const PORT: u16 = 20547;
const PORT_REMOTING: u16 = 41100;
const REMOTING: u32 = 1 << 31;
const COLD_START: u32 = REMOTING | 6 << 20 | 1 << 8 | 2;
const STOP: u32 = REMOTING | 7 << 20 | 1 << 8 | 2;
const QUERY: u32 = REMOTING | 3 << 20 | 3 << 8 | 2;

functions! {
    FUNCTIONS, functions_rows, base 0;
    0x01 "stop" Control!;
    0x04 "cold start" Control!;
    0x06 "set-up step before control (06)" Session;
    0x07 "set-up step before control (07)" Session;
    0x0B "runtime and project information" Discovery;
    0x0D "session open" Session;
    0x0F "CPU state query" Read;
    0x5B "set-up step with argument" Session;
}

#[inline(always)]
fn remoting<B: Bytes>(b: B, w: &mut Walk) -> Step {
    let off = w.off;
    let Some(head) = b.be32(off) else { return Step::REFUSE };
    let Some(length) = b.le32(off + 4) else { return Step::PARTIAL };
    if head >> 16 != 0x0100 || head & 0xFCFF != 0 || length & 0xFFFF != 0 {
        return Step::REFUSE;
    }
    w.pdu_end = off + 16 + (length >> 16);
    let kind = (head >> 8) & 3;
    let Some(call) = b.le32(off + 8) else { return Step::PARTIAL };
    let function = REMOTING | kind;
    if kind & 1 != 0 {
        w.push(op::<Proconos>(function, Kind::new(Class::Response, false).0, Dir::Response, 0));
    } else if kind == 0 {
        w.push(op::<Proconos>(function, Kind::new(Class::Session, false).0, Dir::Request, 0));
    } else {
        let function = function | (call & 0xFFF) << 8 | (call >> 16 & 0x7FF) << 20;
        let known = if function == COLD_START || function == STOP {
            Kind::new(Class::Control, true)
        } else if function == QUERY {
            Kind::new(Class::Read, false)
        } else {
            Kind::UNLISTED
        };
        w.push(op::<Proconos>(function, known.0, Dir::Request, 0));
    }
    Step::DONE
}

impl Protocol for Proconos {
    const NAME: &'static str = "proconos";
    const TITLE: &'static str = "ProConOS, ProConOS eCLR remoting (Phoenix Contact)";
    const BINDING: Binding = Binding { tcp: &[PORT, PORT_REMOTING], udp: &[], ethertypes: &[] };
    const SNIFF: &'static [Sniff] = &[Sniff { l4: TCP, mask: 0xFFFF_FF00, value: 0xCC01_0000 }];
    const WEAK: bool = true;

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let Some(head) = b.be32(off) else { return Step::REFUSE };
        if head >> 8 != 0x00CC_0100 {
            return if w.strict() { Step::REFUSE } else { remoting(b, w) };
        }
        let Some(rest) = b.be32(off + 4) else { return Step::PARTIAL };
        w.pdu_end = off + 10 + (rest as u16).swap_bytes() as u32;
        if w.strict() && (w.pdu_end != w.end || rest >> 24 & 0x40 == 0) {
            return Step::REFUSE;
        }
        let code = head as u8;
        w.push(op::<Proconos>(code as u32, FUNCTIONS[code as usize], w.port_dir(), 0));
        Step::DONE
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "0x{:02x}", function & 0xFF)
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        functions_rows(each);
        let mut row = |function, name, class, state_changing| each(Row { function, name, class, state_changing });
        row(REMOTING, "remoting: open a service", Class::Session, false);
        row(COLD_START, "remoting: cold start", Class::Control, true);
        row(STOP, "remoting: stop", Class::Control, true);
        row(QUERY, "remoting: variable or state query", Class::Read, false);
    }
}

#[cfg(test)]
mod tests {
    use crate::reason::Outcome;
    use crate::testing::{hex, tcp};

    #[test]
    fn runtime_commands() {
        assert_eq!(tcp(40000, 20547, &hex("cc01000b400200004711")).lines(), ["proconos:0x0b discovery request"]);
        assert_eq!(tcp(40000, 20547, &hex("cc010001c00200004711")).lines(), ["proconos:0x01 control! request"]);
        assert_eq!(tcp(40000, 20547, &hex("cc02000b400200004711")).outcome, Outcome::Unparsed);
    }

    #[test]
    fn remoting_calls() {
        let ask = hex("01000200000006000100030000000000010000000240");
        assert_eq!(tcp(40000, 41100, &ask).lines(), ["proconos:0x02 unknown! request"]);
        let stop = hex("01000200000006000100070000000000010000000240");
        assert_eq!(tcp(40000, 41100, &stop).lines(), ["proconos:0x02 control! request"]);
        assert_eq!(tcp(40000, 41100, &stop[..7]).ops.len(), 0);
    }
}
