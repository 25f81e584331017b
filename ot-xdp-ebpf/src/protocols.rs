//! Two XDP programs a protocol, reached by tail calls, and subprograms for what follows the first step of a segment.
//!
//! `ot_<protocol>` walks the frame, `ot_joined_<protocol>` the window of a PDU that came in pieces. The jump to a
//! protocol's program is direct and never returns, so the usual frame, one PDU, costs no call and no return: returns
//! are what mitigations make dear (measured: 20 to 30 ns each on a CPU with return thunks). Each program is verified on
//! its own, so the verifier's work is the sum over the protocols and the cost of a frame does not grow with their number.

use aya_ebpf::bindings::xdp_md;
use ot_xdp_common::for_each_protocol;
use ot_xdp_common::proto::{self, Number, Protocol};
use ot_xdp_common::reason::Outcome;
use ot_xdp_common::stream;
use ot_xdp_common::walk::{self, Driven, Step, Steps, Walk};
use ot_xdp_common::wire::{COUNT, LEAVE, NEXT};

use crate::kernel::Kernel;
use crate::packet::Packet;
use crate::window::Joined;
use crate::{count, gate, jump, maps, verdict};

/// The program of one protocol: first step, rest of the walk, what it means for the connection, count, pass.
#[inline(always)]
fn run<P: Protocol, S: Steps<Packet>>(ctx: *mut xdp_md, mut steps: S) -> u32 {
    let Some(s) = maps::scratch() else { return verdict::pass(ctx) };
    let packet = Packet::limited(ctx, s.walk.end);
    let first = P::step(packet, &mut s.walk);
    let outcome = match walk::drive(first, packet, &mut s.walk, &mut steps, P::TURNS) {
        Driven::Outcome(o) => o,
        Driven::Refused => {
            jump::to::<NEXT>(ctx);
            return verdict::pass(ctx);
        }
    };
    s.outcome = outcome as u32;
    if !stream::leave(&s.frame, &mut s.walk, outcome, &mut Kernel { ctx }) {
        jump::to::<LEAVE>(ctx);
        return verdict::pass(ctx);
    }
    s.walk.flags |= s.frame.flags;
    if !count::usual(ctx, s, outcome) {
        jump::to::<COUNT>(ctx);
        return verdict::pass(ctx);
    }
    gate::usual(ctx, s)
}

/// The octets of the window in hand.
#[inline(always)]
fn window(w: &Walk) -> Option<Joined> {
    let s = maps::stream(w.stream)?;
    let window = maps::window(stream::window_of(s))?;
    Some(Joined { window, base: w.base, limit: w.end })
}

/// The program of one protocol for PDUs that came in pieces.
#[inline(always)]
fn run_joined<P: Protocol, S: Steps<Packet>>(ctx: *mut xdp_md, mut steps: S) -> u32 {
    let Some(s) = maps::scratch() else { return verdict::pass(ctx) };
    // The frame is not read: the steps take their octets from the window.
    let unread = Packet::new(ctx);
    let first = steps.step(s.walk.root, unread, &mut s.walk);
    let outcome = match walk::drive(first, unread, &mut s.walk, &mut steps, P::TURNS) {
        Driven::Outcome(o) => o,
        Driven::Refused => Outcome::Unparsed,
    };
    let next = stream::leave_window(&s.frame, &mut s.walk, outcome, &mut Kernel { ctx });
    jump::go_on_rarely(ctx, s, next)
}

macro_rules! programs {
    ($($nr:literal $variant:ident $module:ident [$($inner:ident)*];)+) => {
        $(
            mod $module {
                use super::*;

                /// One step, for all but the first of a segment; a global function: verified once for any arguments.
                #[unsafe(export_name = concat!("step_", stringify!($module)))]
                #[inline(never)]
                pub extern "C" fn step(ctx: *mut xdp_md, w: *mut Walk) -> u32 {
                    if w.is_null() {
                        return Step::REFUSE.0;
                    }
                    // SAFETY: the verifier checks that `w` is null or points to a whole `Walk`; it belongs to this CPU
                    // and to this run, and the caller gave up its reference for the call.
                    let w = unsafe { &mut *w };
                    proto::$module::$variant::step(Packet::limited(ctx, w.end), w).0
                }

                /// The same on the window.
                #[unsafe(export_name = concat!("joined_", stringify!($module)))]
                #[inline(never)]
                pub extern "C" fn joined(w: *mut Walk) -> u32 {
                    if w.is_null() {
                        return Step::REFUSE.0;
                    }
                    // SAFETY: as in `step`.
                    let w = unsafe { &mut *w };
                    let Some(window) = window(w) else { return Step::REFUSE.0 };
                    proto::$module::$variant::step(window, w).0
                }

                /// This protocol and what its PDUs lead to.
                struct Family(*mut xdp_md);
                impl Steps<Packet> for Family {
                    #[inline(always)]
                    fn step(&mut self, proto: u8, _: Packet, w: &mut Walk) -> Step {
                        if proto == $nr {
                            return Step(step(self.0, w));
                        }
                        $(if proto == super::$inner::NUMBER {
                            return Step(super::$inner::step(self.0, w));
                        })*
                        Step::REFUSE
                    }
                }

                /// The same on the window.
                struct JoinedFamily;
                impl Steps<Packet> for JoinedFamily {
                    #[inline(always)]
                    fn step(&mut self, proto: u8, _: Packet, w: &mut Walk) -> Step {
                        if proto == $nr {
                            return Step(joined(w));
                        }
                        $(if proto == super::$inner::NUMBER {
                            return Step(super::$inner::joined(w));
                        })*
                        Step::REFUSE
                    }
                }

                #[allow(dead_code, reason = "used where another protocol leads to this one")]
                pub const NUMBER: u8 = <proto::$module::$variant as Number>::NUMBER;

                /// Entered by a tail call only.
                #[unsafe(export_name = concat!("ot_", stringify!($module)))]
                #[unsafe(link_section = "xdp.frags")]
                pub extern "C" fn program(ctx: *mut xdp_md) -> u32 {
                    run::<proto::$module::$variant, Family>(ctx, Family(ctx))
                }

                /// Entered by a tail call only.
                #[unsafe(export_name = concat!("ot_joined_", stringify!($module)))]
                #[unsafe(link_section = "xdp.frags")]
                pub extern "C" fn joined_program(ctx: *mut xdp_md) -> u32 {
                    run_joined::<proto::$module::$variant, JoinedFamily>(ctx, JoinedFamily)
                }
            }
        )+
    };
}

for_each_protocol!(programs);
