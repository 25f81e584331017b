//! What the gate remembers and counts.

use crate::wire::{FLOW_KEY_SIZE, FlowKey};

/// Zones of a frame, and the generation that they were found by: in 22 bits its number, in four each the source's and the
/// destination's zone, then whether the source address is spoofed, and 1 when anything is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Zones(pub u32);

impl Zones {
    const MARK: u32 = (1 << 22) - 1;
    const SPOOFED: u32 = 1 << 30;
    const KNOWN: u32 = 1 << 31;

    /// What was found.
    #[inline(always)]
    pub const fn new(generation: u32, from: u32, to: u32, spoofed: bool) -> Zones {
        let spoofed = if spoofed { Zones::SPOOFED } else { 0 };
        Zones(generation & Zones::MARK | (from & 15) << 22 | (to & 15) << 26 | spoofed | Zones::KNOWN)
    }

    /// Was it found by this generation?
    #[inline(always)]
    pub const fn is_of(self, generation: u32) -> bool {
        (self.0 ^ generation) & Zones::MARK == 0 && self.0 & Zones::KNOWN != 0
    }

    /// Source zone.
    #[inline(always)]
    pub const fn from(self) -> u32 {
        self.0 >> 22 & 15
    }

    /// Destination zone.
    #[inline(always)]
    pub const fn to(self) -> u32 {
        self.0 >> 26 & 15
    }

    /// Does the source address belong to an OT zone, and did it come in elsewhere?
    #[inline(always)]
    pub const fn is_spoofed(self) -> bool {
        self.0 & Zones::SPOOFED != 0
    }
}

/// What is remembered of a direction of a TCP connection; the slot is that of [`crate::stream`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Conduit {
    /// Identity of the direction, see [`crate::stream::direction`]; 0 for a free slot.
    pub check: u64,
    /// 1 when an operation was refused: nothing passes until the next SYN. Two more for each segment that was changed.
    pub blocked: u32,
    /// [`Zones`] of the flow.
    pub zones: Zones,
    /// Sequence number of the first octet of a segment that was dropped and not sent again since.
    pub hole: u32,
    /// 1 when there is such a segment.
    pub holed: u32,
}

/// Size of [`Conduit`] in octets.
pub const CONDUIT_SIZE: usize = 24;
const _: () = assert!(size_of::<Conduit>() == CONDUIT_SIZE);

/// Working memory of the gate for the frame in hand, one a CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Verdict {
    /// Time of the frame.
    pub now_ns: u64,
    /// Generation that judges it.
    pub generation: u32,
    /// Source zone.
    pub from: u32,
    /// Destination zone.
    pub to: u32,
    /// Deciding rule, 0 for none.
    pub rule: u32,
    /// Its [`Action`].
    pub action: u32,
    /// Index of the operation that it decided about, [`NO_OPERATION`] for a condition.
    pub op: u32,
    /// Number of the condition that it decided about.
    pub condition: u32,
    /// Is a denial silent?
    pub silent: u32,
    /// What was done, see [`Done`].
    pub done: u32,
    /// Zero.
    pub reserved: u32,
}

/// Size of [`Verdict`] in octets.
pub const VERDICT_SIZE: usize = 48;
const _: () = assert!(size_of::<Verdict>() == VERDICT_SIZE);

/// [`Verdict::op`] of a condition.
pub const NO_OPERATION: u32 = u32::MAX;

/// What became of a frame at the gate. Numbers are map format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u32)]
pub enum Done {
    /// Passed, nothing to report.
    Passed = 0,
    /// Passed and reported.
    Alerted = 1,
    /// Denied by a rule, passed because the mode is not enforce.
    WouldDrop = 2,
    /// Dropped.
    Dropped = 3,
    /// Became a reset, or was stripped of its payload.
    Reset = 4,
    /// Denied, passed because user space is dead or did not confirm.
    DeadMan = 5,
    /// A segment of a flow that a denial blocked.
    Blocked = 6,
}

/// Values of [`Done`].
pub const DONE: usize = 7;

/// Counters of the gate by ingress port, one a CPU; the index is a [`Done`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct GateCount {
    /// Frames.
    pub frames: [u64; DONE],
    /// Refused frames that could not be changed into a reset and were dropped.
    pub rewrite_failed: u64,
}

/// Size of [`GateCount`] in octets.
pub const GATE_COUNT_SIZE: usize = 8 * DONE + 8;
const _: () = assert!(size_of::<GateCount>() == GATE_COUNT_SIZE);

/// One denial or alert: who did what to whom, by which rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(C)]
pub struct DenialKey {
    /// Conversation and function; of a condition the function is its number and the protocol the candidate's.
    pub key: FlowKey,
    /// Rule, then generation, zones from and to from the lowest octet on.
    pub rule: u32,
    /// [`Done`], and in the second octet 1 for a condition.
    pub done: u32,
}

/// Size of [`DenialKey`] in octets.
pub const DENIAL_KEY_SIZE: usize = FLOW_KEY_SIZE + 8;
const _: () = assert!(size_of::<DenialKey>() == DENIAL_KEY_SIZE);

/// How often, and what the last one was like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Denial {
    /// Frames.
    pub frames: u64,
    /// Time of the first one, monotonic nanoseconds.
    pub first_ns: u64,
    /// Time of the last one.
    pub last_ns: u64,
    /// Source MAC and port of the last one, see [`crate::frame::Frame::src_end`].
    pub src_end: u64,
    /// Destination MAC and port.
    pub dst_end: u64,
    /// First address touched.
    pub addr: u32,
    /// Addresses touched.
    pub span: u32,
    /// Flags of the frame.
    pub flags: u32,
    /// Zero.
    pub reserved: u32,
}

/// Size of [`Denial`] in octets.
pub const DENIAL_SIZE: usize = 56;
const _: () = assert!(size_of::<Denial>() == DENIAL_SIZE);

/// Denials that are remembered apart; what is beyond is in the counters of rules and ports only.
pub const DENIALS: u32 = 8_192;
/// Counters of one rule on one CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Hits {
    /// Frames that it decided about.
    pub frames: u64,
    /// Octets of those frames.
    pub bytes: u64,
    /// Frames that it refused (in [`Mode::Enforce`]).
    pub refused: u64,
    /// Time of the last one, monotonic nanoseconds.
    pub last_ns: u64,
}

/// Size of [`Hits`] in octets.
pub const HITS_SIZE: usize = 32;
const _: () = assert!(size_of::<Hits>() == HITS_SIZE);
