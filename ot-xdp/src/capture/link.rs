//! Makes Ethernet frames of other link types, so that one parser sees all captures.
//!
//! Sources: the tcpdump group's pages of LINKTYPE_NULL, _LOOP, _RAW, _IPV4, _IPV6, _LINUX_SLL and _LINUX_SLL2.

use bytes::{BufMut, Bytes, BytesMut};

/// Octets of an Ethernet header without tags.
const ETHERNET_HEADER: usize = 14;
/// Addresses of a header that is made up: locally administered, so that they belong to no vendor.
const SOURCE: [u8; 6] = [2, 0, 0, 0, 0, 1];
const DESTINATION: [u8; 6] = [2, 0, 0, 0, 0, 2];

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86DD;
/// Least EtherType; the cooked protocol numbers below are Linux's own.
const ETHERTYPE_MIN: u16 = 0x0600;
/// Linux cooked protocol numbers of frames with a length instead of an EtherType: 802.3 without LLC, 802.2 LLC.
const COOKED_802_3: u16 = 1;
const COOKED_802_2: u16 = 4;
/// Longest payload that an 802.3 length field may tell (IEEE 802.3 3.2.6).
const LENGTH_MAX: usize = 1500;
/// ARPHRD_ numbers whose cooked protocol field is no EtherType: 802.11 with and without radio header, netlink.
const OTHER_HARDWARE: [u16; 4] = [801, 802, 803, 824];

/// What became of a frame.
pub(super) enum Outcome {
    /// It is Ethernet.
    AsItIs,
    /// `removed` octets at its front were replaced by an Ethernet header.
    Rebuilt { frame: Bytes, removed: usize },
    /// Nothing an Ethernet frame could carry, or its header is cut.
    Impossible,
    /// No frame of this link type can be rebuilt.
    Unsupported,
}

/// Makes an Ethernet frame of a frame of link type `link`.
pub(super) fn to_ethernet(link: u32, data: &Bytes) -> Outcome {
    let rebuilt = match link {
        1 => return Outcome::AsItIs,
        0 | 108 => loopback(data),
        12 | 14 | 101 => data.first().and_then(|first| match first >> 4 {
            4 => ethernet(data, 0, SOURCE, IPV4),
            6 => ethernet(data, 0, SOURCE, IPV6),
            _ => None,
        }),
        228 => ethernet(data, 0, SOURCE, IPV4),
        229 => ethernet(data, 0, SOURCE, IPV6),
        113 => cooked(data),
        276 => cooked2(data),
        _ => return Outcome::Unsupported,
    };
    rebuilt.unwrap_or(Outcome::Impossible)
}

/// Protocol family 4, in the byte order of the capturing machine or of the network.
fn loopback(data: &Bytes) -> Option<Outcome> {
    let family = u32::from_be_bytes(*data.first_chunk()?);
    // No family is above 255, so the byte order shows.
    let ethertype = match if family > 0xFFFF { family.swap_bytes() } else { family } {
        2 => IPV4,
        // Linux; NetBSD and OpenBSD; FreeBSD; Darwin.
        10 | 24 | 28 | 30 => IPV6,
        _ => return None,
    };
    ethernet(data, 4, SOURCE, ethertype)
}

/// Packet type 2, hardware 2, length of address 2, address 8, protocol 2; big-endian.
fn cooked(data: &Bytes) -> Option<Outcome> {
    let header: &[u8; 16] = data.first_chunk()?;
    let [_, _, h0, h1, l0, l1, address @ .., p0, p1] = header;
    from_cooked(data, 16, [*h0, *h1], u16::from_be_bytes([*l0, *l1]), address, [*p0, *p1])
}

/// Protocol 2, reserved 2, interface 4, hardware 2, packet type 1, length of address 1, address 8; big-endian.
fn cooked2(data: &Bytes) -> Option<Outcome> {
    let header: &[u8; 20] = data.first_chunk()?;
    let [p0, p1, _, _, _, _, _, _, h0, h1, _, length, address @ ..] = header;
    from_cooked(data, 20, [*h0, *h1], u16::from(*length), address, [*p0, *p1])
}

fn from_cooked(
    data: &Bytes,
    removed: usize,
    hardware: [u8; 2],
    address_len: u16,
    address: &[u8],
    protocol: [u8; 2],
) -> Option<Outcome> {
    if OTHER_HARDWARE.contains(&u16::from_be_bytes(hardware)) {
        return None;
    }
    // Devices without addresses have one of zeros here.
    let source = match address.first_chunk() {
        Some(address) if address_len == 6 && *address != [0; 6] => *address,
        _ => SOURCE,
    };
    // A VLAN tag is a protocol with the tag's rest as the front of the payload: nothing to do but to keep both.
    let ethertype = match u16::from_be_bytes(protocol) {
        ethertype @ ETHERTYPE_MIN.. => ethertype,
        COOKED_802_3 | COOKED_802_2 => {
            let length = data.len().saturating_sub(removed);
            u16::try_from(length).ok().filter(|_| length <= LENGTH_MAX)?
        }
        _ => return None,
    };
    ethernet(data, removed, source, ethertype)
}

fn ethernet(data: &Bytes, removed: usize, source: [u8; 6], ethertype: u16) -> Option<Outcome> {
    let payload = data.get(removed..)?;
    let mut frame = BytesMut::with_capacity(ETHERNET_HEADER + payload.len());
    frame.put_slice(&DESTINATION);
    frame.put_slice(&source);
    frame.put_u16(ethertype);
    frame.put_slice(payload);
    Some(Outcome::Rebuilt { frame: frame.freeze(), removed })
}

/// Length on the wire of a rebuilt frame.
pub(super) fn rebuilt_len(orig_len: u32, removed: usize) -> u32 {
    let payload = orig_len.saturating_sub(u32::try_from(removed).unwrap_or(u32::MAX));
    payload.saturating_add(ETHERNET_HEADER as u32)
}
