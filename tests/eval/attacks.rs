//! E3: labelled attacks, by class. E4: the same with the attacker's own address and reads in the baseline.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;

use crate::data::{self, Day};
use crate::{Row, Setup, benign, row};

/// E3.
pub fn run(setup: &Setup) -> Result<Vec<Row>> {
    let days = data::days(setup)?;
    let base = benign::control(setup, &days, "e3")?;
    score(setup, "E3", &days, |_| Ok(base.clone()), "attacks told within their interval", ">= 78 %", 0.78)
}

/// E4.
pub fn run_allowed(setup: &Setup) -> Result<Vec<Row>> {
    let days = data::days(setup)?;
    let learn = |day: &Day| {
        let base = setup.store("e4")?;
        let cut = setup.scratch.path().join("allowed.pcap");
        data::write(&cut, &allowed(&day.capture)?)?;
        let mut files: Vec<&Path> = days.iter().filter(|d| data::is_control(d)).map(|d| d.capture.as_path()).collect();
        files.push(&cut);
        setup.learn(&base, &files)?;
        setup.lock(&base, true)?;
        Ok(base)
    };
    score(
        setup,
        "E4",
        &days,
        learn,
        "the same with the attacker's address, conversations and reads approved",
        ">= 66 %",
        0.66,
    )
}

/// The attacker's own station: what it asks by ARP, and its reads and their answers.
fn allowed(capture: &Path) -> Result<Vec<data::Frame>> {
    const ATTACKER: [u8; 4] = [192, 168, 10, 66];
    // DNP3 over TCP: function of the application layer behind link header (10) and transport octet; 0 confirm, 1 read.
    let harmless = |f: &[u8]| {
        let Some(ihl) = f.get(14).map(|b| usize::from(b & 15) * 4) else { return false };
        let Some(tcp) = f.get(14 + ihl + 12).map(|b| usize::from(b >> 4) * 4) else { return false };
        let payload = f.get(14 + ihl + tcp..).unwrap_or_default();
        match payload {
            [0x05, 0x64, ..] => payload.get(12).is_some_and(|code| matches!(code, 0 | 1 | 129)),
            _ => true,
        }
    };
    data::frames(capture, |f| match f.get(12..14) {
        Some([8, 6]) => f.get(28..32) == Some(&ATTACKER) && f.get(38..42).is_some_and(|t| t[3] >= 220 || t == ATTACKER),
        Some([8, 0]) => {
            let own = f.get(26..30) == Some(&ATTACKER) || f.get(30..34) == Some(&ATTACKER);
            own && f.get(23) == Some(&6) && harmless(f)
        }
        _ => false,
    })
}

fn score(
    setup: &Setup,
    section: &'static str,
    days: &[Day],
    base: impl Fn(&Day) -> Result<std::path::PathBuf>,
    what: &str,
    goal: &'static str,
    least: f64,
) -> Result<Vec<Row>> {
    let mut classes: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    let (mut delays, mut events, mut tested) = (Vec::new(), 0usize, 0usize);
    for day in days.iter().filter(|d| !d.attacks.is_empty()) {
        let alerts = setup.judge(&base(day)?, &day.capture)?;
        events += alerts.len();
        tested += 1;
        for (name, begin, end) in &day.attacks {
            let first = alerts
                .iter()
                .filter(|a| a.phase != "end" && (begin - 1.0..end + 1.0).contains(&a.at))
                .map(|a| (a.at - begin).max(0.0))
                .min_by(f64::total_cmp);
            let class = classes.entry(name).or_default();
            class.1 += 1;
            if let Some(delay) = first {
                class.0 += 1;
                delays.push(delay);
            } else if setup.verbose {
                eprintln!("  {section} missed: {} {name} {begin:.0}", day.name);
            }
        }
    }
    let (caught, all) = classes.values().fold((0, 0), |(a, b), (c, n)| (a + c, b + n));
    let share = f64::from(caught) / f64::from(all.max(1));
    delays.sort_by(f64::total_cmp);
    let at = |q: f64| delays.get((delays.len() as f64 * q) as usize).copied().unwrap_or(f64::NAN);
    let mut rows = vec![
        row(
            section,
            format!("{what}, {tested} days"),
            format!("{caught}/{all} = {:.0} %", share * 100.0),
            goal,
            Some(share >= least),
        ),
        row(
            section,
            "time to the first event, median and 95 %",
            format!("{:.1} s, {:.1} s", at(0.5), at(0.95)),
            "",
            None,
        ),
        row(section, "events a day", format!("{:.0}", events as f64 / tested.max(1) as f64), "", None),
    ];
    let missed: Vec<String> =
        classes.iter().filter(|(_, (c, n))| c < n).map(|(name, (c, n))| format!("{name} {c}/{n}")).collect();
    if !missed.is_empty() {
        rows.push(row(section, "classes not told whole", missed.join(", "), "", None));
    }
    Ok(rows)
}
