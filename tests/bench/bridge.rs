//! Frames a second across a real Linux bridge: a program that only passes, ours watching, ours armed, in turn.
#![allow(unsafe_code, reason = "a network namespace of its own: one system call without a wrapper")]

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use ot_xdp::gate::{Gate, simple};
use ot_xdp::source::kernel::AttachMode;
use ot_xdp_common::policy::Mode;
use serde_json::{Value, json};

use crate::Options;
use crate::rig::Rig;
use crate::table::{median, row};
use crate::workload::{MODBUS_READ, tcp};

/// Ports of the bridge: towards IT, towards OT.
const PORTS: [&str; 2] = ["gi", "go"];
const VARIANTS: [&str; 4] = ["empty pass", "counting floor", "ours, monitor", "ours, armed"];

/// Measures and prints the table.
pub fn run(options: &Options) -> Result<Value> {
    // SAFETY: a system call without memory; the bench has one thread so far.
    let done = unsafe { libc::unshare(libc::CLONE_NEWNET) };
    anyhow::ensure!(done == 0, "no network namespace: {}", std::io::Error::last_os_error());
    for line in [
        "link add br0 type bridge",
        "link add ga type veth peer name gi",
        "link add go type veth peer name gb",
        "link set gi master br0",
        "link set go master br0",
    ] {
        ip(line)?;
    }
    for name in ["br0", "ga", "gi", "go", "gb"] {
        ip(&format!("link set {name} up"))?;
    }
    // The generator does not mend IP checksums, which netfilter would look at on a bridge. Absent without its module.
    let _ = std::fs::write("/proc/sys/net/bridge/bridge-nf-call-iptables", "0");
    // Carrier and port states settle.
    std::thread::sleep(Duration::from_millis(500));
    let mut fdb = Command::new("bridge");
    let fdb = fdb.args(["fdb", "replace", "02:00:00:00:00:02", "dev", "go", "master", "static"]).output()?;
    anyhow::ensure!(fdb.status.success(), "bridge fdb: {}", String::from_utf8_lossy(&fdb.stderr));

    let mut rig = Rig::load(&options.object, true)?;
    let ports = PORTS.map(|name| index(name).map(|i| (i, name.to_owned())));
    let ports: Vec<(u32, String)> = ports.into_iter().collect::<Result<_>>()?;
    let plan = simple::plan(&[PORTS[0].to_owned()], &[PORTS[1].to_owned()], &ports)?;
    let mut gate = Gate::start(&mut rig.ours, plan, Duration::from_secs(3600))?;
    let frame = tcp(502, &MODBUS_READ);
    let from = index("ga")?;
    let (rounds, count) = if options.quick { (2, 100_000) } else { (9, 1_000_000) };
    println!("\nlive Modbus reads across a bridge, 1,024 conversations; medians of {rounds} interleaved rounds");
    row("ports of the bridge", &["Mframes/s", "/ pass", "ns more", "arrived"].map(str::to_owned));
    let (mut rates, mut arrived) = (vec![Vec::new(); VARIANTS.len()], [0u64; VARIANTS.len()]);
    for _ in 0..rounds {
        for (variant, list) in rates.iter_mut().enumerate() {
            let attached = match variant {
                0 | 1 => {
                    let column = if variant == 0 { 0 } else { 2 };
                    ports.iter().map(|(i, _)| rig.attach(column, *i)).collect::<Result<Vec<_>>>()?
                }
                _ => {
                    let mode = if variant == 2 { Mode::Monitor } else { Mode::Enforce };
                    gate.set_mode(&mut rig.ours, mode, None)?;
                    for (i, name) in &ports {
                        rig.ours.attach(*i, name, AttachMode::Native)?;
                    }
                    Vec::new()
                }
            };
            let before = received("gb")?;
            let seconds = rig.generate(&frame, from, count, 1024)?;
            // What is on its way still arrives.
            std::thread::sleep(Duration::from_millis(20));
            arrived[variant] += received("gb")? - before;
            drop(attached);
            rig.ours.detach_all();
            list.push(f64::from(count) / seconds / 1e6);
        }
    }
    let medians: Vec<f64> = rates.iter().map(|r| median(r)).collect();
    let sent = f64::from(count) * f64::from(rounds);
    let rows = VARIANTS.iter().zip(&medians).zip(arrived).map(|((name, rate), arrived)| {
        let (ratio, more) = (rate / medians[0], 1e3 / rate - 1e3 / medians[0]);
        let share = arrived as f64 / sent;
        row(name, &[format!("{rate:.2}"), format!("{ratio:.2}"), format!("{more:.0}"), format!("{share:.4}")]);
        json!({ "program": name, "mframes_per_s": rate, "ratio_pass": ratio, "ns_more": more, "arrived": share })
    });
    Ok(rows.collect())
}

fn ip(line: &str) -> Result<()> {
    let done = Command::new("ip").args(line.split(' ')).output().context("cannot run `ip` (package iproute2)")?;
    anyhow::ensure!(done.status.success(), "ip {line}: {}", String::from_utf8_lossy(&done.stderr));
    Ok(())
}

fn index(name: &str) -> Result<u32> {
    let text = std::ffi::CString::new(name)?;
    // SAFETY: a nul-terminated string; the call only reads it.
    let index = unsafe { libc::if_nametoindex(text.as_ptr()) };
    anyhow::ensure!(index != 0, "no interface {name}");
    Ok(index)
}

/// Frames that an interface of this thread's namespace received.
fn received(name: &str) -> Result<u64> {
    let all = std::fs::read_to_string("/proc/thread-self/net/dev").context("cannot read the interface counters")?;
    let line = all.lines().find_map(|l| l.trim().strip_prefix(name)?.strip_prefix(':'));
    let frames = line.and_then(|l| l.split_whitespace().nth(1)).and_then(|n| n.parse().ok());
    frames.with_context(|| format!("no counters of {name}"))
}
