//! Events: what the sensor says, as typed data; the only source of public JSON.
//!
//! Seven kinds: [`FlowSummary`] (what a conversation did in an interval), [`Novelty`] (a function seen for the first time
//! on a conversation), [`Health`] (counters of a port and the state of the sensor), [`Refusal`] (what the policy denied or
//! reported), [`Audit`] (what was done to the gate), [`Lost`] and [`Limited`] (which events are missing). [`ecs`] renders
//! them, [`eve`] and [`cef`] are views of that, [`fields`] lists every field that can occur, [`schema`] makes the JSON
//! Schema of that list, [`limit`] bounds their volume.

mod actions;
pub mod attack;
pub mod cef;
pub mod community_id;
pub mod delivery;
pub mod ecs;
mod ecs_gate;
mod emitted;
pub mod eve;
pub mod fields;
pub mod gate;
pub mod health;
pub mod id;
pub mod limit;
pub mod names;
pub mod schema;

pub use actions::{action_word, actions};
pub use delivery::{LIMITED, LOST, Limited, Lost};
pub use emitted::{Emitted, Format, action_of};
pub use gate::{Audit, Refusal, RuleInfo};
pub use health::{Attach, Health, Reason, Sensor};
pub use id::{Sequencer, Stamp};

use ot_xdp_common::op::{Class, Dir};

use crate::aggregate::{Activity, Interval, Novelty, PortActivity};

/// Version of the events' shape: a new field raises the second number, a removed or renamed one the first.
pub const SCHEMA_VERSION: &str = "1.2.0";

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
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
}

/// What a conversation did in an interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowSummary {
    /// Beginning and end of the interval, nanoseconds of the source's clock.
    pub interval_ns: (u64, u64),
    /// The conversation and its functions.
    pub activity: Activity,
}

/// How serious a new function is, in the steps that ECS receivers use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Severity {
    /// To be looked up when something else asks for it.
    Low = 21,
    /// Should be explainable.
    Medium = 47,
    /// Should have been announced.
    High = 73,
    /// Act now. Not used without a baseline: what is new to a sensor need not be new to the plant.
    Critical = 99,
}

impl Severity {
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
