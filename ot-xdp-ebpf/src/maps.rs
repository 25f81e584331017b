//! Every map of the program, with its reason; no map is defined elsewhere.

use aya_ebpf::Global;
use aya_ebpf::bindings::xdp_action;
use aya_ebpf::macros::map;
use aya_ebpf::maps::lpm_trie::Key;
use aya_ebpf::maps::{
    Array, DevMapHash, HashMap, LpmTrie, LruHashMap, PerCpuArray, PerCpuHashMap, ProgramArray, RingBuf,
};
use ot_xdp_common::classify::BINDING_WORDS;
use ot_xdp_common::limits::{FLOWS as FLOW_ENTRIES, PORTS as PORT_SLOTS, PROBES as PROBE_ENTRIES, RING_BYTES};
use ot_xdp_common::op::Kind;
use ot_xdp_common::policy::{
    self, Conduit, Control, DENIALS as DENIAL_ENTRIES, Denial, DenialKey, GENERATIONS, GateCount, GatePort, Head, Hits,
    MEMBERS, NET_KEY, ROWS, RULES as RULE_SLOTS, Row, Rule, Verdict,
};
use ot_xdp_common::service::SERVICES as SERVICE_SLOTS;
use ot_xdp_common::stream::{STREAMS as STREAM_SLOTS, Stream, WINDOWS as WINDOW_SLOTS, Window};
use ot_xdp_common::wire::{
    FlowKey, FlowValue, OVERFLOW_SLOTS, OverflowValue, PROGRAMS as PROGRAM_SLOTS, PortValue, ProbeKey, ProbeValue,
    Scratch,
};

/// Working memory of the frame in hand: too large for the stack, and read by replay.
#[map]
static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

/// Port and EtherType to protocol, written by user space from the protocol files and the configuration.
#[map]
static BINDINGS: Array<u64> = Array::with_max_entries(BINDING_WORDS, 0);

/// The program of each protocol, by its number, written by user space before anything is attached.
#[map]
static PROGRAMS: ProgramArray = ProgramArray::with_max_entries(PROGRAM_SLOTS, 0);

/// Counters by conversation and function. Not LRU: nothing that the baseline needs is evicted.
#[map]
pub static FLOWS: PerCpuHashMap<FlowKey, FlowValue> = PerCpuHashMap::with_max_entries(FLOW_ENTRIES, 0);

/// Counters by port, for the accounting equation.
#[map]
static PORTS: PerCpuArray<PortValue> = PerCpuArray::with_max_entries(PORT_SLOTS, 0);

/// Where operations are counted when FLOWS is full, so that totals stay exact.
#[map]
static OVERFLOW: PerCpuArray<OverflowValue> = PerCpuArray::with_max_entries(OVERFLOW_SLOTS, 0);

/// Keys counted for the first time.
#[map]
pub static FIRST_SEEN: RingBuf = RingBuf::with_byte_size(RING_BYTES, 0);

/// Who looks for whom. LRU: a scan must not take the room of the next one.
#[map]
pub static PROBES: LruHashMap<ProbeKey, ProbeValue> = LruHashMap::with_max_entries(PROBE_ENTRIES, 0);

/// Where the next PDU begins, by direction of a connection. One table for all CPUs: the scheduler may move a connection.
#[map]
static STREAMS: Array<Stream> = Array::with_max_entries(STREAM_SLOTS, 0);

/// First octets of PDUs that came in pieces.
#[map]
static WINDOWS: Array<Window> = Array::with_max_entries(WINDOW_SLOTS, 0);

/// Services found off their registered ports.
#[map]
static SERVICES: Array<u64> = Array::with_max_entries(SERVICE_SLOTS, 0);

/// Time of the frame in hand in replay, nanoseconds; written by user space before each frame.
#[map]
static REPLAY_NS: Array<u64> = Array::with_max_entries(1, 0);

/// Mode, heartbeat and the generation of the policy in use. Of the maps below user space writes all but the counters;
/// it makes them small where there is no gate.
#[map]
static CONTROL: Array<Control> = Array::with_max_entries(1, 0);

/// Time of the last beat of user space, monotonic nanoseconds. A map of its own: a thread beats that does nothing else.
#[map]
static BEAT: Array<u64> = Array::with_max_entries(1, 0);

/// What the look-ups of a generation need.
#[map]
static HEADS: Array<Head> = Array::with_max_entries(GENERATIONS, 0);

/// What ingress ports mean: a table of [`PORT_SLOTS`] for each generation.
#[map]
static GATE_PORTS: Array<GatePort> = Array::with_max_entries(GENERATIONS * PORT_SLOTS, 0);

/// Zone by VLAN id: a table of 4,096 for each generation.
#[map]
static ZONE_VLANS: Array<u32> = Array::with_max_entries(GENERATIONS * 4096, 0);

/// Zone by MAC address; the key has the generation in its low octets.
#[map]
static ZONE_MACS: HashMap<u64, u32> = HashMap::with_max_entries(MEMBERS, 0);

