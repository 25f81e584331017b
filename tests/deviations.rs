//! A plant is learned and locked, then an attacker joins, scans, reads, writes and replays: the alerts are exactly these.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use harness::gateway::Told;
use harness::netns::within;
use harness::packet::{Ends, PacketSocket, flag};
use harness::plant::{IT, OT, Plant};
use harness::{is_root, skip};
use serde_json::Value;

const PLC: &str = "10.77.0.2:502";
const ATTACKER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 66);
const ATTACKER_MAC: [u8; 6] = [0x02, 0, 0, 0x66, 0, 0x66];
const OT_MAC: [u8; 6] = [0x02, 0, 0, 0x77, 0, 2];

/// A plant with a baseline of what a reader does.
struct Cell {
    plant: Plant,
    base: PathBuf,
    bin: PathBuf,
    lab: PathBuf,
    _plc: Told,
}

impl Cell {
    fn new(name: &str) -> Option<Cell> {
        let (bin, lab) = (harness::binary()?, harness::lab()?);
        let plant = Plant::new(name).expect("a plant");
        let base = std::env::temp_dir().join(format!("ot-xdp-{name}-{}", std::process::id()));
        let _ = std::fs::remove_file(&base);
        let plc = Told::new(&plant, "ot", &lab, &["modbus-server", PLC]);
        plc.wait("the server", |_| true);
        Some(Cell { plant, base, bin, lab, _plc: plc })
    }

    /// The sensor, when it has begun.
    fn sensor(&self) -> Told {
        let base = self.base.display().to_string();
        let control = format!("{base}.sock");
        let args = ["run", "-i", "p-it", "-i", "p-ot", "--baseline", &base, "--interval", "5s", "--control", &control];
        let told = Told::new(&self.plant, "br", &self.bin, &args);
        told.wait("the sensor", |l| l.contains("otxdp-stats"));
        told
    }

    fn reader(&self, polls: &str) -> Told {
        Told::new(&self.plant, "it", &self.lab, &["modbus-reader", PLC, polls, "20"])
    }

    fn baseline(&self, args: &[&str]) -> String {
        let mut all = vec!["baseline", args[0]];
        let base = self.base.display().to_string();
        all.push(&base);
        all.extend(&args[1..]);
        let out = Command::new(&self.bin).args(&all).output().expect("runs");
        assert!(out.status.success(), "{all:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    /// Learns for some seconds, and locks.
    fn learn(&self) {
        let mut sensor = self.sensor();
        let mut reader = self.reader("100");
        reader.wait("the reader", |l| l.starts_with("reads"));
        // One look at least, for what only the counters show.
        sleep(Duration::from_secs(11));
        reader.guard.stop().expect("ends");
        sensor.guard.stop().expect("ends");
        assert_eq!(alerts(&sensor), BTreeMap::new(), "nothing deviates while it is learned");
        let report = self.baseline(&["lock", "--by", "kim", "--all", "--ticket", "CHG-1"]);
        assert!(report.contains("locked as version 1 by kim"), "{report}");
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.base);
        let _ = std::fs::remove_file(format!("{}.sock", self.base.display()));
    }
}

macro_rules! cell {
    ($name:literal) => {{
        if !is_root() {
            skip!("needs root for namespaces and XDP");
        }
        let Some(cell) = Cell::new($name) else { skip!("the release binary is not built: run `cargo xtask test`") };
        cell
    }};
}

fn is_alert(e: &Value) -> bool {
    e["event"]["dataset"] == "otxdp.alert"
}

/// Alerts that begin something, by action.
fn alerts(sensor: &Told) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for e in sensor.events().iter().filter(|e| is_alert(e) && e["otxdp"]["deviation"]["phase"] == "new") {
        *found.entry(e["event"]["action"].as_str().expect("a word").to_owned()).or_default() += 1;
    }
    found
}

fn the(sensor: &Told, action: &str) -> Value {
    let events = sensor.events();
    events.into_iter().find(|e| is_alert(e) && e["event"]["action"] == action).expect("the alert")
}

/// Frames of somebody on the cable of the IT host.
struct Attacker<'a> {
    plant: &'a Plant,
    seq: u32,
}

impl Attacker<'_> {
    fn send(&self, frames: &[Vec<u8>]) {
        within(&self.plant.namespace("it"), || {
            let socket = PacketSocket::open("it0", false).expect("a packet socket");
            frames.iter().for_each(|f| socket.send(f).expect("sent"));
        });
    }

    fn ends(&self, ip: IpAddr) -> Ends {
        Ends { mac: [ATTACKER_MAC, OT_MAC], ip: [ip, OT.parse().expect("an address")], port: [40_066, 502] }
    }

    fn pdu(&mut self, ip: IpAddr, unit: u8, body: &[u8]) {
        let mut adu = vec![0, 1, 0, 0, 0, body.len() as u8 + 1, unit];
        adu.extend(body);
        let ends = self.ends(ip);
        let frame = ends.frame(&ends.tcp(self.seq, 1, flag::PSH_ACK, &adu));
        self.seq += adu.len() as u32;
        self.send(&[frame]);
    }

    fn arp(&self, targets: std::ops::Range<u8>) {
        let frame = |n: u8| {
            let mut f = [&[0xFF; 6][..], &ATTACKER_MAC, &[0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1], &ATTACKER_MAC].concat();
            f.extend(ATTACKER.octets());
            f.extend([0, 0, 0, 0, 0, 0, 10, 77, 0, n]);
            f.resize(60, 0);
            f
        };
        self.send(&targets.map(frame).collect::<Vec<_>>());
    }
}

