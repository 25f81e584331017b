//! The rules that hold for any octets.
//!
//! | where | rule |
//! |---|---|
//! | a read | inside the payload that the parser was given; on layer 2 also in the MAC addresses and the EtherType, in a datagram also in the UDP header |
//! | a step that refuses | pushes nothing (it may take back what was pushed) |
//! | a step that is done | pushed something for its PDU, and the PDU has octets |
//! | a step into something nested | stays in the PDU, and is not where it was before |
//! | an operation | known protocol, class and direction; its path can be written; an answer changes no state |
//! | the end | `skip`, `lead` and the number of PDUs fit the operations; the outcome fits what was found |

use std::fmt;

use ot_xdp_common::bytes::Bytes;
use ot_xdp_common::flags;
use ot_xdp_common::frame::UDP;
use ot_xdp_common::limits::{OPS, PDUS};
use ot_xdp_common::op::{CLASSES, Class, Dir, Op, rank_of};
use ot_xdp_common::proto::{self, Path, Proto};
use ot_xdp_common::reason::Outcome;
use ot_xdp_common::walk::{Driven, Hint, Step, Steps, Walk, drive};

/// Octets of the two MAC addresses.
const MACS: u32 = 12;
/// Octets of a UDP header.
const UDP_HEADER: u32 = 8;

/// A source of octets that complains about reads outside the payload.
#[derive(Clone, Copy)]
pub struct Guarded<B> {
    inner: B,
    from: u32,
    end: u32,
    /// Where the Ethernet header begins.
    base: u32,
    /// Octets from there on that belong to a layer-2 protocol too.
    head: u32,
    name: &'static str,
}

impl<B: Bytes> Guarded<B> {
    fn inside<T>(self, off: u32, len: u32, value: Option<T>) -> Option<T> {
        if value.is_some() {
            let (from, end, base, head) = (self.from, self.end, self.base, self.head);
            let is_inside = off >= from && off + len <= end || off >= base && off + len <= base + head;
            assert!(is_inside, "{}: reads {len} octets at {off}, the payload is {from}..{end}", self.name);
        }
        value
    }
}

impl<B: Bytes> Bytes for Guarded<B> {
    fn u8(self, off: u32) -> Option<u8> {
        self.inside(off, 1, self.inner.u8(off))
    }
    fn be16(self, off: u32) -> Option<u16> {
        self.inside(off, 2, self.inner.be16(off))
    }
    fn be32(self, off: u32) -> Option<u32> {
        self.inside(off, 4, self.inner.be32(off))
    }
    fn be64(self, off: u32) -> Option<u64> {
        self.inside(off, 8, self.inner.be64(off))
    }
    fn len(self) -> u32 {
        self.inner.len()
    }
    fn until(self, end: u32) -> Self {
        Guarded { inner: self.inner.until(end), ..self }
    }
    fn index<const MASK: u32>(self, value: u32) -> usize {
        self.inner.index::<MASK>(value)
    }
}

/// One step of a parser, with the rules of a step.
pub fn step<B: Bytes>(proto: u8, b: B, w: &mut Walk) -> Step {
    let (ops, at) = (w.n_ops, (w.proto, w.off, w.inner_end, w.depth, w.mem));
    let name = Proto::from_code(proto).map_or("?", Proto::name);
    let head = if w.hint == Hint::EtherType as u8 { MACS } else { 0 };
    let header = match w.service >> 16 {
        0 if head != 0 => 2,
        l4 if l4 == u32::from(UDP) => UDP_HEADER,
        _ => 0,
    };
    let from = w.begin - header;
    let guarded = Guarded { inner: b, from, end: w.end, base: w.base, head, name };
    let step = proto::step(proto, guarded, w);
    assert!(w.n_ops as usize <= OPS, "{name}: {} operations", w.n_ops);
    let full = w.flags & flags::WALK_LIMIT != 0;
    match step {
        Step::REFUSE => assert!(w.n_ops <= ops, "{name}: refuses and pushes"),
        Step::DONE => {
            // A COTP fragment that carried nothing gives way to what the next one carries.
            let gave_way = w.root == Proto::Cotp as u8 && w.n_ops == w.pdu_ops && w.n_ops != 0;
            assert!(w.n_ops > w.pdu_ops || full || gave_way, "{name}: is done without an operation");
            assert!(w.pdu_end > w.pdu_at, "{name}: a PDU without octets, {}..{}", w.pdu_at, w.pdu_end);
        }
        Step::INNER => {
            let now = (w.proto, w.off, w.inner_end, w.depth, w.mem);
            assert!(now != at || w.n_ops != ops, "{name}: leads to where it was");
            assert!(w.off >= w.pdu_at, "{name}: leads in front of the PDU");
        }
        Step::MALFORMED | Step::PARTIAL => assert!(w.n_ops >= w.pdu_ops, "{name}: takes back what others pushed"),
        Step(other) => panic!("{name}: step {other}"),
    }
    w.ops().iter().skip(ops as usize).for_each(|op| operation(name, op));
    step
}

