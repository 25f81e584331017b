//! The kernel program: load, attach, read its maps. The only user of aya.
#![allow(unsafe_code, reason = "map types of the shared crate are declared plain old data for aya")]

mod attach;
mod error;
mod gate;
mod load;
pub mod pin;

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::path::Path;

use aya::maps::{Array, DevMapHash, HashMap, MapData, PerCpuArray, PerCpuHashMap, PerCpuValues, ProgramArray, RingBuf};
use aya::programs::{ProgramFd, TestRun, TestRunOptions, TestRunResult, Xdp};
use aya::{Ebpf, EbpfLoader, Pod};
use ot_xdp_common::wire::{
    FIRST_SEEN_SIZE, FLOW_KEY_SIZE, FLOW_VALUE_SIZE, FirstSeen, FlowKey, FlowValue, OVERFLOW_SLOTS, OverflowValue,
    PROBE_KEY_SIZE, PROBE_VALUE_SIZE, PortValue, ProbeKey, ProbeValue, Scratch,
};

use attach::Port;
use pin::Pins;

pub use attach::{AttachMode, program_name};
pub use error::KernelError;
pub use gate::{Beat, DenialRecord, GateTables};

use super::{PortId, Snapshot};
use crate::bindings::BindingTable;
use crate::object;
use crate::sys::{batch, clock};

/// Maps that a sensor without a gate has no use for.
const GATE_MAPS: [&str; 9] =
    ["GATE_PORTS", "ZONE_VLANS", "ZONE_MACS", "ZONE_NETS", "FIRST_RULES", "RULES", "HITS", "CONDUITS", "DENIALS"];

/// Name of the entry program in the object and in the kernel's lists.
pub const PROGRAM: &str = "ot_xdp";

/// Lets aya copy a type of the shared crate in and out of maps.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Raw<T: Copy>(T);

// SAFETY: every `T` used here is a `repr(C)` type of integers without padding (sizes are asserted in `wire`), so any
// octets are a valid value.
unsafe impl<T: Copy + 'static> Pod for Raw<T> {}

/// How to load.
#[derive(Clone, Debug)]
pub struct Options {
    /// Keys of the flow map.
    pub flows: u32,
    /// Frames come from a capture and carry its time.
    pub replay: bool,
    /// Ports and EtherTypes, and whether tunnels are opened.
    pub bindings: BindingTable,
    /// Frames are judged by a policy.
    pub gate: bool,
}

/// The loaded program and its maps.
pub struct Kernel {
    ebpf: Ebpf,
    ports: BTreeMap<u32, Port>,
    /// Names of interfaces that were attached once: their counters stay.
    names: BTreeMap<u32, String>,
    ring: RingBuf<MapData>,
    cpus: usize,
    flow_capacity: u32,
    // Kept open: the kernel drops the entries of a program array with its last user. A pin does the same.
    _programs: Option<ProgramArray<MapData>>,
    pins: Option<Pins>,
    /// Rows of the table of first rules that are not zero, by generation.
    rows_in_use: [Vec<u32>; 2],
    replay_ns: Option<Array<MapData, u64>>,
}

impl Kernel {
    /// Loads and verifies all programs; attaches nothing.
    ///
    /// # Errors
    /// Missing privilege, a kernel that lacks something, a broken build.
    pub fn load(options: &Options) -> Result<Kernel, KernelError> {
        Kernel::load_with(options, None, 0)
    }

    /// The same for a gateway. With a directory of pins the program outlives this process, and what a loader before this
    /// one counted is there. With `paired` interfaces, see [`Kernel::pair`], frames pass by being sent out of the other one.
    ///
    /// # Errors
    /// Also when the directory is on no BPF file system, or in use.
    pub fn load_gateway(options: &Options, pins: Option<&Path>, paired: u32) -> Result<Kernel, KernelError> {
        let pins = pins.map(|directory| Pins::open(directory, options)).transpose()?;
        Kernel::load_with(options, pins, paired)
    }

