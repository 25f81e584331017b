//! The gate: which zone talks to which, what the policy says about it, and what becomes of the frame.
//!
//! Nothing of it is in a sensor's program ([`maps::is_gate`]). Whatever is not known passes; a denial needs a rule, the
//! mode that enforces, and a user space that is alive.

use aya_ebpf::bindings::{BPF_NOEXIST, xdp_md};
use ot_xdp_common::classify::service_port;
use ot_xdp_common::flags;
use ot_xdp_common::frame::{Frame, TCP};
use ot_xdp_common::limits::OPS;
use ot_xdp_common::op::{Op, Tag};
use ot_xdp_common::policy::{
    Action, CONDITIONS, Condition, Conduit, Control, DOUBTS, Denial, DenialKey, Done, GatePort, Head, Mode,
    NO_OPERATION, Side, Subject, Verdict, Zones, believed, by, conditions, judge_by, kind_number,
};
use ot_xdp_common::reason::Outcome;
use ot_xdp_common::stream;
use ot_xdp_common::wire::{JUDGE, REFUSE, Scratch};

use crate::{count, jump, maps, opaque, verdict};

/// What happens to a frame that was counted.
#[inline(always)]
pub fn verdict(ctx: *mut xdp_md, ifindex: u32) -> u32 {
    if maps::is_gate()
        && let Some(c) = maps::control()
        && c.mode != Mode::Monitor as u32
        && let Some(port) = maps::gate_port(c.generation, ifindex)
        && port.judged != 0
    {
        jump::to::<JUDGE>(ctx);
    }
    verdict::pass(ctx)
}

/// The same for the usual frame: most are of a kind that no rule is about, and of a connection that was judged before.
#[inline(always)]
pub fn usual(ctx: *mut xdp_md, s: &Scratch) -> u32 {
    if maps::is_gate()
        && let Some(c) = maps::control()
        && c.mode != Mode::Monitor as u32
        && let Some(port) = maps::gate_port(c.generation, s.ifindex)
        && port.judged != 0
        && !is_settled(s, c, port)
    {
        jump::to::<JUDGE>(ctx);
    }
    verdict::pass(ctx)
}

/// Is there nothing to judge? What [`judge`] would find without a rule.
#[inline(always)]
fn is_settled(s: &Scratch, c: &Control, port: &GatePort) -> bool {
    let op = &s.walk.ops[0];
    if port.kinds >> kind_number(op.tag.kind()) & 1 != 0
        || s.walk.flags & DOUBTS != 0
        || s.frame.l4 != TCP
        || s.frame.tcp & SYN != 0
    {
        return false;
    }
    let (Some(known), Some(k)) = (maps::stream(s.walk.stream), maps::conduit(s.walk.stream)) else { return false };
    k.check == known.check
        && !stream::is_guess(known)
        && k.zones.is_of(c.generation)
        && !k.zones.is_spoofed()
        && k.blocked | k.holed == 0
}

/// SYN in the flags octet of TCP (RFC 9293 cl. 3.1).
const SYN: u8 = 2;
/// What [`judge_one`] calls the first condition.
const FIRST_CONDITION: u32 = OPS as u32;

/// Judges the frame in hand.
#[inline(always)]
pub fn judge(ctx: *mut xdp_md) -> u32 {
    let Some(s) = maps::scratch() else { return verdict::pass(ctx) };
    let Some(v) = maps::verdict() else { return verdict::pass(ctx) };
    let Some(c) = maps::control() else { return verdict::pass(ctx) };
    let generation = c.generation & 1;
    let Some(head) = maps::head(generation) else { return verdict::pass(ctx) };
    let Some(port) = maps::gate_port(generation, s.ifindex) else { return verdict::pass(ctx) };
    *v = Verdict { now_ns: count::now(), generation, op: NO_OPERATION, ..Verdict::default() };
    let f = &s.frame;
    let tcp = f.l4 == TCP && f.flags & flags::FRAGMENT == 0;
    let mut flow = None;
    let zones;
    // The same slot as the stream's.
    let (check, slot) = if tcp { stream::direction(f, s.ifindex) } else { (0, 0) };
    if tcp {
        let Some(k) = maps::conduit(slot) else { return verdict::pass(ctx) };
        if k.check != check || f.tcp & SYN != 0 {
            *k = Conduit { check, ..Conduit::default() };
        }
        if f.off >= f.end {
            return verdict::pass(ctx);
        }
        if !k.zones.is_of(c.generation) {
            k.zones = find(f, c.generation, head, port);
        }
        zones = k.zones;
        flow = Some(k);
    } else {
        zones = find(f, c.generation, head, port);
    }
    // The verifier is to forget which way the zones were found: it would follow each on its own.
    let zones = Zones(opaque::forget(zones.0, s.outcome));
    v.from = zones.from();
    v.to = zones.to();
    if let Some(k) = flow.as_mut()
        && k.blocked != 0
    {
        if !armed(c, v.now_ns) {
            return verdict::pass(ctx);
        }
        v.done = Done::Blocked as u32;
        count_port(s, v);
        return refuse(ctx, head, v, k);
    }
    let mut bits = conditions(s.outcome, &s.walk, tcp);
    if tcp && maps::stream(slot).is_some_and(|known| stream::is_guess(known)) {
        bits |= 1 << Condition::Unaligned as u32;
    }
    if zones.is_spoofed() {
        bits |= 1 << Condition::Spoofed as u32;
    }
    if let Some(k) = flow.as_mut()
        && k.holed != 0
        && repeats(f, k.hole)
    {
        // To the stream it was seen; the controller has never had it.
        if s.outcome == Outcome::Retransmission as u32 {
            bits |= 1 << Condition::Overlap as u32;
        }
        k.holed = 0;
    }
    if bits != 0 {
        for n in 0..Condition::ALL.len() as u32 {
            if bits >> n & 1 != 0 {
                judge_one(FIRST_CONDITION + n);
            }
        }
    }
    let operations = if believed(s.outcome, s.walk.root) { s.walk.n_ops } else { 0 };
    for i in 0..OPS as u32 {
        if i >= operations {
            break;
        }
        judge_one(i);
    }
    if v.rule == 0 {
        return verdict::pass(ctx);
    }
    decide(ctx, s, c, head, v, flow)
}

