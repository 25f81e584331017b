//! Keys and values of the kernel maps: `repr(C)`, integers only, no hidden padding, sizes asserted.
//!
//! Everything is in host byte order. Counters only grow; user space keeps the last snapshot and subtracts.

use crate::flags;
use crate::frame::{FRAME_SIZE, Frame};
use crate::gaps::Gaps;
use crate::op::{CLASSES, Dir, Kind, Op, Tag};
use crate::reason::OUTCOMES;
use crate::walk::{WALK_SIZE, Walk};

/// Format of maps and records; part of the pin path and of every health event.
pub const ABI: u32 = 2;

/// Slots of the program array: programs of protocols by their number, then the same protocols' programs for windows
/// from [`JOINED`] on, the shared programs from the end.
pub const PROGRAMS: u32 = 256;
/// First slot of the programs that parse a window.
pub const JOINED: u32 = 100;
/// Slot of the program that follows IPv6 extension headers.
pub const IPV6_CHAIN: u32 = PROGRAMS - 1;
/// Slot of the program that tries the next candidate.
pub const NEXT: u32 = PROGRAMS - 2;
/// Slot of the program that puts octets into a window.
pub const GATHER: u32 = PROGRAMS - 3;
/// Slot of the program that opens tunnels.
pub const TUNNEL: u32 = PROGRAMS - 5;
/// Slot of the program that books unusual segments of connections.
pub const LEAVE: u32 = PROGRAMS - 6;
/// Slot of the program that decides about segments that are not the next of their connection.
pub const ENTER: u32 = PROGRAMS - 7;
/// Slot of the program that judges a frame by the policy.
pub const JUDGE: u32 = PROGRAMS - 8;
/// Slot of the program that turns a refused segment into a reset.
pub const REFUSE: u32 = PROGRAMS - 9;
/// Slot of the program that counts all but the usual frame.
pub const COUNT: u32 = PROGRAMS - 4;

/// One function on one directed conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(C)]
pub struct FlowKey {
    /// Source address, see [`Frame::src`].
    pub src: [u32; 4],
    /// Destination address.
    pub dst: [u32; 4],
    /// Function in the encoding of its protocol.
    pub function: u32,
    /// Unit id, link address, common address, APPID.
    pub unit: u32,
    /// Interface the frame came in on.
    pub ifindex: u32,
    /// Outer VLAN id (0 for untagged) in the high half; port of the server, EtherType for layer 2, in the low half.
    pub service: u32,
    /// Protocol, kind, direction; last octet: IP protocol number, 0 for layer 2.
    pub tag: Tag,
}

/// Size of [`FlowKey`] in octets.
pub const FLOW_KEY_SIZE: usize = 52;
const _: () = assert!(size_of::<FlowKey>() == FLOW_KEY_SIZE);

/// Counters of one key on one CPU. `pdus == 0` means: never used on this CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct FlowValue {
    /// Operations counted.
    pub pdus: u64,
    /// Frames for which this key is the worst operation; the sum over keys is the number of classified frames.
    pub frames: u64,
    /// Octets of those frames.
    pub bytes: u64,
    /// Time of the first operation, nanoseconds of the monotonic clock (coarse: steps of one tick).
    pub first_ns: u64,
    /// Time of the last operation.
    pub last_ns: u64,
    /// Source MAC and port of the last frame, see [`Frame::src_end`].
    pub src_end: u64,
    /// Destination MAC and port of the last frame.
    pub dst_end: u64,
    /// Lowest address touched.
    pub addr_min: u32,
    /// Highest address touched.
    pub addr_max: u32,
    /// Flags of all frames, or-ed.
    pub flags: u32,
    /// Inner VLAN id of the last frame.
    pub vlan_inner: u32,
    /// Largest gaps between operations.
    pub gaps: Gaps,
}

/// Size of [`FlowValue`] in octets.
pub const FLOW_VALUE_SIZE: usize = 80;
const _: () = assert!(size_of::<FlowValue>() == FLOW_VALUE_SIZE);

