//! Bounded access to the octets of a frame; the only way any parser reads.

/// A view of one frame's octets from its first to its last readable one.
///
/// Offsets count from the first octet of the Ethernet header. Every read is checked against the view's end, which is
/// the end of the *data that the protocol stack would see* (IP total length), not of the buffer: padding is not data.
/// Two implementations exist: `&[u8]` below, and packet pointers in the kernel crate.
pub trait Bytes: Copy {
    /// One octet.
    fn u8(self, off: u32) -> Option<u8>;
    /// Big-endian 16 bits.
    fn be16(self, off: u32) -> Option<u16>;
    /// Big-endian 32 bits.
    fn be32(self, off: u32) -> Option<u32>;
    /// Big-endian 64 bits.
    fn be64(self, off: u32) -> Option<u64>;
    /// Octets that can be read.
    fn len(self) -> u32;
    /// The same frame, readable up to `end` at most (IP total length, TPKT length, ...).
    fn until(self, end: u32) -> Self;
    /// `value & MASK` as the index of a table, for a value put together from several fields. The compiler drops an
    /// ordinary mask that it can prove; the verifier of kernels before 6.10 cannot prove it, because it knows no bounds
    /// of `a | b`, `a ^ b` and `a * b`. This mask stays.
    fn index<const MASK: u32>(self, value: u32) -> usize;

    /// The value itself, of which the verifier knows nothing any more: where several ways meet, it then goes on once.
    #[inline(always)]
    fn forget(self, value: u32) -> u32 {
        value
    }

    /// Little-endian 16 bits.
    #[inline(always)]
    fn le16(self, off: u32) -> Option<u16> {
        self.be16(off).map(u16::swap_bytes)
    }
    /// Little-endian 32 bits.
    #[inline(always)]
    fn le32(self, off: u32) -> Option<u32> {
        self.be32(off).map(u32::swap_bytes)
    }
    /// Little-endian 64 bits.
    #[inline(always)]
    fn le64(self, off: u32) -> Option<u64> {
        self.be64(off).map(u64::swap_bytes)
    }
    /// True when nothing can be read.
    #[inline(always)]
    fn is_empty(self) -> bool {
        self.len() == 0
    }
}

#[inline(always)]
fn array<const N: usize>(b: &[u8], off: u32) -> Option<[u8; N]> {
    b.get(off as usize..)?.first_chunk::<N>().copied()
}

impl Bytes for &[u8] {
    fn u8(self, off: u32) -> Option<u8> {
        self.get(off as usize).copied()
    }
    fn be16(self, off: u32) -> Option<u16> {
        array(self, off).map(u16::from_be_bytes)
    }
    fn be32(self, off: u32) -> Option<u32> {
        array(self, off).map(u32::from_be_bytes)
    }
    fn be64(self, off: u32) -> Option<u64> {
        array(self, off).map(u64::from_be_bytes)
    }
    fn len(self) -> u32 {
        <[u8]>::len(self) as u32
    }
    fn until(self, end: u32) -> Self {
        self.get(..end as usize).unwrap_or(self)
    }
    fn index<const MASK: u32>(self, value: u32) -> usize {
        (value & MASK) as usize
    }
}
