//! Policy as the kernel program reads it: zones, rules, the table that finds a rule, and what a rule decides.
//!
//! User space compiles the policy file into these values and the kernel judges by them; `explain`, `simulate` and the
//! tests run the same [`judge`]. Two generations of everything exist: a policy is written into the one that is not in
//! use, then [`Control::generation`] turns over. A frame reads that number once, so it is judged by one policy.

mod record;

pub use record::{
    CONDUIT_SIZE, Conduit, DENIAL_KEY_SIZE, DENIAL_SIZE, DENIALS, DONE, Denial, DenialKey, Done, GATE_COUNT_SIZE,
    GateCount, HITS_SIZE, Hits, NO_OPERATION, VERDICT_SIZE, Verdict, Zones,
};

use crate::flags;
use crate::op::{Kind, Op};
use crate::proto::Proto;
use crate::reason::Outcome;
use crate::walk::{Tail, Walk};

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
    /// Kinds that any rule is about, bit n for [`kind_number`] n, of whatever protocol and zones.
    pub kinds: u64,
}

/// Size of [`GatePort`] in octets.
pub const GATE_PORT_SIZE: usize = 16;
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

/// Flags that a condition may come of; a frame without any, and with the outcome [`Outcome::Classified`], has none.
pub const DOUBTS: u32 = flags::SPLIT
    | flags::MALFORMED
    | flags::LENGTH_LIE
    | flags::FRAGMENT
    | flags::WALK_LIMIT
    | flags::BEYOND_REACH
    | flags::VLAN_DEPTH
    | flags::IPV6_CHAIN
    | flags::OVERLAP
    | flags::UNCOMPARED;

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

/// Octets of a key of the table of IP prefixes: generation, then the address, most significant first.
pub const NET_KEY: usize = 20;
/// Prefixes, MAC addresses of all zones together, both generations.
pub const MEMBERS: u32 = 4_096;
