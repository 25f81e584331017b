//! TCP streams without reassembly: where the next PDU of a direction begins, and the first octets of a PDU that came in
//! pieces.
//!
//! A segment is judged by the sequence number at which the next PDU begins ([`Stream::next`]):
//!
//! | segment | what happens |
//! |---|---|
//! | holds `next` | the walk starts there |
//! | new, ends before `next` | the rest of a PDU that was counted: continuation |
//! | old, ends before `next` | retransmission: shown, not counted again; other content than before: flagged and counted |
//! | begins behind `next` | a gap: the walk starts at the segment if a PDU begins there (the hole is remembered and filled when the missing octets come), else its octets wait in the window |
//! | ends inside a PDU whose function cannot be read yet | its octets go to the window, [`WINDOW`] octets from `next` on |
//!
//! The window is parsed by the same parsers as a frame. Operations that were counted from a piece are not counted again
//! when the PDU is parsed once more with more octets. A connection that is seen from its middle is aligned by the first
//! segment that begins with a PDU. State lives in fixed tables: a connection that loses its slot is judged frame by
//! frame until its next segment.

use crate::bytes::Bytes;
use crate::flags;
use crate::frame::{Frame, TCP};
use crate::reason::Outcome;
use crate::walk::{Mode, Tail, Walk, start};

/// Directions of connections that are remembered; the slot is a hash of the addresses and ports.
pub const STREAMS: u32 = 32_768;
/// Windows for PDUs that came in pieces, shared by all connections.
pub const WINDOWS: u32 = 1_024;
/// Octets of a PDU that are joined.
pub const WINDOW: u32 = 512;

/// State of one direction of a connection. A shared table and not one a CPU: the scheduler may move a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Stream {
    /// Hash of the connection, to tell it from others in the same slot; 0 for a free slot.
    pub check: u64,
    /// Sequence number at which the next PDU begins.
    pub next: u32,
    /// Sequence number behind the last octet seen.
    pub seen: u32,
    /// First octet of the hole: octets that were jumped over and may still come.
    pub hole: u32,
    /// End of the hole; equal to `hole` when there is none.
    pub hole_end: u32,
    /// Sequence number of the last segment.
    pub last: u32,
    /// Digest of its octets, see [`digest`].
    pub digest: u32,
    /// Protocol, hint of the candidate, [`Phase`] from the lowest octet.
    pub root: u32,
    /// Operations of the PDU at `next` that were counted already.
    pub counted: u8,
    /// The same of the PDU at `hole`.
    pub counted_hole: u8,
    /// Length of the last segment's payload.
    pub len: u16,
}

/// Size of [`Stream`] in octets.
pub const STREAM_SIZE: usize = 40;
const _: () = assert!(size_of::<Stream>() == STREAM_SIZE);

/// What is known about a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Phase {
    /// No PDU was found yet.
    Unaligned = 0,
    /// [`Stream::next`] is known.
    Aligned = 1,
    /// [`Stream::next`] is known and octets from there on wait in the window.
    Waiting = 2,
    /// [`Stream::next`] is known, and octets behind it wait for those in front of them.
    Missing = 3,
    /// Octets wait in the window that may be the beginning of the first PDU seen of a connection.
    Guess = 4,
}

/// The first octets of a PDU, by sequence number modulo [`WINDOW`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Window {
    /// [`Stream::check`] of the owner.
    pub check: u64,
    /// Octet in the low half, its [`generation`] in the high half, 0 for none: old octets need no clearing.
    pub cells: [u16; WINDOW as usize],
}

/// Size of [`Window`] in octets.
pub const WINDOW_SIZE: usize = 8 + 2 * WINDOW as usize;
const _: () = assert!(size_of::<Window>() == WINDOW_SIZE);

impl Default for Window {
    fn default() -> Self {
        Window { check: 0, cells: [0; WINDOW as usize] }
    }
}

/// Mark of the octets around a sequence number, never 0.
#[inline(always)]
fn generation(seq: u32) -> u16 {
    0x8000 | ((seq >> 9) as u16 & 0x7F) << 8
}

