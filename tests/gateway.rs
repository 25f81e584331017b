//! The gateway with real stacks across a real bridge: writes out of the business zone do not arrive, and nothing else is
//! touched. What the controller holds is read back.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use harness::plant::{Guard, IT, OT, Plant};
use harness::{is_root, skip};
use serde_json::Value;

/// A process whose lines are kept.
struct Told {
    guard: Guard,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Told {
    fn new(plant: &Plant, side: &str, program: &std::path::Path, args: &[&str]) -> Told {
        let mut command = plant.command(side, program);
        let mut child = command.args(args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("starts");
        let out = child.stdout.take().expect("piped");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                kept.lock().expect("lines").push(line);
            }
        });
        Told { guard: Guard(child), lines }
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("lines").clone()
    }

    /// Waits until a line satisfies this.
    fn wait(&self, what: &str, test: impl Fn(&str) -> bool) {
        let begin = Instant::now();
        while !self.lines().iter().any(|l| test(l)) {
            assert!(begin.elapsed() < Duration::from_secs(30), "waited for {what}: {:?}", self.lines());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn events(&self) -> Vec<Value> {
        self.lines().iter().map(|l| serde_json::from_str(l).expect("JSON lines")).collect()
    }

    /// Events of operations that were denied or reported.
    fn refusals(&self) -> Vec<Value> {
        self.events().into_iter().filter(|e| e["event"]["dataset"] == "otxdp.gate").collect()
    }
}

/// A plant with a gateway in this mode.
struct Gateway {
    plant: Plant,
    lab: std::path::PathBuf,
    gate: Told,
}

impl Gateway {
    fn new(name: &str, mode: &str, more: &[&str]) -> Option<Gateway> {
        let (bin, lab) = (harness::binary()?, harness::lab()?);
        let plant = Plant::new(&format!("ot{name}{}", std::process::id())).expect("namespaces");
        let gate = Gateway::start(&plant, &bin, mode, more);
        Some(Gateway { plant, lab, gate })
    }

    fn start(plant: &Plant, bin: &std::path::Path, mode: &str, more: &[&str]) -> Told {
        let mut args = vec!["run", "--bridge", "br0", "--it-port", "p-it", "--ot-port", "p-ot", "--mode", mode];
        args.extend(["--interval", "1s"]);
        args.extend(more);
        let gate = Told::new(plant, "br", bin, &args);
        gate.wait("the gate", |l| l.contains("gate-mode-change"));
        gate
    }

    fn server(&self, side: &str, args: &[&str]) -> Told {
        let server = Told::new(&self.plant, side, &self.lab, args);
        // It listens when a connection is not refused any more.
        let address = args[1].to_owned();
        let other = if side == "ot" { "it" } else { "ot" };
        for _ in 0..200 {
            let mut probe = self.plant.command(other, &self.lab);
            let probe = probe.args(["attempts", &address, "1", ""]).output().expect("probe");
            if String::from_utf8_lossy(&probe.stdout).contains("not connected 0") {
                return server;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("no server at {address}");
    }

    /// What a client on this side gets for these segments.
    fn send(&self, side: &str, address: &str, gap_ms: u32, chunks: &[&str]) -> String {
        let mut client = self.plant.command(side, &self.lab);
        client.args(["send", address, &gap_ms.to_string()]).args(chunks);
        let out = client.output().expect("client");
        assert!(out.status.success(), "client: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).into_owned()
    }
}

macro_rules! gateway {
    ($name:literal, $mode:literal $(, $more:literal)*) => {{
        if !is_root() {
            skip!("needs root for namespaces and XDP");
        }
        let Some(gateway) = Gateway::new($name, $mode, &[$($more),*]) else {
            skip!("the release binary is not built: run `cargo xtask test`");
        };
        gateway
    }};
}

/// Modbus: read one register, and what answers when it holds a number.
const READ: &str = "000100000006010300000001";

fn write(value: u16) -> String {
    format!("0002000000060106000{:x}{value:04x}", 0)
}

fn holds(value: u16) -> String {
    format!("got 000100000005010302{value:04x}")
}

const PLC: &str = "10.77.0.2:502";

#[test]
fn reads_pass_and_writes_from_it_are_refused() {
    let g = gateway!("gwmat", "enforce");
    let _plc = g.server("ot", &["modbus-server", PLC]);
    assert!(g.send("it", PLC, 0, &[READ]).contains(&holds(0)));
    let said = g.send("it", PLC, 0, &[&write(77)]);
    assert!(said.contains("error ConnectionReset"), "the client is free: {said}");
    assert!(g.send("it", PLC, 0, &[READ]).contains(&holds(0)), "nothing was written");
    g.gate.wait("the event", |l| l.contains("\"dropped\""));
    let refusals = g.gate.refusals();
    assert_eq!(refusals.len(), 1, "{refusals:?}");
    assert_eq!(refusals[0]["otxdp"]["op"]["function"]["path"], "modbus:6");
    assert_eq!(refusals[0]["source"]["ip"], IT);
    assert_eq!(refusals[0]["destination"]["ip"], OT);
    assert_eq!(refusals[0]["otxdp"]["mode"], "enforce");
    harness::schema::check_all(&g.gate.events());
}

#[test]
fn writes_from_ot_pass() {
    let g = gateway!("gwot", "enforce");
    let address = format!("{IT}:502");
    let _server = g.server("it", &["modbus-server", &address]);
    assert!(g.send("ot", &address, 0, &[&write(78)]).contains(&format!("got {}", write(78))));
    assert!(g.send("ot", &address, 0, &[READ]).contains(&holds(78)));
    assert!(g.gate.refusals().is_empty());
}

#[test]
fn shadow_reports_and_passes() {
    let g = gateway!("gwsha", "shadow");
    let _plc = g.server("ot", &["modbus-server", PLC]);
    assert!(g.send("it", PLC, 0, &[&write(79)]).contains(&format!("got {}", write(79))));
    assert!(g.send("it", PLC, 0, &[READ]).contains(&holds(79)));
    g.gate.wait("the event", |l| l.contains("\"would-drop\""));
}

#[test]
fn monitor_never_looks() {
    let g = gateway!("gwmon", "monitor");
    let _plc = g.server("ot", &["modbus-server", PLC]);
    assert!(g.send("it", PLC, 0, &[&write(80)]).contains(&format!("got {}", write(80))));
    assert!(g.send("it", PLC, 0, &[READ]).contains(&holds(80)));
    assert!(g.gate.refusals().is_empty());
}

#[test]
fn a_write_in_pieces_is_refused_wherever_it_is_cut() {
    let g = gateway!("gwcut", "enforce");
    let _plc = g.server("ot", &["modbus-server", PLC]);
    let w = write(81);
    for cut in (2..w.len()).step_by(2) {
        let said = g.send("it", PLC, 10, &[&w[..cut], &w[cut..]]);
        assert!(!said.contains("got"), "cut at octet {}: {said}", cut / 2);
    }
    let octets: Vec<&str> = (0..w.len()).step_by(2).map(|at| &w[at..at + 2]).collect();
    assert!(!g.send("it", PLC, 5, &octets).contains("got"), "octet by octet");
    assert!(g.send("it", PLC, 0, &[READ]).contains(&holds(0)), "nothing was written");
    // And a read in pieces is answered.
    for cut in (2..READ.len()).step_by(2) {
        let said = g.send("it", PLC, 10, &[&READ[..cut], &READ[cut..]]);
        assert!(said.contains(&holds(0)), "cut at octet {}: {said}", cut / 2);
    }
}

#[test]
fn a_write_behind_reads_is_refused() {
    let g = gateway!("gwpip", "enforce");
    let _plc = g.server("ot", &["modbus-server", PLC]);
    for reads in [1, 7, 8, 15, 20] {
        g.send("it", PLC, 0, &[&[READ.repeat(reads), write(82)].concat()]);
        assert!(g.send("it", PLC, 0, &[READ]).contains(&holds(0)), "behind {reads} reads");
    }
    for reads in [1, 7, 14] {
        let said = g.send("it", PLC, 0, &[&READ.repeat(reads)]);
        assert_eq!(said.matches("000100000005010302").count(), reads, "{reads} reads alone are answered: {said}");
    }
}

#[test]
fn after_a_thousand_refused_attempts_a_legal_client_is_served() {
    let g = gateway!("gwslot", "enforce");
    let sink = g.server("ot", &["sink", "10.77.0.2:502"]);
    let mut client = g.plant.command("it", &g.lab);
    let out = client.args(["attempts", PLC, "1000", &write(83)]).output().expect("attempts");
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(said.contains("attempts 1000 not connected 0"), "{said}");
    assert!(g.send("it", PLC, 0, &[READ]).contains("got 06"), "served at once");
    let w = write(83);
    std::thread::sleep(Duration::from_millis(500));
    let lines = sink.lines();
    assert!(!lines.iter().any(|l| l.contains(&w)), "no write arrived");
    assert!(lines.iter().any(|l| l.contains(READ)), "the read did");
    let open = lines.iter().rev().find_map(|l| l.split(' ').nth(2).map(str::to_owned)).expect("ends");
    assert!(open.parse::<u32>().expect("number") <= 5, "connections are freed: {open} still open");
}

#[test]
fn a_dead_loader_is_a_wire() {
    let mut g = gateway!("gwdead", "enforce");
    let _plc = g.server("ot", &["modbus-server", PLC]);
    g.send("it", PLC, 0, &[&write(84)]);
    assert!(g.send("it", PLC, 0, &[READ]).contains(&holds(0)));
    g.gate.guard.0.kill().expect("killed");
    g.gate.guard.0.wait().expect("gone");
    assert!(!g.plant.xdp("p-it").expect("link") && !g.plant.xdp("p-ot").expect("link"), "nothing stays attached");
    g.send("it", PLC, 0, &[&write(84)]);
    assert!(g.send("it", PLC, 0, &[READ]).contains(&holds(84)));
}

#[test]
fn a_loader_that_hangs_is_a_wire_after_the_dead_man_time() {
    let g = gateway!("gwhang", "enforce", "--dead-man", "1s");
    let _plc = g.server("ot", &["modbus-server", PLC]);
    let pid = g.gate.guard.0.id().to_string();
    let signal = |name: &str| {
        let done = std::process::Command::new("kill").args([name, &pid]).status().expect("kill");
        assert!(done.success());
    };
    signal("-STOP");
    g.send("it", PLC, 0, &[&write(85)]);
    let within = g.send("it", PLC, 0, &[READ]);
    std::thread::sleep(Duration::from_millis(1200));
    g.send("it", PLC, 0, &[&write(86)]);
    let behind = g.send("it", PLC, 0, &[READ]);
    signal("-CONT");
    assert!(within.contains(&holds(0)), "refused as long as the last beat is fresh: {within}");
    assert!(behind.contains(&holds(86)), "the kernel passes by itself: {behind}");
}

#[test]
fn an_arming_that_is_not_confirmed_is_undone() {
    let g = gateway!("gwconf", "enforce", "--confirm-within", "2s");
    let _plc = g.server("ot", &["modbus-server", PLC]);
    g.send("it", PLC, 0, &[&write(87)]);
    assert!(g.send("it", PLC, 0, &[READ]).contains(&holds(0)));
    g.gate.wait("the roll-back", |l| l.contains("not confirmed in time"));
    g.send("it", PLC, 0, &[&write(88)]);
    assert!(g.send("it", PLC, 0, &[READ]).contains(&holds(88)));
}

#[test]
fn ports_that_come_are_followed() {
    let g = gateway!("gwport", "enforce");
    let it = g.plant.namespace("it");
    g.plant.ip("br", &["link", "add", "p-it2", "type", "veth", "peer", "name", "it1", "netns", &it]).expect("port");
    g.plant.ip("br", &["link", "set", "p-it2", "master", "br0", "up"]).expect("port of the bridge");
    let begin = Instant::now();
    while !g.plant.xdp("p-it2").expect("link") {
        assert!(begin.elapsed() < Duration::from_secs(1), "within a second");
        std::thread::sleep(Duration::from_millis(20));
    }
    g.gate.wait("the audit", |l| l.contains("gate-port-attached"));
    assert!(!g.plant.xdp("br0").expect("link"), "never on the bridge itself");
    g.plant.ip("br", &["link", "set", "p-it2", "nomaster"]).expect("leaves the bridge");
    g.gate.wait("the audit", |l| l.contains("gate-port-lost"));
    let begin = Instant::now();
    while g.plant.xdp("p-it2").expect("link") {
        assert!(begin.elapsed() < Duration::from_secs(2), "detached");
        std::thread::sleep(Duration::from_millis(20));
    }
}