impl FlowKey {
    /// The part of the key that all operations of a frame share.
    #[inline(always)]
    pub fn begin(&mut self, f: &Frame, ifindex: u32, port: u16) {
        self.src = f.src;
        self.dst = f.dst;
        self.ifindex = ifindex;
        self.service = (f.vlan as u32) << 16 | port as u32;
    }
    /// The part that one operation adds.
    #[inline(always)]
    pub fn set_op(&mut self, f: &Frame, op: &Op) {
        self.function = op.function;
        self.unit = op.unit;
        self.tag = op.tag.with_last(f.l4);
    }
    /// Outer VLAN id, 0 for untagged.
    pub fn vlan(&self) -> u16 {
        (self.service >> 16) as u16
    }
    /// Port of the server; EtherType for layer 2.
    pub fn port(&self) -> u16 {
        self.service as u16
    }
    /// Protocol number.
    pub fn proto(&self) -> u8 {
        self.tag.proto()
    }
    /// Class and state-changing.
    pub fn kind(&self) -> Kind {
        self.tag.kind()
    }
    /// Direction.
    pub fn dir(&self) -> Dir {
        self.tag.dir()
    }
    /// IP protocol number, 0 for layer 2.
    pub fn l4(&self) -> u8 {
        self.tag.last()
    }
}

impl FlowValue {
    /// Largest gap that ended in this epoch, see [`crate::gaps`].
    pub fn gap_max_ns(&self, epoch: u64) -> Option<u64> {
        self.gaps.in_epoch(epoch)
    }

    /// Counts another operation of the same key in the same frame.
    #[inline(always)]
    pub fn again(&mut self, op: &Op, lead: bool, len: u32) {
        let last = if op.span > 1 { op.addr.wrapping_add(op.span - 1) } else { op.addr };
        self.addr_min = if op.addr < self.addr_min { op.addr } else { self.addr_min };
        self.addr_max = if last > self.addr_max { last } else { self.addr_max };
        self.pdus += 1;
        if lead {
            self.frames += 1;
            self.bytes += len as u64;
        }
    }

    /// Counts one operation; `lead` when it is the frame's worst one, which carries the frame and its octets.
    #[inline(always)]
    pub fn add(&mut self, f: &Frame, op: &Op, seen: u32, lead: bool, now_ns: u64) {
        let last = if op.span > 1 { op.addr.wrapping_add(op.span - 1) } else { op.addr };
        if self.pdus == 0 {
            self.first_ns = now_ns;
            self.addr_min = op.addr;
            self.addr_max = last;
        } else {
            self.gaps.record(now_ns, now_ns.saturating_sub(self.last_ns));
            // One frame among thousands would be gone with the next one.
            self.flags |= (((self.src_end ^ f.src_end) >> 16 != 0) as u32) << flags::SENDER_CHANGED.trailing_zeros();
            if op.addr < self.addr_min {
                self.addr_min = op.addr;
            }
            if last > self.addr_max {
                self.addr_max = last;
            }
        }
        self.pdus += 1;
        if lead {
            self.frames += 1;
            self.bytes += f.len as u64;
        }
        self.last_ns = now_ns;
        self.src_end = f.src_end;
        self.dst_end = f.dst_end;
        self.flags |= seen;
        self.vlan_inner = f.vlan_inner as u32;
    }

    /// Adds another CPU's counters of the same key: sums, minimum of firsts, maximum of lasts.
    pub fn merge(&mut self, o: &FlowValue) {
        if o.pdus == 0 {
            return;
        }
        if self.pdus == 0 {
            *self = *o;
            return;
        }
        self.gaps = self.gaps.merge((self.first_ns, self.last_ns), o.gaps, (o.first_ns, o.last_ns));
        self.pdus += o.pdus;
        self.frames += o.frames;
        self.bytes += o.bytes;
        self.first_ns = self.first_ns.min(o.first_ns);
        self.addr_min = self.addr_min.min(o.addr_min);
        self.addr_max = self.addr_max.max(o.addr_max);
        self.flags |= o.flags;
        if (self.src_end ^ o.src_end) >> 16 != 0 {
            self.flags |= flags::SENDER_CHANGED;
        }
        if o.last_ns >= self.last_ns {
            self.last_ns = o.last_ns;
            self.src_end = o.src_end;
            self.dst_end = o.dst_end;
            self.vlan_inner = o.vlan_inner;
        }
    }
}

