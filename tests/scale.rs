//! Many keys: what a look costs and how much memory a key takes. `OT_XDP_SCALE=1000000` for a million.

#[path = "eval/generated_flow.rs"]
mod flow;

use std::time::Duration;

use ot_xdp::aggregate::{Aggregator, Clock};
use ot_xdp::baseline::{Baseline, lifecycle};
use ot_xdp::detect::{Settings, Watch};
use ot_xdp::source::Snapshot;

/// Octets of this process in memory.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").expect("statm");
    text.split(' ').nth(1).and_then(|n| n.parse::<u64>().ok()).expect("pages") * 4096
}

/// CPU time of this thread.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("schedstat");
    Duration::from_nanos(text.split(' ').next().and_then(|n| n.parse().ok()).expect("nanoseconds"))
}

#[test]
fn many_keys_cost_little() {
    let keys: u32 = std::env::var("OT_XDP_SCALE").ok().and_then(|n| n.parse().ok()).unwrap_or(100_000);
    let snapshot = |round: u64| Snapshot {
        at_ns: round * 10_000_000_000,
        flows: (0..keys).map(|i| flow::flow(i, round)).collect(),
        ..Snapshot::default()
    };
    let (mut deltas, mut told) = (Vec::new(), Vec::new());
    // The buffers of a round are there before memory is measured.
    let mut now = snapshot(1);
    deltas.reserve(keys as usize);
    let before = resident();
    let mut aggregator = Aggregator::new();
    let mut watch = Watch::new(Baseline::default(), Settings::default());
    for round in 1..5 {
        now = snapshot(round);
        aggregator.look(&now, &mut deltas);
        watch.look(&now, &deltas, &Clock::CAPTURE, &mut told);
    }
    let learning = (resident() - before) / u64::from(keys);
    lifecycle::lock(watch.baseline_mut(), true, 1, &Default::default());
    watch.decided();
    let mut worst = Duration::ZERO;
    for round in 5..9 {
        now = snapshot(round);
        let begin = cpu();
        aggregator.look(&now, &mut deltas);
        watch.look(&now, &deltas, &Clock::CAPTURE, &mut told);
        worst = worst.max(cpu() - begin);
    }
    drop(now);
    println!("{keys} keys: {worst:?} CPU for a look that judges all, {learning} octets a key while learning");
    assert!(told.is_empty(), "{:?}", told.first());
    assert_eq!(watch.baseline().talks.values().map(|t| t.ops.len()).sum::<usize>(), keys as usize);
    if !cfg!(debug_assertions) {
        assert!(worst <= Duration::from_millis(300) * keys.div_ceil(100_000), "{worst:?}");
    }
}
