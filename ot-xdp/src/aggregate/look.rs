//! The short looks between intervals, for what judges cadence: which keys moved, and how much.

use ot_xdp_common::wire::FirstSeen;

use super::{Aggregator, Conversation, End};
use crate::source::Snapshot;

/// A key that moved since the last look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delta {
    /// Index in the snapshot's flows.
    pub index: u32,
    /// Who talks to whom.
    pub conversation: Conversation,
    /// Did the client send it?
    pub from_client: bool,
    /// Operations since the last look; since it was first counted, at its first.
    pub operations: u64,
}

impl Aggregator {
    /// Which conversation a first-seen record belongs to, and whether the client sent it.
    pub fn meet(&mut self, record: &FirstSeen) -> (Conversation, bool) {
        let seen = self.learn(&record.key, End(record.src_end), End(record.dst_end), record.at_ns);
        (self.known.get(seen.conversation as usize).map(|k| k.conversation).unwrap_or_default(), seen.from_client)
    }

    /// What moved since the last look. Independent of [`Aggregator::update`]: neither changes what the other one tells.
    pub fn look(&mut self, snapshot: &Snapshot, out: &mut Vec<Delta>) {
        out.clear();
        let mut unclear = Vec::new();
        for (index, (key, value)) in snapshot.flows.iter().enumerate() {
            if value.pdus == 0 {
                continue;
            }
            let (src, dst) = (End(value.src_end), End(value.dst_end));
            if self.keys.contains_key(key) || super::conversation::is_clear(key, src, dst) {
                self.delta(index, snapshot, out);
            } else {
                unclear.push(index);
            }
        }
        // As in `shares`: the order of a hash map must not decide who is the client.
        unclear.sort_by_key(|i| snapshot.flows.get(*i).map(|(key, _)| *key));
        for index in unclear {
            self.delta(index, snapshot, out);
        }
    }

    fn delta(&mut self, index: usize, snapshot: &Snapshot, out: &mut Vec<Delta>) {
        let Some((key, value)) = snapshot.flows.get(index) else { return };
        let (src, dst) = (End(value.src_end), End(value.dst_end));
        let seen = self.learn(key, src, dst, value.first_ns);
        // Counters that went back began anew.
        let before = if seen.looked > value.pdus { 0 } else { seen.looked };
        if value.pdus == before {
            return;
        }
        if let Some(slot) = self.keys.get_mut(key) {
            slot.looked = value.pdus;
        }
        let Some(known) = self.known.get(seen.conversation as usize) else { return };
        out.push(Delta {
            index: index as u32,
            conversation: known.conversation,
            from_client: seen.from_client,
            operations: value.pdus - before,
        });
    }
}
