//! Synchrophasors (IEEE C37.118.2-2011) over TCP and UDP.
//!
//! TCP 4712, UDP 4713. Big endian.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 1 | AA |
//! | 1 | 1 | frame type (bits 4..6: 0 data, 1 header, 2 and 3 and 5 configuration, 4 command), version (low nibble 1, 2) |
//! | 2 | 2 | frame size, CRC included |
//! | 4 | 2 | id code of the PMU or PDC |
//! | 6 | 8 | second of century, fraction |
//! | 14 | 2 | command (command frames) |
//! | end - 2 | 2 | CRC-CCITT |
//!
//! Source: IEEE C37.118.2, cl. 6.2 (frame), 6.6 (commands). Function encoding: frame type, command << 8. `unit` is the id
//! code. Not parsed: phasors, the CRC.

use core::fmt;

use super::{Binding, Protocol, Row, Sniff, op};
use crate::bytes::Bytes;
use crate::op::{Class, Dir, Kind};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Synphasor;

const COMMAND: u32 = 4;
/// Octets of the shortest frame: a data frame without values.
const SIZE_MIN: u32 = 16;
const SIZE_COMMAND: u32 = 18;

functions! {
    COMMANDS, command_rows, base 0;
    1 "Data transmission off" Control!;
    2 "Data transmission on" Control!;
    3 "Send header frame" Discovery;
    4 "Send configuration frame 1" Discovery;
    5 "Send configuration frame 2" Discovery;
    6 "Send configuration frame 3" Discovery;
    8 "Extended frame" Unknown!;
}

functions! {
    TYPES, type_rows, base 0;
    0 "Data frame" CyclicIo;
    1 "Header frame" Discovery;
    2 "Configuration frame 1" Discovery;
    3 "Configuration frame 2" Discovery;
    4 "Command frame" Unknown!;
    5 "Configuration frame 3" Discovery;
}

impl Protocol for Synphasor {
    const NAME: &'static str = "synphasor";
    const TITLE: &'static str = "Synchrophasors (IEEE C37.118.2)";
    const BINDING: Binding = Binding { tcp: &[4712], udp: &[4713], ethertypes: &[] };
    const SNIFF: &'static [Sniff] = &[
        Sniff { l4: 0, mask: 0xFF8F_0000, value: 0xAA01_0000 },
        Sniff { l4: 0, mask: 0xFF8F_0000, value: 0xAA02_0000 },
    ];
    const WEAK: bool = true;

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let Some(head) = b.be32(off) else {
            return if !w.strict() && b.u8(off) == Some(0xAA) { Step::PARTIAL } else { Step::REFUSE };
        };
        let kind = head >> 20 & 0xF;
        let size = head & 0xFFFF;
        let version = head >> 16 & 0xF;
        let command = kind == COMMAND;
        if head >> 24 != 0xAA || kind > 5 || version == 0 || version > 3 || size < SIZE_MIN {
            return Step::REFUSE;
        }
        w.pdu_end = off + size;
        if (command && size < SIZE_COMMAND) || (w.strict() && w.pdus == 0 && w.pdu_end > w.end) {
            return Step::REFUSE;
        }
        let Some(unit) = b.be16(off + 4) else { return Step::PARTIAL };
        let mut function = kind;
        let mut class = TYPES[b.index::<0xFF>(kind)];
        let mut dir = Dir::Publish;
        if command {
            let Some(code) = b.be16(off + 14) else { return Step::PARTIAL };
            function |= (code as u32) << 8;
            class = if code < 256 { COMMANDS[b.index::<0xFF>(code as u32)] } else { Kind::UNLISTED.0 };
            dir = Dir::Request;
        }
        w.push(op::<Synphasor>(function, class, dir, unit as u32));
        Step::DONE
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{}", function & 0xFF)?;
        if function & 0xFF == COMMAND { write!(out, "/cmd{}", function >> 8) } else { Ok(()) }
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        type_rows(&mut |r| {
            if r.function != COMMAND {
                each(r);
            }
        });
        command_rows(&mut |r| each(Row { function: r.function << 8 | COMMAND, ..r }));
        each(Row { function: COMMAND, name: "User command", class: Class::Unknown, state_changing: true });
    }
}

#[cfg(test)]
mod tests {
    use crate::reason::Outcome;
    use crate::testing::{hex, tcp, udp};

    const ON: &str = "aa41001200f14e06dc1c000000000002ce00";
    const DATA: &str = "aa01001200f14e06dc1c0000000000000000";

    #[test]
    fn commands_and_data() {
        assert_eq!(tcp(40000, 4712, &hex(ON)).lines(), ["synphasor:4/cmd2 control! request"]);
        let two = tcp(4712, 40000, &hex(&[DATA, DATA].concat()));
        assert_eq!(two.lines(), ["synphasor:0 cyclic-io publish", "synphasor:0 cyclic-io publish"]);
        assert_eq!(two.ops[0].unit, 0xF1);
        assert_eq!(udp(4713, 40000, &hex(DATA)).paths(), ["synphasor:0"]);
    }

    #[test]
    fn other_traffic_and_cut_short() {
        assert_eq!(tcp(40000, 4712, &hex("aa41000200f1")).outcome, Outcome::Unparsed);
        assert_eq!(tcp(40000, 4712, &hex(&ON[..20])).outcome, Outcome::Continuation);
    }
}
