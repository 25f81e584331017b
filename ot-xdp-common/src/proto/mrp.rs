//! MRP: the redundancy protocol of Ethernet rings.
//!
//! Source: IEC 62439-2 cl. 8 (frames: version, TLVs, options). EtherType 0x88E3. Big endian.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 2 | version, 1 |
//! | 2 | 2 | TLV: type, length, then its value; type 0 ends the list |
//! | | | 7F option: OUI 3, edition type 1, data 2, then a TLV of its own |
//!
//! Function encoding: type of the TLV; options: 7F | type inside << 8. MRP_Common is in every frame and an operation only
//! where nothing else is. A change of topology makes every bridge of the ring forget its addresses. Not parsed: ring
//! state, roles, TLVs behind the fourth.

use core::fmt;

use super::{Binding, Protocol, Row, op};
use crate::bytes::Bytes;
use crate::op::Dir;
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Mrp;

const ETHERTYPE: u16 = 0x88E3;
const VERSION: u32 = 1;
const COMMON: u32 = 1;
const OPTION: u32 = 0x7F;
/// TLVs that are looked at.
const TLVS: u32 = 4;

functions! {
    TYPES, type_rows, base 0;
    0x01 "MRP_Common" Diagnostic;
    0x02 "MRP_Test" Diagnostic;
    0x03 "MRP_TopologyChange" Control!;
    0x04 "MRP_LinkDown" Alarm;
    0x05 "MRP_LinkUp" Alarm;
    0x06 "MRP_InTest" Diagnostic;
    0x07 "MRP_InTopologyChange" Control!;
    0x08 "MRP_InLinkDown" Alarm;
    0x09 "MRP_InLinkUp" Alarm;
    0x0A "MRP_InLinkStatusPoll" Diagnostic;
}

functions! {
    /// Inside an option.
    OPTIONS, option_rows, base 0;
    0x01 "MRP_TestMgrNAck" Control!;
    0x02 "MRP_TestPropagate" Control!;
    0x03 "MRP_AutoMgr" Diagnostic;
}

impl Protocol for Mrp {
    const NAME: &'static str = "mrp";
    const TITLE: &'static str = "MRP, media redundancy (IEC 62439-2)";
    const BINDING: Binding = Binding { tcp: &[], udp: &[], ethertypes: &[ETHERTYPE] };

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let mut at = w.off + 2;
        let Some(head) = b.be32(w.off) else { return Step::REFUSE };
        let fits = at + 2 + (head & 0xFF) <= w.end;
        if head >> 16 != VERSION || head & 0xFF00 == 0 || !fits {
            return Step::REFUSE;
        }
        w.pdu_end = w.end;
        for _ in 0..TLVS {
            let Some(tlv) = b.be16(at) else { break };
            let of = tlv as u32 >> 8;
            if of == 0 {
                break;
            }
            let (mut function, mut kind) = (of, TYPES[b.index::<0xFF>(of)]);
            if of == OPTION {
                let within = b.u8(at + 8).unwrap_or(0) as u32;
                function |= within << 8;
                kind = OPTIONS[b.index::<0xFF>(within)];
            }
            if of != COMMON {
                w.push(op::<Mrp>(function, kind, Dir::Publish, 0));
            }
            at += 2 + (tlv as u32 & 0xFF);
        }
        if w.n_ops == 0 {
            w.push(op::<Mrp>(COMMON, TYPES[COMMON as usize], Dir::Publish, 0));
        }
        Step::DONE
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{:#04x}", function & 0xFF)?;
        if function & 0xFF == OPTION { write!(out, "/{:#04x}", function >> 8) } else { Ok(()) }
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        type_rows(each);
        option_rows(&mut |r| each(Row { function: OPTION | r.function << 8, ..r }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::Outcome;
    use crate::testing::{cuts, hex, layer2};

    const COMMON_TLV: &str = "0112 0007 ffffffffffffffffffffffffffffffff 0000";

    fn frame(tlv: &str) -> crate::testing::Seen {
        layer2(ETHERTYPE, &hex(&["0001", tlv, COMMON_TLV].concat()))
    }

    #[test]
    fn by_their_first_tlv() {
        let test = "0212 8000 000102030405 0000 0001 0001 00000010";
        assert_eq!(frame(test).lines(), ["mrp:0x02 diagnostic publish"]);
        assert_eq!(frame("030c 8000 000102030405 0001 000a").lines(), ["mrp:0x03 control! publish"]);
        assert_eq!(frame("040c 000102030405 0001 000a 0001").lines(), ["mrp:0x04 alarm publish"]);
        assert_eq!(frame("").lines(), ["mrp:0x01 diagnostic publish"]);
        assert_eq!(frame("0b02 0000").lines(), ["mrp:0x0b unknown! publish"]);
        let both = frame(&[test, "7f08 080006 00 0000 0300"].concat());
        assert_eq!(both.lines(), ["mrp:0x02 diagnostic publish", "mrp:0x7f/0x03 diagnostic publish"]);
        assert_eq!(frame("7f12 080006 00 0000 010a 8000000102030405 0000").lines(), ["mrp:0x7f/0x01 control! publish"]);
    }

    #[test]
    fn other_octets_are_refused() {
        for p in ["0002 0202 0000 0000", "0001 0002 0000 0000", "0001 02ff 0000 0000"] {
            assert_eq!(layer2(ETHERTYPE, &hex(p)).outcome, Outcome::Unparsed, "{p}");
        }
        cuts(&hex(&["0001 0202 0000", COMMON_TLV].concat()), &[], &|p| layer2(ETHERTYPE, p));
    }
}
