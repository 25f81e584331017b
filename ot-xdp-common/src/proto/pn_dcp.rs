//! PROFINET DCP: finds devices on the segment, reads and sets their names and addresses, resets them.
//!
//! Source: IEC 61158-6-10 cl. 4.3 (DCP). EtherType 0x8892, FrameIDs 0xFEFC to 0xFEFF, by way of the RT parser. Big endian.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 2 | FrameID: FEFC Hello, FEFD Get and Set, FEFE Identify request, FEFF Identify response |
//! | 2 | 1 | service: 3 Get, 4 Set, 5 Identify, 6 Hello |
//! | 3 | 1 | service type: 0 request, 1 response, 5 response "not supported" |
//! | 4 | 4 | xid |
//! | 8 | 2 | response delay |
//! | 10 | 2 | length of the blocks |
//! | 12 | | blocks: option 1, sub-option 1, length 2, data, padded to an even length; Get requests: options only |
//!
//! Function encoding: sub-option, option << 8 (of the worst block of a Set request, else 0), service << 16, service type
//! << 20, FrameID - 0xFEFC << 24. Not parsed: values of the blocks.

use core::fmt;

use super::{Binding, Protocol, Row, op};
use crate::bytes::Bytes;
use crate::flags;
use crate::op::{Class, Dir, Kind, rank_of};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct PnDcp;

/// FrameID of Hello, the first of DCP.
pub const HELLO: u16 = 0xFEFC;
/// FrameID of the Identify response, the last of DCP.
pub const IDENTIFY_RESPONSE: u16 = 0xFEFF;
/// Octets in front of the blocks.
const HEAD: u32 = 12;
/// Blocks of one Set request that are looked at; behind them the frame is flagged.
const BLOCKS: u32 = 16;
/// Service and service type of a Set request.
const SET: u32 = 0x40;
/// Option of the control blocks.
const CONTROL: u32 = 5;
/// First and last manufacturer-specific option.
const MANUFACTURER: usize = 0x80;
const MANUFACTURER_LAST: usize = 0xFE;

functions! {
    /// Service << 4 | service type.
    SERVICES, service_rows, base 0;
    0x10 "manufacturer-specific service 1" Unknown!;
    0x20 "manufacturer-specific service 2" Unknown!;
    0x30 "Get request" Read;
    0x31 "Get response ok" Response;
    0x35 "Get response: not supported" Response;
    0x40 "Set request" Config!;
    0x41 "Set response" Response;
    0x45 "Set response: not supported" Response;
    0x50 "Identify request" Discovery;
    0x51 "Identify response" Response;
    0x55 "Identify response: not supported" Response;
    0x60 "Hello request" Discovery;
}

functions! {
    /// Options of a Set request, but control.
    OPTIONS, option_rows, base 0;
    0x01 "Set IP suite" Config!;
    0x02 "Set other device property" Config!;
    0x03 "Set DHCP option / DHCP control" Config!;
    0x06 "Set device initiative option" Config!;
    0x07 "Set TSN domain option" Config!;
    0x80 "Set manufacturer-specific option" Config!;
}

functions! {
    /// Sub-options of the control option.
    CONTROLS, control_rows, base CONTROL << 8;
    0x01 "Control: start transaction" Session;
    0x02 "Control: end transaction" Session;
    0x03 "Control: signal (flash LED)" Diagnostic;
    0x05 "Control: reset factory settings" Control!;
    0x06 "Control: reset to factory" Control!;
}

/// Blocks that a Set request names, for people; their kind is that of the option.
const BLOCK_ROWS: [(u32, &str); 6] = [
    (0x0101, "Set MAC address"),
    (0x0102, "Set IP parameter"),
    (0x0103, "Set full IP suite"),
    (0x0202, "Set NameOfStation"),
    (0x0206, "Set alias name"),
    (0x0601, "Set device initiative"),
];

impl Protocol for PnDcp {
    const NAME: &'static str = "pn_dcp";
    const TITLE: &'static str = "PROFINET DCP";
    const BINDING: Binding = Binding { tcp: &[], udp: &[], ethertypes: &[] };

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let Some(head) = b.be32(off) else { return Step::REFUSE };
        let Some(tail) = b.be32(off + 8) else { return Step::REFUSE };
        let service = (head >> 8) & 0xFF;
        let asked = head & 0xFF == 0;
        let code = (service << 4 & 0xF0) | head & 0xF;
        let mut function = (service & 0xF) << 16 | (head & 0xF) << 20 | (((head >> 16) - HELLO as u32) & 3) << 24;
        let mut kind = if service > 0xF { Kind::UNLISTED.0 } else { SERVICES[b.index::<0xFF>(code) & 0xFF] };
        let end = off + HEAD + (tail & 0xFFFF);
        let fits = end <= w.inner_end;
        if service << 4 | head & 0xFF == SET {
            let (block, worst) = blocks(b, w, off + HEAD, end, kind);
            function |= block;
            kind = worst;
        }
        w.push(op::<PnDcp>(function, kind, if asked { Dir::Request } else { Dir::Response }, 0));
        if fits && kind != Kind::UNLISTED.0 { Step::DONE } else { Step::MALFORMED }
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{}/{:#06x}", (function >> 16) & 0xF, HELLO as u32 + (function >> 24))
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        // By service: Get and Set have FEFD, Identify FEFE and FEFF, Hello FEFC.
        service_rows(&mut |r| {
            let (service, kind) = (r.function >> 4, r.function & 0xF);
            let id = match (service, kind) {
                (5, 0) => 2,
                (5, _) => 3,
                (6, _) => 0,
                _ => 1,
            };
            each(Row { function: service << 16 | kind << 20 | id << 24, ..r });
        });
        let set = 4 << 16 | 1 << 24;
        for (block, name) in BLOCK_ROWS {
            each(Row { function: set | block, name, class: Class::Config, state_changing: true });
        }
        option_rows(&mut |r| each(Row { function: set | r.function << 8, ..r }));
        control_rows(&mut |r| each(Row { function: set | r.function, ..r }));
    }
}

