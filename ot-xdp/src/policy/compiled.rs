//! A policy in the kernel's form, and the kernel's judgement on it in user space.

use std::collections::BTreeMap;

use ot_xdp_common::flags;
use ot_xdp_common::frame::{Frame, TCP};
use ot_xdp_common::op::Op;
use ot_xdp_common::policy::{
    Action, CONDITIONS, Condition, GatePort, Head, Net, Row, Rule, Side, Subject, believed, by, conditions, judge,
    kind_number, row,
};
use ot_xdp_common::reason::Outcome;
use ot_xdp_common::walk::Walk;

use super::line::LineInfo;
use super::resolve::{UNZONED, Zone};

/// What a rule of the kernel is: the line that it was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleInfo {
    /// What it says.
    pub action: Action,
    /// Name, place, reason, owner, ticket.
    pub line: LineInfo,
}

impl RuleInfo {
    /// Number 0: nothing matched.
    pub(super) fn none() -> RuleInfo {
        let (name, reason) = ("no rule".to_owned(), "what no rule is about passes".to_owned());
        RuleInfo {
            action: Action::Allow,
            line: LineInfo { name, line: None, reason, owner: String::new(), ticket: None },
        }
    }
}

/// A policy in the kernel's form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compiled {
    /// Rules by number; number 0 is none.
    pub rules: Vec<Rule>,
    /// What they are, by number.
    pub infos: Vec<RuleInfo>,
    /// Rows that are not all zero, by [`row`] of generation 0.
    pub rows: BTreeMap<u32, Row>,
    /// Zones by number; number 0 is `unzoned`.
    pub zones: Vec<Zone>,
    /// Sides, refusal, what zones are found by.
    pub head: Head,
    /// Ingress ports.
    pub ports: Vec<GatePort>,
    /// Zones by VLAN id.
    pub vlans: Vec<(u16, u8)>,
    /// Zones by MAC address, in the low 48 bits.
    pub macs: Vec<(u64, u8)>,
    /// Zones by prefix: address as in frames, length in bits of the IPv6 form, zone.
    pub prefixes: Vec<([u32; 4], u8, u8)>,
    /// Monotonic time at which a window ends, so that the policy has to be compiled again.
    pub renew_ns: Option<u64>,
}

/// Between which zones a frame goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// Source zone.
    pub from: u8,
    /// Destination zone.
    pub to: u8,
    /// The source address belongs to the plant, and the frame came in elsewhere.
    pub spoofed: bool,
}

/// What is judged of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// An operation.
    Operation(Op),
    /// A condition.
    Condition(Condition),
}

/// One thing of a frame, and the number of the rule that decides about it; 0 for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// What is judged.
    pub what: What,
    /// Number of the deciding rule.
    pub rule: u8,
}

impl Compiled {
    /// What the rule with this number is.
    pub fn rule_info(&self, number: u8) -> Option<&RuleInfo> {
        self.infos.get(usize::from(number))
    }

    /// Name of the zone with this number.
    pub fn zone_name(&self, number: u8) -> &str {
        self.zones.get(usize::from(number)).map_or(UNZONED, |z| z.name.as_str())
    }

    /// What a rule says.
    pub fn action(&self, number: u8) -> Action {
        self.rule_info(number).map_or(Action::Allow, |info| info.action)
    }

    fn side(&self, zone: u8) -> Side {
        self.zones.get(usize::from(zone)).map_or(Side::None, |z| z.side)
    }

    /// Zones of a frame that comes in on a port, as the kernel finds them. Of the source in this order of trust: ingress
    /// port, VLAN, MAC, longest prefix; of the destination: MAC, longest prefix, what lies behind the other ports.
    pub fn way(&self, f: &Frame, ifindex: u32) -> Way {
        let port = self.ports.iter().find(|p| p.ifindex == ifindex).copied().unwrap_or_default();
        let mut from = port.zone;
        if from == 0 && self.head.by & by::VLAN != 0 {
            from = self.vlans.iter().find(|(v, _)| *v == f.vlan).map_or(0, |(_, zone)| *zone);
        }
        let (mut source, mut to) = (self.of_mac(f.src_end), self.of_mac(f.dst_end));
        if f.l3_at != 0 {
            source = if source == 0 { self.of_address(&f.src) } else { source };
            to = if to == 0 { self.of_address(&f.dst) } else { to };
        }
        from = if from == 0 { source } else { from };
        to = if to == 0 { port.beyond } else { to };
        let spoofed = self.side(source) == Side::Ot && self.side(from) != Side::Ot;
        Way { from, to, spoofed }
    }

    fn of_mac(&self, end: u64) -> u8 {
        self.macs.iter().find(|(mac, _)| *mac == end >> 16).map_or(0, |(_, zone)| *zone)
    }

    fn of_address(&self, addr: &[u32; 4]) -> u8 {
        let holds = |(net, length, _): &&([u32; 4], u8, u8)| {
            let wide = u128::MAX.checked_shl(128 - u32::from(*length)).unwrap_or(0);
            let mask = [96, 64, 32, 0].map(|shift| (wide >> shift) as u32);
            Net { addr: *net, mask }.holds(addr)
        };
        self.prefixes.iter().filter(holds).max_by_key(|(_, length, _)| *length).map_or(0, |(_, _, zone)| *zone)
    }

    /// Judges every condition and operation of a frame that was classified, in the kernel's order.
    pub fn judge(&self, outcome: Outcome, f: &Frame, w: &Walk, way: Way, now_ns: u64) -> Vec<Judgement> {
        let tcp = f.l4 == TCP && f.flags & flags::FRAGMENT == 0;
        if tcp && f.off >= f.end {
            return Vec::new();
        }
        let mut bits = conditions(outcome as u32, w, tcp);
        if way.spoofed {
            bits |= 1 << Condition::Spoofed as u32;
        }
        let found = Condition::ALL.into_iter().filter(|c| bits >> *c as u32 & 1 != 0).map(What::Condition);
        let operations = if believed(outcome as u32, w.root) { w.ops() } else { &[] };
        let all = found.chain(operations.iter().copied().map(What::Operation));
        all.map(|what| Judgement { what, rule: self.judge_one(what, f, way, now_ns) }).collect()
    }

    fn judge_one(&self, what: What, f: &Frame, way: Way, now_ns: u64) -> u8 {
        let (proto, kind, op) = match what {
            What::Operation(op) => (op.proto(), kind_number(op.tag.kind()), op),
            What::Condition(c) => (CONDITIONS, c as u32, Op::default()),
        };
        let (from, to) = (u32::from(way.from), u32::from(way.to));
        let cells = self.rows.get(&row(0, from, to, proto));
        let first = cells.and_then(|r| r.get(kind as usize)).copied().unwrap_or(0);
        judge(&self.rules, first, &Subject { from, to, src: f.src, dst: f.dst, proto, kind, op, now_ns })
    }

    /// The judgement that decides about the frame: the severest, of equal ones the first. None when nothing matched.
    pub fn decision(&self, all: &[Judgement]) -> Option<Judgement> {
        let mut worst: Option<Judgement> = None;
        for j in all.iter().filter(|j| j.rule != 0) {
            if worst.is_none_or(|w| self.action(j.rule) > self.action(w.rule)) {
                worst = Some(*j);
            }
        }
        worst
    }
}
