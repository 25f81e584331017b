//! Habits: what is regular is armed, and changes of it are found in time; what is not regular stays quiet.

use super::text::Dice;
use crate::baseline::habit::{Habit, Learning, Look, Rules, Sample};
use crate::baseline::rhythm::{Finding, Limits, Rhythm};

const S: u64 = 1_000_000_000;
const DAY: u64 = 86_400 * S;

/// Makes looks of a stream of operations whose next gap `gap` tells, from `from` to `to`.
fn looks(from: u64, to: u64, mut gap: impl FnMut(u64) -> u64, mut each: impl FnMut(&Look, &Sample)) {
    let (mut at, mut last, mut now) = (from, 0u64, from);
    while now < to {
        let next = now + 10 * S;
        let mut s = Sample::default();
        let mut largest = 0;
        while at < next {
            if last != 0 {
                largest = largest.max(at - last);
            }
            last = at;
            s.count += 1;
            at += gap(at).max(1);
        }
        s.last_ns = last;
        s.gap_max_ns = (s.count > 0).then_some(largest);
        each(&Look { from_ns: now, to_ns: next, wall_s: (next / S) as i64 }, &s);
        now = next;
    }
}

/// Substation messages: two paces, largest gap 1.04 s, about 89 a minute.
fn goose(d: &mut Dice) -> u64 {
    if d.below(100) < 44 { 120_000_000 + d.below(60_000_000) } else { 1_019_000_000 + d.below(21_000_000) }
}

fn learned(seed: u64, mut gap: impl FnMut(&mut Dice, u64) -> u64) -> Habit {
    let mut d = Dice(seed);
    let mut l = Learning::default();
    looks(S, S + 2 * DAY, |at| gap(&mut d, at), |look, s| l.observe(look, s));
    l.habit(&Rules::default())
}

fn judge(h: &Habit, seed: u64, length: u64, mut gap: impl FnMut(&mut Dice, u64) -> u64) -> Vec<(u64, Finding)> {
    let mut d = Dice(seed);
    let limits = Limits::new(5_000, 0.125);
    let mut r = Rhythm::default();
    let mut found = Vec::new();
    let begin = 100 * DAY;
    looks(
        begin,
        begin + length,
        |at| gap(&mut d, at - begin),
        |look, s| {
            let mut out = Vec::new();
            r.look(h, &limits, look, s, &mut out);
            found.extend(out.into_iter().map(|f| (look.to_ns - begin, f)));
        },
    );
    found
}

#[test]
fn two_days_of_a_substation_arm_everything() {
    let h = learned(3, |d, _| goose(d));
    assert!(h.silence && h.burst && h.rate, "{}", h.to_text());
    assert!((1_000.0..1_100.0).contains(&h.gap_ms), "{}", h.to_text());
    assert_eq!(h.window_s, 60);
    assert_eq!(Habit::from_text(&h.to_text()), Some(h));
    assert_eq!(judge(&h, 4, 7 * DAY, |d, _| goose(d)), [], "a week of the same is quiet");
}

