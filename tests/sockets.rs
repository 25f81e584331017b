//! Real stacks across a real bridge: every request counted once, in the right class; passive mode loses nothing.

use std::io::Read;
use std::process::Stdio;
use std::time::Duration;

use harness::plant::{Guard, OT, Plant};
use harness::{is_root, skip};
use serde_json::Value;

/// Requests that the client sends: eight reads, one write, one read of what was written, again and again.
const REQUESTS: u64 = 1_000;

fn output(guard: &mut Guard) -> String {
    let mut text = String::new();
    if let Some(mut out) = guard.0.stdout.take() {
        out.read_to_string(&mut text).expect("readable output");
    }
    text
}

/// `otxdp.ops.CLASS.KIND` summed over the flow events of one interface.
fn operations(events: &[Value], interface: &str, class: &str, kind: &str) -> u64 {
    events
        .iter()
        .filter(|e| e["event"]["action"] == "ot-flow-summary")
        .filter(|e| e["observer"]["ingress"]["interface"]["name"] == interface)
        .filter_map(|e| e["otxdp"]["ops"][class][kind].as_u64())
        .sum()
}

/// Waits until the sensor has loaded its programs and is attached to these ports.
fn attached(plant: &Plant, ports: &[&str]) {
    for _ in 0..300 {
        if ports.iter().all(|port| plant.xdp(port).unwrap_or(false)) {
            // Its start-up events come right after.
            std::thread::sleep(Duration::from_millis(300));
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("not attached within 30 seconds");
}

#[test]
fn every_modbus_request_is_counted_once_and_none_is_lost() {
    if !is_root() {
        skip!("needs root for namespaces and XDP");
    }
    let (Some(bin), Some(lab)) = (harness::binary(), harness::lab()) else {
        skip!("the release binary is not built: run `cargo xtask test`");
    };
    let plant = Plant::new(&format!("otsock{}", std::process::id())).expect("namespaces");
    let mut sensor = plant.command("br", &bin);
    sensor.args(["run", "-i", "p-it", "-i", "p-ot", "--interval", "1s"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut sensor = Guard(sensor.spawn().expect("sensor"));
    let address = format!("{OT}:502");
    let mut server = plant.command("ot", &lab);
    let mut server = Guard(server.args(["modbus-server", &address]).stdout(Stdio::piped()).spawn().expect("server"));
    // The sensor verifies and attaches, the server listens; both say so, but a fixed moment is enough here.
    attached(&plant, &["p-it", "p-ot"]);
    let mut client = plant.command("it", &lab);
    let client = client.args(["modbus-client", &address, &REQUESTS.to_string(), "0"]).output().expect("client");
    assert!(client.status.success(), "client: {}", String::from_utf8_lossy(&client.stderr));
    let client = String::from_utf8_lossy(&client.stdout).into_owned();
    assert_eq!(client.trim(), "reads 900 writes 100", "every request was answered, and writes were read back");

    assert!(server.stop().expect("server ends").success());
    assert!(output(&mut server).contains(&format!("answered {REQUESTS}")), "the server saw every request once");
    assert!(sensor.stop().expect("sensor ends").success(), "exit code 0 at SIGTERM");
    let text = output(&mut sensor);
    let events: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).expect("JSON lines")).collect();

    // Requests come in on the IT port, responses on the OT port. Both are counted where they come in, once.
    assert_eq!(operations(&events, "p-it", "read", "requests"), 900);
    assert_eq!(operations(&events, "p-it", "write", "requests"), 100);
    let all = |class, kind| operations(&events, "p-it", class, kind) + operations(&events, "p-ot", class, kind);
    assert_eq!((all("read", "requests"), all("read", "responses")), (900, 900));
    assert_eq!((all("write", "requests"), all("write", "responses")), (100, 100));

    let health: Vec<&Value> = events.iter().filter(|e| e["event"]["action"] == "otxdp-stats").collect();
    assert!(health.iter().all(|e| e["otxdp"]["xdp"]["attach_mode"] == "native"), "attached in the driver");
    assert!(health.iter().all(|e| e["otxdp"]["health"]["status"] == "ok"), "accounting holds in every interval");
    let sequence: Vec<u64> = events.iter().filter_map(|e| e["event"]["sequence"].as_u64()).collect();
    assert_eq!(sequence, (1..=events.len() as u64).collect::<Vec<_>>(), "sequence without a gap");
    harness::schema::check_all(&events);
}

/// The interface goes and comes back: the sensor says so and goes on.
#[test]
fn an_interface_that_comes_back_is_attached_again() {
    if !is_root() {
        skip!("needs root for namespaces and XDP");
    }
    let Some(bin) = harness::binary() else { skip!("the release binary is not built: run `cargo xtask test`") };
    let plant = Plant::new(&format!("otback{}", std::process::id())).expect("namespaces");
    let mut sensor = plant.command("br", &bin);
    sensor.args(["run", "-i", "p-it", "--interval", "1s"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut sensor = Guard(sensor.spawn().expect("sensor"));
    attached(&plant, &["p-it"]);
    plant.ip("br", &["link", "del", "p-it"]).expect("interface goes");
    std::thread::sleep(Duration::from_millis(1500));
    let it = plant.namespace("it");
    plant.ip("br", &["link", "add", "p-it", "type", "veth", "peer", "name", "it0", "netns", &it]).expect("and is back");
    plant.ip("br", &["link", "set", "p-it", "up"]).expect("up");
    std::thread::sleep(Duration::from_millis(1500));
    assert!(sensor.stop().expect("sensor ends").success());
    let text = output(&mut sensor);
    let modes: Vec<String> = text
        .lines()
        .map(|l| serde_json::from_str::<Value>(l).expect("JSON lines"))
        .filter(|e| e["event"]["action"] == "otxdp-stats")
        .filter_map(|e| e["otxdp"]["xdp"]["attach_mode"].as_str().map(str::to_owned))
        .collect();
    let gone = modes.iter().position(|m| m == "detached").expect("reported as detached");
    assert!(modes.iter().skip(gone).any(|m| m == "native"), "attached again afterwards: {modes:?}");
}

/// A second instance must not take the interface from the first.
#[test]
fn an_occupied_interface_is_refused() {
    if !is_root() {
        skip!("needs root for namespaces and XDP");
    }
    let Some(bin) = harness::binary() else { skip!("the release binary is not built: run `cargo xtask test`") };
    let plant = Plant::new(&format!("ottwo{}", std::process::id())).expect("namespaces");
    let mut first = plant.command("br", &bin);
    let first = first.args(["run", "-i", "p-it"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("sensor");
    let mut first = Guard(first);
    attached(&plant, &["p-it"]);
    let second = plant.command("br", &bin).args(["run", "-i", "p-it", "--duration", "1s"]).output().expect("second");
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.contains("ot_xdp") && said.contains("ot-xdp detach"), "names the program and says what to do: {said}");
    assert!(first.stop().expect("first ends").success());
}

/// The sensor is killed while a client is at work: no request is lost, and nothing of the program stays behind.
#[test]
fn a_dead_sensor_is_a_wire() {
    if !is_root() {
        skip!("needs root for namespaces and XDP");
    }
    let (Some(bin), Some(lab)) = (harness::binary(), harness::lab()) else {
        skip!("the release binary is not built: run `cargo xtask test`");
    };
    let plant = Plant::new(&format!("otdead{}", std::process::id())).expect("namespaces");
    let mut sensor = plant.command("br", &bin);
    sensor.args(["run", "-i", "p-it", "-i", "p-ot"]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut sensor = Guard(sensor.spawn().expect("sensor"));
    let address = format!("{OT}:502");
    let mut server = plant.command("ot", &lab);
    let _server = Guard(server.args(["modbus-server", &address]).stdout(Stdio::null()).spawn().expect("server"));
    attached(&plant, &["p-it", "p-ot"]);
    assert!(plant.xdp("p-it").expect("link"), "attached");
    let mut client = plant.command("it", &lab);
    let client = client.args(["modbus-client", &address, "300", "5"]).stdout(Stdio::piped()).spawn().expect("client");
    std::thread::sleep(Duration::from_millis(500));
    sensor.0.kill().expect("kill -9");
    sensor.0.wait().expect("gone");
    let done = client.wait_with_output().expect("client ends");
    assert!(done.status.success(), "the session went on");
    assert_eq!(String::from_utf8_lossy(&done.stdout).trim(), "reads 270 writes 30");
    assert!(!plant.xdp("p-it").expect("link"), "nothing stays attached");
}
