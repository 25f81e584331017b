//! What `ot-xdp status` tells of a gateway.
#![allow(clippy::indexing_slicing, reason = "a JSON value answers null for a key that it does not have")]

use anyhow::Result;
use jiff::Timestamp;
use ot_xdp_common::policy::{Done, Side};
use serde_json::{Value, json};

use super::Gateway;
use crate::gate::mode_word;
use crate::policy::{Preset, side_word};
use crate::source::Clock;
use crate::source::kernel::Kernel;
use crate::sys::clock;

/// What became of a frame, by the word in the answer.
const DONE: [(&str, Done); 7] = [
    ("passed", Done::Passed),
    ("alerted", Done::Alerted),
    ("would_drop", Done::WouldDrop),
    ("dropped", Done::Dropped),
    ("reset", Done::Reset),
    ("passed_dead_man", Done::DeadMan),
    ("blocked", Done::Blocked),
];

fn side(code: u8) -> Side {
    [Side::It, Side::Dmz, Side::Ot].into_iter().find(|s| *s as u8 == code).unwrap_or(Side::None)
}

fn stamp(at_ns: i64) -> Option<String> {
    Timestamp::from_nanosecond(i128::from(at_ns)).ok().map(|t| format!("{t:.3}"))
}

impl Gateway {
    /// Mode, policy, permits, ports and rules with their counters.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn status(&mut self, kernel: &Kernel) -> Result<Value> {
        let Some(gate) = &mut self.gate else { return Ok(Value::Null) };
        let wall = Clock::now();
        let now = clock::monotonic_ns();
        let control = gate.control();
        let seconds = |ns: u64| ns as f64 / 1e9;
        let confirm = (control.confirm_ns != 0).then(|| seconds(control.confirm_ns.saturating_sub(now)));
        let hits = gate.hits(kernel)?;
        let plan = gate.plan().cloned().unwrap_or_default();
        let in_force = |id: &str| plan.rules.iter().any(|r| r.id == id);
        let rules: Vec<Value> = hits
            .iter()
            .map(|t| {
                json!({
                    "id": t.rule.id, "name": t.rule.name, "reason": t.rule.reason, "owner": t.rule.owner,
                    "ticket": t.rule.ticket, "in_force": in_force(&t.rule.id), "frames": t.frames, "bytes": t.bytes,
                    "refused": t.refused, "last": (t.last_ns != 0).then(|| stamp(wall.wall_ns(t.last_ns))),
                })
            })
            .collect();
        let mut ports = Vec::new();
        for (name, index) in &self.known {
            let counts = kernel.gate_counts(*index)?;
            let port = plan.tables.ports.iter().find(|p| p.ifindex == *index);
            let zone = |number: u8| plan.zones.get(usize::from(number)).cloned().unwrap_or_default();
            let mut frames = serde_json::Map::new();
            for (word, done) in DONE {
                frames.insert(word.to_owned(), counts.frames.get(done as usize).copied().unwrap_or(0).into());
            }
            ports.push(json!({
                "interface": name, "zone": port.map(|p| zone(p.zone)), "beyond": port.map(|p| zone(p.beyond)),
                "side": side_word(port.map_or(Side::None, |p| side(p.side))),
                "judged": port.is_some_and(|p| p.judged != 0), "frames": frames,
                "rewrite_failed": counts.rewrite_failed,
            }));
        }
        Ok(json!({
            "mode": mode_word(gate.mode()), "confirm_in_s": confirm, "dead_man_s": seconds(control.beat_limit_ns),
            "preset": self.policy.preset.map(Preset::word), "rules": rules, "permits": self.permits.json(),
            "generation": control.generation, "ports": ports, "pinned": kernel.is_pinned(),
        }))
    }
}
