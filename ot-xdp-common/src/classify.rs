//! From a frame to its operations and its outcome: envelope, choice of candidates, walk, worst operation.

use crate::bytes::Bytes;
use crate::frame::{self, Envelope, Frame, Payload, TCP, UDP};
use crate::op::Dir;
use crate::proto;
use crate::reason::Outcome;
use crate::walk::{Driven, Hint, Steps, Walk, drive, refused, start};

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
    /// Call [`prepare_ipv6_chain`].
    Ipv6Chain,
    /// Nothing to walk.
    Outcome(Outcome),
}

/// Reads the envelope of a frame and starts the walk with the best candidate.
#[inline(always)]
pub fn prepare<B: Bytes, E: Bindings + Envelope>(b: B, f: &mut Frame, w: &mut Walk, env: &mut E) -> Prepared {
    w.clear();
    w.root = 0;
    w.hint = 0;
    w.registered = 0;
    let payload = frame::parse(b, f, env);
    candidates(payload, b, f, w, env)
}

/// The rest of [`prepare`] for IPv6 with extension headers.
#[inline(always)]
pub fn prepare_ipv6_chain<B: Bytes, E: Bindings + Envelope>(
    b: B,
    f: &mut Frame,
    w: &mut Walk,
    env: &mut E,
) -> Prepared {
    let payload = frame::ipv6_chain(b.until(f.end), f);
    candidates(payload, b, f, w, env)
}

#[inline(always)]
fn candidates<B: Bytes, E: Bindings>(payload: Payload, b: B, f: &mut Frame, w: &mut Walk, env: &mut E) -> Prepared {
    match payload {
        Payload::Transport => {
            w.stage = 0;
        }
        Payload::Layer2 => return layer2(b, f, w, env),
        Payload::Ipv6Chain => return Prepared::Ipv6Chain,
        Payload::Empty => return Prepared::Outcome(empty(f, env)),
        Payload::OtherIp => return Prepared::Outcome(Outcome::NotOt),
        Payload::Fragment => return Prepared::Outcome(Outcome::Fragment),
        Payload::Bad => return Prepared::Outcome(Outcome::BadEnvelope),
    }
    w.begin = f.off;
    w.end = f.end;
    if next_candidate(b, f, w, env) { Prepared::Walk } else { Prepared::Outcome(Outcome::NotOt) }
}

/// Starts the walk with the next candidate for the payload: the protocol of the destination port, of the source port,
/// by content. False when none is left.
///
/// One after the other and not all at once: most frames need only the first, and the others cost look-ups.
#[inline(always)]
pub fn next_candidate<B: Bytes, E: Bindings>(b: B, f: &Frame, w: &mut Walk, env: &mut E) -> bool {
    let table = if f.l4 == UDP { Table::Udp } else { Table::Tcp };
    let tried = w.root;
    if w.stage == 0 {
        w.stage = 1;
        let proto = env.proto(table, f.dport);
        if proto != 0 {
            w.registered = 1;
            return restart(w, proto, Hint::ToServer);
        }
    }
    if w.stage == 1 {
        w.stage = 2;
        let proto = env.proto(table, f.sport);
        if proto != 0 && proto != tried {
            w.registered = 1;
            return restart(w, proto, Hint::FromServer);
        }
    }
    if w.stage == 2 {
        w.stage = 3;
        let proto = match b.until(f.end).be32(f.off) {
            Some(first) => proto::sniff(first, f.l4),
            None => 0,
        };
        if proto != 0 && proto != tried {
            return restart(w, proto, Hint::Content);
        }
    }
    false
}

#[inline(always)]
fn restart(w: &mut Walk, proto: u8, hint: Hint) -> bool {
    w.clear();
    let at = w.begin;
    start(w, at, proto, hint as u8);
    true
}

#[inline(always)]
fn layer2<B: Bytes, E: Bindings>(b: B, f: &mut Frame, w: &mut Walk, env: &mut E) -> Prepared {
    let proto = env.proto(Table::EtherType, f.ethertype);
    if proto == 0 {
        return Prepared::Outcome(Outcome::NotOt);
    }
    frame::strip_prp(b, f);
    w.begin = f.off;
    w.end = f.end;
    w.stage = 3;
    w.registered = 1;
    restart(w, proto, Hint::EtherType);
    Prepared::Walk
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

/// Everything that user space needs to classify: bindings, length, all parsers.
pub trait Env<B: Bytes>: Bindings + Envelope + Steps<B> {}
impl<B: Bytes, T: Bindings + Envelope + Steps<B>> Env<B> for T {}

/// Classifies one frame in user space: what the kernel program does, without its jumps between programs.
pub fn classify<B: Bytes, E: Env<B>>(b: B, f: &mut Frame, w: &mut Walk, env: &mut E) -> Outcome {
    let mut prepared = prepare(b, f, w, env);
    if prepared == Prepared::Ipv6Chain {
        prepared = prepare_ipv6_chain(b, f, w, env);
    }
    let outcome = match prepared {
        Prepared::Outcome(o) => o,
        // Not reached: a chain is followed once.
        Prepared::Ipv6Chain => Outcome::BadEnvelope,
        Prepared::Walk => loop {
            let payload = b.until(f.end);
            let step = env.step(w.root, payload, w);
            match drive(step, payload, w, env) {
                Driven::Outcome(o) => break o,
                Driven::Refused => {
                    if !next_candidate(b, f, w, env) {
                        break refused(w);
                    }
                }
            }
        },
    };
    w.flags |= f.flags;
    outcome
}
