//! PROFINET RT: cyclic data, alarms and the remote service interface on layer 2 and over UDP; leads to DCP and PTCP.
//!
//! Source: IEC 61158-6-10 cl. 4.7 (RTC), 4.8 (RTA, RSI), 4.12 (FrameIDs). EtherType 0x8892,
//! UDP port 34962 (to one) and 34963 (to many). Big endian.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 2 | FrameID: what the frame is |
//! | 2 | | cyclic: user data, then cycle counter 2, data status 1, transfer status 1 |
//! | 2 | 4 | alarm, RSI: destination and source endpoint |
//! | 6 | 1 | PDU type: low nibble 1 DATA, 2 NACK, 3 ACK, 4 ERR, 5 FREQ, 6 FRSP |
//! | 7 | 7 | flags, send and ack sequence, length |
//! | 14 | 6 | DATA: block type 2, length 2, version 2 |
//! | 20 | 2 | DATA: alarm type |
//! | 14 | 4 | FREQ, FRSP: call sequence 3 bits, operation 5 bits, offset of the fragment 24 bits |
//!
//! Function encoding: FrameID; alarms and RSI: | PDU type << 16 | alarm type or RSI operation << 20, with bit 28 set when
//! there is one. Over UDP only FrameIDs 0xC000 to 0xFBFF, alarms and RSI exist, and the data status and lengths have to
//! fit. Cyclic data is state-changing: outputs and inputs look alike, and a forged one moves the process.
//! Not parsed: user data and status of cyclic frames (what a provider sends depends on its configuration).

use core::fmt;

use super::{Binding, Number, Protocol, Row, op, pn_dcp, pn_ptcp};
use crate::bytes::Bytes;
use crate::limits::STEPS;
use crate::op::{Class, Dir, Kind};
use crate::walk::{Hint, Step, Walk};

/// See the module head.
pub struct PnRt;

const ETHERTYPE: u16 = 0x8892;
const UDP_PORTS: [u16; 2] = [34962, 34963];
/// Cyclic FrameIDs over UDP, and the octets that such a PDU has at least: FrameID, data, status.
const UDP_FIRST: u16 = 0xC000;
const UDP_LAST: u16 = 0xFBFF;
const UDP_MIN: u32 = 2 + 12 + 4;
/// Reserved bits of the data status, and the transfer status, which is 0.
const STATUS: u16 = 0x48FF;
/// Octets of an alarm in front of what its length counts.
const ALARM_HEAD: u32 = 14;
const ALARM_HIGH: u16 = 0xFC01;
const ALARM_LOW: u16 = 0xFE01;
const RSI: u16 = 0xFE02;
/// PDU types, as they stand in the function.
const TYPE: u32 = 16;
/// Alarm type or RSI operation in the function.
const DETAIL: u32 = 20;
const HAS_DETAIL: u32 = 1 << 28;
const DATA: u32 = 1;
const FREQ: u32 = 5;

functions! {
    /// PDU types of alarms. FREQ and FRSP belong to the RSI.
    ALARM_PDUS, alarm_pdu_rows, base 0;
    1 "DATA-RTA" Alarm;
    2 "NACK-RTA" Response;
    3 "ACK-RTA" Response;
    4 "ERR-RTA" Control!;
}

/// Alarm types. All are alarms, those that are not listed too.
const ALARM_TYPES: [(u32, &str); 16] = [
    (0x01, "Diagnosis"),
    (0x02, "Process"),
    (0x03, "Pull"),
    (0x04, "Plug"),
    (0x05, "Status"),
    (0x06, "Update"),
    (0x07, "Redundancy"),
    (0x08, "Controlled by supervisor"),
    (0x09, "Released"),
    (0x0A, "Plug wrong submodule"),
    (0x0B, "Return of submodule"),
    (0x0C, "Diagnosis disappears"),
    (0x0E, "Port data change"),
    (0x0F, "Sync data changed"),
    (0x1E, "Upload and retrieval"),
    (0x1F, "Pull module"),
];

