//! CIP: message router requests and replies, with what Unconnected_Send and Multiple_Service_Packet nest in them.
//!
//! Source: The CIP Networks Library, volume 1 (Common Industrial Protocol), cl. 2-4 (message router format), 3-5
//! (connection manager), appendix A (services), appendix C (path segments); Rockwell Automation 1756-PM020 (tag
//! services); class-specific services of Rockwell objects as measured in captures. Little endian.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 1 | service; bit 7 marks a reply |
//! | 1 | 1 | request: octets of the path / 2; reply: 0 |
//! | 2 | | request: path, then data |
//! | 2 | 1 | reply: general status |
//! | 3 | 1 | reply: octets of the additional status / 2; then that status, then data |
//!
//! Unconnected_Send (class 6), data: tick 1, timeout 1, length 2, request, padded; route: size / 2, reserved 1, segments.
//! Multiple_Service_Packet (class 2), data: count 2, one offset 2 each, counted from the count, then the services.
//!
//! A service from 4B on means nothing without the class of the path, so the kind goes by class and service. A reply has
//! no path: services that several classes use for different things are of class `response` there.
//!
//! Function encoding: service, class of the path << 8 (16 bits; the last one), bit 24 for a path with a tag name.
//! Execute_PCCC (class 67): bits 25 to 27 hold the set of PCCC functions plus one, bits 16 to 23 the function or command,
//! see [`pccc`]. Forward_Open: bit 31 when the path of the connection has the network segment of CIP Safety. Unit: port << 8 | link of the first hop that an Unconnected_Send asks for. Address: class << 16 |
//! instance. Not parsed: tag names, data, additional status, connection parameters of Forward_Open.

use core::fmt;

use self::services::{CLASSES, KINDS, REPLY_KINDS, TAG_TABLE};
use super::{Binding, Number, Protocol, Row, op, pccc};
use crate::bytes::Bytes;
use crate::flags;
use crate::limits::STEPS;
use crate::op::{Dir, Kind};
use crate::walk::{Step, Walk};

mod services;

/// See the module head.
pub struct Cip;

const REPLY: u32 = 0x80;
const MULTIPLE: u32 = 0x0A;
const UNCONNECTED_SEND: u32 = 0x52;
const EXECUTE_PCCC: u32 = 0x4B;
const MESSAGE_ROUTER: u32 = 0x02;
const CONNECTION_MANAGER: u32 = 0x06;
const PCCC: u32 = 0x67;
const PROGRAM: u32 = 0x68;
const SYMBOL: u32 = 0x6B;
const TEMPLATE: u32 = 0x6C;
const TREND: u32 = 0x72;
/// The path has a tag name.
const SYMBOLIC: u32 = 1 << 24;
/// Where the set of PCCC functions begins.
const PCCC_SET: u32 = 25;
/// Segments of one path that are looked at.
const SEGMENTS: u32 = 8;
/// Carriers inside carriers that are followed.
const DEPTH: u8 = 3;
/// Segments of the path in a Forward_Open that are looked at.
const CONNECTION_SEGMENTS: u32 = 10;
/// Network segment that makes a connection one of CIP Safety.
const SAFETY_SEGMENT: u32 = 0x50;
/// A Forward_Open with such a segment, in the function.
const SAFETY: u32 = 1 << 31;
const FORWARD_OPEN: u32 = 0x54;
const LARGE_FORWARD_OPEN: u32 = 0x5B;
/// Offset of the path's size in their data.
const PATH_SIZE: u32 = 35;
const LARGE_PATH_SIZE: u32 = 39;
/// Services that one packet may have: more than any segment that classification reaches has room for.
const SERVICES: u32 = 0xFFF;

/// What the words of [`Walk::mem`] hold while a message is walked.
mod mem {
    /// Offset of the service count of a Multiple_Service_Packet, where its offsets count from.
    pub const BASE: usize = 0;
    /// Its number of services << 16 | those walked.
    pub const WALKED: usize = 1;
    /// Its end.
    pub const END: usize = 2;
    /// Unit of the request that an Unconnected_Send carries.
    pub const UNIT: usize = 3;
    /// Path: class << 16 | instance.
    pub const OBJECT: usize = 4;
    /// Path: kind table, SYMBOLIC.
    pub const TABLE: usize = 5;
}

