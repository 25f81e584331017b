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
//! see [`pccc`]. Unit: port << 8 | link of the first hop that an Unconnected_Send asks for. Address: class << 16 |
//! instance. Not parsed: tag names, data, additional status, connection parameters of Forward_Open.

use core::fmt;

use self::services::{CLASSES, KINDS, REPLY_KINDS, TAG_TABLE};
use super::{Binding, Number, Protocol, Row, op, pccc};
use crate::bytes::Bytes;
use crate::flags;
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
    w.push(op::<Cip>(service, REPLY_KINDS[service as usize & 0x7F], Dir::Response, w.mem[mem::UNIT]));
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
    } else if service == EXECUTE_PCCC
        && class == PCCC
        && let Some((command, its)) = pccc::command(b, data)
    {
        function = with_pccc(command);
        kind = its;
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
        let second = (head & 0xFF) as u32;
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
                let table = if value > 0xFF { 0 } else { CLASSES[value as usize & 0xFF] };
                if table != 0 {
                    w.mem[mem::TABLE] = w.mem[mem::TABLE] & SYMBOLIC | table as u32;
                }
            }
        }
        at += fixed;
        if shape & ADDS_OCTETS != 0 {
            at += second + (second & 1);
        } else if shape & ADDS_WORDS != 0 {
            at += 2 * second;
        }
    }
    if at < to {
        w.flags |= flags::WALK_LIMIT;
    }
    true
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
