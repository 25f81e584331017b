//! MMS, the manufacturing message specification, as IEC 61850 and ICCP use it, inside COTP data.
//!
//! Source: ISO 8327-1 cl. 8 (session), ISO 8823-1 cl. 8 (presentation), ISO 8650-1 (association), ISO 9506-2 cl. 7 to 9
//! and its abstract syntax; IEC 61850-8-1 cl. 5 for names of items. BER; offsets from the first octet of COTP user data.
//!
//! | off | field |
//! |---|---|
//! | 0 | session: 01 00 01 00 give tokens and data; 0D connect, 0E accept; 08 to 0C, 19, 1A refusal, end and abort |
//! | 4 | 61 presentation user data, in it one or more 30: optional 06 transfer syntax, 02 context, A0 or 81 value |
//! | | in the value: the MMS PDU, or 60 to 64 association control |
//! | | A0 request, A1 response: 02 invoke id, optional 30 modifiers, service |
//! | | A3 unconfirmed: service |
//!
//! The number of a service is its context tag, of 31 and more in the octets behind the first. Some stacks leave the
//! session and presentation out: then the PDU is at 0. Connect and accept are taken as initiate when the object
//! identifier 1.0.9506.2 of MMS is in them.
//!
//! Function encoding: PDU tag << 16, service, 0xFFFF without one; for session units 0x100 | first octet << 16. Address:
//! the functional constraint (two letters) of the first item of a read or write, which also decides the class of a
//! write. ICCP (TASE.2, IEC 60870-6) has the application context and the services of MMS and differs only in the names
//! of its items: a frame alone does not show it. The endings of its names for commands, tags and selections count.
//! Not parsed: the items behind the first, names of domains, indefinite lengths, lengths of more than two octets in
//! what encloses a PDU.

use core::fmt;

use super::cotp::{LAST, STRICT, forget_empty, unclaimed};
use super::{Binding, Number, Protocol, Row, op};
use crate::bytes::Bytes;
use crate::limits::STEPS;
use crate::op::{Class, Dir, Kind};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Mms;

/// No service, or it cannot be read.
const NONE: u32 = 0xFFFF;
/// In the tag of a function: a session unit.
const SESSION: u32 = 0x100;
/// Give tokens without parameters, then data transfer without parameters.
const DATA: u32 = 0x0100_0100;
const CONNECT: u32 = 0x0D;
const ACCEPT: u32 = 0x0E;
const USER_DATA: u32 = 0x61;
const SEQUENCE: u32 = 0x30;
const OBJECT_IDENTIFIER: u32 = 0x06;
const INTEGER: u32 = 0x02;
const SINGLE_TYPE: u32 = 0xA0;
const OCTETS: u32 = 0x81;
const VISIBLE_STRING: u32 = 0x1A;
const REQUEST: u32 = 0xA0;
const RESPONSE: u32 = 0xA1;
const UNCONFIRMED: u32 = 0xA3;
const INITIATE_REQUEST: u32 = 0xA8;
const INITIATE_RESPONSE: u32 = 0xA9;
const READ: u32 = 4;
const WRITE: u32 = 5;
/// 1.0.9506.2, without its own tag and length.
const MMS_OID: u32 = 0x28CA_2202;
/// Octets of a connect in which it is looked for.
const OID_REACH: u32 = 160;
/// Elements in front of the name of the first item.
const DEPTH: u32 = 8;
/// Longest name of a logical node.
const NODE: u32 = 24;

/// Words of [`Walk::mem`] behind the marks of COTP: what [`element`] found, ends of what encloses the PDU.
const CONTENT: usize = 1;
const LENGTH: usize = 2;
const LIST_END: usize = 3;
const VALUE_END: usize = 4;
/// Where the step is.
const PHASE: usize = 5;
/// At the first octet of user data.
const BEGIN: u32 = 0;
/// At a presentation data value behind another one.
const NEXT_VALUE: u32 = 1;
/// At a PDU behind another one in the same value.
const NEXT_PDU: u32 = 2;
/// At the service of a read or of a write (the number of the service follows), whose item decides. A step of its own,
/// so that the verifier does not follow it from each way through the headers.
const ITEM: u32 = 8;
/// Added there: a domain's name was read; the item's name was found.
const DOMAIN: u32 = 16;
const FOUND: u32 = 32;

