//! Packets of MMS made by hand, and how they are read.

extern crate std;

use std::vec::Vec;

use super::*;
use crate::reason::Outcome;
use crate::testing::{cuts, hex, tcp};

/// User data in TPKT and COTP.
fn packet(user: &[u8]) -> Vec<u8> {
    let mut p = hex("0300000002f080");
    p.extend(user);
    p[3] = p.len() as u8;
    p
}

fn wrap(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut e = Vec::from([tag, content.len() as u8]);
    e.extend(content);
    e
}

/// A PDU behind session and presentation.
fn data(pdu: &[u8]) -> Vec<u8> {
    let value = [hex("020103"), wrap(0xA0, pdu)].concat();
    packet(&[hex("01000100"), wrap(0x61, &wrap(0x30, &value))].concat())
}

/// A confirmed request for one item of a domain.
fn request(service: u8, item: &[u8]) -> Vec<u8> {
    let name = wrap(0xA0, &wrap(0xA1, &[wrap(0x1A, b"IED1LD0"), wrap(0x1A, item)].concat()));
    let list = wrap(0xA0, &wrap(0x30, &name));
    let body = if service == 4 { wrap(0xA1, &list) } else { [list, hex("a003850100")].concat() };
    wrap(0xA0, &[hex("020106"), wrap(0xA0 | service, &body)].concat())
}

#[test]
fn services_of_either_side() {
    let s = tcp(40000, 102, &data(&hex("a005020101 8200")));
    assert_eq!((s.lines(), s.flags), (["mms:creq/2 discovery request".into()].into(), 0));
    let s = tcp(102, 40000, &data(&hex("a108020106a503810100")));
    assert_eq!(s.lines(), ["mms:cresp/5 write response"]);
    let s = tcp(40000, 102, &data(&hex("a008020110bf4c021900")));
    assert_eq!(s.lines(), ["mms:creq/76 file! request"]);
    let s = tcp(102, 40000, &data(&hex("a304a0028000")));
    assert_eq!(s.lines(), ["mms:unconf/0 alarm publish"]);
    assert_eq!(tcp(40000, 102, &data(&hex("8b00"))).lines(), ["mms:conclude session request"]);
    assert_eq!(tcp(40000, 102, &data(&hex("6203800100"))).lines(), ["mms:acse/0x62 session request"]);
    assert_eq!(tcp(102, 40000, &data(&hex("a103020100"))).lines(), ["mms:other response response"]);
    assert_eq!(tcp(40000, 102, &data(&hex("a00402010 0bf 00"))).outcome, Outcome::Malformed);
}

#[test]
fn items_decide_what_a_write_is() {
    let line = |service, item: &[u8]| tcp(40000, 102, &data(&request(service, item))).lines();
    assert_eq!(line(5, b"GGIO1$CO$SPCSO1$Oper"), ["mms:creq/5 control! request"]);
    assert_eq!(line(5, b"GGIO1$SP$SetP1$setMag$f"), ["mms:creq/5 write! request"]);
    assert_eq!(line(5, b"LLN0$RP$EventsRCB01$RptEna"), ["mms:creq/5 config! request"]);
    assert_eq!(line(4, b"GGIO1$CO$SPCSO1$SBO"), ["mms:creq/4 control! request"]);
    assert_eq!(line(4, b"GGIO1$MX$AnIn1$mag$f"), ["mms:creq/4 read request"]);
    let s = tcp(40000, 102, &data(&request(5, b"GGIO1$CO$SPCSO1$Oper")));
    assert_eq!(s.ops[0].addr, letters(b"CO"));
}

#[test]
fn lengths_may_be_longer_than_needed() {
    let p = packet(&hex("01000100 61820012 30810f 02020003 a08108 a08105 020101 8200"));
    assert_eq!((tcp(40000, 102, &p).paths(), tcp(40000, 102, &p).flags), (["mms:creq/2".into()].into(), 0));
}

#[test]
fn several_pdus_in_one_packet() {
    let identify = hex("a0050201018200");
    let s = tcp(40000, 102, &data(&[identify.clone(), request(5, b"GGIO1$CO$SPCSO1$Oper")].concat()));
    assert_eq!(s.paths(), ["mms:creq/2", "mms:creq/5"]);
    let value = |pdu: &[u8]| wrap(0x30, &[hex("020103"), wrap(0xA0, pdu)].concat());
    let values = [value(&identify), value(&request(4, b"LLN0$ST$Mod"))].concat();
    let s = tcp(40000, 102, &packet(&[hex("01000100"), wrap(0x61, &values)].concat()));
    assert_eq!(s.paths(), ["mms:creq/2", "mms:creq/4"]);
}

#[test]
fn without_session_and_presentation() {
    let s = tcp(40000, 102, &packet(&hex("a00702012aa9020500")));
    assert_eq!(s.lines(), ["mms:creq/9 discovery request"]);
    let s = tcp(40000, 102, &packet(&hex("a80a80027d00810105820103")));
    assert_eq!(s.lines(), ["mms:initiate session request"]);
    assert_eq!(tcp(40000, 102, &packet(&hex("a90080"))).outcome, Outcome::Malformed);
}

#[test]
fn sessions_of_mms_and_of_others() {
    let connect = "0d240506130100160102140200023302000134020001c110310ea203280100060528ca22020100";
    assert_eq!(tcp(40000, 102, &packet(&hex(connect))).lines(), ["mms:initiate session request"]);
    let other = connect.replace("28ca2202", "56010101");
    assert_eq!(tcp(40000, 102, &packet(&hex(&other))).lines(), ["cotp:0xf0 session request"]);
    assert_eq!(tcp(40000, 102, &packet(&hex("0900"))).lines(), ["mms:session/0x09 session request"]);
    assert_eq!(tcp(40000, 102, &packet(&hex("0905"))).lines(), ["cotp:0xf0 session request"]);
}

#[test]
fn found_off_its_port_and_no_cut_changes_the_meaning() {
    let p = data(&request(5, b"GGIO1$CO$SPCSO1$Oper"));
    assert_eq!(tcp(40000, 40001, &p).paths(), ["mms:creq/5"]);
    for (at, value) in [(7, 2), (11, 0x62), (13, 0x31), (15, 3), (18, 0xA1)] {
        let mut near = p.clone();
        near[at] = value;
        assert_eq!(tcp(40000, 40001, &near).outcome, Outcome::NotOt, "octet {at}");
    }
    cuts(&p, &["cotp:0xf0"], &|p| tcp(40000, 102, p));
}
