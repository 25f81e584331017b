//! What happens to the frame.

use aya_ebpf::bindings::xdp_action;

/// Lets the frame go on as it is.
#[inline(always)]
pub fn pass() -> u32 {
    xdp_action::XDP_PASS
}

/// The only place that drops: what an operator's policy denies, in a gate that is armed.
#[inline(always)]
pub fn drop() -> u32 {
    xdp_action::XDP_DROP
}
