//! Counting: the only writer of FLOWS, PORTS, OVERFLOW and FIRST_SEEN.

use aya_ebpf::bindings::{BPF_NOEXIST, BPF_RB_NO_WAKEUP, xdp_md};
use aya_ebpf::helpers::generated::bpf_ktime_get_coarse_ns;
use ot_xdp_common::classify::service_port;
use ot_xdp_common::flags;
use ot_xdp_common::limits::{FIRST_SEEN_PER_SECOND, OPS};
use ot_xdp_common::op::{Dir, Kind, Op, Tag};
use ot_xdp_common::overrule::{Kinds, overrule};
use ot_xdp_common::probe;
use ot_xdp_common::reason::Outcome;
use ot_xdp_common::walk::{Hint, Walk};
use ot_xdp_common::wire::{FirstSeen, FlowValue, PortValue, ProbeValue, Scratch};

use crate::maps;
use crate::packet::Packet;

/// Counts a frame that no parser has looked at.
#[inline(always)]
pub fn without_operations(ctx: *mut xdp_md, s: &mut Scratch, outcome: Outcome) {
    let _ = port_counters(ctx, s, outcome as u32);
}

/// Remembers who looks for whom. For frames without operations only: an operation says more.
#[inline(always)]
pub fn probe(packet: Packet, s: &mut Scratch) {
    let src_end = probe::of_frame(packet, &s.frame, s.ifindex, &mut s.probe);
    if src_end == 0 {
        return;
    }
    let now = now();
    if let Some(v) = maps::PROBES.get_ptr_mut(&s.probe) {
        // SAFETY: an element of an LRU map stays memory of that map; a count that two CPUs write at once may be lost.
        let v: &mut ProbeValue = unsafe { &mut *v };
        v.add(src_end, now);
        return;
    }
    let mut value = ProbeValue::default();
    value.add(src_end, now);
    let _ = maps::PROBES.insert(&s.probe, &value, 0);
}

/// Counts the usual frame: one operation, of a key that is known. False when it is another one, and nothing was counted.
/// Where the site knows functions better, there is no usual frame.
#[inline(always)]
pub fn usual(ctx: *mut xdp_md, s: &mut Scratch, outcome: Outcome) -> bool {
    if maps::is_overruled()
        || outcome != Outcome::Classified
        || s.walk.n_ops != 1
        || s.walk.skip != 0
        || s.walk.hint == Hint::Content as u8
    {
        return false;
    }
    // SAFETY: `ctx` is the program's context.
    let ifindex = unsafe { (*ctx).ingress_ifindex };
    let op = s.walk.ops[0];
    s.key.begin(&s.frame, ifindex, service_port(&s.frame, &s.walk));
    s.key.set_op(&s.frame, &op);
    let Some(v) = maps::FLOWS.get_ptr_mut(&s.key) else { return false };
    let Some(port) = port_counters(ctx, s, outcome as u32) else { return true };
    if let Some(n) = port.classes.get_mut(op.tag.kind().class() as usize) {
        *n += 1;
    }
    // SAFETY: this CPU's slot of an element; user space deletes only keys that were idle for long.
    let v: &mut FlowValue = unsafe { &mut *v };
    v.add(&s.frame, &op, s.walk.flags, true, now());
    true
}

/// Counts the frame under its port and outcome.
#[inline(always)]
fn port_counters(ctx: *mut xdp_md, s: &mut Scratch, outcome: u32) -> Option<&'static mut PortValue> {
    // SAFETY: `ctx` is the program's context.
    s.ifindex = unsafe { (*ctx).ingress_ifindex };
    s.outcome = outcome;
    let port = maps::port(s.ifindex)?;
    port.frames += 1;
    port.bytes += s.frame.len as u64;
    if let Some(n) = port.outcomes.get_mut(outcome as usize) {
        *n += 1;
    }
    if s.walk.flags & (flags::BEYOND_REACH | flags::WALK_LIMIT) != 0 {
        port.beyond_reach += (s.walk.flags & flags::BEYOND_REACH != 0) as u64;
        port.walk_limit += (s.walk.flags & flags::WALK_LIMIT != 0) as u64;
    }
    Some(port)
}

/// Counts one frame and its operations; `outcome` is the number of an [`Outcome`].
#[inline(always)]
pub fn frame(ctx: *mut xdp_md, s: &mut Scratch, outcome: u32) {
    if maps::is_overruled() {
        overruled(&raw mut s.walk);
    }
    let Some(port) = port_counters(ctx, s, outcome) else { return };
    if outcome != Outcome::Classified as u32 && outcome != Outcome::Malformed as u32 {
        return;
    }
    if s.walk.n_ops == 0 {
        // Malformed before any function could be read: counted under the protocol, without a function. The slot is
        // borrowed; the number of operations stays 0.
        s.walk.ops[0] = Op { tag: Tag::new(s.walk.root, 0, Dir::Unknown, 0), ..Op::default() };
        s.walk.lead = 0;
        s.walk.skip = 0;
    }
    let lead_class = s.walk.ops[s.walk.lead as usize & (OPS - 1)].tag.kind().class();
    if let Some(n) = port.classes.get_mut(lead_class as usize) {
        *n += 1;
    }
    s.key.begin(&s.frame, s.ifindex, service_port(&s.frame, &s.walk));
    let mut next = run(s, s.walk.skip);
    for _ in 1..OPS {
        if next >= s.walk.n_ops {
            break;
        }
        next = operations(next);
    }
}

