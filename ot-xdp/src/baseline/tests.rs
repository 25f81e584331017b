//! Baselines: text form, store, life cycle, habits.

mod habits;
mod store;
mod text;
