//! Frame parsing and classification for `ot-xdp`: the one source that the kernel program, replay, tests and fuzzers run.
//!
//! Rules of this crate: `no_std`, no `unsafe`, no dependency, no feature, nothing that can panic (a reachable panic is
//! refused by the kernel's verifier). Reading order: [`bytes`] (bounded access), [`frame`] (envelope), [`op`]
//! (vocabulary), [`proto`] (one file a protocol), [`walk`] (all PDUs of a segment), [`wire`] (map keys and values).
#![no_std]
#![forbid(unsafe_code)]
#![allow(
    clippy::indexing_slicing,
    reason = "an index that could fail would leave a panic in the kernel object, which the build refuses"
)]

pub mod bench;
pub mod bytes;
pub mod classify;
pub mod flags;
pub mod frame;
pub mod gaps;
pub mod limits;
pub mod op;
pub mod overrule;
pub mod policy;
pub mod probe;
pub mod proto;
pub mod reason;
pub mod service;
pub mod stream;
#[cfg(test)]
pub mod testing;
pub mod walk;
pub mod wire;
