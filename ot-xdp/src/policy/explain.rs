//! What would become of a payload, and why: the shared parsers and the compiled policy on a frame made for it.

use std::fmt::Write;
use std::net::IpAddr;

use ot_xdp_common::op::Op;
use ot_xdp_common::proto::{Path, Proto};
use ot_xdp_common::reason::Outcome;
use serde::Serialize;

use super::packet::{Envelope, PUSH, SYN, frame};
use super::show::action_word;
use super::{Compiled, Judgement, Policy, Way, What};
use crate::bindings::BindingTable;
use crate::source::replay::UserEngine;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Headers of the frame.
    pub envelope: Envelope,
    /// Port that it comes in on, when it is known.
    pub port: Option<String>,
    /// Payloads of one segment or datagram each, in order.
    pub payloads: Vec<Vec<u8>>,
}

/// What becomes of one segment or datagram.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// Name of the source zone.
    pub from_zone: String,
    /// Name of the destination zone.
    pub to_zone: String,
    /// What the parsers made of it.
    pub outcome: &'static str,
    /// Operations and conditions with the rules that decide about them.
    pub judged: Vec<Judged>,
    /// `allow`, `alert` or `deny`: the severest.
    pub action: &'static str,
    /// Index in `judged` of what decides, none when no rule matched.
    pub decided_by: Option<usize>,
}

/// One thing that was judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// Path of a function, or the word of a condition.
    pub what: String,
    /// `operation` or `condition`.
    pub kind: &'static str,
    /// Class of the operation.
    pub class: Option<&'static str>,
    /// Does the operation change the state of the device or the process?
    pub state_changing: bool,
    /// Unit of the operation.
    pub unit: Option<u32>,
    /// First address of the operation.
    pub address: Option<u32>,
    /// Number of addresses, 0 when not known.
    pub span: Option<u32>,
    /// Number of the rule in the kernel, 0 for none.
    pub rule: u8,
    /// What the rule says.
    pub action: &'static str,
    /// Name of the line that it was made from.
    pub name: String,
    /// Line of the file.
    pub line: Option<usize>,
    /// Why it is there.
    pub reason: String,
    /// Who answers for it.
    pub owner: String,
    /// Ticket or change number.
    pub ticket: Option<String>,
}

/// Ports of the zones, with numbers in place of interface indexes; number 1 is a port of no zone.
pub fn ports(policy: &Policy) -> Vec<(u32, String)> {
    let named = policy.zones.iter().flat_map(|z| &z.ports).cloned();
    (1..).zip(std::iter::once("a port of no zone".to_owned()).chain(named)).collect()
}

/// Number of a port among [`ports`]: that of no zone when none is named.
///
/// # Errors
/// When no zone has this port.
pub fn port_number(ports: &[(u32, String)], name: Option<&str>) -> Result<u32, String> {
    let Some(name) = name else { return Ok(1) };
    ports.iter().skip(1).find(|(_, port)| port == name).map(|(number, _)| *number).ok_or_else(|| {
        let known: Vec<&str> = ports.iter().skip(1).map(|(_, port)| port.as_str()).collect();
        format!("no zone has the port `{name}`; known are: {}", known.join(", "))
    })
}

/// Runs the payloads through the parsers, one connection, and judges each.
pub fn explain(c: &Compiled, bindings: BindingTable, q: &Question, port: u32, now_ns: u64) -> Vec<Answer> {
    let mut engine = UserEngine::new(bindings, 1);
    let mut seq = 1u32;
    if !q.envelope.udp {
        // A connection that was seen from its beginning, so that the first payload is known to begin a PDU.
        engine.classify(&frame(&q.envelope, 0, SYN, &[]));
    }
    let mut answers = Vec::new();
    for payload in &q.payloads {
        let data = frame(&q.envelope, seq, PUSH, payload);
        seq = seq.wrapping_add(payload.len() as u32);
        let (outcome, f, w) = engine.classify(&data);
        let way = c.way(f, port);
        let all = c.judge(outcome, f, w, way, now_ns);
        answers.push(answer(c, outcome, way, &all));
    }
    answers
}

