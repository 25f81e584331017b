//! Policy as the kernel program reads it: zones, rules, the table that finds a rule, and what a rule decides.
//!
//! User space compiles the policy file into these values and the kernel judges by them; `explain`, `simulate` and the
//! tests run the same [`judge`]. Two generations of everything exist: a policy is written into the one that is not in
//! use, then [`Control::generation`] turns over. A frame reads that number once, so it is judged by one policy.

use crate::flags;
use crate::op::{Kind, Op};
use crate::proto::Proto;
use crate::reason::Outcome;
use crate::walk::{Tail, Walk};
use crate::wire::{FLOW_KEY_SIZE, FlowKey};

/// Zones of a policy; number 0 is what belongs to no zone.
pub const ZONES: u32 = 16;
/// Generations of a policy in the maps.
pub const GENERATIONS: u32 = 2;
/// Rules of a generation; number 0 is none: nothing matched, which allows.
pub const RULES: u32 = 256;
/// Rules that are looked at for one operation, from the first that may match on. The compiler refuses a policy that
/// needs more.
pub const SCAN: u32 = 64;
/// Protocol numbers in the table of first rules; [`CONDITIONS`] is the last of them.
pub const PROTOCOLS: u32 = 128;
/// Takes the place of a protocol number for [`Condition`]s.
pub const CONDITIONS: u8 = 127;
/// Kinds: class number, and 32 more when state-changing.
pub const KINDS: usize = 64;

/// What the program does with a denial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u32)]
pub enum Mode {
    /// Nothing is looked up, everything passes.
    #[default]
    Monitor = 0,
    /// Looked up and counted, everything passes.
    Shadow = 1,
    /// Denials are refused.
    Enforce = 2,
}

/// What a rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Action {
    /// Pass.
    Allow = 0,
    /// Pass, count and report.
    Alert = 1,
    /// Refuse, count and report.
    Deny = 2,
}

/// What is judged of a frame besides its operations. Numbers are map format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Condition {
    /// A segment that ends inside a PDU whose function cannot be read yet.
    PartialPdu = 0,
    /// The header breaks its protocol's rules.
    Malformed = 1,
    /// An IP fragment.
    Fragment = 2,
    /// A segment that begins inside a PDU of which nothing is known.
    Unaligned = 3,
    /// Payload on an OT port that does not validate.
    Unparsed = 4,
    /// More PDUs, services or octets than are walked.
    BeyondLimits = 5,
    /// Octets that were seen with other content, or that cannot be compared.
    Overlap = 6,
    /// The source address belongs to an OT zone and the frame came in on a port of another side.
    Spoofed = 7,
}

impl Condition {
    /// Every condition, by number.
    pub const ALL: [Condition; 8] = [
        Condition::PartialPdu,
        Condition::Malformed,
        Condition::Fragment,
        Condition::Unaligned,
        Condition::Unparsed,
        Condition::BeyondLimits,
        Condition::Overlap,
        Condition::Spoofed,
    ];
    /// The word in policies and events.
    pub const fn word(self) -> &'static str {
        match self {
            Condition::PartialPdu => "partial-pdu",
            Condition::Malformed => "malformed",
            Condition::Fragment => "fragment",
            Condition::Unaligned => "unaligned",
            Condition::Unparsed => "unparsed",
            Condition::BeyondLimits => "beyond-limits",
            Condition::Overlap => "overlap",
            Condition::Spoofed => "spoofed",
        }
    }
}

/// The state of the gate; one element, written by user space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Control {
    /// Age of the last beat of user space at which everything passes; 0 for never.
    pub beat_limit_ns: u64,
    /// When enforcement ends by itself because nobody confirmed it; 0 for never.
    pub confirm_ns: u64,
    /// [`Mode`].
    pub mode: u32,
    /// Generation in use. The number only grows, so that what was found by an older one is known as such; its lowest bit
    /// says which of the two tables.
    pub generation: u32,
}

/// Size of [`Control`] in octets.
pub const CONTROL_SIZE: usize = 24;
const _: () = assert!(size_of::<Control>() == CONTROL_SIZE);

/// What all of a generation's look-ups need; one element a generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Head {
    /// [`Side`] of each zone, four bits a zone from the lowest on.
    pub sides: u64,
    /// What zones are found by besides the ingress port, see [`by`].
    pub by: u32,
    /// 0: refused TCP segments are dropped; 1: they become a reset.
    pub reset: u32,
}

/// Size of [`Head`] in octets.
pub const HEAD_SIZE: usize = 16;
const _: () = assert!(size_of::<Head>() == HEAD_SIZE);

/// Bits of [`Head::by`].
pub mod by {
    /// Some zone is given by VLAN ids.
    pub const VLAN: u32 = 1;
    /// Some zone is given by MAC addresses.
    pub const MAC: u32 = 2;
    /// Some zone is given by IP prefixes.
    pub const PREFIX: u32 = 4;
}

