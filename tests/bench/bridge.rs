//! Frames a second and latency across a real Linux bridge: without XDP, with a program that only passes, with ours watching
//! and armed, with a packet filter of the kernel, and ours as a pair of interfaces instead of the bridge; in turn.
#![allow(unsafe_code, reason = "a network namespace of its own: one system call without a wrapper")]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use harness::netns::{ETHTOOL_SGRO, feature_here};
use harness::packet::PacketSocket;
use ot_xdp::bindings::BindingTable;
use ot_xdp::gate::{Gate, simple};
use ot_xdp::source::kernel::{AttachMode, Kernel, Options as KernelOptions};
use ot_xdp_common::policy::Mode;
use serde_json::{Value, json};

use crate::Options;
use crate::rig::{Attached, Rig};
use crate::table::{median, row};
use crate::workload::{MODBUS_READ, tcp, tcp_of};

/// Ports of the bridge: towards IT, towards OT; and their other ends.
const PORTS: [&str; 2] = ["gi", "go"];
const ENDS: [&str; 2] = ["ga", "gb"];

/// What forwards.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Variant {
    Plain,
    EmptyPass,
    CountingFloor,
    Nftables,
    Monitor,
    Armed,
    Pair,
}

impl Variant {
    /// Which program sees its frames: ours is one, watching or armed.
    fn program(self) -> usize {
        match self {
            Variant::Plain => 0,
            Variant::EmptyPass => 1,
            Variant::CountingFloor => 2,
            Variant::Nftables => 3,
            Variant::Monitor | Variant::Armed => 4,
            Variant::Pair => 5,
        }
    }
}

const VARIANTS: [(Variant, &str); 7] = [
    (Variant::Plain, "bridge, no XDP"),
    (Variant::EmptyPass, "bridge, empty pass"),
    (Variant::CountingFloor, "bridge, counting floor"),
    (Variant::Nftables, "bridge, nftables rule"),
    (Variant::Monitor, "bridge, ours monitor"),
    (Variant::Armed, "bridge, ours armed"),
    (Variant::Pair, "pair, ours armed"),
];

/// One rule that matches the function code of a Modbus write, as a firewall of the kernel would.
const RULES: &str = "table bridge otbench {\n chain c {\n type filter hook forward priority 0; policy accept;\n \
                     ether type ip tcp dport 502 @th,216,8 6 counter drop\n }\n}\n";

/// The programs, and the gates of two of them.
struct Bench {
    rig: Rig,
    gate: Gate,
    pair: Kernel,
    ports: Vec<(u32, String)>,
    _armed_pair: Gate,
}

/// What keeps a variant in place.
struct Set {
    _attached: Vec<Attached>,
}

impl Bench {
    fn set(&mut self, variant: Variant) -> Result<Set> {
        let floor = match variant {
            Variant::Plain => None,
            Variant::EmptyPass => Some(0),
            Variant::CountingFloor => Some(2),
            Variant::Nftables => {
                nft("-f", RULES)?;
                None
            }
            Variant::Monitor | Variant::Armed => {
                let mode = if variant == Variant::Monitor { Mode::Monitor } else { Mode::Enforce };
                self.gate.set_mode(&mut self.rig.ours, mode, None)?;
                for (i, name) in &self.ports {
                    self.rig.ours.attach(*i, name, AttachMode::Native)?;
                }
                None
            }
            Variant::Pair => {
                for (i, name) in &self.ports {
                    self.pair.attach(*i, name, AttachMode::Native)?;
                }
                None
            }
        };
        let Some(column) = floor else { return Ok(Set { _attached: Vec::new() }) };
        Ok(Set { _attached: self.ports.iter().map(|(i, _)| self.rig.attach(column, *i)).collect::<Result<_>>()? })
    }

    fn clear(&mut self, variant: Variant, set: Set) -> Result<()> {
        drop(set);
        self.rig.ours.detach_all();
        self.pair.detach_all();
        if variant == Variant::Nftables { nft("delete", "table bridge otbench") } else { Ok(()) }
    }
}

