//! One key against its habit: silence, missed cycles, bursts, and rates that shifted.

use super::habit::{CLIP, Habit, Look, SLACK, Sample, Window, gap_of, per_ten_seconds, score};

const SECOND: u64 = 1_000_000_000;
/// Looks without excess after which a burst is over.
const CALM: u8 = 6;
/// Part of a deviation by which the mean follows in a day.
const FOLLOW: f32 = 0.1;
/// Most that it follows in a day.
const STEP: f32 = 0.01;
/// Farthest from the anchor.
const LEASH: f32 = 0.10;

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Finding {
    /// Nothing came for longer than the threshold.
    Silence {
        /// Last operation.
        since_ns: u64,
        /// From where on it is told.
        threshold_ns: u64,
        /// Largest gap of the learning.
        expected_ns: u64,
    },
    /// It came again.
    SilenceEnd {
        /// How long it was silent.
        duration_ns: u64,
    },
    /// A gap that is over was longer than the threshold.
    CycleMissed {
        /// The gap.
        gap_ns: u64,
        /// From where on it is told.
        threshold_ns: u64,
        /// Largest gap of the learning.
        expected_ns: u64,
    },
    /// More in a look than the threshold.
    Burst {
        /// Operations in ten seconds.
        count: f32,
        /// Most in learning.
        high: f32,
        /// From where on it is told.
        threshold: f32,
    },
    /// Calm again.
    BurstEnd,
    /// The cumulative sum passed its threshold.
    RateShift {
        /// More, not less.
        up: bool,
        /// The sum.
        statistic: f32,
        /// From where on it is told.
        threshold: f32,
        /// Learned mean of a window.
        mean: f32,
        /// Mean since the shift began.
        estimate: f32,
        /// Length of a window.
        window_s: u32,
        /// When the sum left zero.
        since_ns: u64,
    },
    /// The rate is what it was.
    RateEnd,
    /// The mean has followed as far as it may.
    Drift {
        /// Locked mean.
        anchor: f32,
        /// Mean now.
        now: f32,
    },
}

/// Thresholds of the cumulative sums, from the number of keys and the budget.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// For windows of 60 s and of 300 s.
    pub h: [f32; 2],
}

impl Limits {
    /// For so many keys with a rate and so many false alarms a week. Average run length of a cumulative sum between false
    /// alarms (Siegmund): (e^(2kb) - 2kb - 1) / (2 k^2) windows with b = h + 1.166.
    pub fn new(keys: usize, per_week: f64) -> Limits {
        let h = |window_s: f64| {
            let windows = 2.0 * keys.max(1) as f64 * 604_800.0 / window_s;
            let needed = windows / per_week.max(1e-3);
            let k = f64::from(SLACK);
            let run = |h: f64| {
                let x = 2.0 * k * (h + 1.166);
                (x.exp() - x - 1.0) / (2.0 * k * k)
            };
            let (mut low, mut high) = (4.0, 60.0);
            for _ in 0..50 {
                let middle = (low + high) / 2.0;
                if run(middle) < needed { low = middle } else { high = middle }
            }
            high as f32
        };
        Limits { h: [h(60.0), h(300.0)] }
    }
}

/// What judging a key remembers from look to look.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rhythm {
    last_ns: u64,
    since_ns: u64,
    window: Window,
    up: f32,
    down: f32,
    // Windows since the sum left zero, and what they held.
    run: u16,
    run_sum: f32,
    day_sum: f32,
    day_windows: u16,
    /// How far the mean has followed, as a part of the anchor.
    drift: f32,
    calm: u8,
    silent: bool,
    bursting: bool,
    shifted: bool,
    drifted: bool,
    /// Nothing was heard since the start: silence has three gaps' time.
    fresh: bool,
}

impl Rhythm {
    /// Is it silent?
    pub fn is_silent(&self) -> bool {
        self.silent
    }

    /// The sensor was away or began anew: gaps are not those of the key.
    pub fn restart(&mut self, now_ns: u64) {
        self.last_ns = now_ns;
        self.fresh = true;
        self.window = Window::default();
        (self.up, self.down, self.run, self.run_sum) = (0.0, 0.0, 0, 0.0);
        self.silent = false;
    }

    /// Adds a look.
    pub fn look(&mut self, h: &Habit, limits: &Limits, look: &Look, s: &Sample, out: &mut Vec<Finding>) {
        if self.last_ns == 0 || look.is_pause() {
            self.restart(look.to_ns);
            if s.count > 0 {
                (self.last_ns, self.fresh) = (s.last_ns, false);
            }
            return;
        }
        if h.silence {
            self.silence(h, look, s, out);
        }
        if s.count > 0 {
            (self.last_ns, self.fresh) = (s.last_ns.max(self.last_ns), false);
        }
        if h.burst {
            self.burst(h, look, s, out);
        }
        if h.rate {
            self.rate(h, limits, look, s, out);
        }
    }

