//! Captures instead of interfaces: the same parsers in user space, or the real program through test runs.

use std::collections::HashMap;

use ot_xdp_common::classify::service_port;
use ot_xdp_common::flags;
use ot_xdp_common::frame::Frame;
use ot_xdp_common::op::{Dir, Op, Tag};
use ot_xdp_common::proto::{Path, Proto};
use ot_xdp_common::reason::Outcome;
use ot_xdp_common::walk::Walk;
use ot_xdp_common::wire::{FirstSeen, FlowKey, FlowValue, OverflowValue, PortValue, ProbeKey, ProbeValue};
use serde::Serialize;

use super::host::Host;
use super::kernel::{Kernel, KernelError, Options};
use super::{PortId, Snapshot};
use crate::bindings::BindingTable;
use crate::sys::clock;

/// Interface index under which replayed frames are counted: that of the loopback interface, as in the kernel's test
/// runs.
const IFINDEX: u32 = 1;
/// Shortest frame that can be run: an Ethernet header.
const FRAME_MIN: usize = 14;
/// Longest frame that can be run.
const FRAME_MAX: usize = 65_535;

/// Pairs that a capture may have of stations that look for each other.
const PROBES_MAX: usize = 1 << 20;

/// What was decided for one frame, as `ot-xdp replay --frames` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Record {
    /// Number of the frame in its capture, from 1.
    pub frame: u64,
    /// Name of the protocol, none when the frame carries no known one.
    pub protocol: Option<&'static str>,
    /// `request`, `response`, `publish` or none.
    pub direction: Option<&'static str>,
    /// Every operation in order, as a path.
    pub functions: Vec<String>,
    /// Class of the worst operation.
    pub class: Option<&'static str>,
    /// Does the worst operation change the state of the device or the process?
    pub state_changing: bool,
    /// What was unusual, see `ot-xdp schema --flags`.
    pub flags: Vec<&'static str>,
    /// What became of the frame.
    pub outcome: &'static str,
    /// What the program answered.
    pub verdict: &'static str,
}

/// Classifies captured frames and counts them like the kernel program.
pub trait Engine {
    /// Classifies and counts one frame.
    ///
    /// # Errors
    /// When the kernel refuses a test run.
    fn frame(&mut self, number: u64, data: &[u8], at_ns: u64) -> Result<Record, KernelError>;
    /// The counters so far.
    ///
    /// # Errors
    /// When a map cannot be read.
    fn snapshot(&mut self, at_ns: u64) -> Result<Snapshot, KernelError>;
}

fn record(number: u64, outcome: Outcome, w: &Walk, verdict: &'static str) -> Record {
    // A continuation is named when it goes on a PDU that was named, not while it may still be anything.
    let named = match outcome {
        Outcome::Classified | Outcome::Malformed | Outcome::Retransmission => true,
        Outcome::Continuation => w.flags & flags::CONTINUATION != 0,
        _ => false,
    };
    let with_ops = named && outcome != Outcome::Continuation && w.n_ops != 0;
    let ops = if with_ops { w.new_ops() } else { &[] };
    let first = ops.first();
    let lead = ops.get(w.lead.saturating_sub(w.skip) as usize);
    let named = named && (outcome != Outcome::Retransmission || with_ops);
    let name = first.map_or(w.root, Op::proto);
    Record {
        frame: number,
        protocol: if named { Proto::from_code(name).map(Proto::name) } else { None },
        direction: first.and_then(|op| op.dir().word()),
        functions: ops.iter().map(|op| Path { proto: op.proto(), function: op.function }.to_string()).collect(),
        class: lead.map(|op| op.class().word()),
        state_changing: lead.is_some_and(Op::state_changing),
        flags: flags::ALL.iter().filter(|(bit, ..)| w.flags & bit != 0).map(|(_, word, _)| *word).collect(),
        outcome: outcome.word(),
        verdict,
    }
}

fn too_short(number: u64) -> Record {
    record(number, Outcome::BadEnvelope, &Walk::default(), "pass")
}

/// The parsers of the shared crate, run in this process.
pub struct UserEngine {
    host: Host,
    frame: Frame,
    walk: Walk,
    flows: HashMap<FlowKey, FlowValue>,
    capacity: usize,
    port: PortValue,
    overflow: HashMap<(u8, u8), OverflowValue>,
    probes: HashMap<ProbeKey, ProbeValue>,
    first_seen: Vec<FirstSeen>,
}

impl UserEngine {
    /// An engine with these bindings that counts up to `flows` keys.
    pub fn new(bindings: BindingTable, flows: u32) -> UserEngine {
        UserEngine {
            host: Host::new(bindings, IFINDEX),
            frame: Frame::default(),
            walk: Walk::default(),
            flows: HashMap::new(),
            capacity: flows as usize,
            port: PortValue::default(),
            overflow: HashMap::new(),
            probes: HashMap::new(),
            first_seen: Vec::new(),
        }
    }

    /// Classifies one frame without counting it: outcome, envelope, walk.
    pub fn classify(&mut self, data: &[u8]) -> (Outcome, &Frame, &Walk) {
        let outcome = self.host.classify(data, &mut self.frame, &mut self.walk);
        (outcome, &self.frame, &self.walk)
    }

    /// Remembers who looks for whom. The kernel's map forgets the least recently used one; this one is for captures and
    /// takes no more when it is full.
    fn probe(&mut self, data: &[u8], now: u64) {
        let mut key = ProbeKey::default();
        let src_end = ot_xdp_common::probe::of_frame(data, &self.frame, IFINDEX, &mut key);
        let known = self.probes.contains_key(&key);
        if src_end != 0 && (known || self.probes.len() < PROBES_MAX) {
            self.probes.entry(key).or_default().add(src_end, now);
        }
    }

