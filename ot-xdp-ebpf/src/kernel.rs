//! The kernel's side of classification: maps and helpers behind the traits that the parsers ask.

use aya_ebpf::bindings::xdp_md;
use aya_ebpf::helpers::generated::bpf_xdp_get_buff_len;
use ot_xdp_common::bytes::Bytes;
use ot_xdp_common::classify::Bindings;
use ot_xdp_common::frame::{Envelope, Frame};
use ot_xdp_common::stream::{self, Memory, Stream, Window};

use crate::maps;
use crate::packet::Packet;

/// [`stream::deposit`] as a global subprogram: verified once for any arguments.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn deposit(ctx: *mut xdp_md, base: u32, slot: u32) -> u32 {
    let (Some(s), Some(window)) = (maps::scratch(), maps::window(slot)) else { return 0 };
    stream::deposit(Packet::limited(ctx, s.frame.end), &s.frame, base, window);
    1
}

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
    #[inline(always)]
    fn tunnels(&mut self) -> bool {
        maps::opens_tunnels()
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
    fn deposit<B: Bytes>(&mut self, _: B, _: &Frame, base: u32, slot: u32) {
        let _ = deposit(self.ctx, base, slot);
    }
    #[inline(always)]
    fn service(&mut self, slot: u32) -> Option<&mut u64> {
        maps::service(slot)
    }
}