/// What a path segment is, by its first octet: low nibble the fixed octets (0: not a segment), then what it names, then
/// what its second octet adds to the length.
static SHAPES: [u8; 256] = {
    let mut t = [0; 256];
    let mut i = 0;
    while i < 256 {
        t[i] = match i {
            // Port: link address in the second octet, or as many octets as it says.
            0x00..=0x0E => 2,
            0x0F => 4,
            0x10..=0x1E => 2 | ADDS_OCTETS,
            0x1F => 4 | ADDS_OCTETS,
            // Logical with 8, 16 and 32 bits: class, instance, then what is of no interest here.
            0x20 => 2 | NAMES_CLASS,
            0x21 => 4 | NAMES_CLASS,
            0x22 => 6 | NAMES_CLASS,
            0x24 => 2 | NAMES_INSTANCE,
            0x25 => 4 | NAMES_INSTANCE,
            0x26 => 6 | NAMES_INSTANCE,
            0x34 => 10,
            0x28 | 0x2C | 0x30 | 0x38 | 0x3C => 2,
            0x29 | 0x2D | 0x31 | 0x39 | 0x3D => 4,
            0x2A | 0x2E | 0x32 | 0x3E => 6,
            // Network: one octet, or words.
            0x40..=0x4F => 2,
            0x50..=0x5F => 2 | ADDS_WORDS,
            // Data: words; a tag name.
            0x80 => 2 | ADDS_WORDS,
            0x91 => 2 | ADDS_OCTETS | NAMES_TAG,
            _ => 0,
        };
        i += 1;
    }
    t
};
const NAMES: u8 = 0x30;
const NAMES_CLASS: u8 = 0x10;
const NAMES_INSTANCE: u8 = 0x20;
const NAMES_TAG: u8 = 0x30;
const ADDS_OCTETS: u8 = 0x40;
const ADDS_WORDS: u8 = 0x80;

impl Protocol for Cip {
    const NAME: &'static str = "cip";
    const TITLE: &'static str = "CIP explicit messages";
    const BINDING: Binding = Binding { tcp: &[], udp: &[], ethertypes: &[] };
    const TURNS: u32 = STEPS;

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let (off, end) = (w.off, w.inner_end);
        if off + 2 > end {
            return next(b, w);
        }
        let Some(head) = b.be16(off) else { return Step::PARTIAL };
        let head = head as u32;
        if head >> 8 & REPLY != 0 { reply(b, w, off, end, head) } else { request(b, w, off, end, head) }
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{:#04x}", function & 0xFF)
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        services::rows(each);
    }
}

/// Function of an Execute_PCCC by the function of its command.
#[inline(always)]
const fn with_pccc(function: u32) -> u32 {
    EXECUTE_PCCC | PCCC << 8 | (function & 0xFF) << 16 | ((function >> 8) + 1) << PCCC_SET
}

#[inline(always)]
fn reply<B: Bytes>(b: B, w: &mut Walk, off: u32, end: u32, head: u32) -> Step {
    // Something else than a message router's reply, e.g. data of a connection to another object.
    if head & 0xFF != 0 || off + 4 > end {
        return next(b, w);
    }
    let service = head >> 8 & 0x7F;
    w.push(op::<Cip>(service, REPLY_KINDS[b.index::<0x7F>(service)], Dir::Response, w.mem[mem::UNIT]));
    if service != MULTIPLE || w.mem[mem::WALKED] != 0 {
        return next(b, w);
    }
    let Some(additional) = b.u8(off + 3) else { return Step::PARTIAL };
    services(b, w, off + 4 + 2 * additional as u32, end)
}

