//! `cargo xtask eval`: the detectors on public labelled captures and on generated traffic, as a table.
//!
//! The data is not part of the project: `--data DIR` or `OT_XDP_DETECTION_DATA` names the folder; without it the sections
//! that need it are skipped, with the reason. Nothing is tuned to a set: learning never sees a test day.

mod attacks;
mod benign;
mod cadence;
mod data;
mod generated;
mod generated_flow;
mod lemay;
mod poisson;
mod product;
mod published;
mod s7;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde::Serialize;

/// One line of the table.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Section.
    pub section: &'static str,
    /// What was measured.
    pub what: String,
    /// The figure.
    pub figure: String,
    /// What is to be reached.
    pub goal: &'static str,
    /// Was it?
    pub reached: Option<bool>,
}

/// A line.
pub fn row(
    section: &'static str,
    what: impl Into<String>,
    figure: impl Into<String>,
    goal: &'static str,
    reached: Option<bool>,
) -> Row {
    Row { section, what: what.into(), figure: figure.into(), goal, reached }
}

/// What all sections need.
pub struct Setup {
    /// Folder of the data.
    pub data: Option<PathBuf>,
    /// The program.
    pub program: PathBuf,
    /// For what is unpacked and made.
    pub scratch: tempfile::TempDir,
    /// Tells what happens and what was missed.
    pub verbose: bool,
}

type Section = fn(&Setup) -> Result<Vec<Row>>;

const SECTIONS: [(&str, Section); 9] = [
    ("E1", benign::run),
    ("E2", published::run),
    ("E3", attacks::run),
    ("E4", attacks::run_allowed),
    ("E5", lemay::run),
    ("E6", cadence::run),
    ("E7", s7::run),
    ("E8", benign::poisoned),
    ("E10", generated::run),
];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("eval: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut data = std::env::var_os("OT_XDP_DETECTION_DATA").map(PathBuf::from);
    let (mut program, mut json, mut verbose, mut only) = (None, false, false, Vec::new());
    let mut args = std::env::args().skip(1);
    while let Some(a) = args.next() {
        match a.as_str() {
            "--data" => data = Some(args.next().context("--data needs a folder")?.into()),
            "--program" => program = Some(PathBuf::from(args.next().context("--program needs a file")?)),
            "--json" => json = true,
            "--verbose" => verbose = true,
            s if SECTIONS.iter().any(|(name, _)| *name == s) || s == "E9" => only.push(s.to_owned()),
            _ => anyhow::bail!("unknown option `{a}`; options: E1 ... E10, --data DIR, --json, --verbose"),
        }
    }
    let program =
        program.or_else(harness::binary).context("the release binary is not built: run `cargo xtask build`")?;
    let data = data.or_else(|| Some(harness::data::root().join("../shared/detection-data"))).filter(|d| d.is_dir());
    let setup = Setup { data, program, scratch: tempfile::tempdir()?, verbose };
    let mut rows = Vec::new();
    for (name, section) in SECTIONS {
        if !only.is_empty() && !only.iter().any(|o| o == name) {
            continue;
        }
        eprintln!("{name} ...");
        let begin = std::time::Instant::now();
        match section(&setup) {
            Ok(more) => rows.extend(more),
            Err(e) => rows.push(row("-", name, format!("not measured: {e:#}"), "", None)),
        }
        eprintln!("{name}: {:.0} s", begin.elapsed().as_secs_f64());
    }
    rows.push(row(
        "E9",
        "restart, flap, attacker live",
        "cargo test -p ot-xdp-tests --test deviations",
        "exact list",
        None,
    ));
    if json {
        println!("{}", serde_json::to_string_pretty(&rows)?);
        return Ok(());
    }
    println!("| section | what | measured | goal | reached |\n|---|---|---|---|---|");
    for r in rows {
        let reached = r.reached.map_or("", |y| if y { "yes" } else { "**no**" });
        println!("| {} | {} | {} | {} | {reached} |", r.section, r.what, r.figure, r.goal);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_exact() {
        // Garwood's table: 0 events 3.00 (one side), 3 events 0.62 to 8.77.
        assert!((poisson::interval(0).1 - 2.996).abs() < 0.01);
        let (low, high) = poisson::interval(3);
        assert!((low - 0.619).abs() < 0.01 && (high - 8.767).abs() < 0.01, "{low} {high}");
    }

    #[test]
    fn logs_are_in_local_time() {
        let log = "2016-10-13 13:30:03.421798 nmap START\n2016-10-13 13:30:08.0 nmap END\nx\n\
                   2016-10-13 14:00:00.0 replay 10.0.0.1 START\n";
        let read = data::read_log(log);
        assert_eq!(read.len(), 1, "what has not ended is none");
        let begin: jiff::Timestamp = "2016-10-13T03:30:03.421798Z".parse().unwrap();
        assert_eq!(read[0].0, "nmap");
        assert!((read[0].1 - begin.as_microsecond() as f64 / 1e6).abs() < 1e-3);
    }
}
