//! GE Ethernet Global Data: cyclic exchange of data between controllers over UDP.
//!
//! Source: GE GFK-1541 and GFK-2224 (Ethernet Global Data, data production message). UDP 18246. Little endian but for
//! the producer id.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 1 | PDU type 0D: data production |
//! | 1 | 1 | version 1 |
//! | 2 | 2 | request id |
//! | 4 | 4 | producer id, by default its IP address |
//! | 8 | 4 | exchange id |
//! | 12 | 8 | time stamp |
//! | 20 | 4 | status |
//! | 24 | 4 | configuration signature |
//! | 28 | 4 | 0 |
//! | 32 | | data, at most 1400 octets |
//!
//! Function encoding: the PDU type. Unit: producer id. Address: exchange id. Not parsed: the data; the command protocol on
//! UDP 7937.

use core::fmt;

use super::{Binding, Protocol, Row, Sniff, op};
use crate::bytes::Bytes;
use crate::frame::UDP;
use crate::op::{Class, Dir, Kind};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Egd;

const PORT: u16 = 18246;
const PRODUCTION: u32 = 13;
const SIGNATURE: u32 = 0x0D01;
const HEAD: u32 = 32;
const LENGTH_MAX: u32 = HEAD + 1400;

impl Protocol for Egd {
    const NAME: &'static str = "egd";
    const TITLE: &'static str = "GE Ethernet Global Data";
    const BINDING: Binding = Binding { tcp: &[], udp: &[PORT], ethertypes: &[] };
    const SNIFF: &'static [Sniff] = &[Sniff { l4: UDP, mask: 0xFFFF_0000, value: SIGNATURE << 16 }];

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let Some(head) = b.be32(off) else { return Step::REFUSE };
        let Some(producer) = b.be32(off + 4) else { return Step::REFUSE };
        let Some(exchange) = b.le32(off + 8) else { return Step::REFUSE };
        let Some(status) = b.le32(off + 20) else { return Step::REFUSE };
        let Some(reserved) = b.be32(off + 28) else { return Step::REFUSE };
        if head >> 16 != SIGNATURE || reserved != 0 || w.end - off > LENGTH_MAX {
            return Step::REFUSE;
        }
        if w.strict() && (status >> 16 != 0 || exchange >> 24 != 0) {
            return Step::REFUSE;
        }
        w.pdu_end = w.end;
        let mut found = op::<Egd>(PRODUCTION, Kind::new(Class::CyclicIo, true).0, Dir::Publish, producer);
        found.addr = exchange;
        w.push(found);
        Step::DONE
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{}", function & 0xFF)
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        each(Row { function: PRODUCTION, name: "Data production", class: Class::CyclicIo, state_changing: true });
    }
}

#[cfg(test)]
mod tests {
    use crate::reason::Outcome;
    use crate::testing::{cuts, hex, udp};

    const DATA: &str = "0d014c458c50017d010000009af73f3c52fcc42802000000000000000000 0000a9000000";

    #[test]
    fn data_production() {
        let s = udp(18246, 18246, &hex(DATA));
        assert_eq!((s.lines(), s.flags), (["egd:13 cyclic-io! publish".into()].into(), 0));
        assert_eq!((s.ops[0].unit, s.ops[0].addr), (0x8C50_017D, 1));
        assert_eq!(udp(40000, 40001, &hex(DATA)).paths(), ["egd:13"]);
        cuts(&hex(DATA), &["egd:13"], &|p| udp(18246, 18246, p));
    }

    #[test]
    fn refusals() {
        for at in [0, 1, 28] {
            let mut p = hex(DATA);
            p[at] ^= 8;
            assert_eq!(udp(18246, 18246, &p).outcome, Outcome::Unparsed, "octet {at}");
        }
    }
}