/// Memory between frames; the kernel's maps, or vectors in user space.
pub trait Memory {
    /// Interface of the frame in hand.
    fn ifindex(&mut self) -> u32;
    /// State of a direction; `slot < STREAMS`.
    fn stream(&mut self, slot: u32) -> Option<&mut Stream>;
    /// A window; `slot < WINDOWS`.
    fn window(&mut self, slot: u32) -> Option<&mut Window>;
    /// Runs [`deposit`] on a window: a call of its own in the kernel, so that it is verified once.
    fn deposit<B: Bytes>(&mut self, b: B, f: &Frame, base: u32, slot: u32) -> u32;
    /// A word of the table of services; `slot < SERVICES`, see [`crate::service`].
    fn service(&mut self, slot: u32) -> Option<&mut u64>;
}

/// What comes next for a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Run the parsers of [`Walk::root`] on the frame.
    Walk,
    /// Run [`gather`].
    Gather,
    /// Run the parsers of [`Walk::root`] on the window.
    Joined,
    /// Count the frame.
    Count(Outcome),
}

/// Hash of one direction of a connection. Multiply and fold: no attacker gains more by a collision than being judged
/// frame by frame.
#[inline(always)]
fn hash(f: &Frame, ifindex: u32) -> u64 {
    let wide = |a: u32, b: u32| (a as u64) << 32 | b as u64;
    let ports = wide((f.sport as u32) << 16 | f.dport as u32, (f.vlan as u32) << 16 ^ ifindex);
    let mut h = (wide(f.src[3], f.dst[3]) ^ 0x9E37_79B9_7F4A_7C15).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    if f.src[0] | f.dst[0] != 0 {
        h = (h ^ h >> 32 ^ wide(f.src[0], f.dst[0])).wrapping_mul(0xC4CE_B9FE_1A85_EC53);
        h = (h ^ h >> 32 ^ wide(f.src[1], f.dst[1])).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
        h = (h ^ h >> 32 ^ wide(f.src[2], f.dst[2])).wrapping_mul(0xC4CE_B9FE_1A85_EC53);
    }
    h = (h ^ h >> 32 ^ ports).wrapping_mul(0xC4CE_B9FE_1A85_EC53);
    // Never 0, and bit 1 free for [`FRESH`].
    ((h ^ h >> 29) | 1) & !FRESH
}

#[inline(always)]
fn slot(check: u64) -> u32 {
    (check >> 16) as u32 & (STREAMS - 1)
}

/// Digest of a segment: of its first eight octets in the high half, of its last eight in the low half.
#[inline(always)]
fn digest<B: Bytes>(b: B, f: &Frame) -> u32 {
    let len = f.end - f.off;
    let (head, tail) = if len >= 8 {
        (b.be64(f.off).unwrap_or(0), b.be64(f.end - 8).unwrap_or(0))
    } else {
        let pair = b.be16(f.off).unwrap_or(0) as u64;
        let last = b.u8(f.end - 1).unwrap_or(0) as u64;
        (pair << 8 | last, if len >= 4 { b.be32(f.end - 4).unwrap_or(0) as u64 } else { 0 })
    };
    let fold = |x: u64| (x.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48) as u32;
    fold(head) << 16 | fold(tail)
}

/// Is `a` behind `b` in the sequence space?
#[inline(always)]
fn behind(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) > 0
}

#[inline(always)]
fn root(w: &Walk, phase: Phase) -> u32 {
    w.root as u32 | (w.hint as u32) << 8 | (phase as u32) << 16
}

impl Stream {
    #[inline(always)]
    fn remember(&mut self, f: &Frame, digest: u32) {
        self.last = f.seq;
        self.len = (f.end - f.off) as u16;
        self.digest = digest;
    }
    /// Begins the segment where the last one began, with other octets?
    #[inline(always)]
    fn differs(&self, f: &Frame, digest: u32) -> bool {
        let len = f.end - f.off;
        let heads = len >= 8 && self.len >= 8;
        let same = if len == self.len as u32 { self.digest == digest } else { !heads || (self.digest ^ digest) >> 16 == 0 };
        f.seq == self.last && !same
    }
    #[inline(always)]
    fn phase(&self) -> u32 {
        self.root >> 16
    }
    #[inline(always)]
    fn set_phase(&mut self, phase: Phase) {
        self.root = self.root & 0xFFFF | (phase as u32) << 16;
    }
    #[inline(always)]
    fn begin(&mut self, check: u64, seq: u32) {
        self.check = check;
        self.next = seq;
        self.seen = seq;
        self.hole = seq;
        self.hole_end = seq;
        self.root = 0;
        self.counted = 0;
        self.counted_hole = 0;
    }
}

