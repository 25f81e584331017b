//! Every kind of event in every shape, against the schema and against the rules of the Elastic Common Schema.

mod alerts;

use std::collections::{BTreeMap, BTreeSet};

use ot_xdp_common::op::{Class, Dir, Kind, Tag};
use ot_xdp_common::proto::Proto;
use ot_xdp_common::reason::Outcome;
use ot_xdp_common::wire::{FlowKey, FlowValue, OverflowValue, PortValue};
use serde_json::{Map, Value, json};

mod rules;
mod views;

use super::ecs::{Mode, Observer, render};
use super::fields::{COMMON, KINDS};
use super::*;
use crate::aggregate::Aggregator;
use crate::source::{Clock, PortId, Snapshot};

/// 2026-11-22T18:29:00Z.
const T0: u64 = 1_795_372_140_000_000_000;
const MS: u64 = 1_000_000;
const V4: [[u32; 4]; 2] = [[0, 0, 0xFFFF, 0x0A14_010F], [0, 0, 0xFFFF, 0x0A14_0328]];
const V6: [[u32; 4]; 2] = [[0xFD00_0000, 0, 0, 1], [0xFD00_0000, 0, 0, 2]];
const L2: [[u32; 4]; 2] = [[0, 0, 0x0030, 0xA70B_119E], [0, 0, 0x010C, 0xCD01_0001]];

/// One line of a made-up flow map.
struct Line {
    stations: [[u32; 4]; 2],
    l4: u8,
    vlan: u16,
    proto: Proto,
    function: u32,
    class: Class,
    changing: bool,
    dir: Dir,
    flags: u32,
}

const READ: Line = Line {
    stations: V4,
    l4: 6,
    vlan: 120,
    proto: Proto::Modbus,
    function: 3,
    class: Class::Read,
    changing: false,
    dir: Dir::Request,
    flags: 0,
};

impl Line {
    fn entry(&self, n: u64) -> (FlowKey, FlowValue) {
        let port = if self.l4 == 0 { 0x88B8 } else { 502 };
        let (client_port, server_port) = if self.l4 == 0 { (0, 0) } else { (51_102, 502) };
        let client = 0x000C_2901_98BE << 16 | client_port;
        let server = 0x001B_1B8A_2210 << 16 | server_port;
        let [mut src, mut dst] = self.stations;
        let (mut src_end, mut dst_end) = (client, server);
        if self.dir == Dir::Response {
            (src, dst, src_end, dst_end) = (dst, src, server, client);
        }
        let key = FlowKey {
            src,
            dst,
            function: self.function,
            unit: 1,
            ifindex: 2,
            service: u32::from(self.vlan) << 16 | port,
            tag: Tag::new(self.proto as u8, Kind::new(self.class, self.changing).0, self.dir, self.l4),
        };
        let addr = if self.class == Class::Write { 100 } else { 0 };
        let value = FlowValue {
            pdus: n,
            frames: n,
            bytes: n * 66,
            first_ns: T0 + MS,
            last_ns: T0 + MS * (1 + n),
            src_end,
            dst_end,
            addr_min: addr,
            addr_max: if addr == 0 { 0 } else { addr + 3 },
            flags: self.flags,
            vlan_inner: if self.vlan == 0 { 0 } else { 7 },
            ..FlowValue::default()
        };
        (key, value)
    }
}

fn snapshot(lines: &[Line], n: u64) -> Snapshot {
    let flows: Vec<_> = lines.iter().map(|l| l.entry(n)).collect();
    let mut port = PortValue { ring_limited: n, ..PortValue::default() };
    for (key, value) in &flows {
        port.frames += value.frames;
        port.bytes += value.bytes;
        port.outcomes[Outcome::Classified as usize] += value.frames;
        port.classes[usize::from(key.kind().class())] += value.frames;
    }
    port.overflow_ops = n;
    let id = PortId { ifindex: 2, name: "ens1f0".to_owned() };
    let overflow = vec![(Proto::Modbus as u8, Class::Write as u8, OverflowValue { pdus: n, frames: 0, bytes: 0 })];
    Snapshot { at_ns: T0 + 60_000 * MS, flows, ports: vec![(id, port)], overflow, ..Snapshot::default() }
}