    fn load_with(options: &Options, pins: Option<Pins>, paired: u32) -> Result<Kernel, KernelError> {
        if object::OBJECT.is_empty() {
            return Err(KernelError::NoObject);
        }
        let (replay, tunnels) = (u32::from(options.replay), u32::from(options.bindings.tunnels()));
        let mut loader = EbpfLoader::new();
        loader.map_max_entries("FLOWS", options.flows).override_global("REPLAY", &replay, true);
        loader.override_global("TUNNELS", &tunnels, true);
        let gate = u32::from(options.gate);
        loader.override_global("GATE", &gate, true);
        if !options.gate {
            for map in GATE_MAPS {
                loader.map_max_entries(map, 1);
            }
        }
        let pair = u32::from(paired != 0);
        loader.map_max_entries("PAIRS", paired.max(1)).override_global("PAIR", &pair, true);
        for (map, path) in pins.iter().flat_map(Pins::maps) {
            loader.map_pin_path(map, path);
        }
        let kinds = options.bindings.kinds();
        if !kinds.is_empty() {
            loader.map_max_entries("KINDS", kinds.len() as u32).override_global("OVERRULE", &1u32, true);
        }
        let mut ebpf = loader.load(object::OBJECT).map_err(|e| KernelError::Load(chain(&e)))?;

        let map = ebpf.take_map("PROGRAMS").ok_or(KernelError::Missing("PROGRAMS"))?;
        let mut programs = ProgramArray::try_from(map).map_err(|e| map_error("PROGRAMS", &e))?;
        load::programs(&mut ebpf, &mut programs)?;
        let programs = match &pins {
            Some(pins) => {
                pins.verify()?;
                pins.keep(programs)?;
                None
            }
            None => Some(programs),
        };
        let ring = ebpf.take_map("FIRST_SEEN").ok_or(KernelError::Missing("FIRST_SEEN"))?;
        let ring = RingBuf::try_from(ring).map_err(|e| map_error("FIRST_SEEN", &e))?;
        let replay_ns = if options.replay {
            let map = ebpf.take_map("REPLAY_NS").ok_or(KernelError::Missing("REPLAY_NS"))?;
            Some(Array::try_from(map).map_err(|e| map_error("REPLAY_NS", &e))?)
        } else {
            None
        };
        let mut kernel = Kernel {
            ebpf,
            ports: BTreeMap::new(),
            names: BTreeMap::new(),
            ring,
            cpus: aya::util::nr_cpus().map_err(|(_, e)| map_error("FLOWS", &e))?,
            flow_capacity: options.flows,
            _programs: programs,
            pins,
            rows_in_use: [Vec::new(), Vec::new()],
            replay_ns,
        };
        kernel.write_bindings(&options.bindings)?;
        Ok(kernel)
    }

    /// Sends what passes on the first interface out of the second one.
    ///
    /// # Errors
    /// An interface that is not there.
    pub fn pair(&mut self, from: u32, to: u32) -> Result<(), KernelError> {
        let map = self.ebpf.map_mut("PAIRS").ok_or(KernelError::Missing("PAIRS"))?;
        let mut map = DevMapHash::try_from(map).map_err(|e| map_error("PAIRS", &e))?;
        map.insert(from, to, None, 0).map_err(|e| map_error("PAIRS", &e))
    }

    fn write_bindings(&mut self, table: &BindingTable) -> Result<(), KernelError> {
        let map = self.ebpf.map_mut("BINDINGS").ok_or(KernelError::Missing("BINDINGS"))?;
        let mut map: Array<_, u64> = Array::try_from(map).map_err(|e| map_error("BINDINGS", &e))?;
        for (index, word) in table.words().filter(|(_, word)| *word != 0) {
            map.set(index, word, 0).map_err(|e| map_error("BINDINGS", &e))?;
        }
        let map = self.ebpf.map_mut("KINDS").ok_or(KernelError::Missing("KINDS"))?;
        let mut map: HashMap<_, u64, u32> = HashMap::try_from(map).map_err(|e| map_error("KINDS", &e))?;
        for (key, kind) in table.kinds() {
            map.insert(key, u32::from(kind.0), 0).map_err(|e| map_error("KINDS", &e))?;
        }
        Ok(())
    }

    /// Verified instructions of each loaded program, by name.
    pub fn verified_instructions(&self) -> Vec<(String, u32)> {
        self.ebpf
            .programs()
            .filter_map(|(name, p)| Some((name.to_owned(), p.info().ok()?.verified_instruction_count()?)))
            .collect()
    }

