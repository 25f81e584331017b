//! Programs of `cargo xtask bench` only, never loaded by the sensor: floors to compare with, and the packet feeder.
//!
//! `floor_pass` does nothing, `floor_parse` reads the envelope with our own parser, `floor_count` adds one update of a
//! per-CPU hash with our key and value: what every flow counter has to pay. `feed` copies the next packet of a real
//! mix into the frame and tail-calls the program under test, so that branch and cache misses count.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch, asm_goto_with_outputs)]

#[path = "../opaque.rs"]
mod opaque;
#[path = "../packet.rs"]
mod packet;

use aya_ebpf::bindings::{BPF_NOEXIST, xdp_action, xdp_md};
use aya_ebpf::helpers::generated::{bpf_ktime_get_coarse_ns, bpf_redirect, bpf_xdp_adjust_tail, bpf_xdp_store_bytes};
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::{Array, PerCpuArray, PerCpuHashMap, ProgramArray};
use aya_ebpf::programs::XdpContext;
use ot_xdp_common::bench::{FEED_BYTES, FEED_PACKETS, FeedControl, FeedPacket};
use ot_xdp_common::bytes::Bytes as _;
use ot_xdp_common::frame::{self, Envelope, Payload};
use ot_xdp_common::op::Op;
use ot_xdp_common::wire::{FlowKey, FlowValue, Scratch};

use crate::packet::Packet;

/// What feeder and generator return when they cannot work: no action of the kernel's, so that a run notices.
const FAILED: u32 = 99;

#[map]
static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);
#[map]
static FLOWS: PerCpuHashMap<FlowKey, FlowValue> = PerCpuHashMap::with_max_entries(262_144, 0);
#[map]
static PACKETS: Array<FeedPacket> = Array::with_max_entries(FEED_PACKETS, 0);
#[map]
static CONTROL: PerCpuArray<FeedControl> = PerCpuArray::with_max_entries(1, 0);
#[map]
static TARGET: ProgramArray = ProgramArray::with_max_entries(1, 0);

struct Plain;
impl Envelope for Plain {
    #[inline(always)]
    fn frame_len(&mut self) -> u32 {
        0
    }
    #[inline(always)]
    fn tunnels(&mut self) -> bool {
        false
    }
}

/// The test run itself.
#[xdp(frags)]
pub fn floor_pass(_: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

/// Envelope only.
#[xdp(frags)]
pub fn floor_parse(ctx: XdpContext) -> u32 {
    let Some(s) = scratch() else { return xdp_action::XDP_PASS };
    parse(ctx.ctx, s);
    xdp_action::XDP_PASS
}

/// The end of a measurement's way: takes every frame out.
#[xdp(frags)]
pub fn sink(_: XdpContext) -> u32 {
    xdp_action::XDP_DROP
}

/// Envelope and one flow counter.
#[xdp(frags)]
pub fn floor_count(ctx: XdpContext) -> u32 {
    let Some(s) = scratch() else { return xdp_action::XDP_PASS };
    if parse(ctx.ctx, s) == Payload::Bad {
        return xdp_action::XDP_PASS;
    }
    // SAFETY: `ctx` is the program's context; the helper has no arguments.
    let now = unsafe { bpf_ktime_get_coarse_ns() };
    let ifindex = opaque::ingress(ctx.ctx);
    let op = Op::default();
    s.key.begin(&s.frame, ifindex, s.frame.dport);
    s.key.set_op(&s.frame, &op);
    if let Some(v) = FLOWS.get_ptr_mut(&s.key) {
        // SAFETY: this CPU's slot of an element that is never deleted.
        let v: &mut FlowValue = unsafe { &mut *v };
        v.add(&s.frame, &op, 0, true, now);
        return xdp_action::XDP_PASS;
    }
    s.value = FlowValue::default();
    s.value.add(&s.frame, &op, 0, true, now);
    let _ = FLOWS.insert(&s.key, &s.value, BPF_NOEXIST as u64);
    xdp_action::XDP_PASS
}

#[inline(always)]
fn scratch() -> Option<&'static mut Scratch> {
    // SAFETY: an element of a per-CPU array; the program runs to its end on one CPU without being entered again.
    SCRATCH.get_ptr_mut(0).map(|p| unsafe { &mut *p })
}

