//! Keys of a large plant that was made up.

use ot_xdp_common::op::{Class, Dir, Kind, Tag};
use ot_xdp_common::proto::Proto;
use ot_xdp_common::wire::{FlowKey, FlowValue};

const S: u64 = 1_000_000_000;

/// A key of a large plant: four to a conversation.
pub fn flow(i: u32, round: u64) -> (FlowKey, FlowValue) {
    let asks = i.is_multiple_of(2);
    let (client, server) = ([0, 0, 0xFFFF, 0x0A00_0000 + i / 64], [0, 0, 0xFFFF, 0x0A80_0000 + i / 4]);
    let (src, dst) = if asks { (client, server) } else { (server, client) };
    let end = |s: [u32; 4], port: u64| (0x0200_0000_0000 | u64::from(s[3])) << 16 | port;
    let (sport, dport) = if asks { (40_000, 502) } else { (502, 40_000) };
    let key = FlowKey {
        src,
        dst,
        function: 3 + (i / 2) % 2,
        unit: 1,
        ifindex: 2,
        service: 502,
        tag: Tag::new(
            Proto::Modbus as u8,
            Kind::new(Class::Read, false).0,
            if asks { Dir::Request } else { Dir::Response },
            6,
        ),
    };
    let value = FlowValue {
        pdus: round * 10,
        frames: round * 10,
        bytes: round * 660,
        first_ns: S,
        last_ns: round * 10 * S - 1,
        src_end: end(src, sport),
        dst_end: end(dst, dport),
        ..FlowValue::default()
    };
    (key, value)
}
