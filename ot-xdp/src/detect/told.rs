//! From deviations to what is told: grouping by cause, suppression of effects, a bound on the number of incidents.

use std::collections::HashMap;

use super::catalog::{Kind, Severity};
use super::deviation::{Deviation, Phase, Subject};
use crate::baseline::Station;

const SECOND: u64 = 1_000_000_000;
/// Quiet time after which an incident is over.
const QUIET: u64 = 600 * SECOND;
/// Longest incident; what goes on is a new one.
const LONGEST: u64 = 86_400 * SECOND;
/// Members of an incident that are told one by one.
const ONE_BY_ONE: u64 = 5;
/// An incident that goes on is told again after this time.
const HOURLY: u64 = 3_600 * SECOND;
/// Incidents within an hour, beyond which only the critical ones and a summary a minute are told.
const PER_HOUR: u32 = 30;
/// Incidents remembered; beyond it the oldest are forgotten.
const REMEMBERED: usize = 4_096;

/// A deviation as it is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// What deviates.
    pub deviation: Deviation,
    /// Names the incident: the same in all its events.
    pub incident: String,
    /// Members of the incident that no event of their own told.
    pub suppressed: u64,
}

impl Told {
    /// A deviation of the sensor's own, which is told in any case.
    pub fn of_sensor(mut deviation: Deviation) -> Told {
        deviation.dedup = dedup(&deviation);
        Told { incident: name(None, deviation.kind, deviation.at_ns), suppressed: 0, deviation }
    }
}

#[derive(Clone, Debug)]
struct Incident {
    name: String,
    first_ns: u64,
    last_ns: u64,
    told_ns: u64,
    members: u64,
    suppressed: u64,
    worst: Severity,
}

/// Decides what is told.
#[derive(Debug, Default)]
pub struct Desk {
    open: HashMap<(Option<Station>, Kind), Incident>,
    hour: (u64, u32),
    limited: (u64, u64),
}

/// Kinds that a change of a binding explains while it lasts.
fn follows_binding(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::AssetNew
            | Kind::AddressAdded
            | Kind::AssetMoved
            | Kind::TalkNew
            | Kind::RoleChanged
            | Kind::ProtocolNew
            | Kind::FunctionNew
            | Kind::UnitNew
            | Kind::WindowWidened
    )
}

/// Searches that explain a kind: what they tried, each told once, is theirs.
fn sweeps_behind(kind: Kind) -> &'static [Kind] {
    match kind {
        Kind::TalkNew | Kind::ProtocolNew => &[Kind::AddressSweep, Kind::PortSweep],
        Kind::UnitNew => &[Kind::UnitSweep],
        Kind::FunctionNew | Kind::UndefinedFunction | Kind::ClassEscalated => &[Kind::FunctionSweep],
        Kind::FirstError => &[Kind::UnitSweep, Kind::FunctionSweep],
        _ => &[],
    }
}

impl Desk {
    /// Takes a deviation in; it comes out when it is to be told.
    pub fn submit(&mut self, mut d: Deviation, out: &mut Vec<Told>) {
        let now = d.at_ns;
        let severity = d.severity();
        if d.dedup.is_empty() {
            d.dedup = dedup(&d);
        }
        if severity < Severity::High && self.explained(&d, now) {
            return;
        }
        let key = (d.source, d.kind);
        if self
            .open
            .get(&key)
            .is_some_and(|i| now.saturating_sub(i.last_ns) > QUIET || now.saturating_sub(i.first_ns) > LONGEST)
        {
            self.open.remove(&key);
        }
        let is_new = !self.open.contains_key(&key);
        if is_new && self.over_budget(now, severity) {
            return;
        }
        if is_new && self.open.len() >= REMEMBERED {
            self.forget(now);
        }
        let incident = self.open.entry(key).or_insert_with(|| Incident {
            name: name(d.source, d.kind, now),
            first_ns: now,
            last_ns: now,
            told_ns: now,
            members: 0,
            suppressed: 0,
            worst: severity,
        });
        incident.last_ns = incident.last_ns.max(now);
        incident.members += d.members;
        let n = incident.members;
        let worse = severity > incident.worst;
        let due = now.saturating_sub(incident.told_ns) >= HOURLY;
        let step = matches!(n, 10 | 100 | 1_000 | 10_000);
        if n <= ONE_BY_ONE || worse || due || step || d.phase == Phase::End {
            incident.worst = incident.worst.max(severity);
            incident.told_ns = now;
            if n > ONE_BY_ONE && d.phase == Phase::New {
                d.phase = Phase::Update;
                d.evidence.push(format!("members of this incident: {n}"));
            }
            d.members = n.max(1);
            out.push(Told { incident: incident.name.clone(), suppressed: incident.suppressed, deviation: d });
        } else {
            incident.suppressed += 1;
        }
    }

