//! The kernel program: load, attach, read its maps. The only user of aya.
#![allow(unsafe_code, reason = "map types of the shared crate are declared plain old data for aya")]

mod gate;

use std::collections::BTreeMap;
use std::os::fd::AsFd;

use aya::maps::{Array, HashMap, MapData, PerCpuArray, PerCpuHashMap, PerCpuValues, ProgramArray, RingBuf};
use aya::programs::xdp::XdpLinkId;
use aya::programs::{ProgramFd, TestRun, TestRunOptions, TestRunResult, Xdp, XdpMode};
use aya::{Ebpf, EbpfLoader, Pod};
use ot_xdp_common::proto::Proto;
use ot_xdp_common::wire::{
    COUNT, ENTER, FIRST_SEEN_SIZE, FLOW_KEY_SIZE, FLOW_VALUE_SIZE, FirstSeen, FlowKey, FlowValue, GATHER, IPV6_CHAIN,
    JOINED, JUDGE, LEAVE, NEXT, OVERFLOW_SLOTS, OverflowValue, PortValue, REFUSE, Scratch, TUNNEL,
};

pub use gate::{DenialRecord, GateTables};

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

/// How the program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AttachMode {
    /// In the driver, before a socket buffer exists.
    Native,
    /// Behind the driver, on socket buffers: slower, and frames may be merged (GRO).
    Generic,
}

impl AttachMode {
    /// The word used in events and on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            AttachMode::Native => "native",
            AttachMode::Generic => "generic",
        }
    }
}

/// Errors of the kernel side, each with what to do.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// Built without the object.
    #[error("this binary was built without the kernel object; build it with `cargo xtask build`")]
    NoObject,
    /// The kernel refused the object.
    #[error("cannot load the kernel program: {0}{hint}", hint = hint(.0))]
    Load(String),
    /// A map or program is missing in the object: object and binary do not belong together.
    #[error(
        "the kernel object has no `{0}`: object and binary are of different versions, rebuild with `cargo xtask build`"
    )]
    Missing(&'static str),
    /// A map could not be read or written.
    #[error("map {map}: {error}")]
    Map {
        /// Name of the map.
        map: &'static str,
        /// What the kernel said.
        error: String,
    },
    /// The interface does not exist.
    #[error("interface `{0}` does not exist in this network namespace; `ip link` lists those that do")]
    NoInterface(String),
    /// The driver cannot run XDP.
    #[error(
        "interface `{interface}` cannot run XDP natively ({error}); allow the slower generic mode with `--attach-mode skb`"
    )]
    NoNative {
        /// Interface.
        interface: String,
        /// What the kernel said.
        error: String,
    },
    /// Another program holds the interface.
    #[error(
        "interface `{interface}` already runs the XDP program `{program}` (id {id}); stop what loaded it, or remove it with \
         `ip link set dev {interface} xdp off`"
    )]
    Occupied {
        /// Interface.
        interface: String,
        /// Name of the other program.
        program: String,
        /// Its id.
        id: u32,
    },
    /// Two interfaces share a counter slot.
    #[error("interfaces with indices {0} and {1} share a counter slot; give one of them another index")]
    SlotTaken(u32, u32),
    /// Any other refusal to attach.
    #[error("cannot attach to `{interface}`: {error}")]
    Attach {
        /// Interface.
        interface: String,
        /// What the kernel said.
        error: String,
    },
    /// A test run failed.
    #[error("test run of a frame of {len} octets failed: {error}")]
    TestRun {
        /// Length of the frame.
        len: usize,
        /// What the kernel said.
        error: String,
    },
}

fn hint(text: &str) -> &'static str {
    if text.contains("Operation not permitted") || text.contains("EPERM") || text.contains("os error 1)") {
        "\nRun as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON; `ot-xdp doctor` tells which one is missing."
    } else {
        "\n`ot-xdp doctor` tells what this kernel lacks."
    }
}

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

