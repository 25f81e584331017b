//! S7comm-plus: the protocol of Siemens S7-1200 and S7-1500 controllers, inside COTP data.
//!
//! Source: no public specification; layout and codes as the open S7CommPlusDriver names them, checked on public captures.
//! Big endian, offsets from the first octet of the COTP user data.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 1 | protocol id, 0x72 |
//! | 1 | 1 | version: 1 connect, 2 data, 3 data with integrity, 0xFE system event, 0xFF keep-alive |
//! | 2 | 2 | length L of the data |
//! | 4 | L | data; of version 3 behind a digest: its length 1 (32), digest |
//! | 4 + L | 4 | trailer 72 version 00 00, only behind the last fragment; versions 0xFE and 0xFF have none |
//!
//! Data: opcode 1 (0x31 request, 0x32 response, 0x33 notification), reserved 2, function 2, reserved 2, sequence 2,
//! session 4, flags 1; requests that set or read one variable: object id 4. A notification has the low half of its
//! subscription's object id where requests have the function.
//!
//! Since firmware 2.9 (S7-1500) the data becomes TLS records after InitSsl: only their type is seen.
//!
//! Function encoding: version << 24, opcode << 16, function; opcode 0: a fragment behind the first one, or a version
//! without functions. TLS: bit 31 of version 0x80, content type. Address: object id. Setting a variable of object 52, the
//! CPU's execution unit, is starting and stopping. Not parsed: attributes and values, which fragment a fragment belongs to.

use core::fmt;

use super::cotp::{LAST, STRICT, forget_empty, unclaimed, unread};
use super::{Binding, Protocol, Row, op};
use crate::bytes::Bytes;
use crate::flags;
use crate::op::{Class, Dir, Kind};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct S7commPlus;

/// First octet of an S7comm-plus PDU.
pub const MAGIC: u8 = 0x72;
/// Octets in front of the data.
const HEAD: u32 = 4;
/// Octets of the trailer.
const TRAILER: u32 = 4;
/// Data that begins with a digest.
const WITH_DIGEST: u32 = 3;
/// Opcode in front of the object id of a request for one variable.
const OBJECT_AT: u32 = 14;
const SET_VARIABLE: u32 = 0x04F2;
const GET_VARIABLE: u32 = 0x04FC;
/// Object id of the CPU's execution unit.
const EXECUTION_UNIT: u32 = 52;
const REQUEST: u32 = 0x31;
const NOTIFICATION: u32 = 0x33;
/// In the function: a TLS record.
const TLS: u32 = 0x8000_0000;
/// Longest TLS record (RFC 5246 cl. 6.2.3).
const TLS_MAX: u32 = 0x4800;

functions! {
    FUNCTIONS[2048], function_rows, base 0x0231_0000;
    0x04B1 "Error" Response;
    0x04BB "Explore" Discovery;
    0x04CA "CreateObject" Config!;
    0x04D4 "DeleteObject" Config!;
    0x04F2 "SetVariable" Write!;
    0x04FC "GetVariable" Read;
    0x0506 "AddLink" Config!;
    0x051A "RemoveLink" Config!;
    0x0524 "GetLink" Read;
    0x0542 "SetMultiVariables" Write!;
    0x054C "GetMultiVariables" Read;
    0x0556 "BeginSequence" Config!;
    0x0560 "EndSequence" Config!;
    0x056B "Invoke" Control!;
    0x057C "SetVarSubStreamed" Write!;
    0x0586 "GetVarSubStreamed" Read;
    0x0590 "GetVariablesAddress" Read;
    0x059A "Abort" Session;
    0x05A9 "Error2" Response;
    0x05B3 "InitSsl" Session;
}

functions! {
    OPCODES, opcode_rows, base 0;
    0x02 "Response2" Response;
    0x31 "Request" Session;
    0x32 "Response" Response;
    0x33 "Notification" Alarm;
}

functions! {
    /// Versions, for PDUs without a function.
    VERSIONS, version_rows, base 0;
    0x01 "Fragment (connect)" Unknown!;
    0x02 "Fragment (data)" Unknown!;
    0x03 "Fragment (data with integrity)" Unknown!;
    0xFE "System event" Session;
    0xFF "Keep-alive" Session;
}

functions! {
    /// TLS content types (RFC 5246 cl. 6.2.1).
    RECORDS, record_rows, base TLS;
    20 "TLS change cipher spec" Encrypted;
    21 "TLS alert" Encrypted;
    22 "TLS handshake" Encrypted;
    23 "TLS application data" Encrypted!;
}