#[test]
fn changes_are_found_in_time() {
    let h = learned(3, |d, _| goose(d));
    let at = 3_000 * S;
    let first = |found: &[(u64, Finding)], wanted: fn(&Finding) -> bool| {
        assert!(found.iter().all(|(t, _)| *t > at), "nothing before: {found:?}");
        found.iter().find(|(_, f)| wanted(f)).map(|(t, _)| (t - at) / S)
    };
    for pause in [5, 15] {
        let mut paused = false;
        let found = judge(&h, 5, 4_000 * S, |d, t| {
            if t > at && !std::mem::replace(&mut paused, true) {
                return pause * S;
            }
            if t <= at {
                paused = false
            }
            goose(d)
        });
        let delay = first(&found, |f| matches!(f, Finding::CycleMissed { .. } | Finding::Silence { .. }));
        assert!(delay.is_some_and(|d| d <= pause + 20), "{pause} s: {found:?}");
    }
    let silent = judge(&h, 6, 4_000 * S, |d, t| if t > at { 1_000 * S } else { goose(d) });
    assert!(first(&silent, |f| matches!(f, Finding::Silence { .. })).is_some_and(|d| d <= 40), "{silent:?}");
    let is_shift: fn(&Finding) -> bool = |f| matches!(f, Finding::RateShift { up: true, .. });
    for (factor, limit) in [(2.0, 240), (1.25, 600), (1.1, 1_800)] {
        let found = judge(&h, 7, 9_000 * S, |d, t| if t > at { (goose(d) as f64 / factor) as u64 } else { goose(d) });
        let delay = first(&found, is_shift);
        assert!(delay.is_some_and(|d| d <= limit), "x{factor}: {delay:?}");
    }
    let burst = judge(&h, 8, 4_000 * S, |d, t| if t > at { goose(d) / 10 } else { goose(d) });
    assert!(first(&burst, |f| matches!(f, Finding::Burst { .. })).is_some_and(|d| d <= 20), "{burst:?}");
}

#[test]
fn what_people_do_stays_quiet() {
    // Office hours, at random; and polls in heaps with long pauses.
    let office = |d: &mut Dice, at: u64| {
        let hour = at / (3_600 * S) % 24;
        let mean = if (8..17).contains(&hour) { 40 } else { 4_000 };
        let u = (d.below(1 << 20) + 1) as f64 / (1u64 << 20) as f64;
        ((-u.ln()) * (mean * S) as f64) as u64 + 1
    };
    let h = learned(11, office);
    assert!(!h.rate, "no steady rate: {}", h.to_text());
    for seed in 20..30 {
        assert_eq!(judge(&h, seed, 14 * DAY, office), [], "seed {seed}: {}", h.to_text());
    }
    let heap = |d: &mut Dice, _: u64| if d.below(20) == 0 { (200 + d.below(400)) * S } else { 50_000_000 };
    let h = learned(12, heap);
    for seed in 30..36 {
        assert_eq!(judge(&h, seed, 7 * DAY, heap), [], "seed {seed}: {}", h.to_text());
    }
}

#[test]
fn a_pause_of_the_sensor_is_not_one_of_the_key() {
    let h = learned(3, |d, _| goose(d));
    let (limits, mut r, mut out) = (Limits::new(100, 0.125), Rhythm::default(), Vec::new());
    let mut d = Dice(9);
    let begin = 100 * DAY;
    looks(begin, begin + 600 * S, |_| goose(&mut d), |look, s| r.look(&h, &limits, look, s, &mut out));
    // Away for an hour, and nothing at the first look.
    let look = Look { from_ns: begin + 600 * S, to_ns: begin + 4_200 * S, wall_s: 0 };
    r.look(&h, &limits, &look, &Sample { count: 0, last_ns: begin + 600 * S, gap_max_ns: None }, &mut out);
    let again = begin + 4_200 * S;
    looks(again, again + 600 * S, |_| goose(&mut d), |look, s| r.look(&h, &limits, look, s, &mut out));
    assert_eq!(out, []);
}

#[test]
fn sizes_are_bounded() {
    assert!(size_of::<Habit>() <= 64, "{}", size_of::<Habit>());
    assert!(size_of::<Rhythm>() <= 96, "{}", size_of::<Rhythm>());
    assert!(size_of::<Learning>() <= 176, "{}", size_of::<Learning>());
}

#[test]
fn a_creeping_rate_is_told_as_drift() {
    let h = learned(3, |d, _| goose(d));
    let found = judge(&h, 10, 20 * DAY, |d, t| (goose(d) as f64 / (1.0 + 0.005 * (t / DAY) as f64)) as u64);
    let drift = found.iter().find(|(_, f)| matches!(f, Finding::Drift { .. } | Finding::RateShift { .. }));
    assert!(drift.is_some_and(|(t, _)| t / DAY < 20), "before it is ten percent: {found:?}");
}
