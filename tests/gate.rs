//! The gate frame by frame, through the kernel program: every way that is known to hide a write, and what must pass.
//!
//! Frames come in on the loopback interface, which is the IT port here, unless a test says otherwise. What a test asserts
//! is what the kernel program did, from its own counters.

use harness::{data, is_root, skip};
use ot_xdp::bindings::BindingTable;
use ot_xdp::gate::{Gate, simple};
use ot_xdp::source::kernel::{Kernel, Options};
use ot_xdp::source::replay::{Engine, UserEngine};
use ot_xdp_common::frame::{TCP, UDP};
use ot_xdp_common::limits::FLOWS;
use ot_xdp_common::policy::{DONE, Done, Mode};

/// Interface of test runs.
const LO: u32 = 1;

/// The kernel program as an armed gate.
struct Armed {
    kernel: Kernel,
    _gate: Gate,
    cpu: usize,
}

impl Armed {
    fn new(port: &str) -> Armed {
        let cpu = ot_xdp::sys::clock::pin_to_this_cpu().expect("pinned");
        let options = Options { flows: FLOWS, replay: false, bindings: BindingTable::default(), gate: true };
        let mut kernel = Kernel::load(&options).expect("loads");
        kernel.name_port(LO, "lo");
        let (it, ot) = if port == "it" { ("lo", "other") } else { ("other", "lo") };
        let plan =
            simple::plan(&[it.to_owned()], &[ot.to_owned()], &[(LO, "lo".to_owned()), (LO + 1, "other".to_owned())])
                .expect("policy");
        let mut gate = Gate::start(&mut kernel, plan, std::time::Duration::from_secs(600)).expect("policy");
        gate.set_mode(&mut kernel, Mode::Enforce, None).expect("armed");
        Armed { kernel, _gate: gate, cpu }
    }

    fn counts(&self) -> [u64; DONE] {
        self.kernel.gate_counts(LO).expect("counters").frames
    }

    /// What the gate did with a frame; a frame that no rule was about is `Passed`.
    fn done(&mut self, frame: &[u8]) -> Done {
        let before = self.counts();
        let (verdict, _) = self.kernel.test_run(frame, 0, self.cpu).expect("runs");
        let after = self.counts();
        let all =
            [Done::Passed, Done::Alerted, Done::WouldDrop, Done::Dropped, Done::Reset, Done::DeadMan, Done::Blocked];
        let done = all.into_iter().find(|d| after[*d as usize] != before[*d as usize]).unwrap_or(Done::Passed);
        let (pass, drop) = (2, 1);
        match done {
            Done::Passed => assert_eq!(verdict, pass),
            Done::Dropped => assert_eq!(verdict, drop),
            // A reset goes on to the controller.
            Done::Reset | Done::Blocked => assert_eq!(verdict, pass, "changed in place"),
            _ => {}
        }
        done
    }

    fn refuses(&mut self, frame: &[u8]) -> bool {
        matches!(self.done(frame), Done::Dropped | Done::Reset | Done::Blocked)
    }
}

macro_rules! armed {
    ($port:literal) => {{
        if !is_root() {
            skip!("needs root to load the kernel program");
        }
        Armed::new($port)
    }};
}

/// A TCP connection as its frames.
#[derive(Clone)]
struct Flow {
    sport: u16,
    dport: u16,
    seq: u32,
    /// Octets between the Ethernet addresses and the network header.
    link: Vec<u8>,
    v6: bool,
    /// IPv6 extension headers, the first one's number first.
    extensions: Vec<u8>,
    first_extension: u8,
}

const IPV4: [u8; 2] = [8, 0];
const IPV6: [u8; 2] = [0x86, 0xDD];

impl Flow {
    fn new(sport: u16, dport: u16) -> Flow {
        Flow { sport, dport, seq: 1000, link: IPV4.to_vec(), v6: false, extensions: Vec::new(), first_extension: TCP }
    }

