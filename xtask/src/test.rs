//! `cargo xtask test`: every test of the project, a line a suite, and what was skipped and why.
//!
//! # How skips are counted
//!
//! A test that cannot run where it is prints a line `skipped: REASON` (the cross-crate tests by `harness::skip!`) and
//! ends. The test runner of Rust counts it as passed. So every test program is started from here with `--show-output`,
//! which prints what each test wrote under the test's name; a test with such a line counts as skipped, not as passed.
//! Ignored tests count as skipped too.
//!
//! Environment of the tests: `OT_XDP_BIN` is the built program, `OT_XDP_MUTATIONS` how many mutated frames are compared.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{build, ebpf, fuzz, setup, shell, tidy};

/// What became of the tests of one suite or of all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Ran and held.
    pub passed: usize,
    /// Ran and did not hold.
    pub failed: usize,
    /// Could not run: which, and why.
    pub skipped: Vec<String>,
}

impl Tally {
    /// One failure for a suite that did not get as far as its tests.
    pub fn broken() -> Tally {
        Tally { failed: 1, ..Tally::default() }
    }
}

/// A program with tests.
struct Suite {
    name: String,
    program: PathBuf,
    /// Folder of its package: tests find their data from there.
    folder: PathBuf,
    is_vm: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    All,
    Quick,
    OnlyVm,
}

/// The task. Exit code 1 when anything failed; the last line is the sum.
pub fn task(args: &[String]) -> Result<()> {
    let which = match args {
        [] => Which::All,
        [a] if a == "--quick" => Which::Quick,
        [a] if a == "--vm" => Which::OnlyVm,
        _ => return Err(crate::usage("test [--quick | --vm]")),
    };
    let mut sum = Tally::default();
    let tools = setup::ready()?;
    if which != Which::Quick {
        setup::for_tests(&tools, false)?;
    }
    ebpf::build(&tools)?;
    if which != Which::OnlyVm {
        add(&mut sum, "tidy", || tidy::tally(&tools));
        run_all(&mut sum, "unit tests", &[], which);
        for package in ["ot-xdp-common", "ot-xdp"] {
            add(&mut sum, &format!("{package} (documentation)"), || documentation(package));
        }
        add(&mut sum, "fuzzing", || match which {
            Which::Quick => Ok(Tally { skipped: vec!["fuzzing: left out by --quick".to_owned()], ..Tally::default() }),
            _ => fuzz::tally(),
        });
    }
    match build::build(false) {
        Ok(_) => run_all(&mut sum, "cross-crate tests", &["--package", "ot-xdp-tests"], which),
        Err(e) => add(&mut sum, "release build", || Err(e)),
    }
    println!("{} passed, {} failed, {} skipped", sum.passed, sum.failed, sum.skipped.len());
    // The sum stays the last line: an error would print another one.
    std::process::exit(i32::from(sum.failed > 0))
}

/// Builds the test programs of a selection of packages and runs them one after the other.
fn run_all(sum: &mut Tally, what: &str, selection: &[&str], which: Which) {
    let suites = match suites(selection) {
        Ok(suites) => suites,
        Err(e) => return add(sum, what, || Err(e)),
    };
    for suite in suites {
        match (which, suite.is_vm) {
            (Which::Quick, true) => add(sum, &suite.name, || {
                Ok(Tally { skipped: vec![format!("{}: left out by --quick", suite.name)], ..Tally::default() })
            }),
            (Which::OnlyVm, false) => {}
            _ => add(sum, &suite.name, || {
                let mut c = Command::new(&suite.program);
                c.arg("--show-output").current_dir(&suite.folder).env("CARGO_MANIFEST_DIR", &suite.folder);
                c.env("OT_XDP_BIN", shell::target().join("release/ot-xdp"));
                c.envs((which == Which::Quick).then_some(("OT_XDP_MUTATIONS", "50000")));
                run(&mut c)
            }),
        }
    }
}

/// Runs a suite, prints its line and adds it to the sum.
fn add(sum: &mut Tally, name: &str, suite: impl FnOnce() -> Result<Tally>) {
    let start = Instant::now();
    let tally = suite().unwrap_or_else(|e| {
        eprintln!("{name}: {e:#}");
        Tally::broken()
    });
    let word = if tally.failed > 0 { "FAILED" } else { "ok" };
    let (passed, failed, skipped) = (tally.passed, tally.failed, tally.skipped.len());
    if passed + failed + skipped > 0 {
        let seconds = start.elapsed().as_secs_f32();
        eprintln!("{word:<6} {name}: {passed} passed, {failed} failed, {skipped} skipped, {seconds:.1} s");
    }
    tally.skipped.iter().for_each(|s| eprintln!("       skipped {s}"));
    sum.passed += passed;
    sum.failed += failed;
    sum.skipped.extend(tally.skipped);
}