#[inline(always)]
fn request<B: Bytes>(b: B, w: &mut Walk, off: u32, end: u32, head: u32) -> Step {
    let service = head >> 8;
    let data = off + 2 + 2 * (head & 0xFF);
    if data > end {
        return next(b, w);
    }
    if !path(b, w, off + 2, data) {
        return Step::PARTIAL;
    }
    let (object, table) = (w.mem[mem::OBJECT], w.mem[mem::TABLE]);
    let class = object >> 16;
    let mut function = service | class << 8 | table & SYMBOLIC;
    let mut kind = KINDS[b.index::<0xFFF>(table << 7 | service) & 0xFFF];
    let sends = service == UNCONNECTED_SEND && class == CONNECTION_MANAGER;
    let packs = service == MULTIPLE && class == MESSAGE_ROUTER;
    // What is nested too deep can be anything.
    let follow = if packs { w.mem[mem::WALKED] == 0 } else { sends && w.depth < DEPTH };
    if (sends || packs) && !follow {
        kind = Kind::UNLISTED.0;
        w.flags |= flags::WALK_LIMIT;
    } else if service == EXECUTE_PCCC && class == PCCC {
        if let Some((command, its)) = pccc::command(b, data) {
            function = with_pccc(command);
            kind = its;
        } else if end > w.end {
            return Step::PARTIAL;
        }
    }
    if class == CONNECTION_MANAGER && (service == FORWARD_OPEN || service == LARGE_FORWARD_OPEN) {
        if end > w.end {
            return Step::PARTIAL;
        }
        let size = if service == FORWARD_OPEN { PATH_SIZE } else { LARGE_PATH_SIZE };
        function |= safety(b, data + size, end);
    }
    let mut found = op::<Cip>(function, kind, Dir::Request, w.mem[mem::UNIT]);
    found.addr = object;
    w.push(found);
    if !follow {
        return next(b, w);
    }
    if packs {
        return services(b, w, data, end);
    }
    let Some(length) = b.le16(data + 2) else { return Step::PARTIAL };
    let length = length as u32;
    let mut to = data + 4 + length;
    if to > end {
        w.flags |= flags::MALFORMED;
        to = end;
    }
    // Size of the route, reserved, port, link.
    if let Some(route) = b.be32(to + (length & 1))
        && route >> 24 != 0
        && route & 0xFF00 < 0x0F00
    {
        w.mem[mem::UNIT] = route & 0xFFFF;
    }
    w.depth += 1;
    w.inner(Cip::NUMBER, data + 4, to)
}

/// Reads a path into the walk's memory, false when the segment ends inside it. Into memory, so that the verifier need
/// not follow each sequence of segments to the end.
#[inline(always)]
fn path<B: Bytes>(b: B, w: &mut Walk, from: u32, to: u32) -> bool {
    w.mem[mem::OBJECT] = 0;
    w.mem[mem::TABLE] = 0;
    let mut at = from;
    for _ in 0..SEGMENTS {
        if at >= to {
            return true;
        }
        let Some(head) = b.be16(at) else { return false };
        let shape = SHAPES[(head >> 8) as usize];
        let fixed = (shape & 0xF) as u32;
        if fixed == 0 {
            return true;
        }
        let behind = b.forget(at + length(shape, (head & 0xFF) as u32));
        if shape & NAMES == NAMES_TAG {
            w.mem[mem::TABLE] = SYMBOLIC | TAG_TABLE as u32;
        } else if shape & NAMES != 0 {
            let wide = if fixed == 2 { Some(head & 0xFF) } else { b.le16(at + 2) };
            let Some(value) = wide else { return false };
            let value = value as u32;
            if shape & NAMES == NAMES_INSTANCE {
                w.mem[mem::OBJECT] = w.mem[mem::OBJECT] & 0xFFFF_0000 | value;
            } else {
                w.mem[mem::OBJECT] = value << 16;
                // A class without services of its own leaves the meaning to the one in front of it.
                let table = if value > 0xFF { 0 } else { CLASSES[b.index::<0xFF>(value)] };
                if table != 0 {
                    w.mem[mem::TABLE] = w.mem[mem::TABLE] & SYMBOLIC | table as u32;
                }
            }
        }
        at = behind;
    }
    if at < to {
        w.flags |= flags::WALK_LIMIT;
    }
    true
}

/// Octets of a segment with this second octet. In arithmetic and not in branches: the verifier would follow each.
#[inline(always)]
fn length(shape: u8, second: u32) -> u32 {
    let shape = shape as u32;
    (shape & 0xF) + (shape >> 6 & 1) * (second + (second & 1)) + (shape >> 7) * 2 * second
}

