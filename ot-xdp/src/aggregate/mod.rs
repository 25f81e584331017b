//! From cumulative counters to what happened: subtracts the last snapshot, groups keys into conversations, checks the
//! accounting equation.

pub mod account;
pub mod conversation;
mod interval;
mod look;

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use ot_xdp_common::op::{Class, Dir};
use ot_xdp_common::wire::{FirstSeen, FlowKey, FlowValue, OverflowValue, PortValue};

pub use account::Accounting;
use account::Ledger;
pub use conversation::{Conversation, End};
pub use interval::{Activity, Function, Interval, Novelty, PortActivity, Volume};
pub use look::Delta;

/// Stamps of an interval are those of its source.
pub use crate::source::Clock;
use crate::source::{PortId, Snapshot};

/// Reads that a key may be missing from before it is forgotten.
const MISSING_READS: u32 = 2;

/// What is remembered of a key.
#[derive(Clone, Copy, Debug)]
struct Seen {
    operations: u64,
    frames: u64,
    bytes: u64,
    first_ns: u64,
    conversation: u32,
    from_client: bool,
    read: u32,
    /// Operations at the last [`Aggregator::look`].
    looked: u64,
}

impl Seen {
    /// Remembers the counters of this read and returns those of the last one.
    fn replace(&mut self, value: &FlowValue, read: u32) -> Seen {
        let last = *self;
        self.operations = value.pdus;
        self.frames = value.frames;
        self.bytes = value.bytes;
        self.first_ns = value.first_ns;
        self.read = read;
        last
    }
}

/// What is remembered of a conversation.
#[derive(Clone, Debug, Default)]
struct Known {
    conversation: Conversation,
    first_ns: u64,
    keys: u32,
    /// Protocol numbers with their operations.
    protocols: Vec<(u8, u64)>,
    /// Functions seen: protocol, function, does it ask?
    functions: BTreeSet<(u8, u32, bool)>,
}

/// A key's share of an interval.
#[derive(Clone, Copy)]
struct Share {
    conversation: u32,
    /// Index in the snapshot.
    index: u32,
    operations: u64,
    volume: Volume,
    from_client: bool,
}

/// Keeps the last snapshot and turns the next one into an [`Interval`].
#[derive(Debug, Default)]
pub struct Aggregator {
    keys: HashMap<FlowKey, Seen>,
    numbers: HashMap<Conversation, u32>,
    known: Vec<Known>,
    free: Vec<u32>,
    ports: HashMap<u32, (PortValue, Ledger)>,
    names: HashMap<u32, Arc<str>>,
    overflow: HashMap<(u8, u8), OverflowValue>,
    last_read_ns: Option<u64>,
    reads: u32,
    restarts: u64,
    /// Keys that first-seen records may bring; none: no bound.
    bound: Option<usize>,
}

impl Aggregator {
    /// Nothing seen yet.
    pub fn new() -> Aggregator {
        Aggregator::default()
    }

    /// Bounds the memory of a storm: beyond so many keys, a first-seen record of another one waits for the counters to
    /// tell of it.
    pub fn bound(&mut self, keys: usize) {
        self.bound = Some(keys);
    }

    /// Tells the name of an interface, for first-seen records that come before its first snapshot.
    pub fn name_port(&mut self, id: &PortId) {
        if self.names.get(&id.ifindex).is_none_or(|name| **name != *id.name) {
            self.names.insert(id.ifindex, id.name.as_str().into());
        }
    }

    /// Takes a first-seen record as soon as it is there; none when the function is known on its conversation.
    ///
    /// A response is news only when nobody was seen to ask in its protocol (a tap that sees one direction), or when it is
    /// itself what changes the state.
    pub fn first_seen(&mut self, record: &FirstSeen) -> Option<Novelty> {
        let (src, dst) = (End(record.src_end), End(record.dst_end));
        if self.bound.is_some_and(|bound| self.keys.len() >= bound) && !self.keys.contains_key(&record.key) {
            return None;
        }
        let seen = self.learn(&record.key, src, dst, record.at_ns);
        self.novelty(&seen, record, false)
    }

