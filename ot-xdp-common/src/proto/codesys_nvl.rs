//! CODESYS network variables over UDP.
//!
//! Source: public descriptions of the telegram. UDP 1202. Little endian.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 4 | 00 2D 53 33 |
//! | 4 | 4 | network id |
//! | 8 | 4 | list index 2, sub-index 2 |
//! | 12 | 2 | number of items |
//! | 14 | 2 | length (descriptions differ: of the telegram or of its data) |
//! | 16 | 4 | counter 2, flags 1, checksum 1 |
//! | 20 | | data |
//!
//! Function encoding: always 0. Address: list index. Not parsed: the data.

use core::fmt;

use super::{Binding, Protocol, Row, Sniff, op};
use crate::bytes::Bytes;
use crate::frame::UDP;
use crate::op::{Class, Dir, Kind};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct CodesysNvl;

const PORT: u16 = 1202;
const SIGNATURE: u32 = 0x002D_5333;
const HEAD: u32 = 20;

impl Protocol for CodesysNvl {
    const NAME: &'static str = "codesys-nvl";
    const TITLE: &'static str = "CODESYS network variables";
    const BINDING: Binding = Binding { tcp: &[], udp: &[PORT], ethertypes: &[] };
    const SNIFF: &'static [Sniff] = &[Sniff { l4: UDP, mask: 0xFFFF_FFFF, value: SIGNATURE }];

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let size = w.end - off;
        if b.be32(off) != Some(SIGNATURE) || size < HEAD {
            return Step::REFUSE;
        }
        let Some(index) = b.le16(off + 8) else { return Step::REFUSE };
        let Some(length) = b.le16(off + 14) else { return Step::REFUSE };
        let length = length as u32;
        if length != size && length + HEAD != size {
            return Step::REFUSE;
        }
        let mut found = op::<CodesysNvl>(0, Kind::new(Class::CyclicIo, true).0, Dir::Publish, 0);
        found.addr = index as u32;
        w.push(found);
        Step::DONE
    }

    fn path(_function: u32, _out: &mut dyn fmt::Write) -> fmt::Result {
        Ok(())
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        each(Row { function: 0, name: "network variable list", class: Class::CyclicIo, state_changing: true });
    }
}

#[cfg(test)]
mod tests {
    use crate::reason::Outcome;
    use crate::testing::{hex, udp};

    #[test]
    fn published_on_and_off_the_port() {
        let list = hex("002d533300000000010000000100160005000000aabb");
        assert_eq!(udp(1202, 1202, &list).lines(), ["codesys-nvl: cyclic-io! publish"]);
        assert_eq!(udp(5001, 5000, &list).paths(), ["codesys-nvl:"]);
    }

    #[test]
    fn wrong_length() {
        let list = hex("002d533300000000010000000100170005000000aabb");
        assert_eq!(udp(1202, 1202, &list).outcome, Outcome::Unparsed);
        assert_eq!(udp(1202, 1202, &list[..12]).outcome, Outcome::Unparsed);
    }
}