/// One attached interface.
#[derive(Debug)]
struct Port {
    name: String,
    mode: AttachMode,
    link: XdpLinkId,
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
    // Kept open: the kernel drops the entries of a program array with its last user.
    _programs: ProgramArray<MapData>,
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
        let kinds = options.bindings.kinds();
        if !kinds.is_empty() {
            loader.map_max_entries("KINDS", kinds.len() as u32).override_global("OVERRULE", &1u32, true);
        }
        let mut ebpf = loader.load(object::OBJECT).map_err(|e| KernelError::Load(chain(&e)))?;

        let map = ebpf.take_map("PROGRAMS").ok_or(KernelError::Missing("PROGRAMS"))?;
        let mut programs = ProgramArray::try_from(map).map_err(|e| map_error("PROGRAMS", &e))?;
        load_programs(&mut ebpf, &mut programs)?;
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
            rows_in_use: [Vec::new(), Vec::new()],
            replay_ns,
        };
        kernel.write_bindings(&options.bindings)?;
        Ok(kernel)
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

    /// Attaches to an interface.
    ///
    /// # Errors
    /// See [`KernelError`]; nothing is left attached.
    pub fn attach(&mut self, ifindex: u32, name: &str, mode: AttachMode) -> Result<(), KernelError> {
        let slot = |i: u32| i % ot_xdp_common::limits::PORTS;
        if let Some(other) = self.names.keys().find(|i| **i != ifindex && slot(**i) == slot(ifindex)) {
            return Err(KernelError::SlotTaken(*other, ifindex));
        }
        let xdp = program(&mut self.ebpf, PROGRAM)?;
        // Never `XdpMode::Default`: it degrades to generic mode without telling.
        let xdp_mode = match mode {
            AttachMode::Native => XdpMode::Driver,
            AttachMode::Generic => XdpMode::Skb,
        };
        let link = xdp.attach_to_if_index(ifindex, xdp_mode).map_err(|e| attach_error(name, mode, &e))?;
        self.ports.insert(ifindex, Port { name: name.to_owned(), mode, link });
        self.names.insert(ifindex, name.to_owned());
        Ok(())
    }

    /// Detaches from an interface; unknown ones are fine (they are gone).
    pub fn detach(&mut self, ifindex: u32) {
        if let Some(port) = self.ports.remove(&ifindex)
            && let Ok(xdp) = program(&mut self.ebpf, PROGRAM)
        {
            // The link is gone with its interface; then there is nothing to detach.
            let _ = xdp.detach(port.link);
        }
    }

    /// Detaches from every interface.
    pub fn detach_all(&mut self) {
        let all: Vec<u32> = self.ports.keys().copied().collect();
        for ifindex in all {
            self.detach(ifindex);
        }
    }

    /// Attached interfaces: index, name, mode.
    pub fn attached(&self) -> impl Iterator<Item = (u32, &str, AttachMode)> {
        self.ports.iter().map(|(i, p)| (*i, p.name.as_str(), p.mode))
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
        Ok(Snapshot { at_ns: clock::monotonic_ns(), flows, ports, overflow, first_seen })
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

/// Every program with its slot in the program array; the entry has none.
fn slots() -> BTreeMap<String, Option<u32>> {
    let mut slots = BTreeMap::from([
        (PROGRAM.to_owned(), None),
        ("ot_ipv6_chain".to_owned(), Some(IPV6_CHAIN)),
        ("ot_tunnel".to_owned(), Some(TUNNEL)),
        ("ot_next".to_owned(), Some(NEXT)),
        ("ot_gather".to_owned(), Some(GATHER)),
        ("ot_count".to_owned(), Some(COUNT)),
        ("ot_leave".to_owned(), Some(LEAVE)),
        ("ot_enter".to_owned(), Some(ENTER)),
        ("ot_judge".to_owned(), Some(JUDGE)),
        ("ot_refuse".to_owned(), Some(REFUSE)),
    ]);
    for proto in Proto::ALL.iter().filter(|p| p.is_root()) {
        let module = proto.module();
        slots.insert(format!("ot_{module}"), Some(*proto as u32));
        if !proto.binding().tcp.is_empty() {
            slots.insert(format!("ot_joined_{module}"), Some(JOINED + *proto as u32));
        }
    }
    slots
}

/// Loads every program and enters it into the program array. The kernel verifies programs of a privileged caller side
/// by side, so each CPU takes its share.
fn load_programs(ebpf: &mut Ebpf, programs: &mut ProgramArray<MapData>) -> Result<(), KernelError> {
    let slots = slots();
    let mut found = Vec::new();
    for (name, program) in ebpf.programs_mut() {
        if let Some(slot) = slots.get(name) {
            let xdp: &mut Xdp = program.try_into().map_err(|_| KernelError::Missing(PROGRAM))?;
            found.push((name.to_owned(), *slot, xdp));
        }
    }
    if found.len() < slots.len() {
        return Err(KernelError::Missing("program of a protocol"));
    }
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    let queue = std::sync::Mutex::new(found.into_iter());
    let results: Vec<Result<Vec<(u32, ProgramFd)>, KernelError>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(|| load_share(&queue))).collect();
        threads
            .into_iter()
            .map(|t| t.join().unwrap_or_else(|_| Err(KernelError::Load("a loading thread failed".to_owned()))))
            .collect()
    });
    for share in results {
        for (slot, fd) in share? {
            programs.set(slot, &fd, 0).map_err(|e| map_error("PROGRAMS", &e))?;
        }
    }
    Ok(())
}

