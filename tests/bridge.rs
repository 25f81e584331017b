//! The gateway with real stacks across a real bridge: writes out of the business zone do not arrive, and nothing else is
//! touched. What the controller holds is read back.

use std::time::{Duration, Instant};

use harness::gateway::{Gateway, READ, Told, holds, write};
use harness::plant::{IT, OT};
use harness::{is_root, skip};

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

#[test]
fn detach_is_the_way_back() {
    let g = gateway!("gwoff", "enforce");
    let bin = harness::binary().expect("built");
    let _plc = g.server("ot", &["modbus-server", PLC]);
    g.send("it", PLC, 0, &[&write(89)]);
    assert!(g.send("it", PLC, 0, &[READ]).contains(&holds(0)));
    let detach = || g.plant.command("br", &bin).arg("detach").output().expect("runs");
    let out = detach();
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success() && said.contains("p-it: detached") && said.contains("p-ot: detached"), "{said}");
    g.send("it", PLC, 0, &[&write(89)]);
    assert!(g.send("it", PLC, 0, &[READ]).contains(&holds(89)));
    // The loader is still there and does not put it back.
    std::thread::sleep(Duration::from_millis(600));
    assert!(!g.plant.xdp("p-it").expect("link"));
    let again = detach();
    assert!(again.status.success() && again.stdout.is_empty(), "nothing to do is fine");
}

/// Legal traffic of both directions while the gate is armed, killed, started again, and ports come and go.
#[test]
fn legal_traffic_is_never_harmed() {
    let mut g = gateway!("gwharm", "enforce");
    let bin = harness::binary().expect("built");
    let seconds: u64 = std::env::var("OT_XDP_HARM").ok().and_then(|s| s.parse().ok()).unwrap_or(15);
    let _plc = g.server("ot", &["modbus-server", PLC]);
    let address = format!("{IT}:502");
    let _server = g.server("it", &["modbus-server", &address]);
    let end = Instant::now() + Duration::from_secs(seconds);
    // Reads out of the business zone; reads and writes out of the plant: one connection each for the whole time.
    let pause = "5";
    let rounds = (seconds * 1000 / 5).to_string();
    let reader = Told::new(&g.plant, "it", &g.lab, &["modbus-reader", PLC, &rounds, pause]);
    let writer = Told::new(&g.plant, "ot", &g.lab, &["modbus-client", &address, &rounds, pause]);
    let it = g.plant.namespace("it");
    let mut round = 0u32;
    while Instant::now() < end {
        round += 1;
        match round % 3 {
            0 => {
                g.gate.guard.0.kill().expect("killed");
                g.gate.guard.0.wait().expect("gone");
                g.gate = Gateway::start(&g.plant, &bin, "enforce", &[]);
            }
            1 => {
                g.plant
                    .ip("br", &["link", "add", "p-x", "type", "veth", "peer", "name", "x0", "netns", &it])
                    .expect("port");
                g.plant.ip("br", &["link", "set", "p-x", "master", "br0", "up"]).expect("joins");
            }
            _ => g.plant.ip("br", &["link", "del", "p-x"]).expect("port"),
        }
        std::thread::sleep(Duration::from_millis(900));
    }
    reader.wait("the reader", |l| l.starts_with("reads") || l.contains("error"));
    writer.wait("the writer", |l| l.starts_with("reads") || l.contains("error"));
    assert_eq!(reader.lines(), [format!("reads {rounds} writes 0")], "every read was answered on one connection");
    let written = writer.lines().join(" ");
    assert!(written.starts_with("reads ") && !written.contains("error"), "{written}");
}

#[test]
fn over_ipv6_it_is_the_same() {
    let g = gateway!("gwv6", "enforce");
    for (side, interface, address) in [("it", "it0", "fd77::1/64"), ("ot", "ot0", "fd77::2/64")] {
        g.plant.ip(side, &["addr", "add", address, "dev", interface, "nodad"]).expect("address");
    }
    let plc = "[fd77::2]:502";
    let _plc = g.server("ot", &["modbus-server", plc]);
    assert!(g.send("it", plc, 0, &[READ]).contains(&holds(0)));
    let begin = Instant::now();
    let said = g.send("it", plc, 0, &[&write(91)]);
    assert!(said.contains("error ConnectionReset"), "{said}");
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    assert!(g.send("it", plc, 0, &[READ]).contains(&holds(0)), "nothing was written");
}

/// Segments with IP options come in the form that a stack makes of them, and so does the reset.
#[test]
fn with_ip_options_it_is_the_same() {
    use std::io::{Read, Write};

    let g = gateway!("gwopt", "enforce");
    let _plc = g.server("ot", &["modbus-server", PLC]);
    let octets = |hex: &str| -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
    };
    let connect = || {
        harness::netns::within(&g.plant.namespace("it"), || {
            let c = std::net::TcpStream::connect(PLC).expect("connects");
            c.set_read_timeout(Some(Duration::from_secs(3))).expect("time-out");
            // Three times no operation and the end of the list (RFC 791 cl. 3.1).
            harness::netns::ip_options(&c, &[1, 1, 1, 0]);
            c
        })
    };
    let mut buffer = [0; 64];
    let mut reader = connect();
    reader.write_all(&octets(READ)).expect("sends");
    assert_eq!(reader.read(&mut buffer).expect("answers"), 11, "a read is answered");
    let mut writer = connect();
    let begin = Instant::now();
    writer.write_all(&octets(&write(92))).expect("sends");
    let end = writer.read(&mut buffer).expect_err("no answer").kind();
    assert_eq!(end, std::io::ErrorKind::ConnectionReset);
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    assert!(g.send("it", PLC, 0, &[READ]).contains(&holds(0)), "nothing was written");
}
