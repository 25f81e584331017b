//! Tests of the EtherCAT parser, on captured and hand-made frames.

use crate::flags;
use crate::reason::Outcome;
use crate::testing::{Seen, classify_frame, cuts, hex, tcp, udp};

/// Broadcast write of AL control, on its way and back.
const INIT: &str = "0e10080000002001020000001100 0000";
/// An SDO upload of object 0x1008 in the mailbox of slave 0x1001.
const UPLOAD: &str = "1c1005dd0110001010000000 0a000000001300204008100000000000 0000";
const CYCLE: &str = "22100e00011010090480000000000000 00000c0100000100 0600 0000 010203040506 0000";

fn frame(source: &str, payload: &str) -> Seen {
    classify_frame(&[hex("ffffffffffff"), hex(source), hex("88a4"), hex(payload)].concat())
}
fn out(payload: &str) -> Seen {
    frame("101010101010", payload)
}
fn back(payload: &str) -> Seen {
    frame("121010101010", payload)
}

#[test]
fn registers_by_what_they_do() {
    let s = out(INIT);
    assert_eq!((s.lines(), s.flags), (["ethercat:8 control! request".into()].into(), 0));
    assert_eq!((s.ops[0].function, s.ops[0].addr, s.ops[0].span), (0x0001_1208, 0x120, 2));
    assert_eq!(back(&INIT.replace("1100 0000", "1100 0300")).lines(), ["ethercat:8 control response"]);
    // Nobody has done it yet.
    assert_eq!(back(INIT).lines(), ["ethercat:8 control! response"]);
    // From register 0x100 to 0x12F.
    let long = "3c100500 0110 0001 3000 0000".to_owned() + &"00".repeat(32) + "03" + &"00".repeat(15) + "0000";
    let s = out(&long);
    assert_eq!(
        (s.lines(), s.ops[0].function, s.ops[0].unit),
        (["ethercat:5 control! request".into()].into(), 0x0003_1205, 0x1001)
    );
    assert_eq!(out("0e10050001100005020000000100 0000").lines(), ["ethercat:5 config! request"]);
    assert_eq!(out("0e10040001103001020000000000 0000").lines(), ["ethercat:4 diagnostic request"]);
    assert_eq!(out("0e10040001100205020000000000 0000").lines(), ["ethercat:4 read request"]);
    assert_eq!(out("0e10050001100020020000000100 0000").lines(), ["ethercat:5 write! request"]);
}

extern crate std;
use std::borrow::ToOwned;

#[test]
fn every_datagram_is_an_operation() {
    let s = out(CYCLE);
    assert_eq!(s.lines(), ["ethercat:14 cyclic-io! request", "ethercat:12 cyclic-io! request"]);
    assert_eq!((s.ops[0].unit, s.ops[0].addr, s.ops[1].addr), (0x1001, 0x1001_0910, 0x0001_0000));
    // Padding inside and behind the frame.
    let s = out(&(CYCLE.replace("2210", "3010") + "0000000000000000"));
    assert_eq!((s.outcome, s.ops.len()), (Outcome::Classified, 2));
}

#[test]
fn mailboxes_lead_to_their_services() {
    let s = out(UPLOAD);
    assert_eq!(s.lines(), ["ethercat:5 session request", "ethercat:coe_sdo/2 read request"]);
    assert_eq!(s.ops[1].addr, 0x10_0800);
    let download = |index: &str| out(&UPLOAD.replace("40081000", &["2f", index, "01"].concat())).lines()[1].clone();
    assert_eq!(download("0860"), "ethercat:coe_sdo/1 write! request");
    assert_eq!(download("131c"), "ethercat:coe_sdo/1 config! request");
    assert_eq!(download("1010"), "ethercat:coe_sdo/1 config! request");
    let mailbox = |of: &str| out(&UPLOAD.replace("130020", of)).lines();
    assert_eq!(mailbox("140200"), ["ethercat:5 program-download! request"]);
    assert_eq!(mailbox("240100"), ["ethercat:5 program-upload request"]);
    assert_eq!(mailbox("150b00"), ["ethercat:5 write! request"]);
    assert_eq!(mailbox("120200"), ["ethercat:5 config! request"]);
    assert_eq!(mailbox("1f0000"), ["ethercat:5 unknown! request"]);
    // Process data: a type that does not exist, a length that does not fit.
    assert_eq!(mailbox("190020"), ["ethercat:5 write! request"]);
    assert_eq!(out(&UPLOAD.replace("0a00000000", "0b00000000")).lines(), ["ethercat:5 write! request"]);
    // The answer is read.
    let answer = UPLOAD.replace("05dd", "04dd").replace("130020", "130030").replace("00000000 0000", "00000000 0100");
    assert_eq!(back(&answer).lines(), ["ethercat:4 response response"]);
}

#[test]
fn over_udp_and_tcp() {
    assert_eq!(udp(34980, 34980, &hex(INIT)).lines(), ["ethercat:8 control! request"]);
    let counted = hex("0e10080000002001020000001100 0100");
    assert_eq!(udp(34980, 34980, &counted).lines(), ["ethercat:8 control response"]);
    let two = [hex(INIT), hex(UPLOAD)].concat();
    assert_eq!(tcp(40000, 34980, &two).paths(), ["ethercat:8", "ethercat:5", "ethercat:coe_sdo/2"]);
    assert_eq!(tcp(40000, 34980, &two[..30]).flags, flags::SPLIT);
    let s = udp(40000, 40001, &hex(CYCLE));
    assert_eq!((s.paths().len(), s.flags), (2, flags::PORT_MISMATCH));
    for near in [CYCLE.replace("2210", "2310"), CYCLE.replace("0480", "0400"), CYCLE.replace("00000c", "00000f")] {
        assert_eq!(udp(40000, 40001, &hex(&near)).outcome, Outcome::NotOt, "{near}");
    }
    assert_eq!(
        udp(34980, 34980, &hex("1570010000801100010002300000004000000090000000")).lines(),
        ["ethercat:? unknown! -"]
    );
    assert_eq!(
        udp(34980, 34980, &hex("1050 0a00000000130020 2308600000000000")).lines(),
        ["ethercat:coe_sdo/1 write! request"]
    );
}

#[test]
fn more_datagrams_than_are_walked_are_flagged() {
    let frame = |n: usize| {
        let mut p = ((n * 14) as u16 | 0x1000).to_le_bytes().to_vec();
        (1..n).for_each(|_| p.extend(hex("0400 0110 0502 0280 0000 0000 0000")));
        p.extend(hex("0400 0110 0502 0200 0000 0000 0000"));
        classify_frame(&[hex("ffffffffffff 101010101010 88a4"), p].concat())
    };
    assert_eq!((frame(64).ops.len(), frame(64).flags), (64, 0));
    assert_eq!((frame(65).ops.len(), frame(65).flags), (64, flags::WALK_LIMIT));
}

#[test]
fn broken_frames() {
    assert_eq!(out("0e18080000002001020000001100 0000").outcome, Outcome::Unparsed);
    assert_eq!(out("0e100f0000002001020000001100 0000").outcome, Outcome::Unparsed);
    // The second datagram is longer than the frame.
    let s = out(&CYCLE.replace("0600", "0700"));
    assert_eq!((s.outcome, s.paths()), (Outcome::Malformed, ["ethercat:14".into()].into()));
    cuts(&hex(UPLOAD), &[], &|p| udp(34980, 34980, p));
    cuts(&hex(CYCLE), &["ethercat:?"], &|p| tcp(34980, 40000, p));
}
