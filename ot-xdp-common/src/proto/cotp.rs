//! TPKT and COTP: the ISO transport service on TCP, which carries S7comm, S7comm-plus and MMS.
//!
//! Source: RFC 1006 cl. 6 (TPKT); ITU-T X.224 cl. 13 (TPDUs), class 0. Default port 102. Big endian.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 1 | TPKT version, 3 |
//! | 1 | 1 | reserved, 0 |
//! | 2 | 2 | length of the whole packet, 7 or more |
//! | 4 | 1 | LI: octets of the TPDU header behind this one; 2 for data of class 0 |
//! | 5 | 1 | TPDU code; the low nibble is a credit and not looked at |
//! | 6 | 1 | data: bit 7 marks the last fragment (class 0; classes 2 to 4 have a reference in front of it) |
//! | 5 + LI | | data of the service user |
//!
//! Function encoding: the TPDU code. A data TPDU is an operation of its own only when it is empty or its user is not
//! known; otherwise the user's operation stands for it. Address of a connection request: the first two octets of the
//! called TSAP (S7: connection type, then rack and slot). Not parsed: reassembly of user data over several TPDUs.

use core::fmt;

use super::{Binding, Number, Protocol, Row, Sniff, mms, op, s7comm, s7comm_plus};
use crate::bytes::Bytes;
use crate::flags;
use crate::frame::TCP;
use crate::limits::STEPS;
use crate::op::{Dir, Kind};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Cotp;

const PORT: u16 = 102;
/// Octets in front of what LI counts.
const HEAD: u32 = 5;
const CONNECT: u32 = 0xE0;
const CONFIRM: u32 = 0xD0;
const DATA: u32 = 0xF0;
/// LI of a data TPDU of class 0.
const DATA_LI: u32 = 2;
/// Parameter code of the called TSAP in a connection request.
const CALLED_TSAP: u32 = 0xC2;
/// Parameters of a connection request that are looked at.
const PARAMETERS: u32 = 4;

/// What a parser of user data finds in the first memory word of the walk: this is the last (or only) fragment.
pub const LAST: u32 = 1;
/// The same: the packet needs every check of the user's protocol, because the port or the TPKT header does not speak for
/// it.
pub const STRICT: u32 = 2;

functions! {
    TPDUS, tpdu_rows, base 0;
    0x10 "ED Expedited Data" Session;
    0x20 "EA Expedited Ack" Session;
    0x50 "RJ Reject" Session;
    0x60 "AK Data Acknowledge" Session;
    0x70 "ER TPDU Error" Session;
    0x80 "DR Disconnect Request" Session;
    0xC0 "DC Disconnect Confirm" Session;
    0xD0 "CC Connection Confirm" Session;
    0xE0 "CR Connection Request" Session;
    0xF0 "DT Data" Session;
}

impl Protocol for Cotp {
    const NAME: &'static str = "cotp";
    const TITLE: &'static str = "ISO transport on TCP (TPKT, COTP)";
    const BINDING: Binding = Binding { tcp: &[PORT], udp: &[], ethertypes: &[] };
    const SNIFF: &'static [Sniff] = &[Sniff { l4: TCP, mask: 0xFFFF_0000, value: 0x0300_0000 }];
    const TURNS: u32 = STEPS;

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let Some(tpkt) = b.be32(off) else { return few(b, w) };
        let length = tpkt & 0xFFFF;
        if tpkt >> 24 != 3 || length < HEAD + DATA_LI {
            return Step::REFUSE;
        }
        // Some stacks break the reserved octet; then the content has to speak for itself, as it does off the port.
        let strict = (w.strict() && w.pdus == 0) || tpkt >> 16 != 0x0300;
        // The last octet of the length, LI, code, and the octet behind it.
        let Some(head) = b.be32(off + 3) else { return unread(w) };
        let li = (head >> 16) & 0xFF;
        let code = (head >> 8) & 0xF0;
        let kind = TPDUS[b.index::<0xFF>(code)];
        if kind == Kind::UNLISTED.0 || (strict && (code != DATA || li != DATA_LI)) {
            return Step::REFUSE;
        }
        let (data, end) = (off + HEAD + li, off + length);
        if data > end || li < DATA_LI {
            let dir = w.port_dir();
            w.push(op::<Cotp>(code, kind, dir, 0));
            return Step::MALFORMED;
        }
        w.pdu_end = end;
        if code != DATA {
            return control(b, w, code, kind, data);
        }
        let mark = if li == DATA_LI { Some(head as u8) } else { b.u8(off + HEAD - 1 + li) };
        let Some(mark) = mark else { return Step::PARTIAL };
        w.mem[0] = if mark & 0x80 != 0 { LAST } else { 0 } | if strict { STRICT } else { 0 };
        let mut user = NO_USER;
        if data != end {
            let Some(first) = b.u8(data) else { return unread(w) };
            user = USERS[first as usize];
        } else if w.n_ops != 0 {
            // Not worth a word beside the operations of the packets in front of it.
            return Step::DONE;
        } else {
            // Without data there is nothing to be a fragment of; some stacks leave the mark out.
            w.mem[0] |= LAST;
        }
        if user == NO_USER {
            return unclaimed(w);
        }
        w.inner(user, data, end)
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{function:#04x}")
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        tpdu_rows(each);
    }
}