/// Builds test programs and lists them as cargo does.
fn suites(selection: &[&str]) -> Result<Vec<Suite>> {
    let mut c = shell::cargo();
    c.args(["test", "--no-run", "--quiet", "--message-format=json-render-diagnostics"]).args(selection);
    let out = c.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    if !out.status.success() {
        bail!("the tests do not compile");
    }
    let text = String::from_utf8_lossy(&out.stdout);
    Ok(text.lines().filter_map(|l| serde_json::from_str(l).ok()).filter_map(|m| suite(&m)).collect())
}

fn suite(message: &Value) -> Option<Suite> {
    if message.pointer("/profile/test")? != &Value::Bool(true) {
        return None;
    }
    let program = PathBuf::from(message.get("executable")?.as_str()?);
    let folder = Path::new(message.get("manifest_path")?.as_str()?).parent()?.to_owned();
    let target = message.pointer("/target/name")?.as_str()?;
    let kind = message.pointer("/target/kind/0")?.as_str()?;
    let package = folder.file_name()?.to_string_lossy().into_owned();
    let is_vm = kind == "test" && target.starts_with("vm");
    Some(Suite { name: format!("{package} ({kind} {target})"), program, folder, is_vm })
}

fn documentation(package: &str) -> Result<Tally> {
    let mut c = shell::cargo();
    run(c.args(["test", "--doc", "--quiet", "--package", package, "--", "--show-output"]))
}

/// Runs a test program and reads its report. Of what tests printed, that of the failed ones is shown.
fn run(c: &mut Command) -> Result<Tally> {
    let mut child = c.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot start it")?;
    let stdout = child.stdout.take().context("it has no output")?;
    let mut text = String::new();
    for line in BufReader::new(stdout).lines() {
        let line = line.context("its output is not text")?;
        if line.contains("has been running for over") {
            eprintln!("       {line}");
        }
        text.push_str(&line);
        text.push('\n');
    }
    let status = child.wait()?;
    let mut tally = read(&text);
    if !status.success() && tally.failed == 0 {
        eprintln!("it ended with {status}");
        tally.failed = 1;
    }
    if tally.failed > 0 {
        // What the others printed comes before it.
        let from = text.find("\nfailures:\n").unwrap_or(0);
        eprint!("{}", text.get(from..).unwrap_or_default());
    }
    Ok(tally)
}

/// Reads the report of a test program that was started with `--show-output`.
fn read(text: &str) -> Tally {
    let mut tally = Tally::default();
    let mut of = String::new();
    let mut last_counted = String::new();
    let mut ignored_tests = 0;
    let mut failures = false;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("---- ").and_then(|l| l.strip_suffix(" stdout ----")) {
            name.clone_into(&mut of);
        } else if line == "failures:" {
            failures = true;
        } else if let Some(why) = line.strip_prefix("skipped: ") {
            // One test may give several reasons; it is one test. One that failed afterwards is not skipped.
            if !failures && (last_counted != of || of.is_empty()) {
                tally.skipped.push(format!("{of}: {why}"));
                of.clone_into(&mut last_counted);
            }
        } else if let Some(name) = ignored(line) {
            tally.skipped.push(name);
            ignored_tests += 1;
        } else if let Some(result) = line.strip_prefix("test result: ") {
            let count = |word: &str| {
                let parts = result.split(['.', ';']);
                parts.filter_map(|p| p.trim().strip_suffix(word)?.trim().parse::<usize>().ok()).sum::<usize>()
            };
            tally.passed += count("passed");
            tally.failed += count("failed");
        }
    }
    // The others were counted as passed.
    tally.passed = tally.passed.saturating_sub(tally.skipped.len() - ignored_tests);
    tally
}

/// `test NAME ... ignored, REASON`.
fn ignored(line: &str) -> Option<String> {
    let (name, why) = line.strip_prefix("test ")?.split_once(" ... ignored")?;
    Some(format!("{name}: ignored{why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_report() {
        let text = "\nrunning 4 tests\ntest a ... ok\ntest b ... ok\ntest c ... ignored, slow\ntest d ... FAILED\n\n\
                    successes:\n\n---- b stdout ----\nhello\nskipped: not root\nskipped: nor this\n\n\nsuccesses:\n    a\n    b\n\n\
                    failures:\n\n---- d stdout ----\nskipped: half\nassertion\n\nfailures:\n    d\n\n\
                    test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";
        let skipped = vec!["c: ignored, slow".to_owned(), "b: not root".to_owned()];
        assert_eq!(read(text), Tally { passed: 1, failed: 1, skipped });
        assert_eq!(read("no report at all\n"), Tally::default());
    }
}
