//! E5: Modbus attacks (Lemay), each file judged by the benign frames of the others.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::{Row, Setup, data, row};

/// Labels by frame: is it malicious?
fn labels(file: &Path) -> Result<Vec<bool>> {
    let text = std::fs::read_to_string(file)?;
    Ok(text.lines().filter_map(|l| l.split(';').nth(1)).map(|l| l.trim() == "1").collect())
}

/// E5.
pub fn run(setup: &Setup) -> Result<Vec<Row>> {
    let root = setup.data.as_ref().context("no folder of data")?.join("lemay");
    let mut sets = Vec::new();
    for capture in data::files(&root).into_iter().filter(|f| f.extension().is_some_and(|e| e == "pcap")) {
        let csv = PathBuf::from(capture.display().to_string().replace(".pcap", "_labeled.csv"));
        if csv.exists() {
            sets.push((data::frames(&capture, |_| true)?, labels(&csv)?, capture));
        }
    }
    anyhow::ensure!(sets.len() > 1, "fewer than two labelled captures");
    let (mut told, mut false_protocols, mut false_keys) = (0, 0, Vec::new());
    for i in 0..sets.len() {
        let base = setup.store("e5")?;
        let mut benign = Vec::new();
        for (j, (frames, labels, _)) in sets.iter().enumerate().filter(|(j, _)| *j != i) {
            let file = setup.scratch.path().join(format!("benign-{j}.pcap"));
            let kept: Vec<_> = frames.iter().zip(labels).filter(|(_, bad)| !**bad).map(|(f, _)| f.clone()).collect();
            data::write(&file, &kept)?;
            benign.push(file);
        }
        let files: Vec<&Path> = benign.iter().map(PathBuf::as_path).collect();
        setup.learn(&base, &files)?;
        setup.lock(&base, true)?;
        let (frames, labels, capture) = &sets[i];
        let alerts = setup.judge(&base, capture)?;
        let times: Vec<f64> =
            frames.iter().zip(labels).filter(|(_, bad)| **bad).map(|(f, _)| f.0 as f64 / 1e9).collect();
        let first = times.first().copied().unwrap_or(f64::MAX);
        // Within a second: the first frame of an attack may be the reset of a connection that nobody saw.
        let hit = alerts.iter().any(|a| a.phase == "new" && (-0.001..1.0).contains(&(a.at - first)));
        told += u32::from(hit);
        // At what time no malicious frame is, an alert is a false one.
        let near = |t: f64| times.iter().any(|m| (m - t).abs() < 0.001);
        let wrong: Vec<_> = alerts.iter().filter(|a| a.phase == "new" && !near(a.at)).collect();
        let name = capture.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        for a in &wrong {
            eprintln!("  E5 {name}: {} {}", a.action, a.why);
        }
        if !hit {
            let begin = alerts.iter().map(|a| a.at - first).min_by(|a, b| a.abs().total_cmp(&b.abs()));
            eprintln!("  E5 {name}: first malicious frame not told at once; nearest {begin:?} s");
        }
        false_keys.push(wrong.len().to_string());
        let ports = [("modbus", 502u64), ("iec104", 2404), ("s7comm", 102), ("dnp3", 20_000)];
        false_protocols +=
            alerts.iter().filter(|a| ports.iter().any(|(p, port)| a.service.0 == *p && a.service.1 != *port)).count();
    }
    let n = sets.len();
    Ok(vec![
        row(
            "E5",
            "files told within a second of the first malicious frame",
            format!("{told}/{n}"),
            "all",
            Some(told as usize == n),
        ),
        row("E5", "false keys by file", false_keys.join(", "), "0", Some(false_keys.iter().all(|k| k == "0"))),
        row("E5", "false protocols", false_protocols.to_string(), "0", Some(false_protocols == 0)),
    ])
}
