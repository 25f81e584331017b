//! What happens to the frame.

use aya_ebpf::bindings::{xdp_action, xdp_md};

use crate::{maps, opaque};

/// Lets the frame go on as it is: to the network stack, or of a pair of interfaces to the other one.
#[inline(always)]
pub fn pass(ctx: *mut xdp_md) -> u32 {
    if maps::is_pair() {
        return maps::other_of_pair(opaque::ingress(ctx));
    }
    xdp_action::XDP_PASS
}

/// The only place that drops: what an operator's policy denies, in a gate that is armed.
#[inline(always)]
pub fn drop() -> u32 {
    xdp_action::XDP_DROP
}
