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
use ot_xdp_common::classify::classify;

use crate::packet::Packet;
use crate::protocols::Kernel;

/// Classifies and counts one frame. Every path ends in a pass: this program has no policy to deny by.
#[xdp(frags)]
pub fn ot_xdp(ctx: XdpContext) -> u32 {
    run(ctx.ctx)
}

#[inline(always)]
fn run(ctx: *mut xdp_md) -> u32 {
    let Some(scratch) = maps::scratch() else { return verdict::pass() };
    let packet = Packet::new(ctx);
    let len = packet::length(ctx);
    let mut kernel = Kernel { ctx };
    let result = classify(packet, len, &mut scratch.frame, &mut scratch.walk, &mut kernel);
    count::frame(ctx, scratch, result);
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
