//! Captures of real stacks against labels made from another dissector: protocol, class of operation, direction.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use harness::data;
use ot_xdp::bindings::BindingTable;
use ot_xdp::source::replay::{Engine, Record, UserEngine};
use ot_xdp_common::limits::FLOWS;

/// Prefix of a capture's name and the protocols that its labelled frames may be named.
const PROTOCOLS: [(&str, &[&str]); 19] = [
    ("modbus-", &["modbus"]),
    ("s7-", &["s7comm", "cotp"]),
    ("enip-", &["enip", "cipio"]),
    ("dnp3-", &["dnp3"]),
    ("iec104-", &["iec104"]),
    ("goose-", &["goose"]),
    ("dcp-", &["pn_dcp"]),
    ("ads-", &["ads"]),
    ("fins-", &["fins"]),
    ("knx-", &["knxnet"]),
    ("slmp-", &["slmp"]),
    ("sv-", &["sv"]),
    ("ethercat-", &["ethercat"]),
    ("mms-", &["mms", "cotp"]),
    ("opcua-", &["opcua"]),
    ("mqtt-", &["mqtt"]),
    ("c37118-", &["synphasor"]),
    ("hartip-", &["hart_ip"]),
    ("bacnet-", &["bacnet"]),
];

/// Classes that a word of the labels stands for. The labels' words are those of whoever made the traffic; where a word
/// covers several classes of ours, each of them is right.
fn classes(word: &str) -> &'static [&'static str] {
    match word {
        "read" | "multi" | "read-or-unconnected-send" => &["read", "file", "diagnostic", "discovery", "session"],
        "write" | "write(set)" | "write(clock)" => &["write", "config", "file", "program-download"],
        // Reads and writes of ADS by index group: handles are found, released and used by the same two commands.
        "read-write(by index group)" => &["read", "write", "discovery", "session", "config", "file"],
        "control" | "control(blink)" => &["control", "diagnostic", "program-download", "config"],
        "program-download" => &["program-download"],
        "program-upload" => &["program-upload"],
        "diagnostic" | "test" => &["diagnostic", "session", "control", "config", "unknown", "alarm"],
        "discovery" => &["discovery", "diagnostic"],
        "session" | "link-layer" => &["session", "response", "read", "auth", "encrypted"],
        "file" => &["file"],
        "auth" => &["auth"],
        "config" | "time" => &["config", "write", "diagnostic", "response", "control"],
        "publish" | "io" => &["cyclic-io"],
        "monitor" | "interrogation" => &["read", "alarm", "control", "diagnostic"],
        "response" => &["response", "session", "alarm"],
        "unsolicited" => &["alarm"],
        "eeprom-access" => &["config", "read"],
        "rw" => &["cyclic-io"],
        "unknown" | "op" => &["unknown", "session", "response"],
        // Subscriptions of BACnet and MQTT are reads to come; a change of value is an alarm; C37.118 commands ask for data.
        "session(cov)" | "subscribe" => &["read", "session"],
        "read(cov-notif)" => &["alarm"],
        "private" => &["unknown"],
        "encrypted" => &["encrypted"],
        "command" => &["discovery", "control"],
        _ => &[],
    }
}

fn accepted(label: &str) -> Vec<&'static str> {
    label
        .split('+')
        .flat_map(|part| {
            let whole = classes(part);
            if whole.is_empty() { classes(part.split('(').next().unwrap_or(part)) } else { whole }
        })
        .copied()
        .collect()
}

/// Labels of CIP go by the service code alone, and those of Modbus know no UMAS. Ours go by the object: 0x4E of the
/// Connection Manager is Forward_Close and no write, 0x4C of an object without tags is not publicly known, and an ADS
/// write to the index group that releases handles writes nothing. Those of MMS go by the service: ours also by the item, by
/// which a read selects and a write operates.
fn object_decides(label: &str, record: &Record) -> bool {
    let has = |f: &str| record.functions.iter().any(|g| g == f);
    match record.class {
        Some("control") => matches!(label, "read" | "write") && (has("mms:creq/4") || has("mms:creq/5")),
        Some("session") => label == "write" && (has("cip:0x4e") || has("ads:3")),
        Some("unknown") => has("cip:0x52") && has("cip:0x4c"),
        _ => label == "unknown" && has("modbus:90"),
    }
}

fn folders() -> Vec<PathBuf> {
    let mut all = vec![data::root().join("tests/data/captures/live")];
    all.extend(data::shared().map(|s| s.join("live/pcaps")));
    all
}

fn records(file: &Path) -> Vec<Record> {
    let mut engine = UserEngine::new(BindingTable::default(), FLOWS);
    let frames = data::frames(file).expect("readable");
    frames.iter().zip(1..).map(|(f, n)| engine.frame(n, f, n).expect("user engine")).collect()
}

#[test]
fn every_labelled_frame() {
    if data::shared().is_none() {
        harness::skipped("the shared corpus is absent; only the repository's captures are compared");
    }
    let mut checked = BTreeMap::new();
    let mut wrong = Vec::new();
    for file in folders().iter().flat_map(|f| data::captures(f)) {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let Some((prefix, protocols)) = PROTOCOLS.iter().find(|(p, _)| name.starts_with(p)) else { continue };
        let Ok(labels) = std::fs::read_to_string(file.with_extension("labels.tsv")) else { continue };
        // RTU framing, other ports: labels of another shape.
        if labels.starts_with("#frame\tfrom\tvariant") {
            continue;
        }
        let records = records(&file);
        for line in labels.lines().skip(1) {
            let f: Vec<&str> = line.split('\t').collect();
            let [frame, from, label, malformed, ..] = f.as_slice() else { continue };
            let record = &records[frame.parse::<usize>().expect("frame number") - 1];
            *checked.entry(*prefix).or_insert(0) += 1;
            let right_name = record.protocol.is_some_and(|p| protocols.contains(&p));
            // Labels stand at the last segment of a PDU, our name at the one where its function can be read.
            if object_decides(label, record) || (right_name && record.outcome == "continuation") {
                continue;
            }
            // An answer whose question is not named in it is `response` whatever was asked.
            let right_class = label.is_empty()
                || record.class.is_some_and(|c| {
                    accepted(label).contains(&c)
                        || (c == "response" && *from == "server")
                        || (*label == "response" && record.direction == Some("response"))
                        || (*malformed == "1" && right_name)
                });
            if !right_name || !right_class {
                wrong.push(format!("{name} frame {frame} ({from}): label {label}, have {record:?}"));
            }
        }
    }
    println!("frames checked by capture: {checked:?}");
    assert_eq!(checked.len(), PROTOCOLS.len(), "every protocol has labelled captures");
    assert!(wrong.is_empty(), "{} frames differ:\n{}", wrong.len(), wrong.join("\n"));
}
