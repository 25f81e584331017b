//! Deviations from the baseline: what is new, what is missing, what came too often.
//!
//! [`Watch`] is fed with first-seen records at once and with all counters every ten seconds. It learns, or judges, or both:
//! checks that need no baseline hold in any state.

pub mod catalog;
pub mod deviation;
mod judge;
pub mod membership;
mod mix;
mod quiet;
mod sanity;
mod say;
mod sensor;
mod sweep;
mod timing;
pub mod told;
mod watch;
pub mod zones;

pub use catalog::{Kind, Severity};
pub use deviation::{Deviation, Known, Operation, Phase, Subject};
pub use told::Told;
pub use watch::{Settings, Watch};
pub use zones::{Side, Zone, Zones};

#[cfg(test)]
mod tests;
