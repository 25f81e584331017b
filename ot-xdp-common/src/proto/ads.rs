//! Beckhoff ADS over AMS: TCP, and the UDP discovery of the AMS router.
//!
//! Source: Beckhoff InfoSys, TwinCAT ADS/AMS specification (AMS/TCP header, AMS header, ADS commands, index groups). TCP
//! 48898, UDP 48899. Little endian.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 2 | reserved, 0 |
//! | 2 | 4 | length of what follows, 32 + data length |
//! | 6 | 8 | target: AMS net id 6, port 2 |
//! | 14 | 8 | source: the same |
//! | 22 | 2 | command, 1 to 9 |
//! | 24 | 2 | state flags: 1 response, 4 ADS command |
//! | 26 | 4 | data length |
//! | 30 | 8 | error code, invoke id |
//! | 38 | | data. Read, Write, ReadWrite: index group 4, index offset 4, length 4; ReadWrite: write length 4. Write Control: ADS state 2, device state 2, length 4 |
//!
//! UDP: magic 03661471, invoke id 4, service 4 (bit 31: response), address, tags.
//!
//! Function encoding: command, | index group (low 16 bits) << 8 or ADS state << 8 in requests; UDP: service | bit 30,
//! bit 31 for a response. Unit: AMS port of the device. Address: index group << 16 | index offset (low halves). Not
//! parsed: the requests inside a sum command, names and values, tags.

use core::fmt;

use super::{Binding, Protocol, Row, Sniff, op};
use crate::bytes::Bytes;
use crate::flags;
use crate::frame::{TCP, UDP};
use crate::op::{Class, Dir, Kind};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Ads;

const PORT: u16 = 48898;
const DISCOVERY_PORT: u16 = 48899;
const MAGIC: u32 = 0x0366_1471;
/// Octets of the AMS header.
const AMS: u32 = 32;
/// Octets in front of the data.
const HEAD: u32 = 38;
const LENGTH_MAX: u32 = 0x0100_0000;
const READ: u32 = 2;
const WRITE: u32 = 3;
const CONTROL: u32 = 5;
const READ_WRITE: u32 = 9;
const RESPONSE: u32 = 1;
const ADS_COMMAND: u32 = 4;
const DISCOVERY: u32 = 1 << 30;
const REPLY: u32 = 1 << 31;

functions! {
    COMMANDS, command_rows, base 0;
    0x01 "Read Device Info" Discovery;
    0x02 "Read" Read;
    0x03 "Write" Write!;
    0x04 "Read State" Diagnostic;
    0x05 "Write Control (state change)" Control!;
    0x06 "Add Device Notification" Read;
    0x07 "Delete Device Notification" Session;
    0x08 "Device Notification" Read;
    0x09 "ReadWrite (class by index group)" Write!;
}

functions! {
    /// Index groups F000 to F0FF by their low octet.
    SYMBOLS, symbol_rows, base 0xF000;
    0x00 "SYMTAB" Discovery;
    0x03 "SYM_HNDBYNAME (ReadWrite)" Discovery;
    0x04 "SYM_VALBYNAME" Write!;
    0x05 "SYM_VALBYHND" Write!;
    0x06 "SYM_RELEASEHND (Write)" Session;
    0x07 "SYM_INFOBYNAME" Discovery;
    0x08 "SYM_VERSION" Discovery;
    0x09 "SYM_INFOBYNAMEEX (ReadWrite)" Discovery;
    0x0A "SYM_DOWNLOAD" ProgramDownload!;
    0x0B "SYM_UPLOAD" Discovery;
    0x0C "SYM_UPLOADINFO" Discovery;
    0x0D "SYM_DOWNLOAD2" ProgramDownload!;
    0x0F "SYM_UPLOADINFO2" Discovery;
    0x20 "IOIMAGE_RWIB" Write!;
    0x21 "IOIMAGE_RWIX" Write!;
    0x30 "IOIMAGE_RWOB" Write!;
    0x31 "IOIMAGE_RWOX" Write!;
    0x40 "IOIMAGE_CLEARI" Write!;
    0x50 "IOIMAGE_CLEARO" Write!;
    0x60 "IOIMAGE_RWIOB" Write!;
    0x80 "SUMUP_READ (ReadWrite)" Read;
    0x81 "SUMUP_WRITE (ReadWrite)" Write!;
    0x82 "SUMUP_READWRITE" Write!;
    0x83 "SUMUP_READEX" Read;
    0x84 "SUMUP_READEX2" Read;
    0x85 "SUMUP_ADDDEVNOTE" Read;
    0x86 "SUMUP_DELDEVNOTE" Session;
}

