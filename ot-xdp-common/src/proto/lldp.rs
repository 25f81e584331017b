//! LLDP: what a device tells its neighbour on the cable about itself.
//!
//! Source: IEEE 802.1AB cl. 8 (frame, TLVs); IEC 61158-6-10 cl. 4.11 (PROFINET TLVs). EtherType 0x88CC. Big endian.
//!
//! A list of TLVs, each type (7 bits), length (9 bits), value; chassis (type 1), port (2) and time to live (3) come first,
//! in this order. Type 127 begins with the OUI of an organisation, 00-0E-CF for PROFINET.
//!
//! Function encoding: bit 0: PROFINET TLVs among the first eight behind the time to live; bit 1: time to live 0, the
//! neighbour leaves. Not parsed: names and addresses, what follows the first eight.

use core::fmt;

use super::{Binding, Protocol, Row, op};
use crate::bytes::Bytes;
use crate::op::Dir;
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Lldp;

const ETHERTYPE: u16 = 0x88CC;
const CHASSIS: u32 = 1;
const PORT: u32 = 2;
const TIME_TO_LIVE: u32 = 3;
/// Lengths of a chassis or port.
const NAME_MAX: u32 = 256;
const PROFINET: u32 = 1;
const LEAVES: u32 = 2;
/// Type 127 and the OUI of PROFINET: header without its length, and OUI.
const ORGANISATION: u64 = 0xFE_0000_0ECF;
const ORGANISATION_MASK: u64 = 0xFE_00FF_FFFF;
/// TLVs that are looked at behind the time to live.
const TLVS: u32 = 8;

functions! {
    FUNCTIONS[4], function_rows, base 0;
    0 "chassis, port, time to live" Discovery;
    1 "PROFINET neighbour" Discovery;
    2 "shutdown" Alarm;
    3 "PROFINET shutdown" Alarm;
}

impl Protocol for Lldp {
    const NAME: &'static str = "lldp";
    const TITLE: &'static str = "LLDP (IEEE 802.1AB)";
    const BINDING: Binding = Binding { tcp: &[], udp: &[], ethertypes: &[ETHERTYPE] };

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let mut at = w.off;
        let Some(chassis) = b.be16(at) else { return Step::REFUSE };
        let first = chassis as u32 & 0x1FF;
        at += 2 + first;
        let Some(port) = b.be16(at) else { return broken(w) };
        let second = port as u32 & 0x1FF;
        at += 2 + second;
        let Some(ttl) = b.be32(at) else { return broken(w) };
        let lengths = first.wrapping_sub(2) <= NAME_MAX - 2 && second.wrapping_sub(2) <= NAME_MAX - 2;
        let order = chassis as u32 >> 9 == CHASSIS && port as u32 >> 9 == PORT && ttl >> 25 == TIME_TO_LIVE;
        if !lengths || !order {
            return broken(w);
        }
        // Behind the last TLV is padding.
        w.pdu_end = w.end;
        at += 2 + (ttl >> 16 & 0x1FF);
        let mut function = if ttl & 0xFFFF == 0 { LEAVES } else { 0 };
        for _ in 0..TLVS {
            // The shortest TLV of PROFINET has 8 octets with its header.
            let Some(tlv) = b.be64(at) else { break };
            if (tlv >> 24) & ORGANISATION_MASK == ORGANISATION {
                function |= PROFINET;
                break;
            }
            let head = (tlv >> 48) as u32;
            if head >> 9 == 0 {
                break;
            }
            at += 2 + (head & 0x1FF);
        }
        w.push(op::<Lldp>(function, FUNCTIONS[b.index::<3>(function)], Dir::Publish, 0));
        Step::DONE
    }

    fn path(_function: u32, _out: &mut dyn fmt::Write) -> fmt::Result {
        Ok(())
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        function_rows(each);
    }
}

/// Nothing else uses the EtherType, so that a frame without the mandatory TLVs is a broken LLDP frame.
#[inline(always)]
fn broken(w: &mut Walk) -> Step {
    w.push(op::<Lldp>(0, FUNCTIONS[0], Dir::Publish, 0));
    Step::MALFORMED
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::Outcome;
    use crate::testing::{cuts, hex, layer2};

    const PLAIN: &str = "0207 04 000102030405 0405 05 65746830 0602 0078 0a03 706c63 0000";

    #[test]
    fn neighbours() {
        let s = layer2(ETHERTYPE, &hex(PLAIN));
        assert_eq!((s.lines(), s.ops[0].function), (["lldp: discovery publish".into()].into(), 0));
        let s = layer2(ETHERTYPE, &hex(&PLAIN.replace("0000", "fe08 000ecf 02 00000000 0000")));
        assert_eq!((s.lines(), s.ops[0].function), (["lldp: discovery publish".into()].into(), PROFINET));
        let s = layer2(ETHERTYPE, &hex(&PLAIN.replace("0078", "0000")));
        assert_eq!(s.lines(), ["lldp: alarm publish"]);
    }

    #[test]
    fn the_order_is_checked() {
        for (from, to) in [("0207", "0407"), (" 0405 ", " 0605 "), ("0602", "0802"), ("0207", "0208")] {
            assert_eq!(layer2(ETHERTYPE, &hex(&PLAIN.replacen(from, to, 1))).outcome, Outcome::Malformed, "{from}");
        }
        cuts(&hex(PLAIN), &[], &|p| layer2(ETHERTYPE, p));
    }
}