    fn silence(&mut self, h: &Habit, look: &Look, s: &Sample, out: &mut Vec<Finding>) {
        let largest = (h.gap_ms * 1e6) as u64;
        let expected_ns = largest;
        if s.count == 0 {
            // The look itself may come late: two of them agree.
            let factor = if self.fresh { h.gap_factor.max(3.0) } else { h.gap_factor };
            let threshold_ns = ((largest as f64 * f64::from(factor)) as u64).max(largest + 20 * SECOND);
            let silent_ns = look.to_ns.saturating_sub(self.last_ns);
            if !self.silent && silent_ns > threshold_ns {
                self.silent = true;
                out.push(Finding::Silence { since_ns: self.last_ns, threshold_ns, expected_ns });
            }
            return;
        }
        if self.silent {
            self.silent = false;
            out.push(Finding::SilenceEnd { duration_ns: s.last_ns.saturating_sub(self.last_ns) });
            return;
        }
        // Half a second more: a busy switch or a late tick of the clock is no pause of the sender.
        let threshold_ns = ((largest as f64 * f64::from(h.gap_factor)) as u64).max(largest + SECOND / 2);
        if !self.fresh
            && let Some(gap_ns) = gap_of(self.last_ns, look, s)
            && gap_ns > threshold_ns
        {
            out.push(Finding::CycleMissed { gap_ns, threshold_ns, expected_ns });
        }
    }

    fn burst(&mut self, h: &Habit, look: &Look, s: &Sample, out: &mut Vec<Finding>) {
        let count = per_ten_seconds(look, s.count);
        let threshold = (h.high_factor * h.high).max(h.high + 3.0);
        if count > threshold {
            self.calm = 0;
            if !self.bursting {
                self.bursting = true;
                out.push(Finding::Burst { count, high: h.high, threshold });
            }
        } else if self.bursting && count <= h.high {
            self.calm += 1;
            if self.calm >= CALM {
                self.bursting = false;
                out.push(Finding::BurstEnd);
            }
        }
    }

    fn rate(&mut self, h: &Habit, limits: &Limits, look: &Look, s: &Sample, out: &mut Vec<Finding>) {
        let Some(x) = self.window.add(h.window_s, look, s.count) else { return };
        let [minute, five] = limits.h;
        let threshold = h.floor.max(if h.window_s == 60 { minute } else { five });
        let mean = h.mean * (1.0 + self.drift);
        let z = score(x, mean, h.deviation);
        let length_ns = u64::from(h.window_s) * SECOND;
        if self.up <= 0.0 && self.down <= 0.0 {
            (self.run, self.run_sum) = (0, 0.0);
            self.since_ns = look.to_ns.saturating_sub(length_ns);
        }
        self.up = (self.up + z - SLACK).max(0.0);
        self.down = (self.down - z - SLACK).max(0.0);
        self.run = self.run.saturating_add(1);
        self.run_sum += x;
        let statistic = self.up.max(self.down);
        if !self.shifted && statistic > threshold {
            self.shifted = true;
            let estimate = self.run_sum / f32::from(self.run.max(1));
            let (up, since_ns) = (self.up > self.down, self.since_ns);
            out.push(Finding::RateShift { up, statistic, threshold, mean, estimate, window_s: h.window_s, since_ns });
        } else if self.shifted && z.abs() < CLIP / 3.0 {
            // What is told is not counted on; a tail of the sum must not keep it open.
            self.up = self.up.min(threshold) / 2.0;
            self.down = self.down.min(threshold) / 2.0;
            if self.up < 1.0 && self.down < 1.0 {
                self.shifted = false;
                out.push(Finding::RateEnd);
            }
        }
        if !self.shifted {
            self.follow(h, x, out);
        }
    }

    /// The mean follows slowly what stays within bounds, never farther than its leash.
    fn follow(&mut self, h: &Habit, x: f32, out: &mut Vec<Finding>) {
        self.day_sum += x;
        self.day_windows += 1;
        if u32::from(self.day_windows) * h.window_s < 86_400 {
            return;
        }
        let day = self.day_sum / f32::from(self.day_windows);
        (self.day_sum, self.day_windows) = (0.0, 0);
        let off = day / h.mean - 1.0;
        self.drift += (FOLLOW * (off - self.drift)).clamp(-STEP, STEP);
        // Told by the day's own mean: the followed one lags behind what creeps.
        if off.abs() >= LEASH * 0.5 && !self.drifted {
            self.drifted = true;
            out.push(Finding::Drift { anchor: h.mean, now: day });
        }
        self.drift = self.drift.clamp(-LEASH, LEASH);
    }
}
