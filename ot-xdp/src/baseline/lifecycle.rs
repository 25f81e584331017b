//! From learning to a lock: what becomes usual by itself, when enough is known, and what a person has to look at.

use std::fmt::Write as _;

use ot_xdp_common::op::Class;

use super::habit::Rules;
use super::line;
use super::model::{Baseline, Mark, State, Status};

/// False alarms a week that unknown members may cause: half of the whole budget.
const HALF_BUDGET: f64 = 0.5;
/// A week with its weekend.
const LEAST_S: u32 = 7 * 86_400;
/// Hours and days that make a member usual.
const QUORUM: (u8, u8) = (3, 2);

/// How far learning is.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// Members first seen in the last day of observation, by class: stations, conversations, operations.
    pub recent: [u32; 3],
    /// Hours of observation without anything new, at the end.
    pub quiet_h: f64,
    /// Expected members a week that are new, the worst class.
    pub per_week: f64,
    /// May it be locked?
    pub ready: bool,
    /// Why, or what is missing.
    pub reason: String,
}

/// Estimates the members that are still unknown (Jeffreys): 168 (D + 0.5) / H a week, with D members in the last H hours.
pub fn progress(b: &Baseline) -> Progress {
    let end = b.span_s.1;
    let observed_h = f64::from(b.observed_s) / 3600.0;
    let hours = observed_h.clamp(1.0, 168.0);
    let since = end.saturating_sub((hours * 3600.0) as u32);
    let mut recent = [0u32; 3];
    let mut last = b.span_s.0;
    let mut count = |class: usize, m: &Mark, first_day: u32| {
        last = last.max(m.first_s);
        // What comes in the first hours of all is the plant, not its novelty.
        if m.first_s >= since
            && m.first_s >= first_day
            && let Some(n) = recent.get_mut(class)
        {
            *n += 1;
        }
    };
    let first_day = b.span_s.0.saturating_add(4 * 3600);
    b.assets.values().for_each(|a| count(0, &a.mark, first_day));
    for talk in b.talks.values() {
        count(1, &talk.mark, first_day);
        talk.ops.values().for_each(|op| count(2, &op.mark, first_day));
    }
    let worst = recent.iter().max().copied().unwrap_or(0);
    let per_week = 168.0 * (f64::from(worst) + 0.5) / hours;
    let quiet_h = f64::from(end.saturating_sub(last)) / 3600.0;
    let days = f64::from(b.observed_s) / 86_400.0;
    let (ready, reason) = if b.observed_s < LEAST_S {
        (false, format!("{days:.1} of 7 days observed, a weekend among them"))
    } else if per_week > HALF_BUDGET {
        let [a, t, o] = recent;
        (false, format!("in the last {hours:.0} h {a} stations, {t} conversations and {o} operations were new"))
    } else {
        (true, format!("nothing new for {quiet_h:.0} h in {days:.1} days"))
    };
    Progress { recent, quiet_h, per_week, ready, reason }
}

/// Takes in what became usual, and sets the state. Never what changes the state of a device.
pub fn promote(b: &mut Baseline) {
    if b.state == State::Locked {
        return;
    }
    let usual = |m: &mut Mark| {
        if m.status == Status::Seen && (m.hours >= QUORUM.0 || m.days >= QUORUM.1) {
            m.status = Status::Learned;
        }
    };
    for asset in b.assets.values_mut() {
        usual(&mut asset.mark);
        asset.macs.iter_mut().for_each(|(_, m)| usual(m));
        asset.places.iter_mut().for_each(|(_, m)| usual(m));
    }
    for (key, talk) in &mut b.talks {
        usual(&mut talk.mark);
        let group = key.server().is_group();
        for (op_key, op) in &mut talk.ops {
            if op_key.is_risky() {
                if op.mark.status == Status::Seen {
                    op.mark.status = Status::Pending;
                }
                continue;
            }
            usual(&mut op.mark);
            // Chatter to groups comes when it likes.
            if group && op_key.class() == Class::Infrastructure && op.mark.status == Status::Seen {
                (op.mark.status, talk.mark.status) = (Status::Learned, Status::Learned);
            }
        }
    }
    b.state = if progress(b).ready { State::Candidate } else { State::Learning };
}

/// Makes habits of what was observed of cadence.
pub fn settle(b: &mut Baseline, rules: &Rules) {
    for op in b.talks.values_mut().flat_map(|t| t.ops.values_mut()) {
        if let Some(learning) = &op.learning {
            op.habit = Some(learning.habit(rules));
        }
    }
}

/// Locks: from now on it changes by approval only. `all` approves also what was seen once or changes the state.
pub fn lock(b: &mut Baseline, all: bool, wall_s: u32, rules: &Rules) {
    promote(b);
    settle(b, rules);
    each_mark(b, |m| {
        if matches!(m.status, Status::Seen | Status::Pending) {
            m.status = if all { Status::Accepted } else { Status::Pending };
            m.late = false;
        }
    });
    b.talks.values_mut().flat_map(|t| t.ops.values_mut()).for_each(|op| op.learning = None);
    b.state = State::Locked;
    b.version += 1;
    b.locked_s = wall_s;
}

