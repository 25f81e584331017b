//! What the walk over a segment means for its connection.

use super::window::forget;
use super::{Memory, Next, Phase, WINDOW, behind, root};
use crate::flags;
use crate::frame::Frame;
use crate::reason::Outcome;
use crate::walk::{Hint, Mode, Tail, Walk};

/// Books what a walk over the segment found. False when it was not the usual segment: call [`rarely`].
#[inline(always)]
pub fn leave<E: Memory>(f: &Frame, w: &mut Walk, outcome: Outcome, env: &mut E) -> bool {
    if w.mode == Mode::Alone as u32 {
        return true;
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
        return true;
    }
    false
}

/// Octets that may look like nothing at all while they are fewer, and be a header nevertheless.
const HEAD: u32 = 4;

/// Octets of the shortest PDU that is sent again and again (IEC 104, S-format).
const SHORTEST: u32 = 6;

/// Are the refused octets too few to tell?
#[inline(always)]
pub(super) fn short(w: &Walk) -> bool {
    w.tail == Tail::Refused as u32 && w.end - w.pdu_at < HEAD
}

/// Books a segment that is not the usual one, and says what comes next.
#[inline(always)]
pub fn rarely<E: Memory>(f: &Frame, w: &mut Walk, outcome: Outcome, env: &mut E) -> Next {
    if w.mode == Mode::Old as u32 || w.mode == Mode::Again as u32 {
        w.flags |= flags::RETRANSMISSION;
        if w.mode == Mode::Old as u32 {
            w.flags |= flags::UNCOMPARED;
        }
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
    // are believed: it may be the PDU's rest. And what is missing has to have room for a PDU.
    let one = !s.holed();
    let guess = s.phase() == Phase::Guess as u32;
    let room = guess || f.seq.wrapping_sub(expected) >= SHORTEST;
    let believed = !near || w.pdu_end == w.end && w.base == 0 && room;
    let whole = outcome == Outcome::Classified && w.tail == Tail::Whole as u32 && believed;
    let in_order = s.phase() == Phase::Aligned as u32 && !gap && !fill;
    let partial = named && (w.tail == Tail::Partial as u32 || in_order && short(w));
    let fresh = behind(end, s.seen);
    // On the port of a protocol that refused, half a header of another one is no reason to wait for its rest: these are
    // octets from the middle of a PDU.
    let elsewhere = w.hint == Hint::Content as u8 && s.phase() == Phase::Unaligned as u32;
    if elsewhere && w.tail == Tail::Partial as u32 && w.pdus == 0 {
        if fresh {
            s.seen = end;
        }
        w.flags = 0;
        w.clear_ops();
        return Next::Count(Outcome::Unparsed);
    }
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
        let from = s.next;
        s.jump(from, f.seq);
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
        if in_order && w.pdus == 0 && w.tail == Tail::Refused as u32 {
            // Still what the connection spoke so far, or what its port says.
            w.root = s.root as u8;
            w.hint = (s.root >> 8) as u8;
        }
        s.next = at(w.pdu_at);
        s.root = root(w, if known { Phase::Waiting } else { Phase::Guess });
    } else {
        if s.root as u8 == 0 || outcome == Outcome::Malformed {
            s.root = root(w, Phase::Unaligned);
        }
        // Otherwise what the connection spoke so far: the last candidate refused.
        s.set_phase(Phase::Unaligned);
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
