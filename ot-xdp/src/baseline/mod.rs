//! The baseline: what is normal here, as members that a person can read, review and approve.
//!
//! [`model`] holds it in memory, [`learn`] fills it, [`lifecycle`] tells when it is done and locks it.

pub mod learn;
pub mod lifecycle;
pub mod model;

pub use model::{Asset, Baseline, Mark, Op, OpKey, State, Station, Status, Talk, TalkKey};
