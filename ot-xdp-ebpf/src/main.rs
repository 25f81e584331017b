//! The XDP program: frame, classify, count, pass. Everything in this crate runs in the kernel and nowhere else.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch, asm_goto_with_outputs)]

mod count;
mod gate;
mod jump;
mod kernel;
mod maps;
mod opaque;
mod packet;
mod protocols;
mod refuse;
mod verdict;
mod window;

use aya_ebpf::bindings::xdp_md;
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use ot_xdp_common::classify::{Prepared, confirmed, next_candidate, prepare, prepare_ipv6_chain, prepare_tunnel};
use ot_xdp_common::reason::Outcome;
use ot_xdp_common::stream::{self, Next};
use ot_xdp_common::walk;
use ot_xdp_common::wire::{IPV6_CHAIN, LEAVE, Scratch, TUNNEL};

use crate::kernel::Kernel;
use crate::packet::Packet;

/// Reads the envelope and jumps to the program of the best candidate. Every path ends in a pass: there is no policy to
/// deny by.
#[xdp(frags)]
pub fn ot_xdp(ctx: XdpContext) -> u32 {
    let ctx = ctx.ctx;
    let Some(s) = maps::scratch() else { return verdict::pass(ctx) };
    let prepared = prepare(Packet::new(ctx), &mut s.frame, &mut s.walk, &mut Kernel { ctx });
    begin(ctx, s, prepared)
}

/// Follows IPv6 extension headers and goes on like [`ot_xdp`], which jumps here.
#[xdp(frags)]
pub fn ot_ipv6_chain(ctx: XdpContext) -> u32 {
    let ctx = ctx.ctx;
    let Some(s) = maps::scratch() else { return verdict::pass(ctx) };
    let packet = Packet::limited(ctx, s.frame.end);
    let prepared = prepare_ipv6_chain(packet, &mut s.frame, &mut s.walk, &mut Kernel { ctx });
    begin(ctx, s, prepared)
}

/// Opens a tunnel and goes on like [`ot_xdp`] with the frame inside. Nothing jumps here while tunnels are not opened; the
/// kernel then verifies only the first lines.
#[xdp(frags)]
pub fn ot_tunnel(ctx: XdpContext) -> u32 {
    let ctx = ctx.ctx;
    if !maps::opens_tunnels() {
        return verdict::pass(ctx);
    }
    let Some(s) = maps::scratch() else { return verdict::pass(ctx) };
    let prepared = prepare_tunnel(Packet::new(ctx), &mut s.frame, &mut s.walk, &mut Kernel { ctx });
    begin(ctx, s, prepared)
}

#[inline(always)]
fn begin(ctx: *mut xdp_md, s: &mut Scratch, prepared: Prepared) -> u32 {
    match prepared {
        // Nothing that a parser found: what most frames of an office network come to.
        Prepared::Next(Next::Count(outcome)) => {
            s.walk.flags |= s.frame.flags;
            count::without_operations(ctx, s, outcome);
            count::probe(Packet::new(ctx), s);
            gate::verdict(ctx, s.ifindex)
        }
        Prepared::Next(next) => jump::go_on(ctx, s, next),
        Prepared::Ipv6Chain => {
            jump::to::<IPV6_CHAIN>(ctx);
            verdict::pass(ctx)
        }
        Prepared::Tunnel => {
            jump::to::<TUNNEL>(ctx);
            verdict::pass(ctx)
        }
    }
}

/// The candidate in hand was wrong: tries the next one.
#[xdp(frags)]
pub fn ot_next(ctx: XdpContext) -> u32 {
    let ctx = ctx.ctx;
    let Some(s) = maps::scratch() else { return verdict::pass(ctx) };
    let env = &mut Kernel { ctx };
    let next = if next_candidate(Packet::new(ctx), &s.frame, &mut s.walk, env) {
        Next::Walk
    } else {
        s.outcome = walk::refused(&s.walk) as u32;
        jump::to::<LEAVE>(ctx);
        return verdict::pass(ctx);
    };
    jump::go_on(ctx, s, next)
}

/// Decides about a segment that is not the next of its connection.
#[xdp(frags)]
pub fn ot_enter(ctx: XdpContext) -> u32 {
    let ctx = ctx.ctx;
    let Some(s) = maps::scratch() else { return verdict::pass(ctx) };
    let packet = Packet::limited(ctx, s.frame.end);
    let next = stream::enter_unusual(packet, &s.frame, &mut s.walk, &mut Kernel { ctx });
    jump::go_on_rarely(ctx, s, next)
}

/// Books a segment that is not the usual one of its connection.
#[xdp(frags)]
pub fn ot_leave(ctx: XdpContext) -> u32 {
    let ctx = ctx.ctx;
    let Some(s) = maps::scratch() else { return verdict::pass(ctx) };
    let outcome = Outcome::from_code(s.outcome as u8).unwrap_or(Outcome::Unparsed);
    let env = &mut Kernel { ctx };
    let next = if stream::leave(&s.frame, &mut s.walk, outcome, env) {
        Next::Count(outcome)
    } else {
        stream::rarely(&s.frame, &mut s.walk, outcome, env)
    };
    jump::go_on_rarely(ctx, s, next)
}

/// Puts a segment's octets into the window of its connection.
#[xdp(frags)]
pub fn ot_gather(ctx: XdpContext) -> u32 {
    let ctx = ctx.ctx;
    let Some(s) = maps::scratch() else { return verdict::pass(ctx) };
    let packet = Packet::limited(ctx, s.frame.end);
    let next = stream::gather(packet, &s.frame, &mut s.walk, &mut Kernel { ctx });
    jump::go_on_rarely(ctx, s, next)
}

/// Counts whatever is not the usual frame.
#[xdp(frags)]
pub fn ot_count(ctx: XdpContext) -> u32 {
    let ctx = ctx.ctx;
    let Some(s) = maps::scratch() else { return verdict::pass(ctx) };
    let outcome = confirmed(&s.frame, &mut s.walk, s.outcome, &mut Kernel { ctx });
    count::frame(ctx, s, outcome);
    gate::verdict(ctx, s.ifindex)
}

/// Judges a frame by the policy, in a gate.
#[xdp(frags)]
pub fn ot_judge(ctx: XdpContext) -> u32 {
    if maps::is_gate() { gate::judge(ctx.ctx) } else { verdict::pass(ctx.ctx) }
}

/// Turns a refused segment into a reset, in a gate.
#[xdp(frags)]
pub fn ot_refuse(ctx: XdpContext) -> u32 {
    if maps::is_gate() { refuse::in_place(ctx.ctx) } else { verdict::pass(ctx.ctx) }
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // Never linked: the build refuses an object with a panic in it.
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
