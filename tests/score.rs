//! Public captures with a truth for each frame: share of frames named right, by protocol.
//!
//! Counted are frames of level `must` (the frame alone begins a PDU of that protocol). `functions` compares the whole
//! list of a frame with what a dissector shows frame by frame, or credits to it as a stream; `direction` the first one.
//! Frames of level `no` must not get the name of an industrial protocol. The captures are not part of the repository.
//! Scored is user space; `differential.rs` holds the kernel program to the same answers on the same frames.

use std::collections::BTreeMap;
use std::path::Path;

use harness::{data, skip};
use ot_xdp::bindings::BindingTable;
use ot_xdp::source::replay::{Engine, Record, UserEngine};
use ot_xdp_common::limits::FLOWS;
use ot_xdp_common::proto::Proto;

/// Least shares of protocol, functions and direction.
const LEAST: [f64; 3] = [0.995, 0.99, 0.99];
/// Protocols with fewer frames are shown and not judged.
const JUDGED: u32 = 20;
/// Protocols whose truth is held to be wrong in more frames than that, with the shares that are left; the reasons are in
/// the README.
const DISPUTED: [(&str, [f64; 3]); 5] = [
    ("dnp3", [0.995, 0.88, 0.91]),
    ("ge_srtp", [0.99, 0.92, 0.99]),
    ("ffhse", [0.99, 0.99, 0.99]),
    ("opcua", [0.995, 0.99, 0.98]),
    ("mqtt", [0.99, 0.99, 0.99]),
];
/// Industrial names that are plain IT traffic, too.
const BOTH: [&str; 5] = ["lldp", "ptp", "mqtt", "amqp", "coap"];

/// Right and judged, for protocol, functions and direction.
type Shares = [[u32; 2]; 3];

fn tokens(text: &str) -> BTreeMap<&str, u32> {
    let mut all = BTreeMap::new();
    text.split(',').filter(|t| !t.is_empty()).for_each(|t| *all.entry(t).or_default() += 1);
    all
}

fn judge(truth: &BTreeMap<&str, &str>, r: &Record, shares: &mut BTreeMap<String, Shares>, wrong: &mut Vec<String>) {
    let field = |name: &str| truth.get(name).copied().unwrap_or_default();
    let name = r.protocol.unwrap_or_default();
    if field("level") == "no" {
        let it = r.protocol.is_some_and(|n| Proto::ALL.iter().any(|p| p.name() == n && *p as u8 >= 90));
        if r.protocol.is_some() && !it && !BOTH.contains(&name) {
            wrong.push(format!("named {name}"));
        }
        return;
    }
    if field("level") != "must" {
        return;
    }
    let s = shares.entry(field("want").to_owned()).or_default();
    s[0][1] += 1;
    if name != field("want") && !tokens(field("alt")).contains_key(name) {
        return;
    }
    s[0][0] += 1;
    let have = r.functions.join(",");
    if !field("func_off").is_empty() {
        s[1][1] += 1;
        let fits = |want: &str| !want.is_empty() && tokens(want) == tokens(&have);
        s[1][0] += u32::from(fits(field("func_off")) || fits(field("func_on")));
    }
    let word = match field("dir_off").split(',').next() {
        Some("req") => "request",
        Some("resp") => "response",
        Some("pub") => "publish",
        _ => return,
    };
    s[2][1] += 1;
    s[2][0] += u32::from(r.direction == Some(word));
}

/// Scores every capture; prints the table and returns what is not right.
fn score(corpus: &Path) -> Vec<String> {
    let mut shares = BTreeMap::new();
    let mut bad = Vec::new();
    let mut number = 0;
    for file in data::captures(&corpus.join("pcap")) {
        let id = file.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let text = std::fs::read_to_string(corpus.join("truth").join(format!("{id}.tsv"))).expect("a truth");
        let mut lines = text.lines();
        let head: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
        let truths: BTreeMap<u64, BTreeMap<&str, &str>> = lines
            .map(|l| head.iter().copied().zip(l.split('\t')).collect::<BTreeMap<_, _>>())
            .filter_map(|t| Some((t.get("frame")?.parse().ok()?, t)))
            .collect();
        let mut engine = UserEngine::new(BindingTable::default(), FLOWS);
        let mut wrong = Vec::new();
        for (frame, n) in data::frames(&file).expect("readable").iter().zip(1..) {
            number += 1;
            let record = engine.frame(n, frame, n * 1_000_000).expect("replayed");
            if let Some(truth) = truths.get(&n) {
                judge(truth, &record, &mut shares, &mut wrong);
            }
        }
        bad.extend(wrong.iter().map(|w| format!("{id}: {w}")));
    }
    println!("{number} frames\n{:16}{:>8}{:>11}{:>11}{:>11}", "protocol", "must", "protocol", "functions", "direction");
    let mut order: Vec<(&String, &Shares)> = shares.iter().collect();
    order.sort_by_key(|(_, s)| std::cmp::Reverse(s[0][1]));
    for (name, s) in order {
        let share = |i: usize| (s[i][1] != 0).then(|| f64::from(s[i][0]) / f64::from(s[i][1]));
        let shown = |i: usize| share(i).map_or("-".to_owned(), |x| format!("{:.2} %", 100.0 * x));
        println!("{name:16}{:>8}{:>11}{:>11}{:>11}", s[0][1], shown(0), shown(1), shown(2));
        let least = DISPUTED.iter().find(|(n, _)| n == name).map_or(LEAST, |(_, l)| *l);
        for (i, least) in least.iter().enumerate() {
            if s[0][1] >= JUDGED && share(i).is_some_and(|x| x < *least) {
                bad.push(format!("{name}: {} is less than {least}", shown(i)));
            }
        }
    }
    bad
}

#[test]
fn named_right() {
    let Some(corpus) = data::shared().map(|s| s.join("corpus/dev")).filter(|c| c.is_dir()) else {
        skip!("the captures with truth are absent");
    };
    let bad = score(&corpus);
    assert!(bad.is_empty(), "{bad:#?}");
}
