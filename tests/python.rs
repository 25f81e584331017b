//! Independent Python stacks across the bridge, each a process of its own: every request counted once, in its class.
//!
//! Only with `OT_XDP_PYTHON=1`: the test then installs the stacks from PyPI below the target folder.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use harness::plant::{Guard, Plant};
use harness::{data, is_root, skip};
use serde_json::Value;

/// Reads, and as many writes, that each client sends.
const EACH: u64 = 50;

/// Protocol, package with its version, script.
const STACKS: [(&str, &str, &str); 2] =
    [("modbus", "pymodbus==3.16.1", "modbus_pair.py"), ("s7comm", "python-snap7==1.4.1", "s7_pair.py")];

fn install(package: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python").join(package.replace("==", "-"));
    if !folder.is_dir() {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--no-cache-dir", "--target"]).arg(&folder).arg(package);
        if !pip.status().is_ok_and(|s| s.success()) {
            return None;
        }
    }
    Some(folder)
}

#[test]
fn every_request_of_a_python_stack_is_counted_once() {
    if std::env::var_os("OT_XDP_PYTHON").is_none() {
        skip!("installs Python stacks from PyPI: set OT_XDP_PYTHON=1 to run it");
    }
    if !is_root() {
        skip!("needs root for namespaces and XDP");
    }
    let Some(bin) = harness::binary() else { skip!("the release binary is not built: run `cargo xtask test`") };
    for (protocol, package, script) in STACKS {
        let Some(stack) = install(package) else {
            harness::skipped(&format!("{package} cannot be installed"));
            continue;
        };
        let script = data::root().join("tests/python").join(script);
        let plant = Plant::new(&format!("otpy{}", std::process::id())).expect("namespaces");
        let mut sensor = plant.command("br", &bin);
        sensor.args(["run", "-i", "p-it", "-i", "p-ot", "--interval", "1s"]);
        let mut sensor = Guard(sensor.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("sensor"));
        let python = |side: &str, role: &[&str]| {
            let mut c = plant.command(side, Path::new("python3"));
            c.arg(&script).arg(&stack).args(role);
            c
        };
        let _server = Guard(python("ot", &["server"]).stdout(Stdio::null()).spawn().expect("server"));
        std::thread::sleep(Duration::from_secs(3));
        let client = python("it", &["client", &EACH.to_string()]).output().expect("client");
        assert!(client.status.success(), "{package}: {}", String::from_utf8_lossy(&client.stderr));
        let out = sensor.0.stdout.take().expect("its output");
        assert!(sensor.stop().expect("sensor ends").success());
        let text = std::io::read_to_string(out).expect("readable");
        let events: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).expect("JSON lines")).collect();
        harness::schema::check_all(&events);
        let count = |class: &str, kind: &str| -> u64 {
            let flows = events.iter().filter(|e| e["event"]["action"] == "ot-flow-summary");
            let ours =
                flows.filter(|e| e["otxdp"]["protocols"].as_array().is_some_and(|p| p.iter().any(|n| n == protocol)));
            ours.filter_map(|e| e["otxdp"]["ops"][class][kind].as_u64()).sum()
        };
        assert_eq!((count("read", "requests"), count("write", "requests")), (EACH, EACH), "{package}");
        assert_eq!((count("read", "responses"), count("write", "responses")), (EACH, EACH), "{package}");
        println!("{package}: {EACH} reads and {EACH} writes counted once");
    }
}
