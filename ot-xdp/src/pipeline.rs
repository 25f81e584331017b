//! Connects the stages: snapshot, aggregate, event, sink. The only module that knows more than one.

pub mod keep;

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Instant;

use keep::Keeper;
use ot_xdp_common::proto::Proto;
use ot_xdp_common::wire::{FirstSeen, PortValue};

use crate::aggregate::{Aggregator, Delta};
use crate::detect::{Deviation, Told};
use crate::event::ecs::{self, Mode, Observer};
use crate::event::limit::Limiter;
use crate::event::{self, Alert, Attach, Emitted, Event, Sensor, Sequencer};
use crate::sink::Sink;
use crate::source::{Clock, PortId, Snapshot};
use crate::sys::clock::monotonic_ns;

/// What the pipeline is told at its start.
pub struct Settings {
    /// Name of the sensor in events.
    pub sensor: String,
    /// Watching or reading a capture.
    pub mode: Mode,
    /// Keys that the flow map can hold.
    pub flow_capacity: u32,
    /// Emit first-seen events.
    pub first_seen: bool,
    /// Octets of events a day, at most; a capture has no such bound.
    pub daily: Option<u64>,
    /// Emit flow summaries and health events.
    pub summaries: bool,
}

/// One run of the sensor or one capture.
pub struct Pipeline<S: Sink> {
    aggregator: Aggregator,
    sequencer: Sequencer,
    observer: Observer,
    clock: Clock,
    limiter: Option<Limiter>,
    sink: S,
    dropped_before: u64,
    settings: Settings,
    begin: Instant,
    totals: Totals,
    keeper: Option<Keeper>,
    deltas: Vec<Delta>,
    told: Vec<Told>,
}

/// What the summary at the end tells.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Last counters of each port, by name.
    pub ports: BTreeMap<String, PortValue>,
    /// Operations by protocol, class and direction.
    pub operations: BTreeMap<(&'static str, &'static str, &'static str), u64>,
    /// Every interval's accounting held.
    pub accounting_ok: bool,
    /// Events made.
    pub events: u64,
}

impl<S: Sink> Pipeline<S> {
    /// A pipeline into `sink`.
    pub fn new(settings: Settings, clock: Clock, sink: S) -> Pipeline<S> {
        let sequencer = Sequencer::new();
        let hostname = hostname();
        let observer = Observer {
            name: settings.sensor.clone(),
            hostname,
            serial_number: None,
            namespace: "default".to_owned(),
            boot_id: sequencer.boot_id(),
            mode: settings.mode,
        };
        let mut aggregator = Aggregator::new();
        // As many as the kernel can hold, and those that it may have dropped since the last read.
        aggregator.bound(2 * settings.flow_capacity.max(1) as usize);
        Pipeline {
            aggregator,
            sequencer,
            observer,
            clock,
            limiter: settings.daily.map(Limiter::new),
            sink,
            dropped_before: 0,
            settings,
            begin: Instant::now(),
            totals: Totals { accounting_ok: true, ..Totals::default() },
            keeper: None,
            deltas: Vec::new(),
            told: Vec::new(),
        }
    }

    /// Learns or judges from now on.
    pub fn watch(&mut self, keeper: Keeper) {
        self.keeper = Some(keeper);
    }

    /// The watch, when there is one.
    pub fn keeper(&mut self) -> Option<&mut Keeper> {
        self.keeper.as_mut()
    }

    /// The next capture begins: its counters begin anew, and what was learned stays.
    pub fn next_source(&mut self) {
        self.aggregator = Aggregator::new();
        if let Some(keeper) = &mut self.keeper {
            keeper.watch.restart();
        }
    }

    /// All counters, every ten seconds, for what judges cadence. Also handles the first-seen records of the snapshot.
    ///
    /// # Errors
    /// When the sink takes no more.
    pub fn look(&mut self, snapshot: &Snapshot) -> std::io::Result<()> {
        for (id, _) in &snapshot.ports {
            self.name_port(id);
        }
        self.first_seen(&snapshot.first_seen)?;
        self.follow_clock();
        let Some(keeper) = &mut self.keeper else { return Ok(()) };
        self.aggregator.look(snapshot, &mut self.deltas);
        keeper.watch.look(snapshot, &self.deltas, &self.clock, &mut self.told);
        self.tell()?;
        self.keep(snapshot.at_ns, false)?;
        self.sink.flush()
    }

