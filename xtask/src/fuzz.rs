//! `cargo xtask fuzz`: coverage-guided fuzzing of every parser, on the host.
//!
//! The crate `tests/fuzz` is compiled with counters for coverage, linked with libFuzzer and started once for each target.
//! Everything lies below `target/fuzz`: seeds made of the captures, the corpus that grows from run to run, and inputs that
//! broke a rule.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;
use std::{env, fs};

use anyhow::{Context, Result, bail};

use crate::test::Tally;
use crate::{apt, shell};

/// Target, longest input in octets, share of the time.
const TARGETS: [(&str, &str, u64); 3] = [("parsers", "2048", 2), ("frames", "8192", 1), ("streams", "2048", 1)];

/// Seconds of a run that nobody gave another length.
const SECONDS: u64 = 600;
/// Seconds of the run among the tests.
const SHORT: u64 = 30;
/// An input that takes longer than these seconds is a finding.
const TIMEOUT: u64 = 10;

/// Counters for each edge, and what is compared with what: the parsers' magic numbers are found by it. No compiler option
/// here is unstable.
const FLAGS: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

const USAGE: &str = "fuzz [--seconds N] [--only PROTOCOL] [--repeat FILE]";

/// The task.
pub fn task(args: &[String]) -> Result<()> {
    let (mut seconds, mut only, mut repeat) = (SECONDS, None, None);
    let mut rest = args.chunks_exact(2);
    for pair in rest.by_ref() {
        match (pair.first().map_or("", String::as_str), pair.get(1).map(|v| (v, v.parse().ok()))) {
            ("--seconds", Some((_, Some(n)))) => seconds = n,
            ("--only", Some((name, _))) => only = Some(name.as_str()),
            ("--repeat", Some((file, _))) => repeat = Some(file),
            _ => return Err(crate::usage(USAGE)),
        }
    }
    if !rest.remainder().is_empty() {
        return Err(crate::usage(USAGE));
    }
    let program = build(true)?;
    match repeat {
        Some(file) => again(&program, Path::new(file)),
        None => match run(&program, seconds, only)? {
            0 => Ok(()),
            n => bail!("{n} targets broke a rule"),
        },
    }
}

/// The short run among the tests.
pub fn tally() -> Result<Tally> {
    match build(false) {
        Ok(program) => {
            let failed = run(&program, SHORT, None)?;
            Ok(Tally { passed: TARGETS.len() - failed, failed, ..Tally::default() })
        }
        Err(e) if e.is::<NoCompiler>() => Ok(Tally { skipped: vec![format!("fuzzing: {e}")], ..Tally::default() }),
        Err(e) => Err(e),
    }
}

/// There is no C++ compiler for libFuzzer.
#[derive(Debug)]
struct NoCompiler(String);

impl std::fmt::Display for NoCompiler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "libFuzzer needs a C++ compiler: {}", self.0)
    }
}

impl std::error::Error for NoCompiler {}

/// Compiles the fuzz crate and says where the program is.
fn build(install: bool) -> Result<PathBuf> {
    if shell::on_path("c++").is_none() {
        let done = if install { apt::install(&["g++"]) } else { apt::usable().map_err(anyhow::Error::msg) };
        match done {
            Err(e) => return Err(NoCompiler(format!("{e:#}")).into()),
            Ok(()) if !install => apt::install(&["g++"])?,
            Ok(()) => {}
        }
    }
    let host = shell::output(Command::new("rustc").arg("-vV"))?;
    let host =
        host.lines().find_map(|l| l.strip_prefix("host: ")).context("rustc does not say what it runs on")?.to_owned();
    let target = folder().join("build");
    let mut c = shell::cargo();
    c.current_dir(shell::root().join("tests/fuzz")).args([
        "build",
        "--release",
        "--locked",
        "--target",
        &host,
        "--target-dir",
    ]);
    // With `--target` the flags are not those of build scripts.
    c.arg(&target)
        .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}"))
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_TARGET_DIR");
    shell::run(&mut c)?;
    Ok(target.join(host).join("release/ot-xdp-fuzz"))
}

