//! How serious something is.

use ot_xdp_common::op::{Class, Dir};

/// How serious something is, in the steps that ECS receivers use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Severity {
    /// To be looked up when something else asks for it.
    Low = 21,
    /// Should be explainable.
    Medium = 47,
    /// Should have been announced.
    High = 73,
    /// Act now. Needs a baseline: what is new to a sensor need not be new to the plant.
    Critical = 99,
}

impl Severity {
    const STEPS: [Severity; 4] = [Severity::Low, Severity::Medium, Severity::High, Severity::Critical];

    /// Of a function that is seen for the first time.
    pub fn of_first_seen(class: Class, state_changing: bool, dir: Dir) -> Severity {
        if dir == Dir::Response && !state_changing {
            return Severity::Low;
        }
        match class {
            Class::Control | Class::ProgramDownload if state_changing => Severity::High,
            Class::ProgramUpload | Class::RemoteAdmin => Severity::Medium,
            _ if state_changing => Severity::Medium,
            _ => Severity::Low,
        }
    }

    /// Moved by so many steps, within the range.
    pub fn moved(self, steps: i8) -> Severity {
        let at = Self::STEPS.iter().position(|s| *s == self).unwrap_or(0) as i8;
        let at = (at + steps).clamp(0, 3);
        Self::STEPS.get(at as usize).copied().unwrap_or(self)
    }

    /// Word in tables.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }
}
