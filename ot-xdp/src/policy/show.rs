//! The policy as a text that can be read aloud: from zone to zone, one sentence a line.

use std::fmt::Write;

use ot_xdp_common::op::{CLASSES, Class, Kind};
use ot_xdp_common::policy::{Action, Condition, kind_number};
use ot_xdp_common::proto::Proto;
use serde_json::{Value, json};

use super::line::{ALL, Line, STATE_CHANGING, What};
use super::preset::industrial;
use super::resolve::Zone;
use super::values::side_word;
use super::{Policy, Refuse};
use crate::text::mac_text;

/// The word of an action.
pub const fn action_word(action: Action) -> &'static str {
    match action {
        Action::Allow => "allow",
        Action::Alert => "alert",
        Action::Deny => "deny",
    }
}

/// What a line says, without its zones.
pub fn sentence(line: &Line, policy: &Policy) -> String {
    let verb = match line.action {
        Action::Allow => "allows",
        Action::Alert => "reports",
        Action::Deny => "denies",
    };
    let mut text = format!("{verb} {}", subject(&line.what));
    let range = |(low, high): (u32, u32)| if low == high { low.to_string() } else { format!("{low} to {high}") };
    let plural = |(low, high): (u32, u32)| if low == high { "" } else { "s" };
    if line.unit != ALL {
        let _ = write!(text, " of the unit{} {}", plural(line.unit), range(line.unit));
    }
    if line.addr != ALL {
        let es = if line.addr.0 == line.addr.1 { "" } else { "es" };
        let _ = write!(text, " at the address{es} {}", range(line.addr));
    }
    if let Some(src) = &line.src {
        let _ = write!(text, " from {src}");
    }
    if let Some(dst) = &line.dst {
        let _ = write!(text, " to {dst}");
    }
    if let Some(window) = line.window.and_then(|n| policy.windows.get(n)) {
        let _ = write!(text, ", only in the window {}", window.name);
    }
    if let Some(end) = line.expires {
        let _ = write!(text, ", until {end}");
    }
    text
}

fn subject(what: &What) -> String {
    match what {
        What::Conditions(bits) => conditions(*bits),
        What::Functions(functions) => functions.iter().map(|f| f.path.as_str()).collect::<Vec<_>>().join(", "),
        What::Kinds { protos, kinds } => {
            let of = protos.as_ref().map_or_else(String::new, |p| {
                let names: Vec<&str> = p.iter().filter_map(|n| Proto::from_code(*n)).map(Proto::name).collect();
                format!(" of {}", names.join(", "))
            });
            format!("{}{of}", operations(*kinds))
        }
    }
}

/// Conditions in words, each with its word in policies.
fn conditions(bits: u64) -> String {
    let said = |c: Condition| {
        let what = match c {
            Condition::PartialPdu => "pieces of a PDU without its function",
            Condition::Malformed => "broken headers",
            Condition::Fragment => "IP fragments",
            Condition::Unaligned => "segments that begin inside an unknown PDU",
            Condition::Unparsed => "payload that is not the protocol of its port",
            Condition::BeyondLimits => "more in one frame than is looked at",
            Condition::Overlap => "octets that are repeated and differ",
            Condition::Spoofed => "source addresses of the plant from outside",
        };
        format!("{what} ({})", c.word())
    };
    let all = Condition::ALL.into_iter().filter(|c| bits >> *c as u64 & 1 != 0).map(said);
    all.collect::<Vec<_>>().join(", ")
}

/// Kinds in words.
fn operations(kinds: u64) -> String {
    let has = |c: Class, changing| kinds >> kind_number(Kind::new(c, changing)) & 1 != 0;
    let all: Vec<Class> = Class::ALL.into_iter().collect();
    let both = |c: &Class| has(*c, true) && has(*c, false);
    if all.iter().all(both) {
        return "every operation".to_owned();
    }
    if kinds == industrial(STATE_CHANGING) {
        return "every state-changing operation of an industrial protocol".to_owned();
    }
    let words = |list: Vec<&Class>| list.iter().map(|c| c.word()).collect::<Vec<_>>().join(", ");
    if kinds & STATE_CHANGING == STATE_CHANGING {
        let more: Vec<&Class> = all.iter().filter(|c| has(**c, false)).collect();
        let none: Vec<&Class> = all.iter().filter(|c| !has(**c, false)).collect();
        return match (more.len(), none.len()) {
            (0, _) => "every state-changing operation".to_owned(),
            (m, n) if m <= n => format!("every state-changing operation and {}", words(more)),
            _ => format!("every operation but {} that changes no state", words(none)),
        };
    }
    let whole: Vec<&Class> = all.iter().filter(|c| both(c)).collect();
    let changing: Vec<&Class> = all.iter().filter(|c| has(**c, true) && !has(**c, false)).collect();
    let quiet: Vec<&Class> = all.iter().filter(|c| has(**c, false) && !has(**c, true)).collect();
    debug_assert!(whole.len() + changing.len() + quiet.len() <= CLASSES, "each class is in one list");
    let mut parts = Vec::new();
    if !whole.is_empty() {
        parts.push(words(whole));
    }
    if !changing.is_empty() {
        parts.push(format!("state-changing {}", words(changing)));
    }
    if !quiet.is_empty() {
        parts.push(format!("{} that changes no state", words(quiet)));
    }
    format!("the operations {}", parts.join(" and "))
}

