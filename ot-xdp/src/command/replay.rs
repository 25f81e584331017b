//! `ot-xdp replay`: capture files through the parsers or the kernel program, to records or events.

use std::collections::HashMap;
use std::io::{BufWriter, IsTerminal, StdoutLock, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};

use super::site::Site;
use crate::baseline::habit::Rules;
use crate::baseline::store::Store;
use crate::baseline::{State, lifecycle};
use crate::bindings::BindingTable;
use crate::capture::{Capture, CaptureError};
use crate::cli::{EngineArg, ReplayArgs};
use crate::config::Config;
use crate::detect::Settings as WatchSettings;
use crate::event::Attach;
use crate::event::ecs::Mode;
use crate::pipeline::keep::{Keeper, LOOK_NS, Place};
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
    if args.learn.is_some() || args.baseline.is_some() {
        return watched(args, &config, &bindings);
    }
    let mut faults = 0;
    for file in &args.files {
        let engine = engine(args, bindings.clone(), config.counters.flows)?;
        faults += if args.frames { frames(file, engine)? } else { events(file, engine, &config, args)? };
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
fn events(file: &Path, mut engine: Box<dyn Engine>, config: &Config, args: &ReplayArgs) -> Result<u32> {
    let out: Out = BufWriter::new(std::io::stdout().lock());
    let mut pipeline = Pipeline::new(settings(config, args), Clock::CAPTURE, Lines(out));
    let faults = through(file, engine.as_mut(), config, &mut pipeline)?;
    if args.summary {
        pipeline::summary(pipeline.totals(), &mut std::io::stderr().lock())?;
    }
    Ok(faults)
}

fn settings(config: &Config, args: &ReplayArgs) -> Settings {
    let quiet = args.alerts_only || args.learn.is_some();
    Settings {
        sensor: config.sensor_name(),
        mode: Mode::Replay,
        flow_capacity: config.counters.flows,
        daily: None,
        first_seen: config.events.first_seen && !quiet,
        summaries: !quiet,
    }
}

/// Learns a baseline from the captures, or judges them by one: they are one history, in the order of their first frames.
fn watched(args: &ReplayArgs, config: &Config, bindings: &BindingTable) -> Result<ExitCode> {
    let (path, judge) = match (&args.learn, &args.baseline) {
        (Some(path), _) => (path, false),
        (_, Some(path)) => (path, true),
        (None, None) => return Ok(ExitCode::SUCCESS),
    };
    let store = Store::at(path);
    let profile = config.baseline.profile.clone();
    let known = store.load(&profile)?;
    if judge && known.is_none() {
        bail!("there is no baseline `{}` with a profile `{profile}`; make one with --learn", path.display());
    }
    if !judge && known.as_ref().is_some_and(|b| b.state == State::Locked) {
        bail!("`{}` is locked and learns nothing by itself; learn into another file and compare", path.display());
    }
    let place = Place { path: path.clone(), profile, write: !judge };
    let keeper = Keeper::new(known.unwrap_or_default(), watch_settings(config, judge), Some(place));
    let out: Out = BufWriter::new(std::io::stdout().lock());
    let mut pipeline = Pipeline::new(settings(config, args), Clock::CAPTURE, Lines(out));
    pipeline.watch(keeper);
    if let Some(keeper) = pipeline.keeper()
        && let Some(site) = Site::of(config, HashMap::new())
    {
        keeper.watch.set_zones(Box::new(site));
    }
    let mut faults = 0;
    for file in in_order(&args.files) {
        let mut engine = engine(args, bindings.clone(), config.counters.flows)?;
        pipeline.next_source();
        faults += through(file, engine.as_mut(), config, &mut pipeline)?;
    }
    if !judge {
        pipeline.keep(u64::MAX, true)?;
        if let Some(keeper) = pipeline.keeper() {
            std::io::stderr().write_all(lifecycle::report(keeper.watch.baseline()).as_bytes())?;
        }
        if !store.exists() {
            bail!("the baseline `{}` could not be written", path.display());
        }
    }
    if args.summary {
        pipeline::summary(pipeline.totals(), &mut std::io::stderr().lock())?;
    }
    Ok(if faults == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// How to watch, from the configuration.
pub(super) fn watch_settings(config: &Config, judge: bool) -> WatchSettings {
    let (judge, min_observed_s, budget) = config.baseline.settings(judge);
    WatchSettings { judge, rules: Rules { min_observed_s, ..Rules::default() }, budget }
}

/// Files by the time of their first frame; one that cannot be read is reported when its turn comes.
fn in_order(files: &[PathBuf]) -> Vec<&PathBuf> {
    let first = |file: &PathBuf| {
        // Standard input can be read only once.
        if file == Path::new("-") {
            return 0;
        }
        let frame = Capture::open(file).ok().and_then(|mut c| c.next()).and_then(Result::ok);
        frame.map_or(0, |f| f.at_ns)
    };
    let mut timed: Vec<_> = files.iter().map(|f| (first(f), f)).collect();
    timed.sort_by_key(|(at, _)| *at);
    timed.into_iter().map(|(_, f)| f).collect()
}

/// Sends one capture through the pipeline.
fn through(file: &Path, engine: &mut dyn Engine, config: &Config, pipeline: &mut Pipeline<Lines<Out>>) -> Result<u32> {
    let mut looks = Ticks::new(Duration::from_nanos(LOOK_NS));
    let watching = pipeline.keeper().is_some();
    let mut ticks = Ticks::new(config.events.interval);
    let mut last = 0;
    let faults = read(file, engine, &mut |engine, _, at_ns| {
        last = at_ns;
        if let Some(end) = looks.passed(at_ns).filter(|_| watching) {
            pipeline.look(&engine.snapshot(end)?)?;
        }
        if let Some(end) = ticks.passed(at_ns) {
            pipeline.interval(&engine.snapshot(end)?, |_| Attach::Replay)?;
        }
        Ok(())
    })?;
    let snapshot = engine.snapshot(last)?;
    pipeline.look(&snapshot)?;
    pipeline.interval(&snapshot, |_| Attach::Replay)?;
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
