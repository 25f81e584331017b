//! Tests of the S7comm parser, on captured and hand-made packets.

use super::*;
use crate::reason::Outcome;
use crate::testing::{Seen, cuts, hex, tcp};

const READ: &str = "0300001f02f080320100000002000e00000401120a1002000a000184000000";
const WRITE: &str = "0300002702f080320100000003000e00080501120a100200040001840000000004002001020304";
const GARB: &str = "0300002102f08032010000001a0010000028000000000000fd0000055f47415242";
const STOP: &str = "0300002102f08032010000001c0010000029000000000009505f50524f4752414d";
const SZL: &str = "0300002102f08032070000000b000800080001120411440100ff090004001c0000";
const PASSWORD: &str = "0300002502f0803207000000190008000c0001120411450100ff0900082630101720364451";

fn to(payload: &str) -> Seen {
    tcp(40000, 102, &hex(payload))
}
fn from(payload: &str) -> Seen {
    tcp(102, 40000, &hex(payload))
}

#[test]
fn jobs_of_each_class() {
    let s = to(READ);
    assert_eq!(s.lines(), ["s7comm:job/0x04 read request"]);
    assert_eq!((s.ops[0].addr, s.ops[0].span), (1, 1));
    assert_eq!(to(WRITE).lines(), ["s7comm:job/0x05 write! request"]);
    assert_eq!(to(STOP).lines(), ["s7comm:job/0x29 control! request"]);
    assert_eq!(to("0300001902f08032010000000100080000f0000001000101e0").lines(), ["s7comm:job/0xf0 session request"]);
    let s = to("0300002302f080320100000015001200001d00000000000000095f3041303030303141");
    assert_eq!((s.lines(), s.ops[0].addr), (["s7comm:job/0x1d program-upload request".into()].into(), 1));
    let s = to("0300003102f080320100000018002000001a00010000000000095f30413031373039500d31303030303632303030303236");
    assert_eq!((s.lines(), s.ops[0].addr), (["s7comm:job/0x1a program-download! request".into()].into(), 1709));
    assert_eq!(to("0300001902f080320100000016000800009900000000000001").lines(), ["s7comm:job/0x99 unknown! request"]);
}

#[test]
fn answers_change_nothing() {
    assert_eq!(from("0300001602f0803203000000030002000100000501ff").lines(), ["s7comm:ack_data/0x05 write response"]);
    assert_eq!(
        from("0300001402f0803203000000180001000000001a").lines(),
        ["s7comm:ack_data/0x1a program-download response"]
    );
    assert_eq!(from("0300001302f08032020000140000000000d241").lines(), ["s7comm:ack response response"]);
}

#[test]
fn a_download_is_what_the_answer_to_the_controller_brings() {
    let job = "0300002302f080320100000019001200001b00000000000000095f3041303030303150";
    let data = "0300001a02f0803203000000190002000400001b000004aabb";
    assert_eq!(from(job).lines(), ["s7comm:job/0x1b program-download request"]);
    assert_eq!(to(data).lines(), ["s7comm:ack_data/0x1b program-download! response"]);
    assert_eq!(to(job).lines(), ["s7comm:job/0x1b program-download! request"]);
    assert_eq!(from(data).lines(), ["s7comm:ack_data/0x1b program-download response"]);
}

#[test]
fn pi_services_go_by_their_name() {
    let pi = |name: &str| {
        let mut p = hex("0300000002f0803201000000160000000028000000000000fd0000");
        p.push(name.len() as u8);
        p.extend(name.as_bytes());
        p[3] = p.len() as u8;
        p[14] = (p.len() - 17) as u8;
        tcp(40000, 102, &p)
    };
    for s in &SERVICES {
        let seen = pi(s.name);
        assert_eq!(seen.paths(), ["s7comm:job/0x28"], "{}", s.name);
        assert_eq!((seen.class(), seen.ops[0].state_changing()), (s.class, s.state_changing), "{}", s.name);
    }
    assert_eq!(pi("_N_XYZXYZ").lines(), ["s7comm:job/0x28 config! request"]);
    assert_eq!(pi("XN_F_OPER").lines(), ["s7comm:job/0x28 control! request"]);
    assert_eq!(pi("_NSE").lines(), ["s7comm:job/0x28 control! request"]);
    assert_eq!(to(GARB).lines(), ["s7comm:job/0x28 config! request"]);
    // With a block in front of the name.
    let s = to("0300002502f0803201000000190014000028000000000000fd000445502020055f4d4f4455");
    assert_eq!(s.class(), Class::ProgramDownload);
}

