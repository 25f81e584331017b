//! What is learned of the cadence of one key: the largest pause, the largest count in ten seconds, the usual count a minute.
//!
//! Regularity is judged by these and not by the variation of single gaps: substations repeat messages at two paces, polls
//! come in groups, and both are as regular as a clock in what is kept here.

use std::fmt::Write as _;

const SECOND: u64 = 1_000_000_000;
/// A look longer than this is a pause of the sensor.
pub const PAUSE_NS: u64 = 35 * SECOND;
/// Windows of the rate, seconds.
pub const WINDOWS: [u32; 2] = [60, 300];
/// Fewest operations in a window that has a rate.
const RATE_MIN: f32 = 5.0;
/// Time of observation whose maxima are compared with each other.
const BLOCK_S: u32 = 12 * 3600;
/// Slack of the cumulative sum, in deviations.
pub const SLACK: f32 = 0.5;
/// One window moves the sum by no more than this many deviations.
pub const CLIP: f32 = 8.0;

/// What one look saw of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Operations since the last look.
    pub count: u32,
    /// Time of the last operation ever, nanoseconds of the source's clock; 0 for none.
    pub last_ns: u64,
    /// Largest gap that ended since the last look; none when it was not measured.
    pub gap_max_ns: Option<u64>,
}

/// A look at all counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// The look before, nanoseconds of the source's clock.
    pub from_ns: u64,
    /// This one.
    pub to_ns: u64,
    /// This one by the wall clock, seconds since the Unix epoch.
    pub wall_s: i64,
}

impl Look {
    /// Was the sensor away?
    pub fn is_pause(&self) -> bool {
        self.to_ns.saturating_sub(self.from_ns) > PAUSE_NS
    }
    /// Milliseconds.
    pub fn length_ms(&self) -> u32 {
        (self.to_ns.saturating_sub(self.from_ns) / 1_000_000) as u32
    }
}

/// What a key needs to be judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// Seconds of observation.
    pub min_observed_s: u32,
    /// Operations.
    pub min_observations: u32,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules { min_observed_s: 24 * 3600, min_observations: 200 }
    }
}

/// A running window of a fixed length, built from looks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Window {
    count: f32,
    elapsed_ms: u32,
}

impl Window {
    /// Adds a look; the count of the window, normalised to its length, when it is whole.
    pub fn add(&mut self, length_s: u32, look: &Look, count: u32) -> Option<f32> {
        if look.is_pause() {
            *self = Window::default();
            return None;
        }
        self.count += count as f32;
        self.elapsed_ms += look.length_ms();
        // Looks are some milliseconds early or late; a window is whole with the look that ends nearest to its end.
        if self.elapsed_ms + 4_000 < length_s * 1_000 {
            return None;
        }
        let normal = self.count * (length_s as f32 * 1_000.0) / self.elapsed_ms as f32;
        *self = Window::default();
        Some(normal)
    }
}

/// Mean and deviation of the counts of windows, and how far a cumulative sum went in learning.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Rate {
    n: u32,
    mean: f32,
    m2: f32,
    up: f32,
    down: f32,
    most: f32,
}

impl Rate {
    fn add(&mut self, x: f32, settled: u32) {
        // Judged by what was known before it: the second half of learning validates the first.
        if self.n >= settled {
            let z = score(x, self.mean, self.deviation());
            self.up = (self.up + z - SLACK).max(0.0);
            self.down = (self.down - z - SLACK).max(0.0);
            self.most = self.most.max(self.up).max(self.down);
        }
        self.n += 1;
        let d = x - self.mean;
        self.mean += d / self.n as f32;
        self.m2 += d * (x - self.mean);
    }

    fn deviation(&self) -> f32 {
        if self.n < 2 { 0.0 } else { (self.m2 / (self.n - 1) as f32).sqrt() }
    }
}

/// Deviations from the mean, clipped. Counts are whole numbers: no deviation is below half of one, nor below a hundredth.
pub fn score(x: f32, mean: f32, deviation: f32) -> f32 {
    ((x - mean) / deviation.max(0.5).max(0.01 * mean)).clamp(-CLIP, CLIP)
}

/// The two largest of the maxima of blocks of observation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Tops {
    now: f32,
    first: f32,
    second: f32,
}

impl Tops {
    fn see(&mut self, x: f32) {
        self.now = self.now.max(x);
    }
    fn roll(&mut self) {
        if self.now > self.first {
            self.second = self.first;
            self.first = self.now;
        } else {
            self.second = self.second.max(self.now);
        }
        self.now = 0.0;
    }
    /// Largest and second largest, the running block included.
    fn both(&self) -> (f32, f32) {
        let mut t = *self;
        t.roll();
        (t.first, t.second)
    }
}

/// Accumulates while learning; goes on after a restart of the sensor.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Learning {
    n: u32,
    observed_ms: u64,
    block: u32,
    /// Looks with operations and all looks: does it come all the time, or in heaps?
    busy: u32,
    looks: u32,
    gaps: Tops,
    highs: Tops,
    last_ns: u64,
    windows: [Window; 2],
    rates: [Rate; 2],
}

