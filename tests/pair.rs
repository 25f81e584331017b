//! `--pair`: two interfaces without a bridge, forwarded in the driver, with real stacks at both ends.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use harness::echo::datagrams;
use harness::gateway::{Gateway, READ, Told, holds, write};
use harness::netns::{ETHTOOL_SGRO, ETHTOOL_STXCSUM, feature};
use harness::plant::{IT, Plant};
use harness::{is_root, skip};

const PLC: &str = "10.77.0.2:502";

/// A plant whose two ports are in no bridge.
fn unbridged(name: &str) -> Plant {
    let plant = Plant::new(&format!("ot{name}{}", std::process::id())).expect("namespaces");
    for port in ["p-it", "p-ot"] {
        plant.ip("br", &["link", "set", port, "nomaster"]).expect("leaves the bridge");
    }
    for (side, interface) in [("it", "it0"), ("ot", "ot0")] {
        // A veth takes redirected frames only where its other end polls, and what says that a checksum is still to be
        // made does not come through XDP. Neither is so of hardware.
        feature(&plant.namespace(side), interface, ETHTOOL_SGRO, true);
        feature(&plant.namespace(side), interface, ETHTOOL_STXCSUM, false);
    }
    plant
}

fn start(plant: &Plant, more: &[&str]) -> Told {
    let bin = harness::binary().expect("built");
    let args = [&["run", "--pair", "p-it:p-ot", "--mode", "enforce", "--interval", "1s"], more].concat();
    let gate = Told::new(plant, "br", &bin, &args);
    gate.wait("the gate", |l| l.contains("gate-mode-change"));
    gate
}

macro_rules! pair {
    ($name:literal) => {{
        if !is_root() {
            skip!("needs root for namespaces and XDP");
        }
        let (Some(_), Some(lab)) = (harness::binary(), harness::lab()) else {
            skip!("the release binary is not built: run `cargo xtask test`");
        };
        let plant = unbridged($name);
        let gate = start(&plant, &[]);
        Gateway { plant, lab, gate }
    }};
}

#[test]
fn what_passes_is_forwarded_and_writes_from_it_are_refused() {
    let g = pair!("prmat");
    let _plc = g.server("ot", &["modbus-server", PLC]);
    assert!(g.send("it", PLC, 0, &[READ]).contains(&holds(0)));
    let said = g.send("it", PLC, 0, &[&write(77)]);
    assert!(said.contains("error ConnectionReset"), "the client is free: {said}");
    assert!(g.send("it", PLC, 0, &[READ]).contains(&holds(0)), "nothing was written");
    g.gate.wait("the event", |l| l.contains("\"dropped\""));
    let address = format!("{IT}:502");
    let _server = g.server("it", &["modbus-server", &address]);
    assert!(g.send("ot", &address, 0, &[&write(78)]).contains(&format!("got {}", write(78))), "out of the plant");
}

#[test]
fn no_frame_is_lost_or_changed_on_the_way() {
    let g = pair!("prload");
    let (from, to) = (g.plant.namespace("it"), g.plant.namespace("ot"));
    let done = AtomicBool::new(false);
    let echoes = std::thread::scope(|s| {
        let echoes = s.spawn(|| datagrams(&from, &to, "10.77.0.2:502", Duration::from_micros(200), &done));
        std::thread::sleep(Duration::from_secs(3));
        done.store(true, Ordering::Relaxed);
        echoes.join().expect("no panic")
    });
    assert_eq!((echoes.sent, echoes.wrong), (echoes.answered, 0), "{echoes:?}");
    assert!(echoes.sent > 5_000, "{echoes:?}");
}

fn has_carrier(plant: &Plant, side: &str, interface: &str) -> bool {
    let mut ip = Command::new("ip");
    let out = ip.args(["-n", &plant.namespace(side), "-o", "link", "show", interface]).output().expect("ip");
    String::from_utf8_lossy(&out.stdout).contains("LOWER_UP")
}

