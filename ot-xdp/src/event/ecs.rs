//! Rendering as Elastic Common Schema documents; every field it can write is in [`super::fields`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use jiff::Timestamp;
use ot_xdp_common::flags;
use ot_xdp_common::frame::{TCP, UDP};
use ot_xdp_common::op::{Class, Dir};
use ot_xdp_common::proto::Proto;
use ot_xdp_common::reason::Outcome;
use ot_xdp_common::wire::PortValue;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::attack::{self, Technique};
use super::names::Name;
use super::schema::class_key;
use super::{Event, FlowSummary, Health, SCHEMA_VERSION, Severity, Stamp, community_id};
use crate::aggregate::{Clock, Conversation, End, Function, Novelty};

/// Longest list of functions or units in one event; a scan must not make an event that no receiver takes.
const LIST_MAX: usize = 64;

/// What the sensor does with frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Watches an interface.
    Monitor,
    /// Judges, and passes everything.
    Shadow,
    /// Judges, and refuses.
    Enforce,
    /// Reads a capture.
    Replay,
}

/// Who observes: the same in every event of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observer {
    /// Name of the sensor.
    pub name: String,
    /// Host name.
    pub hostname: String,
    /// Serial number, when the site has given one.
    pub serial_number: Option<String>,
    /// Site or environment.
    pub namespace: String,
    /// Names this run, see [`super::Sequencer::boot_id`].
    pub boot_id: Uuid,
    /// What the sensor does with frames.
    pub mode: Mode,
}

/// An event as a JSON document. `clock` turns the source's stamps into wall time.
pub fn render(event: &Event, stamp: &Stamp, observer: &Observer, clock: &Clock) -> Value {
    let mut d = Doc { root: Map::new(), clock };
    d.common(stamp, observer);
    match event {
        Event::Flow(e) => d.flow(e),
        Event::FirstSeen(e) => d.first_seen(e),
        Event::Health(e) => d.health(e, stamp),
        Event::Refusal(e) => d.refusal(e),
        Event::Audit(e) => d.audit(e),
        Event::Lost(e) => d.lost(e),
        Event::Limited(e) => d.limited(e),
        Event::Deviation(e) => d.deviation(e),
    }
    Value::Object(d.root)
}

/// A document in the making.
pub(super) struct Doc<'a> {
    root: Map<String, Value>,
    clock: &'a Clock,
}