/// What an ingress port means; by slot of the interface index, one table a generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct GatePort {
    /// Interface index, 0 for a free slot.
    pub ifindex: u32,
    /// Zone of frames that come in here, 0 when the port gives none.
    pub zone: u8,
    /// Zone of what lies behind the other ports, when that is one zone; 0 otherwise.
    pub beyond: u8,
    /// 1 when frames that come in here are judged at all: no rule that denies or alerts can match otherwise.
    pub judged: u8,
    /// [`Side`] of that zone: a source address of an OT zone on another side is spoofed.
    pub side: u8,
}

/// Size of [`GatePort`] in octets.
pub const GATE_PORT_SIZE: usize = 8;
const _: () = assert!(size_of::<GatePort>() == GATE_PORT_SIZE);

/// Side of a zone, [`GatePort::side`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Side {
    /// Belongs to no zone.
    None = 0,
    /// Business network.
    It = 1,
    /// Between the two.
    Dmz = 2,
    /// The plant.
    Ot = 3,
}

/// An IP network or one address, in the form of [`crate::frame::Frame::src`]; a zero mask matches everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Net {
    /// Address, zero where the mask is.
    pub addr: [u32; 4],
    /// Bits that have to agree.
    pub mask: [u32; 4],
}

impl Net {
    /// Does it hold this address?
    #[inline(always)]
    pub fn holds(&self, addr: &[u32; 4]) -> bool {
        let d = |i: usize| (addr[i] ^ self.addr[i]) & self.mask[i];
        d(0) | d(1) | d(2) | d(3) == 0
    }
}

/// One line of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Rule {
    /// Kinds that it is about: bit n for the kind number n, see [`kind_number`]; for [`CONDITIONS`] bit n for the
    /// condition n.
    pub kinds: u64,
    /// Monotonic time from which it holds, nanoseconds.
    pub from_ns: u64,
    /// Monotonic time at which it ends; `u64::MAX` for never.
    pub until_ns: u64,
    /// Source addresses.
    pub src: Net,
    /// Destination addresses.
    pub dst: Net,
    /// Function, compared under `function_mask`.
    pub function: u32,
    /// Bits of the function that have to agree; 0 for any function.
    pub function_mask: u32,
    /// Lowest unit.
    pub unit_min: u32,
    /// Highest unit.
    pub unit_max: u32,
    /// Lowest address, see [`Rule::touch`].
    pub addr_min: u32,
    /// Highest address.
    pub addr_max: u32,
    /// Source zones, bit n for zone n.
    pub from_zones: u16,
    /// Destination zones.
    pub to_zones: u16,
    /// Protocol number, 0 for any, [`CONDITIONS`] for conditions.
    pub proto: u8,
    /// [`Action`].
    pub action: u8,
    /// For [`Action::Deny`]: 1 for a silent drop where the policy would reset.
    pub silent: u8,
    /// 0: what the operation touches lies in the address range; 1: any of it does. Who denies a range wants the second.
    pub touch: u8,
}

/// Size of [`Rule`] in octets.
pub const RULE_SIZE: usize = 24 + 64 + 24 + 8;
const _: () = assert!(size_of::<Rule>() == RULE_SIZE);

impl Default for Rule {
    /// Matches everything and allows it.
    fn default() -> Self {
        Rule {
            kinds: u64::MAX,
            from_ns: 0,
            until_ns: u64::MAX,
            src: Net::default(),
            dst: Net::default(),
            function: 0,
            function_mask: 0,
            unit_min: 0,
            unit_max: u32::MAX,
            addr_min: 0,
            addr_max: u32::MAX,
            from_zones: u16::MAX,
            to_zones: u16::MAX,
            proto: 0,
            action: Action::Allow as u8,
            silent: 0,
            touch: 0,
        }
    }
}

/// First rule that may match, by kind number, for one generation, pair of zones and protocol: see [`row`]. 0 allows at
/// once.
pub type Row = [u8; KINDS];

/// Rows of the table.
pub const ROWS: u32 = GENERATIONS * ZONES * ZONES * PROTOCOLS;

/// Index of a row.
#[inline(always)]
pub const fn row(generation: u32, from: u32, to: u32, proto: u8) -> u32 {
    (((generation & 1) * ZONES + (from & (ZONES - 1))) * ZONES + (to & (ZONES - 1))) * PROTOCOLS
        + (proto as u32 & (PROTOCOLS - 1))
}

/// Number of a kind in rows and in [`Rule::kinds`].
#[inline(always)]
pub const fn kind_number(kind: Kind) -> u32 {
    kind.class() as u32 | (kind.0 as u32 & Kind::STATE_CHANGING as u32) >> 2
}

