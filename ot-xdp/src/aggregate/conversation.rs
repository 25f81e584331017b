//! Who talks to whom: from directed keys to conversations, and the name of a conversation's protocol.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::LazyLock;

use ot_xdp_common::op::Dir;
use ot_xdp_common::proto::Proto;
use ot_xdp_common::wire::FlowKey;

/// One side of a frame: MAC in the high 48 bits, port in the low 16, as in [`ot_xdp_common::frame::Frame::src_end`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct End(pub u64);

impl End {
    /// Port, 0 without one.
    pub fn port(self) -> u16 {
        self.0 as u16
    }
    /// Hardware address.
    pub fn mac(self) -> [u8; 6] {
        let b = self.0.to_be_bytes();
        [b[0], b[1], b[2], b[3], b[4], b[5]]
    }
}

/// Two stations and the service between them, whoever sends.
///
/// Nested protocols (CIP in EtherNet/IP, UMAS in Modbus) share their carrier's conversation: the key has no protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Conversation {
    /// Interface the frames came in on.
    pub ifindex: u32,
    /// Outer VLAN id, 0 for untagged.
    pub vlan: u16,
    /// IP protocol number, 0 for layer 2.
    pub l4: u8,
    /// Port of the server; EtherType for layer 2.
    pub port: u16,
    /// Station that asks, commands or publishes; see [`ot_xdp_common::frame::Frame::src`] for the form.
    pub client: [u32; 4],
    /// Station that answers or receives.
    pub server: [u32; 4],
}

impl Conversation {
    /// The conversation of a key whose sender is the client.
    fn from_client(key: &FlowKey) -> Conversation {
        Conversation {
            ifindex: key.ifindex,
            vlan: key.vlan(),
            l4: key.l4(),
            port: key.port(),
            client: key.src,
            server: key.dst,
        }
    }

    /// The same with the roles exchanged.
    fn turned(self) -> Conversation {
        Conversation { client: self.server, server: self.client, ..self }
    }

    /// IP address of the client, none on layer 2.
    pub fn client_ip(&self) -> Option<IpAddr> {
        self.ip(self.client)
    }

    /// IP address of the server, none on layer 2.
    pub fn server_ip(&self) -> Option<IpAddr> {
        self.ip(self.server)
    }

    fn ip(&self, words: [u32; 4]) -> Option<IpAddr> {
        (self.l4 != 0).then(|| address(words))
    }
}

/// An address from the form of the kernel's keys.
fn address(words: [u32; 4]) -> IpAddr {
    let [a, b, c, d] = words.map(u128::from);
    let v6 = Ipv6Addr::from(a << 96 | b << 64 | c << 32 | d);
    v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4)
}

/// Which conversation a key belongs to, and whether its sender is the client there.
///
/// The side that holds the service's port is the server, so that a connection stays one conversation although its server
/// asks too (an S7 controller fetches the blocks that it was told to load) or reports unasked (DNP3, IEC 60870-5-104).
/// Where ports do not tell (layer 2, the same port on both sides), direction does: who asks or publishes is the client.
/// `known` is asked when neither tells.
pub fn orient(key: &FlowKey, src: End, dst: End, known: impl Fn(&Conversation) -> bool) -> (Conversation, bool) {
    let sent_by_client = Conversation::from_client(key);
    let from_client = match by_port(key, src, dst) {
        Some(from_client) => from_client,
        None => match key.dir() {
            Dir::Request | Dir::Publish => true,
            Dir::Response => false,
            Dir::Unknown => known(&sent_by_client) || !known(&sent_by_client.turned()),
        },
    };
    (if from_client { sent_by_client } else { sent_by_client.turned() }, from_client)
}

/// Do ports or direction tell which side is the client?
pub fn is_clear(key: &FlowKey, src: End, dst: End) -> bool {
    by_port(key, src, dst).is_some() || key.dir() != Dir::Unknown
}

fn by_port(key: &FlowKey, src: End, dst: End) -> Option<bool> {
    let (to_server, from_server) = (dst.port() == key.port(), src.port() == key.port());
    (key.l4() != 0 && to_server != from_server).then_some(to_server)
}

/// Protocols that only carry others and name a conversation only when nothing else does.
const CARRIERS: &[&str] = &["cotp"];