functions! {
    PDUS, pdu_rows, base 0;
    0x60 "AARQ" Session;
    0x61 "AARE" Session;
    0x62 "RLRQ" Session;
    0x63 "RLRE" Session;
    0x64 "ABRT" Session;
    0x85 "cancel-RequestPDU" Session;
    0x86 "cancel-ResponsePDU" Session;
    0x8B "conclude-RequestPDU" Session;
    0x8C "conclude-ResponsePDU" Session;
    0xA0 "confirmed-RequestPDU" Session;
    0xA1 "confirmed-ResponsePDU" Response;
    0xA2 "confirmed-ErrorPDU" Response;
    0xA3 "unconfirmed-PDU" Alarm;
    0xA4 "rejectPDU" Response;
    0xA7 "cancel-ErrorPDU" Session;
    0xA8 "initiate-RequestPDU" Session;
    0xA9 "initiate-ResponsePDU" Session;
    0xAA "initiate-ErrorPDU" Session;
    0xAD "conclude-ErrorPDU" Session;
}

functions! {
    SPDUS, spdu_rows, base 0;
    0x08 "NOT FINISHED" Session;
    0x09 "FINISH" Session;
    0x0A "DISCONNECT" Session;
    0x0C "REFUSE" Session;
    0x19 "ABORT" Session;
    0x1A "ABORT ACCEPT" Session;
}

functions! {
    /// Unconfirmed services.
    UNCONFIRMED_SERVICES, unconfirmed_rows, base UNCONFIRMED << 16;
    0 "informationReport" Alarm;
    1 "unsolicitedStatus" Alarm;
    2 "eventNotification" Alarm;
}

functions! {
    /// Confirmed services.
    SERVICES, service_rows, base REQUEST << 16;
    0x00 "status" Diagnostic;
    0x01 "getNameList" Discovery;
    0x02 "identify" Discovery;
    0x03 "rename" Config!;
    0x04 "read" Read;
    0x05 "write" Write!;
    0x06 "getVariableAccessAttributes" Discovery;
    0x07 "defineNamedVariable" Config!;
    0x08 "defineScatteredAccess" Config!;
    0x09 "getScatteredAccessAttributes" Discovery;
    0x0A "deleteVariableAccess" Config!;
    0x0B "defineNamedVariableList" Config!;
    0x0C "getNamedVariableListAttributes" Discovery;
    0x0D "deleteNamedVariableList" Config!;
    0x0E "defineNamedType" Config!;
    0x0F "getNamedTypeAttributes" Discovery;
    0x10 "deleteNamedType" Config!;
    0x11 "input" Read;
    0x12 "output" Write!;
    0x13 "takeControl" Control!;
    0x14 "relinquishControl" Control!;
    0x15 "defineSemaphore" Config!;
    0x16 "deleteSemaphore" Config!;
    0x17 "reportSemaphoreStatus" Diagnostic;
    0x18 "reportPoolSemaphoreStatus" Diagnostic;
    0x19 "reportSemaphoreEntryStatus" Diagnostic;
    0x1A "initiateDownloadSequence" ProgramDownload!;
    0x1B "downloadSegment" ProgramDownload!;
    0x1C "terminateDownloadSequence" ProgramDownload!;
    0x1D "initiateUploadSequence" ProgramUpload;
    0x1E "uploadSegment" ProgramUpload;
    0x1F "terminateUploadSequence" ProgramUpload;
    0x20 "requestDomainDownload" ProgramDownload!;
    0x21 "requestDomainUpload" ProgramUpload;
    0x22 "loadDomainContent" ProgramDownload!;
    0x23 "storeDomainContent" ProgramUpload!;
    0x24 "deleteDomain" ProgramDownload!;
    0x25 "getDomainAttributes" Discovery;
    0x26 "createProgramInvocation" ProgramDownload!;
    0x27 "deleteProgramInvocation" ProgramDownload!;
    0x28 "start" Control!;
    0x29 "stop" Control!;
    0x2A "resume" Control!;
    0x2B "reset" Control!;
    0x2C "kill" Control!;
    0x2D "getProgramInvocationAttributes" Discovery;
    0x2E "obtainFile" File!;
    0x2F "defineEventCondition" Config!;
    0x30 "deleteEventCondition" Config!;
    0x31 "getEventConditionAttributes" Alarm;
    0x32 "reportEventConditionStatus" Alarm;
    0x33 "alterEventConditionMonitoring" Alarm!;
    0x34 "triggerEvent" Alarm!;
    0x35 "defineEventAction" Config!;
    0x36 "deleteEventAction" Config!;
    0x37 "getEventActionAttributes" Alarm;
    0x38 "reportEventActionStatus" Alarm;
    0x39 "defineEventEnrollment" Config!;
    0x3A "deleteEventEnrollment" Config!;
    0x3B "alterEventEnrollment" Alarm!;
    0x3C "reportEventEnrollmentStatus" Alarm;
    0x3D "getEventEnrollmentAttributes" Alarm;
    0x3E "acknowledgeEventNotification" Alarm!;
    0x3F "getAlarmSummary" Alarm;
    0x40 "getAlarmEnrollmentSummary" Alarm;
    0x41 "readJournal" Read;
    0x42 "writeJournal" Write!;
    0x43 "initializeJournal" Config!;
    0x44 "reportJournalStatus" Diagnostic;
    0x45 "createJournal" Config!;
    0x46 "deleteJournal" Config!;
    0x47 "getCapabilityList" Discovery;
    0x48 "fileOpen" File;
    0x49 "fileRead" File;
    0x4A "fileClose" File;
    0x4B "fileRename" File!;
    0x4C "fileDelete" File!;
    0x4D "fileDirectory" File;
}

