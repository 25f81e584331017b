//! Requests of each protocol, taken from the captures of real stacks by running the parsers over them.

use std::collections::HashMap;
use std::path::PathBuf;

use harness::data;
use harness::packet::{Ends, flag};
use harness::pdu::Framing;
use harness::sink::Answers;
use ot_xdp::bindings::BindingTable;
use ot_xdp::source::replay::{Engine, Record, UserEngine};
use ot_xdp_common::limits::FLOWS;

/// A protocol over TCP: its name in events, port, framing, and the captures to look at.
pub const TCP: [(&str, u16, Framing, &str); 7] = [
    ("modbus", 502, Framing::Mbap, "modbus-libmodbus"),
    ("s7comm", 102, Framing::Tpkt, "s7-libsnap7"),
    ("enip", 44_818, Framing::Enip, "enip-"),
    ("dnp3", 20_000, Framing::Dnp3, "dnp3-"),
    ("iec104", 2404, Framing::Apci, "iec104-"),
    ("mms", 102, Framing::Tpkt, "mms-"),
    ("opcua", 4840, Framing::OpcUa, "opcua-asyncua."),
];

/// A request, what was asked before it on its connection, and how the real controller answered.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Session set-up of its connection.
    pub before: Vec<Vec<u8>>,
    /// The request itself.
    pub pdu: Vec<u8>,
    /// What it was classified as.
    pub functions: Vec<String>,
}

/// What a protocol's captures offer.
#[derive(Default)]
pub struct Survey {
    /// A request that reads.
    pub read: Request,
    /// A request that changes the state of the device.
    pub write: Request,
    /// Real answers by request.
    pub answers: Answers,
}

/// One direction's octets of a connection in order of the capture: from the client, PDU.
type Exchange = Vec<(bool, Vec<u8>)>;

/// A connection on the way to PDUs: those so far, and by side what is left over and the next sequence number.
type Joining = (Exchange, [Vec<u8>; 2], [u32; 2]);

fn files(prefix: &str) -> Vec<PathBuf> {
    let mut all = data::own_captures();
    all.retain(|f| f.file_name().is_some_and(|n| n.to_string_lossy().starts_with(prefix)));
    all
}

/// Connections to a port in the captures, as PDUs in order.
fn exchanges(prefix: &str, port: u16, framing: Framing) -> Vec<Exchange> {
    let mut found = Vec::new();
    for file in files(prefix) {
        let mut connections: HashMap<u16, Joining> = HashMap::new();
        let mut order = Vec::new();
        for frame in data::frames(&file).expect("readable") {
            let Some((client, from_client, seq, payload)) = segment(&frame, port) else { continue };
            let (exchange, rest, next) = connections.entry(client).or_insert_with(|| {
                order.push(client);
                Default::default()
            });
            let side = usize::from(from_client);
            // Retransmissions and keep-alives.
            if next[side] != 0 && seq != next[side] {
                continue;
            }
            next[side] = seq.wrapping_add(payload.len() as u32);
            rest[side].extend(payload);
            while let Some(pdu) = framing.take(&mut rest[side]) {
                exchange.push((from_client, pdu));
            }
        }
        found.extend(order.iter().filter_map(|c| connections.remove(c)).map(|(exchange, ..)| exchange));
    }
    found
}

/// Client port, whether the client sent it, sequence number and payload of a TCP segment with payload.
fn segment(frame: &[u8], port: u16) -> Option<(u16, bool, u32, &[u8])> {
    if frame.get(12..14)? != [8, 0] || *frame.get(23)? != 6 {
        return None;
    }
    let tcp = 14 + usize::from(frame[14] & 15) * 4;
    let word = |at: usize| Some(u16::from_be_bytes([*frame.get(at)?, *frame.get(at + 1)?]));
    let (source, target) = (word(tcp)?, word(tcp + 2)?);
    let end = 14 + usize::from(word(16)?);
    let payload = frame.get(tcp + usize::from(frame.get(tcp + 12)? >> 4) * 4..end).filter(|p| !p.is_empty())?;
    let seq = u32::from(word(tcp + 4)?) << 16 | u32::from(word(tcp + 6)?);
    match port {
        p if p == target => Some((source, true, seq, payload)),
        p if p == source => Some((target, false, seq, payload)),
        _ => None,
    }
}

