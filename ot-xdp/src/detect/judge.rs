//! Members: from what was seen to what is told.

use std::collections::HashMap;
use std::sync::Arc;

use ot_xdp_common::op::{Class, Dir};
use ot_xdp_common::proto::Proto;
use ot_xdp_common::wire::{PROBE_ARP_REPLY, PROBE_ARP_REQUEST, PROBE_SYN, ProbeKey, ProbeValue};

use super::catalog::Kind;
use super::deviation::{Deviation, Known, Operation, Phase, Subject};
use super::membership::{self, Ends};
use super::sweep::{BUSY, Sweep, Tried};
use super::told::Told;
use super::watch::{Watch, wall_s};
use super::{sanity, say, zones};
use crate::aggregate::{Clock, End};
use crate::baseline::learn::{Meeting, MeetingNews, Sighting, is_exception, is_industrial};
use crate::baseline::{Mark, Station, Status, Talk, TalkKey, line};
use crate::source::Snapshot;

/// Time of learning in which everything is new and no search.
const SETTLING_S: u32 = 3_600;

impl Watch {
    fn interface(&self, ifindex: u32) -> Arc<str> {
        self.names.get(&ifindex).cloned().unwrap_or_else(|| format!("if{ifindex}").into())
    }

    fn status_of_new(&self) -> Status {
        if self.court.judging { Status::Pending } else { Status::Seen }
    }

    /// A station was heard.
    pub(super) fn sight(&mut self, s: &Sighting<'_>, at_ns: u64, ifindex: u32, out: &mut Vec<Told>) {
        if s.station.is_group() || s.mac == [0; 6] {
            return;
        }
        let status = self.status_of_new();
        let news = self.baseline.sight(s, status);
        let speakers = self.by_mac.entry(s.mac).or_default();
        let mut found = Vec::new();
        let others: Vec<Station> = speakers.iter().copied().filter(|o| matches!(o, Station::Ip(_))).collect();
        membership::of_sighting(&self.court, s, &news, &others, at_ns, ifindex, &mut found);
        if !speakers.contains(&s.station) {
            speakers.push(s.station);
        }
        found.into_iter().for_each(|d| self.desk.submit(d, out));
    }

    /// An operation was seen.
    pub(super) fn meet(&mut self, m: &Meeting, ifindex: u32, out: &mut Vec<Told>) {
        let interface = self.interface(ifindex);
        let (station, mac) = m.sender();
        let sighting =
            Sighting { station, mac, interface: &interface, vlan: m.talk.vlan, wall_s: m.wall_s, count: m.count };
        self.sight(&sighting, m.at_ns, ifindex, out);
        let status = self.status_of_new();
        let news = self.baseline.meet(m, status);
        let industrial = is_industrial(&m.op);
        let client = m.talk.client();
        let role = self.roles.get(&client).copied().unwrap_or(0);
        let ends = Ends { client_was_server: role == 2, binding_pending: false };
        let mut found = Vec::new();
        membership::of_meeting(&self.court, m, &news, ends, Some((ifindex, Arc::clone(&interface))), &mut found);
        if industrial && !m.talk.server().is_group() && !self.court.judging {
            *self.roles.entry(client).or_default() |= 1;
            *self.roles.entry(m.talk.server()).or_default() |= 2;
        }
        for (kind, word) in sanity::kinds(news.flags, industrial, self.court.judging) {
            // On a conversation that is told as new, habits of its own are no further news.
            if kind == Kind::Pipelined && news.talk.is_new() {
                continue;
            }
            let (proto, to) = (say::protocol(m.op.proto), say::other(m));
            let why = if kind == Kind::BindingChanged {
                format!(
                    "frames of {station} to {to} ({proto}) come from different hardware addresses, one among the other"
                )
            } else {
                format!("{station} sends {proto} to {to} with `{word}`; this pair never did")
            };
            found.push(self.of_talk(kind, m, Some((ifindex, Arc::clone(&interface))), word.to_owned(), why));
        }
        self.searches(m, &news, &mut found);
        self.cross(m, &news, ifindex, &interface, &mut found);
        found.into_iter().for_each(|d| self.desk.submit(d, out));
    }