impl Doc<'_> {
    /// Sets the field with this dotted path.
    pub(super) fn put(&mut self, path: &str, value: impl Into<Value>) {
        put(&mut self.root, path, value.into());
    }

    /// Sets a field to the wall time of a stamp of the source.
    pub(super) fn put_time(&mut self, path: &str, stamp_ns: u64) {
        let text = time(i128::from(self.clock.wall_ns(stamp_ns)));
        self.put(path, text);
    }

    /// Sets a field to a second of the wall clock.
    pub(super) fn put_second(&mut self, path: &str, second: u32) {
        self.put(path, time(i128::from(second) * 1_000_000_000));
    }

    fn common(&mut self, stamp: &Stamp, observer: &Observer) {
        self.put("ecs.version", "9.4.0");
        self.put("data_stream.namespace", observer.namespace.as_str());
        self.put("event.module", "otxdp");
        self.put("event.provider", "otxdp-xdp");
        self.put("event.id", stamp.id.to_string());
        self.put("event.sequence", stamp.sequence);
        self.put("event.created", time(i128::from(stamp.created_ns)));
        self.put("observer.name", observer.name.as_str());
        self.put("observer.hostname", observer.hostname.as_str());
        self.put("observer.vendor", "ot-xdp");
        self.put("observer.product", "ot-xdp");
        self.put("observer.version", env!("CARGO_PKG_VERSION"));
        self.put("observer.type", "sensor");
        if let Some(serial) = &observer.serial_number {
            self.put("observer.serial_number", serial.as_str());
        }
        self.put("otxdp.schema", SCHEMA_VERSION);
        self.put("otxdp.sensor_boot_id", observer.boot_id.to_string());
        self.put(
            "otxdp.mode",
            match observer.mode {
                Mode::Monitor => "monitor",
                Mode::Shadow => "shadow",
                Mode::Enforce => "enforce",
                Mode::Replay => "replay",
            },
        );
    }

    /// Kind, action, data set and category of the event.
    pub(super) fn kind(&mut self, kind: &str, action: &str, dataset: &str, category: &str, types: &[&str]) {
        self.put("event.kind", kind);
        self.put("event.action", action);
        self.put("event.dataset", dataset);
        self.put("event.category", json!([category]));
        self.put("event.type", json!(types));
        self.put("data_stream.type", if kind == "metric" { "metrics" } else { "logs" });
        self.put("data_stream.dataset", dataset);
    }

    pub(super) fn interface(&mut self, name: &str, ifindex: u32) {
        self.put("observer.ingress.interface.name", name);
        self.put("observer.ingress.interface.id", ifindex.to_string());
    }

    fn interval(&mut self, (start, end): (u64, u64)) {
        self.put_time("otxdp.interval.start", start);
        self.put_time("otxdp.interval.end", end);
    }

    pub(super) fn conversation(&mut self, c: &Conversation, client: End, server: End, protocol: u8, flags: u32) {
        self.put("source.mac", mac(client));
        self.put("destination.mac", mac(server));
        self.put("network.protocol", protocol_name(protocol));
        if c.vlan != 0 {
            self.put("network.vlan.id", c.vlan.to_string());
        }
        self.put("otxdp.flags", flag_words(flags));
        let (Some(a), Some(b)) = (c.client_ip(), c.server_ip()) else { return };
        self.put("source.ip", a.to_string());
        self.put("source.address", a.to_string());
        self.put("source.port", client.port());
        self.put("destination.ip", b.to_string());
        self.put("destination.address", b.to_string());
        self.put("destination.port", server.port());
        self.put("network.type", if matches!(a, IpAddr::V4(_)) { "ipv4" } else { "ipv6" });
        match c.l4 {
            TCP => self.put("network.transport", "tcp"),
            UDP => self.put("network.transport", "udp"),
            _ => {}
        }
        self.put("network.iana_number", c.l4.to_string());
        let id = community_id::v1(community_id::DEFAULT_SEED, c.l4, (a, client.port()), (b, server.port()));
        self.put("network.community_id", id);
        self.put("related.ip", json!(BTreeSet::from([a.to_string(), b.to_string()])));
    }

    fn flow(&mut self, e: &FlowSummary) {
        let a = &e.activity;
        let ip = a.conversation.client_ip().is_some();
        let types: &[&str] = if ip { &["connection", "info"] } else { &["info"] };
        self.kind("event", "ot-flow-summary", "otxdp.flow", "network", types);
        self.put_time("@timestamp", a.end_ns);
        self.put_time("event.start", a.start_ns);
        self.put_time("event.end", a.end_ns);
        self.put("event.duration", a.end_ns.saturating_sub(a.start_ns));
        self.interface(&a.interface, a.conversation.ifindex);
        self.interval(e.interval_ns);
        self.conversation(&a.conversation, a.client, a.server, a.protocol, a.flags);
        if a.vlan_inner != 0 {
            self.put("network.inner.vlan.id", a.vlan_inner.to_string());
        }
        self.put("source.packets", a.sent.frames);
        self.put("source.bytes", a.sent.bytes);
        self.put("destination.packets", a.received.frames);
        self.put("destination.bytes", a.received.bytes);
        self.put("network.packets", a.sent.frames + a.received.frames);
        self.put("network.bytes", a.sent.bytes + a.received.bytes);
        self.put_time("otxdp.flow.first_seen", a.first_ns);
        let sum =
            |f: &dyn Fn(&Function) -> bool| a.functions.iter().filter(|x| f(x)).map(|x| x.operations).sum::<u64>();
        self.put("otxdp.flow.operations", sum(&|_| true));
        self.put("otxdp.flow.state_changing", sum(&|x| x.state_changing));
        self.functions(&a.functions);
    }

    fn functions(&mut self, functions: &[Function]) {
        let mut names = BTreeSet::new();
        let mut units = BTreeSet::new();
        let mut protocols = BTreeSet::new();
        let mut classes: BTreeMap<Class, ClassSummary> = BTreeMap::new();
        for f in functions {
            let name = Name::of(f.proto, f.function);
            classes.entry(f.class).or_default().add(f, &name);
            names.insert(name);
            units.insert(f.unit);
            protocols.insert(protocol_name(f.proto));
        }
        self.put("otxdp.protocols", json!(protocols));
        // Codes that share a path (sub-functions) are one line here and apart in their classes.
        let all: BTreeSet<_> = names.iter().map(|n| n.path.as_str()).collect();
        self.put("otxdp.functions", Value::from_iter(all.iter().take(LIST_MAX).copied()));
        self.put("otxdp.functions_total", all.len());
        self.put("otxdp.units", Value::from_iter(units.into_iter().take(LIST_MAX)));
        for (class, summary) in classes {
            self.put(&format!("otxdp.ops.{}", class_key(class)), summary.render());
        }
    }

    fn first_seen(&mut self, e: &Novelty) {
        let f = &e.function;
        let name = Name::of(f.proto, f.function);
        self.kind("event", "ot-first-seen-function", "otxdp.first_seen", "network", &["protocol", "info"]);
        self.put_time("@timestamp", e.at_ns);
        self.put("event.severity", Severity::of_first_seen(f.class, f.state_changing, f.dir) as u8);
        self.put("event.reason", reason(e, &name));
        self.interface(&e.interface, e.conversation.ifindex);
        self.conversation(&e.conversation, e.client, e.server, e.protocol, e.flags);
        self.put("otxdp.op.protocol", protocol_name(f.proto));
        self.put("otxdp.op.class", f.class.word());
        self.put("otxdp.op.state_changing", f.state_changing);
        self.put("otxdp.op.direction", f.dir.word().unwrap_or("unknown"));
        self.put("otxdp.op.sender", if e.from_client { "source" } else { "destination" });
        self.put("otxdp.op.function.path", name.path);
        self.put("otxdp.op.function.name", name.name);
        self.put("otxdp.op.unit", f.unit);
        self.put("otxdp.op.delayed", e.late);
        if e.address != 0 || e.span != 0 {
            self.put("otxdp.op.address.start", e.address);
            if e.span != 0 {
                self.put("otxdp.op.address.count", e.span);
            }
        }
        if f.dir != Dir::Response || f.state_changing {
            self.attack(attack::hints(f.class, f.state_changing));
        }
    }

    pub(super) fn attack(&mut self, hints: &[Technique]) {
        if hints.is_empty() {
            return;
        }
        let mut tactics: Vec<_> = hints.iter().map(|t| t.tactic).collect();
        tactics.dedup();
        self.put("threat.framework", "MITRE ATT&CK");
        self.put("threat.tactic.id", Value::from_iter(tactics.iter().map(|t| t.0)));
        self.put("threat.tactic.name", Value::from_iter(tactics.iter().map(|t| t.1)));
        self.put("threat.technique.id", Value::from_iter(hints.iter().map(|t| t.technique.0)));
        self.put("threat.technique.name", Value::from_iter(hints.iter().map(|t| t.technique.1)));
        let sub: Vec<_> = hints.iter().filter_map(|t| t.subtechnique).collect();
        if !sub.is_empty() {
            self.put("threat.technique.subtechnique.id", Value::from_iter(sub.iter().map(|s| s.0)));
            self.put("threat.technique.subtechnique.name", Value::from_iter(sub.iter().map(|s| s.1)));
        }
        self.put("otxdp.attack.matrix", "ics");
        self.put("otxdp.attack.version", attack::MATRIX_VERSION);
        self.put("otxdp.attack.ids", Value::from_iter(hints.iter().map(Technique::id)));
        let legacy: Vec<_> = hints.iter().filter_map(|t| t.legacy_id).collect();
        if !legacy.is_empty() {
            self.put("otxdp.attack.legacy_ids", json!(legacy));
        }
    }

    fn health(&mut self, e: &Health, stamp: &Stamp) {
        self.kind("metric", "otxdp-stats", "otxdp.stats", "host", &["info"]);
        self.put_time("@timestamp", e.interval_ns.1);
        self.interval(e.interval_ns);
        self.interface(&e.port.id.name, e.port.id.ifindex);
        self.put("otxdp.health.status", e.status());
        self.put("otxdp.health.reasons", Value::from_iter(e.reasons.iter().map(|r| r.word())));
        if !e.reasons.is_empty() {
            let text: Vec<_> = e.reasons.iter().map(|r| r.meaning()).collect();
            self.put("event.reason", text.join("; "));
        }
        self.put("otxdp.health.uptime_s", e.sensor.uptime_s);
        self.put("otxdp.xdp.attach_mode", e.attach.word());

        let total = &e.port.total;
        self.put("otxdp.xdp.interface.frames", total.frames);
        self.put("otxdp.xdp.interface.bytes", total.bytes);
        self.put("otxdp.xdp.interface.ot_frames", ot_frames(total));
        for (outcome, n) in Outcome::ALL.iter().zip(total.outcomes) {
            self.put(&format!("otxdp.xdp.outcomes.{}", outcome.word()), n);
        }
        for (class, n) in Class::ALL.iter().zip(total.classes) {
            self.put(&format!("otxdp.xdp.classes.{}", class_key(*class)), n);
        }
        self.put("otxdp.xdp.beyond_reach", total.beyond_reach);
        self.put("otxdp.xdp.walk_limit", total.walk_limit);
        self.put("otxdp.xdp.ring.full", total.ring_full);
        self.put("otxdp.xdp.ring.limited", total.ring_limited);
        self.put("otxdp.xdp.map.flows.entries", e.keys);
        self.put("otxdp.xdp.map.flows.capacity", e.sensor.flow_capacity);
        self.put("otxdp.xdp.map.flows.overflow_operations", total.overflow_ops);
        self.put("otxdp.xdp.map.flows.overflow_frames", total.overflow_frames);

        let delta = &e.port.delta;
        self.put("otxdp.delta.frames", delta.frames);
        self.put("otxdp.delta.bytes", delta.bytes);
        self.put("otxdp.delta.ot_frames", ot_frames(delta));
        self.put("otxdp.delta.malformed", outcome(delta, Outcome::Malformed));
        self.put("otxdp.delta.overflow_operations", delta.overflow_ops);

        if !e.overflow_kinds.is_empty() {
            self.put("otxdp.overflow.operations", e.overflow.pdus);
            self.put("otxdp.overflow.frames", e.overflow.frames);
            self.put("otxdp.overflow.bytes", e.overflow.bytes);
            let protocols: BTreeSet<_> = e.overflow_kinds.iter().map(|(p, _)| protocol_name(*p)).collect();
            let classes: BTreeSet<_> = e.overflow_kinds.iter().map(|(_, c)| Class::from_code(*c).word()).collect();
            self.put("otxdp.overflow.protocols", json!(protocols));
            self.put("otxdp.overflow.classes", json!(classes));
        }
        self.put("otxdp.accounting.ok", e.port.accounting.ok);
        self.put("otxdp.accounting.outcomes_off", e.port.accounting.outcomes_off);
        self.put("otxdp.accounting.classes_off", e.port.accounting.classes_off);
        self.put("otxdp.accounting.flows_off", e.port.accounting.flows_off);
        self.put("otxdp.events.emitted", stamp.sequence);
        self.put("otxdp.events.dropped", e.sensor.events_dropped);
    }
}