fn answer(c: &Compiled, outcome: Outcome, way: Way, all: &[Judgement]) -> Answer {
    let decision = c.decision(all);
    Answer {
        from_zone: c.zone_name(way.from).to_owned(),
        to_zone: c.zone_name(way.to).to_owned(),
        outcome: outcome.word(),
        judged: all.iter().map(|j| judged(c, j)).collect(),
        action: action_word(decision.map_or(ot_xdp_common::policy::Action::Allow, |d| c.action(d.rule))),
        decided_by: decision.and_then(|d| all.iter().position(|j| *j == d)),
    }
}

/// What a judgement is about, and what the rule is.
pub fn judged(c: &Compiled, j: &Judgement) -> Judged {
    let op: Option<&Op> = if let What::Operation(op) = &j.what { Some(op) } else { None };
    let line = c.rule_info(j.rule).map(|info| info.line.clone());
    Judged {
        what: what(&j.what),
        kind: if op.is_some() { "operation" } else { "condition" },
        class: op.map(|op| op.class().word()),
        state_changing: op.is_some_and(Op::state_changing),
        unit: op.map(|op| op.unit),
        address: op.map(|op| op.addr),
        span: op.map(|op| op.span),
        rule: j.rule,
        action: action_word(c.action(j.rule)),
        name: line.as_ref().map_or_else(String::new, |l| l.name.clone()),
        line: line.as_ref().and_then(|l| l.line),
        reason: line.as_ref().map_or_else(String::new, |l| l.reason.clone()),
        owner: line.as_ref().map_or_else(String::new, |l| l.owner.clone()),
        ticket: line.and_then(|l| l.ticket),
    }
}

/// A function by its path, a condition by its word.
pub fn what(what: &What) -> String {
    match what {
        What::Operation(op) => Path { proto: op.proto(), function: op.function }.to_string(),
        What::Condition(c) => c.word().to_owned(),
    }
}

/// The answers for people.
pub fn text(answers: &[Answer], from: IpAddr, to: IpAddr) -> String {
    let mut out = String::new();
    for (n, a) in answers.iter().enumerate() {
        if answers.len() > 1 {
            let _ = writeln!(out, "Payload {}:", n + 1);
        }
        let _ = writeln!(out, "From {from} (zone {}) to {to} (zone {}).", a.from_zone, a.to_zone);
        if a.judged.is_empty() {
            let _ = writeln!(out, "There is nothing to judge in it: the outcome is {}.", a.outcome);
        }
        for j in &a.judged {
            let _ = writeln!(out, "  {}: {}.", subject(j), decision(j));
        }
        let verdict = match a.action {
            "deny" => "The frame is denied",
            "alert" => "The frame passes and is reported",
            _ => "The frame passes",
        };
        let by = a.decided_by.and_then(|n| a.judged.get(n));
        let by =
            by.map_or_else(|| ": no rule is about it".to_owned(), |j| format!(" by {} because of {}", j.name, j.what));
        let _ = writeln!(out, "{verdict}{by}.");
    }
    out
}

fn subject(j: &Judged) -> String {
    let Some(class) = j.class else { return format!("The frame is {}", j.what) };
    let changing = if j.state_changing { ", state-changing" } else { "" };
    let unit = j.unit.filter(|u| *u != 0).map_or_else(String::new, |u| format!(", unit {u}"));
    let last = |at: u32, span: u32| at.saturating_add(span.saturating_sub(1));
    let addresses = match (j.address, j.span) {
        (Some(at), Some(span)) if span > 1 => format!(", addresses {at} to {}", last(at, span)),
        (Some(at), Some(_)) if at != 0 => format!(", address {at}"),
        _ => String::new(),
    };
    let protocol = Proto::ALL.iter().find(|p| j.what.split(':').next() == Some(p.name()));
    let title = protocol.map_or_else(String::new, |p| format!(" ({})", p.title()));
    format!("{}{title}, class {class}{changing}{unit}{addresses}", j.what)
}

fn decision(j: &Judged) -> String {
    if j.rule == 0 {
        return "no rule that alerts or denies is about it, it passes".to_owned();
    }
    let ticket = j.ticket.as_ref().map_or_else(String::new, |t| format!(", {t}"));
    format!("{} says {}, because {} ({}{ticket})", j.name, j.action, j.reason, j.owner)
}
