//! MACsec: protected frames, of which only the envelope is known.
//!
//! Source: IEEE 802.1AE cl. 9 (SecTAG). EtherType 0x88E5. Big endian.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 1 | 80 version (0), 40 end station, 20 SCI present, 10 broadcast, 08 encrypted, 04 changed text, 03 key |
//! | 1 | 1 | short length, below 48 |
//! | 2 | 4 | packet number, not 0 |
//! | 6 | 8 | SCI, when present |
//!
//! Function encoding: 1 when the content is encrypted or changed, 0 when it is only signed. Unit: number of the key. Not
//! parsed: the frame inside a tag that only signs. It is in clear behind the tag, its EtherType first.

use core::fmt;

use super::{Binding, Protocol, Row, op};
use crate::bytes::Bytes;
use crate::flags;
use crate::op::Dir;
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Macsec;

const ETHERTYPE: u16 = 0x88E5;
const VERSION: u32 = 0x80;
/// End station and SCI exclude each other.
const END_STATION: u32 = 0x40;
const SCI: u32 = 0x20;
const CHANGED: u32 = 0x0C;
const SHORT: u32 = 48;
/// Octets of the tag without SCI, of the SCI, and of the check value behind the content.
const TAG: u32 = 6;
const SCI_SIZE: u32 = 8;
const CHECK: u32 = 16;

functions! {
    FUNCTIONS[2], function_rows, base 0;
    0 "signed frame" Unknown;
    1 "encrypted frame" Encrypted;
}

impl Protocol for Macsec {
    const NAME: &'static str = "macsec";
    const TITLE: &'static str = "MACsec (IEEE 802.1AE)";
    const BINDING: Binding = Binding { tcp: &[], udp: &[], ethertypes: &[ETHERTYPE] };

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let Some(head) = b.be64(off) else { return Step::REFUSE };
        let tag = (head >> 56) as u32;
        let number = (head >> 16) as u32;
        let sci = if tag & SCI != 0 { SCI_SIZE } else { 0 };
        let both = END_STATION | SCI;
        let short = (head >> 48) as u32 & 0xFF;
        if tag & VERSION != 0
            || tag & both == both
            || short >= SHORT
            || number == 0
            || off + TAG + sci + CHECK + short > w.end
        {
            return Step::REFUSE;
        }
        w.pdu_end = w.end;
        let hidden = (tag & CHANGED != 0) as u32;
        if hidden != 0 {
            w.flags |= flags::ENCRYPTED;
        }
        w.push(op::<Macsec>(hidden, FUNCTIONS[b.index::<1>(hidden)], Dir::Unknown, tag & 3));
        Step::DONE
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        out.write_str(if function == 0 { "signed" } else { "encrypted" })
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        function_rows(each);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::Outcome;
    use crate::testing::{cuts, hex, layer2};

    #[test]
    fn encrypted_or_signed() {
        let frame = |tag: &str| layer2(ETHERTYPE, &[hex(tag), hex("0000000001"), [7; 40].to_vec()].concat());
        let s = frame("2d");
        assert_eq!(
            (s.lines(), s.flags, s.ops[0].unit),
            (["macsec:encrypted encrypted -".into()].into(), flags::ENCRYPTED, 1)
        );
        assert_eq!(frame("20").lines(), ["macsec:signed unknown -"]);
        assert_eq!(frame("4c").lines(), ["macsec:encrypted encrypted -"]);
        for tag in ["8c", "6c"] {
            assert_eq!(frame(tag).outcome, Outcome::Unparsed);
        }
        let whole = [hex("2c0000000001"), [7; 40].to_vec()].concat();
        cuts(&whole, &[], &|p| layer2(ETHERTYPE, p));
        assert_eq!(layer2(ETHERTYPE, &whole[..29]).outcome, Outcome::Unparsed);
    }
}