    /// Writes the baseline when it is time, in any case with `last`.
    ///
    /// # Errors
    /// When the sink takes no more.
    pub fn keep(&mut self, now_ns: u64, last: bool) -> std::io::Result<()> {
        let Some(keeper) = &mut self.keeper else { return Ok(()) };
        if let Some(why) = keeper.keep(now_ns, last) {
            tracing::error!("{why}");
            self.told.push(Told::of_sensor(Deviation::unsaved(now_ns, why)));
            self.tell()?;
        }
        Ok(())
    }

    fn tell(&mut self) -> std::io::Result<()> {
        let Some(keeper) = &self.keeper else { return Ok(()) };
        let baseline = keeper.info();
        let wall_s = |at_ns| u32::try_from(self.clock.wall_ns(at_ns) / 1_000_000_000).unwrap_or(0);
        let open = self.told.first().and_then(|t| keeper.maintenance(wall_s(t.deviation.at_ns)));
        for told in std::mem::take(&mut self.told) {
            let member = told.deviation.member.clone();
            let dedup = told.deviation.dedup.clone();
            let event = Event::Deviation(Box::new(Alert { told, baseline, maintenance: open.clone() }));
            let id = self.emit(&event)?;
            if let (Some(keeper), Some(id)) = (&mut self.keeper, id) {
                keeper.remember(id, &dedup, member.as_ref());
            }
        }
        Ok(())
    }

    fn follow_clock(&mut self) {
        self.clock = match self.settings.mode {
            // The wall clock may be set while we run; stamps follow it.
            Mode::Monitor | Mode::Shadow | Mode::Enforce => Clock::now(),
            Mode::Replay => Clock::CAPTURE,
        };
    }

    /// Tells the name of an interface before its first snapshot.
    pub fn name_port(&mut self, id: &PortId) {
        self.aggregator.name_port(id);
        if let Some(keeper) = &mut self.keeper {
            keeper.watch.name_port(id.ifindex, &id.name.as_str().into());
        }
    }

    /// First-seen records, as soon as they are there.
    ///
    /// # Errors
    /// When the sink takes no more.
    pub fn first_seen(&mut self, records: &[FirstSeen]) -> std::io::Result<()> {
        for record in records {
            if let Some(keeper) = &mut self.keeper {
                let (conversation, from_client) = self.aggregator.meet(record);
                keeper.watch.record(record, &conversation, from_client, &self.clock, &mut self.told);
                self.tell()?;
            }
            if let Some(novelty) = self.aggregator.first_seen(record)
                && self.settings.first_seen
            {
                self.emit(&Event::FirstSeen(Box::new(novelty)))?;
            }
        }
        self.sink.flush()
    }

    /// A snapshot at the end of an interval: its novelties, conversations and ports.
    ///
    /// # Errors
    /// When the sink takes no more.
    pub fn interval(&mut self, snapshot: &Snapshot, attach: impl Fn(&str) -> Attach) -> std::io::Result<()> {
        self.follow_clock();
        let interval = self.aggregator.update(snapshot);
        self.totals.accounting_ok &= interval.ports.iter().all(|p| p.accounting.ok);
        for p in &interval.ports {
            self.totals.ports.insert(p.id.name.clone(), p.total);
        }
        for c in &interval.conversations {
            for f in &c.functions {
                let name = Proto::from_code(f.proto).map_or("unknown", Proto::name);
                let dir = f.dir.word().unwrap_or("unknown");
                *self.totals.operations.entry((name, f.class.word(), dir)).or_default() += f.operations;
            }
        }
        let sensor = Sensor {
            uptime_s: self.begin.elapsed().as_secs(),
            flow_capacity: u64::from(self.settings.flow_capacity),
            events_dropped: self.sink.dropped(),
            events_dropped_now: self.sink.dropped() - self.dropped_before,
        };
        self.dropped_before = self.sink.dropped();
        for e in event::of_interval(interval, sensor, |p| attach(&p.id.name)) {
            let wanted =
                if matches!(e, Event::FirstSeen(_)) { self.settings.first_seen } else { self.settings.summaries };
            if wanted {
                self.emit(&e)?;
            }
        }
        self.missing(snapshot.at_ns)?;
        self.sink.flush()
    }

