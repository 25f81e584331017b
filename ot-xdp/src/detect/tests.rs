//! The watch: each kind is told, and its harmless twin is not.

use std::collections::BTreeMap;

use ot_xdp_common::flags;
use ot_xdp_common::op::{Class, Dir, Kind as OpKind, Tag};
use ot_xdp_common::proto::Proto;
use ot_xdp_common::reason::Outcome;
use ot_xdp_common::wire::{
    FirstSeen, FlowKey, FlowValue, PROBE_ARP_REQUEST, PROBE_SYN, PortValue, ProbeKey, ProbeValue,
};

use super::*;
use crate::aggregate::{Aggregator, Clock};
use crate::baseline::{Baseline, State, Status, lifecycle, line};
use crate::source::{PortId, Snapshot};

const S: u64 = 1_000_000_000;
/// 2026-11-23T00:00:00Z, a Monday.
const T0: u64 = 1_795_392_000 * S;
const HMI: u32 = 0x0A00_0001;
const PLC: u32 = 0x0A00_0002;

fn words(ip: u32) -> [u32; 4] {
    [0, 0, 0xFFFF, ip]
}

fn mac(ip: u32) -> u64 {
    0x0200_0000_0000 | u64::from(ip)
}

/// A network whose counters go on.
struct Net {
    watch: Watch,
    aggregator: Aggregator,
    flows: BTreeMap<FlowKey, FlowValue>,
    probes: BTreeMap<ProbeKey, ProbeValue>,
    port: PortValue,
    now: u64,
    told: Vec<Told>,
    macs: BTreeMap<u32, u64>,
}

#[derive(Clone, Copy)]
struct Do {
    from: u32,
    to: u32,
    function: u32,
    unit: u32,
    class: Class,
    changing: bool,
    dir: Dir,
    flags: u32,
    window: (u32, u32),
}

const READ: Do = Do {
    from: HMI,
    to: PLC,
    function: 3,
    unit: 1,
    class: Class::Read,
    changing: false,
    dir: Dir::Request,
    flags: 0,
    window: (100, 103),
};
const ANSWER: Do = Do { from: PLC, to: HMI, dir: Dir::Response, window: (0, 0), ..READ };
const WRITE: Do = Do { function: 16, class: Class::Write, changing: true, ..READ };

impl Net {
    fn new() -> Net {
        let settings = Settings {
            rules: crate::baseline::habit::Rules { min_observed_s: 3_600, min_observations: 50 },
            ..Settings::default()
        };
        Net {
            watch: Watch::new(Baseline::default(), settings),
            aggregator: Aggregator::new(),
            flows: BTreeMap::new(),
            probes: BTreeMap::new(),
            port: PortValue::default(),
            now: T0,
            told: Vec::new(),
            macs: BTreeMap::new(),
        }
    }

    fn end(&self, ip: u32, port: u64) -> u64 {
        self.macs.get(&ip).copied().unwrap_or_else(|| mac(ip)) << 16 | port
    }

    fn act(&mut self, d: Do, n: u64) {
        let answer = d.dir == Dir::Response;
        let (sport, dport) = if answer { (502, 40_000) } else { (40_000, 502) };
        let key = FlowKey {
            src: words(d.from),
            dst: words(d.to),
            function: d.function,
            unit: d.unit,
            ifindex: 2,
            service: 502,
            tag: Tag::new(Proto::Modbus as u8, OpKind::new(d.class, d.changing).0, d.dir, 6),
        };
        let (src_end, dst_end, at) = (self.end(d.from, sport), self.end(d.to, dport), self.now + 1);
        let is_new = !self.flows.contains_key(&key);
        let v = self.flows.entry(key).or_default();
        if is_new {
            (v.first_ns, v.addr_min, v.addr_max) = (at, d.window.0, d.window.1);
            let span = if d.window == (0, 0) { 0 } else { d.window.1 - d.window.0 + 1 };
            let r = FirstSeen { at_ns: at, src_end, dst_end, key, addr: d.window.0, span, flags: d.flags };
            let (c, from_client) = self.aggregator.meet(&r);
            self.watch.record(&r, &c, from_client, &Clock::CAPTURE, &mut self.told);
        }
        v.pdus += n;
        v.frames += n;
        (v.last_ns, v.src_end, v.dst_end) = (at, src_end, dst_end);
        v.flags |= d.flags;
        (v.addr_min, v.addr_max) = (v.addr_min.min(d.window.0), v.addr_max.max(d.window.1));
        self.port.frames += n;
        self.port.outcomes[Outcome::Classified as usize] += n;
    }

