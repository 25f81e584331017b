//! Events of the gate: what a rule denied or reported, and what was done to the gate itself.

use ot_xdp_common::policy::{CONDITIONS, Condition, Denial, DenialKey, Done};
use std::sync::Arc;

use crate::aggregate::{Conversation, End};

/// Who made a rule and why; what an event tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleInfo {
    /// Id, stable as long as the rule stands: the name of the preset's line, or the place in the file.
    pub id: String,
    /// What it says, in one sentence.
    pub name: String,
    /// Why it is there.
    pub reason: String,
    /// Who answers for it.
    pub owner: String,
    /// Ticket, when there is one.
    pub ticket: Option<String>,
}

/// What a rule decided about, of one conversation, since the last event of the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Time of the last frame.
    pub at_ns: u64,
    /// Time of the first frame that this event tells of.
    pub since_ns: u64,
    /// Frames that this event tells of.
    pub frames: u64,
    /// Frames since the gate was loaded.
    pub total: u64,
    /// Interface they came in on.
    pub interface: Arc<str>,
    /// Sender and receiver; the sender is the client here.
    pub conversation: Conversation,
    /// Sender.
    pub source: End,
    /// Receiver.
    pub destination: End,
    /// Flags of the first frame.
    pub flags: u32,
    /// What was done, a [`Done`].
    pub done: u32,
    /// The operation: protocol, function, kind, unit, first address, addresses. None for a condition.
    pub operation: Option<Operation>,
    /// The condition, when it is one.
    pub condition: Option<Condition>,
    /// Protocol of the frame, 0 when none was recognised.
    pub protocol: u8,
    /// Name of the source zone.
    pub from_zone: String,
    /// Name of the destination zone.
    pub to_zone: String,
    /// The rule.
    pub rule: RuleInfo,
}

/// An operation as the gate judged it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Protocol number.
    pub proto: u8,
    /// Function in the encoding of its protocol.
    pub function: u32,
    /// Class and state-changing.
    pub kind: ot_xdp_common::op::Kind,
    /// Unit.
    pub unit: u32,
    /// First address touched.
    pub address: u32,
    /// Addresses touched, 0 when not known.
    pub span: u32,
}

impl Refusal {
    /// The word of `event.action`.
    pub fn action(&self) -> &'static str {
        action(self.done)
    }

    /// From the gate's record; `frames` are those that were not reported yet.
    pub fn new(key: &DenialKey, record: &Denial, frames: u64, since_ns: u64) -> Refusal {
        let is_condition = key.done >> 8 & 1 != 0;
        let conversation = Conversation {
            ifindex: key.key.ifindex,
            vlan: key.key.vlan(),
            l4: key.key.l4(),
            port: key.key.port(),
            client: key.key.src,
            server: key.key.dst,
        };
        let operation = Operation {
            proto: key.key.proto(),
            function: key.key.function,
            kind: key.key.kind(),
            unit: key.key.unit,
            address: record.addr,
            span: record.span,
        };
        Refusal {
            at_ns: record.last_ns,
            since_ns,
            frames,
            total: record.frames,
            interface: "".into(),
            conversation,
            source: End(record.src_end),
            destination: End(record.dst_end),
            flags: record.flags,
            done: key.done & 0xFF,
            operation: (!is_condition).then_some(operation),
            condition: is_condition.then(|| Condition::ALL.get(key.key.function as usize).copied()).flatten(),
            protocol: if key.key.proto() == CONDITIONS { 0 } else { key.key.proto() },
            from_zone: String::new(),
            to_zone: String::new(),
            rule: RuleInfo::default(),
        }
    }
}

/// The word of `event.action` for what was done.
pub fn action(done: u32) -> &'static str {
    match done {
        d if d == Done::Dropped as u32 || d == Done::Reset as u32 || d == Done::Blocked as u32 => "dropped",
        d if d == Done::WouldDrop as u32 => "would-drop",
        d if d == Done::DeadMan as u32 => "passed-dead-man",
        _ => "policy-alert",
    }
}

/// Words of [`action`].
pub const ACTIONS: &[&str] = &["dropped", "passed-dead-man", "policy-alert", "would-drop"];

/// Something that was done to the gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// When, monotonic nanoseconds.
    pub at_ns: u64,
    /// `gate-mode-change`, `policy-load`, `gate-port-attached`, ...: one of [`AUDITS`].
    pub action: &'static str,
    /// Did it work?
    pub success: bool,
    /// What happened, for people.
    pub reason: String,
    /// Mode before and after, when it is about the mode.
    pub mode: Option<(&'static str, &'static str)>,
    /// Rules in force.
    pub rules: u64,
    /// Who asked for it, as far as is known.
    pub user: Option<String>,
    /// Ticket or change number.
    pub ticket: Option<String>,
}

/// Words of [`Audit::action`].
pub const AUDITS: &[&str] =
    &["gate-link-mirrored", "gate-mode-change", "gate-port-attached", "gate-port-lost", "policy-load", "policy-permit"];
