//! `--pin`: enforcement and counters outlive the loader, and restarts lose no frame.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use harness::bpffs::BpfFs;
use harness::echo::datagrams;
use harness::gateway::{Gateway, READ, Told, holds, write};
use harness::{is_root, skip};

const PLC: &str = "10.77.0.2:502";

fn kill(told: &mut Told, signal: &str) {
    let pid = told.guard.0.id().to_string();
    assert!(Command::new("kill").args([signal, &pid]).status().expect("kill").success());
    told.guard.0.wait().expect("gone");
}

fn gateway(name: &str, fs: &BpfFs, more: &[&str]) -> Option<Gateway> {
    let pin = fs.option();
    Gateway::new(name, "enforce", &[&[pin.as_str()], more].concat())
}

/// Frames of a port as of the last health event.
fn frames(told: &Told, port: &str) -> u64 {
    let events = told.events();
    let mut all = events.iter().rev().filter(|e| e["event"]["kind"] == "metric");
    let health = all.find(|e| e["observer"]["ingress"]["interface"]["name"] == port).expect("health of the port");
    health["otxdp"]["xdp"]["interface"]["frames"].as_u64().expect("frames")
}

#[test]
fn enforcement_outlives_the_loader_and_ends_with_the_dead_man_time() {
    if !is_root() {
        skip!("needs root for namespaces and XDP");
    }
    let fs = BpfFs::new("pin1");
    let Some(mut g) = gateway("pnout", &fs, &["--dead-man", "4s"]) else { skip!("the release binary is not built") };
    let bin = harness::binary().expect("built");
    let _plc = g.server("ot", &["modbus-server", PLC]);
    g.send("it", PLC, 0, &[&write(1)]);
    assert!(g.send("it", PLC, 0, &[READ]).contains(&holds(0)));
    g.gate.wait("the counters", |l| l.contains("\"metric\""));
    kill(&mut g.gate, "-KILL");
    let died = Instant::now();
    g.send("it", PLC, 0, &[&write(2)]);
    assert!(g.send("it", PLC, 0, &[READ]).contains(&holds(0)), "still refused");
    assert!(died.elapsed() < Duration::from_secs(4), "the machine was fast enough for this test");
    std::thread::sleep(Duration::from_secs(4).saturating_sub(died.elapsed()) + Duration::from_millis(200));
    g.send("it", PLC, 0, &[&write(3)]);
    assert!(g.send("it", PLC, 0, &[READ]).contains(&holds(3)), "nobody has come back: a wire");

    let before = frames(&g.gate, "p-it");
    g.gate = Gateway::start(&g.plant, &bin, "enforce", &[&fs.option(), "--dead-man", "4s"]);
    g.send("it", PLC, 0, &[&write(4)]);
    assert!(g.send("it", PLC, 0, &[READ]).contains(&holds(3)), "refused again");
    g.gate.wait("the counters", |l| l.contains("\"metric\""));
    std::thread::sleep(Duration::from_millis(1200));
    assert!(frames(&g.gate, "p-it") > before, "the counters go on");
    let news = g.gate.events().into_iter().filter(|e| e["event"]["action"] == "first-seen").count();
    assert_eq!(news, 0, "what was reported once is not new again");
}

