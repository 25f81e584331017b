//! What the sensor says about itself, for each port and interval.

use ot_xdp_common::wire::OverflowValue;

use crate::aggregate::{Interval, PortActivity};

/// Share of the flow map, in percent, from which on its fill is a reason.
const FILL_WARNING: u64 = 90;

/// How the frames of a port reach the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attach {
    /// In the driver, before a socket buffer exists.
    Native,
    /// Behind the driver, on socket buffers.
    Generic,
    /// Not at all: the interface is gone or not yet back.
    Detached,
    /// From a capture.
    Replay,
}

impl Attach {
    /// Every value.
    pub const ALL: [Attach; 4] = [Attach::Native, Attach::Generic, Attach::Detached, Attach::Replay];

    /// The word used in JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Attach::Native => "native",
            Attach::Generic => "generic",
            Attach::Detached => "detached",
            Attach::Replay => "replay",
        }
    }
}

/// Why the sensor is degraded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// Attached behind the driver.
    GenericMode,
    /// Not attached.
    Detached,
    /// The flow map is nearly full.
    MapNearlyFull,
    /// Operations went to the overflow bucket.
    MapFull,
    /// First-seen records were not sent by the kernel program.
    FirstSeenDelayed,
    /// The accounting equation does not hold.
    AccountingOff,
    /// Counters went backwards.
    CountersRestarted,
    /// Events were lost on their way out.
    EventsDropped,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Reason; 8] = [
        Reason::GenericMode,
        Reason::Detached,
        Reason::MapNearlyFull,
        Reason::MapFull,
        Reason::FirstSeenDelayed,
        Reason::AccountingOff,
        Reason::CountersRestarted,
        Reason::EventsDropped,
    ];

    /// The word used in JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Reason::GenericMode => "generic_mode",
            Reason::Detached => "detached",
            Reason::MapNearlyFull => "flow_map_nearly_full",
            Reason::MapFull => "flow_map_full",
            Reason::FirstSeenDelayed => "first_seen_delayed",
            Reason::AccountingOff => "accounting_off",
            Reason::CountersRestarted => "counters_restarted",
            Reason::EventsDropped => "events_dropped",
        }
    }

    /// What it means and what to do, for people.
    pub const fn meaning(self) -> &'static str {
        match self {
            Reason::GenericMode => "attached in generic mode: slower, and frames may be merged before they are seen",
            Reason::Detached => "not attached: frames of this interface are not seen",
            Reason::MapNearlyFull => "the flow map is nearly full: raise the number of flows",
            Reason::MapFull => {
                "the flow map is full: new functions are counted by protocol and class only; raise the number of flows"
            }
            Reason::FirstSeenDelayed => {
                "more new functions than the kernel program reports at once: they are reported with the counters"
            }
            Reason::AccountingOff => "frames are missing from the counters: please report this",
            Reason::CountersRestarted => "counters started anew: the kernel program was loaded again",
            Reason::EventsDropped => "events were lost on their way out: see the sink",
        }
    }
}

/// What only the pipeline knows about the sensor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sensor {
    /// Seconds since the start.
    pub uptime_s: u64,
    /// Keys that the flow map can hold.
    pub flow_capacity: u64,
    /// Events lost on their way out since the start.
    pub events_dropped: u64,
    /// Those of them lost in the interval.
    pub events_dropped_now: u64,
}

/// State of one port in one interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Beginning and end of the interval, nanoseconds of the source's clock.
    pub interval_ns: (u64, u64),
    /// Counters and accounting of the port.
    pub port: PortActivity,
    /// How its frames reach the program.
    pub attach: Attach,
    /// Keys in the flow map, all ports together.
    pub keys: u64,
    /// What went to the overflow bucket in the interval, all ports together.
    pub overflow: OverflowValue,
    /// Protocol and class numbers of what is in `overflow`.
    pub overflow_kinds: Vec<(u8, u8)>,
    /// What the pipeline knows.
    pub sensor: Sensor,
    /// Why the sensor is degraded; empty when it is not.
    pub reasons: Vec<Reason>,
}

impl Health {
    /// Judges a port of an interval.
    pub fn new(port: &PortActivity, interval: &Interval, attach: Attach, sensor: Sensor) -> Health {
        let mut overflow = OverflowValue::default();
        interval.overflow.iter().for_each(|(.., v)| overflow.merge(v));
        let keys = interval.keys as u64;
        let delta = &port.delta;
        let holds = [
            (Reason::GenericMode, attach == Attach::Generic),
            (Reason::Detached, attach == Attach::Detached),
            (Reason::MapNearlyFull, sensor.flow_capacity != 0 && keys * 100 >= sensor.flow_capacity * FILL_WARNING),
            (Reason::MapFull, delta.overflow_ops != 0),
            (Reason::FirstSeenDelayed, delta.ring_full + delta.ring_limited != 0),
            (Reason::AccountingOff, !port.accounting.ok),
            (Reason::CountersRestarted, interval.restarts != 0),
            (Reason::EventsDropped, sensor.events_dropped_now != 0),
        ];
        Health {
            interval_ns: (interval.start_ns, interval.end_ns),
            port: port.clone(),
            attach,
            keys,
            overflow,
            overflow_kinds: interval.overflow.iter().map(|(proto, class, _)| (*proto, *class)).collect(),
            sensor,
            reasons: holds.into_iter().filter(|(_, holds)| *holds).map(|(reason, _)| reason).collect(),
        }
    }

    /// One word for all reasons.
    pub fn status(&self) -> &'static str {
        if self.reasons.is_empty() { "ok" } else { "degraded" }
    }
}
