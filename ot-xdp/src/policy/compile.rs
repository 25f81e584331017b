//! From lines to what the kernel reads: numbered rules and, for each pair of zones, protocol and kind, the first rule
//! that may match.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use ot_xdp_common::policy::{
    Action, CONDITIONS, GatePort, Head, KINDS, MEMBERS, RULES, Row, Rule, SCAN, Side, by, row,
};

use super::line::{ALL, Line, What};
use super::values::{mapped_length, masked, words};
use super::{Compiled, Now, Policy, PolicyError, Refuse, RuleInfo};

/// Compiles a policy for these ports (interface index and name) as of now.
pub fn compile(policy: &Policy, now: Now, ports: &[(u32, String)]) -> Result<Compiled, PolicyError> {
    let (rules, infos, renew_ns) = rules(policy, now)?;
    let rows = rows(&rules, &infos, policy.zones.len(), now)?;
    let mut compiled = Compiled { rules, infos, rows, renew_ns, zones: policy.zones.clone(), ..Compiled::default() };
    members(&mut compiled, policy)?;
    compiled.ports = gate_ports(&compiled, ports);
    Ok(compiled)
}

/// Nanoseconds of the monotonic clock at a wall time; 0 for what lies before its begin.
fn monotonic(now: Now, wall: Timestamp) -> u64 {
    let ahead = wall.as_nanosecond() - now.wall.as_nanosecond();
    u64::try_from(i128::from(now.monotonic_ns) + ahead).unwrap_or(0)
}

type Rules = (Vec<Rule>, Vec<RuleInfo>, Option<u64>);

/// The numbered rules, what they are, and when they are to be made anew.
fn rules(policy: &Policy, now: Now) -> Result<Rules, PolicyError> {
    let mut rules = vec![Rule { kinds: 0, ..Rule::default() }];
    let mut infos = vec![RuleInfo::none()];
    let mut renew: Option<u64> = None;
    for line in policy.lines.iter().filter(|l| l.expires.is_none_or(|end| end > now.wall)) {
        let mut rule = base(line);
        if let Some(end) = line.expires {
            rule.until_ns = monotonic(now, end);
        }
        if let Some(window) = line.window {
            let stretch = policy.windows.get(window).and_then(|w| w.stretch(now.wall));
            let Some((begin, end)) = stretch else { continue };
            (rule.from_ns, rule.until_ns) = (monotonic(now, begin), rule.until_ns.min(monotonic(now, end)));
            renew = Some(renew.map_or(rule.until_ns, |r| r.min(rule.until_ns)));
        }
        for rule in each(line, rule) {
            rules.push(rule);
            infos.push(RuleInfo { action: line.action, line: line.info.clone() });
        }
        if rules.len() > RULES as usize {
            let most = RULES - 1;
            let reason = format!("with {} the policy needs more than {most} rules in the kernel", line.info.name);
            let how = "name fewer protocols and functions one by one: `any` and a class take one rule";
            return Err(PolicyError::TooLarge(format!("{reason}; {how}")));
        }
    }
    Ok((rules, infos, renew))
}

/// A rule for everything that the line looks at, of any protocol.
fn base(line: &Line) -> Rule {
    Rule {
        src: line.src.as_ref().map(masked).unwrap_or_default(),
        dst: line.dst.as_ref().map(masked).unwrap_or_default(),
        unit_min: line.unit.0,
        unit_max: line.unit.1,
        addr_min: line.addr.0,
        addr_max: line.addr.1,
        from_zones: line.from,
        to_zones: line.to,
        action: line.action as u8,
        // Who allows a range allows nothing beside it; who denies one means every part of it.
        touch: u8::from(line.action != Action::Allow && line.addr != ALL),
        ..Rule::default()
    }
}

/// The kernel's rules of one line: one for each protocol, or one for each group of codes.
fn each(line: &Line, base: Rule) -> Vec<Rule> {
    match &line.what {
        What::Conditions(bits) => vec![Rule { kinds: *bits, proto: CONDITIONS, ..base }],
        What::Kinds { protos: None, kinds } => vec![Rule { kinds: *kinds, ..base }],
        What::Kinds { protos: Some(protos), kinds } => {
            protos.iter().map(|proto| Rule { kinds: *kinds, proto: *proto, ..base }).collect()
        }
        What::Functions(functions) => functions
            .iter()
            .flat_map(|f| groups(&f.codes).into_iter().map(|group| (f.proto as u8, group)))
            .map(|(proto, (function, function_mask))| Rule { proto, function, function_mask, ..base })
            .collect(),
    }
}