/// Measures and prints the table.
pub fn run(options: &Options) -> Result<Value> {
    namespace()?;
    let mut bench = load(options)?;
    let has_nft = nft("-f", RULES).and_then(|()| nft("delete", "table bridge otbench"));
    if let Err(why) = &has_nft {
        println!("no nftables row: {why:#}");
    }
    let variants: Vec<(Variant, &str)> =
        VARIANTS.into_iter().filter(|(v, _)| *v != Variant::Nftables || has_nft.is_ok()).collect();
    let frame = tcp(502, &MODBUS_READ);
    let from = index(ENDS[0])?;
    let (rounds, count, single) = if options.quick { (2, 100 * 1024, 500) } else { (9, 1000 * 1024, 4_000) };
    println!("\nlive Modbus reads across a bridge, 1,024 conversations; medians of {rounds} interleaved rounds");
    let (mut rates, mut arrived) = (vec![Vec::new(); variants.len()], vec![0u64; variants.len()]);
    let mut waits: Vec<Vec<f64>> = vec![Vec::new(); variants.len()];
    let mut connection = 600u16;
    let mut next = [0u32; 6];
    for _ in 0..rounds {
        for (n, (variant, _)) in variants.iter().enumerate() {
            let set = bench.set(*variant)?;
            // A connection of its own each time: old sequence numbers would be repetitions.
            connection += 1;
            waits[n].extend(latencies(&frame, connection, single)?);
            // Neither end is to cost: a stack drops what is not for it at once, a driver's frame is best dropped there.
            let end = if *variant == Variant::Pair { Some(bench.rig.sink(index(ENDS[1])?)?) } else { None };
            let before = received(ENDS[1])?;
            let seconds = bench.rig.generate(&frame, from, count, 1024, &mut next[variant.program()])?;
            // What is on its way still arrives.
            std::thread::sleep(Duration::from_millis(20));
            arrived[n] += received(ENDS[1])? - before;
            drop(end);
            bench.clear(*variant, set)?;
            rates[n].push(f64::from(count) / seconds / 1e6);
        }
    }
    let medians: Vec<f64> = rates.iter().map(|r| median(r)).collect();
    let of = |wanted: Variant| variants.iter().position(|(v, _)| *v == wanted).unwrap_or(0);
    let (plain, pass) = (medians[of(Variant::Plain)], medians[of(Variant::EmptyPass)]);
    let sent = f64::from(count) * f64::from(rounds);
    let head = ["Mframes/s", "/ bridge", "/ pass", "ns a frame", "arrived", "p50 us", "p99 us", "p99.9 us"];
    row("", &head.map(str::to_owned));
    let mut rows = Vec::new();
    for (n, (_, name)) in variants.iter().enumerate() {
        let (rate, share) = (medians[n], arrived[n] as f64 / sent);
        waits[n].sort_by(f64::total_cmp);
        let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|q| quantile(&waits[n], q));
        let cells = [
            format!("{rate:.2}"),
            format!("{:.2}", rate / plain),
            format!("{:.2}", rate / pass),
            format!("{:.0}", 1e3 / rate),
            format!("{share:.4}"),
            format!("{p50:.1}"),
            format!("{p99:.1}"),
            format!("{p999:.1}"),
        ];
        row(name, &cells);
        rows.push(json!({
            "program": name, "mframes_per_s": rate, "ratio_bridge": rate / plain, "ratio_pass": rate / pass,
            "arrived": share, "latency_us": { "p50": p50, "p99": p99, "p99_9": p999 },
        }));
    }
    println!(
        "Rates: frames of the kernel's own generator, as a driver would hand them in, one CPU. Latencies: {} single frames \
         each, from the sender's system call to the receiver's return, both packet sockets; on a veth such a frame is \
         copied before a program sees it, which hardware does not do, so compare the rows with a program with each other.",
        single * rounds
    );
    Ok(Value::Array(rows))
}

