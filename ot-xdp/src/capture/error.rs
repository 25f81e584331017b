//! What can be wrong with a capture file, with the place and what to do about it.

use std::io;

/// A fault of a capture file. All offsets are octets in the capture itself, that is behind gzip or zstd if it is
/// compressed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// The file cannot be opened.
    #[error("{file}: cannot be opened: {source}; check the path and that you may read it")]
    Open {
        /// The file as named by the caller.
        file: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The name is that of a folder.
    #[error("{file}: is a folder; name the capture files in it")]
    Folder {
        /// The file as named by the caller.
        file: String,
    },
    /// The file has no octet.
    #[error(
        "{file}: octet 0: is empty, expected a pcap or pcapng header; was the capture stopped before it wrote anything?"
    )]
    Empty {
        /// The file as named by the caller.
        file: String,
    },
    /// Compressed by a program other than gzip and zstd.
    #[error(
        "{file}: octet 0: is compressed with {program}, expected plain, gzip or zstd; unpack it first, for instance \
         `{command} | ot-xdp replay -`"
    )]
    OtherCompression {
        /// The file as named by the caller.
        file: String,
        /// The program that packed it.
        program: &'static str,
        /// A command that writes the unpacked file to standard output.
        command: String,
    },
    /// Neither pcap nor pcapng.
    #[error(
        "{file}: octet 0: expected the magic number of pcap or pcapng, found {found}; if it is a capture in another \
         format, convert it with `editcap -F pcap IN OUT`"
    )]
    NotACapture {
        /// The file as named by the caller.
        file: String,
        /// The first octets in hexadecimal.
        found: String,
    },
    /// The system fails to read on, or the compressed data is damaged or cut.
    #[error("{file}: octet {offset}: reading stops here: {source}")]
    Read {
        /// The file as named by the caller.
        file: String,
        /// Octets of the capture that could be read.
        offset: u64,
        /// The reason, from the system or from the decompressor.
        source: io::Error,
    },
    /// The file ends inside something.
    #[error(
        "{file}: octet {offset}: the file ends inside the {part} that starts at octet {start}, expected {missing} \
         more octets; the frames before it were read; copy the file again if it should be whole"
    )]
    Truncated {
        /// The file as named by the caller.
        file: String,
        /// Length of the capture.
        offset: u64,
        /// What is cut.
        part: &'static str,
        /// Offset at which the cut part starts.
        start: u64,
        /// Octets that the cut part lacks.
        missing: u64,
    },
    /// A value that cannot be. Nothing behind it can be trusted, so reading ends here.
    #[error(
        "{file}: octet {offset}: expected {expected}, found {found}; the frames before it were read, the rest of the \
         file is not usable"
    )]
    Corrupt {
        /// The file as named by the caller.
        file: String,
        /// Offset of the value.
        offset: u64,
        /// What the format allows there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// No Ethernet frame can be rebuilt from the link type of an interface. The file's other frames go on.
    #[error(
        "{file}: octet {offset}: interface {interface} has link type {link_type}, from which no Ethernet frame can \
         be rebuilt; its frames are left out, those of other interfaces go on"
    )]
    LinkType {
        /// The file as named by the caller.
        file: String,
        /// Offset of the interface's first record.
        offset: u64,
        /// Number of the interface in its section, from 0; 0 in a pcap file.
        interface: u32,
        /// Number of the link type in the list of LINKTYPE_ values that pcap and pcapng share.
        link_type: u32,
    },
}

impl CaptureError {
    /// Whether reading of the file ended with this fault: all but [`CaptureError::LinkType`].
    pub fn ends_file(&self) -> bool {
        !matches!(self, Self::LinkType { .. })
    }
}