/// Protocol numbers that each protocol's PDUs lead to, at any depth, as bits by number.
static NESTED: LazyLock<[u128; 128]> = LazyLock::new(|| {
    let mut table = [0u128; 128];
    for (outer, inner) in DIRECT {
        let bits = Proto::ALL.iter().filter(|p| inner.contains(&p.module())).fold(0, |bits, p| bits | bit(*p as u8));
        if let Some(slot) = table.get_mut(usize::from(*outer)) {
            *slot = bits;
        }
    }
    // Each round adds one depth; a nesting deeper than this does not exist.
    for _ in 0..4 {
        for i in 0..table.len() {
            let bits = table.get(i).copied().unwrap_or(0);
            let more = Proto::ALL.iter().map(|p| *p as u8).filter(|p| bits & bit(*p) != 0);
            let all = more.fold(bits, |all, p| all | table.get(usize::from(p)).copied().unwrap_or(0));
            if let Some(slot) = table.get_mut(i) {
                *slot = all;
            }
        }
    }
    table
});

macro_rules! direct {
    ($($number:literal $variant:ident $module:ident [$($inner:ident)*];)+) => {
        /// Module names of what each protocol's PDUs lead to.
        const DIRECT: &[(u8, &[&str])] = &[$(($number, &[$(stringify!($inner)),*])),+];
    };
}
ot_xdp_common::for_each_protocol!(direct);

fn bit(proto: u8) -> u128 {
    1u128.checked_shl(u32::from(proto)).unwrap_or(0)
}

/// The protocol that names a conversation: the outermost one, carriers last; of several the one with most operations,
/// then the lowest number. `seen` has protocol numbers with their operations.
pub fn outermost(seen: &[(u8, u64)]) -> u8 {
    let is_carrier = |p: u8| Proto::from_code(p).is_some_and(|p| CARRIERS.contains(&p.name()));
    let inside = |p: u8| {
        let holds = |q: u8| NESTED.get(usize::from(q)).is_some_and(|bits| bits & bit(p) != 0);
        seen.iter().any(|(q, _)| *q != p && !is_carrier(*q) && holds(*q))
    };
    seen.iter().min_by_key(|(p, n)| (is_carrier(*p), inside(*p), std::cmp::Reverse(*n), *p)).map_or(0, |(p, _)| *p)
}

#[cfg(test)]
mod tests {
    use ot_xdp_common::op::Tag;

    use super::*;

    fn key(dir: Dir, l4: u8, port: u16) -> FlowKey {
        FlowKey {
            src: [0, 0, 0xFFFF, 0x0A00_0001],
            dst: [0, 0, 0xFFFF, 0x0A00_0002],
            service: 7 << 16 | u32::from(port),
            tag: Tag::new(1, 0, dir, l4),
            ..FlowKey::default()
        }
    }

    #[test]
    fn the_service_port_names_the_server() {
        let (request, from_client) = orient(&key(Dir::Request, 6, 102), End(40_000), End(102), |_| false);
        assert!(from_client);
        assert_eq!(request.client_ip().unwrap().to_string(), "10.0.0.1");
        // The server asks: still the same conversation.
        let mut back = key(Dir::Request, 6, 102);
        std::mem::swap(&mut back.src, &mut back.dst);
        let (same, from_client) = orient(&back, End(102), End(40_000), |_| false);
        assert!(!from_client);
        assert_eq!(same, request);
    }

    #[test]
    fn direction_decides_where_ports_do_not() {
        for (dir, from_client) in [(Dir::Request, true), (Dir::Publish, true), (Dir::Response, false)] {
            assert_eq!(orient(&key(dir, 17, 47_808), End(47_808), End(47_808), |_| false).1, from_client);
            assert_eq!(orient(&key(dir, 0, 0x88B8), End(0), End(0), |_| false).1, from_client);
        }
    }

    #[test]
    fn without_a_direction_a_known_conversation_is_joined() {
        let k = key(Dir::Unknown, 0, 0x8892);
        let turned = Conversation::from_client(&k).turned();
        assert!(!orient(&k, End(0), End(0), |c| *c == turned).1);
        assert!(orient(&k, End(0), End(0), |_| false).1);
        assert!(!is_clear(&k, End(0), End(0)));
    }

    #[test]
    fn addresses_keep_their_family() {
        assert_eq!(address([0, 0, 0xFFFF, 0xC000_0201]).to_string(), "192.0.2.1");
        assert_eq!(address([0x2001_0DB8, 0, 0, 1]).to_string(), "2001:db8::1");
    }

    #[test]
    fn the_outermost_protocol_names_the_conversation() {
        let (modbus, umas) = (Proto::Modbus as u8, Proto::Umas as u8);
        assert_eq!(outermost(&[(umas, 900), (modbus, 1)]), modbus);
        assert_eq!(outermost(&[(umas, 1)]), umas);
        assert_eq!(outermost(&[]), 0);
    }
}