    /// Keys that the flow map can hold.
    pub fn flow_capacity(&self) -> u32 {
        self.flow_capacity
    }

    /// First-seen records that wait in the ring.
    pub fn drain_first_seen(&mut self, out: &mut Vec<FirstSeen>) {
        while let Some(item) = self.ring.next() {
            if item.len() == FIRST_SEEN_SIZE {
                out.push(read(&item));
            }
        }
    }

    /// Reads all counters; CPUs are merged, numbers are cumulative.
    ///
    /// # Errors
    /// [`KernelError::Map`] when the kernel refuses.
    pub fn snapshot(&mut self) -> Result<Snapshot, KernelError> {
        let mut first_seen = Vec::new();
        self.drain_first_seen(&mut first_seen);
        let flows = self.flows()?;
        let map = self.ebpf.map("PORTS").ok_or(KernelError::Missing("PORTS"))?;
        let map: PerCpuArray<_, Raw<PortValue>> = PerCpuArray::try_from(map).map_err(|e| map_error("PORTS", &e))?;
        let mut ports = Vec::new();
        for (ifindex, name) in &self.names {
            let slot = ifindex % ot_xdp_common::limits::PORTS;
            let cpus = map.get(&slot, 0).map_err(|e| map_error("PORTS", &e))?;
            let mut sum = PortValue::default();
            cpus.iter().for_each(|v| sum.merge(&v.0));
            ports.push((PortId { ifindex: *ifindex, name: name.clone() }, sum));
        }
        let mut overflow = Vec::new();
        if ports.iter().any(|(_, p)| p.overflow_ops != 0) {
            let map = self.ebpf.map("OVERFLOW").ok_or(KernelError::Missing("OVERFLOW"))?;
            let map: PerCpuArray<_, Raw<OverflowValue>> =
                PerCpuArray::try_from(map).map_err(|e| map_error("OVERFLOW", &e))?;
            for slot in 0..OVERFLOW_SLOTS {
                let cpus = map.get(&slot, 0).map_err(|e| map_error("OVERFLOW", &e))?;
                let mut sum = OverflowValue::default();
                cpus.iter().for_each(|v| sum.merge(&v.0));
                if sum.pdus != 0 {
                    overflow.push(((slot / 32) as u8, (slot % 32) as u8, sum));
                }
            }
        }
        let probes = self.probes()?;
        Ok(Snapshot { at_ns: clock::monotonic_ns(), flows, ports, overflow, probes, first_seen })
    }

    /// Puts a key into the flow map, as if the first CPU had counted it: how benches and tests make large maps.
    ///
    /// # Errors
    /// When the map is full.
    pub fn insert_flow(&mut self, key: FlowKey, value: FlowValue) -> Result<(), KernelError> {
        let map = self.ebpf.map_mut("FLOWS").ok_or(KernelError::Missing("FLOWS"))?;
        let mut map: PerCpuHashMap<_, Raw<FlowKey>, Raw<FlowValue>> =
            PerCpuHashMap::try_from(map).map_err(|e| map_error("FLOWS", &e))?;
        let mut cpus = vec![Raw(FlowValue::default()); self.cpus];
        if let Some(first) = cpus.first_mut() {
            *first = Raw(value);
        }
        let cpus = PerCpuValues::try_from(cpus).map_err(|e| map_error("FLOWS", &e))?;
        map.insert(Raw(key), cpus, 0).map_err(|e| map_error("FLOWS", &e))
    }

    fn probes(&self) -> Result<Vec<(ProbeKey, ProbeValue)>, KernelError> {
        let map = self.ebpf.map("PROBES").ok_or(KernelError::Missing("PROBES"))?;
        let aya::maps::Map::LruHashMap(data) = map else { return Err(KernelError::Missing("PROBES")) };
        let mut probes = Vec::new();
        batch::read_all(data.fd().as_fd(), PROBE_KEY_SIZE, PROBE_VALUE_SIZE, |key, value| {
            probes.push((read::<ProbeKey>(key), read::<ProbeValue>(value)));
        })
        .map_err(|e| map_error("PROBES", &e))?;
        Ok(probes)
    }