/// Directions of PDUs; where the ports decide, unknown.
static DIRECTIONS: [Dir; 256] = {
    let mut t = [Dir::Unknown; 256];
    t[0x60] = Dir::Request;
    t[0x61] = Dir::Response;
    t[0x62] = Dir::Request;
    t[0x63] = Dir::Response;
    t[0x85] = Dir::Request;
    t[0x86] = Dir::Response;
    t[0x8B] = Dir::Request;
    t[0x8C] = Dir::Response;
    t[0xA0] = Dir::Request;
    t[0xA1] = Dir::Response;
    t[0xA2] = Dir::Response;
    t[0xA3] = Dir::Publish;
    t[0xA7] = Dir::Response;
    t[0xA8] = Dir::Request;
    t[0xA9] = Dir::Response;
    t[0xAA] = Dir::Response;
    t[0xAD] = Dir::Response;
    t
};

/// Enters what user data may begin with into the table of the COTP parser.
pub(super) const fn claim(mut t: [u8; 256]) -> [u8; 256] {
    let mut first = 0;
    while first < 256 {
        let pdu = first >= 0x80 && PDUS[first] != Kind::UNLISTED.0;
        let session = SPDUS[first] != Kind::UNLISTED.0 || first == CONNECT as usize || first == ACCEPT as usize;
        if pdu || session || first == 1 {
            t[first] = Mms::NUMBER;
        }
        first += 1;
    }
    t
}

impl Protocol for Mms {
    const NAME: &'static str = "mms";
    const TITLE: &'static str = "MMS (ISO 9506), IEC 61850 and ICCP";
    const BINDING: Binding = Binding { tcp: &[], udp: &[], ethertypes: &[] };
    const TURNS: u32 = STEPS;

