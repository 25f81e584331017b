//! IT protocols that a monitor of a plant must tell apart: transport signatures, no dialogue.
//!
//! Source: the specification beside each rule in `it/rules.rs`. Where the content is weak, the port has to agree; what
//! is strong is recognised on any port.
//!
//! | what | where |
//! |---|---|
//! | a rule: mask and value over the first eight octets, least length, transport | `it/rules.rs` |
//! | ports with their rules; rules for any port | `it/rules.rs` |
//! | the names, each a protocol of the list | `it/members.rs` |
//!
//! This protocol has no function of its own: what it finds is an operation of one of its members. Function encoding:
//! number of the member's function, 0 where it has one. Its ports do not count as registered and its connections are not
//! remembered (`classify.rs`). Not parsed: anything behind the first octets, so the middle of an encrypted session is
//! not named.

use core::fmt;

use super::{Binding, Protocol, Row, Sniff};
use crate::bytes::Bytes;
use crate::flags;
use crate::frame::TCP;
use crate::op::{Dir, Kind, Op, Tag};
use crate::walk::{Step, Walk};

mod members;
mod rules;
#[cfg(test)]
mod tests;

pub use members::*;
use rules::{ANYWHERE_RULES, CHECK_DHCP, CHECK_RDP, PORTS, RULES, RULES_MAX, TCP_PORTS, UDP_PORTS, slot};

/// See the module head.
pub struct It;

/// Where the options of DHCP begin, and how.
const DHCP_MAGIC: (u32, u32) = (236, 0x6382_5363);
/// Where the parameters of a connection request begin: cookie or routing token, or a negotiation request.
const RDP_PARAMETERS: u32 = 11;
/// `Cook`
const COOKIE: u32 = 0x436F_6F6B;
/// Negotiation request, response and failure (MS-RDPBCGR cl. 2.2.1.1.1, 2.2.1.2.1): type, flags, length 8.
const NEGOTIATION: (u32, u32) = (0xFC00_FFFF, 0x0800);

impl Protocol for It {
    const NAME: &'static str = "it";
    const TITLE: &'static str = "IT protocols by transport signature";
    const BINDING: Binding = Binding { tcp: TCP_PORTS, udp: UDP_PORTS, ethertypes: &[] };
    const SNIFF: &'static [Sniff] = &[
        Sniff { l4: TCP, mask: 0xFFFF_FFFF, value: 0x5353_482D },
        Sniff { l4: TCP, mask: 0xFFFF_FFFF, value: 0x5246_4220 },
        Sniff { l4: TCP, mask: 0xFFFF_FFFF, value: 0x4854_5450 },
        Sniff { l4: TCP, mask: 0xFFFF_FFFF, value: 0x4745_5420 },
        Sniff { l4: TCP, mask: 0xFFFF_FFFF, value: 0x504F_5354 },
        Sniff { l4: TCP, mask: 0xFFFF_FCC0, value: 0x1603_0000 },
        Sniff { l4: TCP, mask: 0xFFFE_E07C, value: 0x0500_0000 },
        Sniff { l4: TCP, mask: 0xFFFF_0000, value: 0x0300_0000 },
    ];

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let head = match b.be64(off) {
            Some(head) => head,
            None => match b.be32(off) {
                Some(head) => (head as u64) << 32,
                None => return Step::REFUSE,
            },
        };
        let port = w.service & 0xFFFF;
        let entry = PORTS[b.index::<255>(slot(port))];
        // What fits goes to memory, so that the verifier need not follow each rule to the end of the program.
        w.mem[0] = 0;
        if port != 0 && entry >> 16 == port {
            search(b, w, head, entry & 0xFFFF);
        }
        if w.mem[0] == 0 {
            search(b, w, head, ANYWHERE_RULES);
            if w.mem[0] == 0 {
                return Step::REFUSE;
            }
            w.flags |= flags::PORT_MISMATCH;
        }
        let found = w.mem[0];
        let check = found >> 24;
        if check == CHECK_DHCP as u32 {
            let Some(magic) = b.be32(off + DHCP_MAGIC.0) else { return Step::REFUSE };
            if magic != DHCP_MAGIC.1 {
                return Step::REFUSE;
            }
        } else if check == CHECK_RDP as u32 {
            let Some(first) = b.be32(off + RDP_PARAMETERS) else { return Step::REFUSE };
            if first != COOKIE && first & NEGOTIATION.0 != NEGOTIATION.1 {
                return Step::REFUSE;
            }
        }
        let name = found & 0x7F;
        let mut dir = (found >> 8) & 3;
        if dir == Dir::Unknown as u32 {
            dir = w.port_dir() as u32;
        }
        let mut kind = KINDS[name as usize];
        if dir == Dir::Response as u32 {
            kind &= !Kind::STATE_CHANGING;
        }
        let tag = Tag(name | (kind as u32) << 8 | dir << 16);
        w.push(Op { function: (found >> 16) & 0xFF, unit: 0, addr: 0, span: 0, tag });
        Step::DONE
    }

    fn path(_function: u32, _out: &mut dyn fmt::Write) -> fmt::Result {
        Ok(())
    }

    fn rows(_each: &mut dyn FnMut(Row)) {}
}

/// Puts the first rule of a run that fits into the first memory word: name, direction << 8, function << 16, check << 24.
#[inline(always)]
fn search<B: Bytes>(b: B, w: &mut Walk, head: u64, run: u32) {
    let (first, count) = (run >> 8, run & 0xFF);
    let (l4, len) = (w.service >> 16, w.end.wrapping_sub(w.off));
    for i in 0..RULES_MAX as u32 {
        // Opaque, so that the loop keeps a counter whose value the verifier knows: Linux 6.1 does not find the end of
        // a loop that counts from an unknown number.
        let i = b.index::<15>(i) as u32;
        if i >= count {
            break;
        }
        let r = &RULES[b.index::<127>(first + i)];
        let fits = (head & r.mask == r.value) & (len >= r.min) & ((r.l4 == 0) | (r.l4 as u32 == l4));
        if fits {
            w.mem[0] = r.name as u32 | (r.dir as u32) << 8 | (r.function as u32) << 16 | (r.check as u32) << 24;
            break;
        }
    }
}