    fn flows(&self) -> Result<Vec<(FlowKey, FlowValue)>, KernelError> {
        let map = self.ebpf.map("FLOWS").ok_or(KernelError::Missing("FLOWS"))?;
        let aya::maps::Map::PerCpuHashMap(data) = map else { return Err(KernelError::Missing("FLOWS")) };
        let mut flows = Vec::new();
        let stride = FLOW_VALUE_SIZE.next_multiple_of(8);
        batch::read_all(data.fd().as_fd(), FLOW_KEY_SIZE, stride * self.cpus, |key, value| {
            let mut sum = FlowValue::default();
            for cpu in value.chunks_exact(stride) {
                sum.merge(&read::<FlowValue>(cpu));
            }
            flows.push((read::<FlowKey>(key), sum));
        })
        .map_err(|e| map_error("FLOWS", &e))?;
        Ok(flows)
    }

    /// Runs the program on one frame, as if it had come in on the loopback interface, and returns its verdict and what
    /// it left in its working memory. The calling thread must be pinned to `cpu`.
    ///
    /// # Errors
    /// [`KernelError::TestRun`], for frames below 14 octets among others.
    pub fn test_run(&mut self, frame: &[u8], at_ns: u64, cpu: usize) -> Result<(u32, Scratch), KernelError> {
        if let Some(map) = &mut self.replay_ns {
            map.set(0, at_ns, 0).map_err(|e| map_error("REPLAY_NS", &e))?;
        }
        let xdp = program(&mut self.ebpf, PROGRAM)?;
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        let run = xdp.test_run(options).map_err(|e| KernelError::TestRun { len: frame.len(), error: chain(&e) })?;
        let map = self.ebpf.map("SCRATCH").ok_or(KernelError::Missing("SCRATCH"))?;
        let map: PerCpuArray<_, Raw<Scratch>> = PerCpuArray::try_from(map).map_err(|e| map_error("SCRATCH", &e))?;
        let cpus = map.get(&0, 0).map_err(|e| map_error("SCRATCH", &e))?;
        let scratch = cpus.get(cpu).ok_or(KernelError::Missing("SCRATCH"))?.0;
        Ok((run.return_value, scratch))
    }

    /// Runs the program as the bench asks for.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn bench_run(&mut self, options: TestRunOptions<'_>) -> Result<TestRunResult, KernelError> {
        let len = options.data_in.map_or(0, <[u8]>::len);
        let xdp = program(&mut self.ebpf, PROGRAM)?;
        xdp.test_run(options).map_err(|e| KernelError::TestRun { len, error: chain(&e) })
    }

    /// A descriptor of the entry program.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub fn program_fd(&mut self) -> Result<ProgramFd, KernelError> {
        let xdp = program(&mut self.ebpf, PROGRAM)?;
        let fd = xdp.fd().map_err(|e| KernelError::Load(chain(&e)))?;
        fd.try_clone().map_err(|e| KernelError::Load(chain(&e)))
    }

    /// Counts under this interface name in snapshots of test runs (they come in on the loopback interface, index 1).
    pub fn name_port(&mut self, ifindex: u32, name: &str) {
        self.names.insert(ifindex, name.to_owned());
    }
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp, KernelError> {
    ebpf.program_mut(name).and_then(|p| p.try_into().ok()).ok_or(KernelError::Missing(PROGRAM))
}

/// An error and its sources in one line.
fn chain(e: &dyn std::error::Error) -> String {
    let mut text = e.to_string();
    let mut source = e.source();
    while let Some(s) = source {
        let more = s.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = s.source();
    }
    text
}

fn map_error(map: &'static str, e: &dyn std::error::Error) -> KernelError {
    KernelError::Map { map, error: chain(e) }
}

/// A value from its octets in a map.
fn read<T: Copy + Default>(bytes: &[u8]) -> T {
    let mut value = T::default();
    let n = bytes.len().min(size_of::<T>());
    // SAFETY: `value` is a plain `repr(C)` type of integers (see `Raw`), and no more octets are copied than it has.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), (&raw mut value).cast::<u8>(), n) };
    value
}
