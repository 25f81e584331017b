//! The commands that ask a running loader: `status`, `mode`, `confirm`, `reload`, and the permits of `policy`.
#![allow(clippy::indexing_slicing, reason = "a JSON value answers null for a key that it does not have")]

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use serde_json::Value;

use crate::cli::{ByArgs, ModeArgs, PermitArgs, RevokeArgs, StatusArgs};
use crate::control::{self, Answer, Permit, Request, client};

/// Asks, and prints what was done; exit code 1 when it was not.
fn ask(path: Option<&Path>, request: &Request) -> Result<ExitCode> {
    let answer = send(path, request)?;
    if answer.ok {
        writeln!(std::io::stdout().lock(), "{}", answer.message)?;
        return Ok(ExitCode::SUCCESS);
    }
    anyhow::bail!("not done: {}", answer.message)
}

fn send(path: Option<&Path>, request: &Request) -> Result<Answer> {
    Ok(client::ask(path.unwrap_or(Path::new(control::PATH)), request)?)
}

/// `ot-xdp mode`.
///
/// # Errors
/// No loader answers, or it refuses.
pub fn mode(args: &ModeArgs) -> Result<ExitCode> {
    let request = Request::Mode {
        mode: args.mode.word().to_owned(),
        confirm_within_ms: args.confirm_within.map(|d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)),
        by: args.by.by.clone(),
        ticket: args.ticket.clone(),
    };
    ask(args.by.control.as_deref(), &request)
}

/// `ot-xdp confirm`.
///
/// # Errors
/// No loader answers, or nothing waits for a confirmation.
pub fn confirm(args: &ByArgs) -> Result<ExitCode> {
    ask(args.control.as_deref(), &Request::Confirm { by: args.by.clone() })
}

/// `ot-xdp reload`.
///
/// # Errors
/// No loader answers, or the configuration is wrong; then the old policy stays in force.
pub fn reload(args: &ByArgs) -> Result<ExitCode> {
    ask(args.control.as_deref(), &Request::Reload { by: args.by.clone() })
}

/// `ot-xdp policy permit`.
///
/// # Errors
/// No loader answers, or it refuses.
pub fn permit(args: &PermitArgs) -> Result<ExitCode> {
    let permit = Permit {
        from: args.from.to_string(),
        to: args.to.to_string(),
        protocol: args.protocol.clone(),
        class: args.class.clone(),
        for_ms: u64::try_from(args.length.as_millis()).unwrap_or(u64::MAX),
        by: args.by.by.clone(),
        ticket: args.ticket.clone(),
        reason: args.reason.clone(),
    };
    ask(args.by.control.as_deref(), &Request::Permit(permit))
}

/// `ot-xdp policy revoke`.
///
/// # Errors
/// No loader answers, or there is no such permit.
pub fn revoke(args: &RevokeArgs) -> Result<ExitCode> {
    ask(args.by.control.as_deref(), &Request::Revoke { id: args.id, by: args.by.by.clone() })
}

/// `ot-xdp policy permits`.
///
/// # Errors
/// No loader answers.
pub fn permits(args: &StatusArgs) -> Result<ExitCode> {
    let status = send(args.control.as_deref(), &Request::Status)?.status;
    let all = &status["gateway"]["permits"];
    let text = if args.json { serde_json::to_string_pretty(all)? + "\n" } else { permit_lines(all) };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// `ot-xdp status`.
///
/// # Errors
/// No loader answers.
pub fn status(args: &StatusArgs) -> Result<ExitCode> {
    let status = send(args.control.as_deref(), &Request::Status)?.status;
    let text = if args.json { serde_json::to_string_pretty(&status)? + "\n" } else { text(&status) };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// A value as people read it.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn permit_lines(all: &Value) -> String {
    let mut out = String::new();
    for p in items(all) {
        let [id, from, to, class, protocol, until, by, ticket, reason] =
            ["id", "from", "to", "class", "protocol", "until", "by", "ticket", "reason"].map(|key| plain(&p[key]));
        let what = if class.is_empty() { "every operation" } else { &class };
        let _ =
            writeln!(out, "permit {id}: {from} to {to}, {what} of {protocol}, until {until}, {by}, {ticket}: {reason}");
    }
    if out.is_empty() {
        out.push_str("no permit is in force\n");
    }
    out
}

/// The status for people.
fn text(s: &Value) -> String {
    let mut out = format!("ot-xdp {}, up {} s", plain(&s["version"]), plain(&s["uptime_s"]));
    let _ = writeln!(out, ", {} events, {} lost", plain(&s["events"]), plain(&s["events_dropped"]));
    for i in items(&s["interfaces"]) {
        let [name, mode, frames, bytes] = ["name", "attach_mode", "frames", "bytes"].map(|key| plain(&i[key]));
        let _ = writeln!(out, "  {name}: {mode}, {frames} frames, {bytes} octets");
    }
    let g = &s["gateway"];
    if g.is_null() {
        out.push_str("no gateway: it only listens\n");
        return out;
    }
    let pinned = if g["pinned"] == true { ", pinned" } else { "" };
    let _ = writeln!(
        out,
        "gateway: mode {}, preset {}, passes everything {} s after the last heartbeat{pinned}",
        plain(&g["mode"]),
        plain(&g["preset"]),
        plain(&g["dead_man_s"])
    );
    if let Some(seconds) = g["confirm_in_s"].as_f64() {
        let _ = writeln!(out, "  the arming is undone in {seconds:.0} s unless it is confirmed: `ot-xdp confirm`");
    }
    for p in items(&g["ports"]) {
        let [name, zone, side] = ["interface", "zone", "side"].map(|key| plain(&p[key]));
        let _ = write!(out, "  {name}: zone {zone} ({side})");
        out.push_str(if p["judged"] == true { ", judged:" } else { ", not judged" });
        for (word, frames) in p["frames"].as_object().into_iter().flatten().filter(|(_, n)| **n != 0) {
            let _ = write!(out, " {word} {frames}");
        }
        out.push('\n');
    }
    for r in items(&g["rules"]) {
        let [id, frames, refused, last, name] = ["id", "frames", "refused", "last", "name"].map(|key| plain(&r[key]));
        let old = if r["in_force"] == true { "" } else { " (not in force any more)" };
        let _ = writeln!(out, "  {id}{old}: {frames} frames, {refused} refused, last {last}: {name}");
    }
    out.push_str(&permit_lines(&g["permits"]));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_status_can_be_read() {
        let listens =
            json!({"version": "1", "uptime_s": 5, "events": 7, "events_dropped": 0, "interfaces": [], "gateway": null});
        assert!(text(&listens).contains("it only listens"));
        let gateway = json!({"version": "1", "uptime_s": 5, "events": 7, "events_dropped": 0, "interfaces": [],
            "gateway": {"mode": "enforce", "preset": "protect-writes", "dead_man_s": 2.0, "confirm_in_s": 59.6,
                "pinned": true, "permits": [], "rules": [{"id": "protect-writes/1", "in_force": true, "frames": 3,
                "refused": 3, "last": "2026-06-10T12:00:00.000Z", "name": "denies"}],
                "ports": [{"interface": "p1", "zone": "it", "side": "it", "judged": true,
                "frames": {"reset": 3, "dropped": 0}}]}});
        let said = text(&gateway);
        for words in ["mode enforce", "undone in 60 s", "p1: zone it (it), judged: reset 3\n", "3 refused", "no permit"]
        {
            assert!(said.contains(words), "{words}: {said}");
        }
    }
}
