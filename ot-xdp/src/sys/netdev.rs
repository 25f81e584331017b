//! What a driver can do with XDP, from the kernel's `netdev` family (Linux 6.3 and later).

use std::io;

use super::genl::{Family, attributes, number};

/// `NETDEV_CMD_DEV_GET` (linux/netdev.h).
const DEV_GET: u8 = 1;
/// `NETDEV_A_DEV_IFINDEX`.
const IFINDEX: u16 = 1;
/// `NETDEV_A_DEV_XDP_FEATURES`.
const XDP_FEATURES: u16 = 3;
/// `NETDEV_XDP_ACT_BASIC`: pass, drop, abort and transmit work in the driver.
const BASIC: u64 = 1;
/// `NETDEV_XDP_ACT_NDO_XMIT`: other interfaces' programs can send out of it.
const NDO_XMIT: u64 = 4;
/// `NETDEV_XDP_ACT_RX_SG`: frames of several buffers.
const RX_SG: u64 = 32;

/// What the driver of an interface can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XdpFeatures {
    /// It runs XDP programs.
    pub native: bool,
    /// It hands them frames of more than one buffer.
    pub multi_buffer: bool,
    /// Programs of other interfaces can send out of it.
    pub target: bool,
}

impl From<u64> for XdpFeatures {
    fn from(bits: u64) -> Self {
        XdpFeatures { native: bits & BASIC != 0, multi_buffer: bits & RX_SG != 0, target: bits & NDO_XMIT != 0 }
    }
}

/// The XDP features of an interface, `None` where the kernel is too old to tell.
///
/// # Errors
/// What the kernel answers, `ENODEV` among others.
pub fn xdp_features(ifindex: u32) -> io::Result<Option<XdpFeatures>> {
    let Some(family) = Family::open("netdev")? else { return Ok(None) };
    let answer = family.get(DEV_GET, &[number(IFINDEX, ifindex)])?;
    let bits = attributes(&answer).find(|(kind, _)| *kind == XDP_FEATURES);
    Ok(bits.and_then(|(_, v)| v.first_chunk().copied()).map(|b| u64::from_ne_bytes(b).into()))
}
