//! Two interfaces as one wire: frames that come in on one go out on the other, and so does the loss of the link.
//!
//! When one side loses its carrier, the other is set down, so that the device behind it notices; when the carrier is back,
//! it is set up again. A side that was set down has no carrier of its own that could be mirrored.

use std::time::Duration;

/// State of one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Side {
    /// Set up by the administrator.
    pub up: bool,
    /// The carrier is there.
    pub carrier: bool,
}

/// What to do with a side: `.0` is 0 for the first and 1 for the second, `.1` is true to set it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn(pub usize, pub bool);

/// How long a link that was set up may take to find its carrier: auto-negotiation needs seconds.
pub const PATIENCE: Duration = Duration::from_secs(8);

/// What the mirror of a pair remembers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mirror {
    /// The side that was set down because of the other one.
    held: Option<usize>,
    /// Until when the carrier of each side is waited for, as time since any beginning.
    awaited: [Option<Duration>; 2],
}

impl Mirror {
    /// A mirror of two sides that have just been set up.
    pub fn new(now: Duration) -> Mirror {
        Mirror { held: None, awaited: [Some(now + PATIENCE); 2] }
    }

    /// After a change of either side, or when [`Mirror::waits`].
    pub fn step(&mut self, now: Duration, sides: [Side; 2]) -> Option<Turn> {
        for (side, until) in sides.iter().zip(&mut self.awaited) {
            if side.carrier || until.is_some_and(|u| now >= u) {
                *until = None;
            }
        }
        let [first, second] = sides;
        match self.held {
            Some(held) => {
                let other = if held == 0 { second } else { first };
                if !other.carrier {
                    return None;
                }
                self.held = None;
                if let Some(until) = self.awaited.get_mut(held) {
                    *until = Some(now + PATIENCE);
                }
                Some(Turn(held, true))
            }
            None => {
                let [a, b] = self.awaited;
                let held = if !first.carrier && a.is_none() && second.up {
                    1
                } else if !second.carrier && b.is_none() && first.up {
                    0
                } else {
                    return None;
                };
                self.held = Some(held);
                Some(Turn(held, false))
            }
        }
    }

    /// Is there a carrier to wait for, so that time alone may change something?
    pub fn waits(&self) -> bool {
        self.awaited.iter().any(Option::is_some)
    }

    /// The side that is down because of the other one.
    pub fn held(&self) -> Option<usize> {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ON: Side = Side { up: true, carrier: true };
    const CUT: Side = Side { up: true, carrier: false };
    const DOWN: Side = Side { up: false, carrier: false };

    const NOW: Duration = Duration::from_secs(100);

    #[test]
    fn a_lost_link_is_mirrored_and_comes_back() {
        for lost in [0, 1] {
            let sides = |one: Side, other: Side| if lost == 0 { [one, other] } else { [other, one] };
            let mut m = Mirror::default();
            assert_eq!(m.step(NOW, [ON, ON]), None);
            assert_eq!(m.step(NOW, sides(CUT, ON)), Some(Turn(1 - lost, false)));
            assert_eq!(m.step(NOW, sides(CUT, DOWN)), None, "the side that was set down is not mirrored");
            assert_eq!(m.step(NOW, sides(ON, DOWN)), Some(Turn(1 - lost, true)));
            assert_eq!(m.step(NOW, sides(ON, CUT)), None, "its carrier takes a while");
            assert_eq!(m.step(NOW, [ON, ON]), None);
            assert!(!m.waits());
        }
    }

    #[test]
    fn a_link_that_stays_away_is_mirrored_after_a_while() {
        let mut m = Mirror::new(NOW);
        assert_eq!(m.step(NOW, [ON, CUT]), None);
        assert!(m.waits());
        assert_eq!(m.step(NOW + PATIENCE, [ON, CUT]), Some(Turn(0, false)));
        assert_eq!(m.step(NOW + PATIENCE, [DOWN, ON]), Some(Turn(0, true)));
        assert_eq!(m.step(NOW + PATIENCE, [ON, ON]), None);
    }

    #[test]
    fn two_lost_links_come_back_one_after_the_other() {
        let mut m = Mirror::default();
        assert_eq!(m.step(NOW, [CUT, CUT]), Some(Turn(1, false)));
        assert_eq!(m.step(NOW, [ON, DOWN]), Some(Turn(1, true)));
        assert_eq!(m.step(NOW, [ON, CUT]), None);
        assert_eq!(m.step(NOW + PATIENCE, [ON, CUT]), Some(Turn(0, false)));
        assert_eq!(m.step(NOW + PATIENCE, [DOWN, ON]), Some(Turn(0, true)));
    }

    #[test]
    fn a_side_that_an_operator_sets_down_is_a_lost_link() {
        let mut m = Mirror::default();
        assert_eq!(m.step(NOW, [DOWN, ON]), Some(Turn(1, false)));
        assert_eq!(m.step(NOW, [DOWN, DOWN]), None);
        assert_eq!(m.step(NOW, [ON, DOWN]), Some(Turn(1, true)));
    }
}