const NO_USER: u8 = 0;

/// Protocol by the first octet of the user data. TLS records (content types 20 to 23) are what S7comm-plus turns into.
static USERS: [u8; 256] = {
    let mut t = mms::claim([NO_USER; 256]);
    t[s7comm::MAGIC as usize] = s7comm::S7comm::NUMBER;
    t[s7comm_plus::MAGIC as usize] = s7comm_plus::S7commPlus::NUMBER;
    t[20] = s7comm_plus::S7commPlus::NUMBER;
    t[21] = s7comm_plus::S7commPlus::NUMBER;
    t[22] = s7comm_plus::S7commPlus::NUMBER;
    t[23] = s7comm_plus::S7commPlus::NUMBER;
    t
};

/// A data TPDU without user data, or whose user is not known.
#[inline(always)]
pub fn unclaimed(w: &mut Walk) -> Step {
    if w.mem[0] & STRICT != 0 {
        return Step::REFUSE;
    }
    if w.mem[0] & LAST == 0 {
        w.flags |= flags::TRANSPORT_FRAGMENT;
    }
    let dir = w.port_dir();
    w.push(op::<Cotp>(DATA, TPDUS[DATA as usize], dir, 0));
    Step::DONE
}

/// For a parser of user data that has found an operation: an empty data TPDU in front of it is not worth a word.
#[inline(always)]
pub fn forget_empty(w: &mut Walk) {
    let first = &w.ops[0];
    if w.n_ops == 1
        && first.function == DATA
        && first.tag.proto() == Cotp::NUMBER
        && w.flags & flags::TRANSPORT_FRAGMENT == 0
    {
        w.clear_ops();
    }
}

/// The segment ends before the function: the beginning of a packet where the port or a packet before it says so.
#[inline(always)]
pub fn unread(w: &Walk) -> Step {
    if w.strict() && w.pdus == 0 { Step::REFUSE } else { Step::PARTIAL }
}

/// Fewer than four octets: the beginning of a TPKT header, or a keep-alive octet.
#[inline(always)]
fn few<B: Bytes>(b: B, w: &Walk) -> Step {
    match b.u8(w.off) {
        Some(3) => unread(w),
        _ => Step::REFUSE,
    }
}