/// Which versions exist, and which of them carry functions.
static KNOWN: [u8; 256] = {
    let mut t = [0; 256];
    t[1] = WITH_FUNCTION;
    t[2] = WITH_FUNCTION;
    t[3] = WITH_FUNCTION;
    t[0xFE] = WITHOUT_FUNCTION;
    t[0xFF] = WITHOUT_FUNCTION;
    t
};
const WITH_FUNCTION: u8 = 1;
const WITHOUT_FUNCTION: u8 = 2;

/// Direction by opcode; unknown opcodes have none.
static DIRECTIONS: [Dir; 256] = {
    let mut t = [Dir::Unknown; 256];
    t[0x02] = Dir::Response;
    t[0x31] = Dir::Request;
    t[0x32] = Dir::Response;
    t[0x33] = Dir::Publish;
    t
};

impl Protocol for S7commPlus {
    const NAME: &'static str = "s7comm-plus";
    const TITLE: &'static str = "Siemens S7comm-plus";
    const BINDING: Binding = Binding { tcp: &[], udp: &[], ethertypes: &[] };

    /// Called by the COTP parser with its marks in the first memory word.
    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let marks = w.mem[0];
        let Some(head) = b.be32(off) else { return unread(w) };
        if head >> 24 != MAGIC as u32 {
            return tls(b, w, head, marks);
        }
        let version = (head >> 16) & 0xFF;
        let length = head & 0xFFFF;
        let known = KNOWN[b.index::<0xFF>(version)];
        let room = w.inner_end.wrapping_sub(off);
        let fragment = room == HEAD + length;
        let exact = fragment || room == HEAD + length + TRAILER || marks == 0;
        if known == 0 || (marks & STRICT != 0 && !exact) {
            return unclaimed(w);
        }
        if marks & LAST == 0 || (fragment && known == WITH_FUNCTION) {
            w.flags |= flags::TRANSPORT_FRAGMENT;
        }
        let mut function = version << 24;
        let mut kind = VERSIONS[b.index::<0xFF>(version)];
        let mut dir = w.port_dir();
        let mut object = 0;
        if known == WITH_FUNCTION {
            let mut at = off + HEAD;
            if version == WITH_DIGEST {
                let Some(digest) = b.u8(at) else { return Step::PARTIAL };
                at += 1 + digest as u32;
            }
            // Opcode 1, reserved 2, function 2, reserved 2; one octet more for one load.
            let Some(data) = b.be64(at) else { return Step::PARTIAL };
            let opcode = (data >> 56) as u32;
            let named = DIRECTIONS[b.index::<0xFF>(opcode)];
            if !matches!(named, Dir::Unknown) && at + 8 <= w.inner_end {
                let code = (data >> 24) as u32 & 0xFFFF;
                function |= opcode << 16 | code;
                dir = named;
                let listed = FUNCTIONS[b.index::<0x7FF>(code)];
                kind = if code >> 11 == 0 { listed } else { Kind::UNLISTED.0 };
                if opcode == NOTIFICATION {
                    kind = OPCODES[NOTIFICATION as usize];
                } else if opcode == REQUEST && (code == SET_VARIABLE || code == GET_VARIABLE) {
                    object = b.be32(at + OBJECT_AT).unwrap_or(0);
                    if code == SET_VARIABLE && object == EXECUTION_UNIT {
                        kind = Kind::new(Class::Control, true).0;
                    }
                }
            }
        }
        let mut found = op::<S7commPlus>(function, kind, dir, 0);
        found.addr = object;
        found.span = (object != 0) as u32;
        forget_empty(w);
        w.push(found);
        if exact { Step::DONE } else { Step::MALFORMED }
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        if function & 0xFFFF_FF00 == TLS {
            return write!(out, "tls/{}", function & 0xFF);
        }
        write!(out, "v{:02x}", function >> 24)?;
        match (function >> 16) & 0xFF {
            0 => Ok(()),
            opcode => write!(out, "/{opcode:02x}/{:#06x}", function & 0xFFFF),
        }
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        function_rows(each);
        opcode_rows(&mut |r| each(Row { function: 2 << 24 | r.function << 16, ..r }));
        version_rows(&mut |r| each(Row { function: r.function << 24, ..r }));
        record_rows(each);
    }
}

