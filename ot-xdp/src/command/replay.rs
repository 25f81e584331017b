//! `ot-xdp replay`: capture files through the parsers or the kernel program, to records or events.

use std::io::{BufWriter, IsTerminal, StdoutLock, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};

use crate::bindings::BindingTable;
use crate::capture::{Capture, CaptureError};
use crate::cli::{EngineArg, ReplayArgs};
use ot_xdp_common::limits::FLOWS;
use crate::source::replay::{Engine, KernelEngine, UserEngine};

type Out = BufWriter<StdoutLock<'static>>;

/// Runs the subcommand. Files are read in the order given; each starts with empty counters and frame number 1.
///
/// # Errors
/// When the kernel engine cannot be loaded or nobody takes the output. Faults of files are reported and counted, and
/// the exit code is 1.
pub fn run(args: &ReplayArgs) -> Result<ExitCode> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut faults = 0;
    for file in &args.files {
        let mut engine = engine(args, BindingTable::default())?;
        faults += frames(file, engine.as_mut(), &mut out)?;
    }
    out.flush()?;
    Ok(if faults == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn engine(args: &ReplayArgs, bindings: BindingTable) -> Result<Box<dyn Engine>> {
    Ok(match args.engine {
        EngineArg::User => Box::new(UserEngine::new(bindings, FLOWS)),
        EngineArg::Kernel => Box::new(KernelEngine::new(bindings, FLOWS).context("cannot start the kernel engine")?),
    })
}

/// Prints a record for each frame of one file; returns the number of faults.
fn frames(file: &Path, engine: &mut dyn Engine, out: &mut Out) -> Result<u32> {
    let mut faults = 0;
    let mut capture = match Capture::open(file) {
        Ok(c) => c,
        Err(e) => return Ok(report(&e)),
    };
    let progress = progress(file, capture.size());
    while let Some(item) = capture.next() {
        match item {
            Ok(c) => {
                let record = engine.frame(c.number, &c.data, c.at_ns.max(0) as u64)?;
                serde_json::to_writer(&mut *out, &record)?;
                out.write_all(b"\n")?;
                if c.number % 4096 == 0 {
                    progress.set_position(capture.position());
                }
            }
            Err(e) => faults += progress.suspend(|| report(&e)),
        }
    }
    progress.finish_and_clear();
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
