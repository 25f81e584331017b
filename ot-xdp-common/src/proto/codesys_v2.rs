//! CODESYS V2 runtime and gateway over TCP.
//!
//! Source: a public probe of the protocol. TCP 1200 (gateway), 2455.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 2 | BB BB |
//! | 2 | 4 | length of what follows, little endian (big endian accepted) |
//! | 6 | 1 | function |
//!
//! Function codes are not public: all but the probe 01 are of class unknown. Function encoding: first octet. Not parsed:
//! everything behind it.

use core::fmt;

use super::{Binding, Protocol, Row, Sniff, op};
use crate::bytes::Bytes;
use crate::frame::TCP;
use crate::op::Dir;
use crate::walk::{Step, Walk};

/// See the module head.
pub struct CodesysV2;

const SIGNATURE: u16 = 0xBBBB;
const LONGEST: u32 = 0x10_0000;

functions! {
    FUNCTIONS, functions_rows, base 0;
    0x01 "discovery or login probe" Discovery;
}

impl Protocol for CodesysV2 {
    const NAME: &'static str = "codesys-v2";
    const TITLE: &'static str = "CODESYS V2";
    const BINDING: Binding = Binding { tcp: &[1200, 2455], udp: &[], ethertypes: &[] };
    const SNIFF: &'static [Sniff] = &[Sniff { l4: TCP, mask: 0xFFFF_0000, value: 0xBBBB_0000 }];
    const WEAK: bool = true;

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        if b.be16(off) != Some(SIGNATURE) {
            return Step::REFUSE;
        }
        let Some(wire) = b.le32(off + 2) else { return Step::PARTIAL };
        let length = if wire > LONGEST { wire.swap_bytes() } else { wire };
        if length == 0 || length > LONGEST {
            return Step::REFUSE;
        }
        w.pdu_end = off + 6 + length;
        let Some(code) = b.u8(off + 6) else { return Step::PARTIAL };
        if w.strict() && w.pdu_end != w.end {
            return Step::REFUSE;
        }
        let dir = w.port_dir();
        let kind = if matches!(dir, Dir::Response) { 0 } else { FUNCTIONS[code as usize] };
        w.push(op::<CodesysV2>(code as u32, kind, dir, 0));
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
    use crate::testing::{hex, tcp};

    #[test]
    fn probe_answer_and_unknown() {
        assert_eq!(tcp(40000, 2455, &hex("bbbb0100000001")).lines(), ["codesys-v2:0x01 discovery request"]);
        assert_eq!(tcp(40000, 2455, &hex("bbbb0000000192")).lines(), ["codesys-v2:0x92 unknown! request"]);
        assert_eq!(tcp(2455, 40000, &hex("bbbb010000000a")).lines(), ["codesys-v2:0x0a unknown response"]);
    }

    #[test]
    fn other_octets() {
        assert_eq!(tcp(40000, 2455, &hex("bbbc0100000001")).outcome, Outcome::Unparsed);
        assert_eq!(tcp(40000, 2455, &hex("bbbb0100")).ops.len(), 0);
    }
}
