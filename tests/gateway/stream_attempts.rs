//! Attempts of honest TCP stacks: split, pipelined, nested, lying, off-port, from the middle.

use harness::client::Session;
use harness::pdu::Framing;
use harness::sink::Answers;

use crate::attempt::{Tried, read, write};
use crate::matrix::set_up;
use crate::stage::{OT6, Stage, socket};
use crate::survey;

/// The write cut in two at every octet, each on a connection of its own.
pub fn split_at_every_octet(stage: &Stage) -> Tried {
    stage.begin();
    let (sink, mut tried) = (stage.modbus(), Tried::default());
    for at in 1..12 {
        let pdu = write(at as u16);
        let session = stage.session("it", 502, Framing::Mbap);
        tried.pieces(stage, &sink, &format!("cut at {at}"), session, &[&pdu[..at], &pdu[at..]], &pdu);
    }
    tried
}

/// One octet a segment; then the same behind a read.
pub fn octet_by_octet(stage: &Stage) -> Tried {
    stage.begin();
    let (sink, mut tried) = (stage.modbus(), Tried::default());
    let pdu = write(1);
    let pieces: Vec<&[u8]> = pdu.chunks(1).collect();
    tried.pieces(stage, &sink, "alone", stage.session("it", 502, Framing::Mbap), &pieces, &pdu);
    let behind = [read(1), write(2)].concat();
    let pieces: Vec<&[u8]> = behind.chunks(1).collect();
    tried.pieces(stage, &sink, "behind a read", stage.session("it", 502, Framing::Mbap), &pieces, &write(2));
    tried
}

/// In one segment behind many reads, more than are walked among them.
pub fn pipelined(stage: &Stage) -> Tried {
    stage.begin();
    let (sink, mut tried) = (stage.modbus(), Tried::default());
    for reads in [1u16, 7, 15, 20] {
        let pdu = write(reads);
        let all = [(0..reads).flat_map(read).collect(), pdu.clone()].concat();
        let session = stage.session("it", 502, Framing::Mbap);
        tried.pieces(stage, &sink, &format!("behind {reads}"), session, &[&all], &pdu);
    }
    tried
}

/// A length that promises octets which never come: some controllers act on what is there.
pub fn lying_length(stage: &Stage) -> Tried {
    stage.begin();
    let (sink, mut tried) = (stage.modbus(), Tried::default());
    for more in [1u8, 2] {
        for follow in [false, true] {
            let mut pdu = write(u16::from(more) + 4 * u16::from(follow));
            pdu[5] += more;
            let rest = vec![0; if follow { usize::from(more) } else { 0 }];
            let whole = [pdu.clone(), rest].concat();
            let name = format!("+{more}, {}", if follow { "and octets behind it" } else { "nothing behind it" });
            tried.pieces(stage, &sink, &name, stage.session("it", 502, Framing::Mbap), &[&whole], &pdu);
        }
    }
    tried
}

/// A controller on a port that no protocol has, after a read that shows what it speaks.
pub fn off_port(stage: &Stage) -> Tried {
    stage.begin();
    let sink = stage.sink("ot", 15_020, Framing::Mbap, Answers::new());
    let mut tried = Tried::default();
    let mut session = stage.session("it", 15_020, Framing::Mbap);
    session.ask(&read(1)).expect("a read is answered");
    tried.pieces(stage, &sink, "on the same connection", session, &[&write(1)], &write(1));
    let session = stage.session("it", 15_020, Framing::Mbap);
    tried.pieces(stage, &sink, "on a new connection", session, &[&write(2)], &write(2));
    tried
}

/// The session was there before the gateway, and so was the first half of the write.
pub fn from_the_middle(stage: &Stage) -> Tried {
    let (sink, mut tried) = (stage.modbus(), Tried::default());
    let mut sessions = Vec::new();
    for at in [2usize, 6, 7, 8, 9, 10, 11] {
        let mut session = stage.session("it", 502, Framing::Mbap);
        session.ask(&read(1)).expect("a read is answered");
        session.send(&write(at as u16)[..at]).expect("sent");
        assert!(sink.wait(harness::client::PATIENCE, |s| s.streams.iter().any(|o| o.len() == 12 + at)), "first half");
        sessions.push((at, session));
    }
    let whole = stage.session("it", 502, Framing::Mbap);
    stage.begin();
    for (at, session) in sessions {
        let pdu = write(at as u16);
        tried.pieces(stage, &sink, &format!("from octet {at}"), session, &[&pdu[at..]], &pdu);
    }
    tried.pieces(stage, &sink, "a whole one", whole, &[&write(50)], &write(50));
    tried
}

/// Over IPv6, as it is.
pub fn over_ipv6(stage: &Stage) -> Tried {
    stage.begin();
    let there = socket(OT6, 502);
    let sink = harness::sink::Sink::tcp(&stage.plant.namespace("ot"), there, Framing::Mbap, Answers::new());
    let mut tried = Tried::default();
    let mut session = Session::open(&stage.plant.namespace("it"), there, Framing::Mbap).expect("connects");
    session.ask(&read(1)).expect("a read is answered");
    tried.pieces(stage, &sink, "a write", session, &[&write(1)], &write(1));
    tried
}

