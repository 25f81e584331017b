//! `ot-xdp policy simulate --live`: the kernel program in shadow mode for a while, and a table of what it would have refused.
#![allow(clippy::indexing_slicing, reason = "a JSON value answers null for a key that it does not have")]

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

use crate::cli::{GateArgs, GateMode, RunArgs};
use crate::policy::simulate::{Finding, Report};

/// Keeps the lines that are written to it.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let mut kept = self.0.lock().map_err(|_| io::Error::other("a thread failed"))?;
        // Flow summaries and health are many and are not asked for.
        if is_of_the_gate(octets) {
            kept.extend_from_slice(octets);
        }
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn is_of_the_gate(line: &[u8]) -> bool {
    const WORD: &[u8] = b"\"dataset\":\"otxdp.gate\"";
    line.windows(WORD.len()).any(|w| w == WORD)
}

/// Looks at the traffic of a bridge for so long.
///
/// # Errors
/// What `run` refuses.
pub fn simulate(config: &Path, bridge: &str, duration: Option<Duration>) -> Result<Report> {
    let gate = GateArgs { bridge: Some(bridge.to_owned()), mode: GateMode::Shadow, ..GateArgs::default() };
    let args = RunArgs { config: Some(config.to_owned()), duration, gate, ..RunArgs::default() };
    let kept = Kept::default();
    let frames = super::run::into(&args, kept.clone())?;
    let octets = kept.0.lock().map_err(|_| io::Error::other("a thread failed"))?;
    let events = octets.split(|b| *b == b'\n').filter(|l| !l.is_empty());
    let events: Vec<Value> = events.map(serde_json::from_slice).collect::<Result<_, _>>()?;
    Ok(report(&events, frames))
}

/// The events of the gate as a report.
fn report(events: &[Value], frames: u64) -> Report {
    let mut all: BTreeMap<String, Finding> = BTreeMap::new();
    let mut report = Report { frames, ..Report::default() };
    for e in events {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let number = |value: &Value| value.as_u64().unwrap_or(0);
        let (gate, op) = (&e["otxdp"]["gate"], &e["otxdp"]["op"]);
        let denied = e["event"]["action"] == "would-drop";
        let address = |side: &Value| text(&side["address"]);
        let f = Finding {
            action: if denied { "deny" } else { "alert" },
            source: address(&e["source"]),
            destination: address(&e["destination"]),
            service: number(&e["destination"]["port"]) as u16,
            from_zone: text(&gate["from_zone"]),
            to_zone: text(&gate["to_zone"]),
            what: gate["condition"].as_str().map_or_else(|| text(&op["function"]["path"]), str::to_owned),
            rule: text(&e["rule"]["id"]),
            line: None,
            reason: text(&e["rule"]["description"]),
            frames: number(&gate["frames"]),
            first: text(&e["event"]["start"]),
            last: text(&e["event"]["end"]),
        };
        report.judged += f.frames;
        report.denied += if denied { f.frames } else { 0 };
        report.alerted += if denied { 0 } else { f.frames };
        let key = format!("{} {} {} {} {} {}", f.action == "alert", f.rule, f.source, f.destination, f.service, f.what);
        match all.get_mut(&key) {
            Some(known) => {
                known.frames += f.frames;
                known.last = f.last;
            }
            None => {
                all.insert(key, f);
            }
        }
    }
    report.findings = all.into_values().collect();
    report
}
