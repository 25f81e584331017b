//! Frames around TCP payloads, and frames out of capture files.

use std::path::Path;

/// Flags of a segment that opens a connection.
pub const SYN: u8 = 0x02;
/// Flags of a segment with data.
pub const PSH_ACK: u8 = 0x18;

/// A TCP segment between two hosts in Ethernet and IPv4.
pub fn tcp(sport: u16, dport: u16, flags: u8, seq: u32, payload: &[u8]) -> Vec<u8> {
    let mut f = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0];
    f.extend((40 + payload.len() as u16).to_be_bytes());
    f.extend([0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    f.extend(sport.to_be_bytes());
    f.extend(dport.to_be_bytes());
    f.extend(seq.to_be_bytes());
    f.extend([0, 0, 0, 1, 0x50, flags, 0, 0, 0, 0, 0, 0]);
    f.extend(payload);
    f
}

/// Frames of a pcap file (magic number in either byte order, micro- or nanoseconds); none of a file that is not one.
pub fn pcap(file: &Path) -> Vec<Vec<u8>> {
    let data = std::fs::read(file).unwrap_or_default();
    let little = match data.first_chunk() {
        Some([0xD4, 0xC3, 0xB2, 0xA1] | [0x4D, 0x3C, 0xB2, 0xA1]) => true,
        Some([0xA1, 0xB2, 0xC3, 0xD4] | [0xA1, 0xB2, 0x3C, 0x4D]) => false,
        _ => return Vec::new(),
    };
    let (mut frames, mut rest) = (Vec::new(), data.get(24..).unwrap_or_default());
    while let Some((head, body)) = rest.split_at_checked(16) {
        let octets = [head[8], head[9], head[10], head[11]];
        let len = if little { u32::from_le_bytes(octets) } else { u32::from_be_bytes(octets) };
        let Some((frame, behind)) = body.split_at_checked(len as usize) else { break };
        frames.push(frame.to_vec());
        rest = behind;
    }
    frames
}
