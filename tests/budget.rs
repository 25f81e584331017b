//! Verified instructions and stack of every kernel program stay inside stored budgets; no panic is left in the object.
//!
//! Growth by more than the budget needs a new number in `tests/data/budget.toml`, in the same commit.

use std::collections::BTreeMap;

use harness::{data, is_root, skip};
use ot_xdp::bindings::BindingTable;
use ot_xdp::object::OBJECT;
use ot_xdp::source::kernel::{Kernel, Options};
use ot_xdp_common::limits::FLOWS;

mod elf;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Budget {
    /// Verified instructions by program, as `verified_insns` of the kernel's program information tells.
    verified: BTreeMap<String, u32>,
    /// Octets of stack that any function may use; the kernel allows 512 for a whole chain of calls.
    stack: u32,
    /// Verified instructions of all programs together.
    sum: u32,
    /// Seconds for loading and verifying everything.
    load_seconds: f64,
}

fn budget() -> Budget {
    let text = std::fs::read_to_string(data::root().join("tests/data/budget.toml")).expect("budget.toml");
    toml::from_str(&text).expect("budget.toml is valid")
}

#[test]
fn verified_instructions_and_load_time() {
    if !is_root() {
        skip!("needs root to load the kernel program");
    }
    let budget = budget();
    let load = |tunnels: bool, gate: bool| {
        let mut bindings = BindingTable::default();
        bindings.open_tunnels(tunnels);
        let begin = std::time::Instant::now();
        let options = Options { flows: FLOWS, replay: false, bindings, gate };
        let kernel = Kernel::load(&options).expect("loads");
        (begin.elapsed().as_secs_f64(), kernel)
    };
    // The best of three: what else the machine does is not the program's.
    let (took, kernel) = [load(false, false), load(false, false), load(false, false)]
        .into_iter()
        .min_by(|a, b| a.0.total_cmp(&b.0))
        .expect("three");
    let (mut over, mut sum) = (Vec::new(), 0);
    // The programs of a sensor that opens tunnels and of a gate, where they differ from those of a plain sensor.
    let plain = kernel.verified_instructions();
    let differing = |kernel: Kernel, what: &str| -> Vec<(String, u32)> {
        let all = kernel.verified_instructions().into_iter().filter(|row| !plain.contains(row));
        all.map(|(name, n)| (format!("{name}+{what}"), n)).collect()
    };
    let opened = differing(load(true, false).1, "tunnels");
    let gate = differing(load(false, true).1, "gate");
    for (name, count) in plain.iter().cloned().chain(opened).chain(gate) {
        println!("{name}: {count} verified instructions");
        if !name.contains('+') {
            sum += count;
        }
        let max = budget
            .verified
            .get(name.split('+').next().unwrap_or(&name))
            .or_else(|| budget.verified.get("default"))
            .copied()
            .unwrap_or(0);
        if count > max {
            over.push(format!("{name}: {count} verified instructions, budget {max}"));
        }
    }
    println!("{sum} verified instructions in all");
    assert!(sum <= budget.sum, "{sum} verified instructions in all, budget {}", budget.sum);
    assert!(over.is_empty(), "over budget:\n{}", over.join("\n"));
    println!("loaded in {took:.3} s");
    assert!(took < budget.load_seconds, "loading took {took:.3} s, budget {} s", budget.load_seconds);
}

#[test]
fn stack_of_every_function() {
    if OBJECT.is_empty() {
        skip!("built without the kernel object");
    }
    let budget = budget();
    for (name, depth) in elf::stack_depths(OBJECT).expect("the object is readable") {
        println!("{name}: {depth} octets of stack");
        assert!(depth <= budget.stack, "{name} uses {depth} octets of stack, budget {}", budget.stack);
    }
}

#[test]
fn no_panic_is_linked() {
    if OBJECT.is_empty() {
        skip!("built without the kernel object");
    }
    let names = elf::symbols(OBJECT).expect("the object is readable");
    assert!(names.iter().any(|n| n == "ot_xdp"), "the symbol table was read");
    let panics: Vec<_> = names.iter().filter(|n| n.contains("panicking")).collect();
    assert!(panics.is_empty(), "reachable panics: {panics:?}");
}