/// What one class did in a conversation and interval.
#[derive(Default)]
struct ClassSummary {
    /// Functions that ask or publish, and errors.
    names: BTreeSet<Name>,
    /// Answers: named only where nobody asks, because they repeat the question, in many protocols by a code of their own.
    answers: BTreeSet<Name>,
    requests: u64,
    responses: u64,
    exceptions: u64,
    published: u64,
    undirected: u64,
    addresses: Option<(u32, u32)>,
}

impl ClassSummary {
    fn add(&mut self, f: &Function, name: &Name) {
        match f.dir {
            Dir::Request => self.requests += f.operations,
            Dir::Response => self.responses += f.operations,
            Dir::Publish => self.published += f.operations,
            Dir::Unknown => self.undirected += f.operations,
        }
        if name.is_exception() {
            self.exceptions += f.operations;
        }
        // Answers name no addresses; both 0 is what a function without addresses leaves.
        if f.dir != Dir::Response && f.addresses != (0, 0) {
            let (min, max) = self.addresses.unwrap_or(f.addresses);
            self.addresses = Some((min.min(f.addresses.0), max.max(f.addresses.1)));
        }
        let plain_answer = f.dir == Dir::Response && !f.state_changing && !name.is_exception();
        let names = if plain_answer { &mut self.answers } else { &mut self.names };
        names.insert(name.clone());
    }

