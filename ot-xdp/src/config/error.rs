//! What can be wrong with a configuration: where, why, and what to do.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::policy::Problem;

/// An error of the configuration; the program ends with exit code 2.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {error}\nA run needs none; `ot-xdp config` prints one with every default.", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system said.
        error: String,
    },
    /// Something in the file is wrong.
    #[error("{}:{line}:{column}: {reason}\n`ot-xdp config` prints every key with its default and what it takes.", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// What is wrong and what is accepted.
        reason: String,
    },
    /// An option of the command line is wrong.
    #[error("{option}: {reason}")]
    Option {
        /// The option.
        option: &'static str,
        /// What is wrong and what is accepted.
        reason: String,
    },
    /// Bindings that were not read from a file contradict each other.
    #[error("binding {entry}: {reason}")]
    Binding {
        /// Which one, from 1.
        entry: usize,
        /// What is wrong.
        reason: String,
    },
    /// The policy is wrong.
    #[error("{}", problems_text(file, problems))]
    Policy {
        /// The file.
        file: PathBuf,
        /// What is wrong with it, by line.
        problems: Vec<Problem>,
    },
}

/// One line a problem.
fn problems_text(file: &Path, problems: &[Problem]) -> String {
    let mut text = String::new();
    for problem in problems {
        let at = if problem.line == 0 { String::new() } else { format!(":{}", problem.line) };
        let _ = writeln!(text, "{}{at}: {}", file.display(), problem.reason);
    }
    text + "`ot-xdp config` prints every key and what it takes."
}