    /// Subtracts the last snapshot from this one.
    pub fn update(&mut self, snapshot: &Snapshot) -> Interval {
        self.reads = self.reads.wrapping_add(1);
        self.restarts = 0;
        for (id, _) in &snapshot.ports {
            self.name_port(id);
        }
        let mut novelties: Vec<Novelty> = snapshot.first_seen.iter().filter_map(|r| self.first_seen(r)).collect();
        let start_ns = self.last_read_ns.unwrap_or_else(|| {
            snapshot.flows.iter().filter(|(_, v)| v.pdus != 0).map(|(_, v)| v.first_ns).min().unwrap_or(snapshot.at_ns)
        });
        let (shares, port_frames) = self.shares(snapshot, &mut novelties);
        novelties.sort_by_key(|n| (n.at_ns, n.conversation, n.function.proto, n.function.function));
        let conversations = self.conversations(&shares, snapshot, start_ns);
        self.forget(snapshot.flows.len());
        let ports = self.port_activities(snapshot, &port_frames);
        let overflow = self.overflow_delta(snapshot);
        self.last_read_ns = Some(snapshot.at_ns);
        Interval {
            start_ns,
            end_ns: snapshot.at_ns,
            conversations,
            novelties,
            ports,
            overflow,
            keys: snapshot.flows.len(),
            restarts: self.restarts,
        }
    }

    /// Every key's share of the interval, and the frames that the keys of each port hold.
    fn shares(&mut self, snapshot: &Snapshot, novelties: &mut Vec<Novelty>) -> (Vec<Share>, Vec<(u32, u64)>) {
        let mut shares = Vec::new();
        let mut port_frames: Vec<(u32, u64)> = Vec::new();
        // Keys that only join a conversation once the clear ones have made it.
        let mut unclear = Vec::new();
        for (index, (key, value)) in snapshot.flows.iter().enumerate() {
            match port_frames.iter_mut().find(|(ifindex, _)| *ifindex == key.ifindex) {
                Some((_, frames)) => *frames += value.frames,
                None => port_frames.push((key.ifindex, value.frames)),
            }
            if value.pdus == 0 {
                continue;
            }
            let seen = match self.keys.get_mut(key) {
                Some(slot) => slot.replace(value, self.reads),
                None if conversation::is_clear(key, End(value.src_end), End(value.dst_end)) => {
                    self.learn_counted(key, value)
                }
                None => {
                    unclear.push(index);
                    continue;
                }
            };
            shares.extend(self.share(index, &seen, key, value, novelties));
        }
        // The order of a hash map must not decide who is the client.
        unclear.sort_by_key(|i| snapshot.flows.get(*i).map(|(key, _)| *key));
        for index in unclear {
            if let Some((key, value)) = snapshot.flows.get(index) {
                let seen = self.learn_counted(key, value);
                shares.extend(self.share(index, &seen, key, value, novelties));
            }
        }
        (shares, port_frames)
    }

    /// The share of one key; `seen` is what was remembered before this snapshot.
    fn share(
        &mut self,
        index: usize,
        seen: &Seen,
        key: &FlowKey,
        value: &FlowValue,
        novelties: &mut Vec<Novelty>,
    ) -> Option<Share> {
        let restarted = seen.operations > value.pdus || (seen.operations != 0 && seen.first_ns < value.first_ns);
        let last = if restarted {
            self.restarts += 1;
            Seen { operations: 0, frames: 0, bytes: 0, ..*seen }
        } else {
            *seen
        };
        let operations = value.pdus - last.operations;
        if operations == 0 {
            return None;
        }
        let known = self.known.get_mut(seen.conversation as usize)?;
        match known.protocols.iter_mut().find(|(p, _)| *p == key.proto()) {
            Some((_, n)) => *n += operations,
            None => known.protocols.push((key.proto(), operations)),
        }
        if seen.operations == 0 {
            let record = FirstSeen {
                at_ns: value.first_ns,
                src_end: value.src_end,
                dst_end: value.dst_end,
                key: *key,
                addr: value.addr_min,
                span: 0,
                flags: value.flags,
            };
            novelties.extend(self.novelty(seen, &record, true));
        }
        Some(Share {
            conversation: seen.conversation,
            index: index as u32,
            operations,
            volume: Volume {
                frames: value.frames.saturating_sub(last.frames),
                bytes: value.bytes.saturating_sub(last.bytes),
            },
            from_client: seen.from_client,
        })
    }

    /// [`Self::learn`] for a key that the flow map holds.
    fn learn_counted(&mut self, key: &FlowKey, value: &FlowValue) -> Seen {
        let seen = self.learn(key, End(value.src_end), End(value.dst_end), value.first_ns);
        if let Some(slot) = self.keys.get_mut(key) {
            slot.replace(value, self.reads);
        }
        seen
    }