    fn count(&mut self, outcome: Outcome, now: u64) {
        self.port.frames += 1;
        self.port.bytes += u64::from(self.frame.len);
        if let Some(n) = self.port.outcomes.get_mut(outcome as usize) {
            *n += 1;
        }
        self.port.beyond_reach += u64::from(self.walk.flags & flags::BEYOND_REACH != 0);
        self.port.walk_limit += u64::from(self.walk.flags & flags::WALK_LIMIT != 0);
        if !matches!(outcome, Outcome::Classified | Outcome::Malformed) {
            return;
        }
        if self.walk.n_ops == 0 {
            self.walk.push(Op { tag: Tag::new(self.walk.root, 0, Dir::Unknown, 0), ..Op::default() });
        }
        let mut key = FlowKey::default();
        key.begin(&self.frame, IFINDEX, service_port(&self.frame, &self.walk));
        for (i, op) in self.walk.ops().to_vec().iter().enumerate().skip(self.walk.skip as usize) {
            let lead = i == self.walk.lead as usize;
            if lead && let Some(n) = self.port.classes.get_mut(usize::from(op.tag.kind().class())) {
                *n += 1;
            }
            key.set_op(&self.frame, op);
            self.operation(&key, op, lead, now);
        }
    }

    fn operation(&mut self, key: &FlowKey, op: &Op, lead: bool, now: u64) {
        let known = self.flows.contains_key(key);
        if !known && self.flows.len() >= self.capacity {
            self.port.overflow_ops += 1;
            self.port.overflow_frames += u64::from(lead);
            let o = self.overflow.entry((op.proto(), op.tag.kind().class())).or_default();
            o.pdus += 1;
            if lead {
                o.frames += 1;
                o.bytes += u64::from(self.frame.len);
            }
            return;
        }
        self.flows.entry(*key).or_default().add(&self.frame, op, self.walk.flags, lead, now);
        if !known {
            self.first_seen.push(FirstSeen {
                at_ns: now,
                src_end: self.frame.src_end,
                dst_end: self.frame.dst_end,
                key: *key,
                addr: op.addr,
                span: op.span,
                flags: self.walk.flags,
            });
        }
    }
}

impl Engine for UserEngine {
    fn frame(&mut self, number: u64, data: &[u8], at_ns: u64) -> Result<Record, KernelError> {
        if data.len() < FRAME_MIN {
            return Ok(too_short(number));
        }
        let (outcome, ..) = self.classify(data);
        let r = record(number, outcome, &self.walk, "pass");
        if matches!(outcome, Outcome::NotOt | Outcome::NoPayload) {
            self.probe(data, at_ns);
        }
        self.count(outcome, at_ns);
        Ok(r)
    }

    fn snapshot(&mut self, at_ns: u64) -> Result<Snapshot, KernelError> {
        Ok(Snapshot {
            at_ns,
            flows: self.flows.iter().map(|(k, v)| (*k, *v)).collect(),
            ports: vec![(PortId { ifindex: IFINDEX, name: "capture".to_owned() }, self.port)],
            overflow: self.overflow.iter().map(|((p, c), v)| (*p, *c, *v)).collect(),
            probes: self.probes.iter().map(|(k, v)| (*k, *v)).collect(),
            first_seen: std::mem::take(&mut self.first_seen),
        })
    }
}

/// The kernel program, run on each frame by `BPF_PROG_TEST_RUN`. Records are what the program left in its working
/// memory, never a second parse.
pub struct KernelEngine {
    kernel: Kernel,
    cpu: usize,
    first_seen: Vec<FirstSeen>,
}

impl KernelEngine {
    /// Loads the program for replay and pins the calling thread to its CPU.
    ///
    /// # Errors
    /// See [`Kernel::load`].
    pub fn new(bindings: BindingTable, flows: u32) -> Result<KernelEngine, KernelError> {
        let mut kernel = Kernel::load(&Options { flows, replay: true, bindings, gate: false })?;
        kernel.name_port(IFINDEX, "capture");
        let cpu = clock::pin_to_this_cpu().map_err(|e| KernelError::Load(format!("cannot pin the thread: {e}")))?;
        Ok(KernelEngine { kernel, cpu, first_seen: Vec::new() })
    }

    /// The loaded program.
    pub fn kernel(&mut self) -> &mut Kernel {
        &mut self.kernel
    }
}

impl Engine for KernelEngine {
    fn frame(&mut self, number: u64, data: &[u8], at_ns: u64) -> Result<Record, KernelError> {
        if data.len() < FRAME_MIN {
            return Ok(too_short(number));
        }
        let data = data.get(..FRAME_MAX).unwrap_or(data);
        let (verdict, scratch) = self.kernel.test_run(data, at_ns, self.cpu)?;
        self.kernel.drain_first_seen(&mut self.first_seen);
        let outcome = Outcome::from_code(scratch.outcome as u8).unwrap_or(Outcome::NotOt);
        Ok(record(number, outcome, &scratch.walk, verdict_word(verdict)))
    }

    fn snapshot(&mut self, at_ns: u64) -> Result<Snapshot, KernelError> {
        let mut snapshot = self.kernel.snapshot()?;
        snapshot.at_ns = at_ns;
        self.first_seen.append(&mut snapshot.first_seen);
        snapshot.first_seen = std::mem::take(&mut self.first_seen);
        Ok(snapshot)
    }
}

/// Word for a return value of an XDP program (`enum xdp_action`, linux/bpf.h).
fn verdict_word(code: u32) -> &'static str {
    match code {
        0 => "aborted",
        1 => "drop",
        2 => "pass",
        3 => "tx",
        4 => "redirect",
        _ => "invalid",
    }
}
