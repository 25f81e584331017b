//! E1: days without an attack, and the hours of attack days around the attacks. E8: a learning that was poisoned.

use std::path::Path;

use anyhow::Result;

use crate::data::{self, Day};
use crate::product::Alert;
use crate::{Row, Setup, poisson, row};

/// An attack goes on in the network for a while after its script has ended.
const AFTERMATH_S: f64 = 60.0;
/// The attacker, and those whom it attacks: their alerts are no false ones.
const INVOLVED: [&str; 3] = ["192.168.10.66", "192.168.10.221", "192.168.10.222"];

/// Learns the control days.
pub fn control(setup: &Setup, days: &[Day], name: &str) -> Result<std::path::PathBuf> {
    let base = setup.store(name)?;
    let files: Vec<&Path> = days.iter().filter(|d| data::is_control(d)).map(|d| d.capture.as_path()).collect();
    anyhow::ensure!(!files.is_empty(), "the control days are not there");
    setup.learn(&base, &files)?;
    Ok(base)
}

/// Is it an alert about stations that take no part in an attack, or outside of all attacks?
fn is_false(a: &Alert, day: &Day) -> bool {
    let during = day.attacks.iter().any(|(_, b, e)| (b - 1.0..e + AFTERMATH_S).contains(&a.at));
    a.phase != "end" && !during && !a.stations.iter().any(|s| INVOLVED.contains(&s.as_str()))
}

/// E1.
pub fn run(setup: &Setup) -> Result<Vec<Row>> {
    let days = data::days(setup)?;
    let base = control(setup, &days, "e1")?;
    let mut rows = Vec::new();
    for (how, lock) in [("as learned", None), ("locked", Some(false)), ("locked with all", Some(true))] {
        if let Some(all) = lock {
            setup.lock(&base, all)?;
        }
        let (mut n, mut tested) = (0, 0.0);
        for day in days.iter().filter(|d| !data::is_control(d)) {
            tested += 1.0;
            for a in setup.judge(&base, &day.capture)?.iter().filter(|a| is_false(a, day)) {
                n += 1;
                eprintln!("  E1 {how} {}: {} {}", day.name, a.action, a.why);
            }
        }
        let reached = n as f64 / (tested / 7.0) <= 1.0;
        rows.push(row(
            "E1",
            format!("false alarms, {how}, all detectors, {tested} days"),
            poisson::weekly(n, tested),
            "<= 1 a week",
            Some(reached),
        ));
    }
    Ok(rows)
}

/// E8.
pub fn poisoned(setup: &Setup) -> Result<Vec<Row>> {
    let days = data::days(setup)?;
    let attack = days.iter().find(|d| d.name == "Injection frequent").unwrap_or(&days[0]);
    let mut rows = Vec::new();
    for percent in [1, 10] {
        let all = data::frames(&attack.capture, |_| true)?;
        // The part of the day in which attacks are.
        let begin = attack.attacks.first().map_or(0.0, |(_, b, _)| *b) * 1e9;
        let from = all.partition_point(|(t, _)| (*t as f64) < begin);
        let part: Vec<_> = all.iter().skip(from).take(all.len() * percent / 100).cloned().collect();
        let cut = setup.scratch.path().join(format!("poison-{percent}.pcap"));
        data::write(&cut, &part)?;
        let base = setup.store(&format!("e8-{percent}"))?;
        let mut files: Vec<&Path> = days.iter().filter(|d| data::is_control(d)).map(|d| d.capture.as_path()).collect();
        files.push(&cut);
        setup.learn(&base, &files)?;
        setup.lock(&base, false)?;
        let export = setup.export(&base)?;
        let is_op = |l: &&str| l.starts_with("op ") && l.split(" | ").next().is_some_and(|k| k.ends_with('!'));
        let risky: Vec<&str> = export.lines().filter(is_op).collect();
        let learned = risky.iter().filter(|l| l.contains("status=learned")).count();
        let what = format!("{percent} % of an attack day learned: risky members learned, of {} seen", risky.len());
        rows.push(row("E8", what, learned.to_string(), "0", Some(learned == 0)));
    }
    Ok(rows)
}
