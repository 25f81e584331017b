//! Questions to generic netlink families: one request, one answer, attributes by number.

use std::io;

use netlink_packet_core::{
    DecodeError, DefaultNla, Emitable, NLA_F_NESTED, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader,
    NetlinkMessage, NetlinkPayload, NetlinkSerializable, NlasIterator,
};
use netlink_sys::protocols::NETLINK_GENERIC;
use netlink_sys::{Socket, SocketAddr};

/// The family that knows the others: `GENL_ID_CTRL`, `CTRL_CMD_GETFAMILY`, `CTRL_ATTR_*` of linux/genetlink.h.
const CONTROL: u16 = 0x10;
const GET_FAMILY: u8 = 3;
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;
/// Octets of `struct genlmsghdr`: command, version, two reserved.
const HEADER: usize = 4;
/// Room for an answer; the longest one asked for here has about a hundred names.
const ANSWER: usize = 65_536;

/// A generic netlink message: family or message type, and everything behind the netlink header.
struct Body {
    kind: u16,
    payload: Vec<u8>,
}

impl NetlinkSerializable for Body {
    fn message_type(&self) -> u16 {
        self.kind
    }
    fn buffer_len(&self) -> usize {
        self.payload.len()
    }
    fn serialize(&self, buffer: &mut [u8]) {
        buffer.copy_from_slice(&self.payload);
    }
}

impl NetlinkDeserializable for Body {
    type Error = DecodeError;
    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, DecodeError> {
        Ok(Body { kind: header.message_type, payload: payload.to_vec() })
    }
}

/// A generic netlink family of this kernel.
pub struct Family {
    socket: Socket,
    id: u16,
}

impl Family {
    /// Looks a family up; `None` when this kernel has none of that name.
    ///
    /// # Errors
    /// When netlink cannot be used at all.
    pub fn open(name: &str) -> io::Result<Option<Family>> {
        let socket = Socket::new(NETLINK_GENERIC)?;
        socket.connect(&SocketAddr::new(0, 0))?;
        let mut control = Family { socket, id: CONTROL };
        let answer = match control.get(GET_FAMILY, &[text(FAMILY_NAME, name)]) {
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => return Ok(None),
            other => other?,
        };
        let id = attributes(&answer).find(|(kind, _)| *kind == FAMILY_ID).and_then(|(_, v)| v.first_chunk().copied());
        control.id = u16::from_ne_bytes(id.ok_or_else(|| io::Error::other("the kernel names no family id"))?);
        Ok(Some(control))
    }

    /// Sends one request and returns the attributes of its answer, see [`attributes`].
    ///
    /// # Errors
    /// What the kernel answers: `ENODEV` for an interface that does not exist, `EOPNOTSUPP`.
    pub fn get(&self, command: u8, request: &[DefaultNla]) -> io::Result<Vec<u8>> {
        let mut payload = vec![command, 1, 0, 0];
        payload.extend(octets(request));
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(Body { kind: self.id, payload }));
        message.finalize();
        let mut buffer = vec![0; message.buffer_len()];
        message.serialize(&mut buffer);
        self.socket.send(&buffer, 0)?;

        let mut buffer = Vec::with_capacity(ANSWER);
        self.socket.recv(&mut buffer, 0)?;
        match NetlinkMessage::<Body>::deserialize(&buffer).map_err(io::Error::other)?.payload {
            NetlinkPayload::InnerMessage(body) => Ok(body.payload.get(HEADER..).unwrap_or_default().to_vec()),
            NetlinkPayload::Error(e) => Err(e.to_io()),
            _ => Err(io::Error::other("the kernel answered without data")),
        }
    }
}

/// The attributes in these octets by number; what follows a broken one is left out.
pub fn attributes(octets: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    NlasIterator::new(octets).map_while(Result::ok).map(|nla| {
        let at = nla.value_length();
        let whole: &[u8] = nla.into_inner();
        (nla_kind(whole), whole.get(4..4 + at).unwrap_or_default())
    })
}

/// Number of an attribute without its flags; it stands behind the two octets of the length.
fn nla_kind(attribute: &[u8]) -> u16 {
    let kind = attribute.get(2..4).and_then(|k| k.first_chunk().copied());
    kind.map_or(0, u16::from_ne_bytes) & netlink_packet_core::NLA_TYPE_MASK
}

fn octets(attributes: &[DefaultNla]) -> Vec<u8> {
    let mut octets = vec![0; attributes.buffer_len()];
    attributes.emit(&mut octets);
    octets
}

/// An attribute with a number of 32 bits.
pub fn number(kind: u16, value: u32) -> DefaultNla {
    DefaultNla::new(kind, value.to_ne_bytes().to_vec())
}

/// An attribute with a text.
pub fn text(kind: u16, value: &str) -> DefaultNla {
    DefaultNla::new(kind, [value.as_bytes(), b"\0"].concat())
}

/// An attribute with attributes in it.
pub fn nest(kind: u16, inner: &[DefaultNla]) -> DefaultNla {
    DefaultNla::new(kind | NLA_F_NESTED, octets(inner))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_as_they_are_written() {
        let written = octets(&[number(1, 7), nest(3, &[text(2, "eth0")])]);
        let read: Vec<(u16, &[u8])> = attributes(&written).collect();
        assert_eq!(read[0], (1, 7u32.to_ne_bytes().as_slice()));
        assert_eq!(read[1].0, 3);
        assert_eq!(attributes(read[1].1).collect::<Vec<_>>(), [(2, b"eth0\0".as_slice())]);
    }

    #[test]
    fn cut_attributes_end_the_walk() {
        let written = octets(&[number(1, 7), number(2, 8)]);
        for n in 0..written.len() {
            assert!(attributes(&written[..n]).count() <= 1);
        }
    }

    #[test]
    fn a_family_that_does_not_exist_is_none() {
        assert!(Family::open("ot-xdp-none").unwrap().is_none());
    }
}
