//! IEC 60870-5-104: telecontrol over TCP.
//!
//! Source: IEC 60870-5-104 cl. 5 (APCI: formats, control field), 7 (ASDUs), 8 (port); IEC 60870-5-101 cl. 7.2 (type
//! identification, cause of transmission, addresses); IEC 60870-5-7 (authentication types). Default port 2404. Little
//! endian.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 1 | start 68 |
//! | 1 | 1 | length L of what follows, 4 to 253 |
//! | 2 | 4 | control field: bit 0 of octet 2 is 0 for I, its bits 0-1 are 01 for S and 11 for U |
//! | 6 | 1 | I: type identification |
//! | 7 | 1 | number of objects; bit 7: one address, the others follow it |
//! | 8 | 1 | cause of transmission; bit 6: negative confirm, bit 7: test |
//! | 9 | 1 | originator address |
//! | 10 | 2 | common address |
//! | 12 | 3 | address of the first information object |
//! | 15 | | its element |
//!
//! Function encoding: I: type | cause << 8, | bit 16 for a negative confirm. S and U: octet 2 | format << 24. Unit:
//! common address. One APDU is one PDU. Types in control direction change something only with cause 6 (activation) or 8
//! (deactivation); with other causes the same types are answers. Not parsed: values, time tags, sequence numbers.

use core::fmt;

use super::{Binding, Protocol, Row, Sniff, op};
use crate::bytes::Bytes;
use crate::flags;
use crate::frame::TCP;
use crate::op::{Dir, Kind, Op};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Iec104;

const PORT: u16 = 2404;
const START: u32 = 0x68;
/// Octets of start and length.
const HEAD: u32 = 2;
/// The control field alone: S and U.
const LENGTH_MIN: u32 = 4;
const LENGTH_MAX: u32 = 253;
/// Control field, type, number, cause, originator, common address: an I-format without an object.
const LENGTH_ASDU: u32 = 10;
/// Octets of an object's address.
const IOA: u32 = 3;
const S: u32 = 1 << 24;
const U: u32 = 2 << 24;
const NEGATIVE: u32 = 1 << 16;
/// Bits of the cause octet: cause, negative confirm, test.
const CAUSE: u32 = 0x3F;
const NEGATIVE_BIT: u32 = 0x40;
const TEST_BIT: u32 = 0x80;
/// Bit of the number octet: only the first object has its address.
const SEQUENCE: u32 = 0x80;
const ACTIVATION: u32 = 6;
const DEACTIVATION: u32 = 8;

functions! {
    /// Control octets of S- and U-formats.
    CONTROLS, control_rows, base 0;
    0x01 "S-format acknowledge" Session;
    0x07 "STARTDT act" Session;
    0x0B "STARTDT con" Session;
    0x13 "STOPDT act" Session!;
    0x23 "STOPDT con" Session;
    0x43 "TESTFR act" Session;
    0x83 "TESTFR con" Session;
}

