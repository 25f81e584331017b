//! From a frame to its operations and its outcome: envelope, choice of candidates, walk, worst operation.

use crate::bytes::Bytes;
use crate::flags;
use crate::frame::{self, Envelope, Frame, Payload, TCP, UDP};
use crate::op::Dir;
use crate::proto::{self, Proto};
use crate::reason::Outcome;
use crate::service;
use crate::stream::{self, Memory, Next};
use crate::walk::{Driven, Hint, LEARNED, Mode, Steps, Walk, drive, refused, start};

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

/// The parser of IT protocols. Its ports do not count as registered: what it does not know there is not OT, its connections
/// are not remembered, and its services are not learned.
const IT: u8 = Proto::It as u8;

/// Is nothing of the plant registered?
#[inline(always)]
fn only_it(proto: u8) -> bool {
    proto == 0 || proto == IT
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
    /// See [`Next`].
    Next(Next),
    /// Call [`prepare_ipv6_chain`].
    Ipv6Chain,
    /// Call [`prepare_tunnel`].
    Tunnel,
}

/// Reads the envelope of a frame and starts the walk with the best candidate.
#[inline(always)]
pub fn prepare<B: Bytes, E: Bindings + Envelope + Memory>(b: B, f: &mut Frame, w: &mut Walk, env: &mut E) -> Prepared {
    w.clear();
    w.root = 0;
    w.hint = 0;
    w.registered = 0;
    w.mode = Mode::Alone as u32;
    let payload = frame::parse(b, f, env);
    candidates(payload, b, f, w, env)
}

/// The rest of [`prepare`] for IPv6 with extension headers.
#[inline(always)]
pub fn prepare_ipv6_chain<B: Bytes, E: Bindings + Envelope + Memory>(
    b: B,
    f: &mut Frame,
    w: &mut Walk,
    env: &mut E,
) -> Prepared {
    let payload = frame::ipv6_chain(b.until(f.end), f, env);
    candidates(payload, b, f, w, env)
}

/// The rest of [`prepare`] for what may be a tunnel.
#[inline(always)]
pub fn prepare_tunnel<B: Bytes, E: Bindings + Envelope + Memory>(
    b: B,
    f: &mut Frame,
    w: &mut Walk,
    env: &mut E,
) -> Prepared {
    let payload = frame::tunnel(b, f, env);
    candidates(payload, b, f, w, env)
}

#[inline(always)]
fn candidates<B: Bytes, E: Bindings + Memory>(
    payload: Payload,
    b: B,
    f: &mut Frame,
    w: &mut Walk,
    env: &mut E,
) -> Prepared {
    let outcome = match payload {
        Payload::Transport => {
            w.stage = Stage::Destination as u32;
            w.begin = f.off;
            w.end = f.end;
            if next_candidate(b, f, w, env) {
                return Prepared::Next(if w.registered != 0 { stream::enter(b, f, w, env) } else { Next::Walk });
            }
            Outcome::NotOt
        }
        Payload::Layer2 => return Prepared::Next(layer2(b, f, w, env)),
        Payload::Ipv6Chain => return Prepared::Ipv6Chain,
        Payload::Tunnel => return Prepared::Tunnel,
        Payload::Empty => empty(f, w, env),
        Payload::OtherIp => Outcome::NotOt,
        Payload::Fragment => Outcome::Fragment,
        Payload::Bad => Outcome::BadEnvelope,
    };
    Prepared::Next(Next::Count(outcome))
}

/// The candidates of a payload, one after the other and not all at once: most frames need only the first, and the
/// others cost look-ups.
#[repr(u32)]
enum Stage {
    /// The protocol registered for the destination port, and those that share the port.
    Destination = 0,
    /// The same for the source port.
    Source = 1,
    /// Services learned from earlier frames.
    Learned = 2,
    /// By the first octets.
    Content = 3,
}

/// Starts the walk with the next candidate for the payload. False when none is left.
#[inline(always)]
pub fn next_candidate<B: Bytes, E: Bindings + Memory>(b: B, f: &Frame, w: &mut Walk, env: &mut E) -> bool {
    let table = if f.l4 == UDP { Table::Udp } else { Table::Tcp };
    let tried = w.root;
    if w.stage == Stage::Destination as u32 {
        let proto = if tried == 0 { env.proto(table, f.dport) } else { proto::sharing(tried) };
        // A port of IT gives way to one of the plant: clients choose their ports anywhere.
        if proto != 0 && (proto != IT || only_it(env.proto(table, f.sport))) {
            w.registered |= (proto != IT) as u32;
            return restart(f, w, proto, Hint::ToServer, f.dport);
        }
        w.stage = Stage::Source as u32;
        let proto = env.proto(table, f.sport);
        if proto != 0 {
            w.registered |= (proto != IT) as u32;
            return restart(f, w, proto, Hint::FromServer, f.sport);
        }
    } else if w.stage == Stage::Source as u32 {
        let proto = proto::sharing(tried);
        if proto != 0 {
            return restart(f, w, proto, Hint::FromServer, f.sport);
        }
    }
    if w.stage != Stage::Content as u32 {
        let first = w.stage == Stage::Source as u32;
        if first && service::any(env) {
            w.stage = Stage::Learned as u32;
            let proto = service::of_destination(f, env);
            if proto != 0 {
                w.registered = LEARNED;
                return restart(f, w, proto, Hint::ToServer, f.dport);
            }
            let proto = service::of_source(f, env);
            if proto != 0 {
                w.registered = LEARNED;
                return restart(f, w, proto, Hint::FromServer, f.sport);
            }
        }
        w.stage = Stage::Content as u32;
        w.sniff = match b.until(f.end).be32(f.off) {
            Some(first) => proto::sniff_begin(first),
            None => 0,
        };
    }
    let Some(head) = b.until(f.end).be32(f.off) else { return false };
    let proto = proto::sniff(head, f.l4, &mut w.sniff);
    if proto == 0 {
        return false;
    }
    restart(f, w, proto, Hint::Content, 0)
}