/// Two veth pairs and a bridge between them, in a network namespace of this process.
fn namespace() -> Result<()> {
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
        if name != "br0" {
            // A veth takes frames of a generator or a redirect only where its other end polls.
            feature_here(name, ETHTOOL_SGRO, true);
        }
    }
    // The generator does not mend IP checksums, which netfilter would look at on a bridge. Absent without its module.
    let _ = std::fs::write("/proc/sys/net/bridge/bridge-nf-call-iptables", "0");
    // Carrier and port states settle.
    std::thread::sleep(Duration::from_millis(500));
    let mut fdb = Command::new("bridge");
    let fdb = fdb.args(["fdb", "replace", "02:00:00:00:00:02", "dev", "go", "master", "static"]).output()?;
    anyhow::ensure!(fdb.status.success(), "bridge fdb: {}", String::from_utf8_lossy(&fdb.stderr));
    Ok(())
}

fn load(options: &Options) -> Result<Bench> {
    let mut rig = Rig::load(&options.object, true)?;
    let ports = PORTS.map(|name| index(name).map(|i| (i, name.to_owned())));
    let ports: Vec<(u32, String)> = ports.into_iter().collect::<Result<_>>()?;
    let plan = simple::plan(&[PORTS[0].to_owned()], &[PORTS[1].to_owned()], &ports)?;
    let dead_man = Duration::from_secs(3_600);
    let gate = Gate::start(&mut rig.ours, plan.clone(), dead_man)?;
    let paired = KernelOptions { flows: 262_144, replay: false, bindings: BindingTable::default(), gate: true };
    let mut pair = Kernel::load_gateway(&paired, None, 64)?;
    let [(it, _), (ot, _)] = ports.as_slice() else { anyhow::bail!("two ports") };
    pair.pair(*it, *ot)?;
    pair.pair(*ot, *it)?;
    let mut armed_pair = Gate::start(&mut pair, plan, dead_man)?;
    armed_pair.set_mode(&mut pair, Mode::Enforce, None)?;
    Ok(Bench { rig, gate, pair, ports, _armed_pair: armed_pair })
}

/// Microseconds of single frames from end to end.
fn latencies(frame: &[u8], connection: u16, count: u32) -> Result<Vec<f64>> {
    let mut all = Vec::new();
    // Open only here: a listener is given a copy of every frame, which would cost the rate.
    let (sender, to) = (PacketSocket::open(ENDS[0], false)?, PacketSocket::open(ENDS[1], true)?);
    let at = tcp_of(frame).context("a TCP frame")?;
    let mut frame = frame.to_vec();
    // Source port, right in front of the destination's and the sequence number.
    let (port, seq) = (usize::from(at.seq_at) - 4, usize::from(at.seq_at));
    frame[port..port + 2].copy_from_slice(&connection.to_be_bytes());
    for n in 0..count {
        let next = at.seq.wrapping_add(n.wrapping_mul(u32::from(at.payload)));
        frame[seq..seq + 4].copy_from_slice(&next.to_be_bytes());
        let begin = Instant::now();
        sender.send(&frame)?;
        let mut took = Duration::ZERO;
        // Neighbour discovery of the interfaces is heard as well.
        while took.is_zero() {
            let heard = to.receive(Duration::from_secs(1)).context("a frame did not arrive")?;
            took = if heard == frame { begin.elapsed() } else { Duration::ZERO };
        }
        all.push(took.as_nanos() as f64 / 1e3);
    }
    Ok(all)
}

/// Of sorted values.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    sorted.get(((sorted.len() as f64 * q) as usize).min(sorted.len().saturating_sub(1))).copied().unwrap_or(0.0)
}

fn nft(verb: &str, rest: &str) -> Result<()> {
    let mut command = Command::new("nft");
    let command = if verb == "-f" { command.args(["-f", "-"]) } else { command.arg(verb).args(rest.split(' ')) };
    let child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.context("cannot run `nft` (package nftables)")?;
    if let Some(mut input) = child.stdin.take() {
        std::io::Write::write_all(&mut input, rest.as_bytes())?;
    }
    let done = child.wait_with_output()?;
    anyhow::ensure!(done.status.success(), "nft: {}", String::from_utf8_lossy(&done.stderr).trim());
    Ok(())
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
