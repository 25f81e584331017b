//! Candidates by content, by shared port, and which of them need confirmation: tables made from the list at build time.

use super::{Binding, LIST, Sniff};

/// What the list says of one protocol.
pub struct Entry {
    /// Number.
    pub proto: u8,
    /// Ports and EtherTypes.
    pub binding: Binding,
    /// Candidates by content.
    pub sniff: &'static [Sniff],
    /// See [`super::Protocol::WEAK`].
    pub weak: bool,
}

/// Nodes of all chains; a power of two.
const NODES: usize = 4096;
/// Length of the longest chain.
const CHAIN: usize = {
    let (mut longest, mut octet) = (0, 0);
    while octet < 256 {
        let (mut length, mut i) = (0, 0);
        while i < LIST.len() {
            let mut j = 0;
            while j < LIST[i].sniff.len() {
                length += begins_with(LIST[i].sniff[j], octet) as usize;
                j += 1;
            }
            i += 1;
        }
        if length > longest {
            longest = length;
        }
        octet += 1;
    }
    longest
};

/// May a payload that begins with this octet pass the test?
const fn begins_with(s: Sniff, octet: u32) -> bool {
    octet << 24 & s.mask == s.value & 0xFF00_0000
}

/// Tests on the first four octets, chained by the first octet: a payload pays for the tests that its first octet leaves
/// open, and not for the number of protocols.
struct Chains {
    /// First node by first octet, 0 for none.
    head: [u16; 256],
    mask: [u32; NODES],
    value: [u32; NODES],
    /// Protocol, IP protocol number (0 for any), next node in the high half.
    meta: [u32; NODES],
}

static CHAINS: Chains = {
    let mut c = Chains { head: [0; 256], mask: [0; NODES], value: [0; NODES], meta: [0; NODES] };
    let mut used = 1;
    let mut octet = 0;
    while octet < 256 {
        let mut last = 0;
        let mut i = 0;
        while i < LIST.len() {
            let mut j = 0;
            while j < LIST[i].sniff.len() {
                let s = LIST[i].sniff[j];
                if begins_with(s, octet as u32) {
                    c.mask[used] = s.mask;
                    c.value[used] = s.value;
                    c.meta[used] = LIST[i].proto as u32 | (s.l4 as u32) << 8;
                    if last == 0 {
                        c.head[octet] = used as u16;
                    } else {
                        c.meta[last] |= (used as u32) << 16;
                    }
                    last = used;
                    used += 1;
                }
                j += 1;
            }
            i += 1;
        }
        octet += 1;
    }
    c
};

/// Start of the candidates for a payload that begins with these octets (big-endian), for [`sniff`].
#[inline(always)]
pub fn sniff_begin(first: u32) -> u32 {
    CHAINS.head[(first >> 24) as usize & 0xFF] as u32
}

/// The next candidate by the first four octets of a payload, 0 for none; `at` goes on from call to call.
#[inline(always)]
pub fn sniff(first: u32, l4: u8, at: &mut u32) -> u8 {
    for _ in 0..CHAIN {
        if *at == 0 {
            break;
        }
        let i = *at as usize & (NODES - 1);
        let meta = CHAINS.meta[i];
        *at = meta >> 16;
        let wants = (meta >> 8) as u8;
        if first & CHAINS.mask[i] == CHAINS.value[i] && (wants == 0 || wants == l4) {
            return meta as u8;
        }
    }
    0
}

static WEAK: [u8; 256] = {
    let mut t = [0; 256];
    let mut i = 0;
    while i < LIST.len() {
        t[LIST[i].proto as usize] = LIST[i].weak as u8;
        i += 1;
    }
    t
};

/// Does the protocol have to match in both directions before a frame off its port is named?
#[inline(always)]
pub fn is_weak(proto: u8) -> bool {
    WEAK[proto as usize] != 0
}

static SHARING: [u8; 256] = {
    let mut t = [0; 256];
    let mut i = 0;
    while i < LIST.len() {
        let mut j = i + 1;
        while j < LIST.len() {
            let (a, b) = (LIST[i].binding, LIST[j].binding);
            if common(a.tcp, b.tcp) || common(a.udp, b.udp) || common(a.ethertypes, b.ethertypes) {
                t[LIST[i].proto as usize] = LIST[j].proto;
                break;
            }
            j += 1;
        }
        i += 1;
    }
    t
};

const fn common(a: &[u16], b: &[u16]) -> bool {
    let mut i = 0;
    while i < a.len() {
        let mut j = 0;
        while j < b.len() {
            if a[i] == b[j] {
                return true;
            }
            j += 1;
        }
        i += 1;
    }
    false
}

/// The next protocol in the list that is registered on one of this one's ports, 0 for none. Its content still has to
/// validate.
#[inline(always)]
pub fn sharing(proto: u8) -> u8 {
    SHARING[proto as usize]
}
