//! What an operator does with a loader that runs: status, mode, permits, reload.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use harness::gateway::{Gateway, READ, Told, holds, write};
use harness::plant::{IT, OT};
use harness::{is_root, skip};
use serde_json::Value;

const PLC: &str = "10.77.0.2:502";

/// A gateway with a control socket of its own.
struct Controlled {
    g: Gateway,
    socket: PathBuf,
}

impl Controlled {
    fn new(name: &str, mode: &str, more: &[&str]) -> Option<Controlled> {
        let socket = std::env::temp_dir().join(format!("ot-xdp-{name}-{}", std::process::id())).join("control.sock");
        let path = socket.display().to_string();
        let g = Gateway::new(name, mode, &[&["--control", path.as_str()], more].concat())?;
        Some(Controlled { g, socket })
    }

    fn ask(&self, args: &[&str]) -> Output {
        let mut command = Command::new(harness::binary().expect("built"));
        command.args(args).arg("--control").arg(&self.socket).output().expect("runs")
    }

    /// What a command that works prints.
    fn done(&self, args: &[&str]) -> String {
        let out = self.ask(args);
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    /// What a command that is refused says.
    fn refused(&self, args: &[&str]) -> String {
        let out = self.ask(args);
        assert_eq!(out.status.code(), Some(1), "{args:?}: {}", String::from_utf8_lossy(&out.stdout));
        String::from_utf8_lossy(&out.stderr).into_owned()
    }

    fn status(&self) -> Value {
        serde_json::from_str(&self.done(&["status", "--json"])).expect("JSON")
    }

    /// Does a write from IT arrive?
    fn writes(&self, value: u16) -> bool {
        self.g.send("it", PLC, 0, &[&write(value)]);
        self.g.send("it", PLC, 0, &[READ]).contains(&holds(value))
    }

    /// The last audit event with this in its reason.
    fn audit(&self, text: &str) -> Value {
        self.g.gate.wait(text, |l| l.contains("otxdp.audit") && l.contains(text));
        let events = self.g.gate.events();
        let is_it = |e: &&Value| e["event"]["reason"].as_str().is_some_and(|r| r.contains(text));
        events.iter().rev().find(is_it).cloned().expect("the event")
    }
}

impl Drop for Controlled {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.socket.parent().expect("a directory"));
    }
}

macro_rules! controlled {
    ($name:literal, $mode:literal $(, $more:literal)*) => {{
        if !is_root() {
            skip!("needs root for namespaces and XDP");
        }
        let Some(c) = Controlled::new($name, $mode, &[$($more),*]) else {
            skip!("the release binary is not built: run `cargo xtask test`");
        };
        c
    }};
}

#[test]
fn the_mode_changes_while_everything_runs() {
    let c = controlled!("ctmode", "monitor");
    let _plc = c.g.server("ot", &["modbus-server", PLC]);
    // One connection through all modes.
    let reader = Told::new(&c.g.plant, "it", &c.g.lab, &["modbus-reader", PLC, "1000", "5"]);
    assert!(c.writes(1));
    c.done(&["mode", "enforce", "--by", "kim", "--ticket", "CHG-4"]);
    assert!(!c.writes(2));
    let audit = c.audit("mode enforce");
    assert_eq!((&audit["user"]["name"], &audit["otxdp"]["gate"]["ticket"]), (&"kim".into(), &"CHG-4".into()));
    assert_eq!(audit["otxdp"]["gate"]["mode_before"], "monitor");
    c.done(&["mode", "shadow", "--by", "kim"]);
    assert!(c.writes(3));
    c.done(&["mode", "enforce", "--by", "kim", "--confirm-within", "2s"]);
    assert!(!c.writes(4));
    assert!(c.done(&["status"]).contains("ot-xdp confirm"));
    c.done(&["confirm", "--by", "kim"]);
    std::thread::sleep(Duration::from_millis(2300));
    assert!(!c.writes(5), "confirmed: it stays");
    assert!(c.refused(&["confirm", "--by", "kim"]).contains("no arming waits"));
    assert!(c.refused(&["mode", "shadow", "--by", "kim", "--confirm-within", "2s"]).contains("only an arming"));
    c.done(&["mode", "enforce", "--by", "kim", "--confirm-within", "1s"]);
    c.audit("not confirmed in time");
    assert!(c.writes(6), "not confirmed: undone");
    reader.wait("the reader", |l| l.starts_with("reads") || l.contains("error"));
    assert_eq!(reader.lines(), ["reads 1000 writes 0"], "nobody else notices");
    harness::schema::check_all(&c.g.gate.events());
}

