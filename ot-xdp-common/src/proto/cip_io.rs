//! CIP implicit messages: cyclic process data over UDP.
//!
//! Source: The CIP Networks Library, volume 2, chapter 3 (I/O over UDP), cl. 2-6 (common packet format).
//! Default port 2222, both ways and to multicast groups. Little endian.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 2 | number of items, 2 |
//! | 2 | 4 | sequenced address item: type 8002, length 8 |
//! | 6 | 4 | connection id |
//! | 10 | 4 | encapsulation sequence number |
//! | 14 | 4 | connected data item: type 00B1, length of what follows |
//! | 18 | | data; class 1 begins with a sequence number 2 |
//!
//! Function encoding: always 0, there is no service. Address: the connection id. Whether the data are outputs or inputs
//! was settled when the connection was opened and cannot be seen here. CIP Safety rides in the same frames, with a mode
//! octet and checksums inside the data whose places depend on the connection: a frame alone does not show it, the
//! Forward_Open does (see [`super::cip`]). Not parsed: the data.

use core::fmt;

use super::{Binding, Protocol, Row, Sniff, op};
use crate::bytes::Bytes;
use crate::frame::UDP;
use crate::op::{Class, Dir, Kind};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct CipIo;

const PORT: u16 = 2222;
/// Octets in front of the data.
const HEAD: u32 = 18;
/// The first six octets.
const SIGNATURE: u64 = 0x0200_0280_0800;
/// Type of the data item, as it lies in the frame.
const CONNECTED: u32 = 0xB100;
const CLASS: Class = Class::CyclicIo;

impl Protocol for CipIo {
    const NAME: &'static str = "cipio";
    const TITLE: &'static str = "CIP implicit messages (EtherNet/IP I/O)";
    const BINDING: Binding = Binding { tcp: &[], udp: &[PORT], ethertypes: &[] };
    const SNIFF: &'static [Sniff] = &[Sniff { l4: UDP, mask: 0xFFFF_FFFF, value: 0x0200_0280 }];

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        // One by one: of a tuple of reads that fail, the verifier sees registers that were never written.
        let Some(head) = b.be64(off) else { return Step::REFUSE };
        let Some(id) = b.le32(off + 6) else { return Step::REFUSE };
        let Some(item) = b.be32(off + 14) else { return Step::REFUSE };
        let end = off + HEAD + (item as u16).swap_bytes() as u32;
        if head >> 16 != SIGNATURE || item >> 16 != CONNECTED || end != w.end {
            return Step::REFUSE;
        }
        w.pdu_end = end;
        let mut found = op::<CipIo>(0, Kind::new(CLASS, true).0, Dir::Publish, 0);
        found.addr = id;
        w.push(found);
        Step::DONE
    }

    fn path(_function: u32, _out: &mut dyn fmt::Write) -> fmt::Result {
        Ok(())
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        each(Row { function: 0, name: "Class 0/1 implicit I/O", class: CLASS, state_changing: true });
    }
}

#[cfg(test)]
mod tests {
    use crate::flags;
    use crate::reason::Outcome;
    use crate::testing::{cuts, hex, udp};

    const DATA: &str = "02000280080003064b00db943f00b1000600a587e80f0300";

    #[test]
    fn cyclic_data_with_their_connection() {
        let s = udp(2222, 2222, &hex(DATA));
        assert_eq!((s.lines(), s.flags), (["cipio: cyclic-io! publish".into()].into(), 0));
        assert_eq!(s.ops[0].addr, 0x004B_0603);
        cuts(&hex(DATA), &[], &|p| udp(2222, 2222, p));
    }

    #[test]
    fn found_off_its_port_by_the_whole_signature() {
        let s = udp(40000, 40001, &hex(DATA));
        assert_eq!((s.paths(), s.flags), (["cipio:".into()].into(), flags::PORT_MISMATCH));
        for at in [0, 1, 2, 3, 4, 5, 14, 15, 16, 17] {
            let mut near = hex(DATA);
            near[at] ^= 1;
            assert_eq!(udp(40000, 40001, &near).outcome, Outcome::NotOt, "octet {at}");
            assert_eq!(udp(2222, 2222, &near).outcome, Outcome::Unparsed, "octet {at}");
        }
    }
}