    fn probe(&mut self, from: u32, to: u32, kind: u32, port: u16) {
        let key =
            ProbeKey { src: words(from), dst: words(to), ifindex: 2, service: u32::from(port), kind, reserved: 0 };
        let end = self.end(from, 0);
        let at = self.now + 1;
        self.probes.entry(key).or_default().add(end, at);
        self.port.frames += 1;
    }

    /// Ten seconds pass.
    fn look(&mut self) {
        self.now += 10 * S;
        let id = PortId { ifindex: 2, name: "eth1".to_owned() };
        let snapshot = Snapshot {
            at_ns: self.now,
            flows: self.flows.iter().map(|(k, v)| (*k, *v)).collect(),
            probes: self.probes.iter().map(|(k, v)| (*k, *v)).collect(),
            ports: vec![(id, self.port)],
            ..Snapshot::default()
        };
        let mut deltas = Vec::new();
        self.aggregator.look(&snapshot, &mut deltas);
        self.watch.look(&snapshot, &deltas, &Clock::CAPTURE, &mut self.told);
    }

    /// The usual: ten polls in ten seconds with their answers.
    fn usual(&mut self, looks: u32) {
        for _ in 0..looks {
            self.act(READ, 10);
            self.act(ANSWER, 10);
            self.look();
        }
    }

    /// The same with a flag on the questions.
    fn usual_with(&mut self, flags: u32) {
        self.act(Do { flags, ..READ }, 10);
        self.act(ANSWER, 10);
        self.look();
    }

    /// Learns a day and a half of the usual, and locks.
    fn learned() -> Net {
        let mut net = Net::new();
        net.usual(13_000);
        assert_eq!(net.kinds(), []);
        net.lock();
        net
    }

    fn lock(&mut self) {
        let rules = self.watch.settings.rules;
        lifecycle::lock(self.watch.baseline_mut(), true, 1, &rules);
        self.watch.decided();
        lifecycle::each_mark(self.watch.baseline_mut(), |m| m.met = false);
        self.told.clear();
    }

    /// Kinds that began, and what was told is forgotten.
    fn kinds(&mut self) -> Vec<Kind> {
        let told = std::mem::take(&mut self.told);
        for t in &told {
            let d = &t.deviation;
            assert!(
                !d.why.is_empty() && !d.expected.is_empty() && !d.observed.is_empty() && !d.dedup.is_empty(),
                "{d:?}"
            );
            if let Some(member) = &d.member {
                line::read_key(member).unwrap_or_else(|e| panic!("{member}: {e}"));
            }
        }
        told.into_iter().map(|t| t.deviation).filter(|d| d.phase == Phase::New).map(|d| d.kind).collect()
    }
}

#[test]
fn what_was_learned_is_quiet() {
    let mut net = Net::learned();
    assert_eq!(net.watch.baseline().state, State::Locked);
    net.usual(2_000);
    assert_eq!(net.kinds(), []);
}