functions! {
    TYPES, type_rows, base 0;
    1 "M_SP_NA_1 single-point" Read;
    2 "M_SP_TA_1 single-point with time tag" Read;
    3 "M_DP_NA_1 double-point" Read;
    4 "M_DP_TA_1 double-point with time tag" Read;
    5 "M_ST_NA_1 step position" Read;
    6 "M_ST_TA_1 step position with time tag" Read;
    7 "M_BO_NA_1 bitstring of 32 bits" Read;
    8 "M_BO_TA_1 bitstring of 32 bits with time tag" Read;
    9 "M_ME_NA_1 measured value, normalised" Read;
    10 "M_ME_TA_1 measured value, normalised, with time tag" Read;
    11 "M_ME_NB_1 measured value, scaled" Read;
    12 "M_ME_TB_1 measured value, scaled, with time tag" Read;
    13 "M_ME_NC_1 measured value, float" Read;
    14 "M_ME_TC_1 measured value, float, with time tag" Read;
    15 "M_IT_NA_1 integrated totals" Read;
    16 "M_IT_TA_1 integrated totals with time tag" Read;
    17 "M_EP_TA_1 protection event with time tag" Read;
    18 "M_EP_TB_1 packed start events of protection with time tag" Read;
    19 "M_EP_TC_1 packed output circuit information with time tag" Read;
    20 "M_PS_NA_1 packed single-points with change detection" Read;
    21 "M_ME_ND_1 measured value, normalised, without quality" Read;
    30 "M_SP_TB_1 single-point with CP56 time" Read;
    31 "M_DP_TB_1 double-point with CP56 time" Read;
    32 "M_ST_TB_1 step position with CP56 time" Read;
    33 "M_BO_TB_1 bitstring of 32 bits with CP56 time" Read;
    34 "M_ME_TD_1 measured value, normalised, with CP56 time" Read;
    35 "M_ME_TE_1 measured value, scaled, with CP56 time" Read;
    36 "M_ME_TF_1 measured value, float, with CP56 time" Read;
    37 "M_IT_TB_1 integrated totals with CP56 time" Read;
    38 "M_EP_TD_1 protection event with CP56 time" Read;
    39 "M_EP_TE_1 packed start events of protection with CP56 time" Read;
    40 "M_EP_TF_1 packed output circuit information with CP56 time" Read;
    41 "S_IT_TC_1 integrated totals of security statistics" Read;
    45 "C_SC_NA_1 single command" Control!;
    46 "C_DC_NA_1 double command" Control!;
    47 "C_RC_NA_1 regulating step command" Control!;
    48 "C_SE_NA_1 set-point, normalised" Control!;
    49 "C_SE_NB_1 set-point, scaled" Control!;
    50 "C_SE_NC_1 set-point, float" Control!;
    51 "C_BO_NA_1 bitstring of 32 bits" Control!;
    58 "C_SC_TA_1 single command with CP56 time" Control!;
    59 "C_DC_TA_1 double command with CP56 time" Control!;
    60 "C_RC_TA_1 regulating step command with CP56 time" Control!;
    61 "C_SE_TA_1 set-point, normalised, with CP56 time" Control!;
    62 "C_SE_TB_1 set-point, scaled, with CP56 time" Control!;
    63 "C_SE_TC_1 set-point, float, with CP56 time" Control!;
    64 "C_BO_TA_1 bitstring of 32 bits with CP56 time" Control!;
    70 "M_EI_NA_1 end of initialisation" Alarm;
    81 "S_CH_NA_1 authentication challenge" Auth;
    82 "S_RP_NA_1 authentication reply" Auth;
    83 "S_AR_NA_1 aggressive mode authentication request" Auth;
    84 "S_KR_NA_1 session key status request" Auth;
    85 "S_KS_NA_1 session key status" Auth;
    86 "S_KC_NA_1 session key change" Auth;
    87 "S_ER_NA_1 authentication error" Auth;
    90 "S_US_NA_1 user status change" Auth;
    91 "S_UQ_NA_1 update key change request" Auth;
    92 "S_UR_NA_1 update key change reply" Auth;
    93 "S_UK_NA_1 update key change, symmetric" Auth;
    94 "S_UA_NA_1 update key change, asymmetric" Auth;
    95 "S_UC_NA_1 update key change confirmation" Auth;
    100 "C_IC_NA_1 interrogation" Read;
    101 "C_CI_NA_1 counter interrogation" Read!;
    102 "C_RD_NA_1 read" Read;
    103 "C_CS_NA_1 clock synchronisation" Config!;
    104 "C_TS_NA_1 test" Diagnostic;
    105 "C_RP_NA_1 reset process" Control!;
    106 "C_CD_NA_1 delay acquisition" Diagnostic;
    107 "C_TS_TA_1 test with CP56 time" Diagnostic;
    110 "P_ME_NA_1 parameter of measured value, normalised" Config!;
    111 "P_ME_NB_1 parameter of measured value, scaled" Config!;
    112 "P_ME_NC_1 parameter of measured value, float" Config!;
    113 "P_AC_NA_1 parameter activation" Config!;
    120 "F_FR_NA_1 file ready" File!;
    121 "F_SR_NA_1 section ready" File!;
    122 "F_SC_NA_1 call or select file" File!;
    123 "F_LS_NA_1 last section or segment" File!;
    124 "F_AF_NA_1 acknowledge file or section" File!;
    125 "F_SG_NA_1 segment" File!;
    126 "F_DR_TA_1 directory" File;
    127 "F_SC_NB_1 query log" File;
}

