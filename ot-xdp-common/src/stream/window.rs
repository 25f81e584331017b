//! The window: the first octets of a PDU that came in pieces, and the walk over them.

use super::leave::short;
use super::{Memory, Next, Phase, Stream, WINDOW, WINDOWS, behind};
use crate::bytes::Bytes;
use crate::flags;
use crate::frame::Frame;
use crate::limits::PDUS;
use crate::proto;
use crate::reason::Outcome;
use crate::walk::{Mode, Tail, Walk, start};

/// The first octets of a PDU, by sequence number modulo [`WINDOW`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Window {
    /// [`Stream::check`] of the owner.
    pub check: u64,
    /// Octets from the PDU's first on that are there without a hole, after the last [`deposit`].
    pub have: u32,
    /// Not 0 when that [`deposit`] met an octet that was there with another value.
    pub differs: u32,
    /// Octet in the low half, its [`generation`] in the high half, 0 for none: old octets need no clearing.
    pub cells: [u16; WINDOW as usize],
}

/// Size of [`Window`] in octets.
pub const WINDOW_SIZE: usize = 16 + 2 * WINDOW as usize;
const _: () = assert!(size_of::<Window>() == WINDOW_SIZE);

impl Default for Window {
    fn default() -> Self {
        Window { check: 0, have: 0, differs: 0, cells: [0; WINDOW as usize] }
    }
}

/// Mark of the octets around a sequence number, never 0.
#[inline(always)]
fn generation(seq: u32) -> u16 {
    0x8000 | ((seq >> 9) as u16 & 0x7F) << 8
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
pub(super) fn forget<E: Memory>(check: u64, env: &mut E) {
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
    let waiting = s.phase() == Phase::Waiting as u32 && !keep && !again && !fill;
    let slot = window_slot(check);
    let Some(p) = env.window(slot) else { return Next::Count(Outcome::Unparsed) };
    if p.check != check {
        if waiting {
            // Another connection has taken the window: the beginning of the PDU is lost.
            if let Some(s) = env.stream(w.stream) {
                s.set_phase(Phase::Unaligned);
            }
            w.root = state as u8;
            return Next::Count(Outcome::Unparsed);
        }
        // [`deposit`] clears it.
        p.check = check | FRESH;
    }
    env.deposit(b, f, base, slot);
    let Some(p) = env.window(slot) else { return Next::Count(Outcome::Unparsed) };
    let mut have = p.have;
    if fill && have > room {
        have = room;
    }
    if p.differs != 0 {
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
pub(super) const FRESH: u64 = 2;

/// Copies what the segment has of the octets from `base` on; the first of two versions of an octet stays. Results go to
/// [`Window::have`] and [`Window::differs`]: in memory, because the verifier would go on with each possible number.
#[inline(always)]
pub fn deposit<B: Bytes>(b: B, f: &Frame, base: u32, p: &mut Window) {
    if p.check & FRESH != 0 {
        p.check &= !FRESH;
        p.cells = [0; WINDOW as usize];
    }
    let b = b.until(f.end);
    // First octet that both have, and how many there are.
    let (seq, at) = if behind(base, f.seq) { (base, base.wrapping_sub(f.seq)) } else { (f.seq, 0) };
    let (seq, off) = (b.forget(seq), b.forget(f.off + at));
    let room = b.forget(WINDOW.wrapping_sub(seq.wrapping_sub(base)));
    p.differs = 0;
    for i in 0..WINDOW {
        if i >= room || off + i >= f.end {
            break;
        }
        let Some(octet) = b.u8(off + i) else { break };
        let index = b.index::<{ WINDOW - 1 }>(seq.wrapping_add(i));
        let (cell, mark) = (p.cells[index] as u32, generation(seq.wrapping_add(i)) as u32);
        // In arithmetic and not in branches: the verifier would follow each combination.
        let known = b.forget((((cell ^ mark) & 0xFF00).wrapping_sub(1) as i32 >> 31) as u32);
        p.differs |= known & (cell ^ octet as u32) & 0xFF;
        p.cells[index] = (known & cell | !known & (mark | octet as u32)) as u16;
    }
    p.have = 0;
    for i in 0..WINDOW {
        let seq = base.wrapping_add(i);
        if (p.cells[b.index::<{ WINDOW - 1 }>(seq)] ^ generation(seq)) & 0xFF00 != 0 {
            break;
        }
        p.have = i + 1;
    }
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
        s.root = s.root & !0xFF | w.root as u32;
        let into = next.wrapping_sub(f.seq);
        let len = f.end - f.off;
        if into < len {
            // The frame itself has the next PDU.
            s.set_phase(if behind(s.seen, f.seq.wrapping_add(len)) { Phase::Missing } else { Phase::Aligned });
        }
        if into < len && s.phase() == Phase::Aligned as u32 {
            if w.pdus >= PDUS {
                w.flags |= flags::WALK_LIMIT;
                s.set_phase(Phase::Unaligned);
                return Next::Count(outcome);
            }
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
            s.root = s.root & !0xFF | w.root as u32;
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
    let other = proto::sharing(w.root);
    if w.tail == Tail::Refused as u32 && w.pdus == 0 && other != 0 {
        // Not of this protocol: of the next one that shares its port?
        let (hint, skip) = (w.hint, w.skip);
        w.clear_ops();
        w.skip = skip;
        start(w, 0, other, hint);
        return Next::Joined;
    }
    // Not a PDU after all.
    if !fill {
        // The frame may begin one.
        s.begin(s.check, f.seq);
        w.begin = f.off;
        w.end = f.end;
        w.clear();
        w.mode = Mode::InOrder as u32;
        let (proto, hint) = (w.root, w.hint);
        start(w, f.off, proto, hint);
        return Next::Walk;
    }
    s.hole = s.hole_end;
    s.counted_hole = 0;
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
