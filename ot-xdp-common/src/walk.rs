//! The walk over all PDUs of a segment: one parser step after the other, whatever is nested in what.
//!
//! A parser looks at one thing (one PDU, or one service inside it), pushes what it found with [`Walk::push`], and says
//! with a [`Step`] where to go on. The loop, its bounds, pipelining and the choice between candidates are here, once.

use crate::bytes::Bytes;
use crate::flags;
use crate::limits::{OPS, PDUS};
use crate::op::{Dir, Op, Tag, rank_of};
use crate::reason::Outcome;

/// What a parser step found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Step(pub u32);

impl Step {
    /// These octets are not a PDU of this protocol. At the start of a segment the next candidate is tried.
    pub const REFUSE: Step = Step(0);
    /// Go on with the parser in [`Walk::proto`] at [`Walk::off`]: a nested layer or the next service of this PDU.
    pub const INNER: Step = Step(1);
    /// The PDU that ends at [`Walk::pdu_end`] is done.
    pub const DONE: Step = Step(2);
    /// The protocol is certain, the PDU breaks its rules; nothing behind it can be trusted.
    pub const MALFORMED: Step = Step(3);
    /// The segment ends before the function can be read.
    pub const PARTIAL: Step = Step(4);
}

/// How a candidate protocol was chosen, and what follows for the direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Hint {
    /// Chosen by content alone: only the strong signature counts, the direction is open.
    Content = 0,
    /// The destination port is registered for it: towards the server.
    ToServer = 1,
    /// The source port is registered for it: from the server.
    FromServer = 2,
    /// The EtherType is registered for it.
    EtherType = 3,
}

/// How a walk ended: what is known of the octets behind the last whole PDU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Tail {
    /// Nothing is left, or the rest of a PDU whose end is known: [`Walk::pdu_end`] is where the next one begins.
    Whole = 0,
    /// The PDU at [`Walk::pdu_at`] has begun, and its function cannot be read yet.
    Partial = 1,
    /// They are no PDU, or were not walked.
    Lost = 2,
    /// The parser refused them. The first octets of a PDU look like that, when they are few.
    Refused = 3,
}

/// How a segment stands in its connection, see [`crate::stream`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Mode {
    /// Not TCP, or nothing is remembered of its connection: judged alone.
    Alone = 0,
    /// The next PDU begins in it, as far as is known.
    InOrder = 1,
    /// Octets in front of it are missing.
    Gap = 2,
    /// It holds octets that were missing.
    Fill = 3,
    /// Nothing in it is new, and it is not the last segment.
    Old = 4,
    /// The same range as the segment before, with other content.
    Conflict = 5,
    /// Its end begins a PDU and goes to the window.
    Keep = 6,
    /// The same for missing octets.
    KeepFill = 7,
    /// The window is walked, not the frame.
    Window = 8,
    /// The window is walked for missing octets.
    WindowFill = 9,
    /// The last segment once more, octet for octet.
    Again = 10,
}

/// Cursor and result of the walk over one segment (map memory of the kernel program).
/// Aligned to eight octets, so that the compiler clears and copies it in whole words.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub struct Walk {
    /// Offset in the frame of what the next step parses.
    pub off: u32,
    /// End of the payload.
    pub end: u32,
    /// End of the nested layer that is being parsed; the payload's end at the start of a PDU.
    pub inner_end: u32,
    /// Where the next PDU starts, once the current one's length is known. May lie behind `end`.
    pub pdu_end: u32,
    /// Flags found so far, see [`crate::flags`].
    pub flags: u32,
    /// Number of operations in `ops`.
    pub n_ops: u32,
    /// PDUs completed.
    pub pdus: u32,
    /// Index of the worst operation: highest risk, then state-changing, then first.
    pub lead: u32,
    /// Its rank plus one, 0 without operations.
    pub lead_rank: u32,
    /// Offset of the payload.
    pub begin: u32,
    /// Which candidates were tried, see [`crate::classify::next_candidate`].
    pub stage: u32,
    /// Where the candidate came from: 0 content, 1 a registered port or EtherType, [`LEARNED`].
    pub registered: u32,
    /// Offset of the PDU in hand.
    pub pdu_at: u32,
    /// Operations found before it.
    pub pdu_ops: u32,
    /// How the walk ended, see [`Tail`].
    pub tail: u32,
    /// How the segment stands in its connection, see [`Mode`].
    pub mode: u32,
    /// Slot of the connection's state, see [`crate::stream`].
    pub stream: u32,
    /// Operations at the front that an earlier segment counted.
    pub skip: u32,
    /// Sequence number of the first octet of the window, in a walk over the window. In a walk over a layer-2 payload the
    /// offset of its Ethernet header.
    pub base: u32,
    /// Where the list of candidates by content goes on, see [`crate::classify::next_candidate`].
    pub sniff: u32,
    /// Registered port or EtherType that made the candidate, 0 for a candidate by content; in the high half the IP
    /// protocol number.
    pub service: u32,
    /// Nesting depth of the current PDU, for parsers that recurse. In front of the others and not beside `mem`: the
    /// compiler would clear both at once, octet by octet.
    pub depth: u8,
    /// Protocol whose parser starts each PDU.
    pub root: u8,
    /// Protocol whose parser runs next.
    pub proto: u8,
    /// [`Hint`] number of the candidate.
    pub hint: u8,
    /// Memory of the parser between steps of one PDU; zero at the start of each.
    pub mem: [u32; 6],
    /// The operations, in order.
    pub ops: [Op; OPS],
}

