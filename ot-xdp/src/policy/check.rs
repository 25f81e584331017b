//! What can be wrong with a policy whose every line is right: members of two zones, lines that never decide.

use std::collections::BTreeMap;

use jiff::Timestamp;
use ot_xdp_common::policy::Side;

use super::line::Line;
use super::resolve::{Problems, Zone};
use crate::text::mac_text;

/// Zones besides number 0: a zone has four bits.
pub const ZONES_MAX: usize = 15;

/// Members that are in two zones, zones without members, and zones that no frame can be seen to go to.
pub fn zones(zones: &[Zone], found: &mut Problems) {
    if zones.len() > ZONES_MAX + 1 {
        let line = zones.get(ZONES_MAX + 1).map_or(0, |z| z.line);
        found.fatal(line, format!("there are {} zones and {ZONES_MAX} are possible; join some", zones.len() - 1));
    }
    let mut owner: BTreeMap<String, &Zone> = BTreeMap::new();
    for zone in zones.iter().skip(1) {
        let ports = zone.ports.iter().map(|p| format!("port {p}"));
        let vlans = zone.vlans.iter().map(|v| format!("VLAN {v}"));
        let macs = zone.macs.iter().map(|m| format!("MAC address {}", mac_text(*m)));
        let prefixes = zone.prefixes.iter().map(|p| format!("prefix {p}"));
        let members: Vec<String> = ports.chain(vlans).chain(macs).chain(prefixes).collect();
        if members.is_empty() {
            let reason = "has no member; give it ports, vlans, macs or prefixes";
            found.fatal(zone.line, format!("zone `{}` {reason}", zone.name));
        }
        for member in members {
            if let Some(other) = owner.insert(member.clone(), zone) {
                let at = if other.line == zone.line { String::new() } else { format!(" in line {}", other.line) };
                let both = format!("zone `{}`{at} and to zone `{}`", other.name, zone.name);
                found.fatal(zone.line, format!("{member} belongs to {both}; keep one of them"));
            }
        }
    }
    let with_ports = zones.iter().filter(|z| !z.ports.is_empty()).count();
    for zone in zones.iter().filter(|z| z.side == Side::Ot && z.macs.is_empty() && z.prefixes.is_empty()) {
        // What lies behind the other ports is one zone only when two zones have ports.
        if (zone.ports.is_empty() && !zone.vlans.is_empty()) || (!zone.ports.is_empty() && with_ports > 2) {
            let why = "its frames are known by where they come in, and no frame can be seen to go there";
            found.fatal(zone.line, format!("zone `{}`: {why}; give it macs or prefixes", zone.name));
        }
    }
}

/// Lines of the file that never decide, because they are over or an earlier line matches the same.
pub fn lines(lines: &[Line], now: Timestamp, found: &mut Problems) {
    for (n, line) in lines.iter().enumerate() {
        let at = line.info.line.unwrap_or(0);
        if let Some(end) = line.expires.filter(|end| *end <= now) {
            found.flaw(at, format!("the rule ended at {end} and does nothing; remove it or give it a later `expires`"));
            continue;
        }
        let in_force = |l: &&Line| l.expires.is_none_or(|end| end > now);
        let Some(earlier) = lines.iter().take(n).filter(in_force).find(|l| l.covers(line)) else { continue };
        let place = earlier.info.line.map_or_else(|| earlier.info.name.clone(), |l| format!("the rule in line {l}"));
        if !earlier.same_match(line) {
            found.flaw(
                at,
                format!("{place} matches everything that this one matches, so it never decides; put it in front"),
            );
        } else if earlier.action == line.action {
            found.flaw(at, format!("{place} says the same; remove one of them"));
        } else {
            found.fatal(at, format!("{place} matches the same and has another action; keep one of them"));
        }
    }
}
