//! E7: S7 floods: told within ten seconds, and nothing healthy called malformed.

use anyhow::{Context, Result};

use crate::{Row, Setup, data, row};

/// E7.
pub fn run(setup: &Setup) -> Result<Vec<Row>> {
    let root = setup.data.as_ref().context("no folder of data")?.join("qut_s7");
    let captures: Vec<_> =
        data::files(&root).into_iter().filter(|f| f.extension().is_some_and(|e| e == "pcap")).collect();
    anyhow::ensure!(!captures.is_empty(), "no captures below {}", root.display());
    let control =
        captures.iter().find(|f| f.display().to_string().contains("control")).context("no control capture")?;
    let base = setup.store("e7")?;
    setup.learn(&base, &[control])?;
    setup.lock(&base, true)?;
    let (mut malformed, mut first, mut n) = (0, Vec::new(), 0);
    for file in captures.iter().filter(|f| *f != control) {
        n += 1;
        let alerts = setup.judge(&base, file)?;
        malformed += alerts.iter().filter(|a| matches!(a.action.as_str(), "ot-malformed" | "ot-length-lie")).count();
        let begin = data::frames(file, |_| true)?.first().map_or(0.0, |(t, _)| *t as f64 / 1e9);
        if let Some(a) = alerts.first() {
            first.push(format!("{:.1} s", a.at - begin));
        }
    }
    Ok(vec![
        row("E7", format!("malformed told, {n} captures of floods"), malformed.to_string(), "0", Some(malformed == 0)),
        row(
            "E7",
            "first alert after the beginning of each capture",
            first.join(", "),
            "<= 10 s",
            Some(first.len() == n),
        ),
    ])
}
