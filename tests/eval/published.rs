//! E2: two published detectors of inter-arrival times on the same days, to compare with.
//!
//! Mean and range of the gaps of a key in sliding windows (Lin, Nadjm-Tehrani, Asplund 2017), N = 4 deviations, W = 5.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result};
use ot_xdp::bindings::BindingTable;
use ot_xdp::source::replay::UserEngine;
use ot_xdp_common::reason::Outcome;

use crate::{Row, Setup, data, row};

const N: f64 = 4.0;
const W: usize = 5;

type Key = ([u32; 4], [u32; 4], u8, u8, u32);

/// Times of the messages of each key.
fn messages(file: &Path) -> Result<HashMap<Key, Vec<f64>>> {
    let mut engine = UserEngine::new(BindingTable::default(), 65_536);
    let mut all: HashMap<Key, Vec<f64>> = HashMap::new();
    for (at, frame) in data::frames(file, |_| true)? {
        let (outcome, f, w) = engine.classify(&frame);
        if outcome == Outcome::Classified
            && let Some(op) = w.ops().first()
        {
            all.entry((f.src, f.dst, op.proto(), op.dir() as u8, op.function)).or_default().push(at as f64 / 1e9);
        }
    }
    Ok(all)
}

fn mean(x: &[f64]) -> (f64, f64) {
    let m = x.iter().sum::<f64>() / x.len().max(1) as f64;
    let v = x.iter().map(|g| (g - m).powi(2)).sum::<f64>() / x.len().max(1) as f64;
    (m, v.sqrt())
}

fn range(x: &[f64]) -> f64 {
    x.iter().copied().fold(f64::MIN, f64::max) - x.iter().copied().fold(f64::MAX, f64::min)
}

fn gaps(times: &[f64]) -> Vec<f64> {
    times.windows(2).map(|w| w[1] - w[0]).collect()
}

/// E2.
pub fn run(setup: &Setup) -> Result<Vec<Row>> {
    let days = data::days(setup)?;
    let mut control = days.iter().filter(|d| data::is_control(d));
    let (train, test) = (control.next().context("no control day")?, control.next().context("one control day only")?);
    let (train, test) = (messages(&train.capture)?, messages(&test.capture)?);
    let (mut by_mean, mut by_range, mut n) = (0u64, 0u64, 0u64);
    for (key, times) in &test {
        n += times.len() as u64;
        let Some(known) = train.get(key).filter(|t| t.len() > W + 1) else { continue };
        let known = gaps(known);
        let (m, s) = mean(&known);
        let ranges: Vec<f64> = known.windows(W).map(range).collect();
        let (rm, rs) = mean(&ranges);
        for w in gaps(times).windows(W - 1) {
            by_mean += u64::from((mean(w).0 - m).abs() > N * s);
            by_range += u64::from((range(w) - rm).abs() > N * rs);
        }
    }
    let text = |x: u64| format!("{x} a day = {} a week ({n} messages)", x * 7);
    Ok(vec![
        row("E2", "published: mean of gaps, false alarms", text(by_mean), "to compare", None),
        row("E2", "published: range of gaps, false alarms", text(by_range), "to compare", None),
    ])
}