fn lines() -> Vec<Line> {
    let mut lines = vec![
        READ,
        Line { dir: Dir::Response, ..READ },
        Line { dir: Dir::Response, function: 3 | 1 << 31 | 2 << 24, ..READ },
        Line { function: 16, class: Class::Write, changing: true, flags: flags_all(), ..READ },
        Line { proto: Proto::Umas, function: 0x40, class: Class::Control, changing: true, ..READ },
        Line { stations: V6, l4: 17, vlan: 0, ..READ },
        Line { stations: L2, l4: 0, vlan: 5, dir: Dir::Publish, class: Class::CyclicIo, changing: true, ..READ },
        Line { stations: L2, l4: 0, vlan: 0, dir: Dir::Unknown, class: Class::Unknown, function: 0, ..READ },
    ];
    for (i, class) in Class::ALL.into_iter().enumerate() {
        lines.push(Line { class, changing: i % 2 == 0, function: 200 + i as u32, ..READ });
        lines.push(Line { class, changing: i % 2 == 1, function: 300 + i as u32, ..READ });
    }
    lines
}

fn flags_all() -> u32 {
    ot_xdp_common::flags::ALL.iter().fold(0, |all, (bit, ..)| all | bit)
}

fn observer(mode: Mode, serial_number: Option<String>, boot_id: uuid::Uuid) -> Observer {
    Observer {
        name: "sensor-07".to_owned(),
        hostname: "sensor-07.plant.example".to_owned(),
        serial_number,
        namespace: "default".to_owned(),
        boot_id,
        mode,
    }
}

/// Events in every shape, rendered.
fn samples() -> Vec<Value> {
    let mut sequencer = Sequencer::new();
    let boot = sequencer.boot_id();
    let sensor = Sensor { uptime_s: 61, flow_capacity: 40, events_dropped: 3, events_dropped_now: 1 };
    let mut aggregator = Aggregator::new();
    let mut events = of_interval(aggregator.update(&snapshot(&lines(), 5)), sensor, |_| Attach::Generic);
    let mut calm = snapshot(&lines(), 5);
    calm.overflow.clear();
    let quiet = Sensor { uptime_s: 121, flow_capacity: 65_536, ..Sensor::default() };
    for attach in Attach::ALL {
        events.extend(of_interval(aggregator.update(&calm), quiet, |_| attach));
    }
    // Early records from the ring, with the number of addresses.
    let mut early = Aggregator::new();
    let (key, value) = Line { function: 16, class: Class::Write, changing: true, ..READ }.entry(1);
    let record = ot_xdp_common::wire::FirstSeen {
        at_ns: T0,
        src_end: value.src_end,
        dst_end: value.dst_end,
        key,
        addr: 100,
        span: 4,
        flags: 0,
    };
    events.extend(early.first_seen(&record).map(|n| Event::FirstSeen(Box::new(n))));
    events.extend(alerts::all().into_iter().map(|a| Event::Deviation(Box::new(a))));
    let live = observer(Mode::Monitor, Some("b3f0c1d2".to_owned()), boot);
    let replay = observer(Mode::Replay, None, boot);
    events
        .iter()
        .enumerate()
        .map(|(i, e)| render(e, &sequencer.next_stamp(), if i % 3 == 0 { &replay } else { &live }, &Clock::CAPTURE))
        .collect()
}

fn leaves(value: &Value, path: &str, out: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(o) => {
            for (name, v) in o {
                leaves(v, &if path.is_empty() { name.clone() } else { format!("{path}.{name}") }, out);
            }
        }
        v => out.push((path.to_owned(), v.clone())),
    }
}

fn leaves_of(value: &Value) -> Vec<(String, Value)> {
    let mut out = Vec::new();
    leaves(value, "", &mut out);
    out
}

fn find(events: &[Value], wanted: impl Fn(&Value) -> bool) -> &Value {
    events.iter().find(|e| wanted(e)).expect("a sample of this shape")
}

