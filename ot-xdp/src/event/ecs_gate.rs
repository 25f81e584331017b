//! Rendering of the gate's events.

use serde_json::Value;

use super::attack;
use super::ecs::{Doc, protocol_name};
use super::gate::{Audit, Refusal};
use super::names::Name;

impl Doc<'_> {
    pub(super) fn refusal(&mut self, e: &Refusal) {
        let refused = e.action() == "dropped";
        let types: &[&str] = if refused { &["denied"] } else { &["info"] };
        self.kind("alert", e.action(), "otxdp.gate", "network", types);
        self.put_time("@timestamp", e.at_ns);
        self.put_time("event.start", e.since_ns);
        self.put_time("event.end", e.at_ns);
        if refused {
            // Seen from the sensor, as in the schema's own firewall example: it did what it is for.
            self.put("event.outcome", "success");
        }
        let what = match (&e.operation, e.condition) {
            (Some(op), _) => {
                let name = Name::of(op.proto, op.function);
                format!("{} ({})", name.path, name.name)
            }
            (None, Some(condition)) => condition.word().to_owned(),
            (None, None) => "a frame".to_owned(),
        };
        let verb = match e.action() {
            "dropped" => "refused",
            "would-drop" => "would be refused",
            "passed-dead-man" => "passed although denied, because the gate is not confirmed to be supervised",
            _ => "reported",
        };
        let reason = format!("{what} from zone {} to zone {} {verb}: {}", e.from_zone, e.to_zone, e.rule.reason);
        self.put("event.reason", reason);
        self.put("event.severity", severity(e));
        self.interface(&e.interface, e.conversation.ifindex);
        self.conversation(&e.conversation, e.source, e.destination, e.protocol, e.flags);
        self.put("rule.id", e.rule.id.as_str());
        self.put("rule.name", e.rule.name.as_str());
        self.put("rule.author", Value::from_iter([e.rule.owner.as_str()]));
        self.put("rule.description", e.rule.reason.as_str());
        if let Some(ticket) = &e.rule.ticket {
            self.put("otxdp.gate.ticket", ticket.as_str());
        }
        self.put("otxdp.gate.from_zone", e.from_zone.as_str());
        self.put("otxdp.gate.to_zone", e.to_zone.as_str());
        self.put("otxdp.gate.frames", e.frames);
        self.put("otxdp.gate.suppressed", e.frames.saturating_sub(1));
        self.put("otxdp.gate.frames_total", e.total);
        if let Some(condition) = e.condition {
            self.put("otxdp.gate.condition", condition.word());
        }
        let Some(op) = &e.operation else { return };
        let name = Name::of(op.proto, op.function);
        let class = ot_xdp_common::op::Class::from_code(op.kind.class());
        self.put("otxdp.op.protocol", protocol_name(op.proto));
        self.put("otxdp.op.class", class.word());
        self.put("otxdp.op.state_changing", op.kind.state_changing());
        self.put("otxdp.op.function.path", name.path);
        self.put("otxdp.op.function.name", name.name);
        self.put("otxdp.op.unit", op.unit);
        if op.address != 0 || op.span != 0 {
            self.put("otxdp.op.address.start", op.address);
            if op.span != 0 {
                self.put("otxdp.op.address.count", op.span);
            }
        }
        self.attack(attack::hints(class, op.kind.state_changing()));
    }

    pub(super) fn audit(&mut self, e: &Audit) {
        self.kind("event", e.action, "otxdp.audit", "configuration", &["change"]);
        self.put_time("@timestamp", e.at_ns);
        self.put("event.outcome", if e.success { "success" } else { "failure" });
        self.put("event.reason", e.reason.as_str());
        self.put("event.severity", if e.success { 21 } else { 47 });
        // Not about one interface.
        self.interface("gate", 0);
        self.put("otxdp.gate.rules", e.rules);
        if let Some((before, after)) = e.mode {
            self.put("otxdp.gate.mode_before", before);
            self.put("otxdp.gate.mode_after", after);
        }
        if let Some(user) = &e.user {
            self.put("user.name", user.as_str());
        }
        if let Some(ticket) = &e.ticket {
            self.put("otxdp.gate.ticket", ticket.as_str());
        }
    }
}

/// A refused change of the process is what the gate is for and has to be explained; what nobody refused more so.
pub(super) fn severity(e: &Refusal) -> u8 {
    let changes = e.operation.is_some_and(|op| op.kind.state_changing());
    match (changes, e.action()) {
        (true, "dropped" | "would-drop" | "passed-dead-man") => 73,
        (true, _) | (false, "dropped" | "passed-dead-man") => 47,
        _ => 21,
    }
}
