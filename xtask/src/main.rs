//! Set-up, build, run and test tasks: `cargo xtask TASK`.
//!
//! Quick to compile on purpose (no argument parser, nothing asynchronous): it is the first thing a fresh clone builds.

mod apt;
mod bench;
mod build;
mod ebpf;
mod eval;
mod fuzz;
mod linker;
mod run;
mod score;
mod setup;
mod shell;
mod stamp;
mod test;
mod tidy;
mod toolchain;

use std::fmt;
use std::process::ExitCode;

use anyhow::Result;

type Task = fn(&[String]) -> Result<()>;

/// Name, function, what it does.
const TASKS: [(&str, Task, &str); 9] = [
    ("setup", setup::task, "find or install what the build needs (--check: only report; --tests: also what tests use)"),
    ("build", build::task, "build the kernel object and target/release/ot-xdp with the object inside"),
    ("run", run::task, "build, then run the sensor (`cargo xtask run -- --interface IF`), or without IF the plant lab"),
    (
        "test",
        test::task,
        "run every test (--quick: without virtual machines, fewer mutated frames; --vm: only the machines)",
    ),
    (
        "fuzz",
        fuzz::task,
        "fuzz every parser, guided by coverage (600 s; --seconds N, --only PROTOCOL; --repeat FILE: one input again)",
    ),
    (
        "eval",
        eval::task,
        "the detectors on labelled captures and generated traffic, as a table (E1 ... E10, --data DIR)",
    ),
    ("bench", bench::task, "what a frame costs, against floors of the same run (--quick, --json FILE)"),
    ("score", score::task, "share of frames named right, by protocol, in public captures with truth (OT_XDP_SHARED)"),
    ("tidy", tidy::task, "check layout, dependencies, file heads, README table, formatting and lints"),
];

/// The command line cannot be understood: exit code 2.
#[derive(Debug)]
struct Usage(String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "usage: cargo xtask {}", self.0)
    }
}

impl std::error::Error for Usage {}

/// The error for arguments that a task does not know.
fn usage(text: &str) -> anyhow::Error {
    Usage(text.to_owned()).into()
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (name, rest) = args.split_first().map_or(("", &[][..]), |(name, rest)| (name.as_str(), rest));
    let Some((_, task, _)) = TASKS.iter().find(|(n, ..)| *n == name) else {
        let asked = matches!(name, "" | "help" | "-h" | "--help");
        if !asked {
            eprintln!("there is no task `{name}`");
        }
        eprintln!("usage: cargo xtask TASK");
        for (name, _, what) in TASKS {
            eprintln!("  {name:<6} {what}");
        }
        return ExitCode::from(if asked && !name.is_empty() { 0 } else { 2 });
    };
    match task(rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{name}: {e:#}");
            ExitCode::from(if e.is::<Usage>() { 2 } else { 1 })
        }
    }
}
