//! Where counters come from: the kernel's maps, or a capture through the same parsers.

mod host;
pub mod kernel;
pub mod replay;

use ot_xdp_common::wire::{FirstSeen, FlowKey, FlowValue, OverflowValue, PortValue, ProbeKey, ProbeValue};

/// An interface whose frames are counted apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortId {
    /// Interface index.
    pub ifindex: u32,
    /// Interface name.
    pub name: String,
}

/// What one read returns: cumulative counters with the CPUs already merged.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// When it was read, nanoseconds of the monotonic clock (replay: of the capture).
    pub at_ns: u64,
    /// Counters by conversation and function.
    pub flows: Vec<(FlowKey, FlowValue)>,
    /// Counters by port.
    pub ports: Vec<(PortId, PortValue)>,
    /// Overflow by protocol and class number.
    pub overflow: Vec<(u8, u8, OverflowValue)>,
    /// Who looks for whom, cumulative.
    pub probes: Vec<(ProbeKey, ProbeValue)>,
    /// Keys counted for the first time since the last read.
    pub first_seen: Vec<FirstSeen>,
}

/// Turns stamps of the kernel program into wall time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Wall time minus monotonic time, nanoseconds; 0 for captures, whose stamps are wall time already.
    pub offset_ns: i64,
}

impl Clock {
    /// The clock of captures.
    pub const CAPTURE: Clock = Clock { offset_ns: 0 };

    /// The offset between the two clocks now.
    pub fn now() -> Clock {
        let (mono, wall) = (crate::sys::clock::monotonic_ns(), crate::sys::clock::realtime_ns());
        Clock { offset_ns: wall as i64 - mono as i64 }
    }

    /// Nanoseconds since the Unix epoch of a stamp.
    pub fn wall_ns(&self, stamp_ns: u64) -> i64 {
        (stamp_ns as i64).saturating_add(self.offset_ns)
    }
}
