//! SERCOS III: motion control in telegrams of a master (MDT) and of its slaves (AT).
//!
//! Source: IEC 61158-4-19 cl. 4 (telegrams, communication phases), IEC 61784-3-19 for the header. EtherType 0x88CD.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 1 | bit 7: S channel, bit 6: AT, bit 5: cycle count valid, bit 4: reserved, 0-3: telegram, at most 3 |
//! | 1 | 1 | bit 7: phase changes, bits 0-3: phase 0 to 4 |
//! | 2 | 4 | CRC of the header |
//!
//! Function encoding: phase | 0x80 for an announced change of phase | 0x100 for an AT. Address: number of the telegram.
//! Both are cyclic: direction publish. Not parsed: hot-plug field, service channels (where they lie was configured in
//! phase 2; one frame does not show it), connection data, CRC.

use core::fmt;

use super::{Binding, Protocol, Row, op};
use crate::bytes::Bytes;
use crate::op::Dir;
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Sercos;

const ETHERTYPE: u16 = 0x88CD;
const AT: u32 = 0x100;
const CHANGES: u32 = 0x80;
const PHASE_MAX: u32 = 4;

functions! {
    FUNCTIONS[512], function_rows, base 0;
    0x000 "MDT CP0" Session!;
    0x001 "MDT CP1" Session!;
    0x002 "MDT CP2" Session!;
    0x003 "MDT CP3" Config!;
    0x004 "MDT CP4" CyclicIo!;
    0x080 "MDT, change to CP0" Control!;
    0x081 "MDT, change to CP1" Control!;
    0x082 "MDT, change to CP2" Control!;
    0x083 "MDT, change to CP3" Control!;
    0x084 "MDT, change to CP4" Control!;
    0x100 "AT CP0" CyclicIo;
    0x101 "AT CP1" CyclicIo;
    0x102 "AT CP2" CyclicIo;
    0x103 "AT CP3" CyclicIo;
    0x104 "AT CP4" CyclicIo;
    0x180 "AT, change to CP0" CyclicIo;
    0x181 "AT, change to CP1" CyclicIo;
    0x182 "AT, change to CP2" CyclicIo;
    0x183 "AT, change to CP3" CyclicIo;
    0x184 "AT, change to CP4" CyclicIo;
}

impl Protocol for Sercos {
    const NAME: &'static str = "sercos";
    const TITLE: &'static str = "SERCOS III (IEC 61158 type 19)";
    const BINDING: Binding = Binding { tcp: &[], udp: &[], ethertypes: &[ETHERTYPE] };

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let Some(head) = b.be64(w.off) else { return Step::REFUSE };
        let head = (head >> 48) as u32;
        let phase = head & 0xF;
        // Reserved bit, telegram of at most 3.
        if head & 0x1C00 != 0 || phase > PHASE_MAX {
            return Step::REFUSE;
        }
        // Behind the telegram is the frame's padding.
        w.pdu_end = w.end;
        let function = phase | head & CHANGES | (head >> 6) & AT;
        let kind = FUNCTIONS[b.index::<511>(function)];
        let mut found = op::<Sercos>(function, kind, Dir::Publish, 0);
        found.addr = (head >> 8) & 3;
        w.push(found);
        Step::DONE
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        let telegram = if function & AT == 0 { "mdt" } else { "at" };
        write!(out, "{telegram}/cp{}", function & 0xF)?;
        if function & CHANGES == 0 { Ok(()) } else { out.write_str("/change") }
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        function_rows(each);
    }
}

#[cfg(test)]
mod tests {
    use crate::reason::Outcome;
    use crate::testing::{cuts, hex, layer2};

    #[test]
    fn telegrams_by_phase() {
        let lines = |p: &str| layer2(0x88CD, &hex(&[p, "1122334400000000"].concat())).lines();
        assert_eq!(lines("2004"), ["sercos:mdt/cp4 cyclic-io! publish"]);
        assert_eq!(lines("6104"), ["sercos:at/cp4 cyclic-io publish"]);
        assert_eq!(lines("0003"), ["sercos:mdt/cp3 config! publish"]);
        assert_eq!(lines("0000"), ["sercos:mdt/cp0 session! publish"]);
        assert_eq!(lines("0080"), ["sercos:mdt/cp0/change control! publish"]);
    }

    #[test]
    fn other_octets_are_refused() {
        for p in ["1004112233440000", "0404112233440000", "0005112233440000", "200411223344"] {
            assert_eq!(layer2(0x88CD, &hex(p)).outcome, Outcome::Unparsed, "{p}");
        }
        cuts(&hex("20041122334400000000"), &[], &|p| layer2(0x88CD, p));
    }
}
