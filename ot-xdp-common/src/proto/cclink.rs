//! CC-Link IE: TSN, Field and Control on layer 2, Field Basic over UDP.
//!
//! Source: CC-Link IE TSN frame types as the CC-Link Partner Association publishes them; CC-Link IE Field Network Basic
//! specification (SLMP 3E frames of cyclic transmission and node search). EtherType 0x890F, UDP ports 61450 (cyclic) and
//! 61451. Little endian.
//!
//! Layer 2: octet 0 is the frame type. Field and Control share the EtherType; their layout is not public.
//!
//! | off | size | field of Field Basic |
//! |---|---|---|
//! | 0 | 7 | 50 00 00 FF FF 03 00 of a request, D0 00 00 FF FF 03 00 of an answer |
//! | 7 | 2 | length of what follows |
//! | 9 | 2 | reserved; end code of an answer |
//! | 11 | 4 | request: command, subcommand |
//!
//! Function encoding: command of Field Basic; frame type | bit 31 on layer 2. An answer names no command: that of the
//! cyclic port is the cyclic one, others are function 0xD000. Not recognised off its ports: requests look like SLMP.
//! Not parsed: process data, the SLMP request inside acyclic data of TSN (class unknown).

use core::fmt;

use super::{Binding, Protocol, Row, op};
use crate::bytes::Bytes;
use crate::op::{Class, Dir, Kind};
use crate::walk::{Hint, Step, Walk};

/// See the module head.
pub struct Cclink;

const ETHERTYPE: u16 = 0x890F;
const CYCLIC_PORT: u16 = 61450;
const PORT: u16 = 61451;
/// First octets of requests and answers, without their last 0.
const REQUEST: u64 = 0x50_0000_FFFF_0300;
const ANSWER: u64 = 0xD0_0000_FFFF_0300;
/// Octets up to the length.
const HEAD: u32 = 9;
const CYCLIC: u32 = 0x0E70;
const ANSWERED: u32 = 0xD000;
const IS_LAYER2: u32 = 1 << 31;

functions! {
    FRAMES, frame_rows, base IS_LAYER2;
    0x11 "testData" Session;
    0x12 "testDataAck" Session;
    0xC0 "acyclicPriority" Session;
    0xC1 "acyclicDetection" Discovery;
    0xC2 "acyclicDetectionAck" Discovery;
    0xC3 "acyclicData" Unknown!;
    0xC4 "cyclic M/Ms" CyclicIo!;
    0xC5 "cyclic S/Ss" CyclicIo;
}

functions! {
    /// Commands of Field Basic, all 0x0Exx.
    COMMANDS, command_rows, base 0x0E00;
    0x30 "node search" Discovery;
    0x31 "node IP address set" Config!;
    0x70 "cyclic data" CyclicIo!;
}

/// Direction by frame type: cyclic data are published, acknowledgements answer.
static DIRECTIONS: [Dir; 256] = {
    let mut t = [Dir::Unknown; 256];
    t[0x11] = Dir::Request;
    t[0x12] = Dir::Response;
    t[0xC1] = Dir::Request;
    t[0xC2] = Dir::Response;
    t[0xC4] = Dir::Publish;
    t[0xC5] = Dir::Publish;
    t
};

impl Protocol for Cclink {
    const NAME: &'static str = "cclink";
    const TITLE: &'static str = "CC-Link IE TSN, Field, Field Basic";
    const BINDING: Binding = Binding { tcp: &[], udp: &[CYCLIC_PORT, PORT], ethertypes: &[ETHERTYPE] };

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        w.pdu_end = w.end;
        let Some(head) = b.be64(off) else { return Step::REFUSE };
        if w.hint == Hint::EtherType as u8 {
            let frame = (head >> 56) as u32;
            let kind = FRAMES[b.index::<0xFF>(frame)];
            w.push(op::<Cclink>(IS_LAYER2 | frame, kind, DIRECTIONS[b.index::<0xFF>(frame)], 0));
            return Step::DONE;
        }
        let Some(length) = b.le16(off + 7) else { return Step::REFUSE };
        if length < 2 || off + HEAD + length as u32 != w.end {
            return Step::REFUSE;
        }
        if head >> 8 == ANSWER {
            // The source port is four words in front of the payload.
            let cyclic = b.be16(off.wrapping_sub(8)) == Some(CYCLIC_PORT);
            let (function, kind) = if cyclic {
                (CYCLIC, Kind::new(Class::CyclicIo, false).0)
            } else {
                (ANSWERED, Kind::new(Class::Response, false).0)
            };
            w.push(op::<Cclink>(function, kind, Dir::Response, 0));
            return Step::DONE;
        }
        let Some(command) = b.le16(off + 11) else { return Step::REFUSE };
        if head >> 8 != REQUEST {
            return Step::REFUSE;
        }
        let known = command >> 8 == 0x0E;
        let kind = if known { COMMANDS[b.index::<0xFF>(command as u32)] } else { Kind::UNLISTED.0 };
        w.push(op::<Cclink>(command as u32, kind, Dir::Request, 0));
        Step::DONE
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        if function & IS_LAYER2 == 0 { write!(out, "{function:#06x}") } else { write!(out, "{:#04x}", function & 0xFF) }
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        frame_rows(each);
        command_rows(each);
        each(Row { function: ANSWERED, name: "answer", class: Class::Response, state_changing: false });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::Outcome;
    use crate::testing::{cuts, hex, layer2, udp};

    const CYCLIC_REQUEST: &str = "500000ffff0300 0a00 0000 700e 0000 01000000";
    const CYCLIC_ANSWER: &str = "d00000ffff0300 0600 0000 01000000";

    #[test]
    fn field_basic() {
        assert_eq!(udp(61450, 61450, &hex(CYCLIC_REQUEST)).lines(), ["cclink:0x0e70 cyclic-io! request"]);
        assert_eq!(udp(61450, 61450, &hex(CYCLIC_ANSWER)).lines(), ["cclink:0x0e70 cyclic-io response"]);
        let set = hex(&CYCLIC_REQUEST.replace("700e", "310e"));
        assert_eq!(udp(40000, 61451, &set).lines(), ["cclink:0x0e31 config! request"]);
        assert_eq!(udp(61451, 40000, &hex(CYCLIC_ANSWER)).lines(), ["cclink:0xd000 response response"]);
        let other = hex(&CYCLIC_REQUEST.replace("700e", "0114"));
        assert_eq!(udp(40000, 61451, &other).lines(), ["cclink:0x1401 unknown! request"]);
        for at in 0..8 {
            let mut near = hex(CYCLIC_REQUEST);
            near[at] ^= 1;
            assert_eq!(udp(40000, 61451, &near).outcome, Outcome::Unparsed, "octet {at}");
        }
        cuts(&hex(CYCLIC_REQUEST), &[], &|p| udp(61450, 61450, p));
    }

    #[test]
    fn frame_types_on_layer_2() {
        let lines = |of: &str| layer2(ETHERTYPE, &hex(&[of, "00010200000000000000"].concat())).lines();
        assert_eq!(lines("c4"), ["cclink:0xc4 cyclic-io! publish"]);
        assert_eq!(lines("c3"), ["cclink:0xc3 unknown! -"]);
        assert_eq!(lines("c2"), ["cclink:0xc2 discovery response"]);
        assert_eq!(lines("01"), ["cclink:0x01 unknown! -"]);
    }
}
