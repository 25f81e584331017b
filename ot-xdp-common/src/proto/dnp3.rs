//! DNP3 over TCP and UDP: link layer, transport function and application function.
//!
//! Source: IEEE 1815-2012, cl. 9 (link layer: frame, control octet, CRC), 8 (transport function), 4 (application layer),
//! Annex A (objects), 13 (IP networking). Default port 20000. Little endian.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 2 | start 05 64 |
//! | 2 | 1 | length N of control, addresses and user data, without CRCs; 5 to 255 |
//! | 3 | 1 | control: 80 DIR (from the master), 40 PRM (primary), 0F link function |
//! | 4 | 2 | destination |
//! | 6 | 2 | source |
//! | 8 | 2 | CRC of octets 0 to 7 |
//! | 10 | 1 | transport: 80 FIN, 40 FIR, 3F sequence |
//! | 11 | 1 | application control |
//! | 12 | 1 | application function |
//! | 13 | 3 | requests: group, variation and qualifier of the first object |
//! | 16 | | its range, or count and first index |
//!
//! User data goes in blocks of 16 octets, each with a CRC behind it. One link frame is one PDU.
//!
//! Function encoding: function | group of the first object << 8 when the object decides what a Read or Write is | layer
//! << 24. Unit: address of the outstation, the side that is not the master. A link frame whose transport octet has no
//! FIR continues an application fragment: its function was in an earlier frame, so only the link function is told. Not
//! parsed: objects behind the first one, values, CRCs of the data blocks, secure authentication.

use core::fmt;

use super::{Binding, Protocol, Row, Sniff, op};
use crate::bytes::Bytes;
use crate::flags;
use crate::limits::STEPS;
use crate::op::{Dir, Kind, Op};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Dnp3;

const PORT: u16 = 20000;
const START: u16 = 0x0564;
/// Control, destination and source: the least that the length field counts.
const LENGTH_MIN: u32 = 5;
/// Octets in front of the user data.
const HEAD: u32 = 10;
/// Octets of user data in front of each CRC.
const BLOCK: u32 = 16;
const CRC: u32 = 2;
/// Transport octet, application control, function: the least user data with a function.
const WITH_FUNCTION: u32 = 3;
/// The same and the first object with its qualifier.
const WITH_OBJECT: u32 = 6;
/// The same and two octets of range.
const WITH_RANGE: u32 = 8;
const DIR: u8 = 0x80;
const PRM: u8 = 0x40;
const FIR: u32 = 0x40;

const PRIMARY: u32 = 1 << 24;
const SECONDARY: u32 = 2 << 24;

const READ: u32 = 1;
const WRITE: u32 = 2;

functions! {
    /// Application functions (cl. 4.2.2.6 and 4.4).
    FUNCTIONS, function_rows, base 0;
    0x00 "Confirm" Response;
    0x01 "Read" Read;
    0x02 "Write" Write!;
    0x03 "Select" Control!;
    0x04 "Operate" Control!;
    0x05 "Direct Operate" Control!;
    0x06 "Direct Operate No Ack" Control!;
    0x07 "Immediate Freeze" Control!;
    0x08 "Immediate Freeze No Ack" Control!;
    0x09 "Freeze and Clear" Control!;
    0x0A "Freeze and Clear No Ack" Control!;
    0x0B "Freeze At Time" Control!;
    0x0C "Freeze At Time No Ack" Control!;
    0x0D "Cold Restart" Control!;
    0x0E "Warm Restart" Control!;
    0x0F "Initialize Data" Control!;
    0x10 "Initialize Application" Control!;
    0x11 "Start Application" Control!;
    0x12 "Stop Application" Control!;
    0x13 "Save Configuration" Config!;
    0x14 "Enable Unsolicited" Config!;
    0x15 "Disable Unsolicited" Config!;
    0x16 "Assign Class" Config!;
    0x17 "Delay Measurement" Diagnostic;
    0x18 "Record Current Time" Config;
    0x19 "Open File" File!;
    0x1A "Close File" File;
    0x1B "Delete File" File!;
    0x1C "Get File Info" File;
    0x1D "Authenticate File" Auth;
    0x1E "Abort File" File!;
    0x1F "Activate Config" Config!;
    0x20 "Authentication Request" Auth;
    0x21 "Authentication Request No Ack" Auth;
    0x81 "Response" Response;
    0x82 "Unsolicited Response" Alarm;
    0x83 "Authentication Response" Auth;
}