/// The whole policy as text.
pub fn text(policy: &Policy) -> String {
    let mut out = String::new();
    for zone in policy.zones.iter().skip(1) {
        let level = zone.level.map_or_else(String::new, |l| format!(", Purdue level {l}"));
        let _ = writeln!(out, "Zone {} is on the side {}{level}: {}.", zone.name, side_word(zone.side), members(zone));
    }
    let how = match policy.refuse {
        Refuse::Reset => "is answered with a reset",
        Refuse::Drop => "is dropped",
    };
    let preset = policy.preset.map_or("There is no preset".to_owned(), |p| format!("The preset is {}", p.word()));
    let _ = writeln!(out, "{preset}. A refused TCP segment {how}.");
    for (from, source) in policy.zones.iter().enumerate() {
        for (to, destination) in policy.zones.iter().enumerate() {
            let lines: Vec<(usize, &Line)> = (1..).zip(&policy.lines).filter(|(_, l)| covers(l, from, to)).collect();
            if lines.is_empty() {
                continue;
            }
            let _ = writeln!(out, "\nFrom {} to {}:", source.name, destination.name);
            for (number, line) in lines {
                let info = &line.info;
                let ticket = info.ticket.as_ref().map_or_else(String::new, |t| format!(", {t}"));
                let said = sentence(line, policy);
                let _ = writeln!(out, "  {number}. {} {said}: {} ({}{ticket}).", info.name, info.reason, info.owner);
            }
            let _ = writeln!(out, "  Everything else passes.");
        }
    }
    let _ = writeln!(out, "\nBetween all other zones everything passes.");
    out
}

fn covers(line: &Line, from: usize, to: usize) -> bool {
    line.from >> from & line.to >> to & 1 != 0
}

fn members(zone: &Zone) -> String {
    let ports = zone.ports.iter().map(|p| format!("port {p}"));
    let vlans = zone.vlans.iter().map(|v| format!("VLAN {v}"));
    let macs = zone.macs.iter().map(|m| format!("MAC {}", mac_text(*m)));
    let prefixes = zone.prefixes.iter().map(ToString::to_string);
    ports.chain(vlans).chain(macs).chain(prefixes).collect::<Vec<_>>().join(", ")
}

/// The whole policy as JSON.
pub fn json(policy: &Policy) -> Value {
    let names = |bits: u16| -> Vec<&str> {
        policy.zones.iter().enumerate().filter(|(n, _)| bits >> n & 1 != 0).map(|(_, z)| z.name.as_str()).collect()
    };
    let lines: Vec<Value> = (1..)
        .zip(&policy.lines)
        .map(|(number, line): (usize, &Line)| {
            json!({
                "number": number,
                "name": line.info.name,
                "line": line.info.line,
                "from": names(line.from),
                "to": names(line.to),
                "action": action_word(line.action),
                "sentence": sentence(line, policy),
                "reason": line.info.reason,
                "owner": line.info.owner,
                "ticket": line.info.ticket,
                "expires": line.expires.map(|t| t.to_string()),
                "window": line.window.and_then(|n| policy.windows.get(n)).map(|w| w.name.clone()),
            })
        })
        .collect();
    let zones: Vec<Value> = policy
        .zones
        .iter()
        .skip(1)
        .map(|z| {
            json!({
                "name": z.name,
                "level": z.level,
                "side": side_word(z.side),
                "ports": z.ports,
                "vlans": z.vlans,
                "macs": z.macs.iter().map(|m| mac_text(*m)).collect::<Vec<_>>(),
                "prefixes": z.prefixes.iter().map(ToString::to_string).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({ "preset": policy.preset.map(super::Preset::word), "zones": zones, "lines": lines })
}