#[inline(always)]
fn restart(f: &Frame, w: &mut Walk, proto: u8, hint: Hint, port: u16) -> bool {
    w.clear();
    w.service = port as u32 | (f.l4 as u32) << 16;
    let at = w.begin;
    start(w, at, proto, hint as u8);
    true
}

#[inline(always)]
fn layer2<B: Bytes, E: Bindings>(b: B, f: &mut Frame, w: &mut Walk, env: &mut E) -> Next {
    let proto = env.proto(Table::EtherType, f.ethertype);
    if proto == 0 {
        return Next::Count(Outcome::NotOt);
    }
    frame::strip_prp(b, f);
    w.begin = f.off;
    w.end = f.end;
    w.base = f.base;
    w.stage = Stage::Content as u32;
    w.sniff = 0;
    w.registered = 1;
    restart(f, w, proto, Hint::EtherType, f.ethertype);
    Next::Walk
}

#[inline(always)]
fn empty<E: Bindings + Memory>(f: &Frame, w: &mut Walk, env: &mut E) -> Outcome {
    let table = if f.l4 == TCP { Table::Tcp } else { Table::Udp };
    let (mut to, mut from) = (env.proto(table, f.dport), env.proto(table, f.sport));
    if only_it(to) {
        to = 0;
    }
    if only_it(from) {
        from = 0;
    }
    if to | from == 0 {
        return Outcome::NotOt;
    }
    if f.l4 == TCP && f.tcp & SYN != 0 {
        w.root = if to != 0 { to } else { from };
        w.hint = if to != 0 { Hint::ToServer as u8 } else { Hint::FromServer as u8 };
        stream::syn(f, w, env);
    }
    Outcome::NoPayload
}

/// SYN in the flags octet (RFC 9293 cl. 3.1).
const SYN: u8 = 2;

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

/// Last check before a frame is counted: what was found by content has to be confirmed. Takes and gives the number of an
/// [`Outcome`].
#[inline(always)]
pub fn confirmed<E: Memory>(f: &Frame, w: &mut Walk, outcome: u32, env: &mut E) -> u32 {
    let classified = outcome == Outcome::Classified as u32;
    if w.skip != 0 && w.n_ops <= w.skip {
        // The rest of a PDU whose operations an earlier segment counted.
        w.clear_ops();
        w.skip = 0;
        if classified {
            return Outcome::Continuation as u32;
        }
    }
    let named = classified && w.root != IT;
    if named && !service::learn(f, w, env) { Outcome::NotOt as u32 } else { outcome }
}

/// Everything that user space needs to classify: bindings, length, memory, all parsers.
pub trait Env<B: Bytes>: Bindings + Envelope + Memory + Steps<B> {}
impl<B: Bytes, T: Bindings + Envelope + Memory + Steps<B>> Env<B> for T {}

/// Classifies one frame in user space: what the kernel program does, without its jumps between programs. `joined` runs
/// the parsers on the window of the walk's connection.
pub fn classify<B: Bytes, E: Env<B>>(
    b: B,
    f: &mut Frame,
    w: &mut Walk,
    env: &mut E,
    joined: &mut dyn FnMut(&mut Walk, &mut E) -> Outcome,
) -> Outcome {
    let mut prepared = prepare(b, f, w, env);
    // A chain, the tunnel behind it, a chain inside, and a second tunnel, which is not opened.
    for _ in 0..4 {
        prepared = match prepared {
            Prepared::Next(_) => break,
            Prepared::Ipv6Chain => prepare_ipv6_chain(b, f, w, env),
            Prepared::Tunnel => prepare_tunnel(b, f, w, env),
        };
    }
    let mut next = match prepared {
        Prepared::Next(n) => n,
        // Not reached: there are no more of them.
        Prepared::Ipv6Chain | Prepared::Tunnel => Next::Count(Outcome::BadEnvelope),
    };
    // Each turn is a tail call in the kernel, which allows 33 in a row.
    for _ in 0..32 {
        next = match next {
            Next::Count(outcome) => {
                let code = confirmed(f, w, outcome as u32, env);
                w.flags |= f.flags;
                return Outcome::from_code(code as u8).unwrap_or(outcome);
            }
            Next::Walk => {
                let payload = b.until(f.end);
                let step = env.step(w.root, payload, w);
                match drive(step, payload, w, env, proto::turns(w.root)) {
                    Driven::Outcome(o) if stream::leave(f, w, o, env) => Next::Count(o),
                    Driven::Outcome(o) => stream::rarely(f, w, o, env),
                    Driven::Refused => {
                        if next_candidate(b, f, w, env) {
                            Next::Walk
                        } else {
                            let outcome = refused(w);
                            if stream::leave(f, w, outcome, env) {
                                Next::Count(outcome)
                            } else {
                                stream::rarely(f, w, outcome, env)
                            }
                        }
                    }
                }
            }
            Next::Enter => stream::enter_unusual(b, f, w, env),
            Next::Gather => stream::gather(b, f, w, env),
            Next::Joined => {
                let outcome = joined(w, env);
                stream::leave_window(f, w, outcome, env)
            }
        };
    }
    w.flags |= f.flags | flags::WALK_LIMIT;
    Outcome::Unparsed
}
