//! Values that the compiler or the verifier must not see through.

use core::arch::asm;
use core::mem::offset_of;

use aya_ebpf::bindings::xdp_md;

/// `value & MASK` with a mask that the compiler cannot drop, see [`ot_xdp_common::bytes::Bytes::index`].
#[inline(always)]
pub fn index<const MASK: u32>(value: u32) -> usize {
    let index: u64;
    // SAFETY: one register is masked; no memory is touched.
    unsafe {
        asm!("{i} &= {m}", i = inout(reg) value as u64 => index, m = const MASK, options(pure, nomem, nostack));
    }
    // Once more for the compiler, which cannot look into the assembly.
    index as usize & MASK as usize
}

/// The value itself; the verifier knows nothing about it any more, because it does not know `unknown`.
#[inline(always)]
pub fn forget(value: u32, unknown: u32) -> u32 {
    let v: u64;
    // SAFETY: two operations on registers; no memory is touched.
    unsafe {
        asm!("{v} ^= {u}", "{v} ^= {u}", v = inout(reg) value as u64 => v, u = in(reg) unknown as u64,
             options(pure, nomem, nostack));
    }
    v as u32
}

/// Index of the interface that the frame came in on. Read in one instruction: the compiler would keep the address of the
/// field, and the verifier allows no pointer into the context but its own.
#[inline(always)]
pub fn ingress(ctx: *mut xdp_md) -> u32 {
    let index: u64;
    // SAFETY: reads a field of this program's context.
    unsafe {
        asm!("{i} = *(u32 *)({c} + {at})", c = in(reg) ctx, i = lateout(reg) index,
             at = const offset_of!(xdp_md, ingress_ifindex), options(readonly, nostack));
    }
    index as u32
}