/// Codes as values under masks: codes that differ only in bits that do not matter are one group. Exactly these codes,
/// no others.
fn groups(codes: &BTreeSet<u32>) -> BTreeSet<(u32, u32)> {
    let mut groups: BTreeSet<(u32, u32)> = codes.iter().map(|code| (*code, u32::MAX)).collect();
    for bit in (0..32).map(|n| 1u32 << n) {
        let joined: Vec<(u32, u32)> =
            groups.iter().filter(|(v, m)| v & bit == 0 && groups.contains(&(v | bit, *m))).copied().collect();
        for (value, mask) in joined {
            groups.remove(&(value, mask));
            groups.remove(&(value | bit, mask));
            groups.insert((value, mask & !bit));
        }
    }
    groups
}

/// Does it match whatever has its zones, protocol and kind, now and from now on?
fn is_plain(rule: &Rule, now: Now) -> bool {
    let open = Rule {
        kinds: rule.kinds,
        from_zones: rule.from_zones,
        to_zones: rule.to_zones,
        proto: rule.proto,
        action: rule.action,
        silent: rule.silent,
        from_ns: rule.from_ns,
        ..Rule::default()
    };
    *rule == open && rule.from_ns <= now.monotonic_ns
}

/// The rows that are not all zero.
fn rows(rules: &[Rule], infos: &[RuleInfo], zones: usize, now: Now) -> Result<BTreeMap<u32, Row>, PolicyError> {
    let plain: Vec<bool> = rules.iter().map(|r| is_plain(r, now)).collect();
    let numbered: Vec<(u8, &Rule, bool)> =
        (0..=u8::MAX).zip(rules).zip(plain).skip(1).map(|((n, rule), plain)| (n, rule, plain)).collect();
    let mut rows = BTreeMap::new();
    for from in 0..zones as u32 {
        for to in 0..zones as u32 {
            let pair: Vec<_> = numbered
                .iter()
                .filter(|(_, r, _)| r.from_zones >> (from & 15) & r.to_zones >> (to & 15) & 1 != 0)
                .copied()
                .collect();
            if pair.is_empty() {
                continue;
            }
            let any: Vec<_> = pair.iter().filter(|(_, r, _)| r.proto == 0).copied().collect();
            let any = cells(&any, infos)?;
            for proto in 0..=CONDITIONS {
                let own = pair.iter().any(|(_, r, _)| r.proto == proto && proto != 0);
                let cells = if own || proto == CONDITIONS {
                    let wild = |r: &Rule| r.proto == 0 && proto != CONDITIONS;
                    let mine: Vec<_> = pair.iter().filter(|(_, r, _)| r.proto == proto || wild(r)).copied().collect();
                    cells(&mine, infos)?
                } else {
                    any
                };
                if cells != [0; KINDS] {
                    rows.insert(row(0, from, to, proto), cells);
                }
            }
        }
    }
    Ok(rows)
}

/// First rule by kind, of rules that may match the zones and the protocol. 0 where nothing alerts or denies.
fn cells(rules: &[(u8, &Rule, bool)], infos: &[RuleInfo]) -> Result<Row, PolicyError> {
    let mut cells = [0; KINDS];
    for (kind, cell) in cells.iter_mut().enumerate() {
        let (mut first, mut last) = (0u8, 0u8);
        for (number, rule, plain) in rules.iter().filter(|(_, r, _)| r.kinds >> kind & 1 != 0) {
            if first == 0 {
                first = *number;
            }
            if rule.action != Action::Allow as u8 {
                last = *number;
            }
            if *plain {
                break;
            }
        }
        if last == 0 {
            continue;
        }
        if u32::from(last - first) >= SCAN {
            let name = |n: u8| infos.get(usize::from(n)).map_or_else(String::new, |i| i.line.name.clone());
            let (first, last) = (name(first), name(last));
            return Err(PolicyError::TooLarge(format!(
                "from {first} to {last} there are more than {SCAN} rules to look at for one operation; put lines about \
                 the same zones and protocols side by side, or use fewer of them"
            )));
        }
        *cell = first;
    }
    Ok(cells)
}