#[test]
fn userdata_goes_by_the_type_nibble() {
    let s = to(SZL);
    assert_eq!((s.lines(), s.ops[0].addr), (["s7comm:ud/4/4/1 diagnostic request".into()].into(), 0x1C));
    assert_eq!(to(PASSWORD).lines(), ["s7comm:ud/4/5/1 auth! request"]);
    let set = "0300002702f0803207000000140008000e0001120411470200ff09000a00192601020304050006";
    assert_eq!(to(set).lines(), ["s7comm:ud/4/7/2 config! request"]);
    let answer = "0300002102f080320700000014000c00040001120812870200000000000a000000";
    assert_eq!(from(answer).lines(), ["s7comm:ud/8/7/2 config response"]);
    // Modify variable: a request although its method says response.
    let modify = "0300002102f080320700000014000c00040001120812410800000000000a000000";
    assert_eq!(to(modify).lines(), ["s7comm:ud/4/1/8 write! request"]);
    // Mode transition, pushed.
    assert_eq!(from("0300001902f080320700000000000800000001120411000000").lines(), ["s7comm:ud/0/0/0 alarm publish"]);
    assert_eq!(from("0300001902f080320700000000000800000001120411060700").lines(), ["s7comm:ud/0/6/7 write publish"]);
}

#[test]
fn several_packets_in_a_segment() {
    let both = [hex(READ), hex("0300000702f080"), hex(WRITE)].concat();
    let s = tcp(40000, 102, &both);
    assert_eq!(s.lines(), ["s7comm:job/0x04 read request", "s7comm:job/0x05 write! request"]);
    assert_eq!((s.class(), s.flags), (Class::Write, flags::PIPELINED));
    let s = tcp(40000, 102, &[hex("0300000702f080"), hex(READ)].concat());
    assert_eq!(s.paths(), ["s7comm:job/0x04"]);
}

#[test]
fn fragments_are_read_as_far_as_they_go() {
    // The first fragment has the function; the second one is plain data, whatever it begins with.
    let s = to("0300001802f000320100000003000e00080501120a100200");
    assert_eq!((s.lines(), s.flags), (["s7comm:job/0x05 write! request".into()].into(), flags::TRANSPORT_FRAGMENT));
    assert_eq!(to("0300000c02f0803201aabbcc").lines(), ["cotp:0xf0 session request"]);
    // A fragment that ends in front of the function must not borrow it from the next packet.
    let s = to(&["0300001102f000320100000003000e0008", READ].concat());
    assert_eq!(s.paths(), ["cotp:0xf0", "s7comm:job/0x04"]);
}

#[test]
fn found_off_its_port_by_the_whole_signature() {
    let s = tcp(40000, 4102, &hex(WRITE));
    assert_eq!((s.lines(), s.flags), (["s7comm:job/0x05 write! request".into()].into(), flags::PORT_MISMATCH));
    for (at, value) in [(1, 1), (7, 0x33), (8, 4), (9, 1), (14, 15), (16, 9)] {
        let mut near = hex(WRITE);
        near[at] = value;
        assert_eq!(tcp(40000, 4102, &near).outcome, Outcome::NotOt, "octet {at}");
    }
}

#[test]
fn lengths_that_disagree_are_malformed_and_still_named() {
    let mut near = hex(WRITE);
    near[16] = 9;
    let s = tcp(40000, 102, &near);
    assert_eq!((s.outcome, s.paths()), (Outcome::Malformed, ["s7comm:job/0x05".into()].into()));
}

#[test]
fn no_cut_changes_the_meaning() {
    for p in [READ, WRITE, GARB, STOP, SZL, PASSWORD] {
        cuts(&hex(p), &[], &|p| tcp(40000, 102, p));
        cuts(&hex(p), &[], &|p| tcp(102, 40000, p));
        cuts(&hex(p), &[], &|p| tcp(40000, 4102, p));
    }
}

#[test]
fn the_name_of_a_service_comes_with_the_next_segment() {
    let p = hex(GARB);
    let s = tcp(40000, 102, &p[..28]);
    assert_eq!((s.outcome, s.paths()), (Outcome::Continuation, [].into()));
    assert_eq!(tcp(40000, 102, &p).lines(), to(GARB).lines());
}