    /// Is it the effect of a cause that is told already?
    fn explained(&mut self, d: &Deviation, now: u64) -> bool {
        let other = match &d.subject {
            Subject::Talk { key, .. } => {
                let (a, b) = (key.client(), key.server());
                if Some(a) == d.source { Some(b) } else { Some(a) }
            }
            _ => None,
        };
        for station in [d.source, other].into_iter().flatten() {
            if follows_binding(d.kind) && self.absorb((Some(station), Kind::BindingChanged), now) {
                return true;
            }
        }
        // An error comes from the one that was searched.
        let searched = [d.source, other];
        sweeps_behind(d.kind).iter().any(|k| searched.iter().any(|s| self.absorb((*s, *k), now)))
    }

    fn absorb(&mut self, key: (Option<Station>, Kind), now: u64) -> bool {
        match self.open.get_mut(&key) {
            Some(i) if now.saturating_sub(i.last_ns) <= QUIET => {
                i.suppressed += 1;
                true
            }
            _ => false,
        }
    }

    fn over_budget(&mut self, now: u64, severity: Severity) -> bool {
        if now.saturating_sub(self.hour.0) >= HOURLY || self.hour.0 == 0 {
            self.hour = (now, 0);
        }
        self.hour.1 += 1;
        if self.hour.1 <= PER_HOUR || severity == Severity::Critical {
            return false;
        }
        self.limited.0 += 1;
        true
    }

    /// A summary of what was not told, at most once a minute. Called at each look.
    pub fn summary(&mut self, now: u64) -> Option<u64> {
        if self.limited.0 == 0 || now.saturating_sub(self.limited.1) < 60 * SECOND {
            return None;
        }
        let n = std::mem::take(&mut self.limited.0);
        self.limited.1 = now;
        Some(n)
    }

    fn forget(&mut self, now: u64) {
        self.open.retain(|_, i| now.saturating_sub(i.last_ns) <= QUIET);
        if self.open.len() >= REMEMBERED
            && let Some(oldest) = self.open.iter().min_by_key(|(_, i)| i.last_ns).map(|(k, _)| *k)
        {
            self.open.remove(&oldest);
        }
    }
}

/// Stable over restarts: kind, subject and operation, no times.
fn dedup(d: &Deviation) -> String {
    let subject = match &d.subject {
        Subject::Asset { station, .. } => station.to_string(),
        Subject::Talk { key, .. } => format!("{}>{}:{}/{}@{}", key.client(), key.server(), key.l4, key.port, key.vlan),
        Subject::Sensor => d.interface.as_ref().map_or_else(|| "sensor".to_owned(), |(_, name)| name.to_string()),
    };
    let op = d.operation.as_ref().filter(|_| d.kind.has_operation());
    let op = op.map_or_else(String::new, |o| format!("|{}:{}:{}", o.proto, o.function, o.unit));
    format!("{}|{subject}{op}", d.kind.id())
}

fn name(source: Option<Station>, kind: Kind, at_ns: u64) -> String {
    use sha1::{Digest, Sha1};
    let text = format!("{source:?}|{}|{at_ns}", kind.id());
    Sha1::digest(text.as_bytes()).iter().take(8).map(|b| format!("{b:02x}")).collect()
}
