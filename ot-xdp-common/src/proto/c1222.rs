//! ANSI C12.22: smart meters over UDP and TCP.
//!
//! Source: ANSI C12.22-2012, cl. 5.3.4 (ACSE), 5.3.2 (EPSEM), 5.3.2.4 (services). Port 1153. BER, big endian.
//!
//! An element 60 with its length holds: A1 context, A2 called title, A4 called invocation, A6 calling title, A7 calling
//! qualifier, A8 calling invocation, 8B and AC authentication, BE user information. In BE: 28, in it 81, in it EPSEM: control
//! octet (bits 2 to 3: 0 clear, 1 authenticated, 2 encrypted; bit 4: four octets of ED class follow), then services, each a
//! length and the service's octets, of which the first is its code.
//!
//! Function encoding: code, bit 8 for a response (codes below 20). Not parsed: tables' contents, titles, segments of
//! application PDUs, services behind the third or behind one of more than 127 octets.

use core::fmt;

use super::{Binding, Protocol, Row, Sniff, op};
use crate::bytes::Bytes;
use crate::op::{Class, Dir, Kind};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct C1222;

const PORT: u16 = 1153;
const RESPONSE: u32 = 0x100;
/// No service could be read: encrypted.
const HIDDEN: u32 = 0x200;
const FULL_WRITE: u8 = 0x40;
/// Standard table 7 starts procedures.
const PROCEDURE: u16 = 7;
const ELEMENTS: u32 = 12;
const SERVICES: u32 = 3;
const USER: u32 = 0xBE;

/// Which elements may stand in the PDU: bit 0 allowed, bit 1 the calling invocation.
static ELEMENT: [u8; 256] = {
    let mut t = [0; 256];
    t[0x80] = 1;
    t[0xA1] = 1;
    t[0xA2] = 1;
    t[0xA3] = 1;
    t[0xA4] = 1;
    t[0xA6] = 1;
    t[0xA7] = 1;
    t[0xA8] = 3;
    t[0x8B] = 1;
    t[0xAC] = 1;
    t[0xBE] = 1;
    t
};

functions! {
    FUNCTIONS, functions_rows, base 0;
    0x20 "Identify" Discovery;
    0x21 "Terminate" Session;
    0x22 "Disconnect" Session;
    0x24 "Deregister" Session;
    0x25 "Resolve" Discovery;
    0x26 "Trace" Diagnostic;
    0x27 "Register" Session;
    0x30 "Full Read" Read;
    0x31 "Partial Read, 1 index" Read;
    0x32 "Partial Read, 2 indices" Read;
    0x33 "Partial Read, 3 indices" Read;
    0x34 "Partial Read, 4 indices" Read;
    0x35 "Partial Read, 5 indices" Read;
    0x36 "Partial Read, 6 indices" Read;
    0x37 "Partial Read, 7 indices" Read;
    0x38 "Partial Read, 8 indices" Read;
    0x39 "Partial Read, 9 indices" Read;
    0x3E "Default Read" Read;
    0x3F "Partial Read, offset" Read;
    0x40 "Full Write" Write!;
    0x41 "Partial Write, 1 index" Write!;
    0x42 "Partial Write, 2 indices" Write!;
    0x43 "Partial Write, 3 indices" Write!;
    0x44 "Partial Write, 4 indices" Write!;
    0x45 "Partial Write, 5 indices" Write!;
    0x46 "Partial Write, 6 indices" Write!;
    0x47 "Partial Write, 7 indices" Write!;
    0x48 "Partial Write, 8 indices" Write!;
    0x49 "Partial Write, 9 indices" Write!;
    0x4E "Default Write" Write!;
    0x4F "Partial Write, offset" Write!;
    0x50 "Logon" Auth;
    0x51 "Security" Auth;
    0x52 "Logoff" Session;
    0x53 "Authenticate" Auth;
    0x60 "Negotiate" Session;
    0x61 "Negotiate, 1 rate" Session;
    0x62 "Negotiate, 2 rates" Session;
    0x63 "Negotiate, 3 rates" Session;
    0x64 "Negotiate, 4 rates" Session;
    0x65 "Negotiate, 5 rates" Session;
    0x66 "Negotiate, 6 rates" Session;
    0x67 "Negotiate, 7 rates" Session;
    0x68 "Negotiate, 8 rates" Session;
    0x69 "Negotiate, 9 rates" Session;
    0x6A "Negotiate, 10 rates" Session;
    0x6B "Negotiate, 11 rates" Session;
    0x70 "Wait" Session;
    0x71 "Timing Setup" Session;
}

