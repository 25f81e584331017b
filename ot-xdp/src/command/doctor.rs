//! `ot-xdp doctor`: can this host run the sensor, and what to do where it cannot. Attaches nothing, changes nothing.

mod host;
mod memory;
mod port;

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde::Serialize;

pub use host::unsupported_kernel;
pub use memory::map_memory;
pub(crate) use memory::{mebibytes, possible_cpus};

use crate::cli::DoctorArgs;
use crate::sys::link;

/// Version of the JSON that `doctor --json` prints.
const JSON_VERSION: u32 = 1;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    /// As it should be, or does not matter.
    Ok,
    /// The sensor runs, but sees less, is slower, or something is about to go wrong.
    Warning,
    /// The sensor will not start here.
    Problem,
}

impl Level {
    const fn word(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Problem => "problem",
        }
    }
}

/// One check: a sentence, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Finding {
    /// What was looked at, one word.
    check: &'static str,
    /// Interface it is about; none for the host.
    interface: Option<String>,
    level: Level,
    message: String,
    advice: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, message: impl Into<String>) -> Finding {
        Finding { check, interface: None, level: Level::Ok, message: message.into(), advice: None }
    }

    fn warning(check: &'static str, message: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding { level: Level::Warning, advice: Some(advice.into()), ..Finding::ok(check, message) }
    }

    fn problem(check: &'static str, message: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding { level: Level::Problem, advice: Some(advice.into()), ..Finding::ok(check, message) }
    }
}

/// All of `--json`.
#[derive(Serialize)]
struct Report<'a> {
    version: u32,
    problems: usize,
    warnings: usize,
    checks: &'a [Finding],
}

/// Runs the subcommand: exit code 0 when there is no problem, 1 when there is one.
///
/// # Errors
/// When the kernel does not list its interfaces, or nobody takes the output.
pub fn run(args: &DoctorArgs) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().context("cannot start a task")?;
    let links = runtime.block_on(link::all()).context("cannot list the interfaces")?;
    let mut findings = host::checks();
    findings.extend(port::checks(&links, &args.interfaces));
    let text = if args.json { json(&findings)? } else { text(&findings) };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(if count(&findings, Level::Problem) == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn count(findings: &[Finding], level: Level) -> usize {
    findings.iter().filter(|f| f.level == level).count()
}

fn json(findings: &[Finding]) -> Result<String> {
    let report = Report {
        version: JSON_VERSION,
        problems: count(findings, Level::Problem),
        warnings: count(findings, Level::Warning),
        checks: findings,
    };
    Ok(serde_json::to_string_pretty(&report)? + "\n")
}

/// One line a check; what to do stands below it.
fn text(findings: &[Finding]) -> String {
    let mut out = String::new();
    for f in findings {
        let subject = match &f.interface {
            Some(interface) => format!("{interface} {}", f.check),
            None => f.check.to_owned(),
        };
        out += &format!("{:<8} {subject}: {}\n", f.level.word(), f.message);
        if let Some(advice) = &f.advice {
            out += &format!("{:<8} -> {advice}\n", "");
        }
    }
    let (problems, warnings) = (count(findings, Level::Problem), count(findings, Level::Warning));
    out + &match (problems, warnings) {
        (0, 0) => "This host can run the sensor.\n".to_owned(),
        (0, n) => format!("This host can run the sensor; {} to look at.\n", plural(n, "warning")),
        (p, _) => format!("This host cannot run the sensor as it is: {} to solve.\n", plural(p, "problem")),
    }
}

fn plural(n: usize, word: &str) -> String {
    format!("{n} {word}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> Vec<Finding> {
        let mut port = Finding::warning("vlan", "tags are taken off", "ethtool -K p1 rxvlan off");
        port.interface = Some("p1".to_owned());
        vec![
            Finding::ok("kernel", "Linux 6.12"),
            port,
            Finding::problem("capabilities", "CAP_BPF is missing", "be root"),
        ]
    }

    #[test]
    fn one_line_a_check_and_what_to_do() {
        let text = text(&findings());
        assert!(text.starts_with("ok       kernel: Linux 6.12\nwarning  p1 vlan: tags are taken off\n"), "{text}");
        assert!(text.contains("\n         -> ethtool -K p1 rxvlan off\n"), "{text}");
        assert!(text.ends_with("This host cannot run the sensor as it is: 1 problem to solve.\n"), "{text}");
    }

    #[test]
    fn json_counts_problems() {
        let value: serde_json::Value = serde_json::from_str(&json(&findings()).unwrap()).unwrap();
        assert_eq!((&value["problems"], &value["warnings"]), (&1.into(), &1.into()));
        assert_eq!(value["checks"][1]["interface"], "p1");
        assert_eq!(value["checks"][2]["level"], "problem");
    }
}
