//! From a frame to its operations and its outcome: envelope, choice of candidates, walk, worst operation.

use crate::bytes::Bytes;
use crate::frame::{self, Envelope, Frame, Payload, TCP, UDP};
use crate::limits::REACH;
use crate::proto;
use crate::reason::Outcome;
use crate::walk::{Candidates, Hint, Steps, Walk, walk};

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

/// Everything that classification asks of the side it runs on.
pub trait Env<B: Bytes>: Bindings + Envelope<B> + Steps<B> {}
impl<B: Bytes, T: Bindings + Envelope<B> + Steps<B>> Env<B> for T {}

/// Result of [`classify`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Classified {
    /// What became of the frame.
    pub outcome: Outcome,
    /// Server port, or EtherType for layer 2: part of the counter key.
    pub port: u16,
}

/// Classifies one frame of `len` octets, of which `b` shows the first ones.
#[inline(always)]
pub fn classify<B: Bytes, E: Env<B>>(b: B, len: u32, f: &mut Frame, w: &mut Walk, env: &mut E) -> Classified {
    w.clear();
    w.root = 0;
    let b = b.until(REACH);
    let payload = frame::parse(b, len, f, env);
    let (outcome, port) = match payload {
        Payload::Transport => transport(b, f, w, env),
        Payload::Layer2 => layer2(b, f, w, env),
        Payload::Empty => empty(f, env),
        Payload::OtherIp => (Outcome::NotOt, 0),
        Payload::Fragment => (Outcome::Fragment, 0),
        Payload::Bad => (Outcome::BadEnvelope, 0),
    };
    w.flags |= f.flags;
    Classified { outcome, port }
}

#[inline(always)]
fn transport<B: Bytes, E: Env<B>>(b: B, f: &Frame, w: &mut Walk, env: &mut E) -> (Outcome, u16) {
    let table = if f.l4 == UDP { Table::Udp } else { Table::Tcp };
    let to = env.proto(table, f.dport);
    let mut from = env.proto(table, f.sport);
    if from == to {
        from = 0;
    }
    let b = b.until(f.end);
    let mut content = match b.be32(f.off) {
        Some(first) => proto::sniff(first, f.l4),
        None => 0,
    };
    if content == to || content == from {
        content = 0;
    }
    if (to | from | content) == 0 {
        return (Outcome::NotOt, 0);
    }
    let candidates = Candidates::default()
        .with(0, to, Hint::ToServer)
        .with(1, from, Hint::FromServer)
        .with(2, content, Hint::Content);
    let outcome = walk(b, w, f.off, f.end, candidates, env);
    (outcome, server_port(f, w))
}

/// The port that names the service: the registered one, off the registered ports the one that the direction tells, and
/// the lower one when nothing tells.
#[inline(always)]
fn server_port(f: &Frame, w: &Walk) -> u16 {
    if w.hint == Hint::ToServer as u8 {
        return f.dport;
    }
    if w.hint == Hint::FromServer as u8 {
        return f.sport;
    }
    let dir = w.ops[0].tag.dir_code();
    if w.n_ops != 0 && dir == crate::op::Dir::Request as u8 {
        return f.dport;
    }
    if w.n_ops != 0 && dir == crate::op::Dir::Response as u8 {
        return f.sport;
    }
    if f.sport < f.dport { f.sport } else { f.dport }
}

#[inline(always)]
fn layer2<B: Bytes, E: Env<B>>(b: B, f: &mut Frame, w: &mut Walk, env: &mut E) -> (Outcome, u16) {
    let proto = env.proto(Table::EtherType, f.ethertype);
    if proto == 0 {
        return (Outcome::NotOt, f.ethertype);
    }
    frame::strip_prp(b, f);
    let candidates = Candidates::default().with(0, proto, Hint::EtherType);
    (walk(b.until(f.end), w, f.off, f.end, candidates, env), f.ethertype)
}

#[inline(always)]
fn empty<E: Bindings>(f: &Frame, env: &mut E) -> (Outcome, u16) {
    let table = if f.l4 == TCP { Table::Tcp } else { Table::Udp };
    if env.proto(table, f.dport) | env.proto(table, f.sport) == 0 {
        (Outcome::NotOt, 0)
    } else {
        (Outcome::NoPayload, 0)
    }
}
