//! `ot-xdp policy simulate` on a capture, and on what a sensor counted of the same capture.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use harness::skip;
use serde_json::Value;

const POLICY: &str = "[policy]\npreset = \"protect-writes\"\n\
    [[zone]]\nname = \"office\"\nside = \"it\"\nlevel = 4\nprefixes = [\"10.77.0.1/32\"]\n\
    [[zone]]\nname = \"plant\"\nside = \"ot\"\nlevel = 1\nprefixes = [\"10.77.0.2/32\"]\n";

fn run(bin: &Path, args: &[&str]) -> Vec<u8> {
    let out = Command::new(bin).args(args).output().expect("runs");
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}

/// What is denied: source, destination, function.
fn denied(report: &[u8]) -> BTreeSet<(String, String, String)> {
    let report: Value = serde_json::from_slice(report).expect("JSON");
    let text = |f: &Value, key: &str| f[key].as_str().expect("text").to_owned();
    let findings = report["findings"].as_array().expect("findings");
    let operations = findings.iter().filter(|f| f["what"].as_str().is_some_and(|w| w.contains(':')));
    operations.map(|f| (text(f, "source"), text(f, "destination"), text(f, "what"))).collect()
}

#[test]
fn counters_and_captures_tell_the_same_denials() {
    let Some(bin) = harness::binary() else { skip!("the release binary is not built: run `cargo xtask test`") };
    let dir = std::env::temp_dir().join(format!("ot-xdp-simulate-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("directory");
    let (config, events) = (dir.join("policy.toml"), dir.join("events.ndjson"));
    std::fs::write(&config, POLICY).expect("file");
    let config = config.display().to_string();
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/captures/live");
    for name in ["modbus-pymodbus", "modbus-libmodbus", "s7-libsnap7", "iec104-c104", "enip-pylogix"] {
        let capture = captures.join(format!("{name}.pcap")).display().to_string();
        std::fs::write(&events, run(&bin, &["replay", &capture])).expect("events");
        let of_capture = run(&bin, &["policy", "simulate", "-c", &config, "--json", "--captures", &capture]);
        let counted = events.display().to_string();
        let of_counters = run(&bin, &["policy", "simulate", "-c", &config, "--json", "--baseline", &counted]);
        assert!(!denied(&of_capture).is_empty(), "{name}: the capture has writes");
        assert_eq!(denied(&of_counters), denied(&of_capture), "{name}");
    }
    let _ = std::fs::remove_dir_all(&dir);
}