/// A TLS record: content type 1, version 2, length 2.
#[inline(always)]
fn tls<B: Bytes>(b: B, w: &mut Walk, head: u32, marks: u32) -> Step {
    let Some(length) = b.be16(w.off + 3) else { return unread(w) };
    if (head >> 16) & 0xFF != 3 || (head >> 8) & 0xFF > 4 || length as u32 > TLS_MAX || marks & STRICT != 0 {
        return unclaimed(w);
    }
    let record = head >> 24;
    w.flags |= flags::ENCRYPTED;
    w.push(op::<S7commPlus>(TLS | record, RECORDS[b.index::<0xFF>(record)], w.port_dir(), 0));
    Step::DONE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::Outcome;
    use crate::testing::{cuts, hex, tcp};

    /// Version 2, data in hexadecimal, in TPKT and COTP.
    fn packet(version: u8, data: &str, trailer: bool) -> std::vec::Vec<u8> {
        let data = hex(data);
        let mut p = hex("0300000002f080");
        p.extend([MAGIC, version, 0, data.len() as u8]);
        p.extend(data);
        if trailer {
            p.extend([MAGIC, version, 0, 0]);
        }
        p[3] = p.len() as u8;
        p
    }

    extern crate std;

    const SET: &str = "31000004f20000001100000399340000003401907700080000000000";

    #[test]
    fn functions_of_each_version() {
        let s = tcp(40000, 102, &packet(2, "31000004bb00000002000003993400000000", true));
        assert_eq!((s.lines(), s.flags), (["s7comm-plus:v02/31/0x04bb discovery request".into()].into(), 0));
        let s = tcp(40000, 102, &packet(1, "31000004ca00000002000001203600000000", true));
        assert_eq!(s.lines(), ["s7comm-plus:v01/31/0x04ca config! request"]);
        let digest = ["20", &"ab".repeat(32), "32000004f20000001100000399340000"].concat();
        let s = tcp(102, 40000, &packet(3, &digest, true));
        assert_eq!(s.lines(), ["s7comm-plus:v03/32/0x04f2 write response"]);
        let s = tcp(102, 40000, &packet(2, "33000007e600000000000002140000000000", true));
        assert_eq!(s.lines(), ["s7comm-plus:v02/33/0x07e6 alarm publish"]);
        let s = tcp(102, 40000, &packet(0xFE, "00000000000000380000000000000000", false));
        assert_eq!(s.lines(), ["s7comm-plus:vfe session response"]);
    }

    #[test]
    fn setting_the_execution_unit_is_control() {
        let s = tcp(40000, 102, &packet(2, SET, true));
        assert_eq!(s.lines(), ["s7comm-plus:v02/31/0x04f2 control! request"]);
        assert_eq!(s.ops[0].addr, EXECUTION_UNIT);
        let s = tcp(40000, 102, &packet(2, &SET.replace("00000034", "8a0e0001"), true));
        assert_eq!(s.lines(), ["s7comm-plus:v02/31/0x04f2 write! request"]);
    }

    #[test]
    fn fragments_and_unknown_codes_count_as_changes() {
        let s = tcp(40000, 102, &packet(2, SET, false));
        assert_eq!((s.paths(), s.flags), (["s7comm-plus:v02/31/0x04f2".into()].into(), flags::TRANSPORT_FRAGMENT));
        let s = tcp(40000, 102, &packet(2, "04c0a8000200a39f05000301f6a2a110", true));
        assert_eq!(s.lines(), ["s7comm-plus:v02 unknown! request"]);
        let s = tcp(40000, 102, &packet(2, "3100000fff00000002000003993400000000", true));
        assert_eq!(s.lines(), ["s7comm-plus:v02/31/0x0fff unknown! request"]);
    }

    #[test]
    fn tls_records_are_encrypted() {
        let s = tcp(40000, 102, &hex("0300001102f0801703030005aabbccddee"));
        assert_eq!((s.lines(), s.flags), (["s7comm-plus:tls/23 encrypted! request".into()].into(), flags::ENCRYPTED));
        let s = tcp(40000, 102, &hex("0300001102f0801705030005aabbccddee"));
        assert_eq!(s.lines(), ["cotp:0xf0 session request"]);
    }

    #[test]
    fn found_off_its_port_by_the_whole_signature() {
        let s = tcp(40000, 4102, &packet(2, SET, true));
        assert_eq!((s.paths(), s.flags), (["s7comm-plus:v02/31/0x04f2".into()].into(), flags::PORT_MISMATCH));
        for (at, value) in [(7, 0x73), (8, 4), (10, 1)] {
            let mut near = packet(2, SET, true);
            near[at] = value;
            assert_eq!(tcp(40000, 4102, &near).outcome, Outcome::NotOt, "octet {at}");
        }
    }

    #[test]
    fn no_cut_changes_the_meaning() {
        let p = packet(2, SET, true);
        cuts(&p, &[], &|p| tcp(40000, 102, p));
        cuts(&p, &[], &|p| tcp(40000, 4102, p));
        cuts(&hex("0300001102f0801703030005aabbccddee"), &[], &|p| tcp(40000, 102, p));
    }
}