/// A CIP request in an encapsulation of its own.
fn send_rr_data(cip: &[u8]) -> Vec<u8> {
    let mut data = vec![0, 0, 0, 0, 5, 0, 2, 0, 0, 0, 0, 0, 0xB2, 0];
    data.extend((cip.len() as u16).to_le_bytes());
    data.extend(cip);
    let mut pdu = vec![0x6F, 0];
    pdu.extend((data.len() as u16).to_le_bytes());
    pdu.extend([1, 0, 0, 0]);
    pdu.resize(24, 0);
    pdu.extend(data);
    pdu
}

/// A write inside other CIP services.
pub fn nested_services(stage: &Stage) -> Tried {
    // Get_Attribute_Single of the identity, Set_Attribute_Single of an assembly's data.
    let get = [0x0E, 3, 0x20, 1, 0x24, 1, 0x30, 1];
    let set = [0x10, 3, 0x20, 4, 0x24, 0x64, 0x30, 3, 0xBE, 0xEF];
    let several = |services: &[&[u8]]| {
        let mut cip = vec![0x0A, 2, 0x20, 2, 0x24, 1];
        cip.extend((services.len() as u16).to_le_bytes());
        let mut at = 2 + 2 * services.len();
        for s in services {
            cip.extend((at as u16).to_le_bytes());
            at += s.len();
        }
        [cip, services.concat()].concat()
    };
    let wrapped = |service: &[u8]| {
        let mut cip = vec![0x52, 2, 0x20, 6, 0x24, 1, 7, 0xE8];
        cip.extend((service.len() as u16).to_le_bytes());
        cip.extend(service);
        // The route: one word, backplane slot 0.
        cip.extend([1, 0, 1, 0]);
        cip
    };
    stage.begin();
    let sink = stage.sink("ot", 44_818, Framing::Enip, Answers::new());
    let mut tried = Tried::default();
    let register = survey::tcp("enip", 44_818, Framing::Enip, "enip-cpppo").read.before;
    for (name, cip) in [
        ("the second of a Multiple Service Packet", several(&[&get, &set])),
        ("the eighth of a Multiple Service Packet", several(&[&get, &get, &get, &get, &get, &get, &get, &set])),
        ("the only one of a Multiple Service Packet", several(&[&set])),
        ("in an Unconnected Send", wrapped(&set)),
        ("in a Multiple Service Packet in an Unconnected Send", wrapped(&several(&[&get, &set]))),
    ] {
        let mut session = stage.session("it", 44_818, Framing::Enip);
        for pdu in &register {
            session.ask(pdu).expect("registered");
        }
        session.ask(&send_rr_data(&get)).expect("a read is answered");
        let pdu = send_rr_data(&cip);
        tried.pieces(stage, &sink, name, session, &[&pdu], &pdu);
    }
    tried
}

/// The writes of the other protocols: cut in two, and in one segment behind a read.
pub fn every_protocol(stage: &Stage) -> Tried {
    stage.begin();
    let mut tried = Tried::default();
    for (protocol, port, framing, prefix) in survey::TCP {
        let survey::Survey { read, write, answers } = survey::tcp(protocol, port, framing, prefix);
        let length = write.pdu.len();
        let open = || set_up(stage.session("it", port, framing), &write);
        for at in [1, 3, 5, 8, length / 2, length - 1] {
            // A controller for each: the write is the same every time.
            let sink = stage.sink("ot", port, framing, answers.clone());
            let name = format!("{protocol} cut at {at} of {length}");
            tried.pieces(stage, &sink, &name, open(), &[&write.pdu[..at], &write.pdu[at..]], &write.pdu);
        }
        let sink = stage.sink("ot", port, framing, answers);
        let both = [&read.pdu[..], &write.pdu].concat();
        tried.pieces(stage, &sink, &format!("{protocol} behind a read"), open(), &[&both], &write.pdu);
    }
    tried
}

/// Many writes at once, each begun before any goes on: what is kept of one must not push out what is kept of another.
pub fn interleaved(stage: &Stage) -> Tried {
    stage.begin();
    let (sink, mut tried) = (stage.modbus(), Tried::default());
    // Behind the length, and behind the function.
    for (round, at) in [5, 8].into_iter().enumerate() {
        let pdu = |n: u16| write(n + 32 * round as u16);
        let open = |n: u16| {
            let mut session = stage.session("it", 502, Framing::Mbap);
            session.send(&pdu(n)[..at]).expect("sent");
            (n, session)
        };
        let sessions: Vec<(u16, Session)> = (0..16).map(open).collect();
        for (n, session) in sessions {
            tried.pieces(stage, &sink, &format!("number {n} cut at {at}"), session, &[&pdu(n)[at..]], &pdu(n));
        }
    }
    tried
}
