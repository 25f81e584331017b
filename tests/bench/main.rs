//! `cargo xtask bench`: what a frame costs, as a ratio to floors measured in the same run, and what a map read costs.

mod bridge;
mod live;
mod map_read;
mod programs;
mod rig;
mod samples;
mod stream;
mod table;
mod workload;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::json;

/// Options, from the command line of `cargo xtask bench`.
#[derive(Debug, Default)]
pub struct Options {
    /// Few rounds: for tests of the bench itself.
    pub quick: bool,
    /// Only the workloads whose names contain this, and no other measurement.
    pub only: Option<String>,
    /// Only the measurement across a bridge.
    pub bridge: bool,
    /// Only the event stream: no kernel program.
    pub stream: bool,
    /// Where the JSON goes.
    pub json: Option<PathBuf>,
    /// Object with the floors and the feeder.
    pub object: PathBuf,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("bench: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<Options> {
    let mut o = Options::default();
    let mut args = std::env::args().skip(1);
    while let Some(a) = args.next() {
        match a.as_str() {
            "--quick" => o.quick = true,
            "--bridge" => o.bridge = true,
            "--stream" => o.stream = true,
            "--only" => o.only = Some(args.next().context("--only needs a part of a workload's name")?),
            "--json" => o.json = Some(args.next().context("--json needs a file")?.into()),
            "--object" => o.object = args.next().context("--object needs a file")?.into(),
            _ => anyhow::bail!(
                "unknown option `{a}`; options: --quick, --bridge, --stream, --only NAME, --json FILE, --object FILE"
            ),
        }
    }
    Ok(o)
}

fn run() -> Result<()> {
    let options = options()?;
    if options.stream {
        let stream = stream::run(&options)?;
        return write(&options, &json!({ "stream": stream }));
    }
    anyhow::ensure!(harness::is_root(), "needs root to load and run kernel programs");
    if options.bridge {
        let bridge = bridge::run(&options)?;
        return write(&options, &json!({ "bridge": bridge }));
    }
    let programs = programs::run(&options)?;
    if options.only.is_some() {
        return Ok(());
    }
    let live = live::run(&options)?;
    let reads = map_read::run(&options)?;
    write(&options, &json!({ "programs": programs, "live": live, "map_read": reads }))
}

fn write(options: &Options, all: &serde_json::Value) -> Result<()> {
    if let Some(file) = &options.json {
        std::fs::write(file, serde_json::to_string_pretty(all)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
        eprintln!("written: {}", file.display());
    }
    Ok(())
}