#[test]
fn restarts_lose_no_frame_and_let_no_write_through() {
    if !is_root() {
        skip!("needs root for namespaces and XDP");
    }
    let fs = BpfFs::new("pin2");
    let Some(mut g) = gateway("pnload", &fs, &[]) else { skip!("the release binary is not built") };
    let bin = harness::binary().expect("built");
    let _plc = g.server("ot", &["modbus-server", PLC]);
    let reader = Told::new(&g.plant, "it", &g.lab, &["modbus-reader", PLC, "2000", "5"]);
    let (from, to) = (g.plant.namespace("it"), g.plant.namespace("ot"));
    let done = AtomicBool::new(false);
    let (echoes, rounds) = std::thread::scope(|s| {
        let echoes = s.spawn(|| datagrams(&from, &to, "10.77.0.2:502", Duration::from_micros(500), &done));
        let begin = Instant::now();
        let mut rounds = 0;
        // Half of the restarts change the layout of the maps, as an upgrade may: the program is exchanged all the same.
        while begin.elapsed() < Duration::from_secs(9) {
            kill(&mut g.gate, if rounds % 2 == 0 { "-KILL" } else { "-TERM" });
            g.send("it", PLC, 0, &[&write(5)]);
            let flows = ["65536", "32768"][rounds / 2 % 2];
            g.gate = Gateway::start(&g.plant, &bin, "enforce", &[&fs.option(), "--flows", flows]);
            g.send("it", PLC, 0, &[&write(6)]);
            rounds += 1;
        }
        done.store(true, Ordering::Relaxed);
        (echoes.join().expect("no panic"), rounds)
    });
    assert!(rounds >= 3, "{rounds} restarts");
    assert_eq!((echoes.sent, echoes.wrong), (echoes.answered, 0), "{rounds} restarts: {echoes:?}");
    assert!(echoes.sent > 10_000, "{echoes:?}");
    reader.wait("the reader", |l| l.starts_with("reads") || l.contains("error"));
    assert_eq!(reader.lines(), ["reads 2000 writes 0"], "one connection, every read answered");
    assert!(g.send("it", PLC, 0, &[READ]).contains(&holds(0)), "no write arrived in {rounds} restarts");
    let names = fs.names();
    assert_eq!(names.len(), 4, "two links, one program array, one state: {names:?}");
}

#[test]
fn detach_removes_programs_and_pins() {
    if !is_root() {
        skip!("needs root for namespaces and XDP");
    }
    let fs = BpfFs::new("pin3");
    let Some(mut g) = gateway("pndet", &fs, &[]) else { skip!("the release binary is not built") };
    let bin = harness::binary().expect("built");
    kill(&mut g.gate, "-KILL");
    assert!(g.plant.xdp("p-it").expect("link") && g.plant.xdp("p-ot").expect("link"), "pinned");
    // Without the pins a loader takes no interface from it.
    let mut other = g.plant.command("br", &bin);
    let other = other.args(["run", "--bridge", "br0", "--duration", "1s"]).output().expect("runs");
    assert!(!other.status.success());
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(said.contains("ot-xdp detach"), "{said}");

    let pins = fs.pins();
    let detach = |dir: &Path| g.plant.command("br", &bin).arg("detach").arg("--pin").arg(dir).output().expect("runs");
    let out = detach(&pins);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(!g.plant.xdp("p-it").expect("link") && !g.plant.xdp("p-ot").expect("link"));
    assert!(!pins.exists(), "{:?}", fs.names());
    assert!(detach(&pins).status.success(), "nothing to do is fine");
}

#[test]
fn one_directory_is_for_one_loader_and_on_a_bpf_file_system() {
    if !is_root() {
        skip!("needs root for namespaces and XDP");
    }
    let fs = BpfFs::new("pin4");
    let Some(g) = gateway("pnone", &fs, &[]) else { skip!("the release binary is not built") };
    let bin = harness::binary().expect("built");
    let run = |pin: &str| {
        let mut second = g.plant.command("br", &bin);
        let out = second.args(["run", "--bridge", "br0", "--duration", "1s", pin]).output().expect("runs");
        assert!(!out.status.success());
        String::from_utf8_lossy(&out.stderr).into_owned()
    };
    let said = run(&fs.option());
    assert!(said.contains("another ot-xdp uses"), "{said}");
    let said = run("--pin=/tmp/no-bpf-here");
    assert!(said.contains("mount -t bpf"), "{said}");
    assert!(g.plant.xdp("p-it").expect("link"), "the first one is untouched");
}