/// [`Walk::registered`] for a service that was learned from earlier frames, see [`crate::service`].
pub const LEARNED: u32 = 2;

/// Size of [`Walk`] in octets.
pub const WALK_SIZE: usize = 112 + OPS * crate::op::OP_SIZE;
const _: () = assert!(size_of::<Walk>() == WALK_SIZE);

impl Default for Walk {
    fn default() -> Self {
        Walk {
            off: 0,
            end: 0,
            inner_end: 0,
            pdu_end: 0,
            flags: 0,
            n_ops: 0,
            pdus: 0,
            lead: 0,
            lead_rank: 0,
            begin: 0,
            stage: 0,
            registered: 0,
            pdu_at: 0,
            pdu_ops: 0,
            tail: 0,
            mode: 0,
            stream: 0,
            skip: 0,
            base: 0,
            sniff: 0,
            service: 0,
            root: 0,
            proto: 0,
            hint: 0,
            depth: 0,
            mem: [0; 6],
            ops: [Op { function: 0, unit: 0, addr: 0, span: 0, tag: Tag(0) }; OPS],
        }
    }
}

impl Walk {
    /// Forgets the last frame or candidate.
    #[inline(always)]
    pub fn clear(&mut self) {
        self.flags = 0;
        self.pdus = 0;
        self.skip = 0;
        self.clear_ops();
    }

    /// Forgets the operations found so far.
    #[inline(always)]
    pub fn clear_ops(&mut self) {
        self.n_ops = 0;
        self.lead = 0;
        self.lead_rank = 0;
    }

    /// Records one operation; with more than [`OPS`] the segment is flagged and the last slot kept.
    #[inline(always)]
    pub fn push(&mut self, mut op: Op) {
        let n = self.n_ops;
        if n >= OPS as u32 {
            self.flags |= flags::WALK_LIMIT;
            return;
        }
        op.tag = op.tag.with_last(self.pdus as u8);
        let kind = op.tag.kind();
        let rank = rank_of(kind) as u32;
        if rank > self.lead_rank && n >= self.skip {
            self.lead_rank = rank;
            self.lead = n;
        }
        if let Some(slot) = self.ops.get_mut(n as usize & (OPS - 1)) {
            *slot = op;
        }
        self.n_ops = n + 1;
    }

    /// Off its registered port a protocol needs its strong signature.
    #[inline(always)]
    pub fn strict(&self) -> bool {
        self.hint == Hint::Content as u8
    }

    /// Octets in front of the segment are missing: it may begin inside a PDU.
    #[inline(always)]
    pub fn in_gap(&self) -> bool {
        self.mode == Mode::Gap as u32
    }

    /// Direction that the ports suggest.
    #[inline(always)]
    pub fn port_dir(&self) -> Dir {
        if self.hint == Hint::ToServer as u8 {
            Dir::Request
        } else if self.hint == Hint::FromServer as u8 {
            Dir::Response
        } else {
            Dir::Unknown
        }
    }

    /// Goes on with another parser in the nested octets `off..end` of the same PDU.
    #[inline(always)]
    pub fn inner(&mut self, proto: u8, off: u32, end: u32) -> Step {
        self.proto = proto;
        self.off = off;
        self.inner_end = end;
        Step::INNER
    }