#[test]
fn a_permit_is_for_one_host_and_one_thing_and_ends_in_the_kernel() {
    let c = controlled!("ctperm", "enforce", "--dead-man", "60s");
    let _plc = c.g.server("ot", &["modbus-server", PLC]);
    c.g.plant.ip("it", &["addr", "add", "10.77.0.9/24", "dev", "it0"]).expect("a second host");
    assert!(!c.writes(1));
    let permit = |from: &str, class: &str, time: &str| {
        ["policy", "permit", "--from", from, "--to", OT, "--protocol", "modbus", "--class", class, "--for", time]
            .map(str::to_owned)
            .into_iter()
            .chain(["--by", "kim", "--ticket", "CHG-5"].map(str::to_owned))
            .collect::<Vec<String>>()
    };
    let done = |args: &[String]| c.done(&args.iter().map(String::as_str).collect::<Vec<_>>());
    done(&permit("10.77.0.9", "write", "1h"));
    assert!(!c.writes(2), "for another host");
    done(&permit(IT, "control", "1h"));
    assert!(!c.writes(2), "for something else");
    let said = done(&permit(IT, "write", "6s"));
    let begin = Instant::now();
    assert!(said.contains("permit 3"), "{said}");
    assert!(c.writes(3));
    let audit = c.audit("permit 3: ");
    assert_eq!(audit["user"]["name"], "kim");
    // A policy that is read again leaves permits in force.
    c.done(&["reload", "--by", "kim"]);
    assert!(c.writes(4));
    assert_eq!(c.status()["gateway"]["permits"].as_array().expect("permits").len(), 3);
    assert!(c.done(&["policy", "permits"]).contains("CHG-5"));
    // The loader stands still; the kernel ends it.
    let pid = c.g.gate.guard.0.id().to_string();
    let signal = |name: &str| assert!(Command::new("kill").args([name, &pid]).status().expect("kill").success());
    signal("-STOP");
    std::thread::sleep(Duration::from_millis(6200).saturating_sub(begin.elapsed()));
    let written = c.writes(5);
    signal("-CONT");
    assert!(!written, "its time is over");
    c.audit("permit 3 has ended");
    done(&permit(IT, "write", "1h"));
    assert!(c.writes(6));
    c.done(&["policy", "revoke", "4", "--by", "kim"]);
    assert!(!c.writes(7), "revoked");
    assert!(c.refused(&["policy", "revoke", "4", "--by", "kim"]).contains("no permit 4"));
    let wide = ["policy", "permit", "--from", IT, "--to", OT, "--protocol", "modbuss", "--for", "1m"];
    assert!(c.refused(&[&wide[..], &["--by", "kim", "--ticket", "T"]].concat()).contains("modbuss"));
    harness::schema::check_all(&c.g.gate.events());
}

#[test]
fn the_status_tells_what_became_of_frames() {
    let c = controlled!("ctstat", "enforce");
    let _plc = c.g.server("ot", &["modbus-server", PLC]);
    for n in 1..=3 {
        assert!(!c.writes(n));
    }
    let s = c.status();
    let gateway = &s["gateway"];
    assert_eq!(gateway["mode"], "enforce");
    let port = |name: &str| {
        let ports = gateway["ports"].as_array().expect("ports");
        ports.iter().find(|p| p["interface"] == name).cloned().expect("the port")
    };
    assert_eq!(port("p-it")["frames"]["reset"], 3);
    assert_eq!((&port("p-it")["side"], &port("p-it")["judged"]), (&"it".into(), &true.into()));
    assert_eq!((&port("p-ot")["side"], &port("p-ot")["judged"]), (&"ot".into(), &false.into()));
    let rules = gateway["rules"].as_array().expect("rules");
    let writes = rules.iter().find(|r| r["id"] == "protect-writes/1").expect("the rule");
    assert_eq!((&writes["frames"], &writes["refused"]), (&3.into(), &3.into()));
    // They outlive the policy.
    c.done(&["reload", "--by", "kim"]);
    assert!(!c.writes(4));
    let s = c.status();
    let rules = s["gateway"]["rules"].as_array().expect("rules");
    assert_eq!(rules.iter().find(|r| r["id"] == "protect-writes/1").expect("the rule")["refused"], 4);
}

