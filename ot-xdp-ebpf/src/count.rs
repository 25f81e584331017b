//! Counting: the only writer of FLOWS, PORTS, OVERFLOW and FIRST_SEEN.

use aya_ebpf::bindings::{BPF_NOEXIST, xdp_md};
use aya_ebpf::helpers::generated::bpf_ktime_get_coarse_ns;
use ot_xdp_common::classify::Classified;
use ot_xdp_common::flags;
use ot_xdp_common::limits::{FIRST_SEEN_PER_SECOND, OPS};
use ot_xdp_common::op::{Kind, Op};
use ot_xdp_common::reason::Outcome;
use ot_xdp_common::wire::{FirstSeen, FlowValue, Scratch};

use crate::maps;

/// Counts one classified frame.
#[inline(always)]
pub fn frame(ctx: *mut xdp_md, s: &mut Scratch, result: Classified) {
    // SAFETY: `ctx` is the program's context.
    let ifindex = unsafe { (*ctx).ingress_ifindex };
    s.outcome = result.outcome as u32;
    let Some(port) = maps::port(ifindex) else { return };
    port.frames += 1;
    port.bytes += s.frame.len as u64;
    if let Some(n) = port.outcomes.get_mut(result.outcome as usize) {
        *n += 1;
    }
    if s.walk.flags & (flags::BEYOND_REACH | flags::WALK_LIMIT) != 0 {
        port.beyond_reach += (s.walk.flags & flags::BEYOND_REACH != 0) as u64;
        port.walk_limit += (s.walk.flags & flags::WALK_LIMIT != 0) as u64;
    }
    if result.outcome != Outcome::Classified && result.outcome != Outcome::Malformed {
        return;
    }
    if s.walk.n_ops == 0 {
        // Malformed before any function could be read: counted under the protocol, without a function.
        s.walk.push(Op { proto: s.walk.root, ..Op::default() });
    }
    s.ifindex = ifindex;
    s.key.begin(&s.frame, ifindex, result.port);
    for i in 0..OPS as u32 {
        if i >= s.walk.n_ops {
            break;
        }
        operation(i);
    }
}

/// Counts the operation with index `i` of the frame in hand: a global subprogram, verified once and not once a turn of
/// the loop above.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn operation(i: u32) -> u32 {
    let Some(s) = maps::scratch() else { return 0 };
    let Some(op) = s.walk.ops.get(i as usize & (OPS - 1)).copied() else { return 0 };
    let is_lead = i == s.walk.lead;
    // SAFETY: a helper without arguments.
    let now = unsafe { bpf_ktime_get_coarse_ns() };
    s.key.set_op(&op);
    if is_lead && let Some(port) = maps::port(s.ifindex) && let Some(c) = port.classes.get_mut(Kind(op.kind).class() as usize)
    {
        *c += 1;
    }
    if count(s, &op, is_lead, now) {
        return 0;
    }
    s.value = FlowValue::default();
    s.value.add(&s.frame, &op, s.walk.flags, is_lead, now);
    if maps::FLOWS.insert(&s.key, &s.value, BPF_NOEXIST as u64).is_ok() {
        first_seen(s, &op, now);
        return 0;
    }
    // Another CPU was first with this key, or the map is full.
    if !count(s, &op, is_lead, now) {
        overflow(s, &op, is_lead);
    }
    0
}

/// Counts the operation under the key in `s`; false when the map has no such key.
#[inline(always)]
fn count(s: &Scratch, op: &Op, is_lead: bool, now: u64) -> bool {
    let Some(v) = maps::FLOWS.get_ptr_mut(&s.key) else { return false };
    // SAFETY: this CPU's slot of an element; user space deletes only keys that were idle for long.
    let v: &mut FlowValue = unsafe { &mut *v };
    v.add(&s.frame, op, s.walk.flags, is_lead, now);
    true
}

#[inline(always)]
fn overflow(s: &Scratch, op: &Op, is_lead: bool) {
    if let Some(port) = maps::port(s.ifindex) {
        port.overflow_ops += 1;
        port.overflow_frames += is_lead as u64;
    }
    if let Some(o) = maps::overflow(op.proto, Kind(op.kind).class()) {
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
    entry.submit(0);
}
