//! The kernel's side of classification: maps and helpers behind the traits that the parsers ask.

use aya_ebpf::bindings::xdp_md;
use aya_ebpf::helpers::generated::bpf_xdp_get_buff_len;
use ot_xdp_common::classify::Bindings;
use ot_xdp_common::frame::Envelope;
use ot_xdp_common::stream::{Memory, Stream, Window};

use crate::maps;

/// The frame in hand.
pub struct Kernel {
    /// Its context.
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

impl Memory for Kernel {
    #[inline(always)]
    fn ifindex(&mut self) -> u32 {
        // SAFETY: `ctx` is the program's context.
        unsafe { (*self.ctx).ingress_ifindex }
    }
    #[inline(always)]
    fn stream(&mut self, slot: u32) -> Option<&mut Stream> {
        maps::stream(slot)
    }
    #[inline(always)]
    fn window(&mut self, slot: u32) -> Option<&mut Window> {
        maps::window(slot)
    }
    #[inline(always)]
    fn service(&mut self, slot: u32) -> Option<&mut u64> {
        maps::service(slot)
    }
}
