//! From a frame to its operations and its outcome: envelope, choice of candidates, walk, worst operation.

use crate::bytes::Bytes;
use crate::frame::{self, Envelope, Frame, Payload, TCP, UDP};
use crate::op::Dir;
use crate::proto;
use crate::reason::Outcome;
use crate::walk::{Candidates, Driven, Hint, Steps, Walk, begin, drive, next_candidate, refused};

/// Which table a binding is looked up in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Table {
    /// TCP port.
    Tcp = 0,
    /// UDP port.
    Udp = 1,
    /// EtherType.
    EtherType = 2,
}

/// Number of words in the binding map: three tables of 65,536 octets.
pub const BINDING_WORDS: u32 = 3 * 8192;

/// Protocol registered for a port or EtherType: defaults of the protocol files plus the site's configuration.
pub trait Bindings {
    /// Eight consecutive entries, the lowest in the low octet; `word < BINDING_WORDS`.
    fn word(&mut self, word: u32) -> u64;

    /// Protocol number for `value`, 0 for none.
    #[inline(always)]
    fn proto(&mut self, table: Table, value: u16) -> u8 {
        (self.word(table as u32 * 8192 + (value >> 3) as u32) >> ((value & 7) * 8)) as u8
    }
}

/// What the envelope and the choice of candidates came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prepared {
    /// Run the first step of [`Walk::root`], then [`crate::walk::drive`].
    Walk,
    /// Nothing to walk.
    Outcome(Outcome),
}

/// Reads the envelope of a frame and starts the walk with the best candidate.
#[inline(always)]
pub fn prepare<B: Bytes, E: Bindings + Envelope<B>>(b: B, f: &mut Frame, w: &mut Walk, env: &mut E) -> Prepared {
    w.clear();
    w.root = 0;
    w.hint = 0;
    w.registered = 0;
    let outcome = match frame::parse(b, f, env) {
        Payload::Transport => return transport(b, f, w, env),
        Payload::Layer2 => return layer2(b, f, w, env),
        Payload::Empty => empty(f, env),
        Payload::OtherIp => Outcome::NotOt,
        Payload::Fragment => Outcome::Fragment,
        Payload::Bad => Outcome::BadEnvelope,
    };
    Prepared::Outcome(outcome)
}

#[inline(always)]
fn transport<B: Bytes, E: Bindings>(b: B, f: &Frame, w: &mut Walk, env: &mut E) -> Prepared {
    let table = if f.l4 == UDP { Table::Udp } else { Table::Tcp };
    let to = env.proto(table, f.dport);
    let mut from = env.proto(table, f.sport);
    if from == to {
        from = 0;
    }
    let mut content = match b.until(f.end).be32(f.off) {
        Some(first) => proto::sniff(first, f.l4),
        None => 0,
    };
    if content == to || content == from {
        content = 0;
    }
    let candidates = Candidates::default().with(0, to, Hint::ToServer).with(1, from, Hint::FromServer).with(
        2,
        content,
        Hint::Content,
    );
    start(w, f, candidates)
}

#[inline(always)]
fn layer2<B: Bytes, E: Bindings>(b: B, f: &mut Frame, w: &mut Walk, env: &mut E) -> Prepared {
    let proto = env.proto(Table::EtherType, f.ethertype);
    if proto == 0 {
        return Prepared::Outcome(Outcome::NotOt);
    }
    frame::strip_prp(b, f);
    start(w, f, Candidates::default().with(0, proto, Hint::EtherType))
}

#[inline(always)]
fn start(w: &mut Walk, f: &Frame, candidates: Candidates) -> Prepared {
    if begin(w, f.off, f.end, candidates) { Prepared::Walk } else { Prepared::Outcome(Outcome::NotOt) }
}

#[inline(always)]
fn empty<E: Bindings>(f: &Frame, env: &mut E) -> Outcome {
    let table = if f.l4 == TCP { Table::Tcp } else { Table::Udp };
    if env.proto(table, f.dport) | env.proto(table, f.sport) == 0 { Outcome::NotOt } else { Outcome::NoPayload }
}

/// The port that names the service: the registered one; off the registered ports the one that the direction tells, and
/// the lower one when nothing tells. EtherType for layer 2.
#[inline(always)]
pub fn service_port(f: &Frame, w: &Walk) -> u16 {
    if w.hint == Hint::ToServer as u8 {
        return f.dport;
    }
    if w.hint == Hint::FromServer as u8 {
        return f.sport;
    }
    if w.hint == Hint::EtherType as u8 {
        return f.ethertype;
    }
    let dir = if w.n_ops == 0 { 0 } else { w.ops[0].tag.dir_code() };
    if dir == Dir::Request as u8 {
        return f.dport;
    }
    if dir == Dir::Response as u8 {
        return f.sport;
    }
    if f.sport < f.dport { f.sport } else { f.dport }
}

/// Everything that user space needs to classify: default or configured bindings, all parsers.
pub trait Env<B: Bytes>: Bindings + Envelope<B> + Steps<B> {}
impl<B: Bytes, T: Bindings + Envelope<B> + Steps<B>> Env<B> for T {}

/// Classifies one frame in user space: what the kernel program does, without its jumps between programs.
pub fn classify<B: Bytes, E: Env<B>>(b: B, f: &mut Frame, w: &mut Walk, env: &mut E) -> Outcome {
    let outcome = match prepare(b, f, w, env) {
        Prepared::Outcome(o) => o,
        Prepared::Walk => loop {
            let b = b.until(f.end);
            let step = env.step(w.root, b, w);
            match drive(step, b, w, env) {
                Driven::Outcome(o) => break o,
                Driven::Refused => {
                    if !next_candidate(w) {
                        break refused(w);
                    }
                }
            }
        },
    };
    w.flags |= f.flags;
    outcome
}
