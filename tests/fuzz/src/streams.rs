//! Target `streams`: one direction of a TCP connection, cut into segments.
//!
//! Input: number of the protocol; an octet of options; up to eight lengths of segments, each an octet, as many as bits 4 to
//! 6 of the options say; the octets of the stream. Options: bit 0 from the server, bit 1 every segment twice, bit 2 segments
//! in pairs change places, bit 3 the connection is seen from its middle.
//!
//! Beside the rules for any frame: a stream whose PDUs are whole and in order, on a port of its protocol alone, has no operation in its pieces that it does
//! not have in one piece.

use std::collections::BTreeMap;

use ot_xdp_common::classify::{Bindings, Table};
use ot_xdp_common::flags;
use ot_xdp_common::frame::Frame;
use ot_xdp_common::op::Op;
use ot_xdp_common::proto::{Proto, sharing};
use ot_xdp_common::reason::Outcome;
use ot_xdp_common::walk::{Tail, Walk};

use crate::host::{self, Host};
use crate::only;
use crate::packets::{PSH_ACK, SYN, tcp};

const CLIENT: u16 = 50_000;
const FIRST: u32 = 0xFFFF_FF00;

/// Flags of a stream that is more than whole PDUs of the protocol of its port.
const NOT_WHOLE: u32 =
    flags::MALFORMED | flags::TRAILING | flags::WALK_LIMIT | flags::LENGTH_LIE | flags::PORT_MISMATCH;

/// A COTP fragment that carried nothing gives way to what the next one of its segment carries.
const GIVES_WAY: (u8, u32) = (Proto::Cotp as u8, 0xF0);

/// Runs one input.
pub fn run(data: &[u8]) -> bool {
    let [number, options, rest @ ..] = data else { return false };
    let proto = only::root(*number);
    let Some(port) = proto.binding().tcp.first().copied() else { return false };
    let n = usize::from(options >> 4 & 7) + 1;
    let Some((lengths, stream)) = rest.split_at_checked(n).filter(|(_, s)| !s.is_empty() && s.len() <= 1400) else {
        return false;
    };
    let ports = if options & 1 != 0 { (port, CLIENT) } else { (CLIENT, port) };
    let mut pieces = cut(lengths, stream);
    if options & 4 != 0 {
        pieces.chunks_exact_mut(2).for_each(|pair| pair.swap(0, 1));
    }
    if options & 2 != 0 {
        pieces = pieces.into_iter().flat_map(|p| [p, p]).collect();
    }
    let opens = options & 8 == 0;
    let counted = host::fresh(|host| send(host, ports, opens, &pieces).1);
    // On a port that several share, the first octets may have been somebody else's.
    let sole = host::fresh(|host| host.proto(Table::Tcp, port)) == proto as u8 && sharing(proto as u8) == 0;
    if opens && options & 4 == 0 && proto != Proto::It && sole {
        let ((outcome, w), whole) = host::fresh(|host| send(host, ports, true, &[(0, stream)]));
        let judged = outcome == Outcome::Classified && w.tail == Tail::Whole as u32 && w.flags & NOT_WHOLE == 0;
        if judged {
            for (op, n) in counted.iter().filter(|(op, _)| **op != GIVES_WAY) {
                let may = whole.get(op).copied().unwrap_or(0);
                assert!(
                    *n <= may,
                    "{n} of {op:?}, {may} in the whole\nwhole {whole:?}\npieces {counted:?} {pieces:02x?}"
                );
            }
        }
    }
    true
}

/// Protocol and function of operations, with how many there were.
type Counted = BTreeMap<(u8, u32), u32>;

/// A piece of a stream: where it begins, and its octets.
type Piece<'s> = (usize, &'s [u8]);

fn cut<'s>(lengths: &[u8], stream: &'s [u8]) -> Vec<Piece<'s>> {
    let (mut pieces, mut at) = (Vec::new(), 0);
    for len in lengths {
        let next = (at + usize::from(*len).max(1)).min(stream.len());
        if next > at {
            pieces.push((at, &stream[at..next]));
        }
        at = next;
    }
    if at < stream.len() {
        pieces.push((at, &stream[at..]));
    }
    pieces
}

/// Sends pieces of a connection; the last frame's outcome and walk, and what was counted.
fn send(host: &mut Host, ports: (u16, u16), opens: bool, pieces: &[Piece]) -> ((Outcome, Box<Walk>), Counted) {
    let (mut f, mut w) = (Frame::default(), Box::<Walk>::default());
    let (mut counted, mut outcome) = (Counted::new(), Outcome::NoPayload);
    if opens {
        host.frame(&tcp(ports.0, ports.1, SYN, FIRST.wrapping_sub(1), &[]), &mut f, &mut w);
    }
    for (at, octets) in pieces {
        let seq = FIRST.wrapping_add(*at as u32);
        outcome = host.frame(&tcp(ports.0, ports.1, PSH_ACK, seq, octets), &mut f, &mut w);
        // What a piece is by its content alone is not the stream's.
        let by_port = w.flags & flags::PORT_MISMATCH == 0;
        if by_port && matches!(outcome, Outcome::Classified | Outcome::Malformed) {
            let key = |op: &Op| (op.proto(), op.function);
            w.new_ops().iter().map(key).for_each(|op| *counted.entry(op).or_default() += 1);
        }
    }
    ((outcome, w), counted)
}

/// An input: a stream of `proto` in one direction, cut into segments of these lengths.
pub fn input(proto: u8, from_server: bool, lengths: &[u8], stream: &[u8]) -> Vec<u8> {
    let n = lengths.len().clamp(1, 8);
    let mut data = vec![proto, (n as u8 - 1) << 4 | u8::from(from_server)];
    data.extend(lengths.iter().copied().chain([255]).take(n));
    data.extend(stream);
    data
}
