//! User space with the default bindings, and the memory between frames.

use std::cell::RefCell;
use std::sync::LazyLock;

use ot_xdp_common::bytes::Bytes;
use ot_xdp_common::classify::{BINDING_WORDS, Bindings, Table, classify};
use ot_xdp_common::flags;
use ot_xdp_common::frame::{Envelope, Frame};
use ot_xdp_common::op::Op;
use ot_xdp_common::proto::{Path, Proto};
use ot_xdp_common::reason::Outcome;
use ot_xdp_common::service::SERVICES;
use ot_xdp_common::stream::{self, Joined, Memory, STREAMS, Stream, WINDOWS, Window};
use ot_xdp_common::walk::{Driven, Step, Steps, Walk};

use crate::check;

/// The first protocol in the list that is registered for a port or an EtherType.
static BOUND: LazyLock<Vec<u64>> = LazyLock::new(|| {
    let mut words = vec![0; BINDING_WORDS as usize];
    for p in Proto::ALL {
        let b = p.binding();
        for (table, values) in [(Table::Tcp, b.tcp), (Table::Udp, b.udp), (Table::EtherType, b.ethertypes)] {
            for value in values {
                let (word, shift) = (table as usize * 8192 + usize::from(value >> 3), (value & 7) * 8);
                if words[word] >> shift & 0xFF == 0 {
                    words[word] |= (*p as u64) << shift;
                }
            }
        }
    }
    words
});

/// Is every frame printed, with what became of it?
static TOLD: LazyLock<bool> = LazyLock::new(|| std::env::var_os("OT_XDP_FUZZ_TELL").is_some());

/// Everything that the parsers ask of the side they run on.
pub struct Host {
    len: u32,
    streams: Vec<Stream>,
    windows: Vec<Window>,
    services: Vec<u64>,
    /// Slots to clear before the next input: clearing the tables would take longer than an input.
    used: Vec<Slot>,
}

enum Slot {
    Stream(usize),
    Window(usize),
    Service(usize),
}

thread_local! {
    static HOST: RefCell<Host> = RefCell::new(Host {
        len: 0,
        streams: vec![Stream::default(); STREAMS as usize],
        windows: vec![Window::default(); WINDOWS as usize],
        services: vec![0; SERVICES as usize],
        used: Vec::new(),
    });
}

/// Calls `f` with a host that remembers nothing.
pub fn fresh<T>(f: impl FnOnce(&mut Host) -> T) -> T {
    HOST.with_borrow_mut(|host| {
        host.forget();
        f(host)
    })
}

impl Host {
    /// Forgets every frame.
    pub fn forget(&mut self) {
        for slot in self.used.drain(..) {
            match slot {
                Slot::Stream(i) => self.streams[i] = Stream::default(),
                Slot::Window(i) => self.windows[i] = Window::default(),
                Slot::Service(i) => self.services[i] = 0,
            }
        }
    }

    /// Classifies the next frame and checks what came out.
    pub fn frame(&mut self, frame: &[u8], f: &mut Frame, w: &mut Walk) -> Outcome {
        self.len = frame.len() as u32;
        let outcome = classify(frame, f, w, self, &mut joined);
        if *TOLD {
            let path = |op: &Op| Path { proto: op.proto(), function: op.function }.to_string();
            let (found, flags) = (w.ops().iter().map(path).collect::<Vec<_>>(), w.flags);
            let words = flags::ALL.iter().filter(|(bit, ..)| flags & bit != 0).map(|(_, word, _)| *word);
            eprintln!("{frame:02x?}");
            eprintln!("  {} {found:?}, {} of them old, {:?}", outcome.word(), w.skip, words.collect::<Vec<_>>());
        }
        check::end(w, outcome);
        check::books(w, outcome);
        outcome
    }
}

/// Runs the parsers on the window of the walk's connection.
fn joined(w: &mut Walk, host: &mut Host) -> Outcome {
    let slot = stream::window_of(&host.streams[w.stream as usize]);
    let window = host.windows[slot as usize];
    match check::walk(Joined::new(&window, w.base, w.end), w) {
        Driven::Outcome(o) => o,
        Driven::Refused => Outcome::Unparsed,
    }
}

impl Bindings for Host {
    fn word(&mut self, word: u32) -> u64 {
        BOUND[word as usize]
    }
}

impl Envelope for Host {
    fn frame_len(&mut self) -> u32 {
        self.len
    }
    fn tunnels(&mut self) -> bool {
        true
    }
}

impl Memory for Host {
    fn ifindex(&mut self) -> u32 {
        1
    }
    fn stream(&mut self, slot: u32) -> Option<&mut Stream> {
        self.used.push(Slot::Stream(slot as usize));
        Some(&mut self.streams[slot as usize])
    }
    fn window(&mut self, slot: u32) -> Option<&mut Window> {
        self.used.push(Slot::Window(slot as usize));
        Some(&mut self.windows[slot as usize])
    }
    fn deposit<B: Bytes>(&mut self, b: B, f: &Frame, base: u32, slot: u32) {
        if let Some(window) = self.window(slot) {
            stream::deposit(b, f, base, window);
        }
    }
    fn service(&mut self, slot: u32) -> Option<&mut u64> {
        self.used.push(Slot::Service(slot as usize));
        Some(&mut self.services[slot as usize])
    }
}

impl Steps<&[u8]> for Host {
    fn step(&mut self, proto: u8, b: &[u8], w: &mut Walk) -> Step {
        check::step(proto, b, w)
    }
}