/// Option and sub-option of the worst block of a Set request, the first of equals, and its kind.
#[inline(always)]
fn blocks<B: Bytes>(b: B, w: &mut Walk, begin: u32, end: u32, carrier: u8) -> (u32, u8) {
    // The worst so far is kept in memory, so that the verifier need not follow each sequence of outcomes to the end.
    w.mem[0] = (carrier as u32) << 16;
    let mut at = begin;
    for _ in 0..BLOCKS {
        if at >= end {
            break;
        }
        let Some(block) = b.be32(at) else { break };
        let option = block >> 24;
        let suboption = (block >> 16) & 0xFF;
        let index = if option == CONTROL { 0x100 | suboption } else { option };
        let found = (RANKED[b.index::<0x1FF>(index)] as u32) << 16 | block >> 16;
        if found >> 24 > w.mem[0] >> 24 {
            w.mem[0] = found;
        }
        let length = block & 0xFFFF;
        at += 4 + length + (length & 1);
    }
    if at + 4 <= end && end <= w.inner_end {
        w.flags |= flags::WALK_LIMIT;
    }
    (w.mem[0] & 0xFFFF, (w.mem[0] >> 16) as u8)
}

/// By option, then by sub-option of the control option: rank << 8 | kind. One table, so that the verifier sees one load
/// a block. Rank as in [`Walk::push`].
static RANKED: [u16; 512] = {
    let mut t = [0; 512];
    let mut i = 0;
    while i < 512 {
        let kind = if i >= 256 {
            CONTROLS[i - 256]
        } else if i >= MANUFACTURER && i <= MANUFACTURER_LAST {
            OPTIONS[MANUFACTURER]
        } else {
            OPTIONS[i]
        };
        t[i] = (rank_of(Kind(kind)) as u16) << 8 | kind as u16;
        i += 1;
    }
    t
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::Outcome;
    use crate::testing::{Seen, cuts, hex, layer2};

    const SET_NAME: &str = "fefd0400d1a738850000000a020200060001706c6332";

    fn dcp(frame: &str) -> Seen {
        layer2(0x8892, &hex(frame))
    }

    #[test]
    fn services_of_each_class() {
        assert_eq!(dcp("fefe0500d1a7388100800004ffff0000").lines(), ["pn_dcp:5/0xfefe discovery request"]);
        let found = "feff0501d1a738810000002e020200060000706c6331020300060000002a010102040004000001000102000e00010a4d0002ffffff0000000000";
        assert_eq!(dcp(found).lines(), ["pn_dcp:5/0xfeff response response"]);
        assert_eq!(dcp("fefd0300d1a73883000000020202").lines(), ["pn_dcp:3/0xfefd read request"]);
        assert_eq!(dcp("fefd0301d1a738830000000a020200060000706c6331").lines(), ["pn_dcp:3/0xfefd response response"]);
        assert_eq!(dcp("fefd0401d1a73885000000080504000302020000").lines(), ["pn_dcp:4/0xfefd response response"]);
        assert_eq!(dcp("fefc0600d1a738850000000a020200060000706c6332").lines(), ["pn_dcp:6/0xfefc discovery request"]);
    }

    #[test]
    fn set_requests_by_their_worst_block() {
        assert_eq!(dcp(SET_NAME).lines(), ["pn_dcp:4/0xfefd config! request"]);
        assert_eq!(dcp(SET_NAME).ops[0].function & 0xFFFF, 0x0202);
        assert_eq!(dcp("fefd0400d1a73887000000080503000400000100").lines(), ["pn_dcp:4/0xfefd diagnostic request"]);
        assert_eq!(dcp("fefd0400d1a7388800000006050600020004").lines(), ["pn_dcp:4/0xfefd control! request"]);
        // Start transaction, name with an odd length and padding, reset.
        let s = dcp("fefd0400d1a738850000001a 050100020000 020200050001706c6300 050600020004 05020000");
        assert_eq!(
            (s.lines(), s.ops[0].function & 0xFFFF),
            (["pn_dcp:4/0xfefd control! request".into()].into(), 0x0506)
        );
        assert_eq!(dcp("fefd0400d1a738850000000681010002aaaa").lines(), ["pn_dcp:4/0xfefd config! request"]);
        assert_eq!(dcp("fefd0400d1a738850000000609010002aaaa").class(), Class::Unknown);
    }

    #[test]
    fn more_blocks_than_are_looked_at_are_flagged() {
        let set = |n: u8| {
            let mut p = hex("fefd0400d1a7388500000000");
            p[11] = n * 4;
            (0..n).for_each(|_| p.extend([5, 1, 0, 0]));
            layer2(0x8892, &p).flags
        };
        assert_eq!(set(16), 0);
        assert_eq!(set(17), flags::WALK_LIMIT);
    }

    #[test]
    fn unknown_services_and_lying_lengths_are_malformed() {
        assert_eq!(dcp("fefd0700d1a738850000000a020200060001706c6332").outcome, Outcome::Malformed);
        let s = dcp("fefd0400d1a738850000000c020200060001706c6332");
        assert_eq!((s.outcome, s.class()), (Outcome::Malformed, Class::Config));
        assert_eq!(dcp("fefd0400d1a7").outcome, Outcome::Unparsed);
    }

    #[test]
    fn no_cut_changes_the_meaning() {
        cuts(&hex(SET_NAME), &["pn_rt:0x00fe"], &|p| layer2(0x8892, p));
    }
}
