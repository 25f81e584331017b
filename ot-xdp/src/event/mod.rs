//! Events: what the sensor says, as typed data; the only source of public JSON.
//!
//! Eight kinds: [`FlowSummary`] (what a conversation did in an interval), [`Novelty`] (a function seen for the first time
//! on a conversation), [`Health`] (counters of a port and the state of the sensor), [`Refusal`] (what the policy denied or
//! reported), [`Audit`] (what was done to the gate), [`Alert`] (what deviates from the baseline), [`Lost`] and [`Limited`]
//! (which events are missing). [`ecs`] renders them, [`eve`] and [`cef`] are views of that, [`fields`] lists every field that can occur, [`schema`] makes the JSON
//! Schema of that list, [`limit`] bounds their volume.

mod actions;
pub mod cef;
pub mod community_id;
pub mod delivery;
pub mod ecs;
mod ecs_deviation;
mod ecs_gate;
mod emitted;
pub mod eve;
pub mod fields;
pub mod gate;
pub mod health;
pub mod id;
pub mod limit;
pub mod schema;

pub use crate::severity::Severity;
pub use crate::{attack, names};
pub use actions::{action_word, actions};
pub use delivery::{LIMITED, LOST, Limited, Lost};
pub use emitted::{Emitted, Format, action_of};
pub use gate::{Audit, Refusal, RuleInfo};
pub use health::{Attach, Health, Reason, Sensor};
pub use id::{Sequencer, Stamp};

use crate::aggregate::{Activity, Interval, Novelty, PortActivity};

/// Version of the events' shape: a new field raises the second number, a removed or renamed one the first.
pub const SCHEMA_VERSION: &str = "1.2.0";

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// What a conversation did in an interval.
    Flow(Box<FlowSummary>),
    /// A function seen for the first time on a conversation.
    FirstSeen(Box<Novelty>),
    /// Counters of a port and the state of the sensor.
    Health(Box<Health>),
    /// What a rule of the policy denied or reported.
    Refusal(Box<Refusal>),
    /// Something that was done to the gate.
    Audit(Box<Audit>),
    /// Events that did not reach a receiver.
    Lost(Box<Lost>),
    /// Events over the daily volume.
    Limited(Box<Limited>),
    /// What deviates from the baseline.
    Deviation(Box<Alert>),
}

/// A deviation, and which baseline it was compared with.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// What deviates, and its incident.
    pub told: crate::detect::Told,
    /// The baseline.
    pub baseline: BaselineInfo,
    /// Name of the maintenance window in which it happened: it is told all the same.
    pub maintenance: Option<String>,
}

/// What an alert tells of the baseline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BaselineInfo {
    /// Its state in a word.
    pub state: &'static str,
    /// Its version.
    pub version: u32,
    /// Seconds of observation that it rests on.
    pub age_s: u32,
}

/// What a conversation did in an interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowSummary {
    /// Beginning and end of the interval, nanoseconds of the source's clock.
    pub interval_ns: (u64, u64),
    /// The conversation and its functions.
    pub activity: Activity,
}

/// The events of an interval: what is new in the order of time, then conversations, then ports. `attach` tells how the
/// frames of a port reach the program.
pub fn of_interval(interval: Interval, sensor: Sensor, attach: impl Fn(&PortActivity) -> Attach) -> Vec<Event> {
    let interval_ns = (interval.start_ns, interval.end_ns);
    let health = interval.ports.iter().map(|p| Health::new(p, &interval, attach(p), sensor)).collect::<Vec<_>>();
    let novelties = interval.novelties.into_iter().map(|n| Event::FirstSeen(Box::new(n)));
    let flows =
        interval.conversations.into_iter().map(|activity| Event::Flow(Box::new(FlowSummary { interval_ns, activity })));
    novelties.chain(flows).chain(health.into_iter().map(|h| Event::Health(Box::new(h)))).collect()
}

#[cfg(test)]
mod tests;
