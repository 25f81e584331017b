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
use ot_xdp_common::classify::{Prepared, prepare};
use ot_xdp_common::reason::Outcome;

use crate::packet::Packet;
use crate::protocols::{Kernel, finish, jump};

/// Reads the envelope and jumps to the program of the best candidate. Every path ends in a pass: there is no policy to
/// deny by.
#[xdp(frags)]
pub fn ot_xdp(ctx: XdpContext) -> u32 {
    enter(ctx.ctx)
}

#[inline(always)]
fn enter(ctx: *mut xdp_md) -> u32 {
    let Some(s) = maps::scratch() else { return verdict::pass() };
    let outcome = match prepare(Packet::new(ctx), &mut s.frame, &mut s.walk, &mut Kernel { ctx }) {
        Prepared::Walk => {
            jump(ctx, s.walk.root);
            // Only when the protocol's program is not loaded.
            Outcome::Unparsed
        }
        Prepared::Outcome(o) => o,
    };
    finish(ctx, s, outcome)
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
