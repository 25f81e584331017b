//! Saia Ether-S-IO: cyclic data between Saia PCD controllers and remote I/O over UDP.
//!
//! The vendor does not publish the protocol; the header is as publicly known from protocol analysers. UDP 6060. Big
//! endian.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 4 | "ESIO" |
//! | 4 | 2 | telegram type: 1 data transfer, 2 status |
//! | 6 | 2 | version 0 |
//! | 16 | 4 | source station |
//! | 20 | 1 | data transfer: number of transfers |
//! | 26 | 4 | data transfer: first destination |
//!
//! Function encoding: the telegram type. Unit: source station. Address: first destination. Not parsed: the data.

use core::fmt;

use super::{Binding, Protocol, Row, Sniff, op};
use crate::bytes::Bytes;
use crate::frame::UDP;
use crate::op::{Class, Dir, Kind};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct EtherSio;

const PORT: u16 = 6060;
const MAGIC: u64 = 0x4553_494F;
const TRANSFER: u32 = 1;
const STATUS: u32 = 2;

impl Protocol for EtherSio {
    const NAME: &'static str = "ethersio";
    const TITLE: &'static str = "Saia Ether-S-IO";
    const BINDING: Binding = Binding { tcp: &[], udp: &[PORT], ethertypes: &[] };
    const SNIFF: &'static [Sniff] = &[Sniff { l4: UDP, mask: 0xFFFF_FFFF, value: MAGIC as u32 }];

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let Some(head) = b.be64(off) else { return Step::REFUSE };
        let Some(source) = b.be32(off + 16) else { return Step::REFUSE };
        let sort = (head >> 16) as u32 & 0xFFFF;
        if head >> 32 != MAGIC || sort > STATUS || head & 0xFFFF != 0 {
            return Step::REFUSE;
        }
        w.pdu_end = w.end;
        let kind = if sort == TRANSFER {
            Kind::new(Class::CyclicIo, true).0
        } else if sort == STATUS {
            Class::Diagnostic as u8
        } else {
            Kind::UNLISTED.0
        };
        let mut found = op::<EtherSio>(sort, kind, Dir::Publish, source);
        if sort == TRANSFER {
            found.addr = b.be32(off + 26).unwrap_or(0);
            found.span = b.u8(off + 20).unwrap_or(0) as u32;
        }
        w.push(found);
        Step::DONE
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{:#06x}", function & 0xFFFF)
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        each(Row { function: TRANSFER, name: "Data transfer", class: Class::CyclicIo, state_changing: true });
        each(Row { function: STATUS, name: "Status", class: Class::Diagnostic, state_changing: false });
    }
}

#[cfg(test)]
mod tests {
    use crate::reason::Outcome;
    use crate::testing::{cuts, hex, udp};

    const DATA: &str =
        "4553494f00010000000031761600001800000d01000000005c00000001001100000b300000000000000000000000000000ff";
    const STATUS: &str = "4553494f0002000000180000 0001000c0000000d00010100";

    #[test]
    fn telegrams() {
        assert_eq!(udp(1024, 6060, &hex(DATA)).lines(), ["ethersio:0x0001 cyclic-io! publish"]);
        assert_eq!(udp(1024, 6060, &hex(STATUS)).lines(), ["ethersio:0x0002 diagnostic publish"]);
        assert_eq!(udp(40000, 40001, &hex(STATUS)).paths(), ["ethersio:0x0002"]);
        cuts(&hex(STATUS), &[], &|p| udp(1024, 6060, p));
    }

    #[test]
    fn refusals() {
        let mut p = hex(STATUS);
        p[7] = 1;
        assert_eq!(udp(1024, 6060, &p).outcome, Outcome::Unparsed);
    }
}