#[test]
fn members_are_told_once() {
    let mut net = Net::learned();
    net.usual(2);
    net.act(WRITE, 1);
    assert_eq!(net.kinds(), [Kind::FirstWrite], "at once");
    net.act(Do { function: 17, class: Class::Control, changing: true, ..READ }, 1);
    net.act(Do { function: 8, class: Class::Diagnostic, ..READ }, 1);
    net.act(Do { unit: 9, ..READ }, 1);
    net.act(Do { function: 3 | 1 << 31 | 2 << 24, ..ANSWER }, 1);
    net.act(Do { from: 0x0A00_0063, ..READ }, 1);
    net.usual(3);
    let kinds = net.kinds();
    assert_eq!(
        kinds,
        [Kind::ControlNew, Kind::FunctionNew, Kind::UnitNew, Kind::FirstError, Kind::AssetNew, Kind::TalkNew]
    );
    // The same again: nobody is told twice.
    net.act(WRITE, 1);
    net.act(Do { from: 0x0A00_0063, ..READ }, 1);
    net.usual(10);
    assert_eq!(net.kinds(), []);
    // Back after more than ten quiet minutes: told as going on.
    net.usual(70);
    net.act(WRITE, 1);
    net.look();
    let phases: Vec<_> = net.told.iter().map(|t| (t.deviation.kind, t.deviation.phase)).collect();
    assert_eq!(phases, [(Kind::FirstWrite, Phase::Update)]);
}

#[test]
fn accepted_is_normal_and_refused_is_told() {
    let mut net = Net::learned();
    net.act(WRITE, 1);
    net.look();
    let member = net.told[0].deviation.member.clone().expect("a member");
    net.kinds();
    lifecycle::decide(net.watch.baseline_mut(), &member, Status::Accepted).unwrap();
    net.usual(70);
    net.act(WRITE, 1);
    net.look();
    assert_eq!(net.kinds(), []);
    lifecycle::decide(net.watch.baseline_mut(), &member, Status::Rejected).unwrap();
    net.usual(70);
    net.act(WRITE, 1);
    net.look();
    assert_eq!(net.kinds(), [Kind::RejectedBack]);
}

#[test]
fn bindings_places_and_addresses() {
    let mut net = Net::learned();
    net.usual(1);
    net.macs.insert(HMI, 0x0666_0000_0001);
    net.usual(1);
    assert!(net.kinds().contains(&Kind::BindingChanged));
    net.macs.clear();
    net.usual(2);
    assert_eq!(net.kinds(), [], "back to what is known");
    net.macs.insert(0x0A00_0007, mac(PLC));
    net.probe(0x0A00_0007, HMI, PROBE_ARP_REQUEST, 0);
    net.look();
    assert_eq!(net.kinds(), [Kind::AddressAdded]);
}

#[test]
fn windows_and_flags() {
    let mut net = Net::learned();
    net.usual(1);
    net.act(Do { window: (100, 104), ..READ }, 1);
    net.look();
    // Half a day more than one was learned: the window counts.
    assert_eq!(net.kinds(), [Kind::WindowWidened]);
    for (flag, kind) in [
        (flags::MALFORMED, Kind::Malformed),
        (flags::LENGTH_LIE, Kind::LengthLie),
        (flags::OVERLAP, Kind::Overlap),
        (flags::FRAGMENT, Kind::Fragmented),
        (flags::PIPELINED, Kind::Pipelined),
        (flags::SIMULATION, Kind::Simulation),
        (flags::WALK_LIMIT, Kind::WalkLimit),
        (flags::TRAILING, Kind::Trailing),
        (flags::PORT_MISMATCH, Kind::ForeignPort),
        (flags::SENDER_CHANGED, Kind::BindingChanged),
    ] {
        net.usual_with(flag);
        assert_eq!(net.kinds(), [kind]);
        net.usual_with(flag | flags::RETRANSMISSION | flags::GAP);
        assert_eq!(net.kinds(), [], "{kind:?} once, and repetitions are none");
    }
}