functions! {
    /// Index groups of the system service.
    SYSTEM[2048], system_rows, base 0;
    0x0078 "SYSTEMSERVICE_FOPEN (120)" File!;
    0x0079 "SYSTEMSERVICE_FCLOSE (121)" File;
    0x007A "SYSTEMSERVICE_FREAD (122)" File;
    0x007B "SYSTEMSERVICE_FWRITE (123)" File!;
    0x0083 "SYSTEMSERVICE_FDELETE (131)" File!;
    0x0085 "SYSTEMSERVICE_FFILEFIND (133)" File;
    0x01F4 "SYSTEMSERVICE_STARTPROCESS (500)" Control!;
    0x04B0 "SYSTEMSERVICE_SETNUMPROC (1200)" Config!;
}

functions! {
    /// ADS states of Write Control.
    STATES, state_rows, base 0;
    0x02 "RESET" Control!;
    0x04 "START" Control!;
    0x05 "RUN" Control!;
    0x06 "STOP" Control!;
    0x07 "SAVECFG" Config!;
    0x08 "LOADCFG" Config!;
    0x0C "SHUTDOWN" Control!;
    0x0D "SUSPEND" Control!;
    0x0E "RESUME" Control!;
    0x0F "CONFIG" Control!;
    0x10 "RECONFIG" Control!;
}

functions! {
    /// Services of the router over UDP.
    SERVICES, service_rows, base DISCOVERY;
    1 "Server Info" Discovery;
    6 "Add Route" Config!;
}

/// Octets of data that a request has besides what its own length field adds; 0 where that is not fixed.
static FIXED: [u8; 16] = [0, 0, 12, 12, 0, 8, 40, 4, 0, 16, 0, 0, 0, 0, 0, 0];