/// [`ProbeKey::kind`]: an ARP request.
pub const PROBE_ARP_REQUEST: u32 = 1;
/// [`ProbeKey::kind`]: an ARP reply, asked for or not.
pub const PROBE_ARP_REPLY: u32 = 2;
/// [`ProbeKey::kind`]: an attempt to open a TCP connection.
pub const PROBE_SYN: u32 = 3;

/// Somebody looks for a station, see [`crate::probe`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(C)]
pub struct ProbeKey {
    /// Who looks, an IP address in the form of [`Frame::src`].
    pub src: [u32; 4],
    /// Whom it looks for.
    pub dst: [u32; 4],
    /// Interface the frame came in on.
    pub ifindex: u32,
    /// Outer VLAN id in the high half; destination port in the low half, 0 for ARP.
    pub service: u32,
    /// What kind of frame.
    pub kind: u32,
    /// Padding to eight octets.
    pub reserved: u32,
}

/// Size of [`ProbeKey`] in octets.
pub const PROBE_KEY_SIZE: usize = 48;
const _: () = assert!(size_of::<ProbeKey>() == PROBE_KEY_SIZE);

impl ProbeKey {
    /// Outer VLAN id, 0 for untagged.
    pub fn vlan(&self) -> u16 {
        (self.service >> 16) as u16
    }
    /// Destination port, 0 for ARP.
    pub fn port(&self) -> u16 {
        self.service as u16
    }
}

/// Counters of a [`ProbeKey`], of all CPUs together; two CPUs at once may lose a count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct ProbeValue {
    /// First frame.
    pub first_ns: u64,
    /// Last frame.
    pub last_ns: u64,
    /// Frames.
    pub count: u64,
    /// Hardware address and port of the sender in the last frame.
    pub src_end: u64,
}

/// Size of [`ProbeValue`] in octets.
pub const PROBE_VALUE_SIZE: usize = 32;
const _: () = assert!(size_of::<ProbeValue>() == PROBE_VALUE_SIZE);

impl ProbeValue {
    /// Counts a frame.
    #[inline(always)]
    pub fn add(&mut self, src_end: u64, now_ns: u64) {
        if self.count == 0 {
            self.first_ns = now_ns;
        }
        self.count += 1;
        self.last_ns = now_ns;
        self.src_end = src_end;
    }
}

/// Counters of one port on one CPU. `frames` is the sum of `outcomes`; `outcomes[Classified] + outcomes[Malformed]`
/// is the sum of `classes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct PortValue {
    /// Frames seen.
    pub frames: u64,
    /// Octets seen.
    pub bytes: u64,
    /// Frames by [`crate::reason::Outcome`].
    pub outcomes: [u64; OUTCOMES],
    /// Frames by class of their worst operation.
    pub classes: [u64; CLASSES],
    /// Operations that went to the overflow bucket because the flow map was full.
    pub overflow_ops: u64,
    /// Frames whose worst operation went there.
    pub overflow_frames: u64,
    /// First-seen records that were not sent: ring full.
    pub ring_full: u64,
    /// First-seen records that were not sent: rate limit.
    pub ring_limited: u64,
    /// Frames longer than classification reaches.
    pub beyond_reach: u64,
    /// Frames with more PDUs or services than are walked.
    pub walk_limit: u64,
}

/// Size of [`PortValue`] in octets.
pub const PORT_VALUE_SIZE: usize = 8 * (2 + OUTCOMES + CLASSES + 6);
const _: () = assert!(size_of::<PortValue>() == PORT_VALUE_SIZE);

