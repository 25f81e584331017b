//! Questions, answers and errors of one conversation, and the shares that are usual.

use super::habit::Look;

/// Length of a window, milliseconds.
const WINDOW_MS: u32 = 60_000;
/// Fewest questions in a window that has shares.
pub const LEAST: u32 = 10;

/// What one look saw of a conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Questions.
    pub requests: u32,
    /// Answers, errors included.
    pub answers: u32,
    /// Errors.
    pub exceptions: u32,
}

/// What is usual.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BalanceHabit {
    /// Questions so far.
    pub requests: u32,
    /// Answers so far.
    pub answers: u32,
    /// Errors so far.
    pub exceptions: u32,
    /// Windows so far.
    pub windows: u32,
    /// Largest share of questions without an answer in a window.
    pub most_unanswered: f32,
    /// Largest share of errors in a window.
    pub most_exceptions: f32,
    /// Largest share of answers beyond the questions in a window.
    pub most_unasked: f32,
}

impl BalanceHabit {
    /// Learns a window.
    pub fn learn(&mut self, a: &Asked) {
        self.requests = self.requests.saturating_add(a.requests);
        self.answers = self.answers.saturating_add(a.answers);
        self.exceptions = self.exceptions.saturating_add(a.exceptions);
        if a.requests < LEAST {
            return;
        }
        self.windows += 1;
        let s = Shares::of(a);
        self.most_unanswered = self.most_unanswered.max(s.unanswered);
        self.most_exceptions = self.most_exceptions.max(s.exceptions);
        self.most_unasked = self.most_unasked.max(s.unasked);
    }

    /// Were both sides seen, long enough?
    pub fn is_armed(&self) -> bool {
        self.windows >= 60 && self.answers > self.requests / 2 && self.answers <= self.requests + self.requests / 5
    }

    /// Shares of all that was learned.
    pub fn shares(&self) -> Shares {
        Shares::of(&Asked { requests: self.requests, answers: self.answers, exceptions: self.exceptions })
    }

    /// As text without blanks.
    pub fn to_text(&self) -> String {
        format!(
            "requests:{};answers:{};exceptions:{};windows:{};most_unanswered:{:?};most_exceptions:{:?};most_unasked:{:?}",
            self.requests,
            self.answers,
            self.exceptions,
            self.windows,
            self.most_unanswered,
            self.most_exceptions,
            self.most_unasked
        )
    }

    /// From [`Self::to_text`].
    pub fn from_text(text: &str) -> Option<BalanceHabit> {
        let mut b = BalanceHabit::default();
        for pair in text.split(';') {
            let (name, value) = pair.split_once(':')?;
            match name {
                "requests" => b.requests = value.parse().ok()?,
                "answers" => b.answers = value.parse().ok()?,
                "exceptions" => b.exceptions = value.parse().ok()?,
                "windows" => b.windows = value.parse().ok()?,
                "most_unanswered" => b.most_unanswered = value.parse().ok()?,
                "most_exceptions" => b.most_exceptions = value.parse().ok()?,
                "most_unasked" => b.most_unasked = value.parse().ok()?,
                _ => return None,
            }
        }
        Some(b)
    }
}

/// Shares of the questions.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shares {
    /// Without an answer.
    pub unanswered: f32,
    /// Answered by an error.
    pub exceptions: f32,
    /// Answers beyond the questions.
    pub unasked: f32,
}

impl Shares {
    /// Of some questions and answers.
    pub fn of(a: &Asked) -> Shares {
        let q = a.requests.max(1) as f32;
        Shares {
            unanswered: a.requests.saturating_sub(a.answers) as f32 / q,
            exceptions: a.exceptions as f32 / q,
            unasked: a.answers.saturating_sub(a.requests) as f32 / q,
        }
    }
}

/// A running window of a minute.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Minute {
    asked: Asked,
    elapsed_ms: u32,
}

impl Minute {
    /// Adds a look; the window when it is whole.
    pub fn add(&mut self, look: &Look, a: &Asked) -> Option<Asked> {
        if look.is_pause() {
            *self = Minute::default();
            return None;
        }
        self.asked.requests += a.requests;
        self.asked.answers += a.answers;
        self.asked.exceptions += a.exceptions;
        self.elapsed_ms += look.length_ms();
        if self.elapsed_ms + 4_000 < WINDOW_MS {
            return None;
        }
        Some(std::mem::take(self).asked)
    }
}