    /// What is remembered of a key; a new one is assigned to its conversation.
    fn learn(&mut self, key: &FlowKey, src: End, dst: End, first_ns: u64) -> Seen {
        if let Some(seen) = self.keys.get(key) {
            return *seen;
        }
        let (conversation, from_client) = conversation::orient(key, src, dst, |c| self.numbers.contains_key(c));
        let number = match self.numbers.entry(conversation) {
            Entry::Occupied(e) => *e.get(),
            Entry::Vacant(e) => {
                let known = Known { conversation, first_ns, ..Known::default() };
                let number = match self.free.pop() {
                    Some(number) => number,
                    None => {
                        self.known.push(Known::default());
                        self.known.len() as u32 - 1
                    }
                };
                if let Some(slot) = self.known.get_mut(number as usize) {
                    *slot = known;
                }
                *e.insert(number)
            }
        };
        if let Some(known) = self.known.get_mut(number as usize) {
            known.keys += 1;
            known.first_ns = known.first_ns.min(first_ns);
        }
        let seen = Seen {
            operations: 0,
            frames: 0,
            bytes: 0,
            first_ns,
            conversation: number,
            from_client,
            read: self.reads,
            looked: 0,
        };
        self.keys.insert(*key, seen);
        seen
    }

    fn novelty(&mut self, seen: &Seen, record: &FirstSeen, late: bool) -> Option<Novelty> {
        let interface = self.interface(record.key.ifindex);
        let known = self.known.get_mut(seen.conversation as usize)?;
        let (proto, function, dir) = (record.key.proto(), record.key.function, record.key.dir());
        // An answer can be what changes the state: the controller fetches a program, the answer brings it.
        let asks = dir != Dir::Response || record.key.kind().state_changing();
        let answered =
            !asks && known.functions.range((proto, 0, false)..=(proto, u32::MAX, true)).any(|(.., asks)| *asks);
        if !known.functions.insert((proto, function, asks)) || answered {
            return None;
        }
        if known.protocols.iter().all(|(p, _)| *p != proto) {
            known.protocols.push((proto, 0));
        }
        let (src, dst) = (End(record.src_end), End(record.dst_end));
        let (client, server) = if seen.from_client { (src, dst) } else { (dst, src) };
        let last = record.addr.saturating_add(record.span.saturating_sub(1));
        Some(Novelty {
            conversation: known.conversation,
            interface,
            protocol: conversation::outermost(&known.protocols),
            at_ns: record.at_ns,
            client,
            server,
            from_client: seen.from_client,
            function: function_of(&record.key, 1, (record.addr, last)),
            address: record.addr,
            span: record.span,
            flags: record.flags,
            late,
        })
    }

    /// Groups shares into conversations.
    fn conversations(&self, shares: &[Share], snapshot: &Snapshot, start_ns: u64) -> Vec<Activity> {
        let mut order: Vec<&Share> = shares.iter().collect();
        order.sort_unstable_by_key(|s| s.conversation);
        let mut out: Vec<Activity> = order
            .chunk_by(|a, b| a.conversation == b.conversation)
            .filter_map(|group| self.activity(group, snapshot, start_ns))
            .collect();
        out.sort_unstable_by_key(|a| a.conversation);
        out
    }

    fn activity(&self, group: &[&Share], snapshot: &Snapshot, start_ns: u64) -> Option<Activity> {
        let known = self.known.get(group.first()?.conversation as usize)?;
        let mut a = Activity {
            conversation: known.conversation,
            interface: self.interface(known.conversation.ifindex),
            protocol: conversation::outermost(&known.protocols),
            first_ns: known.first_ns,
            start_ns: start_ns.max(known.first_ns),
            end_ns: 0,
            client: End::default(),
            server: End::default(),
            vlan_inner: 0,
            sent: Volume::default(),
            received: Volume::default(),
            flags: 0,
            functions: Vec::with_capacity(group.len()),
        };
        let mut last: Option<(u64, FlowKey)> = None;
        for share in group {
            let Some((key, value)) = snapshot.flows.get(share.index as usize) else { continue };
            let volume = if share.from_client { &mut a.sent } else { &mut a.received };
            volume.frames += share.volume.frames;
            volume.bytes += share.volume.bytes;
            a.flags |= value.flags;
            // Of functions with the same stamp (the clock is coarse) the key decides, so that the result does not hang on
            // the order of a hash map.
            if last.is_none_or(|l| l < (value.last_ns, *key)) {
                last = Some((value.last_ns, *key));
                let (src, dst) = (End(value.src_end), End(value.dst_end));
                (a.client, a.server) = if share.from_client { (src, dst) } else { (dst, src) };
                a.vlan_inner = value.vlan_inner as u16;
                a.end_ns = value.last_ns;
            }
            a.functions.push(function_of(key, share.operations, (value.addr_min, value.addr_max)));
        }
        a.start_ns = a.start_ns.min(a.end_ns);
        a.functions.sort_unstable_by_key(|f| (f.proto, f.function, f.dir, f.unit, f.class, f.state_changing));
        Some(a)
    }

