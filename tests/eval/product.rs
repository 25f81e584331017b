//! The product as a user runs it: learn, lock, judge.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::Setup;

/// An alert.
#[derive(Clone, Debug)]
pub struct Alert {
    /// Seconds since the epoch.
    pub at: f64,
    /// `event.action`.
    pub action: String,
    /// `new`, `update`, `end`.
    pub phase: String,
    /// `rule.category`.
    pub family: String,
    /// Addresses in it.
    pub stations: Vec<String>,
    /// Why.
    pub why: String,
    /// `network.protocol`, port.
    pub service: (String, u64),
}

impl Setup {
    /// A store that is not there yet.
    pub fn store(&self, name: &str) -> Result<PathBuf> {
        let path = self.scratch.path().join(format!("{name}.base"));
        if path.exists() {
            std::fs::remove_file(&path)?;
        }
        Ok(path)
    }

    fn run(&self, args: &[&str], files: &[&Path]) -> Result<String> {
        let out = Command::new(&self.program).args(args).args(files).output()?;
        ensure!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        Ok(String::from_utf8_lossy(&out.stdout).into_owned())
    }

    /// Learns from captures.
    pub fn learn(&self, base: &Path, files: &[&Path]) -> Result<()> {
        let base = base.display().to_string();
        self.run(&["replay", "--learn", &base], files).map(|_| ())
    }

    /// Locks, `all` with what was rare or risky.
    pub fn lock(&self, base: &Path, all: bool) -> Result<()> {
        let base = base.display().to_string();
        let mut args = vec!["baseline", "lock", base.as_str(), "--by", "eval"];
        if all {
            args.push("--all");
        }
        self.run(&args, &[]).map(|_| ())
    }

    /// The export.
    pub fn export(&self, base: &Path) -> Result<String> {
        self.run(&["baseline", "export", &base.display().to_string()], &[])
    }

    /// Judges a capture.
    pub fn judge(&self, base: &Path, file: &Path) -> Result<Vec<Alert>> {
        let base = base.display().to_string();
        let text = self.run(&["replay", "--alerts-only", "--baseline", &base], &[file])?;
        text.lines().map(|l| alert(&serde_json::from_str(l)?)).collect()
    }
}

#[allow(clippy::indexing_slicing, reason = "a JSON value answers null for a key that it does not have")]
fn alert(e: &Value) -> Result<Alert> {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let at: jiff::Timestamp = text(&e["@timestamp"]).parse()?;
    let sides = [&e["source"]["ip"], &e["source"]["mac"], &e["destination"]["ip"], &e["destination"]["mac"]];
    Ok(Alert {
        at: at.as_microsecond() as f64 / 1e6,
        action: text(&e["event"]["action"]),
        phase: text(&e["otxdp"]["deviation"]["phase"]),
        family: text(&e["rule"]["category"]),
        stations: sides.into_iter().filter_map(|v| v.as_str().map(str::to_owned)).collect(),
        why: text(&e["event"]["reason"]),
        service: (text(&e["network"]["protocol"]), e["destination"]["port"].as_u64().unwrap_or(0)),
    })
}