functions! {
    /// Groups that decide what a Read is (Annex A).
    READS, read_rows, base 0;
    0 "Read device attributes" Discovery;
    60 "Read class data" Read;
    70 "Read file control" File;
}

functions! {
    /// Groups that decide what a Write is (Annex A).
    WRITES, write_rows, base 0;
    0 "Write device attributes" Config!;
    12 "Write binary output command (CROB, pattern control block, pattern mask)" Control!;
    34 "Write analog input deadband" Config!;
    41 "Write analog output block" Control!;
    50 "Write time and date" Config!;
    70 "Write file control or transport" File!;
    80 "Write internal indications" Config!;
    112 "Write virtual terminal output block" Write!;
}

functions! {
    /// Link functions of a primary station (cl. 9.2.4.1.3).
    LINK_PRIMARY, primary_rows, base PRIMARY;
    0x00 "Reset Link States" Session;
    0x01 "Reset User Process" Control!;
    0x02 "Test Link States" Session;
    0x03 "Confirmed User Data" Session;
    0x04 "Unconfirmed User Data" Session;
    0x09 "Request Link Status" Session;
}

functions! {
    /// Link functions of a secondary station (cl. 9.2.4.1.3).
    LINK_SECONDARY, secondary_rows, base SECONDARY;
    0x00 "ACK" Response;
    0x01 "NACK" Response;
    0x0B "Link Status" Response;
    0x0E "Link Service Not Functioning" Response;
    0x0F "Link Service Not Used" Response;
}

/// A link function that has user data.
const DATA: u8 = 1;
/// A link function that has none.
const BARE: u8 = 2;

/// Which link functions carry user data, by PRM and function; 0 for functions that do not exist.
static CARRIES: [u8; 256] = {
    let mut t = [0; 256];
    t[0x40] = BARE;
    t[0x41] = BARE;
    t[0x42] = BARE;
    t[0x43] = DATA;
    t[0x44] = DATA;
    t[0x49] = BARE;
    t[0x00] = BARE;
    t[0x01] = BARE;
    t[0x0B] = BARE;
    t[0x0E] = BARE;
    t[0x0F] = BARE;
    t
};

/// CRC of one octet: polynomial 0x3D65, reflected 0xA6BC (cl. 9.2.4.3 and Annex E).
static CRC_TABLE: [u16; 256] = {
    let mut t = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = i as u16;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 != 0 { crc >> 1 ^ 0xA6BC } else { crc >> 1 };
            bit += 1;
        }
        t[i] = crc;
        i += 1;
    }
    t
};

impl Protocol for Dnp3 {
    const NAME: &'static str = "dnp3";
    const TITLE: &'static str = "DNP3 (IEEE 1815) over TCP and UDP";
    const BINDING: Binding = Binding { tcp: &[PORT], udp: &[PORT], ethertypes: &[] };
    const SNIFF: &'static [Sniff] = &[Sniff { l4: 0, mask: 0xFFFF_0000, value: (START as u32) << 16 }];
    const TURNS: u32 = STEPS;

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        if w.mem[SOUGHT] != 0 {
            return seek(b, w);
        }
        let Some(crc) = b.le16(off + 8) else { return short(b, w) };
        let Some(head) = b.be64(off) else { return short(b, w) };
        let length = (head >> 40) as u32 & 0xFF;
        let control = (head >> 32) as u8;
        let carries = CARRIES[b.index::<0x4F>((head >> 32) as u32)];
        let intact = header_crc(b, head) == crc;
        if head >> 48 != START as u64 || w.strict() && (!intact || length < LENGTH_MIN || carries == 0) {
            return Step::REFUSE;
        }
        let master = control & DIR != 0;
        let unit = (if master { head >> 16 } else { head } as u16).swap_bytes() as u32;
        if length < LENGTH_MIN {
            link(w, control, Dir::Unknown, unit);
            return Step::MALFORMED;
        }
        let data = length - LENGTH_MIN;
        w.pdu_end = off + HEAD + data + CRC * data.div_ceil(BLOCK);
        let dir = if master { Dir::Request } else { Dir::Response };
        let done = if intact { Step::DONE } else { Step::MALFORMED };
        let read = frame(b, w, Header { control, carries, data, dir, unit });
        if read != Step::DONE {
            return read;
        }
        if master && data != 0 { covered(b, w, off + HEAD, done) } else { done }
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        let layer = match function & 0xFF00_0000 {
            PRIMARY => "ll_pri",
            SECONDARY => "ll_sec",
            _ => "al",
        };
        write!(out, "{layer}/{}", function & 0xFF)
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        function_rows(each);
        read_rows(&mut |r| each(Row { function: r.function << 8 | READ, ..r }));
        write_rows(&mut |r| each(Row { function: r.function << 8 | WRITE, ..r }));
        primary_rows(each);
        secondary_rows(each);
    }
}

