//! Map types of the bench's packet feeder.

/// Packets the feeder can hold.
pub const FEED_PACKETS: u32 = 16_384;
/// Octets of the longest packet it feeds.
pub const FEED_BYTES: usize = 1528;

/// One packet of the mix.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct FeedPacket {
    /// Its length in octets.
    pub len: u32,
    /// Offset of its TCP sequence number, 0 for none: a connection goes on from frame to frame.
    pub seq_at: u16,
    /// Octets of its TCP payload.
    pub payload: u16,
    /// Its TCP sequence number.
    pub first_seq: u32,
    /// Padding to eight octets.
    pub reserved: u32,
    /// Its octets.
    pub bytes: [u8; FEED_BYTES],
}

/// State of the feeder on one CPU.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct FeedControl {
    /// Runs so far.
    pub next: u32,
    /// Packets in the mix.
    pub packets: u32,
    /// Above 1: write this many different low halves of an IPv4 source address (power of two, at most 65,536).
    pub conversations: u32,
    /// Interface that generated frames go out of.
    pub ifindex: u32,
    /// Generated frames: octets of TCP payload, by which the sequence number goes on.
    pub payload: u32,
    /// Padding to eight octets.
    pub reserved: u32,
}
