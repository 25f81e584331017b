//! From the texts of the file to zones, windows and lines, with everything that is wrong.

use ipnet::IpNet;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use ot_xdp_common::op::Class;
use ot_xdp_common::policy::{Action, Condition, Side};
use ot_xdp_common::proto::Proto;

use super::file::{RuleEntry, WindowEntry, ZoneEntry};
use super::line::{ALL, Line, LineInfo, STATE_CHANGING, What};
use super::preset::{class, mask};
use super::window::{DAY, Window};
use super::{Problem, values};
use crate::config::function;

/// A zone with its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Name in rules and events.
    pub name: String,
    /// Purdue level, when it was given.
    pub level: Option<&'static str>,
    /// Side of the gate.
    pub side: Side,
    /// Ports of the bridge.
    pub ports: Vec<String>,
    /// VLAN ids.
    pub vlans: Vec<u16>,
    /// MAC addresses, in the low 48 bits.
    pub macs: Vec<u64>,
    /// Addresses and prefixes.
    pub prefixes: Vec<IpNet>,
    /// Line of the file, 0 for none.
    pub line: usize,
}

impl Zone {
    /// What belongs to no zone: number 0.
    pub fn unzoned() -> Zone {
        let (ports, vlans, macs, prefixes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Zone { name: UNZONED.to_owned(), level: None, side: Side::None, ports, vlans, macs, prefixes, line: 0 }
    }
}

/// Name of what belongs to no zone.
pub const UNZONED: &str = "unzoned";

/// Takes down a problem and goes on.
pub struct Problems {
    /// What was found.
    pub all: Vec<Problem>,
}

impl Problems {
    /// The value, or the default one and a problem.
    fn take<T>(&mut self, line: usize, value: Result<T, String>) -> Option<T> {
        value.map_err(|reason| self.all.push(Problem { line, reason, fatal: true })).ok()
    }

    /// Something that makes the policy unusable.
    pub fn fatal(&mut self, line: usize, reason: impl Into<String>) {
        self.all.push(Problem { line, reason: reason.into(), fatal: true });
    }

