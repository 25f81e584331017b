//! A refused TCP segment becomes a reset, in its place: the controller frees the connection at once.
//!
//! A reset has to carry the sequence number that the receiver expects next (RFC 9293 cl. 3.10.7.4), which the refused
//! segment does. Later segments of the flow become in turn a bare acknowledgement, to which the controller's stack answers
//! with a reset of its own, so that the client is free as well, and a reset, for the case that the first one was not the
//! next in sequence.

use aya_ebpf::bindings::xdp_md;
use aya_ebpf::helpers::generated::{
    bpf_xdp_adjust_tail, bpf_xdp_get_buff_len, bpf_xdp_load_bytes, bpf_xdp_store_bytes,
};
use ot_xdp_common::frame::{Frame, IPV4};

use crate::{maps, verdict};

/// Octets of a TCP header without options.
const HEADER: u32 = 20;
const ACK: u32 = 0x10;
const RST: u32 = 0x04;

/// Changes the frame in hand. What cannot be changed is dropped.
#[inline(always)]
pub fn in_place(ctx: *mut xdp_md) -> u32 {
    let Some(s) = maps::scratch() else { return verdict::pass(ctx) };
    let Some(v) = maps::verdict() else { return verdict::pass(ctx) };
    if rewrite(ctx, &s.frame, v.reserved).is_some() {
        return verdict::pass(ctx);
    }
    if let Some(n) = maps::gate_count(s.ifindex) {
        n.rewrite_failed += 1;
    }
    verdict::drop()
}

/// `nth`: two more for each segment of the flow that was changed before.
#[inline(always)]
fn rewrite(ctx: *mut xdp_md, f: &Frame, nth: u32) -> Option<()> {
    let (l3, l4) = (f.l3_at, f.l4_at);
    if f.base != 0 || l3 == 0 || l4 < l3 + 20 {
        return None;
    }
    // SAFETY: a helper on the program's context.
    let len = unsafe { bpf_xdp_get_buff_len(ctx) } as u32;
    let end = l4 + HEADER;
    if end > len {
        return None;
    }
    let mut tcp: [u32; 5] = load(ctx, l4)?;
    let ports_and_numbers = [tcp[0], tcp[1], tcp[2]].map(u32::from_be);
    let window = u32::from_be(tcp[3]) & 0xFFFF;
    let control = if nth >> 1 & 1 == 0 { ACK | RST } else { ACK };
    let third = (HEADER / 4) << 28 | control << 16 | window;
    let mut sum = 6 + HEADER;
    for word in ports_and_numbers {
        sum = add(sum, word);
    }
    sum = add(sum, third);
    let v4 = f.ethertype == IPV4;
    for i in 0..4 {
        if i == 3 || !v4 {
            sum = add(add(sum, f.src[i]), f.dst[i]);
        }
    }
    tcp[3] = third.to_be();
    tcp[4] = (folded(sum) << 16).to_be();
    // SAFETY: a helper on the program's context.
    if unsafe { bpf_xdp_adjust_tail(ctx, end as i32 - len as i32) } != 0 {
        return None;
    }
    if v4 {
        let old: u16 = load(ctx, l3 + 2)?;
        let checksum: u16 = load(ctx, l3 + 10)?;
        let new = (l4 + HEADER - l3) as u16;
        // Only the length changes (RFC 1624 cl. 3).
        let sum = !u16::from_be(checksum) as u32 & 0xFFFF;
        let sum = sum + (!u16::from_be(old) as u32 & 0xFFFF) + new as u32;
        store(ctx, l3 + 2, new.to_be())?;
        store(ctx, l3 + 10, (folded(sum) as u16).to_be())?;
    } else {
        let new = (l4 + HEADER).wrapping_sub(l3 + 40) as u16;
        store(ctx, l3 + 4, new.to_be())?;
    }
    store(ctx, l4, tcp)
}

/// One's complement sum of 16-bit words, not folded yet.
#[inline(always)]
fn add(sum: u32, word: u32) -> u32 {
    sum + (word >> 16) + (word & 0xFFFF)
}

/// The checksum: sum folded into 16 bits, inverted (RFC 1071).
#[inline(always)]
fn folded(sum: u32) -> u32 {
    let sum = (sum & 0xFFFF) + (sum >> 16);
    let sum = (sum & 0xFFFF) + (sum >> 16);
    !sum & 0xFFFF
}

#[inline(always)]
fn load<T: Copy + Default>(ctx: *mut xdp_md, at: u32) -> Option<T> {
    let mut value = T::default();
    // SAFETY: the helper writes no more octets than `value` has; any octets are a valid value of the integers used here.
    let done = unsafe { bpf_xdp_load_bytes(ctx, at, (&raw mut value).cast(), size_of::<T>() as u32) };
    if done == 0 { Some(value) } else { None }
}

#[inline(always)]
fn store<T: Copy>(ctx: *mut xdp_md, at: u32, mut value: T) -> Option<()> {
    // SAFETY: the helper reads the octets of `value`.
    let done = unsafe { bpf_xdp_store_bytes(ctx, at, (&raw mut value).cast(), size_of::<T>() as u32) };
    if done == 0 { Some(()) } else { None }
}
