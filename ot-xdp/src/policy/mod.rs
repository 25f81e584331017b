//! The policy: who may ask what of the plant. Read from the file, checked, compiled to what the kernel reads, explained.
//!
//! A policy is a list of lines; the first one that matches decides, and what no line is about passes. Permits stand in
//! front, then the `[[rule]]`s of the file in their order, then the lines of the preset. Presets are about the way from
//! zones of the side `it` and from what belongs to no zone to zones of the side `ot`:
//!
//! | | observe | protect-writes | protect-program | strict |
//! |---|---|---|---|---|
//! | program-download | alert | deny if state-changing | deny | deny |
//! | state-changing control, config, file, auth | alert | deny | deny | deny |
//! | other state-changing operations of industrial protocols | alert | deny | alert | deny |
//! | remote-admin, file-transfer, infrastructure that may change something (SSH, HTTP, FTP, ...) | alert | | alert | deny |
//! | read, discovery, session, diagnostic, response, cyclic-io | | | | |
//! | everything else: unknown, encrypted, ... | | | | deny |
//! | state-changing operations from `dmz` | | | | deny |
//! | malformed, fragment, unaligned, beyond-limits, overlap | | deny | deny | deny |
//! | spoofed: a source address of the plant from outside of it, to any zone | alert | deny | deny | deny |
//! | unparsed | | deny | alert | deny |
//! | partial-pdu | | allow | allow | deny |
//!
//! A cell that is empty passes. Without `[policy]` there is no preset, and only the lines of the file count.
//!
//! [`mod@file`] is the form of the file, [`resolve`] gives names their meaning, [`check`] finds what contradicts,
//! [`Policy::compile`] makes the kernel's tables, and [`Compiled::judge`] is the kernel's judgement.

pub mod check;
mod compile;
mod compiled;
pub mod explain;
pub mod file;
pub mod line;
pub mod packet;
pub mod preset;
pub mod recorded;
pub mod resolve;
pub mod show;
pub mod simulate;
#[cfg(test)]
mod tests;
mod values;
pub mod window;

use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;
use ot_xdp_common::policy::Side;

pub use compiled::{Compiled, Judgement, RuleInfo, Way, What};
pub use file::{PolicySection, Refuse, RuleEntry, WindowEntry, ZoneEntry};
pub use preset::Preset;
pub use resolve::Zone;
pub use values::side_word;

use crate::config::Config;
use crate::sys::clock;
use line::Line;
use resolve::Problems;
use window::Window;

/// A policy with its names resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Zones by number; number 0 is what belongs to none.
    pub zones: Vec<Zone>,
    /// Lines in the order in which they are looked at.
    pub lines: Vec<Line>,
    /// Windows that lines refer to.
    pub windows: Vec<Window>,
    /// The preset whose lines come last; none without `[policy]`, when only the lines of the file count.
    pub preset: Option<Preset>,
    /// What happens to a refused TCP segment.
    pub refuse: Refuse,
    /// Age of the heartbeat at which the kernel passes everything, when the file says so.
    pub dead_man: Option<Duration>,
}

/// Something that is wrong with a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line of the file, 0 when it was not read from one.
    pub line: usize,
    /// What is wrong and what to do.
    pub reason: String,
    /// Must it not come in force? A rule that is over or never decides does no harm: a gateway that restarts has to
    /// protect the plant with the rest. `check` names it all the same.
    pub fatal: bool,
}

/// Why a policy cannot come in force.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// More than the kernel's tables hold.
    #[error("the policy is too large: {0}")]
    TooLarge(String),
    /// A permit that is no narrow exception.
    #[error("no permit: {0}")]
    Permit(String),
}

/// One moment on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Wall time, in which files are written.
    pub wall: Timestamp,
    /// Monotonic time in nanoseconds, by which the kernel judges.
    pub monotonic_ns: u64,
}

impl Now {
    /// This moment.
    pub fn read() -> Now {
        Now { wall: Timestamp::now(), monotonic_ns: clock::monotonic_ns() }
    }

    /// A moment of a capture, whose only clock is wall time.
    pub fn of_capture(at_ns: u64) -> Now {
        let wall = Timestamp::from_nanosecond(i128::from(at_ns)).unwrap_or(Timestamp::UNIX_EPOCH);
        Now { wall, monotonic_ns: at_ns }
    }
}

impl Policy {
    /// The policy of a configuration, none when it has no part of one.
    ///
    /// # Errors
    /// Everything that keeps it from coming in force.
    pub fn from_config(config: &Config) -> Result<Option<Policy>, Vec<Problem>> {
        if config.policy.is_none() && config.zone.is_empty() && config.rule.is_empty() && config.window.is_empty() {
            return Ok(None);
        }
        let (policy, problems) = Policy::read(config, Timestamp::now());
        let fatal: Vec<Problem> = problems.into_iter().filter(|p| p.fatal).collect();
        if fatal.is_empty() { Ok(Some(policy)) } else { Err(fatal) }
    }

