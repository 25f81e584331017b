//! Cadence: counts the running look of each key, and hears what its habit says of it.

use std::sync::Arc;

use ot_xdp_common::gaps::EPOCH_SHIFT;
use ot_xdp_common::op::Dir;
use ot_xdp_common::wire::FlowValue;

use super::catalog::Kind;
use super::deviation::{Deviation, Known, Operation, Phase, Subject};
use super::told::Told;
use super::watch::Watch;
use super::{mix, quiet, say};
use crate::aggregate::End;
use crate::baseline::balance::{Asked, BalanceHabit};
use crate::baseline::habit::Look;
use crate::baseline::imbalance::{Imbalance, Off};
use crate::baseline::learn::{Meeting, is_exception};
use crate::baseline::line;
use crate::baseline::rhythm::Finding;
use crate::baseline::{Hours, Mark, OpKey, Station, TalkKey};

/// Time after which the habit of an accepted member is taken as learned, seconds of observation.
const RELEARN_S: u64 = 7 * 86_400;

/// Time of learning after which the hours of the week of a command mean something.
const TWO_WEEKS_S: u32 = 14 * 86_400;

fn operation(op: &OpKey) -> Operation {
    Operation {
        proto: op.proto,
        function: op.function,
        unit: op.unit,
        class: op.class(),
        state_changing: op.state_changing(),
        dir: op.dir,
        from_client: op.from_client,
    }
}

/// A finding with whose it is.
pub(super) struct Found {
    pub talk: TalkKey,
    pub op: OpKey,
    pub mark: Mark,
    pub ifindex: u32,
    pub finding: Finding,
}

impl Found {
    pub(super) fn sender(&self) -> Station {
        if self.op.from_client { self.talk.client() } else { self.talk.server() }
    }
}

impl Watch {
    /// Adds what a key did to the running look.
    pub(super) fn count(&mut self, m: &Meeting, ifindex: u32, value: &FlowValue, look: &Look) {
        let Some(talk) = self.baseline.talks.get_mut(&m.talk) else { return };
        let Some(op) = talk.ops.get_mut(&m.op) else { return };
        op.now.count = op.now.count.saturating_add(m.count);
        // The same key on two interfaces: gaps of one are no gaps of both.
        let gap = if op.now.last_ns == 0 { gap_since(value, look) } else { None };
        op.now.gap_max_ns = gap;
        op.now.last_ns = op.now.last_ns.max(value.last_ns);
        op.ifindex = ifindex;
        op.mix = op.mix.saturating_add(m.count);
        let side = if m.op.from_client { &mut talk.sides.0 } else { &mut talk.sides.1 };
        *side = side.saturating_add(m.count);
        if !self.court.judging && m.op.is_risky() {
            op.hours.get_or_insert_with(Box::default).set(Hours::of(m.wall_s));
        }
        if !self.court.judging && op.learning.is_none() {
            op.learning = Some(Box::default());
        }
        match m.op.dir {
            Dir::Request => talk.asked.requests = talk.asked.requests.saturating_add(m.count),
            Dir::Response => {
                talk.asked.answers = talk.asked.answers.saturating_add(m.count);
                if is_exception(m.op.proto, m.op.function) {
                    talk.asked.exceptions = talk.asked.exceptions.saturating_add(m.count);
                }
            }
            _ => {}
        }
    }

    /// A command that is normal comes at an hour of the week at which it never came. Told once an hour of the week.
    pub(super) fn unusual_hour(&mut self, m: &Meeting, ifindex: u32) -> Option<Deviation> {
        if !self.court.judging || !m.op.is_risky() || m.count == 0 {
            return None;
        }
        let (begin, end) = self.baseline.span_s;
        let learned_s = end.saturating_sub(begin);
        let op = self.baseline.talks.get_mut(&m.talk)?.ops.get_mut(&m.op)?;
        let (mark, hour) = (op.mark, Hours::of(m.wall_s));
        let hours =
            op.hours.as_mut().filter(|h| mark.status.is_normal() && learned_s >= TWO_WEEKS_S && !h.has_near(hour))?;
        hours.set(hour);
        let what = say::function(m.op.proto, m.op.function);
        let (from, to) = (m.sender().0, say::other(m));
        let mut d = super::judge::sensor(Kind::UnusualHour, m.at_ns);
        d.interface = self.names.get(&ifindex).map(|n| (ifindex, Arc::clone(n)));
        d.subject = Subject::Talk { key: m.talk, client: m.client, server: m.server, protocol: m.op.proto };
        d.operation = Some(operation(&m.op));
        d.member = Some(line::op_key(&m.talk, &m.op));
        d.source = Some(from);
        d.expected = "at the hours of the week at which it came so far".to_owned();
        d.observed = format!("in hour {hour} of the week (UTC, Monday first)");
        d.known = Known { observations: u64::from(mark.count), seen_s: (mark.first_s, mark.last_s) };
        d.why = format!("{from} commands {to} ({what}) at an hour of the week at which it never did");
        Some(d)
    }

