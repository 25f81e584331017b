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
use crate::walk::{Mode, Walk, start};

mod leave;
mod window;
pub use leave::{leave, rarely};
use window::FRESH;
pub use window::{Joined, WINDOW_SIZE, Window, deposit, gather, leave_window, window_of};

/// Directions of connections that are remembered; the slot is a hash of the addresses and ports.
pub const STREAMS: u32 = 32_768;
/// Windows for PDUs that came in pieces, shared by all connections.
pub const WINDOWS: u32 = 1_024;
/// Octets of a PDU that are joined.
pub const WINDOW: u32 = 512;

/// Holes that are remembered besides the first.
pub const HOLES: usize = 3;

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
    /// Further holes, start and end, the youngest first.
    pub holes: [[u32; 2]; HOLES],
}

/// Size of [`Stream`] in octets.
pub const STREAM_SIZE: usize = 40 + 8 * HOLES;
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

/// Memory between frames; the kernel's maps, or vectors in user space.
pub trait Memory {
    /// Interface of the frame in hand.
    fn ifindex(&mut self) -> u32;
    /// State of a direction; `slot < STREAMS`.
    fn stream(&mut self, slot: u32) -> Option<&mut Stream>;
    /// A window; `slot < WINDOWS`.
    fn window(&mut self, slot: u32) -> Option<&mut Window>;
    /// Runs [`deposit`] on a window: a call of its own in the kernel, so that it is verified once.
    fn deposit<B: Bytes>(&mut self, b: B, f: &Frame, base: u32, slot: u32);
    /// A word of the table of services; `slot < SERVICES`, see [`crate::service`].
    fn service(&mut self, slot: u32) -> Option<&mut u64>;
}

/// What comes next for a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Run the parsers of [`Walk::root`] on the frame.
    Walk,
    /// Run [`enter_unusual`].
    Enter,
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

/// Identity of a direction of a connection, for tables beside this one, and its slot.
#[inline(always)]
pub fn direction(f: &Frame, ifindex: u32) -> (u64, u32) {
    let check = hash(f, ifindex);
    (check, slot(check))
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
    /// Is the segment the last one, octet for octet as far as the digest tells?
    #[inline(always)]
    fn repeats(&self, f: &Frame, digest: u32) -> bool {
        f.seq == self.last && f.end - f.off == self.len as u32 && digest == self.digest
    }
    /// Begins the segment where the last one began, with other octets?
    #[inline(always)]
    fn differs(&self, f: &Frame, digest: u32) -> bool {
        let len = f.end - f.off;
        let heads = len >= 8 && self.len >= 8;
        let same =
            if len == self.len as u32 { self.digest == digest } else { !heads || (self.digest ^ digest) >> 16 == 0 };
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
        self.holes = [[seq; 2]; HOLES];
    }

    /// Are there octets that were jumped over?
    #[inline(always)]
    fn holed(&self) -> bool {
        let more = (self.holes[0][0] ^ self.holes[0][1])
            | (self.holes[1][0] ^ self.holes[1][1])
            | (self.holes[2][0] ^ self.holes[2][1]);
        (self.hole ^ self.hole_end) | more != 0
    }

    /// A new hole is the first one; the oldest is forgotten.
    #[inline(always)]
    fn jump(&mut self, from: u32, to: u32) {
        if self.hole != self.hole_end {
            self.holes[2] = self.holes[1];
            self.holes[1] = self.holes[0];
            self.holes[0] = [self.hole, self.hole_end];
        }
        self.hole = from;
        self.hole_end = to;
    }

    /// Does the segment from `seq` to `end` hold octets of a hole? That hole is the first one then.
    #[inline(always)]
    fn fills(&mut self, seq: u32, end: u32) -> bool {
        let meets = |h: [u32; 2]| h[0] != h[1] && behind(h[1], seq) && behind(end, h[0]);
        let first = [self.hole, self.hole_end];
        if meets(first) {
            return true;
        }
        if self.counted_hole != 0 {
            return false;
        }
        let i = if meets(self.holes[0]) {
            0
        } else if meets(self.holes[1]) {
            1
        } else if meets(self.holes[2]) {
            2
        } else {
            return false;
        };
        let found = self.holes[i];
        self.holes[i] = first;
        self.hole = found[0];
        self.hole_end = found[1];
        true
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
        if s.root as u8 != w.root {
            resume(w, f.off, f, s.root);
        }
        return Next::Walk;
    }
    if s.check != check {
        s.begin(check, f.seq);
        s.remember(f, digest(b, f));
        return Next::Walk;
    }
    Next::Enter
}

/// Everything but the next segment in order, of the connection that [`enter`] found.
#[inline(always)]
pub fn enter_unusual<B: Bytes, E: Memory>(b: B, f: &Frame, w: &mut Walk, env: &mut E) -> Next {
    let b = b.until(f.end);
    let Some(s) = env.stream(w.stream) else { return Next::Walk };
    let len = f.end - f.off;
    let end = f.seq.wrapping_add(len);
    let fresh = behind(end, s.seen);
    let now = digest(b, f);
    let repeat = if s.repeats(f, now) {
        Mode::Again
    } else if s.differs(f, now) {
        Mode::Conflict
    } else {
        Mode::Old
    };
    if fresh || f.seq != s.last {
        s.remember(f, now);
    }
    if s.phase() == Phase::Unaligned as u32 {
        return if fresh { Next::Walk } else { old(b, f, w, s, repeat) };
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
        w.flags |= if behind(s.seen, f.seq) { flags::RETRANSMISSION | flags::UNCOMPARED } else { 0 };
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
    old(b, f, w, s, repeat)
}

/// Octets that were seen, or that fill the hole.
#[inline(always)]
fn old<B: Bytes>(b: B, f: &Frame, w: &mut Walk, s: &mut Stream, repeat: Mode) -> Next {
    let end = f.seq.wrapping_add(f.end - f.off);
    if s.fills(f.seq, end) {
        w.mode = Mode::Fill as u32;
        if behind(s.hole, f.seq) || s.hole_end.wrapping_sub(s.hole) <= WINDOW || s.counted_hole != 0 {
            return Next::Gather;
        }
        w.base = matches!(b.be64(f.off), Some(0)) as u32;
        resume(w, f.off, f, s.root);
        return Next::Walk;
    }
    w.mode = repeat as u32;
    Next::Walk
}

/// Puts the walk at a PDU of a stream whose protocol is known.
#[inline(always)]
fn resume(w: &mut Walk, at: u32, f: &Frame, root: u32) {
    w.begin = at;
    w.end = f.end;
    start(w, at, root as u8, (root >> 8) as u8);
}