/// What is judged: an operation of a frame, or a condition of it.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    /// Source zone.
    pub from: u32,
    /// Destination zone.
    pub to: u32,
    /// Source address.
    pub src: [u32; 4],
    /// Destination address.
    pub dst: [u32; 4],
    /// Protocol number or [`CONDITIONS`].
    pub proto: u8,
    /// Kind number or condition number.
    pub kind: u32,
    /// Function, unit and addresses.
    pub op: Op,
    /// Monotonic time, nanoseconds.
    pub now_ns: u64,
}

impl Rule {
    /// Is the subject what this line is about?
    #[inline(always)]
    pub fn matches(&self, s: &Subject) -> bool {
        if self.proto != 0 && self.proto != s.proto {
            return false;
        }
        // A line about any protocol is not one about conditions.
        if self.proto == 0 && s.proto == CONDITIONS {
            return false;
        }
        if (self.from_zones >> (s.from & 15)) & (self.to_zones >> (s.to & 15)) & 1 == 0 {
            return false;
        }
        if self.kinds >> (s.kind & 63) & 1 == 0 {
            return false;
        }
        if (self.function ^ s.op.function) & self.function_mask != 0 {
            return false;
        }
        if s.op.unit < self.unit_min || s.op.unit > self.unit_max {
            return false;
        }
        let last = if s.op.span > 1 { s.op.addr.saturating_add(s.op.span - 1) } else { s.op.addr };
        let (low, high) = if self.touch != 0 { (last, s.op.addr) } else { (s.op.addr, last) };
        if low < self.addr_min || high > self.addr_max {
            return false;
        }
        if s.now_ns < self.from_ns || s.now_ns >= self.until_ns {
            return false;
        }
        self.src.holds(&s.src) && self.dst.holds(&s.dst)
    }
}

/// Number of the rule that decides about a subject, 0 when none matches, which allows: the first one that matches, from
/// `first` on. `rule` looks one up.
#[inline(always)]
pub fn judge_by<'a>(first: u8, s: &Subject, mut rule: impl FnMut(u8) -> Option<&'a Rule>) -> u8 {
    if first == 0 {
        return 0;
    }
    for i in 0..SCAN {
        let number = first as u32 + i;
        if number >= RULES {
            break;
        }
        if let Some(r) = rule(number as u8)
            && r.matches(s)
        {
            return number as u8;
        }
    }
    0
}

/// [`judge_by`] over a list, for user space.
pub fn judge(rules: &[Rule], first: u8, s: &Subject) -> u8 {
    judge_by(first, s, |i| rules.get(i as usize))
}

/// Are the operations of a frame judged that matched a protocol off its port, and whose service is not confirmed? Those
/// of a strong signature are named at once and judged; of the weak ones Modbus is strong enough to be refused by its
/// first frame (protocol id, exact length and the shape of the function), the others would refuse what is none of theirs.
#[inline(always)]
pub fn believed(outcome: u32, root: u8) -> bool {
    outcome != Outcome::NotOt as u32 || root == Proto::Modbus as u8
}

/// Bits of the conditions of a frame that was walked, see [`Condition`]; [`Condition::Spoofed`] is not among them.
/// `tcp` tells whether it is a TCP segment.
#[inline(always)]
pub fn conditions(outcome: u32, w: &Walk, tcp: bool) -> u32 {
    let (found, mut bits) = (w.flags, 0);
    if outcome == Outcome::Unparsed as u32 && found & flags::SPLIT == 0 {
        bits |= 1 << if tcp { Condition::Unaligned as u32 } else { Condition::Unparsed as u32 };
    }
    if found & flags::SPLIT != 0 {
        bits |= 1 << Condition::PartialPdu as u32;
    }
    if outcome == Outcome::Malformed as u32
        || outcome == Outcome::BadEnvelope as u32
        || found & (flags::MALFORMED | flags::LENGTH_LIE) != 0
    {
        bits |= 1 << Condition::Malformed as u32;
    }
    if outcome == Outcome::Fragment as u32 || found & flags::FRAGMENT != 0 {
        bits |= 1 << Condition::Fragment as u32;
    }
    if found & (flags::WALK_LIMIT | flags::BEYOND_REACH | flags::VLAN_DEPTH | flags::IPV6_CHAIN) != 0 {
        bits |= 1 << Condition::BeyondLimits as u32;
    }
    // What repeats whole PDUs and nothing else is judged by them.
    let whole = outcome == Outcome::Retransmission as u32 && w.n_ops != 0 && w.tail == Tail::Whole as u32;
    if found & flags::OVERLAP != 0 || found & flags::UNCOMPARED != 0 && !whole {
        bits |= 1 << Condition::Overlap as u32;
    }
    bits
}

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
/// Octets of a key of the table of IP prefixes: generation, then the address, most significant first.
pub const NET_KEY: usize = 20;
/// Prefixes, MAC addresses of all zones together, both generations.
pub const MEMBERS: u32 = 4_096;

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