impl Protocol for Ads {
    const NAME: &'static str = "ads";
    const TITLE: &'static str = "Beckhoff ADS/AMS";
    const BINDING: Binding = Binding { tcp: &[PORT], udp: &[DISCOVERY_PORT], ethertypes: &[] };
    const SNIFF: &'static [Sniff] =
        &[Sniff { l4: TCP, mask: 0xFFFF_0000, value: 0 }, Sniff { l4: UDP, mask: 0xFFFF_FFFF, value: MAGIC }];

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let Some(head) = b.be32(off) else { return short(w) };
        if head == MAGIC {
            return discovery(b, w);
        }
        if head >> 16 != 0 {
            return Step::REFUSE;
        }
        let Some(length) = b.le32(off + 2) else { return short(w) };
        if !(AMS..=LENGTH_MAX).contains(&length) {
            return Step::REFUSE;
        }
        let Some(word) = b.le32(off + 22) else { return short(w) };
        let Some(data) = b.le32(off + 26) else { return short(w) };
        let command = word & 0xFFFF;
        let state = word >> 16;
        if length.wrapping_sub(AMS) != data || (w.strict() && (command > 9 || command == 0 || state & ADS_COMMAND == 0))
        {
            return Step::REFUSE;
        }
        w.pdu_end = off + HEAD + data;
        let kind = if command < 256 { COMMANDS[b.index::<0xFF>(command)] } else { Kind::UNLISTED.0 };
        if state & RESPONSE != 0 {
            // The answer to ReadWrite does not say which index group was asked for.
            let kind = if command == READ_WRITE { Class::Response as u8 } else { kind };
            let port = b.be16(off + 20).unwrap_or(0).swap_bytes();
            w.push(op::<Ads>(command & 0xFF, kind, Dir::Response, port as u32));
            return Step::DONE;
        }
        let port = b.be16(off + 12).unwrap_or(0).swap_bytes();
        let dir = if command == 8 { Dir::Publish } else { Dir::Request };
        let mut found = op::<Ads>(command & 0xFF, kind, dir, port as u32);
        let first = b.le32(off + HEAD).unwrap_or(0);
        let third = b.le32(off + HEAD + 8).unwrap_or(0);
        let mut need = FIXED[b.index::<0xF>(command)] as u32;
        if w.pdu_end > w.end && off + HEAD + need > w.end && data >= need {
            // Index group and lengths come with the next segment.
            return Step::PARTIAL;
        }
        if command == CONTROL {
            let kind = if first & 0xFFE0 == 0 { STATES[b.index::<0x1F>(first)] } else { Kind::UNLISTED.0 };
            let kind = if kind == Kind::UNLISTED.0 { COMMANDS[CONTROL as usize] } else { kind };
            found = op::<Ads>(CONTROL | (first & 0xFFFF) << 8, kind, dir, port as u32);
            need = need.saturating_add(b.le32(off + HEAD + 4).unwrap_or(0));
        } else if command == READ || command == WRITE || command == READ_WRITE {
            let kind = by_group(b, command, first, kind);
            found = op::<Ads>(command | (first & 0xFFFF) << 8, kind, dir, port as u32);
            found.addr = (first & 0xFFFF) << 16 | b.le32(off + HEAD + 4).unwrap_or(0) & 0xFFFF;
            found.span = third;
            if command == WRITE {
                need = need.saturating_add(third);
            } else if command == READ_WRITE {
                need = need.saturating_add(b.le32(off + HEAD + 12).unwrap_or(0));
            }
        }
        w.push(found);
        // Behind the end of the command there is room for another PDU.
        if command != 0 && command <= 9 && command != 8 && need <= LENGTH_MAX && data >= need + HEAD {
            w.flags |= flags::LENGTH_LIE;
            w.pdu_end = off + HEAD + need;
        }
        Step::DONE
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        if function & DISCOVERY != 0 {
            return write!(out, "udp/{:#010x}", function & !DISCOVERY);
        }
        write!(out, "{}", function & 0xFF)
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        command_rows(each);
        let mut groups = |r: Row| {
            let command = if r.state_changing || r.class == Class::Read { READ_WRITE } else { READ };
            each(Row { function: r.function << 8 | command, ..r });
        };
        symbol_rows(&mut groups);
        system_rows(&mut groups);
        state_rows(&mut |r| each(Row { function: r.function << 8 | CONTROL, ..r }));
        service_rows(each);
    }
}

/// A segment that ends inside the header: believed only on the port.
#[inline(always)]
fn short(w: &Walk) -> Step {
    if w.strict() { Step::REFUSE } else { Step::PARTIAL }
}

/// What a command does with an index group: reads stay reads, writes stay writes, and the group refines both.
#[inline(always)]
fn by_group<B: Bytes>(b: B, command: u32, group: u32, kind: u8) -> u8 {
    let known = if group >> 8 == 0xF0 {
        SYMBOLS[b.index::<0xFF>(group)]
    } else if group < 2048 {
        SYSTEM[b.index::<0x7FF>(group)]
    } else if group == 0xF100 {
        Class::Diagnostic as u8
    } else {
        Kind::UNLISTED.0
    };
    let changes = known & Kind::STATE_CHANGING != 0;
    if known == Kind::UNLISTED.0 || (command == READ && changes) {
        return kind;
    }
    // A plain Write to a group that only reads is a write all the same, but for releasing handles.
    if command == WRITE && !changes && known != Class::Session as u8 {
        return kind;
    }
    known
}

