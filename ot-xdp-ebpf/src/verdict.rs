//! What happens to the frame. Passive: there is one verdict.

use aya_ebpf::bindings::xdp_action;

/// Lets the frame go on as it came.
#[inline(always)]
pub fn pass() -> u32 {
    xdp_action::XDP_PASS
}
