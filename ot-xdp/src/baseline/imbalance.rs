//! One conversation against its usual shares of answers and errors.

use super::balance::{Asked, BalanceHabit, LEAST, Minute, Shares};
use super::habit::Look;

/// A share is told in this many of the last five windows.
const AGREE: u32 = 3;

/// Which share is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Off {
    /// Questions without an answer.
    Unanswered,
    /// Answers without a question.
    Unasked,
    /// Errors.
    Exceptions,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Imbalance {
    /// Which share.
    pub off: Off,
    /// The share in the last window.
    pub share: f32,
    /// Learned share.
    pub learned: f32,
    /// From where on it is told.
    pub threshold: f32,
    /// Over, not begun.
    pub over: bool,
}

/// What judging a conversation remembers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BalanceState {
    minute: Minute,
    /// The last five windows of each share, a bit a window.
    bits: [u8; 3],
    told: [bool; 3],
}

impl BalanceState {
    /// The sensor was away.
    pub fn restart(&mut self) {
        *self = BalanceState { told: self.told, ..BalanceState::default() };
    }

    /// Learns a look.
    pub fn learn(&mut self, habit: &mut BalanceHabit, look: &Look, a: &Asked) {
        if let Some(window) = self.minute.add(look, a) {
            habit.learn(&window);
        }
    }

    /// Judges a look.
    pub fn look(&mut self, habit: &BalanceHabit, look: &Look, a: &Asked, out: &mut Vec<Imbalance>) {
        let Some(window) = self.minute.add(look, a) else { return };
        if window.requests < LEAST && window.answers < LEAST {
            return;
        }
        let (now, learned) = (Shares::of(&window), habit.shares());
        let rows = [
            (Off::Unanswered, now.unanswered, learned.unanswered, habit.most_unanswered),
            (Off::Unasked, now.unasked, learned.unasked, habit.most_unasked),
            (Off::Exceptions, now.exceptions, learned.exceptions, habit.most_exceptions),
        ];
        for (i, (off, share, learned, most)) in rows.into_iter().enumerate() {
            let (Some(bits), Some(told)) = (self.bits.get_mut(i), self.told.get_mut(i)) else { continue };
            let threshold = (learned + 0.05).max(3.0 * learned).max(1.25 * most);
            *bits = (*bits << 1 | u8::from(share > threshold)) & 0x1F;
            let agree = bits.count_ones() >= AGREE;
            if agree && !*told {
                *told = true;
                out.push(Imbalance { off, share, learned, threshold, over: false });
            } else if *bits == 0 && *told {
                *told = false;
                out.push(Imbalance { off, share, learned, threshold, over: true });
            }
        }
    }
}