    fn render(&self) -> Value {
        let mut o = Map::new();
        let names = if self.names.is_empty() { &self.answers } else { &self.names };
        put(&mut o, "functions", paths(names));
        put(&mut o, "function_names", Value::from_iter(names.iter().take(LIST_MAX).map(|n| n.name)));
        put(&mut o, "requests", self.requests.into());
        put(&mut o, "responses", self.responses.into());
        put(&mut o, "exceptions", self.exceptions.into());
        put(&mut o, "published", self.published.into());
        put(&mut o, "undirected", self.undirected.into());
        if let Some((min, max)) = self.addresses {
            put(&mut o, "address_min", min.into());
            put(&mut o, "address_max", max.into());
        }
        Value::Object(o)
    }
}

/// Sets the field with this dotted path. A thread spends most of its time on an event here: one look into each object.
fn put(object: &mut Map<String, Value>, path: &str, value: Value) {
    let Some((name, rest)) = path.split_once('.') else {
        object.insert(path.to_owned(), value);
        return;
    };
    if let Some(inner) = object.get_mut(name) {
        if let Value::Object(inner) = inner {
            put(inner, rest, value);
        }
        return;
    }
    let mut inner = Map::new();
    put(&mut inner, rest, value);
    object.insert(name.to_owned(), Value::Object(inner));
}