#[test]
fn searches_are_told_and_polls_are_not() {
    let mut net = Net::learned();
    net.usual(2);
    let thief = 0x0A00_0063;
    for n in 0..25 {
        net.probe(thief, 0x0A00_0100 + n, PROBE_ARP_REQUEST, 0);
    }
    net.look();
    assert_eq!(net.kinds(), [Kind::AssetNew, Kind::ArpSweep]);
    for n in 0..25 {
        net.probe(thief, PLC, PROBE_SYN, 1_000 + n);
    }
    net.look();
    assert_eq!(net.kinds(), [Kind::PortSweep]);
    for unit in 2..20 {
        net.act(Do { unit, ..READ }, 1);
    }
    net.usual(1);
    let units = net.kinds();
    assert!(
        units.contains(&Kind::UnitSweep) && units.iter().filter(|k| **k == Kind::UnitNew).count() <= 7,
        "{units:?}"
    );
    for function in 40..60 {
        net.act(Do { function, ..READ }, 1);
    }
    net.usual(1);
    assert!(net.kinds().contains(&Kind::FunctionSweep));
    // A poller that asks those it knows.
    for _ in 0..50 {
        net.probe(HMI, PLC, PROBE_ARP_REQUEST, 0);
        net.probe(HMI, PLC, PROBE_SYN, 502);
        net.usual(1);
    }
    assert_eq!(net.kinds(), []);
    // One new address every ten minutes is a slow one.
    for n in 0..40 {
        net.probe(thief + 1, 0x0A00_0200 + n, PROBE_ARP_REQUEST, 0);
        net.usual(60);
    }
    assert_eq!(net.kinds(), [Kind::AssetNew, Kind::SlowSweep]);
    for _ in 0..2_000 {
        net.probe(thief + 2, PLC, PROBE_SYN, 502);
    }
    net.look();
    assert!(net.kinds().contains(&Kind::Flood));
}

#[test]
fn shares_of_answers_errors_and_functions() {
    let mut net = Net::new();
    let other = Do { function: 4, ..READ };
    let other_answer = Do { function: 4, ..ANSWER };
    let cycle = |net: &mut Net, a: u64, b: u64, answers: u64| {
        net.act(READ, a);
        net.act(other, b);
        net.act(ANSWER, answers * a / 10);
        net.act(other_answer, answers * b / 10);
        net.look();
    };
    for _ in 0..9_500 {
        cycle(&mut net, 10, 10, 10);
    }
    net.lock();
    for _ in 0..400 {
        cycle(&mut net, 10, 10, 10);
    }
    assert_eq!(net.kinds(), []);
    for _ in 0..40 {
        cycle(&mut net, 10, 10, 5);
    }
    let kinds = net.kinds();
    assert!(kinds.contains(&Kind::Unanswered), "{kinds:?}");
    for _ in 0..120 {
        cycle(&mut net, 10, 10, 10);
    }
    net.kinds();
    for _ in 0..40 {
        cycle(&mut net, 10, 10, 15);
    }
    let kinds = net.kinds();
    assert!(kinds.contains(&Kind::AnswersUnasked), "{kinds:?}");
    for _ in 0..120 {
        cycle(&mut net, 10, 10, 10);
    }
    net.kinds();
    for _ in 0..80 {
        cycle(&mut net, 14, 6, 10);
    }
    let kinds = net.kinds();
    assert!(kinds.contains(&Kind::FunctionMix), "{kinds:?}");
}

#[test]
fn silence_is_told_and_explained_by_its_cause() {
    let mut net = Net::new();
    // Two controllers that answer, and one more thing on the port.
    let second = 0x0A00_0003;
    let all = |net: &mut Net, plc: bool| {
        net.act(READ, 10);
        net.act(Do { to: second, ..READ }, 10);
        net.act(Do { from: second, ..ANSWER }, 10);
        if plc {
            net.act(ANSWER, 10);
            net.act(Do { function: 4, ..ANSWER }, 10);
        }
        net.look();
    };
    for _ in 0..13_000 {
        all(&mut net, true);
    }
    net.lock();
    for _ in 0..100 {
        all(&mut net, true);
    }
    assert_eq!(net.kinds(), []);
    for _ in 0..10 {
        all(&mut net, false);
    }
    let kinds = net.kinds();
    assert!(kinds.contains(&Kind::AssetSilent) && !kinds.contains(&Kind::Silence), "{kinds:?}");
    // A port without any frame is the sensor's matter.
    for _ in 0..10 {
        net.look();
    }
    assert_eq!(net.kinds(), [Kind::NoFrames]);
    for _ in 0..30 {
        all(&mut net, true);
    }
    assert_eq!(net.kinds(), [], "frames are back, and no silence is made up");
}

