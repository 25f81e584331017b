//! Niagara Fox: building management stations over TCP.
//!
//! Source: public descriptions and probes of the protocol, and recorded traffic. TCP 1911, platform daemon 3011. Text.
//!
//! A message is `fox TYPE SEQUENCE REPLY CHANNEL COMMAND`, a line `{`, lines `name=type:value`, and a line `};;`. Types: a
//! asynchronous, s synchronous request, r reply, k keep-alive, e error, n null.
//!
//! Function encoding: channel (1 fox, 2 sys, 3 station, 4 file, 0 other), command of channel fox << 8 (1 hello, 2 challenge,
//! 3 login or authentication), type letter << 16. Channels other than fox are not publicly described. Not parsed: bodies; a
//! message whose end is not in its first 1,024 octets takes the rest of the segment.

use core::fmt;

use super::{Binding, Number, Protocol, Row, Sniff, op};
use crate::bytes::Bytes;
use crate::frame::TCP;
use crate::limits::STEPS;
use crate::op::{Class, Dir, Kind};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Fox;

const PORT: u16 = 1911;
const PORT_PLATFORM: u16 = 3011;
const FOX: u32 = u32::from_be_bytes(*b"fox ");
const SYS: u32 = u32::from_be_bytes(*b"sys ");
const STATION: u32 = u32::from_be_bytes(*b"stat");
const FILE: u32 = u32::from_be_bytes(*b"file");
const HELLO: u32 = u32::from_be_bytes(*b"hell");
const CHALLENGE: u32 = u32::from_be_bytes(*b"chal");
const LOGIN: u32 = u32::from_be_bytes(*b"logi");
const AUTHENTICATE: u32 = u32::from_be_bytes(*b"auth");
/// The last line, and the end of line before it.
const END: u32 = u32::from_be_bytes(*b"\n};;");
const SEARCH: u32 = 512;
/// Octets that a step looks through; a power of two.
const CHUNK: u32 = 64;
/// How far the search came, in the memory between steps.
const AT: usize = 1;
/// 0 when the end was found, 1 when the octets end before it, 2 when neither.
const OPEN: usize = 2;
const DIGITS: u32 = 12;

/// By type letter.
static TYPES: [u8; 256] = {
    let mut t = [0; 256];
    t[b'a' as usize] = 1;
    t[b's' as usize] = 1;
    t[b'r' as usize] = 1;
    t[b'k' as usize] = 1;
    t[b'e' as usize] = 1;
    t[b'n' as usize] = 1;
    t
};

/// Offset behind the next blank, 0 for none.
#[inline(always)]
fn word<B: Bytes>(b: B, at: u32) -> u32 {
    for n in 0..DIGITS {
        if b.u8(at + n) == Some(b' ') {
            return at + n + 1;
        }
    }
    0
}

/// Channel and command at [`Walk::off`], and where the message ends.
#[inline(always)]
fn channel<B: Bytes>(b: B, w: &mut Walk) -> Step {
    let off = w.off;
    let letter = w.mem[0] as u8;
    let Some(name) = b.be32(off) else { return Step::PARTIAL };
    // In steps, and before anything is told apart: the verifier would follow the search for each case, octet by octet.
    let from = off + w.mem[AT];
    w.mem[OPEN] = 1;
    for i in 0..CHUNK {
        let at = from + b.index::<{ CHUNK - 1 }>(i) as u32;
        let Some(four) = b.be32(at) else { break };
        if four == END {
            w.pdu_end = at + 5;
            w.mem[OPEN] = 0;
            break;
        }
        if i == CHUNK - 1 {
            w.mem[OPEN] = 2;
        }
    }
    w.mem[AT] += CHUNK;
    if w.mem[OPEN] == 2 && w.mem[AT] < SEARCH {
        return Step::INNER;
    }
    let mut kind = Kind::new(Class::Unknown, letter == b's');
    let mut function = 0;
    if name == FOX {
        function = 1;
        let Some(command) = b.be32(off + 4) else { return Step::PARTIAL };
        if command == HELLO {
            function = 0x101;
            kind = Kind::new(Class::Discovery, false);
        } else if command == CHALLENGE {
            function = 0x201;
            kind = Kind::new(Class::Auth, false);
        } else if command == LOGIN || command == AUTHENTICATE {
            function = 0x301;
            kind = Kind::new(Class::Auth, false);
        }
    } else if name == SYS {
        function = 2;
    } else if name == STATION {
        function = 3;
    } else if name == FILE {
        function = 4;
        kind = Kind::new(Class::File, letter == b's');
    }
    let mut dir = w.port_dir();
    if letter == b's' {
        dir = Dir::Request;
    } else if letter == b'r' || letter == b'e' {
        dir = Dir::Response;
        kind = Kind::new(Class::Response, false);
    } else if function & 0xFF00 == 0 {
        kind = Kind::new(Class::Session, false);
    }
    w.push(op::<Fox>(function | (letter as u32) << 16, kind.0, dir, 0));
    // The end comes with a later segment.
    if w.mem[OPEN] == 1 { Step::PARTIAL } else { Step::DONE }
}

