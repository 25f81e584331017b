//! Every protocol: reads pass, what changes state does not arrive, and from the OT side everything passes.

use std::time::Duration;

use harness::client::{Ending, PATIENCE, Session};
use harness::netns::within;
use harness::packet::PacketSocket;
use harness::plant::{IT, OT};
use harness::sink::Sink;
use serde_json::Value;

use crate::stage::{Stage, socket};
use crate::survey::{self, Request, Survey};

/// Longest time in which a refused client must have been told so.
const REFUSED: Duration = Duration::from_secs(3);

/// Opens a session and sends its set-up.
pub fn set_up(mut session: Session, request: &Request) -> Session {
    for pdu in &request.before {
        session.ask(pdu).expect("the session is set up");
    }
    session
}

/// One protocol over TCP. Without a gateway, the write arrives from IT as well.
pub fn tcp(stage: &Stage, row: (&str, u16, harness::pdu::Framing, &str)) {
    let (protocol, port, framing, prefix) = row;
    let Survey { read, write, answers } = survey::tcp(protocol, port, framing, prefix);
    assert!(!read.pdu.is_empty() && !write.pdu.is_empty(), "{protocol}: the captures have a read and a write");
    println!("{protocol}: read {:?}, write {:?}", read.functions, write.functions);
    let controllers = ["ot", "it"].map(|side| stage.sink(side, port, framing, answers.clone()));

    let mut session = set_up(stage.session("it", port, framing), &read);
    session.ask(&read.pdu).expect("a read is answered");
    assert!(controllers[0].holds(&read.pdu), "{protocol}: the read arrived");

    let mut session = set_up(stage.session("it", port, framing), &write);
    session.send(&write.pdu).expect("sent");
    let ending = session.ending(1, REFUSED);
    if stage.enforces() {
        assert_eq!(ending, Ending::Reset, "{protocol}: the client is told");
        let state = controllers[0].state();
        assert!(!state.holds(&write.pdu) && !state.contains(&write.pdu), "{protocol}: the write must not arrive");
    } else {
        assert!(controllers[0].wait(PATIENCE, |s| s.holds(&write.pdu)), "{protocol}: nobody stops the write");
    }

    for request in [&read, &write] {
        let mut session = set_up(stage.session("ot", port, framing), request);
        session.ask(&request.pdu).unwrap_or_else(|e| panic!("{protocol}: from OT everything passes: {e}"));
        assert!(controllers[1].holds(&request.pdu), "{protocol}: arrived from OT");
    }
}

/// BACnet/IP: datagrams.
pub fn bacnet(stage: &Stage) {
    let found = survey::frames("bacnet-", &["read"]);
    println!("bacnet: {:?}", found.functions);
    // Ethernet, IPv4 without options, UDP.
    let [read, write] = [&found.read[42..], &found.write[42..]];
    for (from, to, host, refuses) in [("it", "ot", OT, stage.enforces()), ("ot", "it", IT, false)] {
        let controller = Sink::udp(&stage.plant.namespace(to), socket(host, 47_808));
        let own = socket(if from == "it" { IT } else { OT }, 47_809);
        let client = within(&stage.plant.namespace(from), || std::net::UdpSocket::bind(own)).expect("a socket");
        for datagram in [write, read] {
            client.send_to(datagram, socket(host, 47_808)).expect("sent");
        }
        // The read was sent last: when it is there, the write would be.
        assert!(controller.wait(PATIENCE, |s| s.holds(read)), "from {from}: the read arrives");
        assert_eq!(controller.holds(write), !refuses, "from {from}: the write");
    }
}

/// GOOSE and PROFINET DCP: frames. GOOSE only publishes: there is nothing of it that may come from IT.
pub fn layer_2(stage: &Stage) {
    let dcp = survey::frames("dcp-", &["discovery"]);
    let goose = survey::frames("goose-libiec", &[]);
    println!("pn_dcp: {:?}, goose: {:?}", dcp.functions, goose.functions);
    for (from, device, to, ear, refuses) in
        [("it", "it0", "ot", "ot0", stage.enforces()), ("ot", "ot0", "it", "it0", false)]
    {
        let listener = Sink::frames(&stage.plant.namespace(to), ear);
        let sender =
            within(&stage.plant.namespace(from), || PacketSocket::open(device, false)).expect("a packet socket");
        for frame in [&goose.write, &dcp.write, &dcp.read] {
            sender.send(frame).expect("sent");
        }
        // Ethernet pads: what was sent is looked for in what came.
        assert!(listener.wait(PATIENCE, |s| s.contains(&dcp.read)), "from {from}: identify arrives");
        let state = listener.state();
        for (name, frame) in [("goose", &goose.write), ("pn_dcp set", &dcp.write)] {
            assert_eq!(state.contains(frame), !refuses, "from {from}: {name}");
        }
    }
}

/// Events of denied operations name rule and reason, and one is about this protocol.
pub fn event(stage: &Stage, action: &str, protocols: &[&str]) {
    let about = |e: &Value| e["network"]["protocol"].as_str().is_some_and(|p| protocols.contains(&p));
    let events = stage.events(action, |all| all.iter().any(about));
    assert!(events.iter().any(about), "an event `{action}` about {protocols:?} in {events:?}");
    for e in &events {
        assert!(e["rule"]["id"].is_string() && e["event"]["reason"].is_string(), "names rule and reason: {e}");
    }
}