fn paths(names: &BTreeSet<Name>) -> Value {
    Value::from_iter(names.iter().take(LIST_MAX).map(|n| n.path.as_str()))
}

fn reason(e: &Novelty, name: &Name) -> String {
    let c = &e.conversation;
    let (a, b) = match (c.client_ip(), c.server_ip()) {
        (Some(a), Some(b)) => (a.to_string(), b.to_string()),
        _ => (mac(e.client), mac(e.server)),
    };
    let (from, to) = if e.from_client { (a, b) } else { (b, a) };
    let verb = match e.function.dir {
        Dir::Request => "asked",
        Dir::Response => "answered",
        Dir::Publish => "published to",
        Dir::Unknown => "sent",
    };
    let change = if e.function.state_changing { ", state-changing" } else { "" };
    let class = e.function.class.word();
    format!("{from} {verb} {to} for the first time: {} ({}), class {class}{change}", name.path, name.name)
}

pub(super) fn protocol_name(proto: u8) -> &'static str {
    Proto::from_code(proto).map_or("unknown", Proto::name)
}

fn flag_words(bits: u32) -> Value {
    Value::from_iter(flags::ALL.iter().filter(|(bit, ..)| bits & bit != 0).map(|(_, word, _)| *word))
}

fn outcome(port: &PortValue, outcome: Outcome) -> u64 {
    port.outcomes.get(outcome as usize).copied().unwrap_or(0)
}

fn ot_frames(port: &PortValue) -> u64 {
    outcome(port, Outcome::Classified) + outcome(port, Outcome::Malformed)
}

fn mac(end: End) -> String {
    let [a, b, c, d, e, f] = end.mac();
    format!("{a:02X}-{b:02X}-{c:02X}-{d:02X}-{e:02X}-{f:02X}")
}

/// RFC 3339 with microseconds, from nanoseconds since the Unix epoch. A stamp beyond the calendar is the epoch.
fn time(ns: i128) -> String {
    format!("{:.6}", Timestamp::from_nanosecond(ns).unwrap_or(Timestamp::UNIX_EPOCH))
}