/// [`SAFETY`] when the path whose size is at `at` has a safety segment.
#[inline(always)]
fn safety<B: Bytes>(b: B, at: u32, end: u32) -> u32 {
    let Some(words) = b.u8(at) else { return 0 };
    let mut at = at + 1;
    let to = at + 2 * words as u32;
    if to > end {
        return 0;
    }
    for _ in 0..CONNECTION_SEGMENTS {
        if at >= to {
            break;
        }
        let Some(head) = b.be16(at) else { break };
        let shape = SHAPES[(head >> 8) as usize];
        let (first, second) = (head as u32 >> 8, head as u32 & 0xFF);
        if first == SAFETY_SEGMENT {
            return SAFETY;
        }
        if shape & 0xF == 0 {
            break;
        }
        at = b.forget(at + length(shape, second));
    }
    0
}

/// Goes on with the first of the services that are packed at `base`.
#[inline(always)]
fn services<B: Bytes>(b: B, w: &mut Walk, base: u32, end: u32) -> Step {
    if base + 2 > end {
        return next(b, w);
    }
    let Some(count) = b.le16(base) else { return Step::PARTIAL };
    let count = count as u32;
    if count > SERVICES {
        return Step::MALFORMED;
    }
    w.mem[mem::BASE] = base;
    w.mem[mem::WALKED] = count << 16;
    w.mem[mem::END] = end;
    next(b, w)
}