/// Classifies a connection's PDUs, each in a segment of its own.
fn classify(engine: &mut UserEngine, number: u16, port: u16, exchange: &Exchange) -> Vec<Record> {
    let client = Ends {
        mac: [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]],
        ip: [[10, 78, 0, 1].into(), [10, 78, 0, 2].into()],
        port: [20_000 + number, port],
    };
    let reversed = |[a, b]: [u16; 2]| [b, a];
    let server = Ends { mac: client.mac, ip: [client.ip[1], client.ip[0]], port: reversed(client.port) };
    let mut next = [1u32, 1];
    let mut run = |ends: &Ends, segment: Vec<u8>| engine.frame(1, &ends.frame(&segment), 1).expect("user engine");
    run(&client, client.tcp(0, 0, flag::SYN, &[]));
    run(&server, server.tcp(0, 1, flag::SYN | flag::ACK, &[]));
    let mut records = Vec::new();
    for (from_client, pdu) in exchange {
        let ends = if *from_client { &client } else { &server };
        let side = usize::from(*from_client);
        records.push(run(ends, ends.tcp(next[side], next[1 - side], flag::PSH_ACK, pdu)));
        next[side] += pdu.len() as u32;
    }
    records
}

/// Names of a protocol's operations: EtherNet/IP carries CIP, and an operation is the one or the other.
pub fn names(protocol: &str) -> Vec<&str> {
    if protocol == "enip" { vec!["enip", "cip"] } else { vec![protocol] }
}

/// Looks for a read and a write of a protocol over TCP.
pub fn tcp(protocol: &str, port: u16, framing: Framing, prefix: &str) -> Survey {
    let mut engine = UserEngine::new(BindingTable::default(), FLOWS);
    let mut survey = Survey::default();
    for (number, exchange) in exchanges(prefix, port, framing).iter().enumerate() {
        let records = classify(&mut engine, number as u16, port, exchange);
        let mut before = Vec::new();
        for (i, (r, (from_client, pdu))) in records.iter().zip(exchange).enumerate() {
            if !from_client {
                continue;
            }
            let answer = exchange.get(i + 1).filter(|(from_client, _)| !from_client);
            if let Some((_, answer)) = answer {
                survey.answers.entry(pdu.clone()).or_insert_with(|| answer.clone());
            }
            let class = r.class.unwrap_or("none");
            // One that was answered at once: an echo in place of an answer would be a request of the controller.
            let clean = answer.is_some()
                && r.outcome == "classified"
                && r.flags.is_empty()
                && names(protocol).contains(&r.protocol.unwrap_or("none"));
            let request = || Request { before: before.clone(), pdu: pdu.clone(), functions: r.functions.clone() };
            if clean && survey.read.pdu.is_empty() && class == "read" && !r.state_changing {
                survey.read = request();
            }
            if clean && survey.write.pdu.is_empty() && matches!(class, "write" | "control") && r.state_changing {
                survey.write = request();
            }
            // What opens and identifies; nothing that reads or writes by itself.
            if matches!(class, "session" | "auth" | "discovery" | "none") && !r.state_changing {
                before.push(pdu.clone());
            }
        }
    }
    survey
}

/// The first PDU of one side that begins with this function, and what its client asked before.
pub fn find(port: u16, framing: Framing, prefix: &str, from_client: bool, function: &str) -> Option<Request> {
    let mut engine = UserEngine::new(BindingTable::default(), FLOWS);
    for (number, exchange) in exchanges(prefix, port, framing).iter().enumerate() {
        let records = classify(&mut engine, number as u16, port, exchange);
        let is_it = |(r, (side, _)): (&Record, &(bool, Vec<u8>))| {
            *side == from_client && r.functions.first().is_some_and(|f| f == function)
        };
        if let Some(i) = records.iter().zip(exchange).position(is_it) {
            // A connection request and the negotiation: what comes later has no part in opening it.
            let before = exchange[..i].iter().filter(|(side, _)| *side).take(2).map(|(_, pdu)| pdu.clone()).collect();
            return Some(Request { before, pdu: exchange[i].1.clone(), functions: records[i].functions.clone() });
        }
    }
    None
}

/// A datagram or frame that reads and one that changes state.
pub struct Frames {
    /// Octets of the one that reads: with its Ethernet header.
    pub read: Vec<u8>,
    /// Octets of the one that changes state.
    pub write: Vec<u8>,
    /// What both were classified as.
    pub functions: [Vec<String>; 2],
}

/// Looks for whole frames: what passes (not state-changing, one of `classes`) and what is refused.
pub fn frames(prefix: &str, classes: &[&str]) -> Frames {
    let mut engine = UserEngine::new(BindingTable::default(), FLOWS);
    let mut found = Frames { read: Vec::new(), write: Vec::new(), functions: Default::default() };
    for frame in files(prefix).iter().flat_map(|f| data::frames(f).expect("readable")) {
        let r = engine.frame(1, &frame, 1).expect("user engine");
        if r.outcome != "classified" || r.direction == Some("response") {
            continue;
        }
        if r.state_changing && found.write.is_empty() {
            (found.write, found.functions[1]) = (frame, r.functions);
        } else if found.read.is_empty() && r.class.is_some_and(|c| classes.contains(&c)) && !r.state_changing {
            (found.read, found.functions[0]) = (frame, r.functions);
        }
    }
    found
}
