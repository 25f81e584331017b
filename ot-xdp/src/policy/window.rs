//! Weekly windows: when the current or the next one is.
//!
//! A rule in the kernel has one stretch of time. So a policy is compiled with the stretch that is now or comes next, and
//! has to be compiled again when it is over: [`super::Compiled::renew_ns`].

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Zoned};

/// A weekly window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Name in rules.
    pub name: String,
    /// Days on which it begins.
    pub days: Vec<Weekday>,
    /// Minutes of the day at which it begins.
    pub from: u16,
    /// Minutes at which it ends, counted from the midnight before it began; more than a day behind midnight.
    pub to: u16,
    /// Where its times are told.
    pub zone: TimeZone,
}

/// Minutes of a day.
pub const DAY: u16 = 1_440;
/// Days that are looked at before and after today: a week, and the one on which a window may have begun.
const AROUND: std::ops::RangeInclusive<i64> = -1..=15;

impl Window {
    /// Begin and end of the stretch that is now, or of the next one. Stretches without a pause between them are one.
    pub fn stretch(&self, now: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let today = now.to_zoned(self.zone.clone());
        let mut found: Option<(Timestamp, Timestamp)> = None;
        for day in AROUND {
            let Some((begin, end)) = self.on(&today, day).filter(|(_, end)| *end > now) else { continue };
            found = match found {
                None => Some((begin, end)),
                Some((first, last)) if begin <= last => Some((first, last.max(end))),
                done => return done,
            };
        }
        found
    }

    /// The stretch that begins so many days after today.
    fn on(&self, today: &Zoned, days: i64) -> Option<(Timestamp, Timestamp)> {
        let date = today.date().checked_add(Span::new().try_days(days).ok()?).ok()?;
        if !self.days.contains(&date.weekday()) {
            return None;
        }
        let at = |minutes: u16| {
            let date = if minutes >= DAY { date.tomorrow().ok()? } else { date };
            let minutes = minutes % DAY;
            let time = Time::new((minutes / 60) as i8, (minutes % 60) as i8, 0, 0).ok()?;
            date.to_datetime(time).to_zoned(self.zone.clone()).ok().map(|z| z.timestamp())
        };
        Some((at(self.from)?, at(self.to)?))
    }
}
