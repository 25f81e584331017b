//! The watch: takes records and looks in, keeps the baseline, and gives out what is told.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ot_xdp_common::wire::{FirstSeen, ProbeKey};

use super::catalog::Kind;
use super::membership::Court;
use super::sensor::{Blind, Sight};
use super::sweep::Sweeps;
use super::told::{Desk, Told};
use super::zones::Zones;
use crate::aggregate::{Clock, Conversation, Delta, End};
use crate::baseline::habit::{Look, Rules};
use crate::baseline::learn::Meeting;
use crate::baseline::rhythm::Limits;
use crate::baseline::{Baseline, OpKey, State, Station, TalkKey, lifecycle};
use crate::source::Snapshot;

/// Share of the weekly budget of one detector of cadence.
const SHARE: f64 = 0.125;
/// Quiet time after which a pending member that comes back is told again, seconds.
const AGAIN_S: u32 = 600;

/// How to watch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Tell what is not in the baseline; else learn it. A locked baseline always judges.
    pub judge: bool,
    /// What a key needs to be judged by its cadence.
    pub rules: Rules,
    /// False alarms a week that all detectors may make on a network that does not change.
    pub budget: f64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { judge: false, rules: Rules::default(), budget: 1.0 }
    }
}

/// Learns and judges.
pub struct Watch {
    pub(super) baseline: Baseline,
    pub(super) settings: Settings,
    pub(super) court: Court,
    pub(super) limits: Limits,
    pub(super) desk: Desk,
    pub(super) sweeps: Sweeps,
    pub(super) sight: Sight,
    pub(super) zones: Option<Box<dyn Zones>>,
    /// Conversations whose crossing was told.
    pub(super) crossed: HashSet<(TalkKey, Kind)>,
    /// Stations that speak from each hardware address.
    pub(super) by_mac: HashMap<[u8; 6], Vec<Station>>,
    /// Who asks (1) and who answers (2) in protocols of the plant.
    pub(super) roles: HashMap<Station, u8>,
    pub(super) probes: HashMap<ProbeKey, u64>,
    pub(super) names: HashMap<u32, Arc<str>>,
    pub(super) armed: HashMap<Station, u32>,
    /// Beginning of the running five minutes, and whether the mirror showed one side only in the last ones.
    pub(super) shares_ns: Option<u64>,
    pub(super) half: bool,
    last_look_ns: Option<u64>,
    frames: u64,
}

impl Watch {
    /// Goes on with a baseline, or begins one.
    pub fn new(mut baseline: Baseline, settings: Settings) -> Watch {
        let locked = baseline.state == State::Locked;
        let judging = settings.judge || locked;
        if judging {
            if !locked {
                lifecycle::promote(&mut baseline);
                lifecycle::settle(&mut baseline, &settings.rules);
            }
            lifecycle::each_mark(&mut baseline, |m| m.met = false);
        }
        let mut watch = Watch {
            court: Court { judging, locked, again_s: AGAIN_S },
            limits: Limits::new(1, SHARE),
            desk: Desk::default(),
            sweeps: Sweeps::default(),
            sight: Sight::default(),
            zones: None,
            crossed: HashSet::new(),
            by_mac: HashMap::new(),
            roles: HashMap::new(),
            probes: HashMap::new(),
            names: HashMap::new(),
            armed: HashMap::new(),
            shares_ns: None,
            half: false,
            last_look_ns: None,
            frames: 0,
            baseline,
            settings,
        };
        watch.index();
        watch
    }

    /// Where stations belong.
    pub fn set_zones(&mut self, zones: Box<dyn Zones>) {
        self.zones = Some(zones);
    }

    /// What it has learned.
    pub fn baseline(&self) -> &Baseline {
        &self.baseline
    }

    /// The same, to be changed by a decision; call [`Self::decided`] after it.
    pub fn baseline_mut(&mut self) -> &mut Baseline {
        &mut self.baseline
    }

    /// A person has decided: what follows from the baseline is made anew.
    pub fn decided(&mut self) {
        let locked = self.baseline.state == State::Locked;
        self.court.locked = locked;
        self.court.judging = self.settings.judge || locked;
        self.index();
    }

    /// Does it tell what is not in the baseline?
    pub fn is_judging(&self) -> bool {
        self.court.judging
    }

    /// The counters begin anew (the next capture, a program that was loaded again), or time passed unseen.
    pub fn restart(&mut self) {
        (self.last_look_ns, self.shares_ns) = (None, None);
        self.frames = 0;
        self.probes.clear();
        for op in self.baseline.talks.values_mut().flat_map(|t| t.ops.values_mut()) {
            if let Some(learning) = &mut op.learning {
                learning.restart();
            }
            op.rhythm.restart(0);
        }
    }

    /// Name of an interface.
    pub fn name_port(&mut self, ifindex: u32, name: &Arc<str>) {
        self.names.insert(ifindex, Arc::clone(name));
    }

    fn index(&mut self) {
        self.by_mac.clear();
        self.roles.clear();
        self.armed.clear();
        for (station, asset) in &self.baseline.assets {
            for (mac, _) in &asset.macs {
                self.by_mac.entry(*mac).or_default().push(*station);
            }
        }
        let (mut rates, mut armed) = (0, 0);
        for (key, talk) in &self.baseline.talks {
            for (op, state) in &talk.ops {
                if crate::baseline::learn::is_industrial(op) && !key.server().is_group() {
                    *self.roles.entry(key.client()).or_default() |= 1;
                    *self.roles.entry(key.server()).or_default() |= 2;
                }
                let Some(habit) = &state.habit else { continue };
                rates += usize::from(habit.rate);
                armed += usize::from(habit.silence);
                if habit.silence {
                    let sender = if op.from_client { key.client() } else { key.server() };
                    *self.armed.entry(sender).or_default() += 1;
                }
            }
        }
        tracing::debug!("{armed} keys have a silence detector, {rates} a rate");
        self.limits = Limits::new(rates, SHARE * self.settings.budget);
    }