/// The AMS router's discovery.
#[inline(always)]
fn discovery<B: Bytes>(b: B, w: &mut Walk) -> Step {
    let Some(service) = b.le32(w.off + 8) else { return Step::REFUSE };
    let number = service & !REPLY;
    if number > 0xFF {
        return Step::REFUSE;
    }
    w.pdu_end = w.end;
    let reply = service & REPLY != 0;
    let kind = if reply { Class::Response as u8 } else { SERVICES[b.index::<0xFF>(number)] };
    let dir = if reply { Dir::Response } else { Dir::Request };
    w.push(op::<Ads>(service & (REPLY | 0xFF) | DISCOVERY, kind, dir, 0));
    Step::DONE
}

#[cfg(test)]
mod tests {
    use crate::flags;
    use crate::reason::Outcome;
    use crate::testing::{cuts, hex, tcp, udp};

    const WRITE_CONTROL: &str =
        "0000 28000000 0a4d00020101 1027 0a4d00010101 3175 0500 0400 08000000 00000000 02000000 0500 0000 00000000";
    const HANDLE: &str = "00003b0000000a4d00020101 5303 0a4d00010101 3175 0900 0400 1b000000 00000000 03000000 03f00000 00000000 04000000 0b000000 4d61696e2e737065656400";
    const ANSWER: &str = "0000 2c000000 0a4d00010101 3175 0a4d00020101 5303 0900 0500 0c000000 00000000 03000000 00000000 04000000 10270000";

    #[test]
    fn requests_by_index_group_and_state() {
        let s = tcp(40000, 48898, &hex(WRITE_CONTROL));
        assert_eq!((s.lines(), s.flags), (["ads:5 control! request".into()].into(), 0));
        assert_eq!(s.ops[0].unit, 10000);
        let s = tcp(40000, 48898, &hex(HANDLE));
        assert_eq!((s.lines(), s.flags), (["ads:9 discovery request".into()].into(), 0));
        cuts(&hex(HANDLE), &[], &|p| tcp(40000, 48898, p));
    }

    #[test]
    fn answers_and_other_ports() {
        let s = tcp(5000, 41000, &hex(ANSWER));
        assert_eq!((s.lines(), s.flags), (["ads:9 response response".into()].into(), flags::PORT_MISMATCH));
        let s = udp(48899, 48899, &hex("03661471 00000000 06000080 0a4d00020101 1027 00000000"));
        assert_eq!(s.lines(), ["ads:udp/0x80000006 response response"]);
    }

    #[test]
    fn lengths_have_to_agree() {
        let mut p = hex(HANDLE);
        p[26] ^= 1;
        assert_eq!(tcp(40000, 48898, &p).outcome, Outcome::Unparsed);
        assert_eq!(tcp(40000, 40001, &p).outcome, Outcome::NotOt);
    }

    #[test]
    fn a_pdu_hidden_behind_a_read() {
        let mut p = hex(
            "0000 54000000 0a4d00020101 5303 0a4d00010101 3175 0200 0400 34000000 00000000 02000000 05f00000 01000000 02000000",
        );
        p.extend(hex(WRITE_CONTROL).iter().take(40));
        p.extend([0; 6]);
        let s = tcp(40000, 48898, &p);
        assert_eq!(s.paths(), ["ads:2", "ads:5"]);
        assert_ne!(s.flags & flags::LENGTH_LIE, 0);
    }

    #[test]
    fn a_command_that_goes_on_in_the_next_segment() {
        let p = hex(HANDLE);
        // Index group and lengths are not there yet: neither the function nor a lie can be told.
        let s = tcp(40000, 48898, &p[..38]);
        assert_eq!((s.outcome, s.lines(), s.flags), (Outcome::Continuation, [].into(), flags::SPLIT));
        assert_eq!(tcp(40000, 48898, &p[..54]).lines(), ["ads:9 discovery request"]);
    }

    #[test]
    fn lengths_that_overflow() {
        let mut p = hex(HANDLE);
        p[50..54].fill(0xFF);
        let s = tcp(40000, 48898, &p);
        assert_eq!((s.paths(), s.flags), (["ads:9".into()].into(), 0));
    }
}