    fn interface(&self, ifindex: u32) -> Arc<str> {
        self.names.get(&ifindex).cloned().unwrap_or_else(|| format!("if{ifindex}").into())
    }

    /// Drops what has been missing from the flow map for several reads.
    fn forget(&mut self, live: usize) {
        if self.keys.len() <= live {
            return;
        }
        let (reads, known) = (self.reads, &mut self.known);
        let mut emptied = Vec::new();
        self.keys.retain(|_, seen| {
            let keep = reads.wrapping_sub(seen.read) <= MISSING_READS;
            if !keep && let Some(k) = known.get_mut(seen.conversation as usize) {
                k.keys = k.keys.saturating_sub(1);
                if k.keys == 0 {
                    emptied.push(seen.conversation);
                }
            }
            keep
        });
        for number in emptied {
            if let Some(slot) = self.known.get_mut(number as usize) {
                self.numbers.remove(&slot.conversation);
                *slot = Known::default();
                self.free.push(number);
            }
        }
    }

    fn port_activities(&mut self, snapshot: &Snapshot, frames: &[(u32, u64)]) -> Vec<PortActivity> {
        let mut out = Vec::with_capacity(snapshot.ports.len());
        for (id, total) in &snapshot.ports {
            let (last, ledger) = self.ports.entry(id.ifindex).or_default();
            let in_flows = frames.iter().find(|(ifindex, _)| *ifindex == id.ifindex).map_or(0, |(_, n)| *n);
            let accounting = ledger.check(total, in_flows);
            let delta = if total.frames < last.frames {
                self.restarts += 1;
                *total
            } else {
                port_delta(total, last)
            };
            *last = *total;
            out.push(PortActivity { id: id.clone(), total: *total, delta, accounting });
        }
        out.sort_by(|a, b| a.id.cmp(&b.id));
        out
    }

    fn overflow_delta(&mut self, snapshot: &Snapshot) -> Vec<(u8, u8, OverflowValue)> {
        let mut out = Vec::new();
        for (proto, class, total) in &snapshot.overflow {
            let last = self.overflow.entry((*proto, *class)).or_default();
            let base = if total.pdus < last.pdus { OverflowValue::default() } else { *last };
            *last = *total;
            if total.pdus > base.pdus {
                out.push((
                    *proto,
                    *class,
                    OverflowValue {
                        pdus: total.pdus - base.pdus,
                        frames: total.frames.saturating_sub(base.frames),
                        bytes: total.bytes.saturating_sub(base.bytes),
                    },
                ));
            }
        }
        out.sort_unstable_by_key(|(proto, class, _)| (*proto, *class));
        out
    }
}

fn function_of(key: &FlowKey, operations: u64, addresses: (u32, u32)) -> Function {
    Function {
        proto: key.proto(),
        function: key.function,
        unit: key.unit,
        class: Class::from_code(key.kind().class()),
        state_changing: key.kind().state_changing(),
        dir: key.dir(),
        operations,
        addresses,
    }
}

fn port_delta(now: &PortValue, last: &PortValue) -> PortValue {
    let mut d = *now;
    let less = |a: &mut u64, b: u64| *a = a.saturating_sub(b);
    less(&mut d.frames, last.frames);
    less(&mut d.bytes, last.bytes);
    d.outcomes.iter_mut().zip(last.outcomes).for_each(|(a, b)| less(a, b));
    d.classes.iter_mut().zip(last.classes).for_each(|(a, b)| less(a, b));
    less(&mut d.overflow_ops, last.overflow_ops);
    less(&mut d.overflow_frames, last.overflow_frames);
    less(&mut d.ring_full, last.ring_full);
    less(&mut d.ring_limited, last.ring_limited);
    less(&mut d.beyond_reach, last.beyond_reach);
    less(&mut d.walk_limit, last.walk_limit);
    d
}

#[cfg(test)]
mod tests;