#[test]
fn a_wrong_policy_leaves_the_old_one_in_force() {
    if !is_root() {
        skip!("needs root for namespaces and XDP");
    }
    let (Some(bin), Some(lab)) = (harness::binary(), harness::lab()) else { skip!("the release binary is not built") };
    let dir = std::env::temp_dir().join(format!("ot-xdp-ctfile-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("directory");
    let (file, socket) = (dir.join("gate.toml"), dir.join("control.sock"));
    let zones = "[[zone]]\nname = \"office\"\nside = \"it\"\nlevel = 4\nports = [\"p-it\"]\n\
                 [[zone]]\nname = \"plant\"\nside = \"ot\"\nlevel = 1\nports = [\"p-ot\"]\n";
    let with = |preset: &str| format!("[policy]\npreset = \"{preset}\"\n{zones}");
    std::fs::write(&file, with("protect-writes")).expect("file");
    let plant = harness::plant::Plant::new(&format!("otctfile{}", std::process::id())).expect("namespaces");
    let (config, path) = (file.display().to_string(), socket.display().to_string());
    let args = ["run", "--config", &config, "--bridge", "br0", "--mode", "enforce", "--interval", "1s"];
    let gate = Told::new(&plant, "br", &bin, &[&args[..], &["--control", &path]].concat());
    gate.wait("the gate", |l| l.contains("gate-mode-change"));
    let c = Controlled { g: Gateway { plant, lab, gate }, socket };
    let _plc = c.g.server("ot", &["modbus-server", PLC]);
    assert!(!c.writes(1));
    std::fs::write(&file, with("protect-wirtes")).expect("file");
    let said = c.refused(&["reload", "--by", "kim"]);
    assert!(said.contains(":2:") && said.contains("protect-wirtes"), "{said}");
    assert!(!c.writes(2), "the old one");
    let audit = c.audit("protect-wirtes");
    assert_eq!((&audit["event"]["outcome"], &audit["user"]["name"]), (&"failure".into(), &"kim".into()));
    std::fs::write(&file, with("observe")).expect("file");
    c.done(&["reload", "--by", "kim"]);
    assert!(c.writes(3), "the new one");
    let _ = std::fs::remove_dir_all(&dir);
}

#[test]
fn a_sensor_tells_its_status_and_is_no_gateway() {
    if !is_root() {
        skip!("needs root for namespaces and XDP");
    }
    let Some(bin) = harness::binary() else { skip!("the release binary is not built") };
    let plant = harness::plant::Plant::new(&format!("otctsens{}", std::process::id())).expect("namespaces");
    let socket = std::env::temp_dir().join(format!("ot-xdp-ctsens-{}.sock", std::process::id()));
    let path = socket.display().to_string();
    let args = ["run", "--interface", "p-it", "--interval", "1s", "--control", &path];
    let sensor = Told::new(&plant, "br", &bin, &args);
    sensor.wait("the sensor", |l| l.contains("\"metric\""));
    let ask = |args: &[&str]| Command::new(&bin).args(args).args(["--control", &path]).output().expect("runs");
    let status = ask(&["status"]);
    let said = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(status.status.success() && said.contains("p-it: native") && said.contains("it only listens"), "{said}");
    let mode = ask(&["mode", "enforce", "--by", "kim"]);
    assert!(!mode.status.success() && String::from_utf8_lossy(&mode.stderr).contains("no gateway"));
    drop(sensor);
    let gone = ask(&["status"]);
    assert!(!gone.status.success() && String::from_utf8_lossy(&gone.stderr).contains("is `ot-xdp run` running?"));
    assert!(!socket.exists(), "removed at the end");
}

#[test]
fn a_policy_is_tried_on_live_traffic_and_refuses_nothing() {
    if !is_root() {
        skip!("needs root for namespaces and XDP");
    }
    let (Some(bin), Some(lab)) = (harness::binary(), harness::lab()) else { skip!("the release binary is not built") };
    let file = std::env::temp_dir().join(format!("ot-xdp-ctlive-{}.toml", std::process::id()));
    let zones = "[policy]\npreset = \"protect-writes\"\n\
                 [[zone]]\nname = \"office\"\nside = \"it\"\nlevel = 4\nports = [\"p-it\"]\n\
                 [[zone]]\nname = \"plant\"\nside = \"ot\"\nlevel = 1\nports = [\"p-ot\"]\n";
    std::fs::write(&file, zones).expect("file");
    let plant = harness::plant::Plant::new(&format!("otctlive{}", std::process::id())).expect("namespaces");
    let config = file.display().to_string();
    let args = ["policy", "simulate", "--config", &config, "--live", "br0", "--duration", "8s", "--json"];
    let table = Told::new(&plant, "br", &bin, &args);
    let begin = Instant::now();
    while !plant.xdp("p-ot").expect("link") {
        assert!(begin.elapsed() < Duration::from_secs(30), "attached");
        std::thread::sleep(Duration::from_millis(50));
    }
    let g = Gateway { plant, lab, gate: table };
    let _plc = g.server("ot", &["modbus-server", PLC]);
    assert!(g.send("it", PLC, 0, &[&write(9)]).contains("got"));
    assert!(g.send("it", PLC, 0, &[READ]).contains(&holds(9)), "nothing is refused");
    g.gate.wait("the table", |l| l == "}");
    let report: Value = serde_json::from_str(&g.gate.lines().concat()).expect("JSON");
    let finding = &report["findings"][0];
    assert_eq!((&finding["what"], &finding["source"]), (&"modbus:6".into(), &IT.into()), "{report}");
    assert_eq!((&report["denied"], &finding["action"]), (&1.into(), &"deny".into()));
    let _ = std::fs::remove_file(&file);
}