#[test]
fn the_sensor_tells_of_itself() {
    let mut net = Net::learned();
    net.usual(5);
    net.port.overflow_ops += 5;
    net.usual(1);
    net.port.ring_full += 5;
    net.usual(1);
    assert_eq!(net.kinds(), [Kind::MapFull, Kind::RecordsLost]);
    for _ in 0..70 {
        net.port.outcomes[Outcome::Retransmission as usize] += 12;
        net.port.frames += 12;
        net.usual(1);
    }
    assert_eq!(net.kinds(), [Kind::Duplicates]);
    for _ in 0..70 {
        net.port.outcomes[Outcome::Unparsed as usize] += 30;
        net.port.frames += 30;
        net.usual(1);
    }
    assert_eq!(net.kinds(), [Kind::UnparsedShare]);
    // Answers are missing on both conversations: the mirror shows one direction.
    let clock = Clock { offset_ns: 5 * S as i64 };
    let snapshot = Snapshot { at_ns: net.now + 1, ..Snapshot::default() };
    net.watch.look(&snapshot, &[], &clock, &mut net.told);
    assert_eq!(net.kinds(), [Kind::ClockStep]);
}

#[test]
fn half_of_a_mirror_is_told() {
    let mut net = Net::new();
    let second = 0x0A00_0003;
    let round = |net: &mut Net, answers: bool| {
        net.act(READ, 10);
        net.act(Do { to: second, ..READ }, 10);
        if answers {
            net.act(ANSWER, 10);
            net.act(Do { from: second, ..ANSWER }, 10);
        }
        net.look();
    };
    for _ in 0..100 {
        round(&mut net, true);
    }
    assert_eq!(net.kinds(), []);
    net.lock();
    for _ in 0..70 {
        round(&mut net, false);
    }
    assert!(net.kinds().contains(&Kind::HalfVisible));
}

#[test]
fn a_command_at_an_unusual_hour() {
    let mut net = Net::new();
    // Three weeks, a write each day at ten.
    for hour in 0..21 * 24 {
        if hour % 24 == 10 {
            net.act(WRITE, 3);
        }
        net.usual(1);
        net.now += 3_590 * S;
    }
    net.lock();
    for hour in 0..24 {
        if hour == 10 {
            net.act(WRITE, 1);
        }
        net.usual(1);
        net.now += 3_590 * S;
    }
    assert_eq!(net.kinds(), []);
    net.now += 3 * 3_600 * S;
    net.act(WRITE, 1);
    net.usual(1);
    assert_eq!(net.kinds(), [Kind::UnusualHour]);
}

#[test]
fn incidents_are_bounded() {
    let mut net = Net::learned();
    net.usual(1);
    for n in 0..200 {
        net.act(Do { from: 0x0A00_1000 + n, ..READ }, 1);
    }
    net.usual(10);
    let told = net.told.len();
    assert!(told < 120, "{told}");
    assert!(net.kinds().contains(&Kind::IncidentsLimited));
}

#[test]
fn the_catalogue_is_consistent() {
    let mut seen = std::collections::BTreeSet::new();
    for k in Kind::ALL {
        assert!(seen.insert(k.id()) && seen.insert(k.word()), "{k:?} shares an id or a word");
        assert!(k.word().starts_with("ot-") && k.id().starts_with("OTX-") && k.meaning().ends_with('.'));
        assert!(!k.next().is_empty());
    }
}