    /// The policy of a configuration and everything that is wrong with it as of `now`, by line. With a fatal problem the
    /// policy is not complete.
    pub fn read(config: &Config, now: Timestamp) -> (Policy, Vec<Problem>) {
        let mut found = Problems { all: Vec::new() };
        let zones = resolve::zones(&config.zone, &mut found);
        check::zones(&zones, &mut found);
        let windows = resolve::windows(&config.window, &mut found);
        let mut lines: Vec<Line> =
            config.rule.iter().filter_map(|entry| resolve::rule(entry, &zones, &windows, &mut found)).collect();
        check::lines(&lines, now, &mut found);
        let preset = config.policy.as_ref().map(|section| section.preset);
        let section = config.policy.clone().unwrap_or_default();
        let of_preset = preset.map(|p| p.lines(&zones)).unwrap_or_default();
        if let Some(preset) = preset.filter(|_| of_preset.is_empty()) {
            let word = preset.word();
            let reason =
                format!("no zone has side = \"ot\", so the preset {word} protects nothing; give one to the plant");
            found.fatal(section.line, reason);
        }
        lines.extend(of_preset);
        let (refuse, dead_man) = (section.refuse, section.dead_man);
        let policy = Policy { zones, lines, windows, preset, refuse, dead_man };
        if !found.all.iter().any(|p| p.fatal)
            && let Err(e) = policy.compile(Now { wall: now, monotonic_ns: 0 }, &[])
        {
            found.fatal(section.line, e.to_string());
        }
        found.all.sort_by_key(|p| p.line);
        (policy, found.all)
    }

    /// The gateway that needs no file: preset `protect-writes` between the ports of two sides.
    pub fn simple(it_ports: &[String], ot_ports: &[String]) -> Policy {
        let zone = |name: &str, level, side, ports: &[String]| {
            let (name, ports) = (name.to_owned(), ports.to_vec());
            Zone { name, level: Some(level), side, ports, ..Zone::unzoned() }
        };
        let zones = vec![Zone::unzoned(), zone("it", "4", Side::It, it_ports), zone("ot", "1", Side::Ot, ot_ports)];
        let preset = Preset::ProtectWrites;
        let lines = preset.lines(&zones);
        Policy { zones, lines, windows: Vec::new(), preset: Some(preset), refuse: Refuse::Reset, dead_man: None }
    }

    /// Puts a narrow allow line of this name in front: one source and one destination (a zone by name, or a host), something
    /// that it is about, and an end.
    ///
    /// # Errors
    /// [`PolicyError::Permit`] with everything that is wrong; the policy is as it was.
    pub fn permit(&mut self, name: &str, entry: &RuleEntry, now: Timestamp) -> Result<(), PolicyError> {
        let mut found = Problems { all: Vec::new() };
        if entry.action != "allow" {
            found.fatal(0, "a permit allows; write action = \"allow\"");
        }
        if entry.expires.is_none() {
            found.fatal(0, "a permit ends; give it `expires`");
        }
        let line = resolve::rule(entry, &self.zones, &self.windows, &mut found);
        if let Some(line) = &line {
            let host = |net: &Option<IpNet>| net.is_some_and(|n| n.prefix_len() == n.max_prefix_len());
            let one = |zones: u16, net| zones.count_ones() == 1 || host(net);
            if !one(line.from, &line.src) || !one(line.to, &line.dst) {
                found.fatal(0, "a permit is for one source and one destination: a host each, or a zone");
            }
            if matches!(&line.what, line::What::Kinds { protos: None, kinds: u64::MAX }) {
                found.fatal(0, "a permit is for something: name a protocol, a class or a function");
            }
            if line.expires.is_some_and(|end| end <= now) {
                found.fatal(0, "its end is over");
            }
        }
        let (true, Some(mut line)) = (found.all.is_empty(), line) else {
            let reasons: Vec<String> = found.all.into_iter().map(|p| p.reason).collect();
            return Err(PolicyError::Permit(reasons.join("; ")));
        };
        line.info.name = name.to_owned();
        line.info.line = None;
        self.lines.insert(0, line);
        Ok(())
    }

    /// Does any line deny?
    pub fn denies(&self) -> bool {
        self.lines.iter().any(|l| l.action == ot_xdp_common::policy::Action::Deny)
    }

    /// What the kernel reads, for these ports (interface index and name) as of now.
    ///
    /// # Errors
    /// When it is more than the kernel's tables hold.
    pub fn compile(&self, now: Now, ports: &[(u32, String)]) -> Result<Compiled, PolicyError> {
        compile::compile(self, now, ports)
    }
}