/// Does the segment hold the octet with this sequence number?
#[inline(always)]
fn repeats(f: &Frame, seq: u32) -> bool {
    seq.wrapping_sub(f.seq) < f.end - f.off
}

/// Carries out what the deciding rule says.
#[inline(always)]
fn decide(
    ctx: *mut xdp_md,
    s: &mut Scratch,
    c: &Control,
    head: &Head,
    v: &mut Verdict,
    flow: Option<&mut Conduit>,
) -> u32 {
    // What was not understood will not be when it is sent again: both ends are better off with a reset. What may only have
    // been sent twice is dropped, and can come in another shape.
    let whole = v.op != NO_OPERATION
        || v.condition == Condition::Malformed as u32
        || v.condition == Condition::BeyondLimits as u32
        || v.condition == Condition::Unaligned as u32
        || v.condition == Condition::Unparsed as u32;
    let resets = head.reset != 0 && v.silent == 0 && flow.is_some() && whole;
    let done = if v.action == Action::Allow as u32 {
        Done::Passed
    } else if v.action == Action::Alert as u32 {
        Done::Alerted
    } else if c.mode != Mode::Enforce as u32 {
        Done::WouldDrop
    } else if !armed(c, v.now_ns) {
        Done::DeadMan
    } else if resets {
        Done::Reset
    } else {
        Done::Dropped
    };
    v.done = done as u32;
    count_port(s, v);
    count_rule(s, v);
    if v.done != Done::Passed as u32 {
        report(s, v);
    }
    if v.done != Done::Dropped as u32 && v.done != Done::Reset as u32 {
        return verdict::pass(ctx);
    }
    let Some(k) = flow else { return verdict::drop() };
    if whole {
        k.blocked = 1;
    } else {
        k.hole = s.frame.seq;
        k.holed = 1;
    }
    if v.done == Done::Reset as u32 { refuse(ctx, head, v, k) } else { verdict::drop() }
}

/// Refuses a TCP segment: by a reset in its place where the policy says so.
#[inline(always)]
fn refuse(ctx: *mut xdp_md, head: &Head, v: &mut Verdict, k: &mut Conduit) -> u32 {
    if head.reset == 0 || v.silent != 0 {
        return verdict::drop();
    }
    v.reserved = k.blocked;
    k.blocked = k.blocked.wrapping_add(2);
    jump::to::<REFUSE>(ctx);
    verdict::drop()
}

/// Is the mode enforce, user space alive and the arming confirmed?
#[inline(always)]
fn armed(c: &Control, now_ns: u64) -> bool {
    // The coarse clock may be a tick behind the beat.
    let age = now_ns.wrapping_sub(maps::beat_ns()) as i64;
    c.mode == Mode::Enforce as u32
        && (c.beat_limit_ns == 0 || age < c.beat_limit_ns as i64)
        && (c.confirm_ns == 0 || now_ns < c.confirm_ns)
}