/// What a text is written to when only its form counts.
struct Form(usize);

impl fmt::Write for Form {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        assert!(text.bytes().all(|c| c.is_ascii_graphic()), "a path with {text:?}");
        self.0 += text.len();
        Ok(())
    }
}

fn operation(name: &str, op: &Op) {
    let kind = op.tag.kind();
    assert!(Proto::from_code(op.proto()).is_some(), "{name}: protocol number {}", op.proto());
    assert!((kind.class() as usize) < CLASSES, "{name}: class {}", kind.class());
    assert!(op.tag.dir_code() <= Dir::Publish as u8, "{name}: direction {}", op.tag.dir_code());
    // In a download S7 controllers ask, and the answer brings the block. An EtherCAT datagram may come back undone.
    let may = match Proto::from_code(op.proto()) {
        Some(Proto::S7comm) => op.class() == Class::ProgramDownload,
        Some(Proto::Ethercat) => true,
        _ => false,
    };
    assert!(
        !(kind.state_changing() && op.dir() == Dir::Response) || may,
        "{name}: an answer that changes state: {op:?}"
    );
    let mut form = Form(0);
    let path = Path { proto: op.proto(), function: op.function };
    assert!(fmt::write(&mut form, format_args!("{path}")).is_ok() && form.0 < 80, "{name}: path of {op:?}");
}

/// The parsers on any source of octets, with the rules of a step.
pub struct Parsers;

impl<B: Bytes> Steps<B> for Parsers {
    fn step(&mut self, proto: u8, b: B, w: &mut Walk) -> Step {
        step(proto, b, w)
    }
}

/// Walks a payload from where the walk was put.
pub fn walk<B: Bytes>(b: B, w: &mut Walk) -> Driven {
    let first = step(w.root, b, w);
    let driven = drive(first, b, w, &mut Parsers, proto::turns(w.root));
    if let Driven::Outcome(outcome) = driven {
        end(w, outcome);
    }
    driven
}

/// The rules of a walk that ended.
pub fn end(w: &Walk, outcome: Outcome) {
    assert!(w.n_ops as usize <= OPS && w.pdus <= PDUS, "{} operations in {} PDUs", w.n_ops, w.pdus);
    let found = matches!(outcome, Outcome::Classified | Outcome::Malformed);
    if outcome == Outcome::Classified {
        assert!(w.n_ops != 0, "classified without an operation");
    }
    assert!(outcome != Outcome::Malformed || w.flags & flags::MALFORMED != 0, "malformed without the flag");
    if !found || w.n_ops <= w.skip {
        return;
    }
    let new = w.new_ops();
    assert_eq!(new.len() as u32, w.n_ops - w.skip);
    assert!((w.skip..w.n_ops).contains(&w.lead), "worst operation {} of {}..{}", w.lead, w.skip, w.n_ops);
    let worst = new.iter().map(|op| rank_of(op.tag.kind())).max();
    let lead = new.iter().position(|op| Some(rank_of(op.tag.kind())) == worst);
    assert_eq!(lead, Some((w.lead - w.skip) as usize), "the worst of {new:?}");
    let mut pdu = 0;
    for op in w.ops() {
        assert!(op.tag.last() >= pdu && u32::from(op.tag.last()) <= w.pdus, "PDU {} of {}", op.tag.last(), w.pdus);
        pdu = op.tag.last();
    }
}

/// What counting relies on: a frame that is named has something new, and only the outcome says that a frame is named.
pub fn books(w: &Walk, outcome: Outcome) {
    let found = matches!(outcome, Outcome::Classified | Outcome::Malformed);
    assert!(!found || w.n_ops == 0 || w.skip < w.n_ops, "{} operations, {} counted earlier", w.n_ops, w.skip);
    assert!(!found || Proto::from_code(w.root).is_some(), "named, and protocol {}", w.root);
    assert!(outcome != Outcome::Retransmission || w.flags & flags::RETRANSMISSION != 0, "repeated without the flag");
}
