//! The gateway that needs no file: preset `protect-writes` between the ports of two sides.

use ot_xdp_common::policy::{Action, CONDITIONS, Condition, GatePort, Head, KINDS, Row, Rule, Side, row};

use super::Plan;
use crate::event::RuleInfo;
use crate::source::kernel::GateTables;

/// Zone numbers.
const IT: u8 = 1;
const OT: u8 = 2;

/// Rule numbers.
const WRITES: u8 = 1;
const FORM: u8 = 2;

/// Conditions that are refused. A piece of a PDU passes: the piece that completes it is judged.
const REFUSED: [Condition; 7] = [
    Condition::Malformed,
    Condition::Fragment,
    Condition::Unaligned,
    Condition::Unparsed,
    Condition::BeyondLimits,
    Condition::Overlap,
    Condition::Spoofed,
];

/// The policy between `it` and `ot` ports; a port in neither list belongs to no zone and is judged like `it`.
pub fn plan(it: &[String], ot: &[String], ports: &[(u32, String)]) -> Plan {
    let changing = !0u64 << 32;
    let refused = REFUSED.iter().fold(0u64, |bits, c| bits | 1 << *c as u64);
    let from_zones = 1 | 1 << IT;
    let to_zones = 1 << OT;
    let deny = Rule { from_zones, to_zones, action: Action::Deny as u8, ..Rule::default() };
    let rules = vec![
        Rule { kinds: 0, ..Rule::default() },
        Rule { kinds: changing, ..deny },
        Rule { kinds: refused, proto: CONDITIONS, ..deny },
    ];
    let mut rows = Vec::new();
    for from in [0, IT] {
        for proto in 0..=CONDITIONS {
            let (kinds, rule) = if proto == CONDITIONS { (refused, FORM) } else { (changing, WRITES) };
            let mut cells: Row = [0; KINDS];
            for (kind, cell) in cells.iter_mut().enumerate() {
                *cell = if kinds >> kind & 1 != 0 { rule } else { 0 };
            }
            rows.push((row(0, u32::from(from), u32::from(OT), proto), cells));
        }
    }
    let head = Head { sides: (Side::It as u64) << (4 * IT) | (Side::Ot as u64) << (4 * OT), by: 0, reset: 1 };
    let info = |id: &str, name: &str, reason: &str| RuleInfo {
        id: id.to_owned(),
        name: name.to_owned(),
        reason: reason.to_owned(),
        owner: "preset protect-writes".to_owned(),
        ticket: None,
    };
    Plan {
        tables: GateTables { rules, rows, head, ports: self::ports(it, ot, ports), ..GateTables::default() },
        rules: vec![
            RuleInfo::default(),
            info(
                "protect-writes/1",
                "state-changing operations from it and unzoned to ot are denied",
                "commands that change the process do not come out of the business zone",
            ),
            info(
                "protect-writes/2",
                "frames from it and unzoned to ot that cannot be judged are denied",
                "what cannot be read cannot be shown to change nothing",
            ),
        ],
        zones: vec!["unzoned".to_owned(), "it".to_owned(), "ot".to_owned()],
    }
}

/// What the ports mean.
pub fn ports(it: &[String], ot: &[String], ports: &[(u32, String)]) -> Vec<GatePort> {
    let port = |(ifindex, name): &(u32, String)| {
        let zone = if ot.contains(name) {
            OT
        } else if it.contains(name) {
            IT
        } else {
            0
        };
        let (side, beyond) = match zone {
            OT => (Side::Ot, IT),
            IT => (Side::It, OT),
            _ => (Side::None, OT),
        };
        GatePort { ifindex: *ifindex, zone, beyond, judged: u8::from(zone != OT), side: side as u8 }
    };
    ports.iter().map(port).collect()
}