    /// The operations found, without those that an earlier segment counted.
    pub fn new_ops(&self) -> &[Op] {
        self.ops().get(self.skip as usize..).unwrap_or(&[])
    }

    /// The operations found.
    pub fn ops(&self) -> &[Op] {
        self.ops.get(..self.n_ops as usize).unwrap_or(&self.ops)
    }
}

/// Runs the step of a protocol by its number: what a PDU leads to after its first step.
pub trait Steps<B: Bytes> {
    /// One step of `proto`, [`Step::REFUSE`] for a number that the current root never leads to.
    fn step(&mut self, proto: u8, b: B, w: &mut Walk) -> Step;
}

/// What [`drive`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driven {
    /// The candidate was wrong: try the next one with [`crate::classify::next_candidate`].
    Refused,
    /// Done.
    Outcome(Outcome),
}

/// Outcome of a payload that no candidate accepts.
#[inline(always)]
pub fn refused(w: &Walk) -> Outcome {
    if w.registered != 0 { Outcome::Unparsed } else { Outcome::NotOt }
}

/// Goes on from the first step of the first PDU to the end of the segment.
///
/// `turns` is [`crate::proto::Protocol::TURNS`] of the root.
#[inline(always)]
pub fn drive<B: Bytes, S: Steps<B>>(mut step: Step, b: B, w: &mut Walk, s: &mut S, turns: u32) -> Driven {
    // The usual segment: one whole PDU without anything nested. It must not pay for the loop below.
    w.tail = Tail::Whole as u32;
    if step == Step::DONE && w.pdu_end == w.end {
        w.pdus += 1;
        return finish(w, Outcome::Classified);
    }
    for _ in 0..turns {
        if step == Step::DONE {
            w.pdus += 1;
            if w.pdu_end >= w.end {
                if w.pdu_end > w.end {
                    w.flags |= flags::SPLIT;
                }
                return finish(w, Outcome::Classified);
            }
            if w.pdus >= PDUS {
                w.flags |= flags::WALK_LIMIT;
                w.tail = Tail::Lost as u32;
                return finish(w, Outcome::Classified);
            }
            let (at, root, hint) = (w.pdu_end, w.root, w.hint);
            start(w, at, root, hint);
        } else if step != Step::INNER {
            return stop(w, step);
        }
        step = s.step(w.proto, b, w);
    }
    w.flags |= flags::WALK_LIMIT;
    w.tail = if w.pdu_end >= w.end { Tail::Whole as u32 } else { Tail::Lost as u32 };
    finish(w, if w.n_ops != 0 { Outcome::Classified } else { Outcome::Unparsed })
}

/// The walk cannot go on.
#[inline(always)]
fn stop(w: &mut Walk, step: Step) -> Driven {
    w.tail = if step == Step::PARTIAL {
        Tail::Partial as u32
    } else if step == Step::REFUSE {
        Tail::Refused as u32
    } else {
        Tail::Lost as u32
    };
    if w.pdus != 0 {
        // The octets behind whole PDUs do not begin another one, or only begin one.
        if step == Step::PARTIAL {
            w.flags |= flags::SPLIT;
        } else if step == Step::MALFORMED {
            w.flags |= flags::MALFORMED;
        } else {
            w.flags |= flags::TRAILING;
        }
        return finish(w, Outcome::Classified);
    }
    if step == Step::MALFORMED {
        w.flags |= flags::MALFORMED;
        return finish(w, Outcome::Malformed);
    }
    if step == Step::PARTIAL {
        w.flags |= flags::SPLIT;
        return finish(w, if w.n_ops != 0 { Outcome::Classified } else { Outcome::Unparsed });
    }
    Driven::Refused
}

/// Puts the cursor at the start of a PDU of `proto`.
#[inline(always)]
pub fn start(w: &mut Walk, off: u32, proto: u8, hint: u8) {
    w.off = off;
    w.inner_end = w.end;
    w.pdu_end = w.end;
    w.pdu_at = off;
    w.pdu_ops = w.n_ops;
    w.root = proto;
    w.proto = proto;
    w.hint = hint;
    w.depth = 0;
    w.mem = [0; 6];
}

#[inline(always)]
fn finish(w: &mut Walk, outcome: Outcome) -> Driven {
    if w.pdus > 1 {
        w.flags |= flags::PIPELINED;
    }
    if w.hint == Hint::Content as u8 || w.registered == LEARNED {
        w.flags |= flags::PORT_MISMATCH;
    }
    Driven::Outcome(outcome)
}
