//! Sampled Values: measured currents and voltages of IEC 61850 on layer 2.
//!
//! Source: IEC 61850-9-2 cl. 5.3 (frame), 8.5 (abstract syntax and its tags); IEC 61869-9 cl. 6.903 (samples a frame).
//! EtherType 0x88BA. Big endian, then BER.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 2 | APPID |
//! | 2 | 2 | length, from APPID on |
//! | 4 | 2 | reserved 1; bit 15: simulation |
//! | 6 | 2 | reserved 2 |
//! | 8 | 1-4 | tag 60 savPdu, BER length |
//! | | | 80 noASDU, 81 security (optional), A2 sequence of ASDUs |
//! | | | each 30: 80 svID, 81 datSet (optional), 82 smpCnt 2, 83 confRev 4, ..., 87 samples |
//!
//! Function encoding: noASDU | a hash of the svID << 8: publishers often share one APPID, so that the stream's name is
//! part of what it is. The hash covers length, first and last eight octets. Unit: APPID. Address: confRev. A frame
//! whose ASDUs bear different names gives an operation for each change of name. The addresses of the frame say nothing:
//! publishers are configured freely. State-changing, because protection acts on it. Not parsed: samples, counters,
//! signatures behind the PDU.

use core::fmt;

use super::goose::ber;
use super::{Binding, Protocol, Row, op};
use crate::bytes::Bytes;
use crate::flags;
use crate::limits::STEPS;
use crate::op::{Class, Dir, Kind};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Sv;

const ETHERTYPE: u16 = 0x88BA;
/// Octets in front of the PDU.
const HEAD: u32 = 8;
const SAV_PDU: u32 = 0x60;
/// Tag and length.
const NO_ASDU: u32 = 0x8001;
const SECURITY: u32 = 0x81;
const SEQUENCE: u32 = 0xA2;
const ASDU: u32 = 0x30;
const SV_ID: u32 = 0x80;
const DAT_SET: u32 = 0x81;
/// smpCnt, its length 2, and behind its value confRev.
const SMP_CNT: u64 = 0x8202;
const CONF_REV: u64 = 0x8304;
const KIND: Kind = Kind::new(Class::CyclicIo, true);

/// What the steps of one frame share.
mod mem {
    /// ASDUs not yet looked at.
    pub const LEFT: usize = 0;
    /// Function of the last operation; noASDU alone before the first.
    pub const FUNCTION: usize = 1;
    /// APPID.
    pub const UNIT: usize = 2;
    /// Not 0 when the lengths of frame and PDU disagree.
    pub const BROKEN: usize = 3;
}

impl Protocol for Sv {
    const NAME: &'static str = "sv";
    const TITLE: &'static str = "IEC 61850 Sampled Values";
    const BINDING: Binding = Binding { tcp: &[], udp: &[], ethertypes: &[ETHERTYPE] };
    const TURNS: u32 = STEPS;

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let mut at = w.off;
        if w.mem[mem::LEFT] == 0 {
            let Some(head) = b.be64(at) else { return Step::REFUSE };
            let Some(pdu) = b.be32(at + HEAD) else { return Step::REFUSE };
            let (skip, size) = ber(pdu);
            let length = (head >> 32) as u32 & 0xFFFF;
            let begin = at;
            at += HEAD + skip;
            let Some(count) = b.be32(at) else { return Step::REFUSE };
            // noASDU is a single octet up to 127, the only form in use.
            if pdu >> 24 != SAV_PDU || count >> 16 != NO_ASDU || skip == 0 {
                return Step::REFUSE;
            }
            // One PDU a frame; behind it is padding, a redundancy trailer or a signature.
            w.pdu_end = w.end;
            if head & 0x8000_0000 != 0 {
                w.flags |= flags::SIMULATION;
            }
            let fits = length == HEAD + skip + size && length <= w.end.wrapping_sub(begin);
            let asdus = (count >> 8) & 0xFF;
            w.mem[mem::BROKEN] = !fits as u32;
            w.mem[mem::FUNCTION] = asdus;
            w.mem[mem::LEFT] = asdus;
            w.mem[mem::UNIT] = (head >> 48) as u32;
            at += 3;
            let mut list = b.be32(at).unwrap_or(0);
            if list >> 24 == SECURITY {
                let (skip, size) = ber(list);
                at += skip + size;
                list = b.be32(at).unwrap_or(0);
            }
            let (skip, _) = ber(list);
            at += skip;
            if list >> 24 != SEQUENCE || skip == 0 || asdus == 0 {
                return nameless(w);
            }
        }
        let Some(asdu) = b.be32(at) else { return nameless(w) };
        let (skip, size) = ber(asdu);
        let name = at + skip;
        w.off = name + size;
        let Some(id) = b.be32(name) else { return nameless(w) };
        let (skip, size) = ber(id);
        let begin = name + skip;
        let end = begin + size;
        let Some(front) = b.be64(begin) else { return nameless(w) };
        let Some(back) = b.be64(end.wrapping_sub(8)) else { return nameless(w) };
        if asdu >> 24 != ASDU || id >> 24 != SV_ID || skip == 0 {
            return nameless(w);
        }
        let name = hash(if size < 8 { (front >> 1) >> (63 - 8 * size) } else { front ^ back.rotate_left(20) }, size);
        let function = w.mem[mem::FUNCTION] & 0xFF | name << 8;
        if function != w.mem[mem::FUNCTION] {
            w.mem[mem::FUNCTION] = function;
            let mut found = op::<Sv>(function, KIND.0, Dir::Publish, w.mem[mem::UNIT]);
            found.addr = conf_rev(b, end);
            w.push(found);
        }
        w.mem[mem::LEFT] -= 1;
        if w.mem[mem::LEFT] != 0 {
            return Step::INNER;
        }
        if w.mem[mem::BROKEN] == 0 { Step::DONE } else { Step::MALFORMED }
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{}", function & 0xFF)
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        each(Row { function: 1, name: "savPdu", class: Class::CyclicIo, state_changing: true });
    }
}

