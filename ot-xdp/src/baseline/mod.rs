//! The baseline: what is normal here, as members that a person can read, review and approve.
//!
//! [`model`] holds it in memory, [`learn`] fills it, [`habit`] is what is learned of cadence and [`rhythm`] what judges it,
//! [`lifecycle`] tells when it is done and locks it, [`line`] is its text form, [`store`] keeps it.

pub mod balance;
pub mod habit;
pub mod imbalance;
pub mod learn;
pub mod lifecycle;
pub mod line;
pub mod model;
pub mod rhythm;
pub mod role;
pub mod store;
pub mod vendor;

pub use model::{Asset, Baseline, Hours, Mark, Op, OpKey, State, Station, Status, Talk, TalkKey};

#[cfg(test)]
mod tests;