    /// Called by the COTP parser with its marks in the first memory word.
    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let b = b.until(w.inner_end);
        let off = w.off;
        let Some(first) = b.u8(off) else { return short(w) };
        let first = first as u32;
        let phase = w.mem[PHASE];
        if phase & ITEM != 0 {
            return item(b, w, phase & 7);
        }
        w.mem[CONTENT] = off;
        // A PDU without a presentation data value around it. All ways meet in one `pdu`, which the verifier follows once.
        let bare = phase == NEXT_PDU || phase == BEGIN && first >= 0x80;
        if phase == BEGIN {
            w.mem[LIST_END] = w.inner_end;
            w.mem[VALUE_END] = w.inner_end;
        }
        if phase == BEGIN && !bare {
            if first != 1 {
                return session(b, w, first);
            }
            let Some(head) = b.be32(off) else { return short(w) };
            if head != DATA {
                return unclaimed(w);
            }
            let Some(tag) = element(b, w, off + 4) else { return short(w) };
            if tag != USER_DATA {
                return unclaimed(w);
            }
            w.mem[LIST_END] = w.mem[CONTENT].wrapping_add(w.mem[LENGTH]);
        }
        if !bare && let Err(step) = value(b, w) {
            return step;
        }
        let at = w.mem[CONTENT];
        pdu(b, w, at)
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        let (tag, service) = (function >> 16, function & 0xFFFF);
        match tag {
            REQUEST if service != NONE => write!(out, "creq/{service}"),
            RESPONSE if service != NONE => write!(out, "cresp/{service}"),
            UNCONFIRMED if service != NONE => write!(out, "unconf/{service}"),
            INITIATE_REQUEST..=0xAA => out.write_str("initiate"),
            0x8B | 0x8C | 0xAD => out.write_str("conclude"),
            0x60..=0x64 => write!(out, "acse/{tag:#04x}"),
            SESSION.. => write!(out, "session/{:#04x}", tag & 0xFF),
            _ => out.write_str("other"),
        }
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        pdu_rows(&mut |r| each(Row { function: r.function << 16 | NONE, ..r }));
        spdu_rows(&mut |r| each(Row { function: (SESSION | r.function) << 16 | NONE, ..r }));
        unconfirmed_rows(each);
        service_rows(each);
    }
}

/// Reads the header of the element at `at` and returns its tag; content and length go to memory, so that the verifier
/// follows one way on from each of the forms.
#[inline(always)]
fn element<B: Bytes>(b: B, w: &mut Walk, at: u32) -> Option<u32> {
    let head = b.be16(at)? as u32;
    let form = head & 0xFF;
    w.mem[CONTENT] = at.wrapping_add(2);
    w.mem[LENGTH] = form;
    if form >= 0x80 {
        let size = form & 0x7F;
        if size == 0 || size > 4 {
            return None;
        }
        // The last two octets of the length; what is longer than they can say ends behind every segment.
        w.mem[CONTENT] = at.wrapping_add(2 + size);
        w.mem[LENGTH] =
            if size == 1 { b.u8(at.wrapping_add(2))? as u32 } else { b.be16(at.wrapping_add(size))? as u32 };
    }
    Some(head >> 8)
}

/// The octets end before the function: in the next segment it goes on, otherwise this is not MMS.
#[inline(always)]
fn short(w: &mut Walk) -> Step {
    if w.end < w.inner_end && w.mem[0] & STRICT == 0 { Step::PARTIAL } else { foreign(w) }
}

/// Session units other than data.
#[inline(always)]
fn session<B: Bytes>(b: B, w: &mut Walk, first: u32) -> Step {
    let off = w.off;
    let kind = SPDUS[b.index::<0xFF>(first)];
    if kind != Kind::UNLISTED.0 {
        let Some(size) = b.u8(off + 1) else { return short(w) };
        if w.mem[0] & STRICT != 0 || off + 2 + size as u32 != w.inner_end {
            return unclaimed(w);
        }
        let dir = w.port_dir();
        forget_empty(w);
        w.push(op::<Mms>((SESSION | first) << 16 | NONE, kind, dir, 0));
        return Step::DONE;
    }
    w.mem[CONTENT] = 0;
    for i in 0..OID_REACH {
        let Some(word) = b.be32(off + i) else { break };
        if word == MMS_OID {
            w.mem[CONTENT] = 1;
            break;
        }
    }
    if w.mem[CONTENT] == 0 {
        return short(w);
    }
    let tag = if first == CONNECT { INITIATE_REQUEST } else { INITIATE_RESPONSE };
    forget_empty(w);
    w.push(op::<Mms>(tag << 16 | NONE, PDUS[b.index::<0xFF>(tag)], DIRECTIONS[b.index::<0xFF>(tag)], 0));
    Step::DONE
}

