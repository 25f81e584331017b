//! GE SRTP: service request transport of GE Fanuc and Emerson PACSystems controllers.
//!
//! The protocol is not published as a whole: header as described by Denton et al., "Leveraging the SRTP protocol for
//! over-the-network memory acquisition of a GE Fanuc Series 90-30" (DFRWS 2017), service codes as in GE's GFK-0582
//! (SNP). TCP 18245. Little endian.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 1 | type: 0 init, 1 init reply, 2 request, 3 reply |
//! | 2 | 1 | sequence number |
//! | 4 | 2 | octets of text behind the header |
//! | 6 | 3 | 0 |
//! | 31 | 1 | mailbox type: C0 and 80 (with text) request; D4, 94 (with text) reply, D1 error |
//! | 36 | 1 | slot << 4 |
//! | 42 | 1 | C0: service, 43 selector, 44 offset 2, 46 length 2 |
//! | 50 | 1 | 80: the same eight octets later |
//!
//! Function encoding: mailbox type | service << 8 in requests; types 0 and 1 | bit 31. Unit: slot. Address: selector
//! << 16 | offset. Not parsed: the state of the controller in replies, texts.

use core::fmt;

use super::{Binding, Protocol, Row, Sniff, op};
use crate::bytes::Bytes;
use crate::frame::TCP;
use crate::op::{Class, Dir, Kind};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct GeSrtp;

const PORT: u16 = 18245;
const HEAD: u32 = 56;
const REQUEST: u32 = 0xC0;
const REQUEST_TEXT: u32 = 0x80;
const INIT: u32 = 1 << 31;
/// Octets 6 and 7 of the header, and 1, as they lie in its first word.
const ZEROS: u64 = 0x00FF_0000_0000_FFFF;

functions! {
    SERVICES, service_rows, base 0;
    0x00 "PLC Short Status" Diagnostic;
    0x03 "Return Control Program Names" Discovery;
    0x04 "Read System Memory" Read;
    0x05 "Read Task Memory" Read;
    0x06 "Read Program Block Memory" Read;
    0x07 "Write System Memory" Write!;
    0x08 "Write Task Memory" Write!;
    0x09 "Write Program Block Memory" Write!;
    0x15 "Establish Datagram" Config;
    0x16 "Update Datagram" Read;
    0x17 "Cancel Datagram" Config;
    0x20 "Programmer Logon/Logoff" Auth!;
    0x21 "Change Privilege Level" Auth!;
    0x22 "Set Control ID (CPU ID)" Config!;
    0x23 "Set PLC State (run/stop)" Control!;
    0x24 "Set PLC Time/Date" Config!;
    0x25 "Return PLC Time/Date" Read;
    0x38 "Return Fault Table" Alarm;
    0x39 "Clear Fault Table" Alarm!;
    0x3F "Program Store = master to PLC" ProgramDownload!;
    0x40 "Program Load = PLC to master" ProgramUpload;
    0x43 "Return Controller Type and ID" Discovery;
    0x44 "Toggle Force System Memory" Write!;
    0x48 "Write Datagram (define point list)" Config;
}

/// Mailbox types: 2 request, 3 reply, as the first octet has it.
static MAILBOX: [u8; 256] = {
    let mut t = [0; 256];
    t[0xC0] = 2;
    t[0x80] = 2;
    t[0xD4] = 3;
    t[0x94] = 3;
    t[0xD1] = 3;
    t
};

