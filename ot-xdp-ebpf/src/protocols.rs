//! One verified subprogram a protocol, and the jump between them.
//!
//! They are *global* BPF functions: the kernel verifies each once, for any arguments, and not again at each call. So
//! the verifier's work grows with the sum of the protocols, and the cost of a frame does not grow with their number.

use aya_ebpf::bindings::xdp_md;
use ot_xdp_common::classify::Bindings;
use ot_xdp_common::for_each_protocol;
use ot_xdp_common::frame::{self, Envelope, Frame};
use ot_xdp_common::limits::REACH;
use ot_xdp_common::walk::{Step, Steps, Walk};

use crate::maps;
use crate::packet::Packet;

/// The kernel's side of classification.
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

impl Envelope<Packet> for Kernel {
    #[inline(always)]
    fn tags(&mut self, _: Packet, f: &mut Frame) -> bool {
        tags(self.ctx, f) != 0
    }
    #[inline(always)]
    fn ipv6_chain(&mut self, _: Packet, f: &mut Frame) -> bool {
        ipv6_chain(self.ctx, f) != 0
    }
}

/// See [`frame::tags`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn tags(ctx: *mut xdp_md, f: *mut Frame) -> u32 {
    if f.is_null() {
        return 0;
    }
    // SAFETY: the verifier checks that `f` is null or points to a whole `Frame` of this CPU and this run.
    frame::tags(Packet::limited(ctx, REACH), unsafe { &mut *f }) as u32
}

/// See [`frame::ipv6_chain`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn ipv6_chain(ctx: *mut xdp_md, f: *mut Frame) -> u32 {
    if f.is_null() {
        return 0;
    }
    // SAFETY: as above.
    let f = unsafe { &mut *f };
    frame::ipv6_chain(Packet::limited(ctx, f.end), f) as u32
}

macro_rules! subprograms {
    ($($nr:literal $variant:ident $module:ident;)+) => {
        mod entry {
            use super::*;
            $(
                /// One parser step; see the protocol's file.
                #[unsafe(no_mangle)]
                #[inline(never)]
                pub extern "C" fn $module(ctx: *mut xdp_md, w: *mut Walk) -> u32 {
                    use ot_xdp_common::proto::Protocol as _;
                    if w.is_null() {
                        return Step::REFUSE.0;
                    }
                    // SAFETY: the verifier checks that `w` is null or points to a whole `Walk`; it belongs to this CPU
                    // and to this run, and the caller gave up its reference for the call.
                    let w = unsafe { &mut *w };
                    ot_xdp_common::proto::$module::$variant::step(Packet::limited(ctx, w.end), w).0
                }
            )+
        }

        impl Steps<Packet> for Kernel {
            #[inline(always)]
            fn step(&mut self, proto: u8, _: Packet, w: &mut Walk) -> Step {
                match proto {
                    $($nr => Step(entry::$module(self.ctx, w)),)+
                    _ => Step::REFUSE,
                }
            }
        }
    };
}

for_each_protocol!(subprograms);