/// A connection begins: its first octet has the sequence number behind the SYN (RFC 9293 cl. 3.4).
pub fn syn<E: Memory>(f: &Frame, w: &Walk, env: &mut E) {
    let check = hash(f, env.ifindex());
    if let Some(s) = env.stream(slot(check)) {
        let first = f.seq.wrapping_add(1);
        if s.check == check && s.seen == first {
            // The SYN once more.
            return;
        }
        s.begin(check, first);
        s.root = root(w, Phase::Aligned);
    }
}

/// Decides where the walk over a TCP segment starts. The candidate of the ports is in `w`.
#[inline(always)]
pub fn enter<B: Bytes, E: Memory>(b: B, f: &Frame, w: &mut Walk, env: &mut E) -> Next {
    w.mode = Mode::Alone as u32;
    if f.l4 != TCP || f.flags & flags::FRAGMENT != 0 {
        return Next::Walk;
    }
    let check = hash(f, env.ifindex());
    let slot = slot(check);
    let b = b.until(f.end);
    let Some(s) = env.stream(slot) else { return Next::Walk };
    w.stream = slot;
    w.mode = Mode::InOrder as u32;
    if s.check == check && s.next == f.seq && s.phase() == Phase::Aligned as u32 {
        s.remember(f, digest(b, f));
        resume(w, f.off, f, s.root);
        return Next::Walk;
    }
    if s.check != check {
        s.begin(check, f.seq);
        s.remember(f, digest(b, f));
        return Next::Walk;
    }
    unusual(b, f, w, s)
}

/// Everything but the next segment in order.
#[inline(always)]
fn unusual<B: Bytes>(b: B, f: &Frame, w: &mut Walk, s: &mut Stream) -> Next {
    let len = f.end - f.off;
    let end = f.seq.wrapping_add(len);
    let fresh = behind(end, s.seen);
    let now = digest(b, f);
    let other = s.differs(f, now);
    if fresh || f.seq != s.last {
        s.remember(f, now);
    }
    if s.phase() == Phase::Unaligned as u32 {
        return if fresh { Next::Walk } else { old(b, f, w, s, other) };
    }
    let ahead = s.next.wrapping_sub(f.seq);
    if (ahead as i32) < 0 {
        // What it goes on waits in the window.
        if s.phase() == Phase::Waiting as u32 && !behind(f.seq, s.seen) {
            return Next::Gather;
        }
        w.mode = Mode::Gap as u32;
        w.base = matches!(b.be64(f.off), Some(0)) as u32;
        resume(w, f.off, f, s.root);
        return Next::Walk;
    }
    if ahead < len {
        w.flags |= if behind(s.seen, f.seq) { flags::RETRANSMISSION } else { 0 };
        if s.phase() != Phase::Aligned as u32 {
            return Next::Gather;
        }
        let told = w.flags | if ahead != 0 { flags::CONTINUATION } else { 0 };
        resume(w, f.off + ahead, f, s.root);
        w.flags = told;
        return Next::Walk;
    }
    if fresh {
        s.seen = end;
        w.root = s.root as u8;
        w.flags |= flags::CONTINUATION;
        return Next::Count(Outcome::Continuation);
    }
    old(b, f, w, s, other)
}

/// Octets that were seen, or that fill the hole.
#[inline(always)]
fn old<B: Bytes>(b: B, f: &Frame, w: &mut Walk, s: &mut Stream, other: bool) -> Next {
    let end = f.seq.wrapping_add(f.end - f.off);
    if s.hole != s.hole_end && behind(s.hole_end, f.seq) && behind(end, s.hole) {
        w.mode = Mode::Fill as u32;
        if behind(s.hole, f.seq) || s.hole_end.wrapping_sub(s.hole) <= WINDOW || s.counted_hole != 0 {
            return Next::Gather;
        }
        w.base = matches!(b.be64(f.off), Some(0)) as u32;
        resume(w, f.off, f, s.root);
        return Next::Walk;
    }
    w.mode = if other { Mode::Conflict as u32 } else { Mode::Old as u32 };
    Next::Walk
}