    fn of_talk(
        &self,
        kind: Kind,
        m: &Meeting,
        interface: Option<(u32, Arc<str>)>,
        observed: String,
        why: String,
    ) -> Deviation {
        Deviation {
            kind,
            steps: 0,
            phase: Phase::New,
            at_ns: m.at_ns,
            interface,
            subject: Subject::Talk { key: m.talk, client: m.client, server: m.server, protocol: m.op.proto },
            operation: Some(Operation {
                proto: m.op.proto,
                function: m.op.function,
                unit: m.op.unit,
                class: m.op.class(),
                state_changing: m.op.state_changing(),
                dir: m.op.dir,
                from_client: m.op.from_client,
            }),
            member: Some(line::talk_key(&m.talk)),
            expected: "never on this conversation".to_owned(),
            observed,
            threshold: None,
            score: None,
            window_ns: None,
            evidence: Vec::new(),
            known: Known::default(),
            dedup: String::new(),
            source: Some(m.sender().0),
            members: 1,
            count: u64::from(m.count.max(1)),
            why,
            zones: None,
        }
    }

    /// What a search would try: only what is new of it counts.
    fn searches(&mut self, m: &Meeting, news: &MeetingNews, found: &mut Vec<Deviation>) {
        if !m.op.from_client || (!self.court.judging && self.baseline.observed_s < SETTLING_S) {
            return;
        }
        let (source, server) = (m.talk.client(), m.talk.server());
        if server.is_group() && news.talk.is_new() {
            return;
        }
        let op = &m.op;
        let mut tried = Vec::new();
        if news.talk.is_new() {
            tried.extend([Tried::Address(server), Tried::Port(server, m.talk.port)]);
        }
        if news.op.is_new() && is_industrial(op) {
            if news.unit {
                tried.push(Tried::Unit(server, op.proto, op.unit));
            }
            if news.function && !is_exception(op.proto, op.function) {
                tried.push(Tried::Function(server, op.proto, op.function));
            }
            if op.class() == Class::Discovery && op.dir == Dir::Request && news.talk.is_new() {
                tried.push(Tried::Discovery(server));
            }
        }
        for t in tried {
            if let Some(sweep) = self.sweeps.see(source, t, m.at_ns) {
                found.push(of_sweep(&sweep, m.at_ns, m.client, None));
            }
        }
    }

    fn cross(
        &mut self,
        m: &Meeting,
        news: &MeetingNews,
        ifindex: u32,
        interface: &Arc<str>,
        found: &mut Vec<Deviation>,
    ) {
        // What crosses is told once a conversation and kind; only what is new can cross anew.
        if !news.op.is_new() {
            return;
        }
        let (client, server) = (m.talk.client(), m.talk.server());
        let zone = |s: &Station, end: End| {
            let i = if m.op.from_client == (*s == client) { ifindex } else { 0 };
            self.zones.as_ref().and_then(|z| z.zone(s, &end.mac(), i, m.talk.vlan))
        };
        let (from, to) = (zone(&client, m.client), zone(&server, m.server));
        for (kind, why) in zones::kinds(m, from.as_ref(), to.as_ref()) {
            if !self.crossed.insert((m.talk, kind)) {
                continue;
            }
            let what = say::function(m.op.proto, m.op.function);
            let why = format!("{why} ({what})");
            let mut d = self.of_talk(kind, m, Some((ifindex, Arc::clone(interface))), what, why);
            d.expected = "no such way between these zones".to_owned();
            if let (Some(a), Some(b)) = (&from, &to) {
                d.zones = Some((Arc::clone(&a.name), Arc::clone(&b.name)));
            }
            found.push(d);
        }
    }