/// Everything but data.
#[inline(always)]
fn control<B: Bytes>(b: B, w: &mut Walk, code: u32, kind: u8, end: u32) -> Step {
    let dir = match code {
        CONNECT => Dir::Request,
        CONFIRM => Dir::Response,
        _ => w.port_dir(),
    };
    if code == CONNECT {
        // Behind the code: destination and source reference, class; then parameters of code, length, value. What is
        // found goes to memory, so that the verifier need not follow each way out of the loop to the end.
        let mut at = w.off + HEAD + 6;
        for _ in 0..PARAMETERS {
            let Some(parameter) = b.be32(at) else { break };
            if at < end && parameter >> 24 == CALLED_TSAP {
                w.mem[1] = parameter & 0xFFFF | 1 << 16;
                break;
            }
            at += 2 + ((parameter >> 16) & 0xFF);
        }
    }
    let mut found = op::<Cotp>(code, kind, dir, 0);
    found.addr = w.mem[1] & 0xFFFF;
    found.span = w.mem[1] >> 16;
    w.push(found);
    Step::DONE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::Outcome;
    use crate::testing::{cuts, hex, tcp};

    const CR: &str = "0300001611e00000000100c0010ac1020100c2020102";

    #[test]
    fn connection_requests_and_confirms_are_sessions() {
        let s = tcp(40000, 102, &hex(CR));
        assert_eq!(s.lines(), ["cotp:0xe0 session request"]);
        assert_eq!((s.ops[0].addr, s.ops[0].span), (0x0102, 1));
        let s = tcp(102, 40000, &hex("0300001611d00001000100c0010ac1020100c2020101"));
        assert_eq!(s.lines(), ["cotp:0xd0 session response"]);
        cuts(&hex(CR), &[], &|p| tcp(40000, 102, p));
    }

    #[test]
    fn disconnects_go_by_the_port() {
        assert_eq!(tcp(40000, 102, &hex("0300000b06800001000100")).lines(), ["cotp:0x80 session request"]);
        assert_eq!(tcp(102, 40000, &hex("0300000b06c00001000100")).lines(), ["cotp:0xc0 session response"]);
    }

    #[test]
    fn an_empty_data_tpdu_carries_no_pdu() {
        let s = tcp(40000, 102, &hex("0300000702f080"));
        assert_eq!((s.lines(), s.flags), (["cotp:0xf0 session request".into()].into(), 0));
        let s = tcp(102, 40000, &hex("0300000702f000"));
        assert_eq!((s.lines(), s.flags), (["cotp:0xf0 session response".into()].into(), 0));
        // Two of them, and one in front of something else.
        let s = tcp(40000, 102, &hex("0300000702f0800300000702f080"));
        assert_eq!(
            (s.outcome, s.paths(), s.flags),
            (Outcome::Classified, ["cotp:0xf0".into()].into(), flags::PIPELINED)
        );
        let s = tcp(40000, 102, &hex("0300000702f080ffffffffff"));
        assert_eq!(
            (s.outcome, s.paths(), s.flags),
            (Outcome::Classified, ["cotp:0xf0".into()].into(), flags::TRAILING)
        );
        let s = tcp(40000, 102, &hex("0300000702f0800300"));
        assert_eq!((s.outcome, s.paths(), s.flags), (Outcome::Classified, ["cotp:0xf0".into()].into(), flags::SPLIT));
    }

    #[test]
    fn data_of_other_users_is_plain_transport() {
        let s = tcp(40000, 102, &hex("0300000c02f0800100010061"));
        assert_eq!((s.lines(), s.flags), (["cotp:0xf0 session request".into()].into(), 0));
        let s = tcp(40000, 102, &hex("0300000c02f0000100010061"));
        assert_eq!(s.flags, flags::TRANSPORT_FRAGMENT);
    }

    #[test]
    fn off_its_port_transport_alone_is_nothing() {
        // What RDP clients open with.
        let s = tcp(40000, 3389, &hex("030000130ee000000000000100080003000000"));
        assert_eq!((s.outcome, s.paths()), (Outcome::Classified, ["rdp:".into()].into()));
        assert_eq!(tcp(40000, 40001, &hex("030000130ee00000000000c1020100c0010a00")).outcome, Outcome::NotOt);
        assert_eq!(tcp(40000, 40001, &hex("0300000702f080")).outcome, Outcome::NotOt);
        assert_eq!(tcp(40000, 40001, &hex("0300")).outcome, Outcome::NotOt);
    }

    #[test]
    fn what_is_not_a_packet_stays_unparsed() {
        assert_eq!(tcp(40000, 102, &[0]).outcome, Outcome::Unparsed);
        assert_eq!(tcp(40000, 102, &hex("0300000602f0")).outcome, Outcome::Unparsed);
        assert_eq!(tcp(40000, 102, &hex("0300000702a080")).outcome, Outcome::Unparsed);
        assert_eq!(tcp(40000, 102, &hex("0301000702f080")).outcome, Outcome::Unparsed);
        assert_eq!(tcp(40000, 102, &hex("0300000709f080")).outcome, Outcome::Malformed);
        let s = tcp(40000, 102, &hex("03000016"));
        assert_eq!((s.outcome, s.flags), (Outcome::Continuation, flags::SPLIT));
    }
}