    /// Something that should be mended, while what the policy does is clear.
    pub fn flaw(&mut self, line: usize, reason: impl Into<String>) {
        self.all.push(Problem { line, reason: reason.into(), fatal: false });
    }
}

/// The zones, number 0 in front.
pub fn zones(entries: &[ZoneEntry], found: &mut Problems) -> Vec<Zone> {
    let mut zones = vec![Zone::unzoned()];
    for entry in entries {
        let line = entry.line;
        let name = entry.name.trim();
        let reserved = ["any", UNZONED].contains(&name) || name.contains(':');
        if name.is_empty() || reserved || name.chars().any(char::is_control) {
            found.fatal(
                line,
                format!("`{name}` cannot name a zone; choose a word other than any and unzoned, without `:`"),
            );
        } else if zones.iter().any(|z| z.name == name) {
            found.fatal(line, format!("zone `{name}` is given twice; put its members into one block"));
        }
        let level = entry.level.as_ref().and_then(|text| found.take(line, values::level(text)));
        let side = found.take(line, values::side(&entry.side)).unwrap_or(Side::None);
        let vlans = entry.vlans.iter().filter_map(|n| found.take(line, values::vlan(*n))).collect();
        let macs = entry.macs.iter().filter_map(|text| found.take(line, crate::text::mac(text))).collect();
        let prefixes = entry.prefixes.iter().filter_map(|text| found.take(line, values::net(text))).collect();
        let (name, ports) = (name.to_owned(), entry.ports.clone());
        zones.push(Zone { name, level, side, ports, vlans, macs, prefixes, line });
    }
    zones
}

/// The windows.
pub fn windows(entries: &[WindowEntry], found: &mut Problems) -> Vec<Window> {
    let mut windows: Vec<Window> = Vec::new();
    for entry in entries {
        let line = entry.line;
        if entry.name.trim().is_empty() {
            found.fatal(line, "a window needs a name for rules to use");
        } else if windows.iter().any(|w| w.name == entry.name) {
            found.fatal(line, format!("window `{}` is given twice; give one of them another name", entry.name));
        }
        let days: Vec<_> = entry.days.iter().filter_map(|word| found.take(line, values::day(word))).collect();
        if entry.days.is_empty() {
            found.fatal(line, format!("window `{}` is empty: it names no days, like days = [\"sun\"]", entry.name));
        }
        let from = found.take(line, values::time_of_day(&entry.from)).unwrap_or(0);
        let to = found.take(line, values::time_of_day(&entry.to)).unwrap_or(DAY);
        if from == to || from == DAY {
            let name = &entry.name;
            found.fatal(
                line,
                format!("window `{name}` is empty; for a whole day write from = \"00:00\", to = \"24:00\""),
            );
        }
        let zone = match entry.timezone.as_deref() {
            None | Some("utc") => TimeZone::UTC,
            Some("local") => TimeZone::system(),
            Some(word) => {
                found.fatal(line, format!("unknown time zone `{word}`; write \"utc\" or \"local\""));
                TimeZone::UTC
            }
        };
        let to = if to <= from { to + DAY } else { to };
        windows.push(Window { name: entry.name.clone(), days, from, to, zone });
    }
    windows
}

/// One line of the file; none when something in it is wrong.
pub fn rule(entry: &RuleEntry, zones: &[Zone], windows: &[Window], found: &mut Problems) -> Option<Line> {
    let (line, before) = (entry.line, found.all.len());
    let action = match entry.action.as_str() {
        "allow" => Action::Allow,
        "alert" => Action::Alert,
        "deny" => Action::Deny,
        word => {
            found.fatal(line, format!("`{word}` is no action; write action = \"allow\", \"alert\" or \"deny\""));
            Action::Allow
        }
    };
    for (key, text) in [("reason", &entry.reason), ("owner", &entry.owner)] {
        if text.trim().is_empty() {
            found.fatal(
                line,
                format!("the rule has no {key}; write {key} = \"...\", so that others can judge it later"),
            );
        }
    }
    let from = of_zones("from", &entry.from, zones, line, found);
    let to = of_zones("to", &entry.to, zones, line, found);
    let what = what(entry, found);
    let mut range = |text: &Option<String>| match text {
        Some(text) => found.take(line, values::range(text)).unwrap_or(ALL),
        None => ALL,
    };
    let (unit, addr) = (range(&entry.unit), range(&entry.address));
    let mut net = |text: &Option<String>| text.as_ref().and_then(|text| found.take(line, values::net(text)));
    let (src, dst) = (net(&entry.source), net(&entry.destination));
    let expires = entry.expires.as_ref().and_then(|text| {
        let time = text.parse::<Timestamp>();
        found.take(line, time.map_err(|_| format!("`{text}` is no time; write it like 2026-12-01T00:00:00Z")))
    });
    let window = entry.window.as_ref().and_then(|name| {
        let known = windows.iter().position(|w| w.name == *name);
        found.take(line, known.ok_or_else(|| format!("unknown window `{name}`; {}", known_windows(windows))))
    });
    if found.all.len() != before {
        return None;
    }
    let info = LineInfo {
        name: if line == 0 { "rule".to_owned() } else { format!("rule in line {line}") },
        line: Some(line).filter(|l| *l != 0),
        reason: entry.reason.clone(),
        owner: entry.owner.clone(),
        ticket: entry.ticket.clone(),
    };
    Some(Line { from, to, what: what?, unit, addr, src, dst, action, expires, window, info })
}

fn known_windows(windows: &[Window]) -> String {
    if windows.is_empty() {
        return "the file has no [[window]]".to_owned();
    }
    format!("known are {}", windows.iter().map(|w| w.name.as_str()).collect::<Vec<_>>().join(", "))
}

fn of_zones(key: &str, names: &[String], zones: &[Zone], line: usize, found: &mut Problems) -> u16 {
    if names.is_empty() {
        found.fatal(line, format!("the rule does not say `{key}`; name a zone, or write {key} = \"any\""));
    }
    let mut bits = 0;
    for name in names {
        let these = match name.split_once(':') {
            _ if name == "any" => mask(zones, |_| true),
            Some(("side", word)) => {
                let Some(side) = found.take(line, values::side(word)) else { continue };
                mask(zones, |z| z.side == side)
            }
            _ => mask(zones, |z| z.name == *name),
        };
        if these == 0 {
            let known: Vec<&str> = zones.iter().map(|z| z.name.as_str()).collect();
            found.fatal(line, format!("unknown zone `{name}` in `{key}`; known are any, {}", known.join(", ")));
        }
        bits |= these;
    }
    bits
}

/// What the rule looks at.
fn what(entry: &RuleEntry, found: &mut Problems) -> Option<What> {
    let line = entry.line;
    let fine = entry.unit.is_some() || entry.address.is_some();
    if !entry.condition.is_empty() {
        if !entry.protocol.is_empty() || !entry.class.is_empty() || !entry.function.is_empty() || fine {
            let others = "`protocol`, `class`, `function`, `unit` and `address`";
            found.fatal(line, format!("a rule about a condition takes no {others}; make two rules"));
        }
        let bits = entry.condition.iter().filter_map(|word| found.take(line, condition(word)));
        return Some(What::Conditions(bits.fold(0, |all, bit| all | bit)));
    }
    if !entry.function.is_empty() {
        if !entry.class.is_empty() {
            found.fatal(line, "a rule takes `class` or `function`, not both: the function says more, keep it");
        }
        if !entry.protocol.is_empty() {
            found.fatal(line, "`function` names the protocol already; leave `protocol` out");
        }
        let functions: Vec<_> = entry.function.iter().filter_map(|path| found.take(line, function(path))).collect();
        return Some(What::Functions(functions));
    }
    let any = entry.protocol.is_empty() || entry.protocol.iter().any(|p| p == "any");
    let named = entry.protocol.iter().filter(|p| *p != "any").filter_map(|name| found.take(line, protocol(name)));
    let named = named.collect();
    let classes = entry.class.iter().filter_map(|word| found.take(line, kinds(word)));
    let kinds = if entry.class.is_empty() { u64::MAX } else { classes.fold(0, |all, bits| all | bits) };
    Some(What::Kinds { protos: if any { None } else { Some(named) }, kinds })
}

fn condition(word: &str) -> Result<u64, String> {
    if word == "any" {
        return Ok(Condition::ALL.iter().fold(0, |bits, c| bits | 1 << *c as u64));
    }
    Condition::ALL.into_iter().find(|c| c.word() == word).map(|c| 1 << c as u64).ok_or_else(|| {
        let words = Condition::ALL.map(Condition::word).join(", ");
        format!("unknown condition `{word}`; known are any, {words}")
    })
}

fn protocol(name: &str) -> Result<u8, String> {
    Proto::ALL.iter().find(|p| p.name() == name).map(|p| *p as u8).ok_or_else(|| {
        let names: Vec<&str> = Proto::ALL.iter().map(|p| p.name()).collect();
        format!("unknown protocol `{name}`; known are any, {}", names.join(", "))
    })
}

fn kinds(word: &str) -> Result<u64, String> {
    match word {
        "any" => return Ok(u64::MAX),
        "state-changing" => return Ok(STATE_CHANGING),
        _ => {}
    }
    Class::ALL.into_iter().find(|c| c.word() == word).map(class).ok_or_else(|| {
        let words = Class::ALL.map(Class::word).join(", ");
        format!("unknown class `{word}`; known are any, state-changing, {words}")
    })
}