fn validator() -> jsonschema::Validator {
    jsonschema::options().should_validate_formats(true).build(&schema::events()).unwrap()
}

#[test]
fn every_event_is_valid() {
    let validator = validator();
    for event in samples() {
        let errors: Vec<_> = validator.iter_errors(&event).map(|e| format!("{e:#?}")).collect();
        assert!(errors.is_empty(), "{event:#}\n{errors:#?}");
    }
}

#[test]
fn the_schema_itself_is_valid() {
    assert!(jsonschema::meta::is_valid(&schema::events()));
}

/// Calls `change` with every object of a copy of `value`, one copy an object.
fn each_object(value: &Value, change: &mut dyn FnMut(&mut Map<String, Value>) -> bool, check: &mut dyn FnMut(Value)) {
    fn walk(
        v: &mut Value,
        wanted: &mut usize,
        change: &mut dyn FnMut(&mut Map<String, Value>) -> bool,
    ) -> Option<bool> {
        let o = v.as_object_mut()?;
        if *wanted == 0 {
            return Some(change(o));
        }
        *wanted -= 1;
        o.values_mut().find_map(|v| walk(v, wanted, change))
    }
    for nth in 0.. {
        let mut copy = value.clone();
        match walk(&mut copy, &mut nth.clone(), change) {
            Some(true) => check(copy),
            Some(false) => {}
            None => break,
        }
    }
}

#[test]
fn a_typo_anywhere_is_refused() {
    let validator = validator();
    let mut tried = 0;
    for event in samples() {
        each_object(
            &event,
            &mut |o| {
                o.insert("tpyo".to_owned(), json!(1));
                true
            },
            &mut |changed| {
                tried += 1;
                assert!(!validator.is_valid(&changed), "{changed:#}");
            },
        );
    }
    assert!(tried > 500, "{tried}");
}

#[test]
fn every_required_field_is_required() {
    let validator = validator();
    let event = find(&samples(), |e| e["event"]["kind"] == "metric").clone();
    for (path, _) in leaves_of(&event) {
        let mut copy = event.clone();
        let (parent, name) = path.rsplit_once('.').unwrap_or(("", &path));
        let pointer = if parent.is_empty() { String::new() } else { format!("/{}", parent.replace('.', "/")) };
        copy.pointer_mut(&pointer).unwrap().as_object_mut().unwrap().remove(name);
        let optional = ["event.reason", "observer.serial_number"].contains(&path.as_str());
        assert_eq!(validator.is_valid(&copy), optional, "{path}");
    }
}