/// Puts the walk at a PDU of a stream whose protocol is known.
#[inline(always)]
fn resume(w: &mut Walk, at: u32, f: &Frame, root: u32) {
    w.begin = at;
    w.end = f.end;
    start(w, at, root as u8, (root >> 8) as u8);
}

/// Books what a walk over the segment found.
#[inline(always)]
pub fn leave<E: Memory>(f: &Frame, w: &mut Walk, outcome: Outcome, env: &mut E) -> Next {
    if w.mode == Mode::Alone as u32 {
        return Next::Count(outcome);
    }
    if w.mode == Mode::InOrder as u32 && outcome == Outcome::Classified && w.tail == Tail::Whole as u32 {
        // The usual segment.
        if let Some(s) = env.stream(w.stream) {
            s.next = f.seq.wrapping_add(w.pdu_end - f.off);
            s.root = root(w, Phase::Aligned);
            let end = f.seq.wrapping_add(f.end - f.off);
            if behind(end, s.seen) {
                s.seen = end;
            }
        }
        return Next::Count(outcome);
    }
    rarely(f, w, outcome, env)
}

/// Octets of a header that may look like nothing at all while they are fewer: the longest header of a list protocol.
const HEAD: u32 = 24;

/// Octets of the shortest PDU that is sent again and again (IEC 104, S-format).
const SHORTEST: u32 = 6;

/// Are the refused octets too few to tell?
#[inline(always)]
fn short(w: &Walk) -> bool {
    w.tail == Tail::Refused as u32 && w.end - w.pdu_at < HEAD
}

/// The rest of [`leave`].
#[inline(always)]
fn rarely<E: Memory>(f: &Frame, w: &mut Walk, outcome: Outcome, env: &mut E) -> Next {
    if w.mode == Mode::Old as u32 {
        w.flags |= flags::RETRANSMISSION;
        return Next::Count(Outcome::Retransmission);
    }
    if w.mode == Mode::Conflict as u32 {
        w.flags |= flags::RETRANSMISSION | flags::OVERLAP;
        return Next::Count(outcome);
    }
    let Some(s) = env.stream(w.stream) else { return Next::Count(outcome) };
    let at = |off: u32| f.seq.wrapping_add(off - f.off);
    let end = at(f.end);
    let named = outcome == Outcome::Classified || outcome == Outcome::Unparsed;
    let gap = w.mode == Mode::Gap as u32;
    let fill = w.mode == Mode::Fill as u32;
    let expected = if fill { s.hole } else { s.next };
    let near = (gap || fill) && f.seq != expected && f.seq.wrapping_sub(expected) < WINDOW;
    // Close behind a PDU that is not whole, only PDUs that fill the segment exactly and do not begin like data (zeros)
    // are believed: it may be the PDU's rest. What is missing has to have room for a PDU. And one hole is all that is
    // remembered.
    let one = fill || s.hole == s.hole_end;
    let guess = s.phase() == Phase::Guess as u32;
    let room = guess || f.seq.wrapping_sub(expected) >= SHORTEST;
    let believed = !near || w.pdu_end == w.end && w.base == 0 && one && room;
    let whole = outcome == Outcome::Classified && w.tail == Tail::Whole as u32 && believed;
    let in_order = s.phase() == Phase::Aligned as u32 && !gap && !fill;
    let partial = named && (w.tail == Tail::Partial as u32 || in_order && short(w));
    let fresh = behind(end, s.seen);
    let (check, waited) = (s.check, s.phase() >= Phase::Waiting as u32);
    let known = s.phase() != Phase::Unaligned as u32 || w.pdus != 0;
    if fill && (whole || !near) {
        s.hole = if whole { at(w.pdu_end) } else { at(w.pdu_at) };
        if !behind(s.hole_end, s.hole) {
            s.hole = s.hole_end;
            return Next::Count(outcome);
        }
        if !partial {
            return Next::Count(outcome);
        }
    } else if whole {
        // A gap, and a PDU behind it: what is missing may still come.
        w.flags |= flags::GAP;
        s.hole = s.next;
        s.hole_end = f.seq;
        s.next = at(w.pdu_end);
        // Octets that came early may still wait behind it.
        let more = waited && behind(s.seen, s.next);
        s.root = root(w, if more { Phase::Missing } else { Phase::Aligned });
        if fresh {
            s.seen = end;
        }
        s.counted_hole = s.counted;
        s.counted = 0;
        if !waited {
            forget(check, env);
        }
        return Next::Count(outcome);
    } else if near {
        w.flags = flags::GAP;
        w.clear_ops();
        if gap && !waited {
            s.counted = 0;
            s.set_phase(Phase::Missing);
            if one {
                forget(check, env);
            }
        }
        return Next::Gather;
    } else if partial {
        if in_order && w.pdus == 0 {
            // Still what the connection spoke so far, or what its port says.
            w.root = s.root as u8;
            w.hint = (s.root >> 8) as u8;
        }
        s.next = at(w.pdu_at);
        s.root = root(w, if known { Phase::Waiting } else { Phase::Guess });
    } else {
        s.root = root(w, Phase::Unaligned);
        if fresh {
            s.seen = end;
        }
        return Next::Count(outcome);
    }
    let Some(s) = env.stream(w.stream) else { return Next::Count(outcome) };
    let counted = (w.n_ops - w.pdu_ops) as u8;
    if fill {
        s.counted_hole = counted;
    } else {
        s.counted = counted;
    }
    w.mode = if fill { Mode::KeepFill as u32 } else { Mode::Keep as u32 };
    if one && !fill {
        forget(check, env);
    }
    Next::Gather
}