    /// A key that was counted for the first time, as soon as it is known.
    pub fn record(&mut self, r: &FirstSeen, c: &Conversation, from_client: bool, clock: &Clock, out: &mut Vec<Told>) {
        let op = op_key(r, from_client);
        let (src, dst) = (End(r.src_end), End(r.dst_end));
        let (client, server) = if from_client { (src, dst) } else { (dst, src) };
        let last = r.addr.saturating_add(r.span.saturating_sub(1));
        let m = Meeting {
            talk: TalkKey::of(c),
            client,
            server,
            op,
            window: (r.addr, last),
            flags: r.flags,
            at_ns: r.at_ns,
            wall_s: wall_s(clock, r.at_ns),
            count: 0,
        };
        self.meet(&m, r.key.ifindex, out);
    }

    /// All counters, every ten seconds.
    pub fn look(&mut self, snapshot: &Snapshot, deltas: &[Delta], clock: &Clock, out: &mut Vec<Told>) {
        let now = snapshot.at_ns;
        let from_ns = self.last_look_ns.replace(now);
        let wall = wall_s(clock, now);
        let look = Look { from_ns: from_ns.unwrap_or(now), to_ns: now, wall_s: i64::from(wall) };
        self.span(&look, wall);
        self.sensor(snapshot, clock, out);
        let frames: u64 = snapshot.ports.iter().map(|(_, p)| p.frames).sum();
        // Without a single frame it is the sensor's sight that is in question, not the stations.
        let is_dark = frames == self.frames && !snapshot.ports.is_empty();
        self.frames = frames;
        for d in deltas {
            let Some((key, value)) = snapshot.flows.get(d.index as usize) else { continue };
            let record = FirstSeen { key: *key, ..FirstSeen::default() };
            let op = op_key(&record, d.from_client);
            let (src, dst) = (End(value.src_end), End(value.dst_end));
            let (client, server) = if d.from_client { (src, dst) } else { (dst, src) };
            let m = Meeting {
                talk: TalkKey::of(&d.conversation),
                client,
                server,
                op,
                window: (value.addr_min, value.addr_max),
                flags: value.flags,
                at_ns: value.last_ns,
                wall_s: wall_s(clock, value.last_ns),
                count: u32::try_from(d.operations).unwrap_or(u32::MAX),
            };
            if let Some(d) = self.unusual_hour(&m, key.ifindex) {
                self.desk.submit(d, out);
            }
            self.meet(&m, key.ifindex, out);
            self.count(&m, key.ifindex, value, &look);
        }
        self.look_at_probes(snapshot, clock, out);
        if from_ns.is_some() && !is_dark {
            self.look_at_time(&look, out);
            self.look_at_shares(now, out);
        }
        self.summaries(now, out);
    }

    fn sensor(&mut self, snapshot: &Snapshot, clock: &Clock, out: &mut Vec<Told>) {
        let mut found: Vec<Blind> = self.sight.clock(clock.offset_ns).into_iter().collect();
        let was_blind = self.sight.is_any_blind();
        for (id, value) in &snapshot.ports {
            self.names.entry(id.ifindex).or_insert_with(|| id.name.as_str().into());
            self.sight.port(id.ifindex, &id.name, value, snapshot.at_ns, &mut found);
        }
        // What was not seen is no gap of the stations.
        if was_blind && !self.sight.is_any_blind() {
            for op in self.baseline.talks.values_mut().flat_map(|t| t.ops.values_mut()) {
                op.rhythm.restart(snapshot.at_ns);
            }
        }
        for b in found {
            let mut d = super::judge::sensor(b.kind, snapshot.at_ns);
            (d.phase, d.expected, d.observed, d.why) = (b.phase, b.expected, b.observed, b.why);
            d.interface = self.names.get(&b.ifindex).map(|n| (b.ifindex, Arc::clone(n)));
            self.desk.submit(d, out);
        }
    }

    fn summaries(&mut self, now_ns: u64, out: &mut Vec<Told>) {
        if let Some(n) = self.desk.summary(now_ns) {
            let mut d = super::judge::sensor(Kind::IncidentsLimited, now_ns);
            d.members = n;
            d.expected = "at most 30 incidents an hour".to_owned();
            d.observed = format!("{n} more");
            d.why = format!("{n} further incidents within an hour were counted and not told one by one");
            out.push(Told { suppressed: n, ..Told::of_sensor(d) });
        }
    }

    fn span(&mut self, look: &Look, wall: u32) {
        let span = &mut self.baseline.span_s;
        if self.court.judging {
            return;
        }
        if span.0 == 0 || wall < span.0 {
            span.0 = wall;
        }
        span.1 = span.1.max(wall);
        if !look.is_pause() {
            self.baseline.observed_s += look.length_ms() / 1_000;
        }
    }
}

fn op_key(r: &FirstSeen, from_client: bool) -> OpKey {
    OpKey {
        function: r.key.function,
        unit: r.key.unit,
        proto: r.key.proto(),
        kind: r.key.kind().0,
        dir: r.key.dir(),
        from_client,
    }
}

/// Wall-clock seconds of a stamp.
pub(super) fn wall_s(clock: &Clock, at_ns: u64) -> u32 {
    u32::try_from(clock.wall_ns(at_ns) / 1_000_000_000).unwrap_or(0)
}
