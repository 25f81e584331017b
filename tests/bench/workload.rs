//! What is fed: one frame a protocol from real captures, special shapes, and a mix.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use harness::data;
use ot_xdp::bindings::BindingTable;
use ot_xdp::source::replay::{Engine, UserEngine};
use ot_xdp_common::bench::{FEED_BYTES, FEED_PACKETS};
use ot_xdp_common::frame::{Envelope, Frame, Payload, TCP, parse};
use ot_xdp_common::limits::FLOWS;
use ot_xdp_common::proto::Proto;

use crate::samples;

/// A named list of frames.
pub struct Workload {
    /// Name in the table.
    pub name: String,
    /// Frames, fed in order.
    pub frames: Vec<Vec<u8>>,
    /// Numbers of conversations: how many IPv4 source addresses the frame is sent from; 0 for as recorded.
    pub conversations: &'static [u32],
}

/// A frame whose source can be varied is measured with these.
const SPREAD: &[u32] = &[1, 1024, 65_536];

impl Workload {
    fn one(name: &str, frame: Vec<u8>) -> Workload {
        let conversations = if is_ipv4(&frame) { SPREAD } else { &[0] };
        Workload { name: name.to_owned(), frames: vec![frame], conversations }
    }

    /// One frame of a protocol, with one number of conversations: there are many of them.
    fn protocol(name: &str, frame: Vec<u8>) -> Workload {
        let conversations = if is_ipv4(&frame) { &[1024] } else { &[0] };
        Workload { name: name.to_owned(), frames: vec![frame], conversations }
    }
}

fn is_ipv4(frame: &[u8]) -> bool {
    frame.get(12..14) == Some(&[8, 0])
}

/// An Ethernet, IPv4 and TCP frame around a payload.
pub fn tcp(dport: u16, payload: &[u8]) -> Vec<u8> {
    let mut f = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0];
    f.extend((40 + payload.len() as u16).to_be_bytes());
    f.extend([0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    f.extend(40_000u16.to_be_bytes());
    f.extend(dport.to_be_bytes());
    f.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 0, 0, 0, 0, 0, 0]);
    f.extend(payload);
    f
}

/// Where the TCP header of a frame is.
#[derive(Clone, Copy, Debug)]
pub struct TcpOf {
    /// Offset of the sequence number.
    pub seq_at: u16,
    /// Sequence number.
    pub seq: u32,
    /// Octets of payload.
    pub payload: u16,
}

/// The TCP header of a frame with payload, found by the sensor's own envelope parser.
pub fn tcp_of(frame: &[u8]) -> Option<TcpOf> {
    let mut f = Frame::default();
    if parse(frame, &mut f, &mut Whole) != Payload::Transport || f.l4 != TCP {
        return None;
    }
    let at = (34..f.off.saturating_sub(16)).chain([f.off - 20 + 4]).find(|at| {
        let head = frame.get(*at as usize - 4..*at as usize + 4);
        let ports = [f.sport.to_be_bytes(), f.dport.to_be_bytes()].concat();
        head.is_some_and(|h| h[..4] == ports[..] && h[4..] == f.seq.to_be_bytes())
    })?;
    Some(TcpOf { seq_at: at as u16, seq: f.seq, payload: (f.end - f.off) as u16 })
}

struct Whole;
impl Envelope for Whole {
    fn frame_len(&mut self) -> u32 {
        0
    }
    fn tunnels(&mut self) -> bool {
        false
    }
}

/// A Modbus read of one register.
pub const MODBUS_READ: [u8; 12] = [0, 1, 0, 0, 0, 6, 1, 3, 0, 10, 0, 2];

/// The beginning of a TLS record.
const TLS_RECORD: [u8; 12] = [23, 3, 3, 0, 64, 1, 2, 3, 4, 5, 6, 7];

