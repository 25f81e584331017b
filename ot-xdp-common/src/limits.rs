//! Sizes and bounds that both sides share; each one is a promise of the README's limits chapter.

/// Octets of a frame that classification can reach. Covers jumbo frames up to the first XDP buffer (measured 3,520
/// octets of linear data on veth); what lies behind is flagged [`crate::flags::BEYOND_REACH`].
pub const REACH: u32 = 3520;
/// VLAN tags (802.1Q, 802.1ad, 0x9100) that are followed.
pub const VLAN_TAGS: u32 = 2;
/// IPv6 extension headers that are followed.
pub const IPV6_EXTENSIONS: u32 = 6;
/// PDUs of one segment that are walked; what is left is flagged [`crate::flags::WALK_LIMIT`].
pub const PDUS: u32 = 16;
/// Parser steps for one segment: PDUs plus everything nested in them.
pub const STEPS: u32 = 64;
/// Operations remembered for one segment; a power of two, so that an index mask is the bounds check.
pub const OPS: usize = 64;
/// Conversation-and-function keys, unless the operator asks for another number.
pub const FLOWS: u32 = 65_536;
/// Octets of the first-seen ring buffer (a power of two and a multiple of the page size).
pub const RING_BYTES: u32 = 1 << 20;
/// Ports that can be counted apart; the slot is `ifindex % PORTS`.
pub const PORTS: u32 = 256;
/// First-seen records a CPU may emit in one coarse-clock second; the rest is counted, and visible in the flow map.
pub const FIRST_SEEN_PER_SECOND: u32 = 5_000;
/// Pairs of stations of which one looks for the other that are remembered; the least recently used goes first.
pub const PROBES: u32 = 16_384;