/// How a first octet of a length is read: octets of tag and length, shift and mask of the value in the three octets
/// behind the tag. 0 for a form that is not used.
static FORM: [u32; 256] = {
    let mut t = [0; 256];
    let mut i = 0;
    while i < 0x80 {
        t[i] = 2 | 16 << 8 | 0x7F << 16;
        i += 1;
    }
    t[0x81] = 3 | 8 << 8 | 0xFF << 16;
    t[0x82] = 4 | 0xFFFF << 16;
    t
};

/// Octets of the tag and length in `word`, and the length: tables, because the verifier follows every form in every
/// element.
#[inline(always)]
fn header(word: u32) -> (u32, u32) {
    let form = FORM[(word >> 16) as usize & 0xFF];
    (form & 7, (word & 0x00FF_FFFF) >> (form >> 8 & 31) & form >> 16)
}

/// The services from `at` to `end`.
#[inline(always)]
fn services<B: Bytes>(b: B, w: &mut Walk, at: u32, end: u32) {
    let mut at = at;
    for _ in 0..SERVICES {
        if at >= end {
            break;
        }
        let Some(size) = b.u8(at) else { break };
        let start = (at + (FORM[size as usize] & 7)).wrapping_sub(1);
        let Some(code) = b.u8(start) else { break };
        if FORM[size as usize] == 0 || size == 0 {
            break;
        }
        at = if size < 0x80 { start + size as u32 } else { end };
        if code < 0x20 {
            w.push(op::<C1222>(code as u32 | RESPONSE, Kind::new(Class::Response, false).0, Dir::Response, 0));
            continue;
        }
        let mut kind = FUNCTIONS[code as usize];
        let table = b.be16(start + 1).unwrap_or(0);
        if code == FULL_WRITE && table == PROCEDURE {
            kind = Kind::new(Class::Control, true).0;
        }
        let mut found = op::<C1222>(code as u32, kind, Dir::Request, 0);
        if (0x30..0x50).contains(&code) {
            found.addr = table as u32;
        }
        w.push(found);
    }
}

