//! What one read of all counters costs in user space, by number of keys.
#![allow(unsafe_code, reason = "getrusage")]

use anyhow::Result;
use ot_xdp::bindings::BindingTable;
use ot_xdp::source::kernel::{Kernel, Options as Load};
use ot_xdp_common::wire::{FlowKey, FlowValue};
use serde_json::{Value, json};

use crate::Options;
use crate::table::{median, row};

/// Measures and prints the table.
pub fn run(options: &Options) -> Result<Vec<Value>> {
    let sizes: &[u32] = if options.quick { &[1_000, 100_000] } else { &[1_000, 100_000, 1_000_000] };
    let rounds = if options.quick { 3 } else { 7 };
    println!("\none read of all counters by batch, CPUs merged; medians of {rounds} reads");
    row("keys", &["wall ms", "CPU ms"].map(str::to_owned));
    let mut rows = Vec::new();
    for keys in sizes {
        let mut kernel = Kernel::load(&Load {
            flows: *keys + *keys / 4,
            replay: false,
            bindings: BindingTable::default(),
            gate: false,
        })?;
        for i in 0..*keys {
            let key = FlowKey { src: [0, 0, 0xFFFF, i], function: i % 7, ..FlowKey::default() };
            kernel.insert_flow(key, FlowValue { pdus: 1, frames: 1, ..FlowValue::default() })?;
        }
        let (mut wall, mut cpu) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let (w, c) = (std::time::Instant::now(), cpu_seconds());
            let read = kernel.snapshot()?.flows.len();
            cpu.push((cpu_seconds() - c) * 1e3);
            wall.push(w.elapsed().as_secs_f64() * 1e3);
            anyhow::ensure!(read == *keys as usize, "read {read} keys of {keys}");
        }
        let (w, c) = (median(&wall), median(&cpu));
        row(&keys.to_string(), &[format!("{w:.1}"), format!("{c:.1}")]);
        rows.push(json!({ "keys": keys, "wall_ms": w, "cpu_ms": c }));
    }
    Ok(rows)
}

/// User and system time of this process.
fn cpu_seconds() -> f64 {
    // SAFETY: a zeroed rusage is valid, and the call fills it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage
    };
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 * 1e-6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}