/// Zone by IP prefix; the key begins with the generation.
#[map]
static ZONE_NETS: LpmTrie<[u32; NET_KEY / 4], u32> =
    LpmTrie::with_max_entries(MEMBERS, aya_ebpf::bindings::BPF_F_NO_PREALLOC);

/// First rule that may match, see [`policy::row`].
#[map]
static FIRST_RULES: Array<Row> = Array::with_max_entries(ROWS, 0);

/// Rules of both generations.
#[map]
static RULES: Array<Rule> = Array::with_max_entries(GENERATIONS * RULE_SLOTS, 0);

/// Hits of the rules.
#[map]
static HITS: PerCpuArray<Hits> = PerCpuArray::with_max_entries(GENERATIONS * RULE_SLOTS, 0);

/// Zones and blocks of connections, beside STREAMS.
#[map]
static CONDUITS: Array<Conduit> = Array::with_max_entries(STREAM_SLOTS, 0);

/// Working memory of the gate for the frame in hand.
#[map]
static VERDICT: PerCpuArray<Verdict> = PerCpuArray::with_max_entries(1, 0);

/// Frames at the gate by ingress port.
#[map]
static GATE_COUNTS: PerCpuArray<GateCount> = PerCpuArray::with_max_entries(PORT_SLOTS, 0);

/// Denials and alerts by conversation and rule.
#[map]
pub static DENIALS: HashMap<DenialKey, Denial> = HashMap::with_max_entries(DENIAL_ENTRIES, 0);

/// The other interface of a pair, by interface index. Written by user space before anything is attached.
#[map]
static PAIRS: DevMapHash = DevMapHash::with_max_entries(1, 0);

/// 1 when interfaces are paired; set at load time.
#[unsafe(no_mangle)]
static PAIR: Global<u32> = Global::new(0);

/// Are interfaces paired?
#[inline(always)]
pub fn is_pair() -> bool {
    PAIR.load() != 0
}

/// Sends the frame in hand to the other interface of the pair; to the stack where there is none.
#[inline(always)]
pub fn other_of_pair(ifindex: u32) -> u32 {
    PAIRS.redirect(ifindex, xdp_action::XDP_PASS as u64).unwrap_or_else(|action| action)
}

/// 1 when the program is a gate; set at load time, so that a sensor's program has no trace of it.
#[unsafe(no_mangle)]
static GATE: Global<u32> = Global::new(0);

/// Is this a gate?
#[inline(always)]
pub fn is_gate() -> bool {
    GATE.load() != 0
}

/// See [`CONTROL`].
#[inline(always)]
pub fn control() -> Option<&'static Control> {
    CONTROL.get(0)
}

/// See [`BEAT`].
#[inline(always)]
pub fn beat_ns() -> u64 {
    BEAT.get(0).copied().unwrap_or(0)
}

/// See [`HEADS`].
#[inline(always)]
pub fn head(generation: u32) -> Option<&'static Head> {
    HEADS.get(generation)
}

/// See [`GATE_PORTS`].
#[inline(always)]
pub fn gate_port(generation: u32, ifindex: u32) -> Option<&'static GatePort> {
    GATE_PORTS.get((generation & 1) * PORT_SLOTS + ifindex % PORT_SLOTS)
}

/// Zone of a VLAN id, 0 for none.
#[inline(always)]
pub fn zone_of_vlan(generation: u32, vlan: u16) -> u32 {
    ZONE_VLANS.get((generation & 1) * 4096 + (vlan as u32 & 0xFFF)).copied().unwrap_or(0)
}

/// Zone of a MAC address in the high 48 bits, 0 for none.
#[inline(always)]
pub fn zone_of_mac(generation: u32, mac: u64) -> u32 {
    // SAFETY: user space writes the entries of a generation before it is used and removes them long after.
    unsafe { ZONE_MACS.get(&(mac & !0xFFFF | generation as u64)) }.copied().unwrap_or(0)
}

/// Zone of an address, 0 for none.
#[inline(always)]
pub fn zone_of_address(generation: u32, addr: &[u32; 4]) -> u32 {
    let words = [generation, addr[0], addr[1], addr[2], addr[3]].map(u32::to_be);
    ZONE_NETS.get(Key::new(8 * NET_KEY as u32, words)).copied().unwrap_or(0)
}

/// A row of the table of first rules.
#[inline(always)]
pub fn rule_row(generation: u32, from: u32, to: u32, proto: u8) -> Option<&'static Row> {
    FIRST_RULES.get(policy::row(generation, from, to, proto))
}

/// A rule.
#[inline(always)]
pub fn rule(generation: u32, number: u8) -> Option<&'static Rule> {
    RULES.get((generation & 1) * RULE_SLOTS + number as u32)
}