    /// Who asks the network for whom, and who tries to connect: stations that no operation shows, and searches.
    pub(super) fn look_at_probes(&mut self, snapshot: &Snapshot, clock: &Clock, out: &mut Vec<Told>) {
        let mut moved: Vec<_> = snapshot
            .probes
            .iter()
            .filter_map(|(key, value)| {
                let before = self.probes.get(key).copied().unwrap_or(0);
                // An entry that was pushed out and came again counts from one.
                let new = if value.count >= before { value.count - before } else { value.count };
                // What is new is told with the time of its first frame.
                let at_ns = if before == 0 { value.first_ns } else { value.last_ns };
                (new != 0).then_some((*key, ProbeValue { last_ns: at_ns, ..*value }, new))
            })
            .collect();
        moved.sort_unstable_by_key(|(key, value, _)| (value.last_ns, *key));
        if self.probes.len() > 4 * snapshot.probes.len().max(1_024) {
            self.probes.clear();
        }
        let mut attempts: HashMap<Station, u64> = HashMap::new();
        // Many new ones in one look are a search, from the first one on.
        let mut fresh: HashMap<[u32; 4], usize> = HashMap::new();
        for (key, ..) in moved.iter().filter(|(key, ..)| key.kind == PROBE_SYN && !self.probes.contains_key(key)) {
            *fresh.entry(key.src).or_default() += 1;
        }
        for (key, value, new) in moved {
            self.probes.insert(key, value.count);
            let source = Station::from_words(key.src, ot_xdp_common::frame::TCP);
            let target = Station::from_words(key.dst, ot_xdp_common::frame::TCP);
            let interface = self.interface(key.ifindex);
            let s = Sighting {
                station: source,
                mac: End(value.src_end).mac(),
                interface: &interface,
                vlan: key.vlan(),
                wall_s: wall_s(clock, value.last_ns),
                count: u32::try_from(new).unwrap_or(u32::MAX),
            };
            self.sight(&s, value.last_ns, key.ifindex, out);
            *attempts.entry(source).or_default() += new;
            if key.kind == PROBE_SYN && fresh.get(&key.src).is_none_or(|n| *n <= BUSY) {
                self.attempt(source, target, &key, &value, &interface, clock, out);
            }
            if target.is_group() || (!self.court.judging && self.baseline.observed_s < SETTLING_S) {
                continue;
            }
            let tried = match key.kind {
                // A station that is there is no find; asking for those that are not is what a search does.
                PROBE_ARP_REQUEST if !self.is_normal(&target) => vec![Tried::Arp(target)],
                PROBE_SYN if !self.is_service(&source, &target, &key) => {
                    vec![Tried::Address(target), Tried::Port(target, key.port())]
                }
                PROBE_ARP_REPLY => Vec::new(),
                _ => Vec::new(),
            };
            for t in tried {
                if let Some(sweep) = self.sweeps.see(source, t, value.last_ns) {
                    let d = of_sweep(
                        &sweep,
                        value.last_ns,
                        End(value.src_end),
                        Some((key.ifindex, Arc::clone(&interface))),
                    );
                    self.desk.submit(d, out);
                }
            }
        }
        for (source, n) in attempts {
            if self.sweeps.attempts(source, n) {
                let d = flood(source, n, snapshot.at_ns);
                self.desk.submit(d, out);
            }
        }
    }

    /// An attempt to connect is the first frame of a conversation: a service that nobody recognises shows only by it.
    #[allow(clippy::too_many_arguments, reason = "each of them is a fact of the frame")]
    fn attempt(
        &mut self,
        source: Station,
        target: Station,
        key: &ProbeKey,
        value: &ProbeValue,
        interface: &Arc<str>,
        clock: &Clock,
        out: &mut Vec<Told>,
    ) {
        let talk = service_of(&source, &target, key);
        let wall_s = wall_s(clock, value.last_ns);
        if let Some(known) = self.baseline.talks.get_mut(&talk) {
            if known.ops.is_empty() {
                known.mark.see(wall_s, 1);
            }
            return;
        }
        // What a search tries is told as a search, and must not fill the memory.
        if self.sweeps.is_busy(source) || target.is_group() {
            return;
        }
        let status = self.status_of_new();
        self.baseline.talks.insert(talk, Talk { mark: Mark::new(wall_s, status), ..Talk::default() });
        if !self.court.judging {
            return;
        }
        let plant = Proto::ALL.iter().any(|p| p.is_root() && p.name() != "it" && p.binding().tcp.contains(&talk.port));
        let mut d = sensor(Kind::TalkNew, value.last_ns);
        d.steps = if plant { 0 } else { -1 };
        d.interface = Some((key.ifindex, Arc::clone(interface)));
        d.subject = Subject::Talk { key: talk, client: End(value.src_end), server: End::default(), protocol: 0 };
        d.member = Some(line::talk_key(&talk));
        d.source = Some(source);
        d.expected = "known conversations only".to_owned();
        d.observed = format!("an attempt to connect to tcp/{}", talk.port);
        d.why = format!("{source} tries to connect to {target} port {}; it never did", talk.port);
        self.desk.submit(d, out);
    }