/// Zones of a frame. Of the source in this order of trust: ingress port, VLAN, MAC,
/// longest prefix; of the destination: MAC, longest prefix, what lies behind the other ports.
#[inline(always)]
fn find(f: &Frame, number: u32, head: &Head, port: &GatePort) -> Zones {
    let generation = number & 1;
    let (mut from, mut to, mut source) = (port.zone as u32, 0, 0);
    if from == 0 && head.by & by::VLAN != 0 {
        from = maps::zone_of_vlan(generation, f.vlan);
    }
    if head.by & by::MAC != 0 {
        source = maps::zone_of_mac(generation, f.src_end);
        to = maps::zone_of_mac(generation, f.dst_end);
    }
    if head.by & by::PREFIX != 0 && f.l3_at != 0 {
        if source == 0 {
            source = maps::zone_of_address(generation, &f.src);
        }
        if to == 0 {
            to = maps::zone_of_address(generation, &f.dst);
        }
    }
    if from == 0 {
        from = source;
    }
    if to == 0 {
        to = port.beyond as u32;
    }
    let side = |zone: u32| (head.sides >> ((zone & 15) * 4)) as u32 & 15;
    let ot = Side::Ot as u32;
    let spoofed = side(source) == ot && side(from) != ot;
    Zones::new(number, from, to, spoofed)
}

/// Judges one operation of the frame in hand, or from [`FIRST_CONDITION`] on one of its conditions; the worst verdict
/// stays. A global function: verified once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn judge_one(index: u32) -> u32 {
    let Some(s) = maps::scratch() else { return 0 };
    let Some(v) = maps::verdict() else { return 0 };
    let generation = v.generation & 1;
    let is_condition = index >= FIRST_CONDITION;
    let (proto, kind, op) = if is_condition {
        (CONDITIONS, index - FIRST_CONDITION, Op::default())
    } else {
        let op = s.walk.ops[index as usize & (OPS - 1)];
        (op.tag.proto(), kind_number(op.tag.kind()), op)
    };
    let Some(row) = maps::rule_row(generation, v.from, v.to, proto) else { return 0 };
    let first = row[kind as usize & 63];
    if first == 0 {
        return 0;
    }
    let subject =
        Subject { from: v.from, to: v.to, src: s.frame.src, dst: s.frame.dst, proto, kind, op, now_ns: v.now_ns };
    let number = judge_by(first, &subject, |i| maps::rule(generation, i));
    if number == 0 {
        return 0;
    }
    let Some(rule) = maps::rule(generation, number) else { return 0 };
    let action = rule.action as u32;
    if v.rule == 0 || action > v.action {
        v.rule = number as u32;
        v.action = action;
        v.silent = rule.silent as u32;
        v.op = if is_condition { NO_OPERATION } else { index };
        v.condition = kind;
    }
    action
}

#[inline(always)]
fn count_port(s: &Scratch, v: &Verdict) {
    if let Some(n) = maps::gate_count(s.ifindex)
        && let Some(frames) = n.frames.get_mut(v.done as usize)
    {
        *frames += 1;
    }
}

#[inline(always)]
fn count_rule(s: &Scratch, v: &Verdict) {
    if let Some(h) = maps::hits(v.generation, v.rule) {
        h.frames += 1;
        h.bytes += s.frame.len as u64;
        h.refused += (v.done == Done::Dropped as u32 || v.done == Done::Reset as u32) as u64;
        h.last_ns = v.now_ns;
    }
}

/// Takes down who did what to whom, once for each conversation, function and rule.
#[inline(always)]
fn report(s: &mut Scratch, v: &Verdict) {
    let is_condition = v.op == NO_OPERATION;
    let op = if is_condition {
        let tag = Tag::new(s.walk.root, 0, ot_xdp_common::op::Dir::Unknown, 0);
        Op { function: v.condition, tag, ..Op::default() }
    } else {
        s.walk.ops[v.op as usize & (OPS - 1)]
    };
    s.key.begin(&s.frame, s.ifindex, service_port(&s.frame, &s.walk));
    s.key.set_op(&s.frame, &op);
    let key = DenialKey {
        key: s.key,
        rule: v.rule | (v.generation & 1) << 8 | (v.from & 0xFF) << 16 | (v.to & 0xFF) << 24,
        done: v.done | (is_condition as u32) << 8,
    };
    if let Some(d) = maps::DENIALS.get_ptr_mut(&key) {
        // SAFETY: an element of a map of integers; two CPUs that count at once lose a count, and the rule's own
        // counters, one a CPU, do not.
        let d = unsafe { &mut *d };
        d.frames += 1;
        d.last_ns = v.now_ns;
        return;
    }
    let first = Denial {
        frames: 1,
        first_ns: v.now_ns,
        last_ns: v.now_ns,
        src_end: s.frame.src_end,
        dst_end: s.frame.dst_end,
        addr: op.addr,
        span: op.span,
        flags: s.walk.flags,
        reserved: 0,
    };
    // Full: the counters of rules and ports have it.
    let _ = maps::DENIALS.insert(&key, &first, BPF_NOEXIST as u64);
}
