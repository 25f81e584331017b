//! Nanoseconds a frame, by workload and number of conversations, with ratios to the floors of the same run.

use anyhow::Result;
use serde_json::{Value, json};

use crate::Options;
use crate::rig::{PROGRAMS, Rig};
use crate::table::{median, row};
use crate::workload::{self, Workload};

/// Rows of the table: workload, conversations (0: as recorded), method.
struct Case<'a> {
    workload: &'a Workload,
    conversations: u32,
}

/// Measures and prints the table.
pub fn run(options: &Options) -> Result<Vec<Value>> {
    let workloads = workload::all()?;
    let (rounds, repeat) = if options.quick { (3, 20_000) } else { (15, 200_000) };
    println!(
        "nanoseconds a frame, medians of {rounds} interleaved rounds of {repeat} frames, without the feeder's own cost"
    );
    println!("(feed: frames copied in one after the other; repeat: the same frame in place, hot)");
    row("workload", &["convers.", "method", "parse", "count", "ours", "/ parse", "/ count"].map(str::to_owned));
    let mut rows = Vec::new();
    for w in workloads.iter().filter(|w| options.only.as_ref().is_none_or(|o| w.name.contains(o.as_str()))) {
        // Empty maps for each: a map that the last one filled up would be measured as well.
        let mut rig = Rig::load(&options.object)?;
        for &conversations in w.conversations {
            let times = feed(&mut rig, &Case { workload: w, conversations }, rounds, repeat)?;
            rows.push(report(w, conversations, "feed", times));
        }
        // A TCP frame that is repeated in place would be a retransmission.
        if let [frame] = w.frames.as_slice()
            && workload::tcp_of(frame).is_none()
            && !w.conversations.contains(&1024)
        {
            let times = repeated(&mut rig, frame, rounds, repeat)?;
            rows.push(report(w, 1, "repeat", times));
        }
    }
    Ok(rows)
}

fn feed(rig: &mut Rig, case: &Case<'_>, rounds: usize, repeat: u32) -> Result<[f64; PROGRAMS]> {
    rig.set_feed(&case.workload.frames, case.conversations)?;
    interleave(rounds, |column| rig.feed(column, repeat))
}

fn repeated(rig: &mut Rig, frame: &[u8], rounds: usize, repeat: u32) -> Result<[f64; PROGRAMS]> {
    interleave(rounds, |column| rig.repeat(column, frame, repeat))
}

/// Medians of each program, less the median of the program that only passes. The first round warms maps and caches.
fn interleave(rounds: usize, mut measure: impl FnMut(usize) -> Result<f64>) -> Result<[f64; PROGRAMS]> {
    let mut times = vec![Vec::new(); PROGRAMS];
    for round in 0..=rounds {
        for (column, list) in times.iter_mut().enumerate() {
            let t = measure(column)?;
            if round > 0 {
                list.push(t);
            }
        }
    }
    let medians: Vec<f64> = times.iter().map(|t| median(t)).collect();
    let mut out = [0.0; PROGRAMS];
    for (o, m) in out.iter_mut().zip(&medians) {
        *o = m - medians[0];
    }
    Ok(out)
}

fn report(w: &Workload, conversations: u32, method: &str, t: [f64; PROGRAMS]) -> Value {
    let [_, parse, count, ours] = t;
    let over = |floor: f64| if floor > 0.0 { ours / floor } else { f64::NAN };
    let kind = if conversations == 0 { "recorded".to_owned() } else { conversations.to_string() };
    row(
        &w.name,
        &[
            kind.clone(),
            method.to_owned(),
            format!("{parse:.0}"),
            format!("{count:.0}"),
            format!("{ours:.0}"),
            format!("{:.2}", over(parse)),
            format!("{:.2}", over(count)),
        ],
    );
    json!({ "workload": w.name, "conversations": kind, "method": method, "frames": w.frames.len(), "parse_ns": parse,
            "count_ns": count, "ours_ns": ours, "ratio_parse": over(parse), "ratio_count": over(count) })
}
