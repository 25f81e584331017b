//! Coverage-guided fuzzing of the parsers with libFuzzer. Started by `cargo xtask fuzz`, which says what by environment:
//! `OT_XDP_FUZZ` is a target or `seeds`, `OT_XDP_FUZZ_ONLY` the name of one protocol.
//!
//! A broken rule is a panic, and libFuzzer writes the input that broke it. The rules are in `check.rs`, the form of the
//! inputs in the file of each target.
#![no_main]

mod check;
mod frames;
mod host;
mod only;
mod packets;
mod parsers;
mod seeds;
mod streams;

use std::sync::OnceLock;

use libfuzzer_sys::{Corpus, fuzz_target};

/// Runs one input. False: it is of no use in the corpus.
type Target = fn(&[u8]) -> bool;

static TARGET: OnceLock<Target> = OnceLock::new();

/// Chooses the target, or makes the seeds and ends.
fn begin() {
    let name = std::env::var("OT_XDP_FUZZ").unwrap_or_default();
    let target: Target = match name.as_str() {
        "parsers" => parsers::run,
        "frames" => frames::run,
        "streams" => streams::run,
        "seeds" => std::process::exit(seeds::make()),
        other => {
            eprintln!("OT_XDP_FUZZ={other}: parsers, frames, streams or seeds; `cargo xtask fuzz` sets it");
            std::process::exit(2)
        }
    };
    let _ = TARGET.set(target);
}

fuzz_target!(init: begin(), |data: &[u8]| -> Corpus {
    match TARGET.get() {
        Some(target) if target(data) => Corpus::Keep,
        _ => Corpus::Reject,
    }
});
