//! Deviations from the baseline: what is new, what is missing, what came too often.

pub mod deviation;

pub use deviation::{Deviation, Operation, Phase, Subject};