/// Loads programs from the queue until it is empty.
fn load_share<'a>(
    queue: &std::sync::Mutex<impl Iterator<Item = (String, Option<u32>, &'a mut Xdp)>>,
) -> Result<Vec<(u32, ProgramFd)>, KernelError> {
    let mut fds = Vec::new();
    loop {
        let item = queue.lock().ok().and_then(|mut q| q.next());
        let Some((name, slot, xdp)) = item else { return Ok(fds) };
        xdp.load().map_err(|e| KernelError::Load(format!("{name}: {}", tail(&chain(&e)))))?;
        if let Some(slot) = slot {
            let fd = xdp.fd().and_then(|fd| fd.try_clone().map_err(Into::into));
            fds.push((slot, fd.map_err(|e| KernelError::Load(chain(&e)))?));
        }
    }
}

/// The end of a verifier log says why; its beginning is thousands of lines.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(12)..).unwrap_or(&lines).join("\n")
}

fn attach_error(name: &str, mode: AttachMode, e: &aya::programs::ProgramError) -> KernelError {
    let error = chain(e);
    let unsupported = ["os error 95", "os error 22", "os error 34", "not supported"].iter().any(|s| error.contains(s));
    if mode == AttachMode::Native && unsupported {
        return KernelError::NoNative { interface: name.to_owned(), error };
    }
    KernelError::Attach { interface: name.to_owned(), error }
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

/// Name of a loaded program by its id, for messages about foreign programs.
pub fn program_name(id: u32) -> Option<String> {
    aya::programs::loaded_programs().flatten().find(|p| p.id() == id).and_then(|p| p.name_as_str().map(str::to_owned))
}

/// Refuses when somebody else's program, or a second instance of ours, is on the interface.
///
/// # Errors
/// [`KernelError::Occupied`] with the program's name.
pub fn refuse_occupied(link: &crate::sys::link::Link) -> Result<(), KernelError> {
    use crate::sys::link::XdpState;
    let id = match link.xdp {
        None => return Ok(()),
        Some(XdpState::Native(id) | XdpState::Generic(id) | XdpState::Offload(id)) => id,
        Some(XdpState::Multi) => 0,
    };
    let program = program_name(id).unwrap_or_else(|| "unknown".to_owned());
    Err(KernelError::Occupied { interface: link.name.clone(), program, id })
}