/// Goes on with the next of the packed services, or ends the PDU.
#[inline(always)]
fn next<B: Bytes>(b: B, w: &mut Walk) -> Step {
    let walked = w.mem[mem::WALKED];
    let (count, index) = (walked >> 16, walked & 0xFFFF);
    if index >= count {
        return Step::DONE;
    }
    let Some(offset) = b.le16(w.mem[mem::BASE] + 2 + 2 * index) else { return Step::PARTIAL };
    let offset = offset as u32;
    let at = w.mem[mem::BASE] + offset;
    // Into the offsets themselves, or behind the packet.
    if offset < 2 + 2 * count || at >= w.mem[mem::END] {
        return Step::MALFORMED;
    }
    w.mem[mem::WALKED] = walked + 1;
    w.inner(Cip::NUMBER, at, w.mem[mem::END])
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::String;
    use std::vec;
    use std::vec::Vec;

    use super::*;
    use crate::op::Class;
    use crate::proto::Proto;
    use crate::reason::Outcome;
    use crate::testing::{Seen, cuts, hex, tcp};

    const ROUTED_WRITE: &str = "6f003000466c255b00000000300000000000000000000000000000000800020000000000b2002000520220062401059d12004d0591055343414441002801c3000100630001000100";
    const PACKED_WRITES: &str = "700046008c04e3bb000000006c6f766500000000000000000000000000000200a10004003ea6f925b100320006000a02200224010200060018004d0591055343414441002803c300010001004d0591055343414441002804c30001000200";
    const PACKED_REPLIES: &str = "700030008c04e3bb00000000746f000000000000000000000000000000000200a10004003ea6f925b1001c0005008a000000020006000e00cc000000c3002a00cc000000c3000000";
    const PCCC_READ: &str = "70003a0009a6183f000000000000000000000000000000000000000001000200a1000400ac6fa509b1002600d5e24b0220672401074d00e0312b3d0f0062c5a3ff944fffd64fffd84fff884fffbe4fffc04f";

    /// SendRRData with this CIP message.
    fn send(message: &[u8]) -> Seen {
        let mut p = hex("6f000000c551c61800000000000000000000000000000000000000000000020000000000b2000000");
        p[2..4].copy_from_slice(&(message.len() as u16 + 16).to_le_bytes());
        p[38..40].copy_from_slice(&(message.len() as u16).to_le_bytes());
        p.extend(message);
        tcp(40000, 44818, &p)
    }

    fn lines(message: &str) -> Vec<String> {
        send(&hex(message)).lines().split_off(1)
    }

    /// Multiple_Service_Packet of these messages.
    fn pack(messages: &[Vec<u8>]) -> Vec<u8> {
        let mut p = hex("0a0220022401");
        p.extend((messages.len() as u16).to_le_bytes());
        let mut offset = 2 + 2 * messages.len();
        for m in messages {
            p.extend((offset as u16).to_le_bytes());
            offset += m.len();
        }
        p.extend(messages.concat());
        p
    }

    /// Unconnected_Send of this message to slot 3.
    fn route(message: &[u8]) -> Vec<u8> {
        let mut p = hex("520220062401059d");
        p.extend((message.len() as u16).to_le_bytes());
        p.extend(message);
        p.resize(p.len() + message.len() % 2, 0);
        p.extend([1, 0, 1, 3]);
        p
    }

    #[test]
    fn the_class_gives_a_service_its_meaning() {
        assert_eq!(lines("4d0220a12401"), ["cip:0x4d program-download! request"]);
        assert_eq!(lines("4d0491055343414441 00c300010001 00"), ["cip:0x4d write! request"]);
        assert_eq!(lines("4d03206b250001000000"), ["cip:0x4d write! request"]);
        assert_eq!(lines("4e0220062401"), ["cip:0x4e session request"]);
        assert_eq!(lines("4e0220f32401"), ["cip:0x4e control! request"]);
        assert_eq!(lines("540220062401"), ["cip:0x54 session request"]);
        assert_eq!(lines("0702208e2401"), ["cip:0x07 control! request"]);
        assert_eq!(lines("0e0320f524013003"), ["cip:0x0e read request"]);
        assert_eq!(lines("100320f5240130030000"), ["cip:0x10 config! request"]);
        // No table says what 4D of this class is.
        assert_eq!(lines("4d0220772401"), ["cip:0x4d unknown! request"]);
        // The lock service: class 74 has no services of its own behind the controller.
        assert_eq!(lines("4b04208e240120742401"), ["cip:0x4b config! request"]);
    }

    #[test]
    fn paths_give_function_and_address() {
        let op = |message: &str| send(&hex(message)).ops[1];
        assert_eq!((op("0e0320f524013003").function, op("0e0320f524013003").addr), (0xF50E, 0x00F5_0001));
        assert_eq!(op("0e04 2100 0003 2500 0102 ").addr, 0x0300_0201);
        assert_eq!(op("4d0491055343414441 00").function, 0x0100_004D);
        // Key, port with a long address, then the object.
        let long = "0e 0c 340400000000000000 00 1204 31323334 2064 2402";
        assert_eq!(op(&long.replacen("0c", "0a", 1)).addr, 0x0064_0002);
        let many = send(&hex("4d0a 2801 2801 2801 2801 2801 2801 2801 2801 20a1 2401"));
        assert_eq!(many.flags, flags::WALK_LIMIT);
    }

    #[test]
    fn replies_are_named_by_their_service() {
        assert_eq!(lines("cd000000"), ["cip:0x4d write response"]);
        assert_eq!(lines("ce000000"), ["cip:0x4e response response"]);
        assert_eq!(lines("d40001010001"), ["cip:0x54 session response"]);
        assert_eq!(lines("87000800"), ["cip:0x07 control response"]);
        assert_eq!(lines("cb01000000"), [""; 0]);
    }

    #[test]
    fn carriers_and_what_they_carry() {
        let s = tcp(40000, 44818, &hex(ROUTED_WRITE));
        assert_eq!(s.lines(), ["enip:0x006f session request", "cip:0x52 session request", "cip:0x4d write! request"]);
        assert_eq!((s.ops[1].unit, s.ops[2].unit), (0, 0x100));
        assert_eq!(
            tcp(40000, 44818, &hex(PACKED_WRITES)).lines(),
            [
                "enip:0x0070 session request",
                "cip:0x0a session request",
                "cip:0x4d write! request",
                "cip:0x4d write! request"
            ]
        );
        let s = tcp(44818, 40000, &hex(PACKED_REPLIES));
        assert_eq!(s.paths(), ["enip:0x0070", "cip:0x0a", "cip:0x4c", "cip:0x4c"]);
        assert_eq!(s.lines()[3], "cip:0x4c read response");
        let s = send(&route(&pack(&[hex("0702208e2401"), hex("010220012401")])));
        assert_eq!(s.paths(), ["enip:0x006f", "cip:0x52", "cip:0x0a", "cip:0x07", "cip:0x01"]);
        assert_eq!((s.flags, s.class(), s.ops[4].unit), (0, Class::Control, 0x103));
    }

    #[test]
    fn as_many_services_as_the_walk_remembers() {
        let s = |n: usize| send(&pack(&vec![hex("010220012401"); n]));
        assert_eq!((s(62).ops.len(), s(62).flags), (64, 0));
        assert_eq!((s(63).ops.len(), s(63).flags), (64, flags::WALK_LIMIT));
    }

    #[test]
    fn what_is_nested_too_deep_can_be_anything() {
        let mut message = hex("010220012401");
        for depth in 1..5 {
            message = route(&message);
            let s = send(&message);
            assert_eq!(s.class() == Class::Unknown, depth == 4, "{:?}", s.lines());
        }
        let s = send(&pack(&[pack(&[hex("0702208e2401")])]));
        assert_eq!((s.lines()[2].as_str(), s.flags), ("cip:0x0a unknown! request", flags::WALK_LIMIT));
    }

    #[test]
    fn offsets_that_lead_nowhere_are_malformed() {
        for offset in [0, 3, 200] {
            let mut p = pack(&[hex("0702208e2401")]);
            p[8] = offset;
            let s = send(&p);
            assert_eq!((s.outcome, s.paths().len()), (Outcome::Malformed, 2), "{offset}");
        }
    }

    #[test]
    fn pccc_gives_its_carrier_the_class() {
        let s = tcp(40000, 44818, &hex(PCCC_READ));
        assert_eq!(s.lines(), ["enip:0x0070 session request", "cip:0x4b read request"]);
        assert_eq!(lines("4b0220672401 074d00e0312b3d 0f 00 0100 80 06"), ["cip:0x4b control! request"]);
        assert_eq!(lines("4b0220672401 074d00e0312b3d 06 00 0100 03"), ["cip:0x4b diagnostic request"]);
        assert_eq!(lines("4b0220672401 074d00e0312b3d 08 00 0100"), ["cip:0x4b write! request"]);
        assert_eq!(lines("4b0220672401 074d00e0312b3d 0f 00 0100 ff"), ["cip:0x4b unknown! request"]);
        assert_eq!(lines("cb000000 074d00e0312b3d 4f 00 0100"), ["cip:0x4b response response"]);
    }

    #[test]
    fn safety_connections_are_told_by_the_path_they_open() {
        let open = |service: &str, parameters: &str, path: &str| {
            let words = std::format!("{:02x}", hex(path).len() / 2);
            let head = [service, "0220062401 0a0e 00000000 01000000 0100 0100 01000000 00 000000 10270000"].concat();
            let s = send(&hex(&[&head, parameters, "10270000", parameters, "01", &words, path].concat()));
            assert_eq!(s.lines()[1].split_once(' ').map(|l| l.1), Some("session request"));
            s.ops[1].function
        };
        let safe = "34040000000000000000 2004 2401 2c64 2c65 5003 010000000000";
        assert_eq!(open("54", "0043", safe), SAFETY | 0x0654);
        assert_eq!(open("5b", "00430000", safe), SAFETY | 0x065B);
        assert_eq!(open("54", "0043", &safe[..36]), 0x0654);
        // In the data of a simple segment it is none.
        assert_eq!(open("54", "0043", "2004 2401 8001 5000"), 0x0654);
    }

    #[test]
    fn every_operation_has_its_row() {
        let mut rows = Vec::new();
        Proto::Cip.rows(&mut |r| rows.push(r));
        for message in ["4d0220a12401", "0402206b2401", "4e02206c2401", "4b0220672401 074d00e0312b3d 07 00 0100 01"] {
            let s = send(&hex(message));
            let row = rows.iter().find(|r| r.function == s.ops[1].function);
            assert_eq!(row.map(|r| (r.class, r.state_changing)), Some((s.ops[1].class(), true)), "{message}");
        }
        let twice = rows.iter().enumerate().find(|(i, a)| rows[..*i].iter().any(|b| a.function == b.function));
        // The trend object's read is also that of a tag.
        assert!(twice.is_none_or(|(_, r)| r.function == 0x724C), "{twice:?}");
    }

    #[test]
    fn no_cut_changes_the_meaning() {
        for p in [ROUTED_WRITE, PACKED_WRITES, PACKED_REPLIES, PCCC_READ] {
            cuts(&hex(p), &[], &|p| tcp(40000, 44818, p));
            cuts(&hex(p), &[], &|p| tcp(40000, 4102, p));
        }
    }
}
