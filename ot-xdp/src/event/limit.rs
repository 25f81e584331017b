//! The daily volume of events: a bound that no traffic and no interval can move.
//!
//! Strangers can multiply conversations, functions and refusals. Each share of the volume is a bucket of octets that
//! fills evenly: a burst of a quarter of an hour passes, and no flood of one kind takes the room of another, nor a flood
//! of harmless ones that of serious ones. What is over it gets no sequence number; it is counted and told in one event.

use std::collections::BTreeMap;

use super::ecs_gate;
use super::{Event, Limited, Severity, action_of};

/// Least volume that can be asked for, in octets a day.
pub const DAILY_MIN: u64 = 64 << 20;
/// Usual volume, in octets a day.
pub const DAILY: u64 = 16 << 30;
/// A bucket holds this part of a day's share.
const BURST: f64 = 1.0 / 96.0;
const DAY_NS: f64 = 86_400e9;

/// Part of the volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// What the sensor did and what was done to it: changes, losses.
    Own,
    /// Health and statistics.
    Health,
    /// Flow summaries.
    Flow,
    /// First-seen functions of low and medium severity.
    FirstSeen,
    /// Those of high severity.
    FirstSeenHigh,
    /// Alerts of low and medium severity.
    Alert,
    /// Those of high and critical severity.
    AlertHigh,
}

/// Every share, its name for people, and its percents of the volume.
pub const SHARES: [(Share, &str, u64); 7] = [
    (Share::Own, "audit and losses", 5),
    (Share::Health, "health", 10),
    (Share::Flow, "flow summaries", 40),
    (Share::FirstSeen, "first-seen functions", 10),
    (Share::FirstSeenHigh, "first-seen functions of high severity", 10),
    (Share::Alert, "alerts", 10),
    (Share::AlertHigh, "alerts of high severity", 15),
];

impl Share {
    /// Of an event, and its severity, 0 for none.
    pub fn of(event: &Event) -> (Share, u8) {
        match event {
            Event::Flow(_) => (Share::Flow, 0),
            Event::Health(_) => (Share::Health, 0),
            Event::FirstSeen(n) => {
                let f = &n.function;
                match Severity::of_first_seen(f.class, f.state_changing, f.dir) as u8 {
                    high if high >= Severity::High as u8 => (Share::FirstSeenHigh, high),
                    low => (Share::FirstSeen, low),
                }
            }
            Event::Refusal(e) => Share::of_alert(ecs_gate::severity(e)),
            Event::Deviation(e) => Share::of_alert(e.told.deviation.severity() as u8),
            Event::Audit(_) | Event::Lost(_) | Event::Limited(_) => (Share::Own, 0),
        }
    }

    /// Of an alert of this severity.
    pub fn of_alert(severity: u8) -> (Share, u8) {
        if severity >= Severity::High as u8 { (Share::AlertHigh, severity) } else { (Share::Alert, severity) }
    }
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    octets: f64,
    capacity: f64,
    per_ns: f64,
    at_ns: u64,
}

impl Bucket {
    fn new(daily: u64, percent: u64) -> Bucket {
        let share = daily as f64 * percent as f64 / 100.0;
        let capacity = share * BURST;
        // A full bucket and what flows in within a day are the share.
        Bucket { octets: capacity, capacity, per_ns: (share - capacity) / DAY_NS, at_ns: 0 }
    }
}

/// Decides which events are made.
#[derive(Clone, Debug)]
pub struct Limiter {
    buckets: [Bucket; SHARES.len()],
    refused: BTreeMap<(&'static str, u8), u64>,
    since_ns: u64,
}

impl Limiter {
    /// With so many octets a day.
    pub fn new(daily: u64) -> Limiter {
        Limiter {
            buckets: SHARES.map(|(.., percent)| Bucket::new(daily, percent)),
            refused: BTreeMap::new(),
            since_ns: 0,
        }
    }

    /// May this event be made? `now_ns` is monotonic. One that may is to be charged when its size is known.
    pub fn allows(&mut self, event: &Event, now_ns: u64) -> Option<Share> {
        let (share, severity) = Share::of(event);
        let bucket = self.buckets.get_mut(share as usize)?;
        if bucket.at_ns != 0 {
            bucket.octets += now_ns.saturating_sub(bucket.at_ns) as f64 * bucket.per_ns;
        }
        bucket.octets = bucket.octets.min(bucket.capacity);
        bucket.at_ns = now_ns.max(1);
        if bucket.octets > 0.0 {
            return Some(share);
        }
        *self.refused.entry((action_of(event), severity)).or_default() += 1;
        None
    }

    /// Takes the size of a made event out of its share.
    pub fn charge(&mut self, share: Share, octets: usize) {
        if let Some(bucket) = self.buckets.get_mut(share as usize) {
            bucket.octets -= octets as f64;
        }
    }

    /// What was refused since this was last asked; `now_ns` in the source's clock.
    pub fn take(&mut self, now_ns: u64) -> Option<Limited> {
        let since = std::mem::replace(&mut self.since_ns, now_ns);
        let refused = std::mem::take(&mut self.refused);
        let events: Vec<_> = refused.into_iter().map(|((kind, severity), n)| (kind, severity, n)).collect();
        let start = if since == 0 { now_ns } else { since };
        (!events.is_empty()).then_some(Limited { interval_ns: (start, now_ns), events })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Audit;

    fn audit() -> Event {
        Event::Audit(Box::new(Audit {
            at_ns: 1,
            action: "policy-load",
            success: true,
            reason: "x".to_owned(),
            mode: None,
            rules: 1,
            user: None,
            ticket: None,
        }))
    }

    #[test]
    fn the_shares_are_the_whole() {
        assert_eq!(SHARES.iter().map(|(.., percent)| percent).sum::<u64>(), 100);
        assert!(SHARES.iter().enumerate().all(|(i, (share, ..))| *share as usize == i));
    }

    #[test]
    fn a_flood_passes_for_a_while_and_then_evenly_and_never_over_the_day() {
        let mut limiter = Limiter::new(DAILY_MIN);
        let (mut octets, mut made) = (0u64, 0u64);
        // One event of 1 kB each 10 ms for a day.
        for i in 0..8_640_000u64 {
            if let Some(share) = limiter.allows(&audit(), i * 10_000_000 + 1) {
                limiter.charge(share, 1_000);
                octets += 1_000;
                made += 1;
            }
        }
        let share = DAILY_MIN / 20;
        assert!(octets <= share + 1_000 && octets > share * 99 / 100, "{octets} of {share}");
        let limited = limiter.take(9).unwrap();
        assert_eq!(limited.events, [("policy-load", 0, 8_640_000 - made)]);
        assert_eq!(limiter.take(10), None, "told once");
    }

    #[test]
    fn a_pause_does_not_save_up_more_than_the_burst() {
        let mut limiter = Limiter::new(DAILY_MIN);
        let mut burst = |at: u64| {
            let mut n = 0;
            while let Some(share) = limiter.allows(&audit(), at) {
                limiter.charge(share, 1_000);
                n += 1;
            }
            n
        };
        let first = burst(1);
        assert_eq!(burst(30 * 86_400_000_000_000), first);
    }
}