impl Protocol for Fox {
    const NAME: &'static str = "fox";
    const TITLE: &'static str = "Niagara Fox";
    const BINDING: Binding = Binding { tcp: &[PORT, PORT_PLATFORM], udp: &[], ethertypes: &[] };
    const SNIFF: &'static [Sniff] = &[Sniff { l4: TCP, mask: 0xFFFF_FFFF, value: FOX }];
    const TURNS: u32 = STEPS;

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        if w.mem[0] != 0 {
            return channel(b, w);
        }
        if b.be32(off) != Some(FOX) {
            return Step::REFUSE;
        }
        let Some(next) = b.be32(off + 4) else { return Step::PARTIAL };
        let letter = (next >> 24) as u8;
        let digit = (next >> 8) as u8;
        if TYPES[letter as usize] == 0 || (next >> 16) as u8 != b' ' || !(digit == b'-' || digit.is_ascii_digit()) {
            return Step::REFUSE;
        }
        let reply = word(b, off + 6);
        let at = if reply == 0 { 0 } else { word(b, reply) };
        if at == 0 {
            return Step::PARTIAL;
        }
        // A step of its own: the verifier would follow the rest for every length of the two numbers.
        w.mem[0] = letter as u32;
        let end = w.end;
        w.inner(Fox::NUMBER, at, end)
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        out.write_str(["other", "fox", "sys", "station", "file"].get((function & 7) as usize).unwrap_or(&"other"))
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        let mut row = |letter: u8, code: u32, name, class, state_changing| {
            each(Row { function: (letter as u32) << 16 | code, name, class, state_changing })
        };
        row(b'a', 0x101, "fox hello", Class::Discovery, false);
        row(b'a', 0x201, "fox challenge", Class::Auth, false);
        row(b'a', 0x301, "fox login", Class::Auth, false);
        row(b'k', 1, "keep-alive", Class::Session, false);
        row(b'n', 1, "null", Class::Session, false);
        row(b's', 2, "sys request", Class::Unknown, true);
        row(b's', 3, "station request", Class::Unknown, true);
        row(b's', 4, "file request", Class::File, true);
    }
}

#[cfg(test)]
mod tests {
    use crate::reason::Outcome;
    use crate::testing::tcp;

    #[test]
    fn hello_and_two_in_a_segment() {
        let hello = b"fox a 1 -1 fox hello\n{\nid=i:1\n};;\n";
        assert_eq!(tcp(40000, 1911, hello).lines(), ["fox:fox discovery request"]);
        let mut two = hello.to_vec();
        two.extend(b"fox s 2 -1 station invoke\n{\n};;\n");
        assert_eq!(tcp(40000, 1911, &two).lines()[1], "fox:station unknown! request");
        assert_eq!(tcp(1911, 40000, b"fox r 2 2 station invoke\n{\n};;\n").lines(), ["fox:station response response"]);
    }

    #[test]
    fn other_text_and_cut_short() {
        assert_eq!(tcp(40000, 1911, b"fox hunting is over").outcome, Outcome::Unparsed);
        assert_eq!(tcp(40000, 1911, b"fox a 1 -").ops.len(), 0);
        assert_eq!(tcp(40000, 80, b"fox a 1 -1 fox hello\n{\n};;\n").paths(), ["fox:fox"]);
    }
}