/// Every mark.
pub fn each_mark(b: &mut Baseline, mut f: impl FnMut(&mut Mark)) {
    for asset in b.assets.values_mut() {
        f(&mut asset.mark);
        asset.macs.iter_mut().for_each(|(_, m)| f(m));
        asset.places.iter_mut().for_each(|(_, m)| f(m));
    }
    for talk in b.talks.values_mut() {
        f(&mut talk.mark);
        talk.ops.values_mut().for_each(|op| f(&mut op.mark));
    }
}

/// Sets the status of a member and, for a conversation or station that is accepted, of what waits in it.
///
/// # Errors
/// When there is no such member.
pub fn decide(b: &mut Baseline, member: &str, status: Status) -> Result<(), String> {
    let none = || format!("no member `{member}`");
    let set = |m: &mut Mark| (m.status, m.late) = (status, false);
    match line::read_key(member)? {
        line::Member::Asset(s) => {
            let asset = b.assets.get_mut(&s).ok_or_else(none)?;
            set(&mut asset.mark);
            let waits = |m: &Mark| m.status == Status::Pending && status == Status::Accepted;
            asset.macs.iter_mut().filter(|(_, m)| waits(m)).for_each(|(_, m)| set(m));
            asset.places.iter_mut().filter(|(_, m)| waits(m)).for_each(|(_, m)| set(m));
        }
        line::Member::Binding(s, mac) => {
            let asset = b.assets.get_mut(&s).ok_or_else(none)?;
            set(asset.macs.iter_mut().find(|(m, _)| *m == mac).map(|(_, m)| m).ok_or_else(none)?);
        }
        line::Member::Place(s, place) => {
            let asset = b.assets.get_mut(&s).ok_or_else(none)?;
            set(asset.places.iter_mut().find(|(p, _)| *p == place).map(|(_, m)| m).ok_or_else(none)?);
        }
        line::Member::Talk(key) => {
            let talk = b.talks.get_mut(&key).ok_or_else(none)?;
            set(&mut talk.mark);
            // With a conversation its harmless operations are accepted; each of the others is a decision of its own.
            for (op_key, op) in &mut talk.ops {
                if op.mark.status == Status::Pending && !(op_key.is_risky() && status == Status::Accepted) {
                    set(&mut op.mark);
                }
            }
        }
        line::Member::Op(key, op) => {
            let talk = b.talks.get_mut(&key).ok_or_else(none)?;
            set(&mut talk.ops.get_mut(&op).ok_or_else(none)?.mark);
        }
    }
    b.version += 1;
    Ok(())
}

/// What a person should look at before the lock.
pub fn report(b: &Baseline) -> String {
    let mut text = String::new();
    let p = progress(b);
    let _ = writeln!(text, "state {}, version {}: {}", b.state.word(), b.version, p.reason);
    let _ = writeln!(text, "expected new members: {:.2} a week", p.per_week);
    let mut counts = [[0u32; 5]; 4];
    let mut see = |class: usize, m: &Mark| {
        if let Some(n) = counts.get_mut(class).and_then(|c| c.get_mut(m.status as usize)) {
            *n += 1;
        }
    };
    let (mut once, mut risky) = (Vec::new(), Vec::new());
    for (station, a) in &b.assets {
        see(0, &a.mark);
        a.macs.iter().for_each(|(_, m)| see(1, m));
        if a.mark.status == Status::Seen {
            once.push(line::asset_key(station));
        }
    }
    for (key, t) in &b.talks {
        see(2, &t.mark);
        if t.mark.status == Status::Seen {
            once.push(line::talk_key(key));
        }
        for (op_key, op) in &t.ops {
            see(3, &op.mark);
            if op_key.is_risky() && matches!(op.mark.status, Status::Pending | Status::Seen) {
                risky.push(format!("{} ({} times)", line::op_key(key, op_key), op.mark.count));
            }
        }
    }
    let _ =
        writeln!(text, "{:<14}{:>8}{:>9}{:>9}{:>10}{:>10}", "", "seen", "learned", "pending", "accepted", "rejected");
    for (name, c) in ["stations", "bindings", "conversations", "operations"].iter().zip(counts) {
        let [a, b, c, d, e] = c;
        let _ = writeln!(text, "{name:<14}{a:>8}{b:>9}{c:>9}{d:>10}{e:>10}");
    }
    list(&mut text, "seen too rarely to be usual; not learned", once);
    list(&mut text, "change the state of a device or move a program; wait for approval", risky);
    text
}

fn list(text: &mut String, title: &str, mut lines: Vec<String>) {
    lines.sort_unstable();
    let _ = writeln!(text, "{title}: {}", lines.len());
    for l in lines {
        let _ = writeln!(text, "  {l}");
    }
}
