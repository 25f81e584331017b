//! The largest pause between two operations of a key, in the two last epochs.
//!
//! Eight octets a key and CPU: two slots of 32 bits, for even and odd epochs of 2^34 ns (17.2 s). A slot holds 8 bits of its
//! epoch's number and 24 bits of the largest gap that ended in it, in units of 2^20 ns. The kernel rolls the slots, user space
//! only reads: there is no reset and no race. An epoch is longer than the ten seconds between two looks, so that none is
//! overwritten between them.

/// Right shift from nanoseconds to epochs.
pub const EPOCH_SHIFT: u32 = 34;
/// Right shift from nanoseconds to units of a gap.
const UNIT_SHIFT: u32 = 20;
const GAP: u32 = 0xFF_FFFF;
/// Stands for a gap that was not measured: another CPU saw operations within it.
const NOT_MEASURED: u32 = GAP;

/// Two slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Gaps(pub u64);

impl Gaps {
    /// A gap ended at `now_ns`.
    #[inline(always)]
    pub fn record(&mut self, now_ns: u64, gap_ns: u64) {
        let epoch = now_ns >> EPOCH_SHIFT;
        let shift = ((epoch & 1) * 32) as u32;
        let tag = ((epoch >> 1) & 0xFF) as u32;
        let units = gap_ns >> UNIT_SHIFT;
        let units = if units >= NOT_MEASURED as u64 { NOT_MEASURED - 1 } else { units as u32 };
        let new = tag << 24 | units;
        let old = (self.0 >> shift) as u32;
        // The same epoch's larger gap stands; a slot of another epoch is overwritten.
        if old >> 24 != tag || old < new {
            self.0 = self.0 & !(0xFFFF_FFFF << shift) | (new as u64) << shift;
        }
    }

    fn slot(self, epoch: u64) -> u32 {
        (self.0 >> ((epoch & 1) * 32)) as u32
    }

    /// Largest gap that ended in this epoch, nanoseconds; none when there was none, or when it was not measured.
    pub fn in_epoch(self, epoch: u64) -> Option<u64> {
        let slot = self.slot(epoch);
        (slot >> 24 == tag(epoch) && slot & GAP != NOT_MEASURED).then_some(u64::from(slot & GAP) << UNIT_SHIFT)
    }

    /// Joins the slots of two CPUs; `a` and `b` are the times of the first and the last operation on each. A gap is only one
    /// when the other CPU saw nothing within it.
    pub fn merge(self, a: (u64, u64), other: Gaps, b: (u64, u64)) -> Gaps {
        let mut out = Gaps::default();
        for parity in 0..2 {
            let mine = self.judged(parity, a.1, b);
            let theirs = other.judged(parity, b.1, a);
            let newest = match (mine, theirs) {
                (Some(x), Some(y)) if x.0 == y.0 => (x.0, x.1.max(y.1)),
                (Some(x), Some(y)) => x.max(y),
                (Some(x), None) | (None, Some(x)) => x,
                (None, None) => continue,
            };
            out.0 |= u64::from(tag(newest.0) << 24 | newest.1) << (parity * 32);
        }
        out
    }

    /// Epoch and gap of a slot, the gap as not measured when the other CPU was active within it.
    fn judged(self, parity: u64, last_ns: u64, other: (u64, u64)) -> Option<(u64, u32)> {
        let newest = last_ns >> EPOCH_SHIFT;
        let epoch = if newest & 1 == parity { newest } else { newest.checked_sub(1)? };
        let slot = self.slot(epoch);
        if slot >> 24 != tag(epoch) {
            return None;
        }
        let gap = slot & GAP;
        let begin = (epoch << EPOCH_SHIFT).saturating_sub(u64::from(gap) << UNIT_SHIFT);
        let end = (epoch + 1) << EPOCH_SHIFT;
        let touched = other.0 < end && other.1 >= begin;
        Some((epoch, if touched { NOT_MEASURED } else { gap }))
    }
}

fn tag(epoch: u64) -> u32 {
    ((epoch >> 1) & 0xFF) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn the_largest_gap_of_an_epoch_is_kept() {
        let mut g = Gaps::default();
        let at = 100 << EPOCH_SHIFT;
        for (t, gap) in [(S, S), (2 * S, 5 * S), (3 * S, S)] {
            g.record(at + t, gap);
        }
        let found = g.in_epoch(100).unwrap();
        assert!(found.abs_diff(5 * S) < 1 << UNIT_SHIFT, "{found}");
        assert_eq!(g.in_epoch(101), None);
        g.record(at + (1 << EPOCH_SHIFT), 2 * S);
        g.record(at + (2 << EPOCH_SHIFT), 3 * S);
        assert_eq!(g.in_epoch(100), None, "rolled over");
        assert!(g.in_epoch(101).is_some() && g.in_epoch(102).is_some());
    }

    #[test]
    fn a_gap_beyond_the_range_is_the_largest_one() {
        let mut g = Gaps::default();
        g.record(7 << EPOCH_SHIFT, u64::MAX >> 1);
        assert_eq!(g.in_epoch(7), Some(u64::from(NOT_MEASURED - 1) << UNIT_SHIFT));
    }

    #[test]
    fn a_flow_that_moves_has_no_gap_on_the_cpu_that_it_left() {
        // Every 20 ms; on CPU 0 up to second 50, on CPU 1 for a second, and back.
        let base = 500 << EPOCH_SHIFT;
        let (mut a, mut b) = ((Gaps::default(), 0, 0), (Gaps::default(), 0, 0));
        let mut t = base;
        while t < base + 60 * S {
            let cpu = if (50 * S..51 * S).contains(&(t - base)) { &mut b } else { &mut a };
            if cpu.1 == 0 {
                cpu.1 = t;
            } else {
                cpu.0.record(t, t - cpu.2);
            }
            cpu.2 = t;
            t += 20_000_000;
        }
        let epoch = (base + 51 * S) >> EPOCH_SHIFT;
        assert!(a.0.in_epoch(epoch).unwrap() > S, "alone it is wrong");
        assert_eq!(a.0.merge((a.1, a.2), b.0, (b.1, b.2)).in_epoch(epoch), None);
        assert_eq!(b.0.merge((b.1, b.2), a.0, (a.1, a.2)).in_epoch(epoch), None, "whatever the order");
    }

    #[test]
    fn a_cpu_that_was_used_long_ago_disturbs_nothing() {
        let at = 900 << EPOCH_SHIFT;
        let mut g = Gaps::default();
        g.record(at, 2 * S);
        let old = (Gaps::default(), at - 500 * S, at - 400 * S);
        assert!(g.merge((at - 300 * S, at), old.0, (old.1, old.2)).in_epoch(900).is_some());
    }
}