impl Learning {
    /// Adds a look.
    pub fn observe(&mut self, look: &Look, s: &Sample) {
        if look.is_pause() || look.to_ns <= look.from_ns {
            self.restart();
            self.last_ns = if s.count > 0 { s.last_ns } else { 0 };
            return;
        }
        self.n = self.n.saturating_add(s.count);
        self.observed_ms += u64::from(look.length_ms());
        self.looks += 1;
        self.busy += u32::from(s.count > 0);
        let block = (self.observed_ms / 1_000) as u32 / BLOCK_S;
        if block != self.block {
            self.block = block;
            self.gaps.roll();
            self.highs.roll();
        }
        if s.count > 0 {
            if let Some(gap) = gap_of(self.last_ns, look, s) {
                self.gaps.see(gap as f32 / 1e6);
            }
            self.last_ns = s.last_ns;
        }
        self.highs.see(per_ten_seconds(look, s.count));
        for (i, length) in WINDOWS.iter().enumerate() {
            let (Some(window), Some(rate)) = (self.windows.get_mut(i), self.rates.get_mut(i)) else { continue };
            if let Some(x) = window.add(*length, look, s.count) {
                rate.add(x, BLOCK_S / length);
            }
        }
    }

    /// The sensor was away: gaps and windows begin anew.
    pub fn restart(&mut self) {
        self.last_ns = 0;
        self.windows = Default::default();
    }

    /// Operations so far.
    pub fn observations(&self) -> u32 {
        self.n
    }

    /// Milliseconds of observation.
    pub fn observed_ms(&self) -> u64 {
        self.observed_ms
    }

    /// What can be said so far.
    pub fn habit(&self, rules: &Rules) -> Habit {
        let mut h = Habit { n: self.n, ..Habit::default() };
        let observed_s = (self.observed_ms / 1_000) as u32;
        if self.n < rules.min_observations {
            h.why = Why::Few;
            return h;
        }
        if observed_s < rules.min_observed_s / 100 * 95 {
            h.why = Why::Short;
            return h;
        }
        let mean_gap = self.observed_ms as f32 / self.n as f32;
        self.silence(&mut h, mean_gap);
        self.burst(&mut h);
        self.rate(&mut h);
        h
    }

    fn silence(&self, h: &mut Habit, mean_gap: f32) {
        let (first, second) = self.gaps.both();
        h.gap_ms = first;
        if second <= 0.0 || first > 20.0 * mean_gap || first >= 1.5 * second {
            h.why = Why::Irregular;
            return;
        }
        // Tails of what comes at random grow with the logarithm of the time; what is far above its mean gets more room.
        h.gap_factor = if first > 4.0 * mean_gap { 4.0 } else { (1.25 * first / second).max(1.5) };
        h.silence = true;
    }

    fn burst(&self, h: &mut Habit) {
        let (first, second) = self.highs.both();
        // What comes in heaps with pauses between: as many as three may fall together.
        let in_heaps = self.busy * 2 < self.looks;
        h.high = if in_heaps { HEAPS * first } else { first };
        let ratio = if second > 0.0 { first / second } else { f32::INFINITY };
        let factor = (1.25 * ratio).max(1.5);
        if factor <= 4.0 {
            (h.burst, h.high_factor) = (true, factor);
        }
    }

    fn rate(&self, h: &mut Habit) {
        for (i, length) in WINDOWS.iter().enumerate() {
            let Some(rate) = self.rates.get(i) else { continue };
            if rate.n < 8 || rate.mean < RATE_MIN {
                continue;
            }
            (h.window_s, h.mean, h.deviation) = (*length, rate.mean, rate.deviation());
            h.floor = 1.25 * rate.most;
            h.rate = h.floor <= FLOOR_MOST && h.deviation < h.mean;
            return;
        }
    }

    /// As text without blanks.
    pub fn to_line(&self) -> String {
        let mut t = format!("{},{},{},{},{}", self.n, self.observed_ms, self.block, self.busy, self.looks);
        for tops in [&self.gaps, &self.highs] {
            let _ = write!(t, ",{},{},{}", tops.now, tops.first, tops.second);
        }
        for r in &self.rates {
            let _ = write!(t, ",{},{},{},{},{},{}", r.n, r.mean, r.m2, r.up, r.down, r.most);
        }
        t
    }

    /// From [`Self::to_line`]; running windows and the last operation are not kept.
    pub fn from_line(line: &str) -> Option<Learning> {
        let mut parts = line.split(',');
        let mut l = Learning {
            n: parts.next()?.parse().ok()?,
            observed_ms: parts.next()?.parse().ok()?,
            block: parts.next()?.parse().ok()?,
            busy: parts.next()?.parse().ok()?,
            looks: parts.next()?.parse().ok()?,
            ..Learning::default()
        };
        let mut float = || parts.next()?.parse::<f32>().ok();
        for tops in [&mut l.gaps, &mut l.highs] {
            *tops = Tops { now: float()?, first: float()?, second: float()? };
        }
        for r in &mut l.rates {
            *r =
                Rate { n: float()? as u32, mean: float()?, m2: float()?, up: float()?, down: float()?, most: float()? };
        }
        Some(l)
    }
}