/// Enters the presentation data value at the content of the last element: the PDU in it is the content then.
#[inline(always)]
fn value<B: Bytes>(b: B, w: &mut Walk) -> Result<(), Step> {
    let at = w.mem[CONTENT];
    let Some(tag) = element(b, w, at) else { return Err(short(w)) };
    if tag != SEQUENCE {
        return Err(foreign(w));
    }
    w.mem[VALUE_END] = w.mem[CONTENT].wrapping_add(w.mem[LENGTH]);
    let at = w.mem[CONTENT];
    let Some(mut tag) = element(b, w, at) else { return Err(short(w)) };
    if tag == OBJECT_IDENTIFIER {
        let at = w.mem[CONTENT].wrapping_add(w.mem[LENGTH]);
        let Some(next) = element(b, w, at) else { return Err(short(w)) };
        tag = next;
    }
    if tag != INTEGER {
        return Err(foreign(w));
    }
    let at = w.mem[CONTENT].wrapping_add(w.mem[LENGTH]);
    let Some(tag) = element(b, w, at) else { return Err(short(w)) };
    if tag != SINGLE_TYPE && tag != OCTETS {
        return Err(foreign(w));
    }
    Ok(())
}

/// What follows is not MMS: nothing behind a PDU that was one.
#[inline(always)]
fn foreign(w: &mut Walk) -> Step {
    if w.mem[PHASE] == BEGIN { unclaimed(w) } else { Step::MALFORMED }
}

/// A PDU of MMS or of association control.
#[inline(always)]
fn pdu<B: Bytes>(b: B, w: &mut Walk, at: u32) -> Step {
    let Some(tag) = element(b, w, at) else { return short(w) };
    let mut kind = PDUS[b.index::<0xFF>(tag)];
    if kind == Kind::UNLISTED.0 {
        return foreign(w);
    }
    let end = w.mem[CONTENT].wrapping_add(w.mem[LENGTH]);
    let exact = end <= w.mem[VALUE_END] && w.mem[VALUE_END] <= w.mem[LIST_END] && w.mem[LIST_END] == w.inner_end;
    let strict = w.mem[0] & STRICT != 0;
    if strict && (!exact || w.mem[0] & LAST == 0) {
        return foreign(w);
    }
    let mut dir = DIRECTIONS[b.index::<0xFF>(tag)];
    if matches!(dir, Dir::Unknown) {
        dir = w.port_dir();
    }
    let mut service = NONE;
    let confirmed = tag == REQUEST || tag == RESPONSE;
    if confirmed || tag == UNCONFIRMED {
        if confirmed {
            let at = w.mem[CONTENT];
            let Some(id) = element(b, w, at) else { return short(w) };
            if id != INTEGER {
                return foreign(w);
            }
            w.mem[CONTENT] = w.mem[CONTENT].wrapping_add(w.mem[LENGTH]);
        }
        let mut at = w.mem[CONTENT];
        let whole = w.end >= w.inner_end;
        if at < end && b.u8(at) == Some(SEQUENCE as u8) && element(b, w, at).is_some() {
            at = w.mem[CONTENT].wrapping_add(w.mem[LENGTH]);
        }
        let code = if at < end { b.u8(at) } else { Some(0) };
        let Some(code) = code else {
            if whole && w.mem[0] & LAST != 0 {
                return foreign(w);
            }
            return Step::PARTIAL;
        };
        let code = code as u32;
        if code >> 6 == 2 {
            service = code & 0x1F;
            if service == 0x1F {
                at = at.wrapping_add(1);
                let Some(low) = b.u8(at) else { return short(w) };
                service = low as u32;
                if service >= 0x80 {
                    at = at.wrapping_add(1);
                    let Some(low) = b.u8(at) else { return short(w) };
                    service = (service & 0x7F) << 7 | low as u32 & 0x7F;
                }
            }
            let slot = b.index::<0xFF>(service);
            kind = if tag == UNCONFIRMED { UNCONFIRMED_SERVICES[slot] } else { SERVICES[slot] };
            if service > 0xFF {
                kind = Kind::UNLISTED.0;
            }
            if tag == REQUEST && (service == READ || service == WRITE) {
                if !exact {
                    w.mem[VALUE_END] = 0;
                }
                w.mem[PHASE] = ITEM | service;
                return w.inner(Mms::NUMBER, at, end);
            }
        }
    }
    if !exact {
        w.mem[VALUE_END] = 0;
    }
    forget_empty(w);
    w.push(op::<Mms>(tag << 16 | service, kind, dir, 0));
    behind(w, end)
}

