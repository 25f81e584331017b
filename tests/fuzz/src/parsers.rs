//! Target `parsers`: the payload of one protocol, straight into its parser.
//!
//! Input: number of the protocol; an octet of options; the payload. Options: bits 0 and 1 the hint of the candidate; bit 2
//! UDP where the protocol has both; bit 3 octets in front are missing (TCP), both ports are the same (UDP), or the sender's
//! address is a local one (layer 2); bits 4 to 7 how many octets behind the payload belong to the frame and not to it.
//!
//! The same payload is parsed at two offsets: what comes out may not depend on where in the frame it lies.

use ot_xdp_common::bytes::Bytes;
use ot_xdp_common::frame::{TCP, UDP};
use ot_xdp_common::proto::{Proto, sniff, sniff_begin};
use ot_xdp_common::walk::{Hint, Mode, Walk, start};

use crate::{check, only};

/// Lengths of what lies in front of the payload: with an EtherType, in a datagram (IPv4 with options and without), in a
/// segment and in the window of a connection.
fn fronts(l4: u8) -> [usize; 2] {
    match l4 {
        0 => [18, 14],
        UDP => [50, 42],
        _ => [54, 0],
    }
}

/// Addresses of a layer-2 frame; the receiver is the one of PRP supervision.
const MACS: [u8; 12] = [1, 0x15, 0x4E, 0, 1, 0, 0, 0, 0, 0, 0, 1];
/// Bit of a local address, which EtherCAT sets in what went through the slaves.
const LOCAL: u8 = 2;

/// Runs one input.
pub fn run(data: &[u8]) -> bool {
    let [number, options, payload @ ..] = data else { return false };
    let proto = only::root(*number);
    let (hint, port, l4) = candidate(proto, *options);
    let ends = payload.len().saturating_sub(usize::from(options >> 4));
    if hint == Hint::Content && !sniffed(proto, &payload[..ends], l4) {
        return false;
    }
    let [there, here] = fronts(l4).map(|front| {
        let mut frame = MACS.to_vec();
        frame[6] |= if options & 8 != 0 { LOCAL } else { 0 };
        frame.resize(front, 0xEE);
        if l4 == 0 {
            frame.splice(front - 2.., port.to_be_bytes());
        } else if l4 == UDP {
            // Some ask for their port at both ends.
            let other = if options & 8 != 0 { port } else { 50_000 };
            let (from, to) = if hint == Hint::FromServer { (port, other) } else { (other, port) };
            frame.splice(front - 8..front - 4, [from.to_be_bytes(), to.to_be_bytes()].concat());
        }
        frame.extend(payload);
        let mut w = Walk { begin: front as u32, end: (front + ends) as u32, ..Walk::default() };
        w.service = u32::from(port) | u32::from(l4) << 16;
        w.registered = u32::from(hint != Hint::Content);
        w.mode = if options & 8 != 0 && l4 == TCP { Mode::Gap } else { Mode::Alone } as u32;
        start(&mut w, front as u32, proto as u8, hint as u8);
        let driven = check::walk((&*frame).until(front as u32 + ends as u32), &mut w);
        (driven, w.flags, w.ops().to_vec())
    });
    assert_eq!(there, here, "not the same at another offset");
    true
}

/// Hint, port or EtherType, and IP protocol number of the candidate.
fn candidate(proto: Proto, options: u8) -> (Hint, u16, u8) {
    let b = proto.binding();
    let (l4, ports) =
        if b.tcp.is_empty() || !b.udp.is_empty() && options & 4 != 0 { (UDP, b.udp) } else { (TCP, b.tcp) };
    match (options & 3, ports.first(), b.ethertypes.first()) {
        (1, Some(port), _) => (Hint::ToServer, *port, l4),
        (2, Some(port), _) => (Hint::FromServer, *port, l4),
        (3, _, Some(ethertype)) | (_, None, Some(ethertype)) => (Hint::EtherType, *ethertype, 0),
        // A protocol without the binding is found by content only.
        _ => (Hint::Content, 0, if options & 4 != 0 { UDP } else { TCP }),
    }
}

/// Is the protocol one of the candidates by content?
fn sniffed(wanted: Proto, payload: &[u8], l4: u8) -> bool {
    let Some(first) = payload.be32(0) else { return false };
    let mut at = sniff_begin(first);
    std::iter::from_fn(|| Some(sniff(first, l4, &mut at)).filter(|p| *p != 0)).any(|p| p == wanted as u8)
}
