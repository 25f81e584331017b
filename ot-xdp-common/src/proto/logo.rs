//! Siemens LOGO! engineering (LOGO! Soft Comfort) over TCP.
//!
//! Source: public descriptions of the programming interface's serial form; the framing on TCP 10005 is not public. LOGO! also
//! speaks S7comm on port 102, which is not this protocol.
//!
//! The recognition is weak: a segment is named only when it has the form of a control command of the serial interface, 55 at
//! its start and AA at its end. Class unknown, as a program can be read and written. Other traffic of the port stays unnamed.
//! Function encoding: second octet. Not parsed: everything else.

use core::fmt;

use super::{Binding, Protocol, Row, op};
use crate::bytes::Bytes;
use crate::op::Kind;
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Logo;

const PORT: u16 = 10005;
const START: u8 = 0x55;
const END: u8 = 0xAA;
/// A control command and its answer are not longer.
const LONGEST: u32 = 128;

impl Protocol for Logo {
    const NAME: &'static str = "logo";
    const TITLE: &'static str = "Siemens LOGO! engineering";
    const BINDING: Binding = Binding { tcp: &[PORT], udp: &[], ethertypes: &[] };
    const WEAK: bool = true;

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let size = w.end - off;
        if !(4..=LONGEST).contains(&size) || w.strict() {
            return Step::REFUSE;
        }
        let Some(start) = b.u8(off) else { return Step::REFUSE };
        let Some(code) = b.u8(off + 1) else { return Step::REFUSE };
        let Some(end) = b.u8(w.end - 1) else { return Step::REFUSE };
        if start != START || end != END {
            return Step::REFUSE;
        }
        w.push(op::<Logo>(code as u32, Kind::UNLISTED.0, w.port_dir(), 0));
        Step::DONE
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{function:#04x}")
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        each(Row {
            function: 0,
            name: "LOGO! engineering message, content not public",
            class: crate::op::Class::Unknown,
            state_changing: true,
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::reason::Outcome;
    use crate::testing::{hex, tcp};

    #[test]
    fn control_command() {
        assert_eq!(tcp(40000, 10005, &hex("551717000000aa")).lines(), ["logo:0x17 unknown! request"]);
        assert_eq!(tcp(40000, 10005, &hex("551717000000ab")).outcome, Outcome::Unparsed);
        assert_eq!(tcp(40000, 10005, &hex("551717")).outcome, Outcome::Unparsed);
    }
}