/// This CPU's hits of a rule.
#[inline(always)]
pub fn hits(generation: u32, number: u32) -> Option<&'static mut Hits> {
    // SAFETY: as for `scratch`.
    HITS.get_ptr_mut((generation & 1) * RULE_SLOTS + number % RULE_SLOTS).map(|p| unsafe { &mut *p })
}

/// What is remembered of a direction of a connection.
#[inline(always)]
pub fn conduit(slot: u32) -> Option<&'static mut Conduit> {
    // SAFETY: as for `stream`.
    CONDUITS.get_ptr_mut(slot).map(|p| unsafe { &mut *p })
}

/// Working memory of the gate.
#[inline(always)]
pub fn verdict() -> Option<&'static mut Verdict> {
    // SAFETY: as for `scratch`.
    VERDICT.get_ptr_mut(0).map(|p| unsafe { &mut *p })
}

/// This CPU's counters of the gate for a port.
#[inline(always)]
pub fn gate_count(ifindex: u32) -> Option<&'static mut GateCount> {
    // SAFETY: as for `scratch`.
    GATE_COUNTS.get_ptr_mut(ifindex % PORT_SLOTS).map(|p| unsafe { &mut *p })
}

/// Kinds of the functions that the site knows better, by protocol and function; user space sets its size.
#[map]
static KINDS: HashMap<u64, u32> = HashMap::with_max_entries(1, 0);

/// 1 when there are any; set at load time, so that the look-ups are gone from the program of a site without.
#[unsafe(no_mangle)]
static OVERRULE: Global<u32> = Global::new(0);

/// Does the site know any function better?
#[inline(always)]
pub fn is_overruled() -> bool {
    OVERRULE.load() != 0
}

/// See [`KINDS`].
#[inline(always)]
pub fn kind(key: u64) -> Option<Kind> {
    // SAFETY: user space writes the map before the program is attached and never again.
    unsafe { KINDS.get(&key) }.map(|kind| Kind(*kind as u8))
}

/// 1 when tunnels are opened; set at load time, so that the code is gone from the programs of a site that does not.
#[unsafe(no_mangle)]
static TUNNELS: Global<u32> = Global::new(0);

/// Are tunnels opened?
#[inline(always)]
pub fn opens_tunnels() -> bool {
    TUNNELS.load() != 0
}

/// 1 when captures are replayed; set at load time, so that the branch is gone from the program of a sensor.
#[unsafe(no_mangle)]
static REPLAY: Global<u32> = Global::new(0);

/// Are captures replayed?
#[inline(always)]
pub fn replay() -> bool {
    REPLAY.load() != 0
}

/// See [`REPLAY_NS`].
#[inline(always)]
pub fn replay_ns() -> u64 {
    REPLAY_NS.get(0).copied().unwrap_or(0)
}

/// This CPU's working memory.
#[inline(always)]
pub fn scratch() -> Option<&'static mut Scratch> {
    // SAFETY: an element of a per-CPU array; the program runs to its end on one CPU without being entered again.
    SCRATCH.get_ptr_mut(0).map(|p| unsafe { &mut *p })
}

/// The program array, as the tail-call helper takes it.
#[inline(always)]
pub fn programs() -> *mut core::ffi::c_void {
    (&raw const PROGRAMS).cast_mut().cast()
}

/// Eight entries of the binding tables.
#[inline(always)]
pub fn binding(word: u32) -> u64 {
    BINDINGS.get(word).copied().unwrap_or(0)
}

/// State of one direction of a connection.
#[inline(always)]
pub fn stream(slot: u32) -> Option<&'static mut Stream> {
    // SAFETY: an element of an array of integers that lives as long as the program. Frames of one direction come one
    // after the other; should two CPUs hold them at once, the integers are torn at worst, and the stream is aligned
    // again by its content.
    STREAMS.get_ptr_mut(slot).map(|p| unsafe { &mut *p })
}

/// A window.
#[inline(always)]
pub fn window(slot: u32) -> Option<&'static mut Window> {
    // SAFETY: as for `stream`.
    WINDOWS.get_ptr_mut(slot).map(|p| unsafe { &mut *p })
}

/// A word of the table of services.
#[inline(always)]
pub fn service(slot: u32) -> Option<&'static mut u64> {
    // SAFETY: as for `stream`.
    SERVICES.get_ptr_mut(slot).map(|p| unsafe { &mut *p })
}

/// This CPU's counters of the port with this interface index.
#[inline(always)]
pub fn port(ifindex: u32) -> Option<&'static mut PortValue> {
    // SAFETY: as for `scratch`.
    PORTS.get_ptr_mut(ifindex % PORT_SLOTS).map(|p| unsafe { &mut *p })
}

/// This CPU's overflow bucket for a protocol and class.
#[inline(always)]
pub fn overflow(proto: u8, class: u8) -> Option<&'static mut OverflowValue> {
    let slot = (proto as u32 & 127) * 32 + (class as u32 & 31);
    // SAFETY: as for `scratch`.
    OVERFLOW.get_ptr_mut(slot).map(|p| unsafe { &mut *p })
}