impl Protocol for GeSrtp {
    const NAME: &'static str = "ge_srtp";
    const TITLE: &'static str = "GE SRTP";
    const BINDING: Binding = Binding { tcp: &[PORT], udp: &[], ethertypes: &[] };
    const SNIFF: &'static [Sniff] = &[
        Sniff { l4: TCP, mask: 0xFFFF_00FF, value: 0x0200_0000 },
        Sniff { l4: TCP, mask: 0xFFFF_00FF, value: 0x0300_0000 },
    ];

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let Some(head) = b.be64(off) else { return short(w) };
        let kind = (head >> 56) as u32;
        if kind > 3 || head & ZEROS != 0 {
            return Step::REFUSE;
        }
        if kind < 2 {
            return init(b, w, head);
        }
        let Some(tail) = b.be64(off + 31) else { return short(w) };
        let mailbox = (tail >> 56) as u32;
        let told = MAILBOX[b.index::<0xFF>(mailbox)] as u32;
        if told != kind {
            return Step::REFUSE;
        }
        let text = ((head >> 16) as u16).swap_bytes() as u32;
        w.pdu_end = off + HEAD + text;
        let slot = (tail >> 20) as u32 & 0xF;
        if kind == 3 {
            w.push(op::<GeSrtp>(mailbox, Class::Response as u8, Dir::Response, slot));
            return Step::DONE;
        }
        let at = if mailbox == REQUEST_TEXT { off + 50 } else { off + 42 };
        let Some(service) = b.u8(at) else { return Step::PARTIAL };
        let selector = b.u8(at + 1).unwrap_or(0) as u32;
        let range = b.le32(at + 2).unwrap_or(0);
        let known = SERVICES[b.index::<0xFF>(service as u32)];
        if w.strict() && known == Kind::UNLISTED.0 {
            return Step::REFUSE;
        }
        let mut found = op::<GeSrtp>(mailbox | (service as u32) << 8, known, Dir::Request, slot);
        found.addr = selector << 16 | range & 0xFFFF;
        found.span = range >> 16;
        w.push(found);
        Step::DONE
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        if function & INIT != 0 {
            return write!(out, "type/{:#04x}", function & 0xFF);
        }
        write!(out, "{:#04x}", function & 0xFF)
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        service_rows(&mut |r| each(Row { function: r.function << 8 | REQUEST, ..r }));
        let more = [
            (INIT, "Init", Class::Session),
            (INIT | 1, "Init reply", Class::Session),
            (0xD4, "Acknowledge", Class::Response),
            (0x94, "Acknowledge with text", Class::Response),
            (0xD1, "Error", Class::Response),
        ];
        for (function, name, class) in more {
            each(Row { function, name, class, state_changing: false });
        }
    }
}

#[inline(always)]
fn short(w: &Walk) -> Step {
    if w.strict() { Step::REFUSE } else { Step::PARTIAL }
}

/// The first PDU of a connection each way: nothing but zeros behind the type.
#[inline(always)]
fn init<B: Bytes>(b: B, w: &mut Walk, head: u64) -> Step {
    let reply = head >> 56 == 1;
    let Some(middle) = b.be64(w.off + 24) else { return short(w) };
    let Some(last) = b.be64(w.off + 48) else { return short(w) };
    if w.strict() || (!reply && (head | middle | last) != 0) {
        return Step::REFUSE;
    }
    w.pdu_end = w.off + HEAD + ((head >> 16) as u16).swap_bytes() as u32;
    let dir = if reply { Dir::Response } else { Dir::Request };
    w.push(op::<GeSrtp>(INIT | reply as u32, Class::Session as u8, dir, 0));
    Step::DONE
}

#[cfg(test)]
mod tests {
    use crate::reason::Outcome;
    use crate::testing::{cuts, hex, tcp};

    const READ: &str = "0200be00000000000001000000000000000100000000000000000000 0000b8c0 00000000 100e0000 0101 074c5e030100 000000ffff00ffff";
    const ACK: &str = "0300d00000000000000000000000000000010000000000000000 21581100cad4 100e0000 003c0000 0101 000000000000 0000ff0234001c00";

    #[test]
    fn requests_and_replies() {
        let s = tcp(40000, 18245, &hex(READ));
        assert_eq!((s.lines(), s.flags), (["ge_srtp:0xc0 write! request".into()].into(), 0));
        assert_eq!((s.ops[0].addr, s.ops[0].span, s.ops[0].unit), (0x4C_035E, 1, 1));
        assert_eq!(tcp(18245, 40000, &hex(ACK)).lines(), ["ge_srtp:0xd4 response response"]);
        assert_eq!(tcp(40000, 18245, &[0; 56]).lines(), ["ge_srtp:type/0x00 session request"]);
        cuts(&hex(READ), &[], &|p| tcp(40000, 18245, p));
    }

    #[test]
    fn refusals() {
        let mut p = hex(READ);
        p[31] = 0xD4;
        assert_eq!(tcp(40000, 18245, &p).outcome, Outcome::Unparsed);
        assert_eq!(tcp(40000, 40001, &[0; 56]).outcome, Outcome::NotOt);
    }
}
