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
use crate::op::{Class, Dir, Kind, risk_of};
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
const MANUFACTURER: u8 = 0x80;
const MANUFACTURER_LAST: u8 = 0xFE;

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
    0x06 "Set device initiative" Config!;
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
        let (Some(head), Some(tail)) = (b.be32(off), b.be32(off + 8)) else { return Step::MALFORMED };
        let service = (head >> 8) & 0xFF;
        let asked = head & 0xFF == 0;
        let code = (service << 4 & 0xF0) | head & 0xF;
        let mut function = (service & 0xF) << 16 | (head & 0xF) << 20 | ((head >> 16) - HELLO as u32 & 3) << 24;
        let mut kind = if service > 0xF { Kind::UNLISTED.0 } else { SERVICES[code as usize & 0xFF] };
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

/// Option and sub-option of the worst block of a Set request, and its kind.
#[inline(always)]
fn blocks<B: Bytes>(b: B, w: &mut Walk, begin: u32, end: u32, carrier: u8) -> (u32, u8) {
    let (mut at, mut rank, mut function, mut kind) = (begin, 0, 0, carrier);
    for _ in 0..BLOCKS {
        let Some(block) = b.be32(at) else { return (function, kind) };
        if at >= end {
            return (function, kind);
        }
        let option = block >> 24;
        let suboption = (block >> 16) & 0xFF;
        let table = if option == CONTROL { &CONTROLS } else { &BY_OPTION };
        let index = if option == CONTROL { suboption } else { option };
        let found = table[index as usize & 0xFF];
        let its = risk_of(Kind(found).class()) as u32 * 2 + Kind(found).state_changing() as u32 + 1;
        if its > rank {
            rank = its;
            kind = found;
            function = block >> 16;
        }
        let length = block & 0xFFFF;
        at += 4 + length + (length & 1);
    }
    if at < end {
        w.flags |= flags::WALK_LIMIT;
    }
    (function, kind)
}

/// [`OPTIONS`] with every manufacturer-specific option.
static BY_OPTION: [u8; 256] = {
    let mut t = OPTIONS;
    let mut i = MANUFACTURER;
    while i <= MANUFACTURER_LAST {
        t[i as usize] = OPTIONS[MANUFACTURER as usize];
        i += 1;
    }
    t
};
