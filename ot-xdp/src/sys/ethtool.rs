//! Offloads that are on, from the kernel's `ethtool` family (Linux 5.6 and later).

use std::io;

use super::genl::{Family, attributes, nest, number};

/// `ETHTOOL_MSG_FEATURES_GET` (linux/ethtool_netlink.h; so are all numbers below).
const FEATURES_GET: u8 = 11;
/// `ETHTOOL_A_FEATURES_HEADER`.
const HEADER: u16 = 1;
/// `ETHTOOL_A_HEADER_DEV_INDEX`.
const DEV_INDEX: u16 = 1;
/// `ETHTOOL_A_FEATURES_ACTIVE`: a bitset.
const ACTIVE: u16 = 4;
/// `ETHTOOL_A_BITSET_BITS`, `ETHTOOL_A_BITSET_BITS_BIT`, `ETHTOOL_A_BITSET_BIT_NAME`.
const BITS: u16 = 3;
const BIT: u16 = 1;
const NAME: u16 = 2;

/// The VLAN tag of a received frame is taken off by the adapter.
pub const VLAN_RECEIVE: &str = "rx-vlan-hw-parse";
/// Received segments are merged by the driver.
pub const LRO: &str = "rx-lro";
/// Received segments are merged by the adapter.
pub const GRO_HW: &str = "rx-gro-hw";

/// Names of the offloads that are on.
///
/// # Errors
/// What the kernel answers: `EOPNOTSUPP` for an interface without offloads, `ENODEV`; `Unsupported` where the kernel
/// is built without the family.
pub fn active(ifindex: u32) -> io::Result<Vec<String>> {
    let Some(family) = Family::open("ethtool")? else { return Err(io::ErrorKind::Unsupported.into()) };
    let answer = family.get(FEATURES_GET, &[nest(HEADER, &[number(DEV_INDEX, ifindex)])])?;
    Ok(names(&answer))
}

/// The names in the bitset of what is active: without a mask, it lists only bits that are set.
fn names(answer: &[u8]) -> Vec<String> {
    let inside = |octets, kind| attributes(octets).filter(move |(k, _)| *k == kind).map(|(_, v)| v);
    inside(answer, ACTIVE)
        .flat_map(|set| inside(set, BITS))
        .flat_map(|bits| inside(bits, BIT))
        .flat_map(|bit| inside(bit, NAME))
        .map(|name| String::from_utf8_lossy(name).trim_end_matches('\0').to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::genl::text;
    use super::*;

    #[test]
    fn names_of_active_bits_are_found() {
        let bits = nest(BITS, &[nest(BIT, &[number(1, 8), text(NAME, VLAN_RECEIVE)]), nest(BIT, &[text(NAME, LRO)])]);
        let other = nest(2, &[nest(BITS, &[nest(BIT, &[text(NAME, GRO_HW)])])]);
        let mut answer = Vec::new();
        for a in [other, nest(ACTIVE, &[number(2, 64), bits])] {
            let mut octets = vec![0; netlink_packet_core::Emitable::buffer_len(&a)];
            netlink_packet_core::Emitable::emit(&a, &mut octets);
            answer.extend(octets);
        }
        assert_eq!(names(&answer), [VLAN_RECEIVE, LRO]);
    }

    #[test]
    fn the_loopback_interface_has_offloads() {
        assert!(active(1).unwrap().iter().any(|n| n == "tx-lockless" || n == "rx-gro"), "{:?}", active(1));
    }
}