/// Every workload of the table.
pub fn all() -> Result<Vec<Workload>> {
    let mut list = vec![
        Workload::one("modbus read", tcp(502, &MODBUS_READ)),
        Workload::one("not OT (TCP 9000)", tcp(9000, &MODBUS_READ)),
        Workload::one("IT (TCP 443, TLS)", tcp(443, &TLS_RECORD)),
        Workload::one("IT, middle of a record", tcp(443, &MODBUS_READ)),
        Workload::one("ARP", arp()),
        Workload::one("modbus read, VLAN", tagged(&tcp(502, &MODBUS_READ))),
        Workload::one("modbus, 8 PDUs", tcp(502, &MODBUS_READ.repeat(8))),
    ];
    let captures = data::own_captures();
    let mut first = first_frames(&captures)?;
    if let Some(shared) = data::shared() {
        for (name, frame) in first_frames(&data::captures(&shared.join("corpus/dev/pcap")))? {
            first.entry(name).or_insert(frame);
        }
    }
    for (name, frame) in samples::all() {
        let record = UserEngine::new(BindingTable::default(), FLOWS).frame(1, &frame, 0)?;
        anyhow::ensure!(record.protocol == Some(name), "the sample of {name} is taken for {:?}", record.protocol);
        first.entry(name).or_insert(frame);
    }
    for proto in Proto::ALL {
        match first.remove(proto.name()) {
            Some(frame) => list.push(Workload::protocol(proto.name(), frame)),
            // Frames of IT protocols bear the names of its members.
            None if proto.is_root() && proto.module() != "it" => bail!("no frame of {}", proto.name()),
            None => {}
        }
    }
    let mut mix = Vec::new();
    for file in &captures {
        mix.extend(data::frames(file)?.into_iter().filter(|f| (14..=FEED_BYTES).contains(&f.len())));
    }
    mix.truncate(FEED_PACKETS as usize);
    list.push(Workload { name: "mix, own captures".to_owned(), frames: mix, conversations: &[0] });
    if let Some(shared) = data::shared() {
        list.push(Workload {
            name: "mix, public OT captures".to_owned(),
            frames: public_mix(&shared)?,
            conversations: &[0],
        });
    }
    Ok(list)
}

/// OT captures of the shared corpus, none of them dominating, interleaved.
fn public_mix(shared: &Path) -> Result<Vec<Vec<u8>>> {
    let mut lists = Vec::new();
    for file in data::captures(&shared.join("corpus/dev/pcap")) {
        let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if ["modbus", "s7comm", "cip", "dnp3", "iec104", "goose", "pn", "enip"].iter().any(|p| name.starts_with(p)) {
            let frames: Vec<_> =
                data::frames(&file)?.into_iter().filter(|f| (14..=FEED_BYTES).contains(&f.len())).take(120).collect();
            lists.push(frames.into_iter());
        }
    }
    let mut mix = Vec::new();
    while mix.len() < FEED_PACKETS as usize {
        let before = mix.len();
        mix.extend(lists.iter_mut().filter_map(Iterator::next));
        if mix.len() == before {
            break;
        }
    }
    mix.truncate(FEED_PACKETS as usize);
    Ok(mix)
}

/// For each protocol the first frame with which somebody asks or publishes.
fn first_frames(captures: &[PathBuf]) -> Result<BTreeMap<&'static str, Vec<u8>>> {
    let mut first = BTreeMap::new();
    for file in captures {
        let mut engine = UserEngine::new(BindingTable::default(), FLOWS);
        for (i, frame) in data::frames(file)?.into_iter().enumerate() {
            if !(14..=FEED_BYTES).contains(&frame.len()) {
                continue;
            }
            let record = engine.frame(i as u64 + 1, &frame, 0)?;
            if let Some(name) = record.protocol
                && record.direction != Some("response")
            {
                first.entry(name).or_insert(frame);
            }
        }
    }
    Ok(first)
}

fn arp() -> Vec<u8> {
    let mut f = vec![0xFF; 6];
    f.extend([
        2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2,
    ]);
    f.resize(60, 0);
    f
}

fn tagged(frame: &[u8]) -> Vec<u8> {
    let mut f = frame.to_vec();
    f.splice(12..12, [0x81, 0, 0, 5]);
    f
}
