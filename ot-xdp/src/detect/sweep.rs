//! Searches: one station that tries many others, ports, units or functions, at once or over hours.

use std::collections::{HashMap, HashSet};

use super::catalog::Kind;
use crate::baseline::Station;

const SECOND: u64 = 1_000_000_000;
/// Time in which a fast search tries enough.
const FAST: u64 = 60 * SECOND;
/// Time in which a slow one does.
const SLOW: u64 = 86_400 * SECOND;
/// Quiet time after which a search is over.
const QUIET: u64 = 600 * SECOND;
/// Sources followed; the one that is quiet longest goes first.
const SOURCES: usize = 1_024;
/// Targets remembered of one source and kind.
const TARGETS: usize = 4_096;
/// Connection attempts or address requests in a look, beyond any use.
const FLOOD: u64 = 1_000;

/// New ones within a minute from which on they are no conversations of their own.
pub const BUSY: usize = 8;

/// What was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tried {
    /// An address, asked for by ARP.
    Arp(Station),
    /// A station.
    Address(Station),
    /// A port of a station.
    Port(Station, u16),
    /// A unit behind a station.
    Unit(Station, u8, u32),
    /// A function of a station.
    Function(Station, u8, u32),
    /// A question what it is.
    Discovery(Station),
}

impl Tried {
    /// Kind of the search, and how many new ones within a minute and within a day make it one.
    fn rule(self) -> (Kind, usize, usize) {
        match self {
            Tried::Arp(_) => (Kind::ArpSweep, 20, 30),
            Tried::Address(_) => (Kind::AddressSweep, 20, 20),
            Tried::Port(..) => (Kind::PortSweep, 20, 20),
            Tried::Unit(..) => (Kind::UnitSweep, 8, 16),
            Tried::Function(..) => (Kind::FunctionSweep, 10, 20),
            Tried::Discovery(_) => (Kind::DiscoveryBurst, 10, usize::MAX),
        }
    }
}

/// A search that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// Kind.
    pub kind: Kind,
    /// Who searches.
    pub source: Station,
    /// Different ones tried.
    pub tried: usize,
    /// In this time, nanoseconds.
    pub within_ns: u64,
    /// Told before, and ten times as many now.
    pub grown: bool,
    /// One that was tried.
    pub example: Tried,
    /// From where on it is told.
    pub threshold: usize,
}

#[derive(Debug, Default)]
struct Search {
    seen: HashSet<Tried>,
    begin_ns: u64,
    recent: Vec<u64>,
    told: usize,
    last_ns: u64,
}

/// Follows all sources.
#[derive(Debug, Default)]
pub struct Sweeps {
    searches: HashMap<(Station, Kind), Search>,
    floods: HashMap<Station, (u64, bool)>,
}

impl Sweeps {
    /// A station tried something that the baseline does not know of it.
    pub fn see(&mut self, source: Station, tried: Tried, at_ns: u64) -> Option<Sweep> {
        let (kind, fast, slow) = tried.rule();
        if self.searches.len() >= SOURCES && !self.searches.contains_key(&(source, kind)) {
            let oldest = self.searches.iter().min_by_key(|(_, s)| s.last_ns).map(|(k, _)| *k)?;
            self.searches.remove(&oldest);
        }
        let s = self.searches.entry((source, kind)).or_default();
        let quiet = at_ns.saturating_sub(s.last_ns);
        if s.begin_ns == 0 || at_ns.saturating_sub(s.begin_ns) > SLOW || (s.told > 0 && quiet > QUIET) {
            *s = Search { begin_ns: at_ns, ..Search::default() };
        }
        s.last_ns = at_ns;
        if s.seen.len() >= TARGETS || !s.seen.insert(tried) {
            return None;
        }
        s.recent.retain(|t| at_ns.saturating_sub(*t) <= FAST);
        s.recent.push(at_ns);
        let all = s.seen.len();
        let found = |kind, tried_, within_ns, grown, threshold| Sweep {
            kind,
            source,
            tried: tried_,
            within_ns,
            grown,
            example: tried,
            threshold,
        };
        if s.told > 0 {
            let grown = all >= s.told * 10;
            if grown {
                s.told = all;
            }
            return grown.then(|| found(kind, all, at_ns.saturating_sub(s.begin_ns), true, fast));
        }
        if s.recent.len() >= fast {
            let within = at_ns.saturating_sub(s.recent.first().copied().unwrap_or(at_ns));
            s.told = all;
            return Some(found(kind, s.recent.len(), within, false, fast));
        }
        if all >= slow {
            s.told = all;
            return Some(found(Kind::SlowSweep, all, at_ns.saturating_sub(s.begin_ns), false, slow));
        }
        None
    }

    /// Does this station search, or is it about to?
    pub fn is_busy(&self, source: Station) -> bool {
        let tried = |kind| self.searches.get(&(source, kind)).map_or(0, |s| s.recent.len());
        tried(Kind::AddressSweep).max(tried(Kind::PortSweep)) > BUSY
    }

    /// Attempts of a station in a look; true when they are a flood that was not told yet.
    pub fn attempts(&mut self, source: Station, count: u64) -> bool {
        if count < FLOOD {
            self.floods.remove(&source);
            return false;
        }
        if self.floods.len() >= SOURCES {
            self.floods.clear();
        }
        let entry = self.floods.entry(source).or_insert((0, false));
        entry.0 += count;
        !std::mem::replace(&mut entry.1, true)
    }
}