/// How zones are found, and their sides.
fn members(c: &mut Compiled, policy: &Policy) -> Result<(), PolicyError> {
    c.head = Head { sides: 0, by: 0, reset: u32::from(policy.refuse == Refuse::Reset) };
    for (number, zone) in (0u8..16).zip(&policy.zones) {
        c.head.sides |= (zone.side as u64) << (4 * number);
        c.vlans.extend(zone.vlans.iter().map(|v| (*v, number)));
        c.macs.extend(zone.macs.iter().map(|m| (*m, number)));
        c.prefixes.extend(zone.prefixes.iter().map(|p| (words(p.network()), mapped_length(p), number)));
    }
    let bit = |is_empty: bool, bit: u32| if is_empty { 0 } else { bit };
    c.head.by = bit(c.vlans.is_empty(), by::VLAN) | bit(c.macs.is_empty(), by::MAC);
    c.head.by |= bit(c.prefixes.is_empty(), by::PREFIX);
    // Two generations share the table.
    let most = MEMBERS as usize / 2;
    let too_many = |what: &str, n: usize| format!("there are {n} {what} and {most} are possible; use shorter prefixes");
    if c.macs.len() > most {
        return Err(PolicyError::TooLarge(too_many("MAC addresses", c.macs.len())));
    }
    if c.prefixes.len() > most {
        return Err(PolicyError::TooLarge(too_many("prefixes", c.prefixes.len())));
    }
    Ok(())
}

/// What the ingress ports mean.
fn gate_ports(c: &Compiled, ports: &[(u32, String)]) -> Vec<GatePort> {
    let zone_of = |name: &String| (0u8..16).zip(&c.zones).find(|(_, z)| z.ports.contains(name)).map_or(0, |(n, _)| n);
    let addressed: BTreeSet<u8> =
        c.macs.iter().map(|(_, zone)| *zone).chain(c.prefixes.iter().map(|(_, _, zone)| *zone)).collect();
    let by_vlan = c.vlans.iter().map(|(_, zone)| *zone);
    let known: BTreeSet<u8> = addressed.iter().copied().chain(by_vlan).chain([0]).collect();
    let is_plant = |n: u8| c.zones.get(usize::from(n)).is_some_and(|z| z.side == Side::Ot);
    let port = |(ifindex, name): &(u32, String)| {
        let zone = zone_of(name);
        let others = ports.iter().filter(|(_, other)| other != name).map(|(_, other)| zone_of(other));
        // Ports without a zone, and further ports of the own one, do not make it doubtful where a frame goes: what may
        // go to the plant is judged as going there.
        let others: BTreeSet<u8> = others.filter(|z| *z != 0 && *z != zone).collect();
        let plant: BTreeSet<u8> = others.iter().copied().filter(|z| is_plant(*z)).collect();
        let only = |zones: &BTreeSet<u8>| if zones.len() == 1 { zones.first().copied() } else { None };
        let beyond = only(&others).or_else(|| only(&plant)).unwrap_or(0);
        let from = |n: u8| if zone != 0 { n == zone } else { known.contains(&n) };
        let to = |n: u8| n == beyond || addressed.contains(&n);
        let rows = || c.rows.iter().filter(|(i, _)| from((**i >> 11 & 15) as u8) && to((**i >> 7 & 15) as u8));
        let judged = rows().next().is_some();
        let of_operations = rows().filter(|(i, _)| (**i & 127) as u8 != CONDITIONS);
        let kinds = of_operations
            .flat_map(|(_, row)| row.iter().zip(0..64))
            .fold(0u64, |bits, (cell, kind)| if *cell == 0 { bits } else { bits | 1 << kind });
        let side = c.zones.get(usize::from(zone)).map_or(Side::None, |z| z.side);
        GatePort { ifindex: *ifindex, zone, beyond, judged: u8::from(judged), side: side as u8, kinds }
    };
    ports.iter().map(port).collect()
}