    /// Every five minutes: shares of functions in cycles, and whether both sides are seen.
    pub(super) fn look_at_shares(&mut self, now_ns: u64, out: &mut Vec<Told>) {
        let begin = *self.shares_ns.get_or_insert(now_ns);
        if now_ns.saturating_sub(begin) < mix::WINDOW_NS {
            return;
        }
        self.shares_ns = Some(now_ns);
        let judging = self.court.judging;
        let (both, one) = mix::sides(self.baseline.talks.iter(), judging);
        let is_half = one >= 2 && one * 10 >= (one + both) * 9;
        if is_half != self.half {
            self.half = is_half;
            let mut d = super::judge::sensor(Kind::HalfVisible, now_ns);
            d.phase = if is_half { Phase::New } else { Phase::End };
            d.expected = "questions and answers".to_owned();
            d.observed = format!("{one} of {} conversations with one side only", one + both);
            d.why = format!("{one} of {} conversations show one side only: the mirror misses a direction", one + both);
            self.desk.submit(d, out);
        }
        let mut found = Vec::new();
        for (key, talk) in &mut self.baseline.talks {
            let off = if judging { mix::compare(talk) } else { None };
            talk.off = if off.is_some() { talk.off.saturating_add(1) } else { 0 };
            // Two windows in a row: one may hold the beginning or the end of something else.
            if let Some(m) = off.filter(|_| talk.off == 2) {
                found.push((*key, talk.mark, m));
            }
            talk.sides = (0, 0);
            talk.ops.values_mut().for_each(|op| op.mix = 0);
        }
        found.sort_by_key(|(key, ..)| *key);
        for (key, mark, m) in found {
            let (op, learned, share) = m.moved;
            let what = say::function(op.proto, op.function);
            let (client, server) = (key.client(), key.server());
            let mut d = super::judge::sensor(Kind::FunctionMix, now_ns);
            d.subject = Subject::Talk { key, client: End::default(), server: End::default(), protocol: op.proto };
            d.member = Some(line::talk_key(&key));
            d.source = Some(client);
            d.expected = format!("{:.0} % {what}", learned * 100.0);
            d.observed = format!("{:.0} %", share * 100.0);
            d.threshold = Some(format!("G {:.1}", m.threshold));
            d.score = Some(m.statistic / m.threshold);
            d.window_ns = Some((begin, now_ns));
            d.known = Known { observations: u64::from(mark.count), seen_s: (mark.first_s, mark.last_s) };
            d.why = format!(
                "the cycle of {client} with {server} has changed: {what} is {:.0} % of it and was {:.0} %",
                share * 100.0,
                learned * 100.0
            );
            self.desk.submit(d, out);
        }
    }