/// What the header of a frame says.
struct Header {
    control: u8,
    /// See [`CARRIES`].
    carries: u8,
    /// Octets of user data.
    data: u32,
    dir: Dir,
    unit: u32,
}

/// Records the function of a frame.
#[inline(always)]
fn frame<B: Bytes>(b: B, w: &mut Walk, header: Header) -> Step {
    let Header { control, carries, data, dir, unit } = header;
    let (off, master) = (w.off, matches!(dir, Dir::Request));
    // A link function that exists and has no data, with data: the link layer answers it and drops the data.
    if data == 0 || carries == BARE {
        if (data == 0) != (carries == BARE) {
            w.flags |= flags::LENGTH_LIE;
        }
        link(w, control, if carries == DATA { dir } else { Dir::Unknown }, unit);
        return Step::DONE;
    }
    if carries == 0 {
        w.flags |= flags::LENGTH_LIE;
    }
    // Transport, application control, function, and one octet more.
    let Some(front) = b.be32(off + HEAD) else { return Step::PARTIAL };
    if front >> 24 & FIR == 0 || data < WITH_FUNCTION {
        w.flags |= flags::TRANSPORT_FRAGMENT;
        link(w, control, dir, unit);
        return Step::DONE;
    }
    let mut function = front >> 8 & 0xFF;
    let mut kind = FUNCTIONS[b.index::<0xFF>(front >> 8)];
    if !master || data < WITH_OBJECT {
        w.push(op::<Dnp3>(function, kind, dir, unit));
        return Step::DONE;
    }
    // Group, variation, qualifier, and the first octet of the range or the CRC.
    let Some(object) = b.be32(off + 13) else { return Step::PARTIAL };
    if function == READ || function == WRITE {
        let group = (object >> 24) as usize;
        let listed = if function == READ { READS[group] } else { WRITES[group] };
        if listed != Kind::UNLISTED.0 {
            kind = listed;
            function |= (group as u32) << 8;
        }
    }
    let mut found = op::<Dnp3>(function, kind, dir, unit);
    if data >= WITH_RANGE {
        range(b, off, QUALIFIERS[b.index::<0xFF>(object >> 8)], &mut found);
    }
    w.push(found);
    Step::DONE
}

/// Where [`seek`] goes on, in the memory between steps; 0 for a PDU that begins.
const SOUGHT: usize = 0;
/// The next octets that look like a start, 0 for none.
const FOUND: usize = 1;
/// The step that ends the frame when nothing is hidden.
const DONE: usize = 2;
/// Data of the longest frame in words of eight octets: 250 octets and 16 CRCs.
const WORDS: u32 = 36;

/// Ends a request, unless another frame may be hidden in it. An outstation finds the CRCs of the data wrong then, drops
/// the frame, and looks for the next start behind its header (cl. 9.2.4.3).
#[inline(always)]
fn covered<B: Bytes>(b: B, w: &mut Walk, from: u32, done: Step) -> Step {
    let end = if w.pdu_end < w.end { w.pdu_end } else { w.end };
    let mut at = from;
    let mut starts = 0;
    for _ in 0..WORDS {
        if at + HEAD > end {
            break;
        }
        let Some(word) = b.be64(at) else { break };
        // The high bit of each octet that is the first one of a start, and of some behind it.
        let x = word ^ (EACH * (START >> 8) as u64);
        starts |= x.wrapping_sub(EACH) & !x & (EACH << 7);
        at += 8;
    }
    if starts != 0 {
        w.mem[SOUGHT] = from;
        w.mem[DONE] = done.0;
        return Step::INNER;
    }
    whole(w, done)
}

