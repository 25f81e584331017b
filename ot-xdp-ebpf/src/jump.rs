//! Jumps between the programs of one frame: tail calls with constant indices, which the kernel makes direct.

use core::arch::asm;

use aya_ebpf::bindings::xdp_md;
use aya_ebpf::helpers::generated::bpf_tail_call;
use ot_xdp_common::for_each_protocol;
use ot_xdp_common::reason::Outcome;
use ot_xdp_common::stream::Next;
use ot_xdp_common::wire::{COUNT, ENTER, GATHER, JOINED, Scratch};

use crate::{maps, verdict};

/// Jumps to a program. Comes back only when it is not loaded, or after 33 jumps.
#[inline(always)]
pub fn to<const INDEX: u32>(ctx: *mut xdp_md) {
    // SAFETY: the context of this program and a program array.
    unsafe { bpf_tail_call(ctx.cast(), maps::programs(), INDEX) };
    // Another instruction behind each jump: the compiler would make one jump of several, whose index is no constant, and
    // the kernel an indirect jump of it, which costs 20 ns and more.
    // SAFETY: one register is set and not read.
    unsafe { asm!("{r} = {i}", r = out(reg) _, i = const INDEX, options(nomem, nostack)) };
}

/// What [`Next`] asks for.
#[inline(always)]
pub fn go_on(ctx: *mut xdp_md, s: &mut Scratch, next: Next) -> u32 {
    if next == Next::Walk {
        walk(ctx, s.walk.root);
    }
    go_on_rarely(ctx, s, next)
}

/// The same from programs that few frames come to: without the list of direct jumps, which costs time at loading.
#[inline(always)]
pub fn go_on_rarely(ctx: *mut xdp_md, s: &mut Scratch, next: Next) -> u32 {
    match next {
        Next::Walk => indirect(ctx, s.walk.root as u32),
        Next::Joined => indirect(ctx, JOINED + s.walk.root as u32),
        Next::Enter => to::<ENTER>(ctx),
        Next::Gather => to::<GATHER>(ctx),
        Next::Count(outcome) => {
            s.walk.flags |= s.frame.flags;
            s.outcome = outcome as u32;
            to::<COUNT>(ctx);
            return verdict::pass(ctx);
        }
    }
    // A program that is not there, or too many jumps: counted all the same.
    s.outcome = Outcome::Unparsed as u32;
    to::<COUNT>(ctx);
    verdict::pass(ctx)
}

/// Jumps to the program of a protocol.
#[inline(always)]
fn walk(ctx: *mut xdp_md, proto: u8) {
    macro_rules! jumps {
        ($($nr:literal $variant:ident $module:ident [$($inner:ident)*];)+) => {
            match proto {
                // A constant index in each arm: the kernel turns it into a direct jump.
                $($nr => to::<$nr>(ctx),)+
                _ => {}
            }
        };
    }
    for_each_protocol!(jumps);
}

/// Jumps to a program whose index is known only now.
#[inline(always)]
fn indirect(ctx: *mut xdp_md, index: u32) {
    // SAFETY: as in `to`.
    unsafe { bpf_tail_call(ctx.cast(), maps::programs(), index) };
}
