//! A frame of each protocol that no capture holds, made from its layout.

use crate::workload::tcp;

/// How a payload travels.
#[derive(Clone, Copy)]
enum On {
    /// TCP to this port.
    Tcp(u16),
    /// UDP from and to these ports.
    Udp(u16, u16),
    /// EtherType.
    Type(u16),
}

const SAMPLES: &[(&str, On, &str)] = &[
    ("coap", On::Udp(40_000, 5683), "420312340102b56c69676874ff31"),
    ("gse", On::Type(0x88B9), "00010013000000006009800101a104a2021234"),
    ("powerlink", On::Type(0x88AB), "0301f000010001000400 01020304"),
    ("sercos", On::Type(0x88CD), "20041122334400000000"),
    ("cclink", On::Udp(61_450, 61_450), "500000ffff03000a000000700e000001000000"),
    ("mrp", On::Type(0x88E3), "0001030c80000001020304050001000a01120007ffffffffffffffffffffffffffffffff0000"),
    ("prp", On::Type(0x88FB), "0001123414060001020304050000"),
    ("dlr", On::Type(0x80E1), "02010100c0a80101000000010164 00000190000007a800000000"),
    ("macsec", On::Type(0x88E5), "2d000000000107070707070707070707070707070707070707070707"),
    ("codesys-v3", On::Udp(1741, 1740), "c573000301000000"),
    ("codesys-v2", On::Tcp(2455), "bbbb0100000001"),
    ("codesys-nvl", On::Udp(1202, 1202), "002d533300000000010000000100160005000000aabb"),
    ("lontalk", On::Udp(1628, 1629), "0014016300000000000000000000000000000000"),
    ("deltav", On::Udp(40_000, 18_507), "face000200030000000000000000000000000000aabb"),
    ("vnetip", On::Udp(5313, 5313), "0001020304050607"),
    ("moxa", On::Udp(40_000, 4800), "0100000800000000"),
    ("lantronix", On::Udp(40_000, 30_718), "000000f8"),
    ("logo", On::Tcp(10_005), "551717000000aa"),
];

/// Name and frame of each.
pub fn all() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    SAMPLES.iter().map(|(name, on, hex)| (*name, frame(*on, &octets(hex))))
}

fn frame(on: On, payload: &[u8]) -> Vec<u8> {
    match on {
        On::Tcp(port) => tcp(port, payload),
        On::Udp(from, to) => udp(from, to, payload),
        On::Type(ethertype) => {
            let mut f = vec![1, 0x15, 0x4E, 0, 1, 0, 2, 0, 0, 0, 0, 1];
            f.extend(ethertype.to_be_bytes());
            f.extend(payload);
            f.resize(f.len().max(60), 0);
            f
        }
    }
}

fn udp(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let mut f = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0];
    f.extend((28 + payload.len() as u16).to_be_bytes());
    f.extend([0, 1, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    f.extend(from.to_be_bytes());
    f.extend(to.to_be_bytes());
    f.extend((8 + payload.len() as u16).to_be_bytes());
    f.extend([0, 0]);
    f.extend(payload);
    f
}

fn octets(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
    digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |octet, digit| octet << 4 | digit)).collect()
}
