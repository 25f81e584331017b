//! What both file formats give for a frame, before the link type is looked at.

use bytes::Bytes;

/// Longest frame we take, in octets: the largest snap length in use. A longer one is a forged or broken length.
pub(super) const FRAME_MAX: u32 = 256 * 1024;

/// Octets, as error messages name the limit.
pub(super) const FRAME_LENGTH: &str = "a captured length of at most 262144 octets";

/// A frame as the file has it.
pub(super) struct Record {
    /// Offset of the record in the capture.
    pub(super) start: u64,
    /// Number of the interface in its section.
    pub(super) interface: u32,
    /// Its LINKTYPE_ value.
    pub(super) link: u32,
    /// Nanoseconds since the Unix epoch.
    pub(super) at_ns: i64,
    /// Length on the wire.
    pub(super) orig_len: u32,
    pub(super) data: Bytes,
}
