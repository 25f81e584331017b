//! What a policy would have denied and reported in captured traffic, by conversation.

use std::collections::BTreeMap;
use std::fmt::Write;

use jiff::Timestamp;
use ot_xdp_common::classify::service_port;
use ot_xdp_common::frame::Frame;
use ot_xdp_common::policy::Action;
use ot_xdp_common::reason::Outcome;
use ot_xdp_common::walk::Walk;
use serde::Serialize;

use super::explain::what;
use super::line::LineInfo;
use super::show::action_word;
use super::{Compiled, Now, Policy, PolicyError};
use crate::bindings::BindingTable;
use crate::source::replay::UserEngine;
use crate::text::mac_text;

/// A conversation, what it did, and the rule that decided.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    /// Alerts behind denials.
    alert: bool,
    /// The line and not its number: numbers change with what is in force.
    line: LineInfo,
    src: String,
    dst: String,
    service: u16,
    from: String,
    to: String,
    what: String,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    frames: u64,
    first_ns: u64,
    last_ns: u64,
}

/// One row of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// `deny` or `alert`.
    pub action: &'static str,
    /// Source address: IP, or MAC on layer 2.
    pub source: String,
    /// Destination address.
    pub destination: String,
    /// Port or EtherType of the service.
    pub service: u16,
    /// Name of the source zone.
    pub from_zone: String,
    /// Name of the destination zone.
    pub to_zone: String,
    /// Path of the function, or the word of the condition.
    pub what: String,
    /// Name of the line that decides.
    pub rule: String,
    /// Line of the file.
    pub line: Option<usize>,
    /// Why it is there.
    pub reason: String,
    /// Frames.
    pub frames: u64,
    /// Time of the first one.
    pub first: String,
    /// Time of the last one.
    pub last: String,
}

/// What came of all captures.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Frames looked at; operations where flow events were.
    pub frames: u64,
    /// Frames between zones that a rule is about.
    pub judged: u64,
    /// Frames that would have been denied. Not counted: what would have been cut off with their connections.
    pub denied: u64,
    /// Frames that would have been reported.
    pub alerted: u64,
    /// By conversation: denials first.
    pub findings: Vec<Finding>,
}

/// Judges frames one after the other. Each capture begins with an empty memory.
pub struct Simulation<'a> {
    policy: &'a Policy,
    ports: Vec<(u32, String)>,
    port: u32,
    compiled: Option<Compiled>,
    engine: UserEngine,
    bindings: BindingTable,
    counts: BTreeMap<Key, Count>,
    report: Report,
}

