//! Services found off their registered ports: which protocol a (server, port) speaks, learned from frames that match a
//! strong signature in both directions.
//!
//! A word of the table: hash of the service in the high 48 bits, then one octet of evidence, then the protocol. A
//! service that loses its slot is found by content again.

use crate::frame::Frame;
use crate::op::Dir;
use crate::proto;
use crate::stream::Memory;
use crate::walk::{Hint, Walk};

/// Services that are remembered; slot 0 tells whether there are any.
pub const SERVICES: u32 = 8_192;

const REQUEST: u64 = 1 << 8;
const RESPONSE: u64 = 2 << 8;
const CONFIRMED: u64 = REQUEST | RESPONSE;
const PROTOCOL: u64 = 0xFF;
const CHECK: u64 = !0xFFFF;

#[inline(always)]
fn hash(addr: &[u32; 4], port: u16, l4: u8) -> u64 {
    let wide = |a: u32, b: u32| (a as u64) << 32 | b as u64;
    let mut h =
        (wide(addr[3], (l4 as u32) << 16 | port as u32) ^ 0x9E37_79B9_7F4A_7C15).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    if addr[0] != 0 {
        h = (h ^ h >> 32 ^ wide(addr[0], addr[1])).wrapping_mul(0xC4CE_B9FE_1A85_EC53);
        h = (h ^ h >> 32 ^ addr[2] as u64).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    }
    h ^ h >> 32
}

#[inline(always)]
fn slot(hash: u64) -> u32 {
    let slot = hash as u32 & (SERVICES - 1);
    if slot == 0 { 1 } else { slot }
}

/// Has any service been learned?
#[inline(always)]
pub fn any<E: Memory>(env: &mut E) -> bool {
    matches!(env.service(0), Some(n) if *n != 0)
}

#[inline(always)]
fn find<E: Memory>(addr: &[u32; 4], port: u16, l4: u8, env: &mut E) -> u8 {
    let hash = hash(addr, port, l4);
    match env.service(slot(hash)) {
        Some(word) if (*word ^ hash) & CHECK == 0 && *word & CONFIRMED == CONFIRMED => *word as u8,
        _ => 0,
    }
}

/// Protocol of the service that the frame goes to, 0 for none.
#[inline(always)]
pub fn of_destination<E: Memory>(f: &Frame, env: &mut E) -> u8 {
    find(&f.dst, f.dport, f.l4, env)
}

/// Protocol of the service that the frame comes from, 0 for none.
#[inline(always)]
pub fn of_source<E: Memory>(f: &Frame, env: &mut E) -> u8 {
    find(&f.src, f.sport, f.l4, env)
}

/// Takes down what a frame that was found by content says about its server. False when its protocol has a weak
/// signature and the other direction has not matched yet: then the frame must not be named.
pub fn learn<E: Memory>(f: &Frame, w: &Walk, env: &mut E) -> bool {
    if w.hint != Hint::Content as u8 || f.dport == 0 {
        return true;
    }
    let dir = if w.n_ops == 0 { 0 } else { w.ops[0].tag.dir_code() };
    // Where the frame does not tell, the lower port is the server's.
    let to_server = dir == Dir::Request as u8 || (dir != Dir::Response as u8 && f.dport <= f.sport);
    let (hash, seen) =
        if to_server { (hash(&f.dst, f.dport, f.l4), REQUEST) } else { (hash(&f.src, f.sport, f.l4), RESPONSE) };
    let Some(word) = env.service(slot(hash)) else { return true };
    let mine = hash & CHECK | w.root as u64;
    let was = if (*word ^ mine) & (CHECK | PROTOCOL) == 0 { *word & CONFIRMED } else { 0 };
    let evidence = was | seen;
    *word = mine | evidence;
    if evidence == CONFIRMED
        && was != CONFIRMED
        && let Some(n) = env.service(0)
    {
        *n = n.wrapping_add(1) | 1;
    }
    evidence == CONFIRMED || !proto::is_weak(w.root)
}
