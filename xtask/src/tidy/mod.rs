//! `cargo xtask tidy`: the rules of the project as checks.

mod direction;
mod files;
mod lints;
mod readme;

use std::path::Path;
use std::process::Command;
use std::{fs, io};

use anyhow::{Context, Result, bail};

use crate::setup::{self, Tools};
use crate::shell;
use crate::test::Tally;

/// What a check found.
enum Finding {
    /// Broken rules, each with file and line.
    Broken(Vec<String>),
    /// It could not look: why.
    Skipped(String),
}

/// A text file of the repository.
struct File {
    /// Relative to the root, with `/`.
    path: String,
    text: String,
}

impl File {
    /// Lines with their numbers.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(n, l)| (n + 1, l))
    }

    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

type Check = fn(&[File], &Tools) -> Result<Finding>;

const CHECKS: [(&str, Check); 15] = [
    ("the top level is as agreed", files::top_level),
    ("every Rust file begins by saying what it is", files::heads),
    ("no Rust file is above 600 lines", files::length),
    ("unsafe code stays in the files that may hold it", files::unsafe_code),
    ("only one file can drop a frame, none aborts", files::verdicts),
    ("nothing names a machine or a registry host", files::places),
    ("modules of the program know only the stage before", direction::modules),
    ("crates use only what their side may", direction::crates),
    ("the README's protocol table is that of the program", readme::protocols),
    ("user-space code is formatted", lints::format_user),
    ("kernel code is formatted", lints::format_kernel),
    ("fuzz code is formatted", lints::format_fuzz),
    ("fuzz code passes clippy", lints::clippy_fuzz),
    ("kernel code passes clippy", lints::clippy_kernel),
    ("user-space code passes clippy", lints::clippy_user),
];

/// The task.
pub fn task(args: &[String]) -> Result<()> {
    if !args.is_empty() {
        return Err(crate::usage("tidy"));
    }
    let tally = tally(&setup::ready()?)?;
    tally.skipped.iter().for_each(|s| eprintln!("skipped: {s}"));
    if tally.failed > 0 {
        bail!("{} of {} rules are broken", tally.failed, tally.failed + tally.passed);
    }
    eprintln!("{} rules hold", tally.passed);
    Ok(())
}

/// Runs every check and prints what is broken.
pub fn tally(tools: &Tools) -> Result<Tally> {
    let files = files_of_repository()?;
    let mut tally = Tally::default();
    for (name, check) in CHECKS {
        match check(&files, tools) {
            Ok(Finding::Broken(list)) if list.is_empty() => tally.passed += 1,
            Ok(Finding::Broken(list)) => {
                tally.failed += 1;
                eprintln!("tidy: not so: {name}");
                list.iter().for_each(|l| eprintln!("  {l}"));
            }
            Ok(Finding::Skipped(why)) => tally.skipped.push(format!("{name}: {why}")),
            Err(e) => {
                tally.failed += 1;
                eprintln!("tidy: not so: {name}\n  {e:#}");
            }
        }
    }
    Ok(tally)
}

/// Files that git knows or would add; every file where there is no git.
fn files_of_repository() -> Result<Vec<File>> {
    let root = shell::root();
    let mut names = Vec::new();
    let git = Command::new("git")
        .current_dir(&root)
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output();
    match git {
        Ok(out) if out.status.success() => {
            let text = String::from_utf8_lossy(&out.stdout).into_owned();
            names.extend(text.split('\0').filter(|n| !n.is_empty()).map(str::to_owned));
        }
        _ => walk(&root, &root, &mut names).context("cannot list the repository")?,
    }
    // A deleted file is known to git until the deletion is committed; one that is not text has no lines to check.
    let read = |path: String| Some(File { text: fs::read_to_string(root.join(&path)).ok()?, path });
    Ok(names.into_iter().filter_map(read).collect())
}

fn walk(root: &Path, folder: &Path, names: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if !path.is_dir() {
            names.push(path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned());
        } else if !path.ends_with("target") && !path.ends_with(".git") {
            walk(root, &path, names)?;
        }
    }
    Ok(())
}
