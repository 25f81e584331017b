//! What the tests of the protocol files share: frames around payloads, and a host environment to classify them in.

extern crate std;

use std::format;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use crate::bytes::Bytes;
use crate::classify::{Bindings, Table, classify};
use crate::frame::{Envelope, Frame};
use crate::op::{Class, Op};
use crate::proto::{self, Path, Proto};
use crate::reason::Outcome;
use crate::service::SERVICES;
use crate::stream::{self, Joined, Memory, STREAMS, Stream, WINDOWS, Window};
use crate::walk::{Driven, Step, Steps, Walk, drive};

/// User space with the default bindings, and memory between frames.
#[derive(Debug)]
pub struct Host {
    tunnels: bool,
    len: u32,
    streams: Vec<Stream>,
    windows: Vec<Window>,
    services: Vec<u64>,
}

impl Default for Host {
    fn default() -> Host {
        Host {
            tunnels: false,
            len: 0,
            streams: vec![Stream::default(); STREAMS as usize],
            windows: vec![Window::default(); WINDOWS as usize],
            services: vec![0; SERVICES as usize],
        }
    }
}

impl Memory for Host {
    fn ifindex(&mut self) -> u32 {
        1
    }
    fn stream(&mut self, slot: u32) -> Option<&mut Stream> {
        self.streams.get_mut(slot as usize)
    }
    fn window(&mut self, slot: u32) -> Option<&mut Window> {
        self.windows.get_mut(slot as usize)
    }
    fn deposit<B: Bytes>(&mut self, b: B, f: &Frame, base: u32, slot: u32) {
        if let Some(window) = self.window(slot) {
            stream::deposit(b, f, base, window);
        }
    }
    fn service(&mut self, slot: u32) -> Option<&mut u64> {
        self.services.get_mut(slot as usize)
    }
}

/// Runs the parsers on the window of the walk's connection.
fn joined(w: &mut Walk, host: &mut Host) -> Outcome {
    struct Parsers;
    impl<B: Bytes> Steps<B> for Parsers {
        fn step(&mut self, proto: u8, b: B, w: &mut Walk) -> Step {
            proto::step(proto, b, w)
        }
    }
    let Some(slot) = host.streams.get(w.stream as usize).map(stream::window_of) else { return Outcome::Unparsed };
    let window = host.windows[slot as usize];
    let b = Joined::new(&window, w.base, w.end);
    let first = proto::step(w.root, b, w);
    match drive(first, b, w, &mut Parsers, proto::turns(w.root)) {
        Driven::Outcome(o) => o,
        Driven::Refused => Outcome::Unparsed,
    }
}

impl Bindings for Host {
    fn word(&mut self, word: u32) -> u64 {
        let table = word / 8192;
        let first = (word % 8192) * 8;
        let mut out = 0;
        for p in Proto::ALL {
            let b = p.binding();
            let values = match table {
                t if t == Table::Tcp as u32 => b.tcp,
                t if t == Table::Udp as u32 => b.udp,
                _ => b.ethertypes,
            };
            for v in values {
                let slot = u32::from(*v).wrapping_sub(first);
                if slot < 8 && out >> (slot * 8) & 0xFF == 0 {
                    out |= (*p as u64) << (slot * 8);
                }
            }
        }
        out
    }
}

impl Envelope for Host {
    fn frame_len(&mut self) -> u32 {
        self.len
    }
    fn tunnels(&mut self) -> bool {
        self.tunnels
    }
}

impl Steps<&[u8]> for Host {
    fn step(&mut self, proto: u8, b: &[u8], w: &mut Walk) -> Step {
        proto::step(proto, b, w)
    }
}

/// What a frame was classified as.
#[derive(Debug)]
pub struct Seen {
    /// What became of it.
    pub outcome: Outcome,
    /// Flags of envelope and walk.
    pub flags: u32,
    /// Its operations.
    pub ops: Vec<Op>,
    /// Index of the worst one.
    pub lead: usize,
}