    /// Tells which events were lost on their way, and which were not made.
    fn missing(&mut self, at_ns: u64) -> std::io::Result<()> {
        if let Some(limited) = self.limiter.as_mut().and_then(|l| l.take(at_ns)) {
            self.emit(&Event::Limited(Box::new(limited)))?;
        }
        for lost in self.sink.losses(at_ns) {
            self.emit(&Event::Lost(Box::new(lost)))?;
        }
        Ok(())
    }

    /// Counters that are older than this pipeline: reported are the keys that nobody has reported yet, and from now on
    /// what is more.
    ///
    /// # Errors
    /// When the sink takes no more.
    pub fn adopt(&mut self, snapshot: &Snapshot) -> std::io::Result<()> {
        self.first_seen(&snapshot.first_seen)?;
        self.aggregator.update(snapshot);
        Ok(())
    }

    /// What the gate has to tell, as soon as it is there.
    ///
    /// # Errors
    /// When the sink takes no more.
    pub fn gate(&mut self, events: Vec<Event>) -> std::io::Result<()> {
        for event in events {
            self.emit(&event)?;
        }
        self.sink.flush()
    }

    /// What the sensor does with frames from now on.
    pub fn set_mode(&mut self, mode: Mode) {
        self.settings.mode = mode;
        self.observer.mode = mode;
    }

    /// Hands an event on; its id, or none when it is over the daily volume.
    fn emit(&mut self, event: &Event) -> std::io::Result<Option<String>> {
        let share = match &mut self.limiter {
            Some(limiter) => match limiter.allows(event, monotonic_ns()) {
                Some(share) => Some(share),
                None => return Ok(None),
            },
            None => None,
        };
        let stamp = self.sequencer.next_stamp();
        let document = ecs::render(event, &stamp, &self.observer, &self.clock);
        let emitted = Emitted::new(document, stamp);
        if let (Some(limiter), Some(share)) = (&mut self.limiter, share) {
            limiter.charge(share, emitted.body(event::Format::Ecs).len());
        }
        self.sink.write(&emitted)?;
        self.totals.events = self.sequencer.emitted();
        Ok(Some(stamp.id.to_string()))
    }

    /// Events that the sink did not take.
    pub fn dropped(&self) -> u64 {
        self.sink.dropped()
    }

    /// The sink, for its end.
    pub fn sink(&mut self) -> &mut S {
        &mut self.sink
    }

    /// What was seen so far.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }
}

/// The host's name as the kernel tells it.
pub fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "localhost".to_owned(), |s| s.trim().to_owned())
}

/// A readable summary, for people.
///
/// # Errors
/// When it cannot be written.
pub fn summary(totals: &Totals, out: &mut dyn Write) -> std::io::Result<()> {
    use ot_xdp_common::reason::Outcome;
    writeln!(out, "\nframes by port and outcome")?;
    for (name, port) in &totals.ports {
        write!(out, "  {name:<12} {} frames, {} octets:", port.frames, port.bytes)?;
        for o in Outcome::ALL {
            let n = port.outcomes.get(*o as usize).copied().unwrap_or(0);
            if n != 0 {
                write!(out, " {} {n}", o.word())?;
            }
        }
        writeln!(out)?;
    }
    writeln!(out, "operations by protocol, class and direction")?;
    for ((protocol, class, dir), n) in &totals.operations {
        writeln!(out, "  {protocol:<12} {class:<18} {dir:<10} {n:>10}")?;
    }
    let books = if totals.accounting_ok { "the counters add up" } else { "the counters do NOT add up" };
    writeln!(out, "{} events; every frame is accounted for: {books}", totals.events)
}