    /// Closes the look: every key is asked, also those that did nothing.
    pub(super) fn look_at_time(&mut self, look: &Look, out: &mut Vec<Told>) {
        let judging = self.court.judging;
        let (rules, limits) = (self.settings.rules, self.limits);
        let mut found = Vec::new();
        let mut off = Vec::new();
        let mut one = Vec::new();
        let mut shares = Vec::new();
        for (key, talk) in &mut self.baseline.talks {
            let asked = std::mem::take(&mut talk.asked);
            if judging {
                if let Some(habit) = talk.balance.as_ref().filter(|b| b.is_armed()) {
                    talk.state.look(habit, look, &asked, &mut shares);
                    off.extend(shares.drain(..).map(|s| (*key, talk.mark, s)));
                }
            } else if asked != Asked::default() || talk.balance.is_some() {
                let habit = talk.balance.get_or_insert_with(BalanceHabit::default);
                talk.state.learn(habit, look, &asked);
            }
            for (op_key, op) in &mut talk.ops {
                let sample = std::mem::take(&mut op.now);
                if let Some(learning) = &mut op.learning {
                    learning.observe(look, &sample);
                    if judging && learning.observed_ms() >= RELEARN_S * 1_000 {
                        op.habit = Some(learning.habit(&rules));
                        op.learning = None;
                    }
                }
                let Some(habit) = op.habit.as_ref().filter(|h| judging && h.is_armed()) else { continue };
                op.rhythm.look(habit, &limits, look, &sample, &mut one);
                for finding in one.drain(..) {
                    found.push(Found { talk: *key, op: *op_key, mark: op.mark, ifindex: op.ifindex, finding });
                }
            }
        }
        // The order of a hash map must not decide what is told first.
        found.sort_by_key(|f| (f.talk, f.op));
        off.sort_by_key(|(key, ..)| *key);
        let blind = self.sight.is_any_blind();
        for d in quiet::group(found, &self.armed, look.to_ns, &self.names, blind) {
            self.desk.submit(d, out);
        }
        for (key, mark, s) in off {
            self.desk.submit(of_imbalance(&key, &mark, &s, look), out);
        }
    }
}

fn gap_since(value: &FlowValue, look: &Look) -> Option<u64> {
    // A look spans one or two epochs of the kernel's clock; both must have been measured.
    let (first, last) = (look.from_ns >> EPOCH_SHIFT, look.to_ns >> EPOCH_SHIFT);
    let mut largest = None;
    for epoch in first.max(last.saturating_sub(1))..=last {
        if let Some(gap) = value.gap_max_ns(epoch) {
            largest = largest.max(Some(gap));
        }
    }
    largest
}