impl<'a> Simulation<'a> {
    /// For frames that come in on one of the ports, see [`super::explain::ports`].
    pub fn new(policy: &'a Policy, bindings: BindingTable, ports: Vec<(u32, String)>, port: u32) -> Simulation<'a> {
        let engine = UserEngine::new(bindings.clone(), 1);
        let (counts, report) = (BTreeMap::new(), Report::default());
        Simulation { policy, ports, port, compiled: None, engine, bindings, counts, report }
    }

    /// The next frames are those of another capture.
    pub fn next_capture(&mut self) {
        self.engine = UserEngine::new(self.bindings.clone(), 1);
        self.compiled = None;
    }

    /// The next frame, with its time in nanoseconds since the Unix epoch: rules hold as they would have held then.
    ///
    /// # Errors
    /// When the policy does not fit the kernel's tables.
    pub fn frame(&mut self, data: &[u8], at_ns: u64) -> Result<(), PolicyError> {
        let (outcome, f, w) = self.engine.classify(data);
        let (f, w) = (*f, *w);
        self.judge(outcome, &f, &w, self.port, Now::of_capture(at_ns), 1)
    }

    /// Number of a port, by its name; that of the options when there is none of the name.
    pub(super) fn port_of(&self, name: Option<&str>) -> u32 {
        let found = name.and_then(|name| self.ports.iter().skip(1).find(|(_, port)| port == name));
        found.map_or(self.port, |(number, _)| *number)
    }

    /// Judges what so many frames, or operations, are alike in.
    pub(super) fn judge(
        &mut self,
        outcome: Outcome,
        f: &Frame,
        w: &Walk,
        port: u32,
        now: Now,
        frames: u64,
    ) -> Result<(), PolicyError> {
        let at_ns = now.monotonic_ns;
        self.report.frames += frames;
        let over = |c: &Compiled| c.renew_ns.is_some_and(|end| end <= at_ns);
        let c = match self.compiled.take().filter(|c| !over(c)) {
            Some(c) => c,
            None => self.policy.compile(now, &self.ports)?,
        };
        let way = c.way(f, port);
        let all = c.judge(outcome, f, w, way, at_ns);
        if let Some(j) = c.decision(&all) {
            self.report.judged += frames;
            let action = c.action(j.rule);
            self.report.denied += if action == Action::Deny { frames } else { 0 };
            self.report.alerted += if action == Action::Alert { frames } else { 0 };
            let line = c.rule_info(j.rule).map(|info| info.line.clone());
            if action != Action::Allow
                && let Some(line) = line
            {
                let key = Key {
                    alert: action == Action::Alert,
                    line,
                    src: address(f, true),
                    dst: address(f, false),
                    service: service_port(f, w),
                    from: c.zone_name(way.from).to_owned(),
                    to: c.zone_name(way.to).to_owned(),
                    what: what(&j.what),
                };
                let count = self.counts.entry(key).or_insert(Count { frames: 0, first_ns: at_ns, last_ns: at_ns });
                count.frames += frames;
                count.first_ns = count.first_ns.min(at_ns);
                count.last_ns = count.last_ns.max(at_ns);
            }
        }
        self.compiled = Some(c);
        Ok(())
    }

    /// What came of it.
    pub fn finish(mut self) -> Report {
        let finding = |(key, count): (Key, Count)| Finding {
            action: action_word(if key.alert { Action::Alert } else { Action::Deny }),
            source: key.src,
            destination: key.dst,
            service: key.service,
            from_zone: key.from,
            to_zone: key.to,
            what: key.what,
            rule: key.line.name,
            line: key.line.line,
            reason: key.line.reason,
            frames: count.frames,
            first: time(count.first_ns),
            last: time(count.last_ns),
        };
        self.report.findings = self.counts.into_iter().map(finding).collect();
        self.report
    }
}

fn time(at_ns: u64) -> String {
    Timestamp::from_nanosecond(i128::from(at_ns)).map_or_else(|_| at_ns.to_string(), |t| format!("{t:.3}"))
}

/// Source or destination of a frame.
fn address(f: &Frame, source: bool) -> String {
    let (words, end) = if source { (f.src, f.src_end) } else { (f.dst, f.dst_end) };
    if f.l3_at == 0 {
        return mac_text(end >> 16);
    }
    let wide = words.iter().fold(0u128, |all, word| all << 32 | u128::from(*word));
    std::net::Ipv6Addr::from(wide).to_canonical().to_string()
}

/// The report for people.
pub fn text(report: &Report) -> String {
    let Report { frames, judged, denied, alerted, findings } = report;
    let mut out = format!(
        "{frames} frames, {judged} of them decided by a rule: {denied} would have been denied, {alerted} reported.\n"
    );
    if findings.is_empty() {
        return out;
    }
    let head = ["action", "from", "to", "service", "what", "frames", "first", "rule"].map(str::to_owned);
    let cells = |f: &Finding| {
        [
            f.action.to_owned(),
            format!("{} ({})", f.source, f.from_zone),
            format!("{} ({})", f.destination, f.to_zone),
            f.service.to_string(),
            f.what.clone(),
            f.frames.to_string(),
            f.first.clone(),
            f.rule.clone(),
        ]
    };
    let rows: Vec<[String; 8]> = std::iter::once(head).chain(findings.iter().map(cells)).collect();
    let widths: Vec<usize> =
        (0..8).map(|n| rows.iter().filter_map(|r| r.get(n)).map(String::len).max().unwrap_or(0)).collect();
    for row in &rows {
        let line: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        let _ = writeln!(out, "{}", line.join("  ").trim_end());
    }
    out
}