/// Slot of the window that belongs to a direction.
#[inline(always)]
pub fn window_of(s: &Stream) -> u32 {
    window_slot(s.check)
}

#[inline(always)]
fn window_slot(check: u64) -> u32 {
    (check >> 40) as u32 & (WINDOWS - 1)
}

/// Makes the window forget the octets of an earlier piece.
#[inline(always)]
fn forget<E: Memory>(check: u64, env: &mut E) {
    if let Some(p) = env.window(window_slot(check))
        && p.check == check
    {
        p.check = 0;
    }
}

/// Puts the segment's octets into the window, and starts the walk over the window when the PDU's first octet is there.
pub fn gather<B: Bytes, E: Memory>(b: B, f: &Frame, w: &mut Walk, env: &mut E) -> Next {
    let end = f.seq.wrapping_add(f.end - f.off);
    let keep = w.mode == Mode::Keep as u32 || w.mode == Mode::KeepFill as u32;
    let fill = w.mode == Mode::Fill as u32 || w.mode == Mode::KeepFill as u32 || w.mode == Mode::WindowFill as u32;
    let again = w.mode == Mode::Window as u32 || w.mode == Mode::WindowFill as u32;
    let Some(s) = env.stream(w.stream) else { return Next::Count(Outcome::Unparsed) };
    if behind(end, s.seen) {
        s.seen = end;
    }
    let base = if fill { s.hole } else { s.next };
    let (check, state, room) = (s.check, s.root, s.hole_end.wrapping_sub(s.hole));
    let counted = if fill { s.counted_hole } else { s.counted };
    let slot = window_slot(check);
    let Some(p) = env.window(slot) else { return Next::Count(Outcome::Unparsed) };
    if p.check != check {
        // [`deposit`] clears it.
        p.check = check | FRESH;
    }
    let result = env.deposit(b, f, base, slot);
    let (mut have, differs) = (result & !DIFFERS, result & DIFFERS != 0);
    if fill && have > room {
        have = room;
    }
    if differs {
        w.flags |= flags::OVERLAP;
    }
    if !fill
        && !keep
        && let Some(s) = env.stream(w.stream)
        && (s.phase() == Phase::Waiting as u32 || s.phase() == Phase::Missing as u32)
    {
        s.set_phase(if have == 0 { Phase::Missing } else { Phase::Waiting });
    }
    if keep || have == 0 {
        // What was found is in the walk already.
        w.flags |= flags::SPLIT;
        let found = w.n_ops > w.skip;
        if !found {
            w.root = state as u8;
        }
        return Next::Count(if found { Outcome::Classified } else { Outcome::Continuation });
    }
    if !again {
        w.clear_ops();
        w.pdus = 0;
        w.skip = counted as u32;
    }
    w.begin = 0;
    w.end = have;
    w.base = base;
    w.mode = if fill { Mode::WindowFill as u32 } else { Mode::Window as u32 };
    start(w, 0, state as u8, (state >> 8) as u8);
    Next::Joined
}