/// A finding in words.
pub(super) fn describe(f: &Found, at_ns: u64, interface: Option<(u32, Arc<str>)>) -> Deviation {
    let (client, server) = (f.talk.client(), f.talk.server());
    let what = format!(
        "{} of {} to {}",
        say::function(f.op.proto, f.op.function),
        f.sender(),
        if f.op.from_client { server } else { client }
    );
    let risky = f.op.is_risky();
    let (kind, phase, expected, observed, threshold, score, window, why) = match f.finding {
        Finding::Silence { since_ns, threshold_ns, expected_ns } => {
            let silent = at_ns.saturating_sub(since_ns);
            (
                Kind::Silence,
                Phase::New,
                format!("one at least every {}", say::time(expected_ns)),
                format!("none for {}", say::time(silent)),
                Some(say::time(threshold_ns)),
                Some(silent as f64 / threshold_ns.max(1) as f64),
                Some((since_ns, at_ns)),
                format!(
                    "{what} has stopped: none for {}, never more than {} apart before",
                    say::time(silent),
                    say::time(expected_ns)
                ),
            )
        }
        Finding::SilenceEnd { duration_ns } => {
            let time = say::time(duration_ns);
            let begin = at_ns.saturating_sub(duration_ns);
            let why = format!("{what} is back after {time}");
            (
                Kind::Silence,
                Phase::End,
                "regular".to_owned(),
                format!("back after {time}"),
                None,
                None,
                Some((begin, at_ns)),
                why,
            )
        }
        Finding::CycleMissed { gap_ns, threshold_ns, expected_ns } => (
            Kind::CycleMissed,
            Phase::New,
            format!("at most {} apart", say::time(expected_ns)),
            format!("{} apart", say::time(gap_ns)),
            Some(say::time(threshold_ns)),
            Some(gap_ns as f64 / threshold_ns.max(1) as f64),
            None,
            format!("{what} paused for {}; never more than {} before", say::time(gap_ns), say::time(expected_ns)),
        ),
        Finding::Burst { count, high, threshold } => (
            if risky { Kind::WriteBurst } else { Kind::Burst },
            Phase::New,
            format!("at most {high:.0} in 10 s"),
            format!("{count:.0} in 10 s"),
            Some(format!("{threshold:.0}")),
            Some(f64::from(count / threshold.max(1.0))),
            None,
            format!("{what} came {count:.0} times in 10 s; never more than {high:.0} before"),
        ),
        Finding::BurstEnd => {
            let kind = if risky { Kind::WriteBurst } else { Kind::Burst };
            let why = format!("{what} comes as usual again");
            (kind, Phase::End, "calm".to_owned(), "calm".to_owned(), None, None, None, why)
        }
        Finding::RateShift { up, statistic, threshold, mean, estimate, window_s, since_ns } => (
            Kind::RateShift,
            Phase::New,
            format!("{mean:.1} in {window_s} s"),
            format!("{estimate:.1} in {window_s} s"),
            Some(format!("cumulative sum {threshold:.1}")),
            Some(f64::from(statistic / threshold.max(0.1))),
            Some((since_ns, at_ns)),
            format!(
                "{what} comes {} often since {}: {estimate:.1} instead of {mean:.1} in {window_s} s",
                if up { "more" } else { "less" },
                say::time(at_ns.saturating_sub(since_ns)) + " ago"
            ),
        ),
        Finding::RateEnd => {
            let why = format!("{what} comes as often as usual again");
            (Kind::RateShift, Phase::End, "usual".to_owned(), "usual".to_owned(), None, None, None, why)
        }
        Finding::Drift { anchor, now } => (
            Kind::BaselineDrift,
            Phase::New,
            format!("{anchor:.1} a window"),
            format!("{now:.1} a window"),
            Some("5 % over a day".to_owned()),
            Some(f64::from((now / anchor - 1.0).abs() / 0.05)),
            None,
            format!("{what} has crept from {anchor:.1} to {now:.1} a window; the locked baseline does not follow"),
        ),
    };
    Deviation {
        kind,
        steps: 0,
        phase,
        at_ns,
        interface,
        subject: Subject::Talk { key: f.talk, client: End::default(), server: End::default(), protocol: f.op.proto },
        operation: Some(operation(&f.op)),
        member: Some(line::op_key(&f.talk, &f.op)),
        expected,
        observed,
        threshold,
        score,
        window_ns: window,
        evidence: Vec::new(),
        known: Known { observations: u64::from(f.mark.count), seen_s: (f.mark.first_s, f.mark.last_s) },
        dedup: String::new(),
        source: Some(f.sender()),
        members: 1,
        count: 1,
        why,
        zones: None,
    }
}

fn of_imbalance(key: &TalkKey, mark: &Mark, s: &Imbalance, look: &Look) -> Deviation {
    let (client, server) = (key.client(), key.server());
    let percent = |x: f32| format!("{:.1} %", x * 100.0);
    let (kind, why, source) = match s.off {
        Off::Unanswered => (
            Kind::Unanswered,
            format!(
                "{server} leaves {} of the questions of {client} without an answer; it was {}",
                percent(s.share),
                percent(s.learned)
            ),
            server,
        ),
        Off::Unasked => (
            Kind::AnswersUnasked,
            format!("{server} seems to answer {client} {} more often than it was asked", percent(s.share)),
            server,
        ),
        Off::Exceptions => (
            Kind::ExceptionShare,
            format!(
                "{server} answers {} of the questions of {client} with errors; it was {}",
                percent(s.share),
                percent(s.learned)
            ),
            server,
        ),
    };
    let mut d = super::judge::sensor(kind, look.to_ns);
    d.phase = if s.over { Phase::End } else { Phase::New };
    d.subject = Subject::Talk { key: *key, client: End::default(), server: End::default(), protocol: 0 };
    d.expected = format!("at most {}", percent(s.threshold));
    d.observed = percent(s.share);
    d.threshold = Some(percent(s.threshold));
    d.score = Some(f64::from(s.share / s.threshold.max(0.001)));
    d.known = Known { observations: u64::from(mark.count), seen_s: (mark.first_s, mark.last_s) };
    d.source = Some(source);
    d.member = Some(line::talk_key(key));
    d.why = if s.over { format!("shares of {client} and {server} are usual again") } else { why };
    d
}
