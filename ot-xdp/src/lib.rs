//! `ot-xdp` as a library: the stages in the order in which data flows, for the program and for tests.

pub mod aggregate;
pub mod attack;
pub mod baseline;
pub mod bindings;
pub mod capture;
pub mod cli;
pub mod command;
pub mod config;
pub mod control;
pub mod detect;
pub mod event;
pub mod gate;
pub mod names;
pub mod object;
pub mod pipeline;
pub mod policy;
pub mod severity;
pub mod sink;
pub mod source;
pub mod sys;
pub mod text;