/// Directions of S- and U-formats by their octet; TESTFR and S go both ways, so the port tells.
static CONTROL_DIR: [Dir; 256] = {
    let mut t = [Dir::Unknown; 256];
    t[0x07] = Dir::Request;
    t[0x0B] = Dir::Response;
    t[0x13] = Dir::Request;
    t[0x23] = Dir::Response;
    t
};

/// Types in monitor direction: always from the controlled station.
const MONITOR: u8 = 1;
/// Types in control direction: the cause tells who sends.
const COMMAND: u8 = 2;

/// Direction of the types; 0 for files, authentication and private types, which go both ways.
static TYPE_DIR: [u8; 256] = {
    let mut t = [0; 256];
    let mut i = 1;
    while i < 114 {
        t[i] = match i {
            1..=41 | 70 => MONITOR,
            45..=64 | 100..=113 => COMMAND,
            _ => 0,
        };
        i += 1;
    }
    t[126] = MONITOR;
    t
};

/// Direction of a type in control direction by its cause (IEC 60870-5-101 cl. 7.2.3).
static CAUSE_DIR: [Dir; 64] = {
    let mut t = [Dir::Unknown; 64];
    let mut i = 1;
    while i < 48 {
        t[i] = match i {
            5 | 6 | 8 => Dir::Request,
            1..=4 | 7 | 9..=12 | 20..=41 | 44..=47 => Dir::Response,
            _ => Dir::Unknown,
        };
        i += 1;
    }
    t
};

/// Octets of an object's element plus one, 0 where the length of a type is not fixed.
static ELEMENT: [u8; 256] = {
    let mut t = [0; 256];
    let sizes: [(usize, u8); 57] = [
        (1, 1),
        (2, 4),
        (3, 1),
        (4, 4),
        (5, 2),
        (6, 5),
        (7, 5),
        (8, 8),
        (9, 3),
        (10, 6),
        (11, 3),
        (12, 6),
        (13, 5),
        (14, 8),
        (15, 5),
        (16, 8),
        (17, 6),
        (18, 7),
        (19, 7),
        (20, 5),
        (21, 2),
        (30, 8),
        (31, 8),
        (32, 9),
        (33, 12),
        (34, 10),
        (35, 10),
        (36, 12),
        (37, 12),
        (38, 10),
        (39, 11),
        (40, 11),
        (45, 1),
        (46, 1),
        (47, 1),
        (48, 3),
        (49, 3),
        (50, 5),
        (51, 4),
        (58, 8),
        (59, 8),
        (60, 8),
        (61, 10),
        (62, 10),
        (63, 12),
        (64, 11),
        (70, 1),
        (100, 1),
        (101, 1),
        (102, 0),
        (103, 7),
        (105, 1),
        (107, 9),
        (110, 3),
        (111, 3),
        (112, 5),
        (113, 1),
    ];
    let mut i = 0;
    while i < sizes.len() {
        t[sizes[i].0] = sizes[i].1 + 1;
        i += 1;
    }
    t
};