impl Seen {
    /// Every operation as a path.
    pub fn paths(&self) -> Vec<String> {
        self.ops.iter().map(|o| Path { proto: o.proto(), function: o.function }.to_string()).collect()
    }

    /// Path, class, `!` when state-changing, and direction of each operation: `s7comm:job/0x05 write! request`.
    pub fn lines(&self) -> Vec<String> {
        let line = |(o, path): (&Op, String)| {
            let mark = if o.state_changing() { "!" } else { "" };
            format!("{path} {}{mark} {}", o.class().word(), o.dir().word().unwrap_or("-"))
        };
        self.ops.iter().zip(self.paths()).map(line).collect()
    }

    /// Class of the worst operation.
    pub fn class(&self) -> Class {
        self.ops.get(self.lead).map_or(Class::Unknown, Op::class)
    }
}

impl Host {
    /// The same for a site that opens tunnels.
    pub fn opening_tunnels() -> Host {
        Host { tunnels: true, ..Host::default() }
    }

    /// Classifies the next frame.
    pub fn frame(&mut self, frame: &[u8]) -> Seen {
        let (mut f, mut w) = (Frame::default(), Walk::default());
        self.len = frame.len() as u32;
        let outcome = classify(frame, &mut f, &mut w, self, &mut joined);
        Seen { outcome, flags: w.flags, ops: w.new_ops().to_vec(), lead: w.lead.saturating_sub(w.skip) as usize }
    }
}

/// Classifies a whole frame.
pub fn classify_frame(frame: &[u8]) -> Seen {
    Host::default().frame(frame)
}

/// Classifies a TCP payload between these ports.
pub fn tcp(sport: u16, dport: u16, payload: &[u8]) -> Seen {
    classify_frame(&tcp_frame(sport, dport, payload))
}

/// A frame with a TCP payload between these ports.
pub fn tcp_frame(sport: u16, dport: u16, payload: &[u8]) -> Vec<u8> {
    let mut segment = Vec::new();
    segment.extend(sport.to_be_bytes());
    segment.extend(dport.to_be_bytes());
    segment.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 0x20, 0, 0, 0, 0, 0]);
    segment.extend(payload);
    ipv4(6, &segment)
}

/// Classifies a UDP payload between these ports.
pub fn udp(sport: u16, dport: u16, payload: &[u8]) -> Seen {
    let mut datagram = Vec::new();
    datagram.extend(sport.to_be_bytes());
    datagram.extend(dport.to_be_bytes());
    datagram.extend((payload.len() as u16 + 8).to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    classify_frame(&ipv4(17, &datagram))
}

/// Classifies the payload of an EtherType.
pub fn layer2(ethertype: u16, payload: &[u8]) -> Seen {
    classify_frame(&ethernet(ethertype, payload))
}

/// Checks a payload cut at every length: nothing panics, and every operation that is found is one of the whole
/// payload's or its protocol's plain carrier in `carriers`.
pub fn cuts(payload: &[u8], carriers: &[&str], classify: &dyn Fn(&[u8]) -> Seen) {
    let whole = classify(payload).paths();
    for n in 0..payload.len() {
        for path in classify(&payload[..n]).paths() {
            assert!(
                whole.contains(&path) || carriers.contains(&path.as_str()),
                "{path} in the first {n} octets of {whole:?}"
            );
        }
    }
}

/// Octets from hexadecimal digits; blanks are skipped.
pub fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
    digits.chunks(2).map(|c| c[0] << 4 | c[1]).collect()
}

fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::from([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]);
    frame.extend(ethertype.to_be_bytes());
    frame.extend(payload);
    frame
}

fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::from([0x45, 0]);
    packet.extend((payload.len() as u16 + 20).to_be_bytes());
    packet.extend([0, 1, 0x40, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    packet.extend(payload);
    ethernet(0x0800, &packet)
}
