//! Packet memory: the only place that reads it.
//!
//! The bounds check is written in assembly because LLVM rewrites a pointer comparison into forms that the verifier
//! refuses (it moves the constant to the packet-end side, or drops a mask that it can prove and the verifier cannot).

use core::arch::asm;

use aya_ebpf::bindings::xdp_md;
use ot_xdp_common::bytes::Bytes;

use crate::opaque;

/// Direct pointers into the linear part of a frame, and a limit inside it.
#[derive(Clone, Copy)]
pub struct Packet {
    data: u64,
    data_end: u64,
    limit: u32,
}

impl Packet {
    /// The frame of this context, unlimited.
    #[inline(always)]
    pub fn new(ctx: *mut xdp_md) -> Self {
        let (data, data_end): (u64, u64);
        // SAFETY: `ctx` is the program's context; its first two words are `data` and `data_end`. The verifier turns
        // these two 32-bit loads into full packet pointers, which is why they may not pass through a Rust cast.
        unsafe {
            asm!("{d} = *(u32 *)({c} + 0)", "{e} = *(u32 *)({c} + 4)", c = in(reg) ctx, d = out(reg) data,
                 e = out(reg) data_end, options(nostack, readonly));
        }
        let limit = (data_end - data) as u32;
        Packet { data, data_end, limit }
    }

    /// The frame of this context, readable up to `limit`.
    #[allow(dead_code, reason = "the bench shares this file and reads only envelopes")]
    #[inline(always)]
    pub fn limited(ctx: *mut xdp_md, limit: u32) -> Self {
        let mut p = Self::new(ctx);
        p.limit = limit;
        p
    }
}

/// Loads `$n` octets at `off` as a big-endian number, `None` when they end behind the limit or the linear data.
macro_rules! load {
    ($self:ident, $off:ident, $n:literal, $load:literal, $swap:literal) => {{
        let value: u64;
        let end = $off as u64 + $n;
        if end > $self.limit as u64 {
            return None;
        }
        // SAFETY: the pointer is `data + offset` with the offset masked below 16 KiB, and it is used only behind the
        // comparison of `pointer + n` with `data_end`; the verifier checks exactly this.
        unsafe {
            asm!("{p} = {o}", "{p} &= 0x3fff", "{p} += {d}", "{t} = {p}", concat!("{t} += ", $n),
                 "if {t} > {e} goto {f}", $load, $swap,
                 d = in(reg) $self.data, e = in(reg) $self.data_end, o = in(reg) $off as u64, p = out(reg) _,
                 t = out(reg) _, v = out(reg) value, f = label { return None }, options(nostack, readonly));
        }
        value
    }};
}

impl Bytes for Packet {
    #[inline(always)]
    fn u8(self, off: u32) -> Option<u8> {
        Some(load!(self, off, 1, "{v} = *(u8 *)({p} + 0)", "{t} = 0") as u8)
    }
    #[inline(always)]
    fn be16(self, off: u32) -> Option<u16> {
        Some(load!(self, off, 2, "{v} = *(u16 *)({p} + 0)", "{v} = be16 {v}") as u16)
    }
    #[inline(always)]
    fn be32(self, off: u32) -> Option<u32> {
        Some(load!(self, off, 4, "{v} = *(u32 *)({p} + 0)", "{v} = be32 {v}") as u32)
    }
    #[inline(always)]
    fn be64(self, off: u32) -> Option<u64> {
        Some(load!(self, off, 8, "{v} = *(u64 *)({p} + 0)", "{v} = be64 {v}"))
    }
    #[inline(always)]
    fn len(self) -> u32 {
        self.limit
    }
    #[inline(always)]
    fn until(self, end: u32) -> Self {
        if end < self.limit { Packet { limit: end, ..self } } else { self }
    }
    #[inline(always)]
    fn index<const MASK: u32>(self, value: u32) -> usize {
        opaque::index::<MASK>(value)
    }
    #[inline(always)]
    fn forget(self, value: u32) -> u32 {
        opaque::forget(value, self.limit)
    }
}