/// The kinds that the site chose.
struct Site;
impl Kinds for Site {
    #[inline(always)]
    fn kind(&mut self, key: u64) -> Option<Kind> {
        maps::kind(key)
    }
}

/// [`overrule`] as a global subprogram: verified once for all protocols.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn overruled(w: *mut Walk) -> u32 {
    if w.is_null() {
        return 0;
    }
    // SAFETY: as for the steps of the protocols: null or a whole `Walk` of this CPU, given up by the caller for the call.
    overrule(unsafe { &mut *w }, &mut Site);
    1
}

/// Time of the frame in hand: the coarse monotonic clock, or the capture's time in replay.
#[inline(always)]
pub fn now() -> u64 {
    if maps::replay() {
        return maps::replay_ns();
    }
    // SAFETY: a helper without arguments.
    unsafe { bpf_ktime_get_coarse_ns() }
}

/// [`run`] as a global subprogram: verified once and not once a turn of the loop above.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn operations(first: u32) -> u32 {
    let Some(s) = maps::scratch() else { return OPS as u32 };
    run(s, first)
}

/// Counts the operation with index `first` of the frame in hand and those behind it that have the same key; returns the
/// index of the first one that has not.
#[inline(always)]
fn run(s: &mut Scratch, first: u32) -> u32 {
    let op = s.walk.ops[first as usize & (OPS - 1)];
    let now = now();
    s.key.set_op(&s.frame, &op);
    let mut next = first + 1;
    if let Some(v) = maps::FLOWS.get_ptr_mut(&s.key) {
        // SAFETY: this CPU's slot of an element; user space deletes only keys that were idle for long.
        let v: &mut FlowValue = unsafe { &mut *v };
        v.add(&s.frame, &op, s.walk.flags, first == s.walk.lead, now);
        for _ in 1..OPS {
            if next >= s.walk.n_ops {
                break;
            }
            let more = &s.walk.ops[next as usize & (OPS - 1)];
            if (more.function ^ op.function) | (more.unit ^ op.unit) | ((more.tag.0 ^ op.tag.0) & 0xFF_FFFF) != 0 {
                break;
            }
            v.again(more, next == s.walk.lead, s.frame.len);
            next += 1;
        }
        return next;
    }
    new_key(s, &op, first == s.walk.lead, now);
    next
}

#[inline(always)]
fn new_key(s: &mut Scratch, op: &Op, is_lead: bool, now: u64) {
    s.value = FlowValue::default();
    s.value.add(&s.frame, op, s.walk.flags, is_lead, now);
    if maps::FLOWS.insert(&s.key, &s.value, BPF_NOEXIST as u64).is_ok() {
        first_seen(s, op, now);
        return;
    }
    // Another CPU was first with this key, or the map is full.
    let Some(v) = maps::FLOWS.get_ptr_mut(&s.key) else { return overflow(s, op, is_lead) };
    // SAFETY: as above.
    let v: &mut FlowValue = unsafe { &mut *v };
    v.add(&s.frame, op, s.walk.flags, is_lead, now);
}

#[inline(always)]
fn overflow(s: &Scratch, op: &Op, is_lead: bool) {
    if let Some(port) = maps::port(s.ifindex) {
        port.overflow_ops += 1;
        port.overflow_frames += is_lead as u64;
    }
    if let Some(o) = maps::overflow(op.tag.proto(), op.tag.kind().class()) {
        o.pdus += 1;
        if is_lead {
            o.frames += 1;
            o.bytes += s.frame.len as u64;
        }
    }
}

#[inline(always)]
fn first_seen(s: &mut Scratch, op: &Op, now: u64) {
    let Some(port) = maps::port(s.ifindex) else { return };
    let second = now >> 30;
    if s.budget_second != second {
        s.budget_second = second;
        s.budget_used = 0;
    }
    if s.budget_used >= FIRST_SEEN_PER_SECOND as u64 {
        port.ring_limited += 1;
        return;
    }
    s.budget_used += 1;
    let Some(mut entry) = maps::FIRST_SEEN.reserve::<FirstSeen>(0) else {
        port.ring_full += 1;
        return;
    };
    entry.write(FirstSeen {
        at_ns: now,
        src_end: s.frame.src_end,
        dst_end: s.frame.dst_end,
        key: s.key,
        addr: op.addr,
        span: op.span,
        flags: s.walk.flags,
    });
    // User space comes by on a clock: waking it from here would cost more than the frame.
    entry.submit(BPF_RB_NO_WAKEUP as u64);
}
