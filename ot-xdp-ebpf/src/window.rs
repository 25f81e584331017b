//! The window as octets: what the parsers read of a PDU that came in pieces.

use core::arch::asm;

use ot_xdp_common::bytes::Bytes;
use ot_xdp_common::stream::{WINDOW, Window};

use crate::opaque;

/// The first `limit` octets of a window behind the sequence number `base`.
#[derive(Clone, Copy)]
pub struct Joined {
    /// The window.
    pub window: &'static Window,
    /// Sequence number of the first octet.
    pub base: u32,
    /// Octets that can be read.
    pub limit: u32,
}

impl Joined {
    #[inline(always)]
    fn octet(self, off: u32) -> u64 {
        let at = self.index::<{ WINDOW - 1 }>(self.base.wrapping_add(off));
        self.window.cells[at] as u64 & 0xFF
    }
    /// `N` octets as a big-endian number. The bound is checked in assembly, as for packets: LLVM merges the arms of a
    /// plain check in ways that leave a register unwritten on one of them, which the verifier refuses.
    #[inline(always)]
    fn number<const N: u32>(self, off: u32) -> Option<u64> {
        let end = off as u64 + N as u64;
        // SAFETY: two registers are compared; no memory is touched.
        unsafe {
            asm!("if {e} > {l} goto {f}", e = in(reg) end, l = in(reg) self.limit as u64, f = label { return None },
                 options(nostack));
        }
        let mut value: u64 = 0;
        for i in 0..N {
            value = value << 8 | self.octet(off.wrapping_add(i));
        }
        Some(value)
    }
}

impl Bytes for Joined {
    #[inline(always)]
    fn u8(self, off: u32) -> Option<u8> {
        self.number::<1>(off).map(|v| v as u8)
    }
    #[inline(always)]
    fn be16(self, off: u32) -> Option<u16> {
        self.number::<2>(off).map(|v| v as u16)
    }
    #[inline(always)]
    fn be32(self, off: u32) -> Option<u32> {
        self.number::<4>(off).map(|v| v as u32)
    }
    #[inline(always)]
    fn be64(self, off: u32) -> Option<u64> {
        self.number::<8>(off)
    }
    #[inline(always)]
    fn len(self) -> u32 {
        self.limit
    }
    #[inline(always)]
    fn until(self, end: u32) -> Self {
        if end < self.limit { Joined { limit: end, ..self } } else { self }
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
