//! E6: changes of a real publisher's cadence: pauses, more, less, loss; twenty starts each.

use anyhow::{Context, Result};

use crate::data::{self, Frame};
use crate::{Row, Setup, benign, row};

/// A change: name, seconds it lasts, seconds between two starts, share of messages (0: none, below 1: loss), goal.
const CHANGES: [(&str, u64, u64, f64, &str); 10] = [
    ("silent 5 s", 5, 1_200, 0.0, "20/20"),
    ("silent 15 s", 15, 1_200, 0.0, "20/20"),
    ("silent 30 s", 30, 1_200, 0.0, "20/20"),
    ("rate x 10, 60 s", 60, 1_800, 10.0, "20/20"),
    ("rate x 2, 600 s", 600, 3_600, 2.0, "20/20, <= 240 s"),
    ("rate x 1.25, 1800 s", 1_800, 6_000, 1.25, ""),
    ("rate x 1.10, 3600 s", 3_600, 8_000, 1.10, ""),
    ("rate x 1.05, 3600 s", 3_600, 8_000, 1.05, ""),
    ("loss 10 %, 1800 s", 1_800, 6_000, 0.9, ""),
    ("loss 50 %, 1800 s", 1_800, 6_000, 0.5, ""),
];
const STARTS: usize = 20;
const S: i64 = 1_000_000_000;

struct Dice(u64);
impl Dice {
    fn unit(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Applies a change within each of the stretches.
fn change(frames: &[Frame], stretches: &[(i64, i64)], share: f64, dice: &mut Dice) -> Vec<Frame> {
    let mut out = Vec::with_capacity(frames.len() * 2);
    for (i, (at, data)) in frames.iter().enumerate() {
        if !stretches.iter().any(|(b, e)| (*b..*e).contains(at)) {
            out.push((*at, data.clone()));
            continue;
        }
        if share < 1.0 && dice.unit() >= share {
            continue;
        }
        out.push((*at, data.clone()));
        let next = frames.get(i + 1).map_or(at + S, |f| f.0);
        let mut more = share - 1.0;
        let steps = more.ceil().max(0.0) as i64;
        for k in 1..=steps {
            if more >= 1.0 || dice.unit() < more {
                out.push((at + (next - at) * k / (steps + 1), data.clone()));
            }
            more -= 1.0;
        }
    }
    out
}

/// E6.
pub fn run(setup: &Setup) -> Result<Vec<Row>> {
    let days = data::days(setup)?;
    let base = benign::control(setup, &days, "e6")?;
    setup.lock(&base, true)?;
    let day = days.iter().find(|d| data::is_control(d)).context("no control day")?;
    let is_goose = |f: &[u8]| {
        f.get(12..14) == Some(&[0x88, 0xB8])
            || (f.get(12..14) == Some(&[0x81, 0x00]) && f.get(16..18) == Some(&[0x88, 0xB8]))
    };
    let all = data::frames(&day.capture, |_| true)?;
    let publisher: Vec<u8> =
        all.iter().find(|(_, f)| is_goose(f)).context("no GOOSE")?.1.get(..12).context("a frame")?.to_vec();
    let mine = |f: &[u8]| is_goose(f) && f.starts_with(&publisher);
    let mac: Vec<String> = publisher.iter().skip(6).map(|b| format!("{b:02X}")).collect();
    let mac = mac.join("-");
    let first = all.first().map_or(0, |f| f.0);
    let mut rows = Vec::new();
    for (name, length, pause, share, goal) in CHANGES {
        let (mut found, mut delays, mut elsewhere, mut starts) = (0, Vec::new(), 0, 0);
        let mut dice = Dice(0x9E37_79B9_7F4A_7C15 ^ length ^ pause);
        while starts < STARTS {
            let fit = (80_000 / pause as usize).min(STARTS - starts);
            let begin = |i: usize| {
                first + (2_000 + i as i64 * pause as i64) * S + (dice_at(starts + i) * 10.0 * S as f64) as i64
            };
            let stretches: Vec<(i64, i64)> = (0..fit).map(|i| (begin(i), begin(i) + length as i64 * S)).collect();
            let own: Vec<Frame> = all.iter().filter(|(_, f)| mine(f)).cloned().collect();
            let mut made = change(&own, &stretches, share, &mut dice);
            made.extend(all.iter().filter(|(_, f)| !mine(f)).cloned());
            made.sort_by_key(|f| f.0);
            let file = setup.scratch.path().join("cadence.pcap");
            data::write(&file, &made)?;
            let alerts = setup.judge(&base, &file)?;
            for (b, e) in &stretches {
                let (b, e) = (*b as f64 / 1e9, *e as f64 / 1e9);
                let hit = alerts.iter().find(|a| {
                    a.phase != "end" && a.family == "time" && a.stations.contains(&mac) && (b..e + 60.0).contains(&a.at)
                });
                if let Some(a) = hit {
                    found += 1;
                    delays.push(a.at - b);
                }
            }
            let near =
                |t: f64| stretches.iter().any(|(b, e)| (*b as f64 / 1e9 - 1.0..*e as f64 / 1e9 + 900.0).contains(&t));
            for a in alerts.iter().filter(|a| a.phase == "new" && !near(a.at)) {
                elsewhere += 1;
                eprintln!("  E6 {name} elsewhere: {} {}", a.action, a.why);
            }
            starts += fit;
        }
        delays.sort_by(f64::total_cmp);
        let at = |q: f64| {
            delays
                .get(((delays.len() as f64 * q) as usize).min(delays.len().saturating_sub(1)))
                .copied()
                .unwrap_or(f64::NAN)
        };
        let reached = match goal {
            "" => None,
            g => Some(found == STARTS && (!g.contains("240") || at(0.95) <= 240.0)),
        };
        let figure =
            format!("{found}/{STARTS}, median {:.1} s, 95 % {:.1} s; elsewhere {elsewhere}", at(0.5), at(0.95));
        rows.push(row("E6", name, figure, goal, reached));
    }
    Ok(rows)
}

/// Where within a look a start falls: spread evenly.
fn dice_at(i: usize) -> f64 {
    (i as f64 * 0.618_034).fract()
}
