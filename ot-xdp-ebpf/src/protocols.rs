//! One verified subprogram a protocol, and the jump between them.
//!
//! They are *global* BPF functions: the kernel verifies each once, for any arguments, and not again at each call. So
//! the verifier's work grows with the sum of the protocols, and the cost of a frame does not grow with their number.

use aya_ebpf::bindings::xdp_md;
use ot_xdp_common::classify::Bindings;
use ot_xdp_common::for_each_protocol;
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