#[test]
fn every_field_of_the_list_is_used() {
    let mut used = BTreeSet::new();
    for event in samples() {
        let kind = event["event"]["action"].clone().to_string();
        used.extend(leaves_of(&event).into_iter().map(|(path, _)| (kind.clone(), path)));
    }
    let actions = [r#""ot-flow-summary""#, r#""ot-first-seen-function""#, r#""otxdp-stats""#];
    for ((_, _, lists), action) in KINDS.iter().zip(actions) {
        for field in COMMON.iter().chain(lists.iter().copied().flatten()) {
            let words = |path: &str| -> Vec<String> {
                if path.contains("{class}") {
                    Class::ALL.iter().map(|c| path.replace("{class}", &schema::class_key(*c))).collect()
                } else if path.contains("{outcome}") {
                    Outcome::ALL.iter().map(|o| path.replace("{outcome}", o.word())).collect()
                } else {
                    vec![path.to_owned()]
                }
            };
            // Addresses belong to the class that has them.
            let any = field.path.contains(".address_");
            let found =
                words(field.path).into_iter().map(|p| used.contains(&(action.to_owned(), p))).collect::<Vec<_>>();
            assert!(
                if any { found.contains(&true) } else { !found.contains(&false) },
                "{action} never has {}",
                field.path
            );
        }
    }
}

#[test]
fn a_flow_summary_says_what_was_counted() {
    let events = samples();
    let e = find(&events, |e| e["event"]["action"] == "ot-flow-summary" && e["network"]["transport"] == "tcp");
    assert_eq!(e["@timestamp"], "2026-11-22T18:29:00.006000Z");
    assert_eq!((&e["event"]["start"], &e["event"]["end"]), (&json!("2026-11-22T18:29:00.001000Z"), &e["@timestamp"]));
    assert_eq!(e["event"]["duration"], 5_000_000);
    assert_eq!(e["source"]["ip"], "10.20.1.15");
    assert_eq!(e["source"]["mac"], "00-0C-29-01-98-BE");
    assert_eq!((&e["source"]["port"], &e["destination"]["port"]), (&json!(51_102), &json!(502)));
    assert_eq!(e["network"]["community_id"], "1:KtGcja8y03SHBpQqKbU8m7X3rmo=");
    assert_eq!((&e["network"]["vlan"]["id"], &e["network"]["inner"]["vlan"]["id"]), (&json!("120"), &json!("7")));
    assert_eq!(e["network"]["protocol"], "modbus");
    assert_eq!(e["otxdp"]["protocols"], json!(["modbus", "umas"]));
    let read = &e["otxdp"]["ops"]["read"];
    assert_eq!(read["functions"][0], "modbus:3");
    assert_eq!((&read["requests"], &read["responses"], &read["exceptions"]), (&json!(15), &json!(10), &json!(5)));
    let write = &e["otxdp"]["ops"]["write"];
    assert_eq!((&write["address_min"], &write["address_max"]), (&json!(100), &json!(103)));
    assert!(e["otxdp"]["ops"]["program_download"].is_object());
}

#[test]
fn layer_2_has_hardware_addresses_only() {
    let events = samples();
    let e = find(&events, |e| e["event"]["action"] == "ot-flow-summary" && e["network"]["vlan"]["id"] == "5");
    for absent in
        ["/source/ip", "/source/port", "/network/type", "/network/transport", "/network/community_id", "/related"]
    {
        assert_eq!(e.pointer(absent), None, "{absent}");
    }
    assert_eq!(e["event"]["type"], json!(["info"]));
    assert_eq!(e["otxdp"]["ops"]["cyclic_io"]["published"], 5);
}

#[test]
fn a_first_seen_write_is_explained() {
    let events = samples();
    let e = find(&events, |e| e["otxdp"]["op"]["address"]["count"] == 4);
    assert_eq!(
        e["event"]["reason"],
        "10.20.1.15 asked 10.20.3.40 for the first time: modbus:16 (Write Multiple Registers), class write, state-changing"
    );
    assert_eq!(e["event"]["severity"], 47);
    assert_eq!(e["otxdp"]["attack"]["ids"], json!(["T1692.001", "T0836"]));
    assert_eq!(e["otxdp"]["attack"]["legacy_ids"], json!(["T0855"]));
    assert_eq!(e["threat"]["technique"]["id"], json!(["T1692", "T0836"]));
    assert_eq!(e["threat"]["tactic"]["id"], json!(["TA0106"]));
    assert_eq!(e["otxdp"]["op"]["delayed"], false);
}

#[test]
fn health_gives_its_reasons() {
    let events = samples();
    let bad = find(&events, |e| e["otxdp"]["xdp"]["attach_mode"] == "generic" && e["otxdp"]["overflow"].is_object());
    assert_eq!(bad["otxdp"]["health"]["status"], "degraded");
    assert_eq!(
        bad["otxdp"]["health"]["reasons"],
        json!(["generic_mode", "flow_map_nearly_full", "flow_map_full", "first_seen_delayed", "events_dropped"])
    );
    let good = find(&events, |e| e["otxdp"]["xdp"]["attach_mode"] == "native");
    assert_eq!((&good["otxdp"]["health"]["status"], &good["event"]["reason"]), (&json!("ok"), &Value::Null));
}

#[test]
fn severity_follows_the_class() {
    let s = |class, changing, dir| Severity::of_first_seen(class, changing, dir) as u8;
    assert_eq!(s(Class::Read, false, Dir::Request), 21);
    assert_eq!(s(Class::Write, true, Dir::Request), 47);
    assert_eq!(s(Class::ProgramDownload, true, Dir::Request), 73);
    assert_eq!(s(Class::ProgramDownload, false, Dir::Response), 21);
}

#[test]
fn long_lists_are_cut_and_counted() {
    let many: Vec<Line> = (0..100).map(|i| Line { function: i, ..READ }).collect();
    let interval = Aggregator::new().update(&snapshot(&many, 1));
    let events = of_interval(interval, Sensor::default(), |_| Attach::Native);
    let mut sequencer = Sequencer::new();
    let who = observer(Mode::Monitor, None, sequencer.boot_id());
    let flow = events.iter().find(|e| matches!(e, Event::Flow(_))).unwrap();
    let e = render(flow, &sequencer.next_stamp(), &who, &Clock::CAPTURE);
    assert_eq!(e["otxdp"]["functions"].as_array().unwrap().len(), 64);
    assert_eq!(e["otxdp"]["functions_total"], 100);
    assert!(validator().is_valid(&e));
}

/// The fields of ECS 9.4.0 that we use: name, type, level, array or not (generated/csv/fields.csv of its release).
const ECS: &[(&str, &str, &str, bool)] = &[
    ("@timestamp", "date", "core", false),
    ("data_stream.dataset", "constant_keyword", "extended", false),
    ("data_stream.namespace", "constant_keyword", "extended", false),
    ("data_stream.type", "constant_keyword", "extended", false),
    ("destination.address", "keyword", "extended", false),
    ("destination.bytes", "long", "core", false),
    ("destination.ip", "ip", "core", false),
    ("destination.mac", "keyword", "core", false),
    ("destination.packets", "long", "core", false),
    ("destination.port", "long", "core", false),
    ("ecs.version", "keyword", "core", false),
    ("event.action", "keyword", "core", false),
    ("event.category", "keyword", "core", true),
    ("event.created", "date", "core", false),
    ("event.dataset", "keyword", "core", false),
    ("event.duration", "long", "core", false),
    ("event.end", "date", "extended", false),
    ("event.id", "keyword", "core", false),
    ("event.kind", "keyword", "core", false),
    ("event.module", "keyword", "core", false),
    ("event.provider", "keyword", "extended", false),
    ("event.reason", "keyword", "extended", false),
    ("event.sequence", "long", "extended", false),
    ("event.severity", "long", "core", false),
    ("event.start", "date", "extended", false),
    ("event.type", "keyword", "core", true),
    ("network.bytes", "long", "core", false),
    ("network.community_id", "keyword", "extended", false),
    ("network.iana_number", "keyword", "extended", false),
    ("network.inner.vlan.id", "keyword", "extended", false),
    ("network.packets", "long", "core", false),
    ("network.protocol", "keyword", "core", false),
    ("network.transport", "keyword", "core", false),
    ("network.type", "keyword", "core", false),
    ("network.vlan.id", "keyword", "extended", false),
    ("observer.hostname", "keyword", "core", false),
    ("observer.ingress.interface.id", "keyword", "extended", false),
    ("observer.ingress.interface.name", "keyword", "extended", false),
    ("observer.name", "keyword", "extended", false),
    ("observer.product", "keyword", "extended", false),
    ("observer.serial_number", "keyword", "extended", false),
    ("observer.type", "keyword", "core", false),
    ("observer.vendor", "keyword", "core", false),
    ("observer.version", "keyword", "core", false),
    ("related.ip", "ip", "extended", true),
    ("rule.category", "keyword", "extended", false),
    ("rule.description", "keyword", "extended", false),
    ("rule.id", "keyword", "extended", false),
    ("rule.name", "keyword", "extended", false),
    ("source.address", "keyword", "extended", false),
    ("source.bytes", "long", "core", false),
    ("source.ip", "ip", "core", false),
    ("source.mac", "keyword", "core", false),
    ("source.packets", "long", "core", false),
    ("source.port", "long", "core", false),
    ("threat.framework", "keyword", "extended", false),
    ("threat.tactic.id", "keyword", "extended", true),
    ("threat.tactic.name", "keyword", "extended", true),
    ("threat.technique.id", "keyword", "extended", true),
    ("threat.technique.name", "keyword", "extended", true),
    ("threat.technique.subtechnique.id", "keyword", "extended", true),
    ("threat.technique.subtechnique.name", "keyword", "extended", true),
];

/// `event.type` values that ECS 9.4 expects for each `event.category` that we may use.
const CATEGORIES: &[(&str, &[&str])] = &[
    ("network", &["access", "allowed", "connection", "denied", "end", "info", "protocol", "start"]),
    ("intrusion_detection", &["allowed", "denied", "info"]),
    ("configuration", &["access", "change", "creation", "deletion", "info"]),
    ("host", &["access", "change", "end", "info", "start"]),
];

#[test]
fn names_and_types_are_those_of_ecs() {
    let mut used = BTreeSet::new();
    for event in samples() {
        for (path, value) in leaves_of(&event).into_iter().filter(|(p, _)| !p.starts_with("otxdp.")) {
            let (name, kind, _, array) =
                ECS.iter().find(|(n, ..)| *n == path).unwrap_or_else(|| panic!("not in ECS: {path}"));
            let items = if *array { value.as_array().expect(name).clone() } else { vec![value] };
            for item in items {
                let fits = match *kind {
                    "long" => item.is_u64(),
                    "ip" => item.as_str().is_some_and(|t| t.parse::<std::net::IpAddr>().is_ok()),
                    "date" => item.as_str().is_some_and(|t| t.parse::<jiff::Timestamp>().is_ok()),
                    _ => item.as_str().is_some_and(|t| !t.is_empty()),
                };
                assert!(fits, "{name} is {kind}, not {item}");
            }
            used.insert(path);
        }
    }
    let unused: Vec<_> = ECS.iter().filter(|(n, ..)| !used.contains(*n)).collect();
    assert!(unused.is_empty(), "{unused:?}");
}

#[test]
fn no_array_holds_objects() {
    for event in samples() {
        for (path, value) in leaves_of(&event) {
            let items = value.as_array().cloned().unwrap_or_default();
            assert!(items.iter().all(|v| !v.is_object() && !v.is_array()), "{path}");
        }
    }
}

#[test]
fn allowed_values_and_forms() {
    let allowed: BTreeMap<_, _> = CATEGORIES.iter().copied().collect();
    for (i, e) in samples().iter().enumerate() {
        let ev = &e["event"];
        let texts =
            |v: &Value| v.as_array().unwrap().iter().map(|t| t.as_str().unwrap().to_owned()).collect::<Vec<_>>();
        let is_alert = e["otxdp"]["baseline"].is_object();
        assert!(["event", "metric"].contains(&ev["kind"].as_str().unwrap()) != is_alert, "alerts need a baseline");
        for category in texts(&ev["category"]) {
            for kind in texts(&ev["type"]) {
                assert!(allowed[category.as_str()].contains(&kind.as_str()), "{kind} in {category}");
            }
        }
        assert_eq!(ev["outcome"], Value::Null, "neither metrics nor information have one");
        assert_eq!(ev["sequence"], i as u64 + 1, "gap-free");
        let id: uuid::Uuid = ev["id"].as_str().unwrap().parse().unwrap();
        assert_eq!(id.get_version_num(), 7);
        assert_eq!(ev["dataset"], e["data_stream"]["dataset"]);
        for side in ["source", "destination"] {
            if let Some(mac) = e[side]["mac"].as_str() {
                assert_eq!((mac.len(), mac.to_uppercase().as_str()), (17, mac));
                assert!(mac.split('-').all(|part| u8::from_str_radix(part, 16).is_ok() && part.len() == 2));
            }
        }
        if let Some(protocol) = e["network"]["protocol"].as_str() {
            assert_eq!(protocol, protocol.to_lowercase());
        }
        let tactics = |field: &str| e["threat"]["tactic"][field].as_array().map(Vec::len);
        let techniques = |field: &str| e["threat"]["technique"][field].as_array().map(Vec::len);
        assert_eq!((tactics("id"), techniques("id")), (tactics("name"), techniques("name")));
    }
}
