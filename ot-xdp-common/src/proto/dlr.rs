//! DLR: the ring redundancy of EtherNet/IP.
//!
//! Source: The CIP Networks Library, volume 2, chapter 9-5 (device level ring, frames). EtherType 0x80E1. Big endian.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 1 | ring subtype |
//! | 1 | 1 | ring protocol version, 1 |
//! | 2 | 1 | frame type |
//! | 3 | 1 | source port |
//! | 4 | 4 | IP address of the source |
//! | 8 | 4 | sequence |
//! | 12 | | Beacon: ring state 1, precedence of the supervisor 1, interval 4, timeout 4 |
//!
//! Function encoding: the frame type. Address of a beacon: the precedence, which decides who supervises the ring. Not
//! parsed: ring state, lists of nodes.

use core::fmt;

use super::{Binding, Protocol, Row, op};
use crate::bytes::Bytes;
use crate::op::Dir;
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Dlr;

const ETHERTYPE: u16 = 0x80E1;
const VERSION: u32 = 1;
const BEACON: u32 = 1;
const CHECK_REQUEST: usize = 2;
const CHECK_RESPONSE: usize = 3;
/// Octets in front of what the frame types add.
const HEAD: u32 = 12;

functions! {
    TYPES, type_rows, base 0;
    0x01 "Beacon" Diagnostic;
    0x02 "Neighbor_Check_Request" Diagnostic;
    0x03 "Neighbor_Check_Response" Response;
    0x04 "Link_Status" Alarm;
    0x05 "Locate_Fault" Diagnostic;
    0x06 "Announce" Diagnostic;
    0x07 "Sign_On" Discovery;
    0x08 "Advertise" Diagnostic;
    0x09 "Flush_Tables" Control!;
    0x0A "Learning_Update" Diagnostic;
}

static DIRECTIONS: [Dir; 256] = {
    let mut t = [Dir::Publish; 256];
    t[CHECK_REQUEST] = Dir::Request;
    t[CHECK_RESPONSE] = Dir::Response;
    t
};

impl Protocol for Dlr {
    const NAME: &'static str = "dlr";
    const TITLE: &'static str = "DLR, device level ring (EtherNet/IP)";
    const BINDING: Binding = Binding { tcp: &[], udp: &[], ethertypes: &[ETHERTYPE] };

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let Some(head) = b.be32(off) else { return Step::REFUSE };
        let Some(_sequence) = b.be32(off + HEAD - 4) else { return Step::REFUSE };
        let of = (head >> 8) & 0xFF;
        if (head >> 16) & 0xFF != VERSION || of == 0 || of > 0xF {
            return Step::REFUSE;
        }
        w.pdu_end = w.end;
        let mut found = op::<Dlr>(of, TYPES[b.index::<0xFF>(of)], DIRECTIONS[b.index::<0xFF>(of)], 0);
        if of == BEACON {
            found.addr = b.u8(off + HEAD + 1).unwrap_or(0) as u32;
        }
        w.push(found);
        Step::DONE
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{function:#04x}")
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        type_rows(each);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::Outcome;
    use crate::testing::{cuts, hex, layer2};

    const BEACON_FRAME: &str = "0201 01 00 c0a80101 00000001 01 64 00000190 000007a8 00000000";

    #[test]
    fn frame_types() {
        let s = layer2(ETHERTYPE, &hex(BEACON_FRAME));
        assert_eq!((s.lines(), s.ops[0].addr), (["dlr:0x01 diagnostic publish".into()].into(), 100));
        let of = |of: &str| layer2(ETHERTYPE, &hex(&BEACON_FRAME.replace(" 01 00", of))).lines();
        assert_eq!(of("0900"), ["dlr:0x09 control! publish"]);
        assert_eq!(of("0200"), ["dlr:0x02 diagnostic request"]);
        assert_eq!(of("0300"), ["dlr:0x03 response response"]);
        assert_eq!(of("0b00"), ["dlr:0x0b unknown! publish"]);
    }

    #[test]
    fn other_octets_are_refused() {
        for p in ["0202010000000000 00000000", "0201000000000000 00000000", "02010100c0a80101 000000"] {
            assert_eq!(layer2(ETHERTYPE, &hex(p)).outcome, Outcome::Unparsed, "{p}");
        }
        cuts(&hex(BEACON_FRAME), &[], &|p| layer2(ETHERTYPE, p));
    }
}