/// Heaps that may fall together.
const HEAPS: f32 = 3.0;
/// A cumulative sum that went farther in learning belongs to no steady rate.
const FLOOR_MOST: f32 = 60.0;

/// The gap that ended in this look, nanoseconds: as measured, else the least that it can have been.
pub fn gap_of(last_ns: u64, look: &Look, s: &Sample) -> Option<u64> {
    if s.gap_max_ns.is_some() {
        return s.gap_max_ns;
    }
    if last_ns == 0 || s.count == 0 || s.last_ns <= last_ns {
        return None;
    }
    let whole = s.last_ns - last_ns;
    Some((whole / u64::from(s.count)).max(look.from_ns.saturating_sub(last_ns)))
}

/// A count normalised to ten seconds; shorter looks are taken as they are.
pub fn per_ten_seconds(look: &Look, count: u32) -> f32 {
    let ms = look.length_ms().max(1);
    if ms <= 10_500 { count as f32 } else { count as f32 * 10_000.0 / ms as f32 }
}

/// Why a key has no silence detector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Why {
    /// It has one, or nothing was said.
    #[default]
    Regular,
    /// Too few operations.
    Few,
    /// Observed too shortly.
    Short,
    /// Not regular enough.
    Irregular,
}

impl Why {
    fn word(self) -> &'static str {
        match self {
            Why::Regular => "regular",
            Why::Few => "few",
            Why::Short => "short",
            Why::Irregular => "irregular",
        }
    }
}

/// What was learned of a key, and which detectors it has.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Habit {
    /// Operations observed.
    pub n: u32,
    /// Largest gap, milliseconds.
    pub gap_ms: f32,
    /// Silence is told from this many times the largest gap on.
    pub gap_factor: f32,
    /// Largest count in ten seconds.
    pub high: f32,
    /// A burst is told from this many times the largest count on.
    pub high_factor: f32,
    /// Length of the windows of the rate, seconds; 0 without.
    pub window_s: u32,
    /// Mean of their counts: the anchor.
    pub mean: f32,
    /// Deviation of their counts.
    pub deviation: f32,
    /// Lowest threshold of the cumulative sum: what learning itself went to, and a quarter more.
    pub floor: f32,
    /// Has it a silence detector?
    pub silence: bool,
    /// Has it a burst detector?
    pub burst: bool,
    /// Has it a rate detector?
    pub rate: bool,
    /// Why it has no silence detector.
    pub why: Why,
}

impl Habit {
    /// Is anything judged?
    pub fn is_armed(&self) -> bool {
        self.silence || self.burst || self.rate
    }

    /// As `name=value` pairs with commas, no blanks.
    pub fn to_text(&self) -> String {
        let armed: Vec<&str> = [(self.silence, "silence"), (self.burst, "burst"), (self.rate, "rate")]
            .into_iter()
            .filter_map(|(on, word)| on.then_some(word))
            .collect();
        format!(
            "armed:{};n:{};gap_ms:{:?};gap_factor:{:?};high:{:?};high_factor:{:?};window_s:{};mean:{:?};deviation:{:?};floor:{:?};why:{}",
            if armed.is_empty() { "none".to_owned() } else { armed.join("+") },
            self.n,
            self.gap_ms,
            self.gap_factor,
            self.high,
            self.high_factor,
            self.window_s,
            self.mean,
            self.deviation,
            self.floor,
            self.why.word()
        )
    }

    /// From [`Self::to_text`].
    pub fn from_text(text: &str) -> Option<Habit> {
        let mut h = Habit::default();
        for pair in text.split(';') {
            let (name, value) = pair.split_once(':')?;
            let float = || value.parse::<f32>().ok().filter(|v| v.is_finite());
            match name {
                "armed" => {
                    (h.silence, h.burst, h.rate) =
                        (value.contains("silence"), value.contains("burst"), value.contains("rate"));
                }
                "n" => h.n = value.parse().ok()?,
                "gap_ms" => h.gap_ms = float()?,
                "gap_factor" => h.gap_factor = float()?,
                "high" => h.high = float()?,
                "high_factor" => h.high_factor = float()?,
                "window_s" => h.window_s = value.parse().ok()?,
                "mean" => h.mean = float()?,
                "deviation" => h.deviation = float()?,
                "floor" => h.floor = float()?,
                "why" => {
                    h.why =
                        [Why::Regular, Why::Few, Why::Short, Why::Irregular].into_iter().find(|w| w.word() == value)?;
                }
                _ => return None,
            }
        }
        Some(h)
    }
}