impl Protocol for C1222 {
    const NAME: &'static str = "c1222";
    const TITLE: &'static str = "ANSI C12.22 metering";
    const BINDING: Binding = Binding { tcp: &[PORT], udp: &[PORT], ethertypes: &[] };
    const SNIFF: &'static [Sniff] = &[
        Sniff { l4: 0, mask: 0xFF80_FF00, value: 0x6000_A100 },
        Sniff { l4: 0, mask: 0xFF80_FF00, value: 0x6000_A200 },
        Sniff { l4: 0, mask: 0xFF80_FF00, value: 0x6000_A600 },
        Sniff { l4: 0, mask: 0xFFFF_00FF, value: 0x6081_00A1 },
        Sniff { l4: 0, mask: 0xFFFF_00FF, value: 0x6081_00A2 },
        Sniff { l4: 0, mask: 0xFFFF_00FF, value: 0x6081_00A6 },
    ];
    const WEAK: bool = true;

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let Some(word) = b.be32(off) else { return Step::REFUSE };
        let (head, size) = header(word);
        if word >> 24 != 0x60 || head == 0 {
            return Step::REFUSE;
        }
        let mut at = off + head;
        w.pdu_end = at + size;
        if w.strict() && w.pdu_end != w.end {
            return Step::REFUSE;
        }
        let mut marks = 0;
        let mut user = 0;
        for _ in 0..ELEMENTS {
            let Some(word) = b.be32(at) else { return Step::PARTIAL };
            let tag = word >> 24;
            let (head, size) = header(word);
            let allowed = ELEMENT[b.index::<0xFF>(tag)];
            if allowed == 0 || head == 0 {
                return Step::REFUSE;
            }
            marks |= allowed;
            at += head;
            if tag == USER {
                user = at;
                break;
            }
            at += size;
        }
        if user == 0 || marks & 2 == 0 {
            return Step::REFUSE;
        }
        let Some(word) = b.be32(user) else { return Step::PARTIAL };
        let at = user + header(word).0;
        let Some(inner) = b.be32(at) else { return Step::PARTIAL };
        let (head, size) = header(inner);
        if word >> 24 != 0x28 || inner >> 24 != 0x81 || head == 0 {
            return Step::REFUSE;
        }
        let at = at + head;
        let Some(control) = b.u8(at) else { return Step::PARTIAL };
        let last = at + size;
        if control & 0x0C == 0x08 {
            w.push(op::<C1222>(HIDDEN, Kind::new(Class::Encrypted, false).0, w.port_dir(), 0));
            return Step::DONE;
        }
        let skip = if control & 0x10 != 0 { 5 } else { 1 };
        services(b, w, at + skip, last);
        if w.n_ops != w.pdu_ops {
            Step::DONE
        } else if w.pdu_end > w.end {
            Step::PARTIAL
        } else {
            // Whole, and without a service.
            Step::MALFORMED
        }
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        if function & HIDDEN != 0 {
            return write!(out, "encrypted");
        }
        let side = if function & RESPONSE != 0 { "rsp/" } else { "" };
        write!(out, "{side}0x{:02x}", function & 0xFF)
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        functions_rows(each);
        each(Row { function: RESPONSE, name: "OK", class: Class::Response, state_changing: false });
        each(Row { function: HIDDEN, name: "encrypted", class: Class::Encrypted, state_changing: false });
    }
}

#[cfg(test)]
mod tests {
    use crate::flags;
    use crate::reason::Outcome;
    use crate::testing::{hex, tcp, udp};

    const IDENTIFY: &str =
        "6030a211060f2b060104018285638e7f85f1c24e00a60a06082b06010401828563a806020413e81421be0728058103800120";

    #[test]
    fn identify_and_its_answer() {
        assert_eq!(tcp(40000, 1153, &hex(IDENTIFY)).lines(), ["c1222:0x20 discovery request"]);
        let answer = IDENTIFY.replace("800120", "80010a");
        assert_eq!(tcp(1153, 40000, &hex(&answer)).lines(), ["c1222:rsp/0x0a response response"]);
        let hidden = IDENTIFY.replace("800120", "880120");
        assert_eq!(udp(40000, 1153, &hex(&hidden)).lines(), ["c1222:encrypted encrypted request"]);
    }

    #[test]
    fn other_ber_and_cut_short() {
        let other = IDENTIFY.replace("a60a", "a90a");
        assert_eq!(tcp(40000, 1153, &hex(&other)).outcome, Outcome::Unparsed);
        assert_eq!(tcp(40000, 1153, &hex(IDENTIFY)[..30]).ops.len(), 0);
    }

    #[test]
    fn a_message_without_a_service_behind_one() {
        let mut two = hex(IDENTIFY);
        two.extend(hex(&IDENTIFY.replace("03800120", "03800100")));
        *two.last_mut().expect("octets") = 0;
        let n = two.len();
        two[n - 2] = 0;
        let s = tcp(40000, 1153, &two);
        assert_eq!((s.paths(), s.flags & flags::MALFORMED != 0), (["c1222:0x20".into()].into(), true));
    }

    #[test]
    fn a_service_with_a_length_of_no_known_form() {
        let broken = IDENTIFY.replace("03800120", "0380FF20");
        assert_ne!(tcp(40000, 1153, &hex(&broken)).lines(), ["c1222:0x20 discovery request"]);
    }
}
