//! Shares of functions in a polling cycle, and sides of conversations: what only several windows of looks together show.

use crate::baseline::model::{Op, OpKey, Talk};

/// Time over which shares are compared, nanoseconds.
pub const WINDOW_NS: u64 = 300 * 1_000_000_000;
/// Questions of a window whose shares mean something.
const ENOUGH: u32 = 60;
/// Learned questions that shares rest on.
const KNOWN: u64 = 1_000;
/// A share that moved by less is no change of a cycle.
const MOVED: f64 = 0.05;
/// Normal quantile of one in a million.
const Z: f64 = 4.753;

/// Shares that do not fit.
#[derive(Clone, Debug, PartialEq)]
pub struct Mix {
    /// Statistic of the test (G).
    pub statistic: f64,
    /// From where on it is told.
    pub threshold: f64,
    /// The operation whose share moved most, its learned and its present share.
    pub moved: (OpKey, f64, f64),
}

/// Quantile of the chi-square distribution at one in a million (Wilson and Hilferty).
fn quantile(freedom: f64) -> f64 {
    let a = 2.0 / (9.0 * freedom);
    freedom * (1.0 - a + Z * a.sqrt()).powi(3)
}

/// Compares a window of a cyclic conversation with what was learned: questions of the client only.
pub fn compare(talk: &Talk) -> Option<Mix> {
    let asks: Vec<(&OpKey, &Op)> =
        talk.ops.iter().filter(|(k, op)| k.from_client && op.mark.status.is_normal()).collect();
    // A cycle has a steady rate; what people do has changing shares.
    let cyclic = asks.iter().filter(|(_, op)| op.habit.is_some_and(|h| h.rate)).count();
    let known: u64 = asks.iter().map(|(_, op)| learned(op)).sum();
    let now: u32 = asks.iter().map(|(_, op)| op.mix).sum();
    if asks.len() < 2 || cyclic * 2 < asks.len() || known < KNOWN || now < ENOUGH {
        return None;
    }
    let mut statistic = 0.0;
    let mut moved: Option<(OpKey, f64, f64)> = None;
    for (key, op) in &asks {
        let (p, o) = (learned(op) as f64 / known as f64, f64::from(op.mix));
        let share = o / f64::from(now);
        if o > 0.0 {
            // An operation that was learned but hardly ever seen must not decide.
            statistic += 2.0 * o * (o / (f64::from(now) * p.max(1e-4))).ln();
        }
        if moved.is_none_or(|(_, a, b): (OpKey, f64, f64)| (share - p).abs() > (b - a).abs()) {
            moved = Some((**key, p, share));
        }
    }
    let threshold = quantile((asks.len() - 1) as f64);
    let moved = moved.filter(|(_, a, b)| (b - a).abs() >= MOVED)?;
    (statistic > threshold).then_some(Mix { statistic, threshold, moved })
}

/// Operations in learning.
fn learned(op: &Op) -> u64 {
    op.habit.map_or(0, |h| u64::from(h.n))
}

/// Operations of a window in which a side must show.
const SIDES: u32 = 20;

/// Conversations of a window that show both sides, and one only; of those that the baseline knows with both, or of all when
/// it is not known yet.
pub fn sides<'a>(talks: impl Iterator<Item = (&'a crate::baseline::TalkKey, &'a Talk)>, judging: bool) -> (u32, u32) {
    let (mut both, mut one) = (0, 0);
    for (key, talk) in talks {
        let (sent, received) = talk.sides;
        if key.l4 != ot_xdp_common::frame::TCP || sent + received < SIDES {
            continue;
        }
        let known_both = talk.ops.keys().any(|k| k.from_client) && talk.ops.keys().any(|k| !k.from_client);
        if judging && !known_both {
            continue;
        }
        if sent.min(received) == 0 { one += 1 } else { both += 1 }
    }
    (both, one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::habit::Habit;
    use crate::baseline::{Mark, Status, TalkKey};
    use ot_xdp_common::op::Dir;

    fn talk(learned: &[u32], now: &[u32]) -> Talk {
        let mut talk = Talk::default();
        for (i, (n, mix)) in learned.iter().zip(now).enumerate() {
            let key = OpKey { function: i as u32, unit: 1, proto: 1, kind: 1, dir: Dir::Request, from_client: true };
            let habit = Habit { n: *n, rate: true, ..Habit::default() };
            let mark = Mark { status: Status::Learned, ..Mark::default() };
            talk.ops.insert(key, Op { mark, habit: Some(habit), mix: *mix, ..Op::default() });
        }
        talk
    }

    #[test]
    fn a_cycle_with_other_shares_is_found() {
        let mix = compare(&talk(&[60_000, 30_000, 10_000], &[100, 150, 50])).expect("changed");
        assert_eq!(mix.moved.0.function, 0);
        assert!(mix.statistic > mix.threshold && (mix.moved.1 - 0.6).abs() < 0.01);
    }

    #[test]
    fn the_same_cycle_and_small_windows_are_quiet() {
        assert_eq!(compare(&talk(&[60_000, 30_000, 10_000], &[180, 91, 29])), None);
        assert_eq!(compare(&talk(&[60_000, 30_000, 10_000], &[5, 30, 5])), None, "too few to tell");
        assert_eq!(compare(&talk(&[600, 30], &[10, 300])), None, "too little was learned");
        assert_eq!(compare(&talk(&[60_000], &[300])), None, "one function has no mix");
    }

    #[test]
    fn sides_are_counted_of_conversations_that_have_both() {
        let key = |port| TalkKey { client: [0; 4], server: [0; 4], vlan: 0, port, l4: 6 };
        let mut seen = talk(&[1], &[1]);
        let answer = OpKey { from_client: false, dir: Dir::Response, ..*seen.ops.keys().next().unwrap() };
        seen.ops.insert(answer, Op::default());
        seen.sides = (500, 0);
        let mut fine = seen.clone();
        fine.sides = (500, 480);
        let mut rare = seen.clone();
        rare.sides = (10, 0);
        let all = [(key(1), seen), (key(2), fine), (key(3), rare)];
        assert_eq!(sides(all.iter().map(|(k, t)| (k, t)), true), (1, 1));
    }

    #[test]
    fn quantiles_are_those_of_the_table() {
        // Upper one in a million of chi-square: 23.93 with 1, 27.63 with 2, 30.66 with 3 degrees of freedom.
        for (freedom, q) in [(2.0, 27.63), (3.0, 30.66), (10.0, 44.84)] {
            // So far out the approximation is a tenth too careful with few degrees.
            assert!((0.99 * q..1.12 * q).contains(&quantile(freedom)), "{freedom}: {}", quantile(freedom));
        }
    }
}
