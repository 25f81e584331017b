//! Frames a second through a veth pair with native XDP: floors and ours in turn, live frames as the generator.

use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::Options;
use crate::rig::{FLOORS, PROGRAMS, Rig};
use crate::table::{median, row};
use crate::workload::{MODBUS_READ, tcp};

/// A veth pair that is gone with its guard.
struct Pair(String);

impl Pair {
    fn new() -> Result<Pair> {
        let id = std::process::id();
        let pair = Pair(format!("otb{id}"));
        ip(&["link", "add", &pair.0, "type", "veth", "peer", "name", &format!("{}p", pair.0)])?;
        ip(&["link", "set", &pair.0, "up"])?;
        ip(&["link", "set", &format!("{}p", pair.0), "up"])?;
        Ok(pair)
    }
    fn index(&self, suffix: &str) -> Result<u32> {
        let file = format!("/sys/class/net/{}{suffix}/ifindex", self.0);
        Ok(std::fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?.trim().parse()?)
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        // Nothing to do when it is gone already.
        let _ = ip(&["link", "del", &self.0]);
    }
}

fn ip(args: &[&str]) -> Result<()> {
    let done = Command::new("ip").args(args).output().context("cannot run `ip` (package iproute2)")?;
    anyhow::ensure!(done.status.success(), "ip {}: {}", args.join(" "), String::from_utf8_lossy(&done.stderr));
    Ok(())
}

/// Measures and prints the table.
pub fn run(options: &Options) -> Result<Vec<Value>> {
    let mut rig = Rig::load(&options.object, false)?;
    let pair = Pair::new()?;
    let (from, to) = (pair.index("")?, pair.index("p")?);
    let frame = tcp(502, &MODBUS_READ);
    let (rounds, count) = if options.quick { (2, 200 * 1024) } else { (7, 2000 * 1024) };
    println!(
        "\nlive Modbus reads through veth, native XDP, 1,024 conversations, passed to the stack; medians of {rounds} rounds"
    );
    row("program", &["Mframes/s", "/ pass", "/ count"].map(str::to_owned));
    let mut rates = vec![Vec::new(); PROGRAMS];
    let mut next = [0; PROGRAMS];
    for _ in 0..rounds {
        for (column, list) in rates.iter_mut().enumerate() {
            let attached = rig.attach(column, to)?;
            let seconds = rig.generate(&frame, from, count, 1024, &mut next[column])?;
            rig.detach(attached);
            list.push(f64::from(count) / seconds / 1e6);
        }
    }
    let medians: Vec<f64> = rates.iter().map(|r| median(r)).collect();
    let names = FLOORS.iter().copied().chain(["ours"]);
    Ok(names
        .zip(&medians)
        .map(|(name, rate)| {
            let (pass, floor) = (rate / medians[0], rate / medians[2]);
            row(name, &[format!("{rate:.2}"), format!("{pass:.2}"), format!("{floor:.2}")]);
            json!({ "program": name, "mframes_per_s": rate, "ratio_pass": pass, "ratio_count": floor })
        })
        .collect())
}