fn wait_for_carrier(plant: &Plant, side: &str, interface: &str, there: bool) {
    let begin = Instant::now();
    while has_carrier(plant, side, interface) != there {
        assert!(begin.elapsed() < Duration::from_secs(20), "{interface}: carrier {there}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn the_loss_of_a_link_is_seen_on_the_other_side() {
    let g = pair!("prlink");
    let _plc = g.server("ot", &["modbus-server", PLC]);
    for (lost, host, other, far) in [("it", "it0", "ot", "ot0"), ("ot", "ot0", "it", "it0")] {
        g.plant.ip(lost, &["link", "set", host, "down"]).expect("down");
        wait_for_carrier(&g.plant, other, far, false);
        g.plant.ip(lost, &["link", "set", host, "up"]).expect("up");
        wait_for_carrier(&g.plant, other, far, true);
    }
    assert!(g.send("it", PLC, 0, &[READ]).contains(&holds(0)), "open again");
    g.gate.wait("the audit", |l| l.contains("gate-link-mirrored"));
}

#[test]
fn a_pair_that_is_not_pinned_is_closed_with_its_loader_and_a_pinned_one_is_not() {
    let mut g = pair!("prpin");
    let _plc = g.server("ot", &["modbus-server", PLC]);
    g.gate.guard.0.kill().expect("killed");
    g.gate.guard.0.wait().expect("gone");
    // Not `send`: it insists on a connection.
    let mut probe = g.plant.command("it", &g.lab);
    let out = probe.args(["attempts", PLC, "1", READ]).output().expect("probe");
    assert!(!String::from_utf8_lossy(&out.stdout).contains("not connected 0"), "closed");

    let fs = std::env::temp_dir().join(format!("ot-xdp-prpin-{}", std::process::id()));
    std::fs::create_dir_all(&fs).expect("directory");
    assert!(Command::new("mount").args(["-t", "bpf", "bpf"]).arg(&fs).status().expect("mount").success());
    let pin = format!("--pin={}", fs.join("pins").display());
    g.gate = start(&g.plant, &[&pin, "--dead-man", "3s"]);
    assert!(g.send("it", PLC, 0, &[READ]).contains(&holds(0)), "open again");
    g.gate.guard.0.kill().expect("killed");
    g.gate.guard.0.wait().expect("gone");
    let open = g.send("it", PLC, 0, &[READ]);
    std::thread::sleep(Duration::from_millis(3200));
    g.send("it", PLC, 0, &[&write(7)]);
    let wire = g.send("it", PLC, 0, &[READ]);
    let mut detach = g.plant.command("br", &harness::binary().expect("built"));
    let detached = detach.arg("detach").arg("--pin").arg(fs.join("pins")).output().expect("runs");
    let _ = Command::new("umount").arg(&fs).status();
    let _ = std::fs::remove_dir(&fs);
    assert!(open.contains(&holds(0)), "forwards without its loader: {open}");
    assert!(wire.contains(&holds(7)), "a wire after the dead-man time: {wire}");
    assert!(detached.status.success(), "{}", String::from_utf8_lossy(&detached.stderr));
}

#[test]
fn wrong_pairs_are_refused() {
    if !is_root() {
        skip!("needs root for namespaces and XDP");
    }
    let Some(bin) = harness::binary() else { skip!("the release binary is not built: run `cargo xtask test`") };
    let plant = Plant::new(&format!("otprbad{}", std::process::id())).expect("namespaces");
    let said = |args: &[&str]| {
        let out = plant.command("br", &bin).arg("run").args(args).output().expect("runs");
        assert!(!out.status.success(), "{args:?}");
        String::from_utf8_lossy(&out.stderr).into_owned()
    };
    assert!(said(&["--pair", "p-it"]).contains("it0:ot0"));
    assert!(said(&["--pair", "p-it:p-ot"]).contains("port of a bridge"));
    assert!(said(&["--pair", "p-none:p-it"]).contains("p-none"));
    assert!(said(&["--pair", "p-it:p-ot", "--pair", "p-it:br0"]).contains("two pairs"));
    assert!(said(&["--pair", "p-it:p-ot", "--bridge", "br0"]).contains("cannot be used with"));
    for port in ["p-it", "p-ot"] {
        plant.ip("br", &["link", "set", port, "nomaster"]).expect("leaves the bridge");
    }
    let text = said(&["--pair", "p-it:p-ot"]);
    assert!(text.contains("ndo_xdp_xmit"), "nobody could receive what is sent: {text}");
}