fn milliseconds(e: &Value, field: &str) -> f64 {
    let text = if field == "@timestamp" { &e["@timestamp"] } else { &e["event"][field] };
    let time: jiff::Timestamp = text.as_str().expect("a time").parse().expect("a time");
    time.as_microsecond() as f64 / 1_000.0
}

#[test]
fn an_attacker_is_told_exactly() {
    let cell = cell!("dvlist");
    cell.learn();
    let sensor = cell.sensor();
    let _reader = cell.reader("100000");
    sleep(Duration::from_secs(11));
    assert_eq!(alerts(&sensor), BTreeMap::new(), "what was learned is usual");

    // Joins and asks for who is there.
    let mut attacker = Attacker { plant: &cell.plant, seq: 1_000 };
    attacker.arp(100..125);
    sensor.wait("the sweep", |l| l.contains("ot-arp-sweep"));
    // Reads; then tries units; then writes.
    let me = IpAddr::V4(ATTACKER);
    attacker.pdu(me, 1, &[3, 0, 0, 0, 4]);
    sensor.wait("the conversation", |l| l.contains("ot-conversation-new"));
    for unit in 2..22 {
        attacker.pdu(me, unit, &[3, 0, 0, 0, 4]);
    }
    sensor.wait("the units", |l| l.contains("ot-unit-sweep"));
    attacker.pdu(me, 1, &[6, 0, 4, 0, 9]);
    sensor.wait("the write", |l| l.contains("ot-first-write"));
    // Speaks with the address of the reader.
    attacker.pdu(IT.parse().expect("an address"), 1, &[3, 0, 0, 0, 4]);
    sensor.wait("the binding", |l| l.contains("ot-binding-changed"));
    sleep(Duration::from_secs(11));

    let expected: BTreeMap<String, usize> = [
        ("ot-arp-sweep", 1),
        ("ot-asset-new", 1),
        ("ot-binding-changed", 1),
        ("ot-conversation-new", 1),
        ("ot-first-write", 1),
        ("ot-unit-sweep", 1),
    ]
    .into_iter()
    .map(|(k, n)| (k.to_owned(), n))
    .collect();
    assert_eq!(alerts(&sensor), expected);

    for action in ["ot-conversation-new", "ot-first-write"] {
        let e = the(&sensor, action);
        let late = milliseconds(&e, "created") - milliseconds(&e, "@timestamp");
        println!("{action}: told {late:.1} ms after the frame");
        assert!((0.0..=100.0).contains(&late), "{action}: {late} ms");
    }
    let write = the(&sensor, "ot-first-write");
    assert_eq!((&write["event"]["severity"], &write["otxdp"]["baseline"]["state"]), (&73.into(), &"locked".into()));
    assert_eq!(write["source"]["ip"], ATTACKER.to_string());
    assert!(write["event"]["reason"].as_str().expect("why").contains("10.77.0.66 commands 10.77.0.2 (modbus:6"));
    let binding = the(&sensor, "ot-binding-changed");
    assert_eq!(binding["source"]["ip"], IT);
    assert!(binding["event"]["reason"].as_str().expect("why").contains("different hardware addresses"));
    harness::schema::check_all(&sensor.events());

    // A person accepts one of them by the id of its event.
    let talk = the(&sensor, "ot-conversation-new");
    let id = talk["event"]["id"].as_str().expect("an id");
    let done = cell.baseline(&["accept", id, "--by", "kim", "--ticket", "CHG-2"]);
    assert!(done.contains("accepted talk 10.77.0.66 > 10.77.0.2 ip6/502"), "{done}");
    let history = cell.baseline(&["history"]);
    assert!(history.contains("kim lock") && history.contains("kim accept"), "{history}");
    assert!(cell.baseline(&["diff", "--from", "1", "--to", "1"]).is_empty());
}

#[test]
fn restarts_and_flaps_are_no_deviations() {
    let cell = cell!("dvquiet");
    cell.learn();
    let _reader = cell.reader("100000");
    for _ in 0..2 {
        let mut sensor = cell.sensor();
        sleep(Duration::from_secs(11));
        // The port of the reader goes down and up.
        cell.plant.ip("br", &["link", "set", "p-it", "down"]).expect("down");
        sleep(Duration::from_secs(1));
        cell.plant.ip("br", &["link", "set", "p-it", "up"]).expect("up");
        sleep(Duration::from_secs(11));
        sensor.guard.0.kill().expect("killed");
        assert_eq!(alerts(&sensor), BTreeMap::new());
    }
}

#[test]
fn what_is_learned_survives_a_kill() {
    let cell = cell!("dvkill");
    let mut sensor = cell.sensor();
    let _reader = cell.reader("100000");
    sleep(Duration::from_secs(12));
    // The first look has been written; killed at any time, the file opens and holds it.
    sensor.guard.0.kill().expect("killed");
    sensor.guard.0.wait().expect("ended");
    let shown = cell.baseline(&["show"]);
    assert!(shown.contains("10.77.0.1") && shown.contains("modbus:3"), "{shown}");
    assert!(Path::new(&cell.base).is_file());
}
