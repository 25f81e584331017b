//! The user-space side of classification: bindings, and the memory between frames that the kernel keeps in maps.

use ot_xdp_common::bytes::Bytes;
use ot_xdp_common::classify::{Bindings, classify};
use ot_xdp_common::frame::{Envelope, Frame};
use ot_xdp_common::overrule::overrule;
use ot_xdp_common::proto;
use ot_xdp_common::reason::Outcome;
use ot_xdp_common::service::SERVICES;
use ot_xdp_common::stream::{self, Joined, Memory, STREAMS, Stream, WINDOWS, Window, window_of};
use ot_xdp_common::walk::{Driven, Step, Steps, Walk, drive};

use crate::bindings::BindingTable;

/// Everything that the parsers ask of the side they run on.
pub struct Host {
    bindings: BindingTable,
    ifindex: u32,
    len: u32,
    streams: Vec<Stream>,
    windows: Vec<Window>,
    services: Vec<u64>,
}

impl Host {
    /// An empty memory with these bindings, for frames of one interface.
    pub fn new(bindings: BindingTable, ifindex: u32) -> Host {
        Host {
            bindings,
            ifindex,
            len: 0,
            streams: vec![Stream::default(); STREAMS as usize],
            windows: vec![Window::default(); WINDOWS as usize],
            services: vec![0; SERVICES as usize],
        }
    }

    /// Classifies the next frame.
    pub fn classify(&mut self, data: &[u8], f: &mut Frame, w: &mut Walk) -> Outcome {
        self.len = data.len() as u32;
        let outcome = classify(data, f, w, self, &mut joined);
        if !self.bindings.kinds().is_empty() {
            overrule(w, &mut &self.bindings);
        }
        outcome
    }
}

/// The parsers on any source of octets.
struct Parsers;

impl<B: Bytes> Steps<B> for Parsers {
    fn step(&mut self, proto: u8, b: B, w: &mut Walk) -> Step {
        proto::step(proto, b, w)
    }
}

/// Runs the parsers on the window of the walk's connection.
fn joined(w: &mut Walk, host: &mut Host) -> Outcome {
    let slot = host.streams.get(w.stream as usize).map(window_of);
    let Some(window) = slot.and_then(|s| host.windows.get(s as usize)) else { return Outcome::Unparsed };
    let b = Joined::new(window, w.base, w.end);
    let first = proto::step(w.root, b, w);
    match drive(first, b, w, &mut Parsers, proto::turns(w.root)) {
        Driven::Outcome(o) => o,
        Driven::Refused => Outcome::Unparsed,
    }
}

impl Bindings for Host {
    fn word(&mut self, word: u32) -> u64 {
        (&self.bindings).word(word)
    }
}

impl Envelope for Host {
    fn frame_len(&mut self) -> u32 {
        self.len
    }
    fn tunnels(&mut self) -> bool {
        self.bindings.tunnels()
    }
}

impl Memory for Host {
    fn ifindex(&mut self) -> u32 {
        self.ifindex
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

impl Steps<&[u8]> for Host {
    fn step(&mut self, proto: u8, b: &[u8], w: &mut Walk) -> Step {
        proto::step(proto, b, w)
    }
}
