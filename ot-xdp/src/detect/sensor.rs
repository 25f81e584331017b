//! The sensor's own sight: ports without frames, half of the traffic, duplicates, what cannot be read or counted.

use std::collections::HashMap;

use ot_xdp_common::reason::Outcome;
use ot_xdp_common::wire::PortValue;

use super::catalog::Kind;
use super::deviation::Phase;
use super::say;

const SECOND: u64 = 1_000_000_000;
/// Time with frames before their absence means something.
const SETTLED: u64 = 600 * SECOND;
/// Shortest absence that is told.
const ABSENT: u64 = 30 * SECOND;
/// Frames of a window whose shares mean something.
const ENOUGH: u64 = 100;
/// Length of the window of shares.
const SHARES: u64 = 300 * SECOND;
/// A step of the wall clock that is told.
const CLOCK_STEP: i64 = SECOND as i64;

/// What was found of a port, or of the sensor when there is none.
#[derive(Clone, Debug, PartialEq)]
pub struct Blind {
    /// Kind.
    pub kind: Kind,
    /// Begun, or over.
    pub phase: Phase,
    /// Interface index; 0 for the sensor.
    pub ifindex: u32,
    /// What was expected.
    pub expected: String,
    /// What came.
    pub observed: String,
    /// One sentence.
    pub why: String,
}

#[derive(Debug, Default)]
struct Port {
    last: PortValue,
    begin_ns: u64,
    frames_ns: u64,
    /// Longest time between looks with frames.
    pause_ns: u64,
    absent: bool,
    mark: (u64, PortValue),
    learned_unparsed: Option<f64>,
    told: [bool; 4],
}

/// Follows the ports of a sensor.
#[derive(Debug, Default)]
pub struct Sight {
    ports: HashMap<u32, Port>,
    offset_ns: Option<i64>,
}

impl Sight {
    /// Is any?
    pub fn is_any_blind(&self) -> bool {
        self.ports.values().any(|p| p.absent)
    }

    /// The wall clock minus the monotonic clock; a step is told once.
    pub fn clock(&mut self, offset_ns: i64) -> Option<Blind> {
        let before = self.offset_ns.replace(offset_ns)?;
        let step = offset_ns - before;
        (step.abs() > CLOCK_STEP).then(|| Blind {
            kind: Kind::ClockStep,
            phase: Phase::New,
            ifindex: 0,
            expected: "a wall clock that runs evenly".to_owned(),
            observed: format!("{:+.3} s", step as f64 / 1e9),
            why: format!(
                "the wall clock jumped by {:+.3} s; time stamps before and after do not fit",
                step as f64 / 1e9
            ),
        })
    }

    /// The counters of a port at a look.
    pub fn port(&mut self, ifindex: u32, name: &str, value: &PortValue, now_ns: u64, out: &mut Vec<Blind>) {
        let p = self.ports.entry(ifindex).or_default();
        if p.begin_ns == 0 || value.frames < p.last.frames {
            *p = Port { last: *value, begin_ns: now_ns, frames_ns: now_ns, mark: (now_ns, *value), ..Port::default() };
            return;
        }
        let new = value.frames - p.last.frames;
        let blind = |kind, phase, expected: String, observed: String, why: String| Blind {
            kind,
            phase,
            ifindex,
            expected,
            observed,
            why,
        };
        if new > 0 {
            let pause = now_ns.saturating_sub(p.frames_ns);
            if p.absent {
                p.absent = false;
                let why = format!("{name} has frames again after {}", say::time(pause));
                out.push(blind(Kind::NoFrames, Phase::End, "frames".to_owned(), format!("{new} frames"), why));
            } else {
                p.pause_ns = p.pause_ns.max(pause);
            }
            p.frames_ns = now_ns;
        } else if !p.absent {
            let absent = now_ns.saturating_sub(p.frames_ns);
            let limit = ABSENT.max(3 * p.pause_ns);
            if p.frames_ns.saturating_sub(p.begin_ns) >= SETTLED && absent > limit {
                p.absent = true;
                let why = format!("{name} had frames all the time and has none for {}", say::time(absent));
                let expected = format!("a pause of at most {}", say::time(limit));
                out.push(blind(
                    Kind::NoFrames,
                    Phase::New,
                    expected,
                    format!("no frame for {}", say::time(absent)),
                    why,
                ));
            }
        }
        let over = value.overflow_ops - p.last.overflow_ops.min(value.overflow_ops);
        if over > 0 && !std::mem::replace(&mut p.told[0], true) {
            let why = format!("{over} operations on {name} could not be counted one by one: the flow map is full");
            out.push(blind(
                Kind::MapFull,
                Phase::New,
                "room for every key".to_owned(),
                format!("{over} operations"),
                why,
            ));
        }
        let lost = value.ring_full - p.last.ring_full.min(value.ring_full);
        if lost > 0 && !std::mem::replace(&mut p.told[1], true) {
            let why = format!("{lost} new keys on {name} came faster than they can be told at once");
            out.push(blind(Kind::RecordsLost, Phase::New, "all records".to_owned(), format!("{lost} records"), why));
        }
        p.last = *value;
        p.shares(ifindex, name, value, now_ns, out);
    }
}

impl Port {
    /// Shares over a window of some minutes.
    fn shares(&mut self, ifindex: u32, name: &str, value: &PortValue, now_ns: u64, out: &mut Vec<Blind>) {
        let (begin, before) = self.mark;
        if now_ns.saturating_sub(begin) < SHARES {
            return;
        }
        self.mark = (now_ns, *value);
        let of = |o: Outcome| {
            let at = |p: &PortValue| p.outcomes.get(o as usize).copied().unwrap_or(0);
            at(value).saturating_sub(at(&before))
        };
        let read = of(Outcome::Classified) + of(Outcome::Retransmission);
        let unread = of(Outcome::Unparsed) + of(Outcome::Malformed);
        if read + unread < ENOUGH {
            return;
        }
        let again = of(Outcome::Retransmission) as f64 / read.max(1) as f64;
        let is_double = again > 0.3;
        if is_double && !self.told[2] {
            let why = format!(
                "{:.0} % of the segments on {name} come twice: the mirror shows them at two ports",
                again * 100.0
            );
            let observed = format!("{:.0} % repeated", again * 100.0);
            let (expected, phase) = ("each frame once".to_owned(), Phase::New);
            out.push(Blind { kind: Kind::Duplicates, phase, ifindex, expected, observed, why });
        }
        self.told[2] = is_double;
        let share = unread as f64 / (read + unread) as f64;
        let learned = *self.learned_unparsed.get_or_insert(share);
        let limit = (learned + 0.05).max(3.0 * learned);
        let is_more = share > limit;
        if is_more && !self.told[3] {
            let why = format!(
                "{:.0} % of the frames of known services on {name} could not be read; it was {:.0} %",
                share * 100.0,
                learned * 100.0
            );
            let (expected, observed) = (format!("at most {:.0} %", limit * 100.0), format!("{:.0} %", share * 100.0));
            out.push(Blind { kind: Kind::UnparsedShare, phase: Phase::New, ifindex, expected, observed, why });
        }
        self.told[3] = is_more;
        // The usual share follows slowly, so that a service that was added is told once.
        self.learned_unparsed = Some(learned + 0.05 * (share - learned));
    }
}