/// Mark in a window's check: octets of an earlier piece are in it.
const FRESH: u64 = 2;
/// Mark in the result of [`deposit`]: two versions of an octet.
const DIFFERS: u32 = 1 << 31;

/// Copies what the segment has of the octets from `base` on; the first of two versions of an octet stays. Returns how
/// many octets are there without a hole, and [`DIFFERS`].
#[inline(always)]
pub fn deposit<B: Bytes>(b: B, f: &Frame, base: u32, p: &mut Window) -> u32 {
    if p.check & FRESH != 0 {
        p.check &= !FRESH;
        p.cells = [0; WINDOW as usize];
    }
    let b = b.until(f.end);
    // First octet that both have, and how many there are.
    let (seq, at) = if behind(base, f.seq) { (base, base.wrapping_sub(f.seq)) } else { (f.seq, 0) };
    let room = WINDOW.wrapping_sub(seq.wrapping_sub(base));
    let off = f.off + at;
    let mut differs = 0;
    for i in 0..WINDOW {
        if i >= room || off + i >= f.end {
            break;
        }
        let Some(octet) = b.u8(off + i) else { break };
        let index = b.index::<{ WINDOW - 1 }>(seq.wrapping_add(i));
        let (cell, mark) = (p.cells[index] as u32, generation(seq.wrapping_add(i)) as u32);
        // In arithmetic and not in branches: the verifier would follow each combination.
        let known = ((cell ^ mark) & 0xFF00).wrapping_sub(1) >> 31;
        differs |= known * ((cell ^ octet as u32) & 0xFF);
        p.cells[index] = (known * cell + (1 - known) * (mark | octet as u32)) as u16;
    }
    // Counted without a branch: the verifier would follow each possible number on its own.
    let (mut have, mut all) = (0, 1);
    for i in 0..WINDOW {
        let seq = base.wrapping_add(i);
        let cell = p.cells[b.index::<{ WINDOW - 1 }>(seq)];
        let miss = ((cell ^ generation(seq)) & 0xFF00) as u32;
        all &= miss.wrapping_sub(1) >> 31;
        have += all;
    }
    have | if differs != 0 { DIFFERS } else { 0 }
}