impl Protocol for Iec104 {
    const NAME: &'static str = "iec104";
    const TITLE: &'static str = "IEC 60870-5-104";
    const BINDING: Binding = Binding { tcp: &[PORT], udp: &[], ethertypes: &[] };
    /// U-formats, S-formats, I-formats.
    const SNIFF: &'static [Sniff] = &[
        Sniff { l4: TCP, mask: 0xFFFF_03FF, value: 0x6804_0300 },
        Sniff { l4: TCP, mask: 0xFFFF_FFFF, value: 0x6804_0100 },
        Sniff { l4: TCP, mask: 0xFF00_0100, value: 0x6800_0000 },
    ];
    const WEAK: bool = true;

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let Some(head) = b.be32(off) else { return short(b, w) };
        let Some(rest) = b.be16(off + 4) else { return short(b, w) };
        if head >> 24 != START {
            return Step::REFUSE;
        }
        let length = head >> 16 & 0xFF;
        let octet = head >> 8 & 0xFF;
        if !(LENGTH_MIN..=LENGTH_MAX).contains(&length) {
            return if w.strict() { Step::REFUSE } else { Step::MALFORMED };
        }
        w.pdu_end = off + HEAD + length;
        if octet & 1 == 0 {
            return information(b, w, length, rest);
        }
        let kind = CONTROLS[b.index::<0xFF>(head >> 8)];
        let supervisory = octet & 3 == 1;
        // S: nothing but its two bits and the receive sequence number. U: one function, and zeros.
        let valid = if supervisory {
            head & 0xFFFF == 0x0100 && rest & 0x0100 == 0
        } else {
            kind != Kind::UNLISTED.0 && head & 0xFF == 0 && rest == 0
        };
        let valid = valid && length == LENGTH_MIN;
        if w.strict() && (!valid || supervisory && w.pdus == 0 && w.pdu_end != w.end) {
            return Step::REFUSE;
        }
        let told = CONTROL_DIR[b.index::<0xFF>(head >> 8)];
        let dir = if matches!(told, Dir::Unknown) { w.port_dir() } else { told };
        w.push(op::<Iec104>(octet | if supervisory { S } else { U }, kind, dir, 0));
        if valid { Step::DONE } else { Step::MALFORMED }
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        match function & 0xFF00_0000 {
            S => out.write_str("S"),
            U => write!(out, "U/{:#04x}", function >> 2 & 0x3F),
            _ => match function >> 8 & CAUSE {
                0 => write!(out, "I/{}", function & 0xFF),
                cause => write!(out, "I/{}/{cause}", function & 0xFF),
            },
        }
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        type_rows(each);
        control_rows(&mut |r| each(Row { function: r.function | if r.function & 2 == 0 { S } else { U }, ..r }));
    }
}

/// Fewer octets than the shortest APDU.
#[inline(always)]
fn short<B: Bytes>(b: B, w: &Walk) -> Step {
    if !w.strict() && b.u8(w.off) == Some(START as u8) { Step::PARTIAL } else { Step::REFUSE }
}

/// An I-format.
#[inline(always)]
fn information<B: Bytes>(b: B, w: &mut Walk, length: u32, rest: u16) -> Step {
    let off = w.off;
    if length < LENGTH_ASDU {
        return if w.strict() { Step::REFUSE } else { Step::MALFORMED };
    }
    let Some(asdu) = b.be32(off + 6) else { return if w.strict() { Step::REFUSE } else { Step::PARTIAL } };
    let code = asdu >> 24;
    let number = asdu >> 16 & 0xFF;
    let cause = asdu >> 8 & CAUSE;
    let shape = TYPE_DIR[(asdu >> 24) as usize];
    let mut kind = TYPES[(asdu >> 24) as usize];
    let mut dir = w.port_dir();
    if shape == MONITOR {
        dir = Dir::Response;
    } else if shape == COMMAND {
        let told = CAUSE_DIR[b.index::<0x3F>(asdu >> 8)];
        if !matches!(told, Dir::Unknown) {
            dir = told;
        }
        if cause != ACTIVATION && cause != DEACTIVATION {
            kind &= !Kind::STATE_CHANGING;
        }
    }
    if asdu >> 8 & TEST_BIT != 0 {
        w.flags |= flags::SIMULATION;
    }
    let negative = if asdu >> 8 & NEGATIVE_BIT != 0 { NEGATIVE } else { 0 };
    let objects = number & !SEQUENCE;
    let want = wanted(asdu, objects);
    if w.strict() {
        // A known type with the length that it needs, objects, a cause, and the segment ends with the APDU or goes on
        // with another one.
        let known = want == length && objects != 0 && kind != Kind::UNLISTED.0 && CAUSES >> cause & 1 != 0;
        let begins = w.pdu_end == w.end || matches!(b.u8(w.pdu_end), Some(x) if x as u32 == START);
        if !known || !begins || w.pdu_end > w.end || rest & 0x0100 != 0 {
            return Step::REFUSE;
        }
    }
    let mut unread = false;
    if want != 0 && want != length {
        w.flags |= flags::LENGTH_LIE;
        // Whoever reads the objects takes the rest for the next APDU, if it is one.
        let hidden = off + HEAD + want;
        if want < length {
            match b.be16(hidden) {
                Some(next) => {
                    let size = next as u32 & 0xFF;
                    let fits = hidden + HEAD + size <= w.pdu_end && size >= LENGTH_MIN;
                    if next as u32 >> 8 == START && fits {
                        w.pdu_end = hidden;
                    }
                }
                None => unread = w.pdu_end > w.end,
            }
        }
    }
    let unit = b.le16(off + 10).unwrap_or(0) as u32;
    let mut found = op::<Iec104>(code | cause << 8 | negative, kind, dir, unit);
    if objects != 0
        && let Some(address) = b.le32(off + 11)
    {
        found = Op { addr: address >> 8, span: objects, ..found };
    }
    w.push(found);
    if unread {
        return Step::PARTIAL;
    }
    if rest & 0x0100 == 0 { Step::DONE } else { Step::MALFORMED }
}