functions! {
    /// Operations of the remote service interface.
    RSI_OPERATIONS, rsi_rows, base 0;
    0x00 "Connect" Session!;
    0x02 "Read" Read;
    0x03 "Write" Write!;
    0x04 "Control" Control!;
    0x05 "ReadImplicit" Read;
    0x06 "ReadConnectionless" Read;
    0x07 "ReadNotification" Read;
    0x08 "PrmWriteMore" Write!;
    0x09 "PrmWriteEnd" Write!;
}

/// First and last FrameID, name, kind.
struct Range(u16, u16, &'static str, Class);

const RANGES: [Range; 11] = [
    Range(0x0000, 0x001F, "reserved", Class::Unknown),
    Range(0x0100, 0x06FF, "RT_CLASS_3 cyclic (IRT), non-redundant", Class::CyclicIo),
    Range(0x0700, 0x0FFF, "RT_CLASS_3 cyclic (IRT), redundant", Class::CyclicIo),
    Range(0x1000, 0x2FFF, "RT_CLASS_STREAM cyclic", Class::CyclicIo),
    Range(0x3800, 0x3FFF, "RT_CLASS_STREAM cyclic (2)", Class::CyclicIo),
    Range(0x8000, 0xBBFF, "RT_CLASS_1 cyclic unicast", Class::CyclicIo),
    Range(0xBC00, 0xBFFF, "RT_CLASS_1 cyclic multicast", Class::CyclicIo),
    Range(0xC000, 0xF7FF, "RT_CLASS_1 legacy unicast", Class::CyclicIo),
    Range(0xF800, 0xFBFF, "RT_CLASS_1 legacy multicast", Class::CyclicIo),
    Range(0xFF80, 0xFF8F, "Fragmentation (FRAG_PDU)", Class::Unknown),
    Range(0xFF90, 0xFFFF, "reserved", Class::Unknown),
];

/// Kind by the high octet of the FrameID. Every cyclic range begins and ends with one; the rest is unlisted, or listed as
/// unknown, which is the same.
static KINDS: [u8; 256] = {
    let mut t = [Kind::UNLISTED.0; 256];
    let mut i = 0;
    while i < RANGES.len() {
        let Range(first, last, _, class) = &RANGES[i];
        let mut high = *first >> 8;
        while high <= *last >> 8 {
            t[high as usize & 0xFF] = Kind::new(*class, true).0;
            high += 1;
        }
        i += 1;
    }
    t
};

impl Protocol for PnRt {
    const NAME: &'static str = "pn_rt";
    const TITLE: &'static str = "PROFINET RT, alarms";
    const BINDING: Binding = Binding { tcp: &[], udp: &UDP_PORTS, ethertypes: &[ETHERTYPE] };
    const TURNS: u32 = STEPS;

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let Some(id) = b.be16(off) else { return Step::REFUSE };
        if w.hint != Hint::EtherType as u8 {
            if !over_udp(b, w, id) {
                return Step::REFUSE;
            }
            w.pdu_end = w.end;
            if id > UDP_LAST {
                return acyclic(b, w, id);
            }
            w.push(op::<PnRt>(id as u32, Kind::new(Class::CyclicIo, true).0, Dir::Publish, 0));
            return Step::DONE;
        }
        // One PDU a frame; its length is not in it, and behind it is padding or a redundancy trailer.
        w.pdu_end = w.end;
        if (pn_dcp::HELLO..=pn_dcp::IDENTIFY_RESPONSE).contains(&id) {
            return w.inner(pn_dcp::PnDcp::NUMBER, off, w.end);
        }
        if pn_ptcp::kind(id) != Kind::UNLISTED.0 {
            return w.inner(pn_ptcp::PnPtcp::NUMBER, off, w.end);
        }
        if id == ALARM_HIGH || id == ALARM_LOW || id == RSI {
            return acyclic(b, w, id);
        }
        w.push(op::<PnRt>(id as u32, KINDS[b.index::<0xFF>((id >> 8) as u32)], Dir::Publish, 0));
        Step::DONE
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{:#06x}", function & 0xFFFF)
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        for Range(first, _, name, class) in &RANGES {
            each(Row { function: *first as u32, name, class: *class, state_changing: true });
        }
        for (id, name) in [(ALARM_HIGH, "Alarm high"), (ALARM_LOW, "Alarm low")] {
            each(Row { function: id as u32, name, class: Class::Alarm, state_changing: false });
        }
        each(Row { function: RSI as u32, name: "RSI", class: Class::Session, state_changing: true });
        let low = ALARM_LOW as u32;
        alarm_pdu_rows(&mut |r| each(Row { function: r.function << TYPE | low, ..r }));
        let alarm = DATA << TYPE | HAS_DETAIL | low;
        for (code, name) in ALARM_TYPES {
            each(Row { function: code << DETAIL | alarm, name, class: Class::Alarm, state_changing: false });
        }
        let request = FREQ << TYPE | HAS_DETAIL | RSI as u32;
        rsi_rows(&mut |r| each(Row { function: r.function << DETAIL | request, ..r }));
    }
}

/// Is this a datagram of RT over UDP?
#[inline(always)]
fn over_udp<B: Bytes>(b: B, w: &Walk, id: u16) -> bool {
    if (UDP_FIRST..=UDP_LAST).contains(&id) {
        let Some(status) = b.be16(w.end.wrapping_sub(2)) else { return false };
        return w.off + UDP_MIN <= w.end && w.hint == Hint::ToServer as u8 && status & STATUS == 0;
    }
    let Some(head) = b.u8(w.off + 6) else { return false };
    let Some(length) = b.be16(w.off + ALARM_HEAD - 2) else { return false };
    // Version 1 or 2 of the header, and a PDU type.
    let fits = w.off + ALARM_HEAD + length as u32 == w.end && (head >> 4).wrapping_sub(1) < 2 && head & 0xF != 0;
    fits && (id == ALARM_HIGH || id == ALARM_LOW || id == RSI)
}

/// Alarms and the remote service interface: the same header.
#[inline(always)]
fn acyclic<B: Bytes>(b: B, w: &mut Walk, id: u16) -> Step {
    let off = w.off;
    let Some(head) = b.u8(off + 6) else { return Step::REFUSE };
    let pdu = (head & 0xF) as u32;
    let mut function = id as u32 | pdu << TYPE;
    let mut kind = ALARM_PDUS[b.index::<0xF>(pdu)];
    if id == RSI && pdu >= FREQ {
        kind = Kind::new(Class::Session, true).0;
        // Only the first fragment, at offset 0, says what is asked.
        if let Some(call) = b.be32(off + 14)
            && call & 0x00FF_FFFF == 0
        {
            let operation = (call >> 24) & 0x1F;
            kind = RSI_OPERATIONS[b.index::<0x1F>(operation)];
            function |= operation << DETAIL | HAS_DETAIL;
        }
    } else if pdu == DATA
        && let Some(alarm) = b.be16(off + 20)
    {
        let alarm = (alarm & 0xFF) as u32;
        function |= alarm << DETAIL | HAS_DETAIL;
    }
    w.push(op::<PnRt>(function, kind, DIRECTIONS[b.index::<0xF>(pdu)], 0));
    Step::DONE
}

/// Direction by PDU type: alarms are pushed, what answers them and FRSP are responses.
static DIRECTIONS: [Dir; 16] = {
    let mut t = [Dir::Publish; 16];
    t[2] = Dir::Response;
    t[3] = Dir::Response;
    t[FREQ as usize] = Dir::Request;
    t[6] = Dir::Response;
    t
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::Outcome;
    use crate::testing::{cuts, hex, layer2, udp};

    #[test]
    fn cyclic_data_by_range() {
        let s = layer2(
            ETHERTYPE,
            &hex("8000808080800000000000000000000000000000000000000000000000000000000000000000000000003535003500"),
        );
        assert_eq!((s.lines(), s.flags), (["pn_rt:0x8000 cyclic-io! publish".into()].into(), 0));
        for (id, class) in [
            (0x0100, "cyclic-io!"),
            (0x3FFF, "cyclic-io!"),
            (0xFBFF, "cyclic-io!"),
            (0x3000, "unknown!"),
            (0x4000, "unknown!"),
        ] {
            let line = std::format!("pn_rt:{id:#06x} {class} publish");
            assert_eq!(layer2(ETHERTYPE, &u16::to_be_bytes(id)).lines(), [line]);
        }
        assert_eq!(layer2(ETHERTYPE, &hex("ff8a0000")).lines(), ["pn_rt:0xff8a unknown! publish"]);
        assert_eq!(layer2(ETHERTYPE, &hex("00100000")).lines(), ["pn_rt:0x0010 unknown! publish"]);
    }

    extern crate std;

    #[test]
    fn alarms_by_pdu_type() {
        let alarm = |id: &str, pdu: &str| {
            layer2(ETHERTYPE, &hex(&[id, "00010002", pdu, "11ffffffff001c0002001a01000002"].concat())).lines()
        };
        assert_eq!(alarm("fc01", "11"), ["pn_rt:0xfc01 alarm publish"]);
        assert_eq!(alarm("fe01", "13"), ["pn_rt:0xfe01 response response"]);
        assert_eq!(alarm("fe01", "14"), ["pn_rt:0xfe01 control! publish"]);
        assert_eq!(alarm("fe01", "1f"), ["pn_rt:0xfe01 unknown! publish"]);
    }

    #[test]
    fn the_remote_service_interface_by_operation() {
        let rsi = |pdu: &str, call: &str| {
            layer2(ETHERTYPE, &hex(&["fe0200010002", pdu, "11ffffffff0010", call, "0000"].concat())).lines()
        };
        assert_eq!(rsi("25", "03000000"), ["pn_rt:0xfe02 write! request"]);
        assert_eq!(rsi("26", "03000000"), ["pn_rt:0xfe02 write response"]);
        assert_eq!(rsi("25", "04000000"), ["pn_rt:0xfe02 control! request"]);
        assert_eq!(rsi("25", "03000400"), ["pn_rt:0xfe02 session! request"]);
        assert_eq!(rsi("23", "03000000"), ["pn_rt:0xfe02 response response"]);
    }

    #[test]
    fn over_udp_only_what_fits() {
        let cyclic = "c001 80808080000000000000000000000000 1234 35 00";
        assert_eq!(udp(34962, 34962, &hex(cyclic)).lines(), ["pn_rt:0xc001 cyclic-io! publish"]);
        assert_eq!(udp(34962, 40000, &hex(cyclic)).outcome, Outcome::Unparsed);
        for near in [cyclic.replace("35 00", "75 00"), cyclic.replace("35 00", "35 01"), cyclic.replace("c001", "8001")]
        {
            assert_eq!(udp(40000, 34962, &hex(&near)).outcome, Outcome::Unparsed, "{near}");
        }
        let alarm = "fc01 0001 0002 11 11 0000 ffff 0008 0001 0004 0100 0002";
        let s = udp(34962, 34962, &hex(alarm));
        assert_eq!(s.lines(), ["pn_rt:0xfc01 alarm publish"]);
        assert_eq!(s.ops[0].function, 0x1021_FC01);
        assert_eq!(udp(34962, 34962, &hex(&alarm.replace("0008", "0009"))).outcome, Outcome::Unparsed);
    }

    #[test]
    fn no_cut_changes_the_meaning() {
        cuts(&hex("fc010001000211110000ffff001c0001001a01000002"), &[], &|p| layer2(ETHERTYPE, p));
    }
}
