//! One XDP program a protocol, reached by a tail call with a constant index, and one subprogram a protocol for what
//! follows the first step of a segment.
//!
//! The jump to a protocol's program is direct (the kernel patches tail calls with constant indices) and never returns,
//! so the usual frame, one PDU, costs no call and no return: returns are what mitigations make dear (measured: 20 to
//! 30 ns each on a CPU with return thunks). Each program is verified on its own, so the verifier's work is the sum over
//! the protocols and the cost of a frame does not grow with their number.

use aya_ebpf::bindings::xdp_md;
use aya_ebpf::helpers::generated::{bpf_tail_call, bpf_xdp_get_buff_len};
use ot_xdp_common::classify::{Bindings, next_candidate};
use ot_xdp_common::for_each_protocol;
use ot_xdp_common::frame::Envelope;
use ot_xdp_common::proto::{self, Number, Protocol};
use ot_xdp_common::walk::{self, Driven, Step, Steps, Walk};

use ot_xdp_common::wire::IPV6_CHAIN;

use crate::packet::Packet;
use crate::{count, maps, verdict};

/// The kernel's side of the envelope.
pub struct Kernel {
    /// Context of the frame in hand.
    pub ctx: *mut xdp_md,
}

impl Bindings for Kernel {
    #[inline(always)]
    fn word(&mut self, word: u32) -> u64 {
        maps::binding(word)
    }
}

impl Envelope for Kernel {
    #[inline(always)]
    fn frame_len(&mut self) -> u32 {
        // SAFETY: a helper without side effects, given the program's context.
        unsafe { bpf_xdp_get_buff_len(self.ctx) as u32 }
    }
}

/// Jumps to the program of [`Walk::root`]. Comes back only when that program is not loaded.
#[inline(always)]
pub fn jump(ctx: *mut xdp_md, proto: u8) {
    macro_rules! jumps {
        ($($nr:literal $variant:ident $module:ident [$($inner:ident)*];)+) => {
            match proto {
                // A constant index in each arm: the kernel turns it into a direct jump.
                $($nr => tail_call::<$nr>(ctx),)+
                _ => {}
            }
        };
    }
    for_each_protocol!(jumps);
}

/// Jumps to the program that follows IPv6 extension headers. Comes back only when it is not loaded.
#[inline(always)]
pub fn jump_ipv6_chain(ctx: *mut xdp_md) {
    tail_call::<IPV6_CHAIN>(ctx);
}

#[inline(always)]
fn tail_call<const INDEX: u32>(ctx: *mut xdp_md) {
    // SAFETY: the context of this program and a program array.
    unsafe { bpf_tail_call(ctx.cast(), maps::programs(), INDEX) };
}

/// The program of one protocol: first step, rest of the walk, count, pass.
#[inline(always)]
fn run<P: Protocol, S: Steps<Packet>>(ctx: *mut xdp_md, mut steps: S) -> u32 {
    let Some(s) = maps::scratch() else { return verdict::pass() };
    let packet = Packet::limited(ctx, s.walk.end);
    let first = P::step(packet, &mut s.walk);
    let outcome = match walk::drive(first, packet, &mut s.walk, &mut steps) {
        Driven::Outcome(o) => o,
        Driven::Refused => {
            if next_candidate(Packet::new(ctx), &s.frame, &mut s.walk, &mut Kernel { ctx }) {
                jump(ctx, s.walk.root);
            }
            walk::refused(&s.walk)
        }
    };
    s.walk.flags |= s.frame.flags;
    count::frame(ctx, s, outcome);
    verdict::pass()
}

macro_rules! programs {
    ($($nr:literal $variant:ident $module:ident [$($inner:ident)*];)+) => {
        $(
            mod $module {
                use super::*;

                /// One step, for all but the first of a segment; a global function: verified once for any arguments.
                #[unsafe(export_name = concat!("step_", stringify!($module)))]
                #[inline(never)]
                pub extern "C" fn step(ctx: *mut xdp_md, w: *mut Walk) -> u32 {
                    if w.is_null() {
                        return Step::REFUSE.0;
                    }
                    // SAFETY: the verifier checks that `w` is null or points to a whole `Walk`; it belongs to this CPU
                    // and to this run, and the caller gave up its reference for the call.
                    let w = unsafe { &mut *w };
                    proto::$module::$variant::step(Packet::limited(ctx, w.end), w).0
                }

                /// This protocol and what its PDUs lead to.
                struct Family(*mut xdp_md);
                impl Steps<Packet> for Family {
                    #[inline(always)]
                    fn step(&mut self, proto: u8, _: Packet, w: &mut Walk) -> Step {
                        if proto == $nr {
                            return Step(step(self.0, w));
                        }
                        $(if proto == super::$inner::NUMBER {
                            return Step(super::$inner::step(self.0, w));
                        })*
                        Step::REFUSE
                    }
                }

                #[allow(dead_code, reason = "used where another protocol leads to this one")]
                pub const NUMBER: u8 = <proto::$module::$variant as Number>::NUMBER;

                /// Entered by a tail call only.
                #[unsafe(export_name = concat!("ot_", stringify!($module)))]
                #[unsafe(link_section = "xdp.frags")]
                pub extern "C" fn program(ctx: *mut xdp_md) -> u32 {
                    run::<proto::$module::$variant, Family>(ctx, Family(ctx))
                }
            }
        )+
    };
}

for_each_protocol!(programs);
