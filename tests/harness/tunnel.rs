//! Frames in tunnels: one of every kind that the sensor opens.

/// Name, what is in front of the inner frame: a header of UDP is made, one of GRE is the octets themselves.
pub const KINDS: [(&str, Carrier, &[u8]); 10] = [
    ("vxlan", Carrier::Udp(4789), &[8, 0, 0, 0, 0, 0x12, 0x34, 0]),
    ("vxlan-linux", Carrier::Udp(8472), &[8, 0, 0, 0, 0, 0x12, 0x34, 0]),
    ("gre", Carrier::Gre, &[0, 0, 0x65, 0x58]),
    ("gre-checksum", Carrier::Gre, &[0x80, 0, 0x65, 0x58, 1, 2, 0, 0]),
    ("gre-key", Carrier::Gre, &[0x20, 0, 0x65, 0x58, 0, 0, 0, 7]),
    ("gre-key-sequence", Carrier::Gre, &[0x30, 0, 0x65, 0x58, 0, 0, 0, 7, 0, 0, 0, 1]),
    ("erspan-1", Carrier::Gre, &[0, 0, 0x88, 0xBE]),
    ("erspan-2", Carrier::Gre, &[0x10, 0, 0x88, 0xBE, 0, 0, 0, 1, 0x10, 0x64, 0, 1, 0, 0, 0, 2]),
    ("erspan-3", Carrier::Gre, &[0x10, 0, 0x22, 0xEB, 0, 0, 0, 1, 0x20, 0x64, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0]),
    (
        "erspan-3-platform",
        Carrier::Gre,
        &[0x10, 0, 0x22, 0xEB, 0, 0, 0, 1, 0x20, 0x64, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8],
    ),
];

/// What carries the tunnel.
#[derive(Clone, Copy, Debug)]
pub enum Carrier {
    /// A UDP datagram to this port.
    Udp(u16),
    /// GRE directly in IP.
    Gre,
}

/// Most octets that [`wrap`] puts in front of a frame.
pub const OVERHEAD: usize = 14 + 40 + 28;

/// The frame in a tunnel of this kind from 192.0.2.1 to 192.0.2.2.
pub fn wrap(carrier: Carrier, head: &[u8], inner: &[u8]) -> Vec<u8> {
    packet(0x0800, &ipv4(carrier, head, inner))
}

/// The same over IPv6, from 2001:db8::1 to 2001:db8::2.
pub fn wrap_ipv6(carrier: Carrier, head: &[u8], inner: &[u8]) -> Vec<u8> {
    let (next, payload) = payload(carrier, head, inner);
    let mut out = vec![0x60, 0, 0, 0];
    out.extend((payload.len() as u16).to_be_bytes());
    out.extend([next, 64]);
    for host in [1, 2] {
        out.extend([0x20, 1, 0xD, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host]);
    }
    out.extend(payload);
    packet(0x86DD, &out)
}

/// The IP packet of an untagged frame in GRE, without its Ethernet header. None when it has none.
pub fn wrap_packet(inner: &[u8]) -> Option<Vec<u8>> {
    match inner.get(12..14)? {
        ethertype @ ([0x08, 0x00] | [0x86, 0xDD]) => {
            let head = [&[0, 0], ethertype].concat();
            Some(wrap(Carrier::Gre, &head, inner.get(14..)?))
        }
        _ => None,
    }
}

fn ipv4(carrier: Carrier, head: &[u8], inner: &[u8]) -> Vec<u8> {
    let (protocol, payload) = payload(carrier, head, inner);
    let mut out = vec![0x45, 0];
    out.extend((payload.len() as u16 + 20).to_be_bytes());
    out.extend([0, 1, 0x40, 0, 64, protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    out.extend(payload);
    out
}

fn payload(carrier: Carrier, head: &[u8], inner: &[u8]) -> (u8, Vec<u8>) {
    let mut out = Vec::new();
    let protocol = match carrier {
        Carrier::Gre => 47,
        Carrier::Udp(port) => {
            out.extend([0xC0, 0]);
            out.extend(port.to_be_bytes());
            out.extend(((8 + head.len() + inner.len()) as u16).to_be_bytes());
            out.extend([0, 0]);
            17
        }
    };
    out.extend_from_slice(head);
    out.extend_from_slice(inner);
    (protocol, out)
}

fn packet(ethertype: u16, packet: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 0xB2, 2, 0, 0, 0, 0, 0xA1];
    frame.extend(ethertype.to_be_bytes());
    frame.extend_from_slice(packet);
    frame
}
