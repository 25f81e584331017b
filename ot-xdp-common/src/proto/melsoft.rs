//! Mitsubishi MELSOFT: the engineering protocol of MELSEC controllers (direct connection), TCP and UDP.
//!
//! The layout is not published; what is here was seen in traffic of engineering stations. TCP 5001, 5006, 5007 and 5562,
//! UDP 5006, 5007 and 5560 (search). Little endian.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 1 | 57 request, D7 reply; UDP search: 5A request, DA reply |
//! | 1 | 1 | 00 or 01 |
//! | 5 | 2 | 11 11 |
//! | 19 | 2 | length of what follows |
//! | 21 | 1 | 1C request, 9C reply |
//! | 23 | 2 | 0A 08: the old header, with a command in octets 33 and 34 |
//!
//! Function encoding: first octet | command << 8 for the one command that is known (0101, read the CPU model). Not
//! parsed: everything else; the other commands are not publicly known and have class unknown.

use core::fmt;

use super::{Binding, Protocol, Row, Sniff, op};
use crate::bytes::Bytes;
use crate::op::{Dir, Kind};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Melsoft;

const REQUEST: u32 = 0x57;
const REPLY: u32 = 0xD7;
const SEARCH: u32 = 0x5A;
const SEARCH_REPLY: u32 = 0xDA;
/// Octets in front of what the length counts.
const HEAD: u32 = 21;
const MODEL: u32 = 0x0101;

functions! {
    FRAMES, frame_rows, base 0;
    0x57 "MELSOFT request" Unknown!;
    0xD7 "MELSOFT reply" Response;
    0x5A "MELSOFT search" Discovery;
    0xDA "MELSOFT search reply" Response;
}

functions! {
    COMMANDS, command_rows, base REQUEST;
    0x01 "Read CPU model" Discovery;
}

impl Protocol for Melsoft {
    const NAME: &'static str = "melsoft";
    const TITLE: &'static str = "MELSOFT (MELSEC engineering)";
    const BINDING: Binding = Binding { tcp: &[5001, 5006, 5007, 5562], udp: &[5006, 5007, 5560], ethertypes: &[] };
    const SNIFF: &'static [Sniff] = &[
        Sniff { l4: 0, mask: 0xFFFE_0000, value: 0x5700_0000 },
        Sniff { l4: 0, mask: 0xFFFE_0000, value: 0xD700_0000 },
    ];

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let Some(head) = b.be32(off) else { return Step::REFUSE };
        let code = head >> 24;
        if code == SEARCH || code == SEARCH_REPLY {
            return search(w, head);
        }
        if (code != REQUEST && code != REPLY) || head & 0x00FE_0000 != 0 {
            return Step::REFUSE;
        }
        let Some(fixed) = b.be32(off + 4) else { return short(w) };
        if fixed >> 8 != 0x1111 {
            return Step::REFUSE;
        }
        let Some(length) = b.le32(off + 19) else { return short(w) };
        let mark = length >> 16 & 0xFF;
        if mark != if code == REQUEST { 0x1C } else { 0x9C } {
            return Step::REFUSE;
        }
        w.pdu_end = off + HEAD + (length & 0xFFFF);
        let mut kind = FRAMES[b.index::<0xFF>(code)];
        let mut function = code;
        if code == REQUEST {
            let form = b.be16(off + 23).unwrap_or(0);
            let command = match b.be16(off + 33) {
                Some(command) => command as u32,
                // It comes with the next segment.
                None if w.pdu_end > w.end && w.pdu_end >= off + 35 => return short(w),
                None => 0,
            };
            if form == 0x0A08 && command == MODEL {
                kind = COMMANDS[1];
                function |= command << 8;
            }
        }
        let dir = if code == REQUEST { Dir::Request } else { Dir::Response };
        w.push(op::<Melsoft>(function, kind, dir, 0));
        Step::DONE
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{:#04x}", function & 0xFF)
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        frame_rows(each);
        command_rows(&mut |r| each(Row { function: MODEL << 8 | REQUEST, ..r }));
    }
}

#[inline(always)]
fn short(w: &Walk) -> Step {
    if w.strict() { Step::REFUSE } else { Step::PARTIAL }
}

/// Search for controllers: four fixed octets (UDP 5560 only), the reply has the address behind them.
#[inline(always)]
fn search(w: &mut Walk, head: u32) -> Step {
    let length = w.end - w.off;
    let reply = head >> 24 == SEARCH_REPLY;
    if w.strict() || head & 0x00FF_FF00 != 0 || (!reply && length != 4) || (reply && length < 8) {
        return Step::REFUSE;
    }
    w.pdu_end = w.end;
    let (kind, dir) = if reply { (FRAMES[0xDA], Dir::Response) } else { (FRAMES[0x5A], Dir::Request) };
    w.push(op::<Melsoft>(head >> 24, kind & !Kind::STATE_CHANGING, dir, 0));
    Step::DONE
}

#[cfg(test)]
mod tests {
    use crate::reason::Outcome;
    use crate::testing::{cuts, hex, tcp, udp};

    const MODEL: &str = "570000000011110700 00ffff030000fe0300001400 1c080a080000000000000004 0101010000000001";
    const REPLY: &str =
        "d70000000011117f000000a80300ffff03000022009c02181400000000000000000000000000000000000000000004101c0b00000000";

    #[test]
    fn a_command_that_comes_with_the_next_segment() {
        assert_eq!(tcp(2899, 5007, &hex(MODEL)[..30]).outcome, Outcome::Continuation);
        assert_eq!(tcp(2899, 5007, &hex(MODEL)[..35]).lines(), ["melsoft:0x57 discovery request"]);
    }

    #[test]
    fn requests_and_replies() {
        let s = tcp(2899, 5007, &hex(MODEL));
        assert_eq!((s.lines(), s.flags), (["melsoft:0x57 discovery request".into()].into(), 0));
        assert_eq!(tcp(5562, 5001, &hex(REPLY)).lines(), ["melsoft:0xd7 response response"]);
        assert_eq!(tcp(45562, 45001, &hex(REPLY)).lines(), ["melsoft:0xd7 response response"]);
        cuts(&hex(REPLY), &[], &|p| tcp(5562, 5001, p));
    }

    #[test]
    fn search_and_refusals() {
        assert_eq!(udp(40000, 5560, &hex("5a000001")).lines(), ["melsoft:0x5a discovery request"]);
        assert_eq!(udp(40000, 40001, &hex("5a000001")).outcome, Outcome::NotOt);
        let mut p = hex(REPLY);
        p[5] = 0x12;
        assert_eq!(tcp(5562, 5001, &p).outcome, Outcome::Unparsed);
    }
}