/// 1 in each octet.
const EACH: u64 = 0x0101_0101_0101_0101;

/// A request is judged as a whole: its rest may hide a frame too.
#[inline(always)]
fn whole(w: &Walk, done: Step) -> Step {
    if w.pdu_end > w.end && done == Step::DONE { Step::PARTIAL } else { done }
}

/// Looks for a hidden frame from the remembered place on: both are named, and the walk goes on with the hidden one.
#[inline(always)]
fn seek<B: Bytes>(b: B, w: &mut Walk) -> Step {
    let end = if w.pdu_end < w.end { w.pdu_end } else { w.end };
    let from = w.mem[SOUGHT];
    w.mem[FOUND] = 0;
    for i in 0..8 * WORDS {
        // Opaque, so that the verifier knows the counter.
        let at = from + b.index::<0x1FF>(i) as u32;
        if at + HEAD > end {
            break;
        }
        let Some(start) = b.be16(at) else { break };
        if start == START {
            w.mem[FOUND] = at;
            break;
        }
    }
    let at = w.mem[FOUND];
    if at == 0 {
        return whole(w, Step(w.mem[DONE]));
    }
    let Some(head) = b.be64(at) else { return whole(w, Step(w.mem[DONE])) };
    let Some(crc) = b.le16(at + 8) else { return whole(w, Step(w.mem[DONE])) };
    if header_crc(b, head) == crc {
        w.flags |= flags::LENGTH_LIE;
        w.pdu_end = at;
        return Step::DONE;
    }
    w.mem[SOUGHT] = at + 1;
    Step::INNER
}

/// Fewer octets than a header has.
#[inline(always)]
fn short<B: Bytes>(b: B, w: &Walk) -> Step {
    let begins = match b.be16(w.off) {
        Some(start) => start == START,
        None => b.u8(w.off) == Some((START >> 8) as u8),
    };
    if begins && !w.strict() { Step::PARTIAL } else { Step::REFUSE }
}

/// CRC of the eight octets of a header.
#[inline(always)]
fn header_crc<B: Bytes>(b: B, head: u64) -> u16 {
    let mut crc = 0u16;
    for i in 0..8 {
        let octet = (head >> (56 - 8 * i)) as u32;
        let at = b.index::<0xFF>(crc as u32 ^ octet);
        crc = crc >> 8 ^ CRC_TABLE.get(at).copied().unwrap_or(0);
    }
    !crc
}

/// Records the link function. Without a direction of the data (`Unknown`) a primary asks and a secondary answers,
/// whichever of the two the master is.
#[inline(always)]
fn link(w: &mut Walk, control: u8, dir: Dir, unit: u32) {
    let code = control as usize & 0x0F;
    let (layer, kind, asks) = if control & PRM != 0 {
        (PRIMARY, LINK_PRIMARY[code], Dir::Request)
    } else {
        (SECONDARY, LINK_SECONDARY[code], Dir::Response)
    };
    let dir = if matches!(dir, Dir::Unknown) { asks } else { dir };
    w.push(op::<Dnp3>(layer | code as u32, kind, dir, unit));
}

/// No range, or one without addresses.
const RANGE_NONE: u8 = 0;
/// Start and stop of one octet.
const RANGE_8: u8 = 1;
/// Start and stop of two octets.
const RANGE_16: u8 = 2;
/// Count of one octet, then the first index of one octet.
const INDEX_8: u8 = 3;
/// Count of two octets, then the first index of two octets.
const INDEX_16: u8 = 4;

/// What stands behind the qualifier (cl. 4.2.2.7.3).
static QUALIFIERS: [u8; 256] = {
    let mut t = [RANGE_NONE; 256];
    t[0x00] = RANGE_8;
    t[0x01] = RANGE_16;
    t[0x17] = INDEX_8;
    t[0x28] = INDEX_16;
    t
};

