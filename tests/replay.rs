//! The built program on captures: records, events, faults of files.

use std::process::{Command, Output};

use harness::{data, is_root, skip};
use serde_json::Value;

fn replay(args: &[&str]) -> Option<Output> {
    Some(Command::new(harness::binary()?).arg("replay").args(args).output().expect("the program starts"))
}

#[test]
fn a_cut_capture_gives_what_is_readable_and_exit_code_1() {
    let whole = std::fs::read(data::root().join("tests/data/captures/modbus.pcap")).expect("capture");
    let cut = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cut.pcap");
    std::fs::write(&cut, &whole[..whole.len() - 5]).expect("written");
    let path = cut.to_string_lossy().into_owned();
    let Some(out) = replay(&[&path, "--frames"]) else {
        skip!("the release binary is not built: run `cargo xtask test`")
    };
    let (stdout, stderr) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert_eq!(out.status.code(), Some(1), "{stderr}");
    let good = data::frames(&data::root().join("tests/data/captures/modbus.pcap")).expect("readable").len();
    assert_eq!(stdout.lines().count(), good - 1, "every frame before the fault");
    assert!(stderr.contains("cut.pcap") && stderr.contains("octet"), "file and offset: {stderr}");
}

#[test]
fn the_same_frames_in_every_packing_give_the_same_records() {
    let mut records = Vec::new();
    for name in ["modbus.pcap", "modbus.pcapng", "modbus.pcap.gz", "modbus.pcapng.zst"] {
        let path = data::root().join("tests/data/captures").join(name).to_string_lossy().into_owned();
        let Some(out) = replay(&[&path, "--frames"]) else {
            skip!("the release binary is not built: run `cargo xtask test`")
        };
        assert!(out.status.success(), "{name}: {}", String::from_utf8_lossy(&out.stderr));
        records.push(String::from_utf8_lossy(&out.stdout).into_owned());
    }
    assert!(records[0].contains("modbus:"));
    assert!(records.windows(2).all(|w| w[0] == w[1]));
}

/// Events of every capture of the repository, by both engines: valid, gap-free, books balanced, the same operations.
#[test]
fn events_of_every_capture_are_valid_and_equal_in_both_engines() {
    let engines: &[&str] = if is_root() { &["user", "kernel"] } else { &["user"] };
    if engines.len() < 2 {
        harness::skipped("needs root for the kernel engine; only the user engine is checked");
    }
    for file in data::own_captures() {
        let path = file.to_string_lossy().into_owned();
        let mut operations = Vec::new();
        for engine in engines {
            let Some(out) = replay(&[&path, "--engine", engine]) else {
                skip!("the release binary is not built: run `cargo xtask test`")
            };
            assert!(out.status.success(), "{path}: {}", String::from_utf8_lossy(&out.stderr));
            let text = String::from_utf8_lossy(&out.stdout).into_owned();
            let events: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).expect("JSON lines")).collect();
            harness::schema::check_all(&events);
            let sequence: Vec<u64> = events.iter().filter_map(|e| e["event"]["sequence"].as_u64()).collect();
            assert_eq!(sequence, (1..=events.len() as u64).collect::<Vec<_>>(), "{path}: sequence without a gap");
            let of = |action: &'static str| events.iter().filter(move |e| e["event"]["action"] == action);
            assert!(of("otxdp-stats").count() > 0, "{path}: no health event");
            assert!(of("otxdp-stats").all(|e| e["otxdp"]["health"]["status"] == "ok"), "{path}: the books are off");
            let mut ops: Vec<String> = of("ot-flow-summary").map(|e| e["otxdp"]["ops"].to_string()).collect();
            ops.sort();
            operations.push(ops);
        }
        assert!(operations.windows(2).all(|w| w[0] == w[1]), "{path}: engines differ");
    }
}