    fn packet(&self, proto: u8, transport: &[u8], fragment: u16) -> Vec<u8> {
        let mut f = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
        f.extend(&self.link);
        if self.v6 {
            let length = (self.extensions.len() + transport.len()) as u16;
            f.extend([0x60, 0, 0, 0]);
            f.extend(length.to_be_bytes());
            f.extend([if self.extensions.is_empty() { proto } else { self.first_extension }, 64]);
            for host in [1, 2] {
                f.extend([0xFD, 0x77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host]);
            }
            f.extend(&self.extensions);
        } else {
            f.extend([0x45, 0]);
            f.extend((20 + transport.len() as u16).to_be_bytes());
            f.extend([0, 1]);
            f.extend(fragment.to_be_bytes());
            f.extend([64, proto, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        }
        f.extend(transport);
        f
    }

    fn segment_at(&self, seq: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut t = Vec::new();
        t.extend(self.sport.to_be_bytes());
        t.extend(self.dport.to_be_bytes());
        t.extend(seq.to_be_bytes());
        t.extend([0, 0, 0, 1, 0x50, flags, 1, 0, 0, 0, 0, 0]);
        t.extend(payload);
        self.packet(TCP, &t, 0)
    }

    fn syn(&self) -> Vec<u8> {
        self.segment_at(self.seq.wrapping_sub(1), 2, &[])
    }

    /// The next segment.
    fn next(&mut self, payload: &[u8]) -> Vec<u8> {
        let frame = self.segment_at(self.seq, 0x18, payload);
        self.seq = self.seq.wrapping_add(payload.len() as u32);
        frame
    }

    fn datagram(&self, payload: &[u8]) -> Vec<u8> {
        let mut t = Vec::new();
        t.extend(self.sport.to_be_bytes());
        t.extend(self.dport.to_be_bytes());
        t.extend((8 + payload.len() as u16).to_be_bytes());
        t.extend([0, 0]);
        t.extend(payload);
        self.packet(UDP, &t, 0)
    }
}

fn read() -> Vec<u8> {
    vec![0, 1, 0, 0, 0, 6, 1, 3, 0, 10, 0, 1]
}

fn write() -> Vec<u8> {
    vec![0, 2, 0, 0, 0, 6, 1, 6, 0, 10, 0, 77]
}

#[test]
fn reads_pass_writes_are_refused_and_the_flow_stays_blocked() {
    let mut g = armed!("it");
    let mut f = Flow::new(40_000, 502);
    assert_eq!(g.done(&f.syn()), Done::Passed);
    assert_eq!(g.done(&f.next(&read())), Done::Passed);
    let refused = f.next(&write());
    assert_eq!(g.done(&refused), Done::Reset);
    assert_eq!(g.done(&refused), Done::Blocked, "sent again");
    assert_eq!(g.done(&f.next(&read())), Done::Blocked, "whatever comes behind it");
    assert_eq!(g.done(&f.syn()), Done::Passed);
    f.seq = 1000;
    assert_eq!(g.done(&f.next(&read())), Done::Passed, "a new connection is free");
}

#[test]
fn the_plant_side_is_never_refused() {
    let mut g = armed!("ot");
    let mut f = Flow::new(40_000, 502);
    for payload in [read(), write(), vec![0xFF; 40], [write(), write()].concat()] {
        assert_eq!(g.done(&f.next(&payload)), Done::Passed);
    }
    assert_eq!(g.counts(), [0; DONE], "not even looked at");
}

#[test]
fn vlan_and_qinq() {
    let mut g = armed!("it");
    for tags in [vec![0x81, 0, 0, 5], vec![0x88, 0xA8, 0, 7, 0x81, 0, 0, 5], vec![0x81, 0, 0x60, 0]] {
        let mut f = Flow::new(40_001, 502);
        f.link = [tags, IPV4.to_vec()].concat();
        assert_eq!(g.done(&f.next(&read())), Done::Passed);
        assert_eq!(g.done(&f.next(&write())), Done::Reset);
    }
    let mut deep = Flow::new(40_002, 502);
    deep.link = [[0x81, 0, 0, 5].repeat(5), IPV4.to_vec()].concat();
    assert!(g.refuses(&deep.next(&write())), "more tags than are followed");
}

#[test]
fn ipv6_and_extension_headers() {
    let mut g = armed!("it");
    let hop = |next: u8| vec![next, 0, 1, 4, 0, 0, 0, 0];
    let chains: [(u8, Vec<u8>); 4] = [
        (TCP, vec![]),
        (0, hop(TCP)),
        (0, [hop(60), hop(TCP)].concat()),
        (60, hop(60).repeat(4).into_iter().chain(hop(TCP)).collect()),
    ];
    for (sport, (first, extensions)) in (41_000..).zip(chains) {
        let mut f = Flow { v6: true, link: IPV6.to_vec(), extensions, first_extension: first, ..Flow::new(sport, 502) };
        assert_eq!(g.done(&f.next(&read())), Done::Passed);
        assert_eq!(g.done(&f.next(&write())), Done::Reset, "chain of {sport}");
    }
    let extensions = hop(60).repeat(11).into_iter().chain(hop(TCP)).collect();
    let mut f = Flow { v6: true, link: IPV6.to_vec(), extensions, first_extension: 60, ..Flow::new(42_000, 502) };
    assert!(g.refuses(&f.next(&write())), "a chain longer than is followed");
}

#[test]
fn ip_fragments() {
    let mut g = armed!("it");
    let f = Flow::new(40_003, 502);
    let whole = f.segment_at(1000, 0x18, &write());
    let transport = &whole[34..];
    // Tiny: the first one holds no more than ports and sequence number.
    for (at, piece) in [(0u16, &transport[..8]), (8, &transport[8..16]), (16, &transport[16..])] {
        let more = if usize::from(at) + piece.len() < transport.len() { 0x2000 } else { 0 };
        assert!(g.refuses(&f.packet(TCP, piece, more | (at / 8))), "fragment at {at}");
    }
    assert!(g.refuses(&f.packet(TCP, transport, 0x2000)), "the first one, whole");
    assert_eq!(
        g.done(&f.packet(TCP, &f.segment_at(1000, 0x18, &read())[34..], 0x4000)),
        Done::Passed,
        "don't fragment"
    );
}

#[test]
fn length_lies() {
    let mut g = armed!("it");
    for (sport, more) in (43_000..).zip([1u8, 2, 7, 100]) {
        let mut lie = write();
        lie[5] += more;
        let mut f = Flow::new(sport, 502);
        assert!(g.refuses(&f.next(&lie)), "length + {more}");
    }
    let mut hidden = read();
    hidden[5] += 12;
    let mut f = Flow::new(43_100, 502);
    assert!(g.refuses(&f.next(&[hidden, write()].concat())), "a write inside a read that is too long");
}

#[test]
fn pieces_of_any_size() {
    let mut g = armed!("it");
    let w = write();
    for cut in 1..w.len() {
        let mut f = Flow::new(44_000 + cut as u16, 502);
        assert_eq!(g.done(&f.syn()), Done::Passed);
        assert!(!g.refuses(&f.next(&w[..cut])) | !g.refuses(&f.next(&w[cut..])) || cut > 7, "cut at {cut}");
        let mut again = Flow::new(45_000 + cut as u16, 502);
        assert_eq!(g.done(&again.syn()), Done::Passed);
        let both = [w[..cut].to_vec(), w[cut..].to_vec()].map(|p| g.refuses(&again.next(&p)));
        assert!(both.contains(&true), "cut at {cut}: one of the pieces is refused");
    }
}

#[test]
fn reordered_pieces() {
    let mut g = armed!("it");
    let w = write();
    for cut in 1..w.len() {
        let f = Flow::new(46_000 + cut as u16, 502);
        assert_eq!(g.done(&f.syn()), Done::Passed);
        let late = g.refuses(&f.segment_at(1000 + cut as u32, 0x18, &w[cut..]));
        let early = g.refuses(&f.segment_at(1000, 0x18, &w[..cut]));
        assert!(late || early, "cut at {cut}");
    }
}

#[test]
fn a_repetition_with_other_content() {
    let mut g = armed!("it");
    let f = Flow::new(40_010, 502);
    assert_eq!(g.done(&f.syn()), Done::Passed);
    assert_eq!(g.done(&f.segment_at(1000, 0x18, &read())), Done::Passed);
    assert_eq!(g.done(&f.segment_at(1000, 0x18, &read())), Done::Passed, "a plain repetition passes");
    assert!(g.refuses(&f.segment_at(1000, 0x18, &write())));
}

#[test]
fn overlaps() {
    let mut g = armed!("it");
    let w = write();
    // A decoy with a bad checksum that the controller never takes, then the write in pieces over the same octets.
    for at in 1..w.len() {
        let f = Flow::new(47_000 + at as u16, 502);
        assert_eq!(g.done(&f.syn()), Done::Passed);
        assert_eq!(g.done(&f.segment_at(1000, 0x18, &read())), Done::Passed);
        assert_eq!(g.done(&f.segment_at(1012, 0x18, &read())), Done::Passed);
        let first = g.refuses(&f.segment_at(1000, 0x18, &w[..at]));
        let second = g.refuses(&f.segment_at(1000 + at as u32, 0x18, &w[at..]));
        assert!(first || second, "cut at {at}");
    }
    // Old octets and new ones in a segment.
    let f = Flow::new(47_500, 502);
    assert_eq!(g.done(&f.segment_at(1000, 0x18, &read())), Done::Passed);
    assert!(g.refuses(&f.segment_at(1000, 0x18, &[w.clone(), read()].concat())));
}

#[test]
fn a_session_that_is_older_than_the_gate() {
    let mut g = armed!("it");
    let w = write();
    // From a boundary: judged at once.
    let mut f = Flow::new(40_020, 502);
    assert_eq!(g.done(&f.next(&read())), Done::Passed);
    // Its first half was sent before the gate was there.
    for cut in 1..w.len() {
        let mut f = Flow::new(48_000 + cut as u16, 502);
        f.seq += cut as u32;
        assert!(g.refuses(&f.next(&w[cut..])) || cut + 3 > w.len(), "second half from octet {cut} on");
    }
}

#[test]
fn off_the_port() {
    let mut g = armed!("it");
    let mut f = Flow::new(40_030, 15_020);
    assert_eq!(g.done(&f.syn()), Done::Passed);
    assert_eq!(g.done(&f.next(&read())), Done::Passed);
    assert!(g.refuses(&f.next(&write())), "by its first frame");
    // S7 on another port, from its first frame.
    let job = [
        3, 0, 0, 36, 2, 0xF0, 0x80, 0x32, 1, 0, 0, 5, 0, 0, 14, 0, 5, 5, 1, 0x12, 0x0A, 0x10, 2, 0, 1, 0, 1, 0x84, 0,
        0, 0, 0, 4, 0, 8, 7,
    ];
    let mut f = Flow::new(40_031, 10_102);
    assert!(g.refuses(&f.next(&job)));
}

#[test]
fn what_is_no_industrial_protocol_passes() {
    let mut g = armed!("it");
    for (port, payload) in [
        (80, b"GET / HTTP/1.1\r\nHost: plc\r\n\r\n".to_vec()),
        (443, [vec![23, 3, 3, 1, 0], vec![0x5A; 256]].concat()),
        (9000, vec![0xA5; 700]),
        (9001, vec![0; 400]),
        (3389, vec![3, 0, 0, 19, 14, 0xE0, 0, 0, 0, 0, 0, 1, 0, 8, 0, 3, 0, 0, 0]),
    ] {
        let mut f = Flow::new(50_000, port);
        assert_eq!(g.done(&f.next(&payload)), Done::Passed, "port {port}");
    }
}

#[test]
fn octets_that_are_no_pdu_on_an_ot_port() {
    let mut g = armed!("it");
    let mut f = Flow::new(40_040, 502);
    assert!(g.refuses(&f.next(b"not a PDU of anything")));
    assert!(g.refuses(&Flow::new(40_041, 47_808).datagram(b"not BACnet either")));
}

#[test]
fn more_pdus_than_are_walked() {
    let mut g = armed!("it");
    for reads in [1, 7, 8, 9, 15] {
        let mut f = Flow::new(51_000 + reads, 502);
        assert_eq!(g.done(&f.next(&[read().repeat(reads.into()), write()].concat())), Done::Reset, "behind {reads}");
    }
    for reads in [16, 20, 60] {
        let mut f = Flow::new(51_000 + reads, 502);
        assert!(g.refuses(&f.next(&[read().repeat(reads.into()), write()].concat())), "behind {reads}");
    }
    let mut f = Flow::new(51_900, 502);
    assert_eq!(g.done(&f.next(&read().repeat(15))), Done::Passed);
}

#[test]
fn a_flood_of_connections_before_the_second_half() {
    let mut g = armed!("it");
    let w = write();
    let mut f = Flow::new(40_050, 502);
    assert_eq!(g.done(&f.syn()), Done::Passed);
    g.done(&f.next(&w[..7]));
    for port in 1024..=65_535 {
        if port != 40_050 {
            let mut other = Flow::new(port, 502);
            g.kernel.test_run(&other.next(&read()), 0, g.cpu).expect("runs");
        }
    }
    assert!(g.refuses(&f.next(&w[7..])), "whether its state is still there or not");
}

/// The first frame of the own captures with a function of this protocol that asks to change the state, or that does not.
fn captured(protocol: &str, changes: bool, test: impl Fn(&[String]) -> bool) -> Option<Vec<u8>> {
    for file in data::own_captures() {
        let mut engine = UserEngine::new(BindingTable::default(), FLOWS);
        for (i, frame) in data::frames(&file).expect("capture").into_iter().enumerate() {
            let r = engine.frame(i as u64 + 1, &frame, 0).expect("classified");
            let named = r.functions.iter().any(|f| f.split(':').next() == Some(protocol));
            if named && r.direction != Some("response") && r.state_changing == changes && test(&r.functions) {
                return Some(frame);
            }
        }
    }
    None
}

#[test]
fn every_protocol_by_captured_requests() {
    let mut g = armed!("it");
    const PROTOCOLS: [&str; 15] = [
        "modbus", "umas", "s7comm", "cip", "dnp3", "iec104", "mms", "opcua", "bacnet", "fins", "slmp", "ads", "knxnet",
        "goose", "pn_dcp",
    ];
    // First what passes: a refused write blocks its flow.
    for protocol in PROTOCOLS {
        if let Some(frame) = captured(protocol, false, |_| true) {
            assert_eq!(g.done(&frame), Done::Passed, "{protocol}: what changes nothing passes");
        }
    }
    for protocol in PROTOCOLS {
        if let Some(frame) = captured(protocol, true, |_| true) {
            assert!(g.refuses(&frame), "{protocol}: what changes the state is refused");
        }
    }
    for protocol in ["modbus", "s7comm", "cip", "dnp3", "iec104", "mms", "opcua", "bacnet", "pn_dcp"] {
        assert!(captured(protocol, true, |_| true).is_some(), "{protocol}: a capture holds a write");
    }
}

#[test]
fn nested_cip_services() {
    let mut g = armed!("it");
    let packed = captured("cip", true, |f| f.len() > 1).expect("a nested write in the captures");
    assert!(g.refuses(&packed), "a write inside another service");
}
