//! `ot-xdp replay`: capture files through the parsers or the kernel program, to records or events.

use std::io::{BufWriter, IsTerminal, StdoutLock, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};

use crate::bindings::BindingTable;
use crate::capture::{Capture, CaptureError};
use crate::cli::{EngineArg, ReplayArgs};
use crate::config::Config;
use crate::event::Attach;
use crate::event::ecs::Mode;
use crate::pipeline::{self, Pipeline, Settings};
use crate::sink::Lines;
use crate::source::Clock;
use crate::source::replay::{Engine, KernelEngine, Record, UserEngine};

type Out = BufWriter<StdoutLock<'static>>;

/// Runs the subcommand. Files are read in the order given, each with counters of its own and frame numbers from 1.
///
/// # Errors
/// When the configuration is wrong, the kernel engine cannot be loaded or nobody takes the output. Faults of files are
/// reported and counted, and the exit code is 1.
pub fn run(args: &ReplayArgs) -> Result<ExitCode> {
    let config = Config::for_replay(args)?;
    let bindings = config.bindings()?;
    let mut faults = 0;
    for file in &args.files {
        let engine = engine(args, bindings.clone(), config.counters.flows)?;
        faults += if args.frames { frames(file, engine)? } else { events(file, engine, &config, args.summary)? };
    }
    Ok(if faults == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn engine(args: &ReplayArgs, bindings: BindingTable, flows: u32) -> Result<Box<dyn Engine>> {
    Ok(match args.engine {
        EngineArg::User => Box::new(UserEngine::new(bindings, flows)),
        EngineArg::Kernel => Box::new(KernelEngine::new(bindings, flows).context("cannot start the kernel engine")?),
    })
}

/// Prints a record for each frame of one file; returns the number of faults.
fn frames(file: &Path, mut engine: Box<dyn Engine>) -> Result<u32> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    let faults = read(file, engine.as_mut(), &mut |_, record, _| {
        serde_json::to_writer(&mut out, &record)?;
        out.write_all(b"\n")?;
        Ok(())
    })?;
    out.flush()?;
    Ok(faults)
}

/// Prints the events of one file, in the capture's own time; returns the number of faults.
fn events(file: &Path, mut engine: Box<dyn Engine>, config: &Config, summary: bool) -> Result<u32> {
    let settings = Settings {
        sensor: config.sensor_name(),
        mode: Mode::Replay,
        flow_capacity: config.counters.flows,
        first_seen: config.events.first_seen,
        daily: None,
    };
    let out: Out = BufWriter::new(std::io::stdout().lock());
    let mut pipeline = Pipeline::new(settings, Clock::CAPTURE, Lines(out));
    let mut ticks = Ticks::new(config.events.interval);
    let mut last = 0;
    let faults = read(file, engine.as_mut(), &mut |engine, _, at_ns| {
        last = at_ns;
        if let Some(end) = ticks.passed(at_ns) {
            pipeline.interval(&engine.snapshot(end)?, |_| Attach::Replay)?;
        }
        Ok(())
    })?;
    pipeline.interval(&engine.snapshot(last)?, |_| Attach::Replay)?;
    if summary {
        pipeline::summary(pipeline.totals(), &mut std::io::stderr().lock())?;
    }
    Ok(faults)
}

/// Ends of intervals in the time of the capture.
struct Ticks {
    every_ns: u64,
    next_ns: Option<u64>,
}

impl Ticks {
    fn new(every: Duration) -> Ticks {
        Ticks { every_ns: u64::try_from(every.as_nanos()).unwrap_or(u64::MAX).max(1), next_ns: None }
    }

    /// The end of the interval that this frame is behind, if it is the first one there.
    fn passed(&mut self, at_ns: u64) -> Option<u64> {
        let next = *self.next_ns.get_or_insert(at_ns.saturating_add(self.every_ns));
        if at_ns < next {
            return None;
        }
        // A pause of hours is one interval without frames, not thousands of empty ones.
        self.next_ns = Some(at_ns.saturating_add(self.every_ns));
        Some(at_ns)
    }
}

/// Called for each frame: the engine after it, its record, its time.
type Each<'a> = dyn FnMut(&mut dyn Engine, Record, u64) -> Result<()> + 'a;

/// Runs every frame of a file through the engine; returns the number of faults.
fn read(file: &Path, engine: &mut dyn Engine, each: &mut Each<'_>) -> Result<u32> {
    let mut faults = 0;
    let mut capture = match Capture::open(file) {
        Ok(c) => c,
        Err(e) => return Ok(report(&e)),
    };
    let progress = progress(file, capture.size());
    while let Some(item) = capture.next() {
        match item {
            Ok(c) => {
                let at_ns = u64::try_from(c.at_ns).unwrap_or(0);
                let record = engine.frame(c.number, &c.data, at_ns)?;
                each(engine, record, at_ns)?;
                if c.number % 4096 == 0 {
                    progress.set_position(capture.position());
                }
            }
            Err(e) => faults += progress.suspend(|| report(&e)),
        }
    }
    progress.finish_and_clear();
    if capture.skipped() != 0 {
        tracing::warn!("{}: {} frames could not be rebuilt and were left out", file.display(), capture.skipped());
    }
    Ok(faults)
}

fn report(e: &CaptureError) -> u32 {
    tracing::error!("{e}");
    1
}

/// A progress bar on a terminal, nothing elsewhere.
fn progress(file: &Path, size: u64) -> ProgressBar {
    if size == 0 || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(size);
    if let Ok(style) = ProgressStyle::with_template("{msg} {bar:40} {bytes}/{total_bytes} {eta}") {
        bar.set_style(style);
    }
    bar.set_message(file.display().to_string());
    bar
}