/// An ASDU whose name cannot be read: counted without one when it is the first.
#[inline(always)]
fn nameless(w: &mut Walk) -> Step {
    if w.n_ops == 0 {
        w.push(op::<Sv>(w.mem[mem::FUNCTION], KIND.0, Dir::Publish, w.mem[mem::UNIT]));
    }
    Step::MALFORMED
}

/// 24 bits, never 0, out of the name's octets and their number.
#[inline(always)]
fn hash(octets: u64, size: u32) -> u32 {
    (octets.wrapping_add(size as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as u32 | 1
}

/// confRev of the ASDU whose svID ends here, 0 when the elements do not lie as they should.
#[inline(always)]
fn conf_rev<B: Bytes>(b: B, end: u32) -> u32 {
    let mut at = end;
    let Some(element) = b.be32(at) else { return 0 };
    if element >> 24 == DAT_SET {
        let (skip, size) = ber(element);
        at += skip + size;
    }
    let Some(counter) = b.be64(at) else { return 0 };
    if counter >> 48 != SMP_CNT || counter >> 16 & 0xFFFF != CONF_REV {
        return 0;
    }
    b.be32(at + 6).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::Outcome;
    use crate::testing::{cuts, hex, layer2};

    const SAMPLE: &str = "4000006600000000605c800101a2573055800434303031820201188304000000018501028740fffe59820000000000043d\
                          dc00000000fffd6f5c00000000000006ba00002000ff8df40000000000011dfbc200000000ff55600c0000000000014f\
                          ce00002000";
    /// Two ASDUs of one stream, the second with a data set.
    const PAIR: &str = "4001005600000000604c800102a247301d80044d55303182020001830400000005850101870800010203040506073026\
                        80044d55303181074c442f412464738202000283040000000585010187080001020304050607";
    /// Two streams in one frame, behind a security element.
    const MIXED: &str = "4001006500000000605b800102810100a253301d80044d5530318202000183040000000585010187080001020304050607\
                         303280104d5530325f415f4c4f4e475f4e414d4581074c442f412464738202000283040000000685010187080001020304\
                         050607";

    #[test]
    fn a_stream_by_number_of_samples_name_and_revision() {
        let s = layer2(ETHERTYPE, &hex(SAMPLE));
        assert_eq!((s.lines(), s.flags), (["sv:1 cyclic-io! publish".into()].into(), 0));
        assert_eq!((s.ops[0].unit, s.ops[0].addr), (0x4000, 1));
        let other = layer2(ETHERTYPE, &hex(&SAMPLE.replace("34303031", "34303032")));
        assert_ne!(other.ops[0].function, s.ops[0].function);
        let mut p = hex(SAMPLE);
        p[4] = 0x80;
        assert_eq!(layer2(ETHERTYPE, &p).flags, flags::SIMULATION);
        let s = layer2(ETHERTYPE, &[hex(SAMPLE), hex("000000000000")].concat());
        assert_eq!((s.outcome, s.flags, s.ops.len()), (Outcome::Classified, 0, 1));
    }

    #[test]
    fn several_samples_in_one_frame() {
        let s = layer2(ETHERTYPE, &hex(PAIR));
        assert_eq!((s.lines(), s.flags, s.ops[0].addr), (["sv:2 cyclic-io! publish".into()].into(), 0, 5));
        let s = layer2(ETHERTYPE, &hex(MIXED));
        assert_eq!((s.paths(), s.outcome), (["sv:2".into(), "sv:2".into()].into(), Outcome::Classified));
        assert_eq!((s.ops[0].addr, s.ops[1].addr), (5, 6));
        assert_ne!(s.ops[0].function, s.ops[1].function);
    }

    #[test]
    fn broken_frames_are_malformed_and_others_refused() {
        // Length, BER length, tags of the sequence, of the ASDU and of its name.
        for (at, value) in [(3, 0x67), (9, 0x5B), (13, 0xA3), (15, 0x31), (17, 0x81)] {
            let mut p = hex(SAMPLE);
            p[at] = value;
            let s = layer2(ETHERTYPE, &p);
            assert_eq!((s.outcome, s.paths()), (Outcome::Malformed, ["sv:1".into()].into()), "octet {at}");
        }
        for at in [8, 10, 11] {
            let mut p = hex(SAMPLE);
            p[at] ^= 0x11;
            assert_eq!(layer2(ETHERTYPE, &p).outcome, Outcome::Unparsed, "octet {at}");
        }
    }

    #[test]
    fn no_cut_changes_the_meaning() {
        cuts(&hex(SAMPLE), &[], &|p| layer2(ETHERTYPE, p));
        cuts(&hex(PAIR), &[], &|p| layer2(ETHERTYPE, p));
    }
}