/// Goes on behind a PDU: with another one in the same value, or with another value.
#[inline(always)]
fn behind(w: &mut Walk, end: u32) -> Step {
    let (value, list) = (w.mem[VALUE_END], w.mem[LIST_END]);
    if value == 0 {
        return if w.mem[0] & LAST != 0 { Step::MALFORMED } else { Step::DONE };
    }
    if end < value {
        w.mem[PHASE] = NEXT_PDU;
        return w.inner(Mms::NUMBER, end, list);
    }
    if value < list {
        w.mem[PHASE] = NEXT_VALUE;
        return w.inner(Mms::NUMBER, value, list);
    }
    Step::DONE
}

/// A read or write, which the name of its first item decides. The cursor and what is found stay in memory.
#[inline(always)]
fn item<B: Bytes>(b: B, w: &mut Walk, service: u32) -> Step {
    let end = w.inner_end;
    for _ in 0..DEPTH {
        let at = w.off;
        let Some(tag) = element(b, w, at) else { break };
        if tag & 0x20 != 0 {
            w.off = w.mem[CONTENT];
            continue;
        }
        // Inside a domain the second string is the item; a name without a domain stands alone. One octet: a mark.
        let text = tag == VISIBLE_STRING;
        if (text && w.mem[PHASE] & DOMAIN != 0) || (!text && w.mem[LENGTH] > 1) {
            w.mem[PHASE] |= FOUND;
            break;
        }
        if text {
            w.mem[PHASE] |= DOMAIN;
        }
        w.off = w.mem[CONTENT].wrapping_add(w.mem[LENGTH]);
    }
    // From here on the cursor is the functional constraint.
    w.off = 0;
    if w.mem[PHASE] & FOUND == 0 {
        w.mem[LENGTH] = 0;
    }
    for i in 0..NODE {
        if i >= w.mem[LENGTH] {
            break;
        }
        let Some(word) = b.be32(w.mem[CONTENT].wrapping_add(i)) else { break };
        if word >> 24 == b'$' as u32 {
            w.off = (word >> 8) & 0xFFFF;
            break;
        }
    }
    let mut ending = 0;
    if w.mem[LENGTH] >= 4 {
        ending = b.be32(w.mem[CONTENT].wrapping_add(w.mem[LENGTH]).wrapping_sub(4)).unwrap_or(0);
    }
    let constraint = w.off;
    let kind = kind_of(service, constraint, ending);
    let mut found = op::<Mms>(REQUEST << 16 | service, kind, Dir::Request, 0);
    found.addr = constraint;
    found.span = (constraint != 0) as u32;
    forget_empty(w);
    w.push(found);
    behind(w, end)
}

/// Kind of a read or write of an item with this functional constraint and these last four letters.
#[inline(always)]
fn kind_of(service: u32, constraint: u32, ending: u32) -> u8 {
    let control = Kind::new(Class::Control, true).0;
    if ending == word(b"$SBO") || ending == word(b"_SBO") {
        return control;
    }
    if service == READ {
        return SERVICES[READ as usize];
    }
    if ending == word(b"mand") || ending == word(b"$Tag") || ending == word(b"_TAG") || constraint == letters(b"CO") {
        return control;
    }
    let mut kind = SERVICES[WRITE as usize];
    for config in CONSTRAINTS {
        if constraint == config {
            kind = Kind::new(Class::Config, true).0;
        }
    }
    kind
}

/// Functional constraints of settings and control blocks (IEC 61850-7-2).
const CONSTRAINTS: [u32; 11] = [
    letters(b"SG"),
    letters(b"SE"),
    letters(b"CF"),
    letters(b"DC"),
    letters(b"BL"),
    letters(b"RP"),
    letters(b"BR"),
    letters(b"GO"),
    letters(b"MS"),
    letters(b"US"),
    letters(b"LG"),
];

const fn letters(text: &[u8; 2]) -> u32 {
    (text[0] as u32) << 8 | text[1] as u32
}

const fn word(text: &[u8; 4]) -> u32 {
    u32::from_be_bytes(*text)
}

#[cfg(test)]
mod tests;