/// Runs every target and says how many of them broke a rule.
fn run(program: &Path, seconds: u64, only: Option<&str>) -> Result<usize> {
    let folder = folder();
    let seeds = folder.join("seeds");
    if seeds.exists() {
        fs::remove_dir_all(&seeds).with_context(|| format!("cannot remove {}", seeds.display()))?;
    }
    fuzzer(program, "seeds", only)
        .env("OT_XDP_FUZZ_SEEDS", &seeds)
        .env("OT_XDP_FUZZ_CAPTURES", env::join_paths(captures())?)
        .stdin(Stdio::null())
        .status()
        .context("cannot start the fuzzer")
        .and_then(
            |s| if s.success() { Ok(()) } else { bail!("a rule is broken by a captured frame ({s}), see above") },
        )?;
    // Whole frames are not of one protocol.
    let targets = TARGETS.iter().filter(|(name, ..)| only.is_none() || *name != "frames");
    let shares: u64 = targets.clone().map(|(.., share)| share).sum();
    let mut broken = 0;
    for (name, longest, share) in targets {
        broken += usize::from(!fuzz(program, name, longest, (seconds * share / shares).max(1), only)?);
    }
    Ok(broken)
}

/// Runs one target. False: it broke a rule.
fn fuzz(program: &Path, name: &str, longest: &str, seconds: u64, only: Option<&str>) -> Result<bool> {
    let folder = folder();
    let (corpus, seeds, log) =
        (folder.join("corpus").join(name), folder.join("seeds").join(name), folder.join(format!("{name}.log")));
    for f in [&corpus, &seeds] {
        fs::create_dir_all(f).with_context(|| format!("cannot make {}", f.display()))?;
    }
    let (before, start) = (broken_inputs(name), Instant::now());
    let output = fs::File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
    let status = fuzzer(program, name, only)
        .args([format!("-max_total_time={seconds}"), format!("-max_len={longest}"), format!("-timeout={TIMEOUT}")])
        .arg(format!("-artifact_prefix={}/{name}-", folder.display()))
        .args(["-print_final_stats=1", "-reload=0"])
        .args([&corpus, &seeds])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(output)
        .status()
        .context("cannot start the fuzzer")?;
    let text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    let runs = text.lines().find_map(|l| l.strip_prefix("stat::number_of_executed_units:")).unwrap_or("?").trim();
    let edges = text.rsplit("cov: ").next().and_then(|t| t.split_whitespace().next()).unwrap_or("?");
    let (took, word) = (start.elapsed().as_secs(), if status.success() { "ok" } else { "BROKEN" });
    eprintln!("fuzz {name}: {runs} inputs, {edges} edges in {took} s, {word}");
    if status.success() {
        return Ok(true);
    }
    // What the rule says; behind it come the frames of the stack.
    let said = text.split_once("panicked at ").map_or(&*text, |(_, t)| t.split("stack backtrace").next().unwrap_or(t));
    said.lines().take(12).for_each(|l| eprintln!("  {l}"));
    for input in broken_inputs(name).into_iter().filter(|i| !before.contains(i)) {
        eprintln!("  to repeat it: cargo xtask fuzz --repeat {}", input.display());
    }
    eprintln!("  all that it said: {}", log.display());
    Ok(false)
}

/// Runs one input again, and tells what becomes of each frame in it.
fn again(program: &Path, file: &Path) -> Result<()> {
    let file = file.canonicalize().with_context(|| format!("there is no {}", file.display()))?;
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let Some((target, ..)) = TARGETS.iter().find(|(t, ..)| name.starts_with(t)) else {
        bail!("{name} does not begin with the name of a target");
    };
    shell::run(fuzzer(program, target, None).arg(file).env("OT_XDP_FUZZ_TELL", "1"))
}

/// The fuzzer on a target.
fn fuzzer(program: &Path, target: &str, only: Option<&str>) -> Command {
    let mut c = Command::new(program);
    shell::without_own_cargo(&mut c);
    c.env("OT_XDP_FUZZ", target).env_remove("OT_XDP_FUZZ_ONLY").envs(only.map(|name| ("OT_XDP_FUZZ_ONLY", name)));
    c
}

/// Folders with captures: those of the repository, and of the shared corpus where it is present.
fn captures() -> Vec<PathBuf> {
    let shared = env::var_os("OT_XDP_SHARED").map_or_else(|| shell::root().join("../shared"), PathBuf::from);
    let own = shell::root().join("tests/data/captures/live");
    vec![own, shared.join("live/pcaps"), shared.join("corpus/dev/pcap")]
}

/// Inputs of a target that broke a rule, in this run or an earlier one.
fn broken_inputs(target: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder()).into_iter().flatten().flatten().map(|e| e.path());
    let is = |p: &PathBuf| {
        let name = p.file_name().unwrap_or_default().to_string_lossy();
        name.strip_prefix(target).is_some_and(|n| ["-crash-", "-timeout-", "-oom-"].iter().any(|k| n.starts_with(k)))
    };
    entries.filter(is).collect()
}

fn folder() -> PathBuf {
    shell::target().join("fuzz")
}