/// The first point that a request touches and how many: which output an operate closes.
#[inline(always)]
fn range<B: Bytes>(b: B, off: u32, shape: u8, found: &mut Op) {
    let Some(field) = b.le32(off + 16) else { return };
    let (low, high) = (field & 0xFFFF, field >> 16);
    let (first, span) = if shape == RANGE_8 {
        (low & 0xFF, (low >> 8).wrapping_sub(low & 0xFF).wrapping_add(1))
    } else if shape == RANGE_16 {
        (low, high.wrapping_sub(low).wrapping_add(1))
    } else if shape == INDEX_8 {
        (low >> 8, low & 0xFF)
    } else if shape == INDEX_16 {
        (high, low)
    } else {
        (0, 0)
    };
    found.addr = first;
    // A range that ends before it starts touches nothing that is known.
    found.span = if span > 0x1_0000 { 0 } else { span };
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::reason::Outcome;
    use crate::testing::{Seen, cuts, hex, tcp, udp};

    const DISABLE: &str = "056411c401000200c35a c0c0153c02063c03063c04061a55";
    const OPERATE: &str = "05641ac4010002004f53 c4c3050c012801000000030164000000bc246400000000005b";
    const CONFIRM: &str = "056408c401000200390dc1d000a350";

    fn to(payload: &[u8]) -> Seen {
        tcp(43489, PORT, payload)
    }

    /// A frame with right CRCs around this user data.
    fn frame(control: u8, data: &[u8]) -> std::vec::Vec<u8> {
        let crc = |octets: &[u8]| {
            let step = |crc: u16, o: &u8| crc >> 8 ^ CRC_TABLE[usize::from(crc as u8 ^ o)];
            (!octets.iter().fold(0, step)).to_le_bytes()
        };
        let mut f = std::vec::Vec::from([5, 0x64, 5 + data.len() as u8, control, 1, 0, 2, 0]);
        f.extend(crc(&f));
        for block in data.chunks(16) {
            f.extend(block);
            f.extend(crc(block));
        }
        f
    }

    #[test]
    fn the_application_function_and_the_master_bit_are_told() {
        let s = to(&hex(DISABLE));
        assert_eq!((s.lines(), s.flags), (["dnp3:al/21 config! request".into()].into(), 0));
        assert_eq!(s.ops[0].unit, 1);
        let s = tcp(PORT, 43489, &hex("05640a440200010010f0c0f08282008e66"));
        assert_eq!((s.lines(), s.ops[0].unit), (["dnp3:al/130 alarm response".into()].into(), 1));
        // The master may be the one that accepted the connection.
        assert_eq!(tcp(PORT, 43489, &hex(DISABLE)).lines(), ["dnp3:al/21 config! request"]);
        assert_eq!(udp(PORT, PORT, &hex(CONFIRM)).lines(), ["dnp3:al/0 response request"]);
    }

    #[test]
    fn an_operate_names_its_point() {
        let s = to(&hex(OPERATE));
        assert_eq!(s.lines(), ["dnp3:al/5 control! request"]);
        assert_eq!((s.ops[0].addr, s.ops[0].span), (0, 1));
        let s = to(&frame(0xC4, &hex("c0c0050c0117010903016400000064000000 00")));
        assert_eq!((s.ops[0].addr, s.ops[0].span), (9, 1));
        let s = to(&frame(0xC4, &hex("c0c0011e01010500 0800")));
        assert_eq!((s.ops[0].addr, s.ops[0].span), (5, 4));
        let s = to(&frame(0xC4, &hex("c0c0011e01000803")));
        assert_eq!((s.ops[0].addr, s.ops[0].span), (8, 0));
    }

    #[test]
    fn a_write_is_what_its_object_is() {
        for (object, line) in [
            ("320107 01", "dnp3:al/2 config! request"),
            ("500100 0707", "dnp3:al/2 config! request"),
            ("220100 0000", "dnp3:al/2 config! request"),
            ("46025b 01", "dnp3:al/2 file! request"),
            ("700100 0000", "dnp3:al/2 write! request"),
            ("6e0100 0000", "dnp3:al/2 write! request"),
        ] {
            let s = to(&frame(0xC4, &[hex("c0c002"), hex(object)].concat()));
            assert_eq!(s.lines(), [line], "{object}");
        }
        assert_eq!(to(&frame(0xC4, &hex("c0c00100f006"))).lines(), ["dnp3:al/1 discovery request"]);
        assert_eq!(to(&frame(0xC4, &hex("c0c07000f006"))).lines(), ["dnp3:al/112 unknown! request"]);
    }

    #[test]
    fn link_services_have_no_application_function() {
        assert_eq!(to(&frame(0xC0, &[])).lines(), ["dnp3:ll_pri/0 session request"]);
        assert_eq!(to(&frame(0xC1, &[])).lines(), ["dnp3:ll_pri/1 control! request"]);
        assert_eq!(to(&frame(0x00, &[])).lines(), ["dnp3:ll_sec/0 response response"]);
        // The master acknowledges, the outstation asks for the link's status.
        assert_eq!(to(&frame(0x80, &[])).lines(), ["dnp3:ll_sec/0 response response"]);
        assert_eq!(to(&frame(0x49, &[])).lines(), ["dnp3:ll_pri/9 session request"]);
        let s = to(&frame(0xC0, &hex("c0c00d")));
        assert_eq!((s.paths(), s.flags), (["dnp3:ll_pri/0".into()].into(), flags::LENGTH_LIE));
        let s = to(&frame(0xCA, &hex("c0c00d")));
        assert_eq!((s.paths(), s.flags), (["dnp3:al/13".into()].into(), flags::LENGTH_LIE));
    }

    #[test]
    fn a_frame_in_the_data_of_another_is_named() {
        let hidden = frame(0xC4, &hex("c0c0050c0128010000000301640000006400000000"));
        let read = hex("c0c1013c0206");
        for behind in [&[][..], &[0x05; 30]] {
            let mut p = frame(0xC4, &[&read[..], &hidden, behind].concat());
            // Its data are no longer what the CRCs are of: the hidden frame lies in one piece.
            let at = 10 + read.len();
            p.splice(at..at + hidden.len() + 2, hidden.iter().copied().chain([0, 0]));
            let s = to(&p);
            assert_eq!(s.paths()[..2], ["dnp3:al/1", "dnp3:al/5"], "{s:?}");
            assert_ne!(s.flags & flags::LENGTH_LIE, 0);
            // Not from an outstation: what it sends controls nothing.
            assert_eq!(tcp(PORT, 43489, &frame(0x44, &[&hex("c0c0810000")[..], &hidden].concat())).paths().len(), 1);
        }
        // Looks like a start, and is none.
        let s = to(&frame(0xC4, &hex("c0c1020a0228010000000564056405640564056400")));
        assert_eq!((s.paths(), s.flags), (["dnp3:al/2".into()].into(), 0));
    }

    #[test]
    fn fragments_without_fir_have_no_function() {
        let s = tcp(PORT, 43489, &frame(0x44, &hex("81000001")));
        assert_eq!((s.lines(), s.flags), (["dnp3:ll_pri/4 session response".into()].into(), flags::TRANSPORT_FRAGMENT));
        // The first fragment tells it, without waiting for the others.
        assert_eq!(to(&frame(0xC4, &hex("40c0050c01"))).paths(), ["dnp3:al/5"]);
    }

    #[test]
    fn several_frames_share_a_segment() {
        let s = to(&[hex(OPERATE), hex(CONFIRM), hex(DISABLE)].concat());
        assert_eq!((s.paths().len(), s.flags, s.lead), (3, flags::PIPELINED, 0));
        let s = to(&[hex(CONFIRM), hex("c0c0013c01")].concat());
        assert_eq!((s.paths().len(), s.flags), (1, flags::TRAILING));
    }

    #[test]
    fn off_the_port_the_header_has_to_be_right() {
        let s = tcp(40100, 40101, &hex(OPERATE));
        assert_eq!((s.lines(), s.flags), (["dnp3:al/5 control! request".into()].into(), flags::PORT_MISMATCH));
        for at in 2..10 {
            let mut p = hex(OPERATE);
            p[at] ^= 1;
            assert_eq!(tcp(40100, 40101, &p).outcome, Outcome::NotOt, "octet {at}");
            assert_eq!(to(&p).outcome, Outcome::Malformed, "octet {at}");
        }
        let s = to(&hex("056404c40104010027b9c0c0013c02063c03063c04069e30"));
        assert_eq!((s.outcome, s.paths()), (Outcome::Malformed, ["dnp3:ll_pri/4".into()].into()));
        assert_eq!(to(b"HELO example.org\r\n").outcome, Outcome::Unparsed);
    }

    #[test]
    fn no_cut_changes_the_meaning() {
        cuts(&hex(OPERATE), &["dnp3:ll_pri/4"], &to);
        cuts(&[hex(CONFIRM), hex(DISABLE)].concat(), &[], &to);
    }
}