    fn is_normal(&self, s: &Station) -> bool {
        self.baseline.assets.get(s).is_some_and(|a| !matches!(a.mark, Mark { status: Status::Pending, late: true, .. }))
    }

    fn is_service(&self, a: &Station, b: &Station, key: &ProbeKey) -> bool {
        self.baseline.talks.get(&service_of(a, b, key)).is_some_and(|t| !t.mark.late)
    }
}

fn service_of(client: &Station, server: &Station, key: &ProbeKey) -> TalkKey {
    TalkKey {
        client: line::words(*client),
        server: line::words(*server),
        vlan: key.vlan(),
        port: key.port(),
        l4: ot_xdp_common::frame::TCP,
    }
}

fn of_sweep(s: &Sweep, at_ns: u64, end: End, interface: Option<(u32, Arc<str>)>) -> Deviation {
    let (what, example) = match s.example {
        Tried::Arp(t) => ("addresses by ARP", t.to_string()),
        Tried::Address(t) => ("stations", t.to_string()),
        Tried::Port(t, p) => ("ports", format!("{t} port {p}")),
        Tried::Unit(t, p, u) => ("units", format!("{t} {} unit {u}", say::protocol(p))),
        Tried::Function(t, p, f) => ("functions", format!("{t} {}", say::function(p, f))),
        Tried::Discovery(t) => ("devices for what they are", t.to_string()),
    };
    let time = say::time(s.within_ns);
    let mut d = sensor(s.kind, at_ns);
    d.phase = if s.grown { Phase::Update } else { Phase::New };
    d.interface = interface;
    d.subject = Subject::Asset { station: s.source, mac: end.mac() };
    d.source = Some(s.source);
    d.expected = "only what it usually asks for".to_owned();
    d.observed = format!("{} new {what} in {time}", s.tried);
    d.threshold = Some(s.threshold.to_string());
    d.score = Some(s.tried as f64 / s.threshold.max(1) as f64);
    d.count = s.tried as u64;
    d.why = format!("{} tries {} {what} in {time} that it never used, last {example}", s.source, s.tried);
    d
}

fn flood(source: Station, n: u64, at_ns: u64) -> Deviation {
    let mut d = sensor(Kind::Flood, at_ns);
    d.subject = Subject::Asset { station: source, mac: [0; 6] };
    d.source = Some(source);
    d.expected = "a few attempts".to_owned();
    d.observed = format!("{n} attempts in one look");
    d.count = n;
    d.why = format!("{source} sends {n} connection attempts or address requests within ten seconds");
    d
}

/// A deviation of the sensor itself, to be filled.
pub(super) fn sensor(kind: Kind, at_ns: u64) -> Deviation {
    Deviation {
        kind,
        steps: 0,
        phase: Phase::New,
        at_ns,
        interface: None,
        subject: Subject::Sensor,
        operation: None,
        member: None,
        expected: String::new(),
        observed: String::new(),
        threshold: None,
        score: None,
        window_ns: None,
        evidence: Vec::new(),
        known: Known::default(),
        dedup: String::new(),
        source: None,
        members: 1,
        count: 1,
        why: String::new(),
        zones: None,
    }
}