#[inline(always)]
fn parse(ctx: *mut xdp_md, s: &mut Scratch) -> Payload {
    frame::parse(Packet::new(ctx), &mut s.frame, &mut Plain)
}

/// Offset of the TCP sequence number in an untagged IPv4 frame without options.
const SEQ: u32 = 38;

/// Sends the frame out of the interface in CONTROL: with live frames, a generator of native XDP traffic.
#[xdp(frags)]
pub fn generate(ctx: XdpContext) -> u32 {
    let Some(control) = CONTROL.get_ptr_mut(0) else { return FAILED };
    // SAFETY: an element of a per-CPU array, see `scratch`; a helper on an interface index.
    unsafe {
        let c = &mut *control;
        c.next = c.next.wrapping_add(1);
        let id = c.next.wrapping_mul(0x9E37_79B1) & c.conversations.wrapping_sub(1);
        // The low half of the IPv4 source address: another conversation each frame.
        if bpf_xdp_store_bytes(ctx.ctx, 28, (&raw const id).cast_mut().cast(), 2) != 0 {
            return FAILED;
        }
        let seq = (c.next / c.conversations.max(1)).wrapping_mul(c.payload).to_be();
        if bpf_xdp_store_bytes(ctx.ctx, SEQ, (&raw const seq).cast_mut().cast(), 4) != 0 {
            return FAILED;
        }
        bpf_redirect(c.ifindex, 0) as u32
    }
}

/// Puts the next packet into the frame and runs the program under test on it.
#[xdp(frags)]
pub fn feed(ctx: XdpContext) -> u32 {
    let Some(control) = CONTROL.get_ptr_mut(0) else { return FAILED };
    // SAFETY: an element of a per-CPU array, see `scratch`.
    let c = unsafe { &mut *control };
    let n = c.next;
    c.next = n.wrapping_add(1);
    let slot = if c.packets == 0 { 0 } else { n % c.packets };
    let Some(p) = PACKETS.get_ptr_mut(slot) else { return FAILED };
    // SAFETY: an element of an array that nobody else writes during a run.
    let p = unsafe { &mut *p };
    if c.conversations > 1 {
        // An odd multiplier visits all conversations in an order without locality.
        let id = n.wrapping_mul(0x9E37_79B1) & (c.conversations - 1);
        p.bytes[28] = (id >> 8) as u8;
        p.bytes[29] = id as u8;
    }
    let len = p.len as u64;
    if len < 14 || len > FEED_BYTES as u64 {
        return FAILED;
    }
    // The next segment of the same connection, or the whole mix once more with later sequence numbers.
    let rounds = if c.packets > 1 { n / c.packets.max(1) } else { n / c.conversations.max(1) };
    let step = if c.packets > 1 { rounds << 20 } else { rounds.wrapping_mul(p.payload as u32) };
    let (seq, seq_at) = ((p.first_seq.wrapping_add(step)).to_be(), p.seq_at as u32);
    let have = Packet::new(ctx.ctx).len() as i32;
    // SAFETY: helpers on the program's context; the buffer holds `FEED_BYTES` octets and `len` is no more.
    unsafe {
        if have != len as i32 && bpf_xdp_adjust_tail(ctx.ctx, len as i32 - have) != 0 {
            return FAILED;
        }
        if bpf_xdp_store_bytes(ctx.ctx, 0, p.bytes.as_mut_ptr().cast(), len as u32) != 0 {
            return FAILED;
        }
        if seq_at != 0 && bpf_xdp_store_bytes(ctx.ctx, seq_at, (&raw const seq).cast_mut().cast(), 4) != 0 {
            return FAILED;
        }
        TARGET.tail_call(&ctx, 0);
    }
    FAILED
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
