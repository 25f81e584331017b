//! What aggregation says about one interval.

use std::sync::Arc;

use ot_xdp_common::op::{Class, Dir};
use ot_xdp_common::wire::{OverflowValue, PortValue};

use super::{Accounting, Conversation, End};
use crate::source::PortId;

/// What happened between two snapshots.
#[derive(Clone, Debug, Default)]
pub struct Interval {
    /// When the last snapshot was read; at the first one, the first operation. Nanoseconds of the source's clock.
    pub start_ns: u64,
    /// When this snapshot was read.
    pub end_ns: u64,
    /// Conversations with operations in the interval, in the order of [`Conversation`].
    pub conversations: Vec<Activity>,
    /// Functions seen for the first time on a conversation, in the order of time.
    pub novelties: Vec<Novelty>,
    /// Every port, active or not.
    pub ports: Vec<PortActivity>,
    /// What went to the overflow bucket in the interval, by protocol and class number.
    pub overflow: Vec<(u8, u8, OverflowValue)>,
    /// Keys in the flow map.
    pub keys: usize,
    /// Counters that went backwards: the kernel program was loaded anew, or its keys were deleted.
    pub restarts: u64,
}

/// Frames and octets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// Frames.
    pub frames: u64,
    /// Octets.
    pub bytes: u64,
}

/// A conversation in one interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activity {
    /// Who talks to whom.
    pub conversation: Conversation,
    /// Name of its interface.
    pub interface: Arc<str>,
    /// The protocol that names it, see [`super::conversation::outermost`].
    pub protocol: u8,
    /// First operation ever.
    pub first_ns: u64,
    /// Earliest moment at which the interval's first operation can have been.
    pub start_ns: u64,
    /// Last operation.
    pub end_ns: u64,
    /// Hardware address and port of the client in its last frame.
    pub client: End,
    /// Hardware address and port of the server in the last frame.
    pub server: End,
    /// Inner VLAN id of the last frame, 0 for none.
    pub vlan_inner: u16,
    /// Sent by the client.
    pub sent: Volume,
    /// Sent by the server.
    pub received: Volume,
    /// Flags of the functions below since each was first seen, or-ed.
    pub flags: u32,
    /// Functions with operations in the interval, by protocol, function, direction, unit.
    pub functions: Vec<Function>,
}

/// One function of a conversation in one interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// Protocol number.
    pub proto: u8,
    /// Function in the encoding of its protocol.
    pub function: u32,
    /// Unit id, link address, common address, APPID.
    pub unit: u32,
    /// Class.
    pub class: Class,
    /// Does it change the state of the device or the process?
    pub state_changing: bool,
    /// Direction.
    pub dir: Dir,
    /// Operations.
    pub operations: u64,
    /// Lowest and highest address touched since it was first seen, both 0 when its protocol has none.
    pub addresses: (u32, u32),
}

/// A function seen for the first time on a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Novelty {
    /// Who talks to whom.
    pub conversation: Conversation,
    /// Name of its interface.
    pub interface: Arc<str>,
    /// The protocol that names the conversation so far.
    pub protocol: u8,
    /// When.
    pub at_ns: u64,
    /// Hardware address and port of the client.
    pub client: End,
    /// Hardware address and port of the server.
    pub server: End,
    /// Did the client send it?
    pub from_client: bool,
    /// The function; one operation.
    pub function: Function,
    /// First address touched.
    pub address: u32,
    /// Addresses touched, 0 when not known.
    pub span: u32,
    /// Flags of the frame.
    pub flags: u32,
    /// Not reported by the kernel at once (ring full, rate limit) but found in the counters.
    pub late: bool,
}

/// A port in one interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortActivity {
    /// The port.
    pub id: PortId,
    /// Counters since the start.
    pub total: PortValue,
    /// Counters of the interval.
    pub delta: PortValue,
    /// The accounting equation.
    pub accounting: Accounting,
}
