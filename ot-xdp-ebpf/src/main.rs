//! The XDP program: frame, classify, count, pass. Everything in this crate runs in the kernel and nowhere else.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch, asm_goto_with_outputs)]

mod count;
mod maps;
mod packet;
mod protocols;
mod verdict;

use aya_ebpf::bindings::xdp_md;
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use ot_xdp_common::classify::{Prepared, prepare, prepare_ipv6_chain};
use ot_xdp_common::reason::Outcome;
use ot_xdp_common::wire::Scratch;

use crate::packet::Packet;
use crate::protocols::{Kernel, jump, jump_ipv6_chain};

/// Reads the envelope and jumps to the program of the best candidate. Every path ends in a pass: there is no policy to
/// deny by.
#[xdp(frags)]
pub fn ot_xdp(ctx: XdpContext) -> u32 {
    let ctx = ctx.ctx;
    let Some(s) = maps::scratch() else { return verdict::pass() };
    let prepared = prepare(Packet::new(ctx), &mut s.frame, &mut s.walk, &mut Kernel { ctx });
    go_on(ctx, s, prepared)
}

/// Follows IPv6 extension headers and goes on like [`ot_xdp`], which jumps here.
#[xdp(frags)]
pub fn ot_ipv6_chain(ctx: XdpContext) -> u32 {
    let ctx = ctx.ctx;
    let Some(s) = maps::scratch() else { return verdict::pass() };
    let packet = Packet::limited(ctx, s.frame.end);
    let prepared = prepare_ipv6_chain(packet, &mut s.frame, &mut s.walk, &mut Kernel { ctx });
    go_on(ctx, s, prepared)
}

#[inline(always)]
fn go_on(ctx: *mut xdp_md, s: &mut Scratch, prepared: Prepared) -> u32 {
    let outcome = match prepared {
        Prepared::Walk => {
            jump(ctx, s.walk.root);
            Outcome::Unparsed
        }
        Prepared::Ipv6Chain => {
            jump_ipv6_chain(ctx);
            Outcome::BadEnvelope
        }
        Prepared::Outcome(o) => o,
    };
    s.walk.flags |= s.frame.flags;
    count::without_operations(ctx, s, outcome);
    verdict::pass()
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