/// Books what the walk over the window found, and goes on in the frame when the next PDU begins there.
pub fn leave_window<E: Memory>(f: &Frame, w: &mut Walk, outcome: Outcome, env: &mut E) -> Next {
    let Some(s) = env.stream(w.stream) else { return Next::Count(outcome) };
    let fill = w.mode == Mode::WindowFill as u32;
    let (base, have) = (w.base, w.end);
    let named = outcome == Outcome::Classified || outcome == Outcome::Unparsed;
    if outcome == Outcome::Classified && w.tail == Tail::Whole as u32 {
        let next = base.wrapping_add(w.pdu_end);
        w.flags &= !flags::SPLIT;
        if fill {
            s.counted_hole = 0;
            s.hole = if behind(s.hole_end, next) { next } else { s.hole_end };
            return if s.hole == s.hole_end { Next::Count(outcome) } else { Next::Gather };
        }
        s.counted = 0;
        s.next = next;
        let into = next.wrapping_sub(f.seq);
        let len = f.end - f.off;
        if into < len {
            // The frame itself has the next PDU.
            s.set_phase(if behind(s.seen, f.seq.wrapping_add(len)) { Phase::Missing } else { Phase::Aligned });
        }
        if into < len && s.phase() == Phase::Aligned as u32 {
            let at = f.off + into;
            let (proto, hint) = (w.root, w.hint);
            w.begin = at;
            w.end = f.end;
            w.mode = Mode::InOrder as u32;
            start(w, at, proto, hint);
            return Next::Walk;
        }
        if behind(s.seen, next) {
            // Octets that came early may wait in the window.
            s.set_phase(Phase::Missing);
            return Next::Gather;
        }
        s.set_phase(Phase::Aligned);
        return Next::Count(outcome);
    }
    if named && (w.tail == Tail::Partial as u32 || short(w)) {
        let pdu = (w.n_ops - w.pdu_ops) as u8;
        let at = base.wrapping_add(w.pdu_at);
        let full = have - w.pdu_at >= WINDOW;
        // More of the PDU than is joined: what it holds behind is not known.
        let go_on = if full { base.wrapping_add(w.pdu_end) } else { at };
        let counted = if full { 0 } else { pdu };
        w.flags |= if full { flags::WALK_LIMIT } else { 0 };
        if fill {
            s.hole = if behind(s.hole_end, go_on) { go_on } else { s.hole_end };
            s.counted_hole = counted;
        } else {
            s.next = go_on;
            s.counted = counted;
            let lost = full && w.pdu_end <= w.pdu_at;
            s.set_phase(if lost {
                Phase::Unaligned
            } else if full {
                Phase::Aligned
            } else if s.phase() == Phase::Guess as u32 && w.pdus == 0 {
                Phase::Guess
            } else {
                Phase::Waiting
            });
        }
        return Next::Count(if w.n_ops > w.skip { Outcome::Classified } else { Outcome::Continuation });
    }
    // Not a PDU after all.
    if s.phase() == Phase::Guess as u32 && !fill {
        s.begin(s.check, f.seq);
        w.begin = f.off;
        w.end = f.end;
        w.clear();
        w.mode = Mode::InOrder as u32;
        let (proto, hint) = (w.root, w.hint);
        start(w, f.off, proto, hint);
        return Next::Walk;
    }
    if fill {
        s.hole = s.hole_end;
        s.counted_hole = 0;
    } else {
        s.counted = 0;
        s.set_phase(Phase::Unaligned);
    }
    Next::Count(if outcome == Outcome::NotOt { Outcome::Unparsed } else { outcome })
}

/// The window as octets from the PDU's first on, for parsers.
#[derive(Clone, Copy)]
pub struct Joined<'a> {
    window: &'a Window,
    base: u32,
    limit: u32,
}

impl<'a> Joined<'a> {
    /// The first `limit` octets behind the sequence number `base`.
    #[inline(always)]
    pub fn new(window: &'a Window, base: u32, limit: u32) -> Joined<'a> {
        Joined { window, base, limit }
    }
    #[inline(always)]
    fn octet(self, off: u32) -> u64 {
        let at = self.index::<{ WINDOW - 1 }>(self.base.wrapping_add(off));
        self.window.cells[at] as u64 & 0xFF
    }
    #[inline(always)]
    fn ends_in(self, off: u32, n: u64) -> bool {
        off as u64 + n <= self.limit as u64
    }
}

impl Bytes for Joined<'_> {
    #[inline(always)]
    fn u8(self, off: u32) -> Option<u8> {
        if self.ends_in(off, 1) { Some(self.octet(off) as u8) } else { None }
    }
    #[inline(always)]
    fn be16(self, off: u32) -> Option<u16> {
        if self.ends_in(off, 2) { Some((self.octet(off) << 8 | self.octet(off + 1)) as u16) } else { None }
    }
    #[inline(always)]
    fn be32(self, off: u32) -> Option<u32> {
        if !self.ends_in(off, 4) {
            return None;
        }
        Some(
            (self.octet(off) << 24 | self.octet(off + 1) << 16 | self.octet(off + 2) << 8 | self.octet(off + 3)) as u32,
        )
    }
    #[inline(always)]
    fn be64(self, off: u32) -> Option<u64> {
        let high = self.be32(off)?;
        let low = self.be32(off.wrapping_add(4))?;
        Some((high as u64) << 32 | low as u64)
    }
    #[inline(always)]
    fn len(self) -> u32 {
        self.limit
    }
    #[inline(always)]
    fn until(self, end: u32) -> Self {
        if end < self.limit { Joined { limit: end, ..self } } else { self }
    }
    #[inline(always)]
    fn index<const MASK: u32>(self, value: u32) -> usize {
        (value & MASK) as usize
    }
}