impl Default for PortValue {
    fn default() -> Self {
        PortValue {
            frames: 0,
            bytes: 0,
            outcomes: [0; OUTCOMES],
            classes: [0; CLASSES],
            overflow_ops: 0,
            overflow_frames: 0,
            ring_full: 0,
            ring_limited: 0,
            beyond_reach: 0,
            walk_limit: 0,
        }
    }
}

impl PortValue {
    /// Adds another CPU's counters of the same port.
    pub fn merge(&mut self, o: &PortValue) {
        self.frames += o.frames;
        self.bytes += o.bytes;
        self.outcomes.iter_mut().zip(o.outcomes).for_each(|(a, b)| *a += b);
        self.classes.iter_mut().zip(o.classes).for_each(|(a, b)| *a += b);
        self.overflow_ops += o.overflow_ops;
        self.overflow_frames += o.overflow_frames;
        self.ring_full += o.ring_full;
        self.ring_limited += o.ring_limited;
        self.beyond_reach += o.beyond_reach;
        self.walk_limit += o.walk_limit;
    }
}

/// What the overflow bucket of one (protocol, class) holds on one CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct OverflowValue {
    /// Operations.
    pub pdus: u64,
    /// Frames for which it was the worst operation.
    pub frames: u64,
    /// Octets of those frames.
    pub bytes: u64,
}

impl OverflowValue {
    /// Adds another CPU's counters of the same slot.
    pub fn merge(&mut self, o: &OverflowValue) {
        self.pdus += o.pdus;
        self.frames += o.frames;
        self.bytes += o.bytes;
    }
}

/// Size of [`OverflowValue`] in octets.
pub const OVERFLOW_VALUE_SIZE: usize = 24;
const _: () = assert!(size_of::<OverflowValue>() == OVERFLOW_VALUE_SIZE);

/// Slots of the overflow map: protocol number times 32 plus class number.
pub const OVERFLOW_SLOTS: u32 = 128 * 32;

/// A key that was counted for the first time, sent through the ring buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct FirstSeen {
    /// When, nanoseconds of the monotonic clock.
    pub at_ns: u64,
    /// Source MAC and port, see [`Frame::src_end`].
    pub src_end: u64,
    /// Destination MAC and port.
    pub dst_end: u64,
    /// The key.
    pub key: FlowKey,
    /// First address touched.
    pub addr: u32,
    /// Addresses touched.
    pub span: u32,
    /// Flags of the frame.
    pub flags: u32,
}

/// Size of [`FirstSeen`] in octets.
pub const FIRST_SEEN_SIZE: usize = 24 + FLOW_KEY_SIZE + 12;
const _: () = assert!(size_of::<FirstSeen>() == FIRST_SEEN_SIZE);

/// Working memory of the kernel program for the frame in hand, one a CPU. Replay reads it to report what the kernel
/// decided.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Scratch {
    /// Envelope.
    pub frame: Frame,
    /// Walk and operations.
    pub walk: Walk,
    /// [`crate::reason::Outcome`] number.
    pub outcome: u32,
    /// Interface index of the frame.
    pub ifindex: u32,
    /// Key being counted.
    pub key: FlowKey,
    /// Padding to eight octets.
    pub reserved: u32,
    /// Value of a key's first operation.
    pub value: FlowValue,
    /// Who looks for whom.
    pub probe: ProbeKey,
    /// First second of the running first-seen budget.
    pub budget_second: u64,
    /// Records sent in it.
    pub budget_used: u64,
}

/// Size of [`Scratch`] in octets.
pub const SCRATCH_SIZE: usize = FRAME_SIZE + WALK_SIZE + 8 + FLOW_KEY_SIZE + 4 + FLOW_VALUE_SIZE + PROBE_KEY_SIZE + 16;
const _: () = assert!(size_of::<Scratch>() == SCRATCH_SIZE);