/// Causes that the specification has (IEC 60870-5-101 cl. 7.2.3): 1 to 13, 20 to 41, 44 to 47.
const CAUSES: u64 = 0xF3FF_FFF0_3FFE;

/// The length that the number of objects and the type's element make, 0 where the type does not say.
#[inline(always)]
fn wanted(asdu: u32, objects: u32) -> u32 {
    let size = ELEMENT[(asdu >> 24) as usize] as u32;
    if size == 0 {
        return 0;
    }
    let element = size - 1;
    let sequence = asdu >> 16 & SEQUENCE != 0;
    LENGTH_ASDU + if sequence { IOA + objects * element } else { objects * (IOA + element) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::Outcome;
    use crate::testing::{Host, Seen, cuts, hex, tcp, tcp_frame};

    const START_ACT: &str = "680407000000";
    const START_CON: &str = "68040b000000";
    const MEASURED: &str = "6812000000000d8101002f000b00000000484100";
    const COMMAND_ACT: &str = "680e0a001a002d0106002f0014000001";
    const COMMAND_CON: &str = "680e1a000c002d0107002f0014000001";
    const READ: &str = "680d08001600660105002f000b0000";

    fn to(payload: &[u8]) -> Seen {
        tcp(54118, PORT, payload)
    }

    fn from(payload: &[u8]) -> Seen {
        tcp(PORT, 54118, payload)
    }

    #[test]
    fn formats_have_paths_and_directions() {
        assert_eq!(to(&hex(START_ACT)).lines(), ["iec104:U/0x01 session request"]);
        assert_eq!(from(&hex(START_CON)).lines(), ["iec104:U/0x02 session response"]);
        assert_eq!(to(&hex("680413000000")).lines(), ["iec104:U/0x04 session! request"]);
        assert_eq!(from(&hex("680443000000")).lines(), ["iec104:U/0x10 session response"]);
        assert_eq!(to(&hex("680401000a00")).lines(), ["iec104:S session request"]);
        let s = from(&hex(MEASURED));
        assert_eq!((s.lines(), s.flags), (["iec104:I/13/1 read response".into()].into(), 0));
        assert_eq!((s.ops[0].unit, s.ops[0].addr, s.ops[0].span), (47, 11, 1));
        assert_eq!(to(&hex(READ)).lines(), ["iec104:I/102/5 read request"]);
    }

    #[test]
    fn only_activations_change_state() {
        let s = to(&hex(COMMAND_ACT));
        assert_eq!(s.lines(), ["iec104:I/45/6 control! request"]);
        assert_eq!((s.ops[0].unit, s.ops[0].addr), (47, 20));
        assert_eq!(from(&hex(COMMAND_CON)).lines(), ["iec104:I/45/7 control response"]);
        // By cause, not by port: the controlled station may be the one that connects.
        assert_eq!(from(&hex(COMMAND_ACT)).lines(), ["iec104:I/45/6 control! request"]);
        assert_eq!(to(&hex(&COMMAND_ACT.replace("0106", "0108"))).lines(), ["iec104:I/45/8 control! request"]);
        assert_eq!(to(&hex(&COMMAND_ACT.replace("0106", "0130"))).lines(), ["iec104:I/45/48 control request"]);
    }

    #[test]
    fn negative_confirms_and_tests_are_told() {
        let s = from(&hex(&COMMAND_CON.replace("0107", "0147")));
        assert_eq!((s.paths(), s.ops[0].function), (["iec104:I/45/7".into()].into(), 45 | 7 << 8 | NEGATIVE));
        assert_eq!(to(&hex(&COMMAND_ACT.replace("0106", "0186"))).flags, flags::SIMULATION);
    }

    #[test]
    fn private_types_are_unknown_and_state_changing() {
        let s = to(&hex("680e0a001a00c80106002f0014000001"));
        assert_eq!(s.lines(), ["iec104:I/200/6 unknown! request"]);
    }

    #[test]
    fn several_apdus_share_a_segment() {
        let s = from(&[hex(COMMAND_CON), hex(MEASURED), hex(START_CON)].concat());
        assert_eq!(s.paths(), ["iec104:I/45/7", "iec104:I/13/1", "iec104:U/0x02"]);
        assert_eq!(s.flags, flags::PIPELINED);
    }

    #[test]
    fn broken_rules_are_malformed() {
        for p in ["680307000000", "68ff07000000", "680407000001", "680417000000", "680503000000 00", "680401010000"] {
            assert_eq!(to(&hex(p)).outcome, Outcome::Malformed, "{p}");
        }
        let s = from(&hex("6811000000000d8101002f000b000000004841"));
        assert_eq!((s.outcome, s.flags), (Outcome::Classified, flags::LENGTH_LIE));
        assert_eq!(to(&hex("670407000000")).outcome, Outcome::Unparsed);
    }

    #[test]
    fn off_the_port_both_directions_have_to_match() {
        let mut host = Host::default();
        let mut see = |sport, dport, payload: &str| host.frame(&tcp_frame(sport, dport, &hex(payload))).outcome;
        // Length, type, cause, number of objects, receive sequence number: each has to be right.
        let near = [(1, 15), (6, 44), (8, 0), (8, 14), (7, 2), (7, 0), (4, 1)];
        for (at, value) in near {
            let mut p = hex(COMMAND_ACT);
            p[at] = value;
            assert_eq!(tcp(40100, 40101, &p).flags & flags::PORT_MISMATCH, 0, "octet {at}");
        }
        for p in [COMMAND_ACT, "680401000a00", "68040f000000", "680407000100"] {
            assert_eq!(see(40102, 40101, p), Outcome::NotOt, "{p}");
        }
        // The test frames have one source, so only the direction that the content tells is asked for.
        assert_eq!(CAUSES & 1 << 14 | CAUSES & 1 << 42 | CAUSES & 1 << 48 | CAUSES & 1, 0);
    }

    #[test]
    fn an_apdu_hidden_behind_the_objects_is_counted() {
        let s = to(&hex("681e0a001a006401060001000000001468 0e0a001a002d0106002f0014000001"));
        assert_eq!(
            (s.paths(), s.flags & flags::LENGTH_LIE),
            (["iec104:I/100/6".into(), "iec104:I/45/6".into()].into(), flags::LENGTH_LIE)
        );
        let s = to(&hex("68120a001a00640106000100000000 14 00000000"));
        assert_eq!((s.paths(), s.flags), (["iec104:I/100/6".into()].into(), flags::LENGTH_LIE));
    }

    #[test]
    fn no_cut_changes_the_meaning() {
        cuts(&[hex(COMMAND_CON), hex(MEASURED), hex(START_CON)].concat(), &[], &from);
        cuts(&hex(READ), &[], &to);
    }
}
