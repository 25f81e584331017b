//! Foundation Fieldbus HSE (high speed Ethernet) over UDP and TCP.
//!
//! Source: FF-588 HSE field device access agent, message header. Ports 1089 to 1091 and 3622. Big endian.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 1 | version, 1 (0 seen in made-up messages) |
//! | 1 | 1 | options: which trailer fields follow |
//! | 2 | 1 | protocol (upper six bits: 04 session, 08 system management, 0C FMS, 10 redundancy), type: 0 request, 1 response, 2 error |
//! | 3 | 1 | service, bit 7: confirmed |
//! | 4 | 4 | FDA address |
//! | 8 | 4 | length of the message, header and trailer included |
//!
//! Function encoding: protocol << 8, service with its bit 7. Unit: FDA address. A service
//! that its protocol does not have, or a protocol that is not listed, is unknown, and believed only in a datagram that the
//! message fills. Not parsed: arguments.

use core::fmt;

use super::{Binding, Protocol, Row, op};
use crate::bytes::Bytes;
use crate::frame::UDP;
use crate::op::{Dir, Kind};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct FfHse;

const HEAD: u32 = 12;
/// Marks a function of a protocol that is not listed: the low 16 bits are its octet and the service.
const OTHER: u32 = 1 << 16;

functions! {
    /// By protocol (2 bits: 0 session, 1 system management, 2 FMS, 3 redundancy) << 8 and service.
    FUNCTIONS[1024], functions_rows, base 0;
    0x081 "FDA Open Session" Session;
    0x083 "FDA Idle" Session;
    0x101 "SM Find Tag Query" Discovery;
    0x102 "SM Find Tag Reply" Response;
    0x110 "SM Device Annunciation" Discovery;
    0x183 "SM Identify" Discovery;
    0x18C "SM Clear Address" Config!;
    0x18E "SM Set Assignment Info" Config!;
    0x18F "SM Clear Assignment Info" Config!;
    0x200 "FMS Information Report" CyclicIo;
    0x201 "FMS Unsolicited Status" Alarm;
    0x202 "FMS Event Notification" Alarm;
    0x210 "FMS Information Report with subindex" CyclicIo;
    0x211 "FMS Information Report on change" CyclicIo;
    0x212 "FMS Information Report on change with subindex" CyclicIo;
    0x270 "FMS Abort" Session;
    0x280 "FMS Status" Diagnostic;
    0x281 "FMS Identify" Discovery;
    0x282 "FMS Read" Read;
    0x283 "FMS Write" Write!;
    0x284 "FMS Get OD" Discovery;
    0x287 "FMS Define Variable List" Config!;
    0x288 "FMS Delete Variable List" Config!;
    0x289 "FMS Initiate Download Sequence" ProgramDownload!;
    0x28A "FMS Download Segment" ProgramDownload!;
    0x28B "FMS Terminate Download Sequence" ProgramDownload!;
    0x28C "FMS Initiate Upload Sequence" ProgramUpload;
    0x28D "FMS Upload Segment" ProgramUpload;
    0x28E "FMS Terminate Upload Sequence" ProgramUpload;
    0x28F "FMS Request Domain Download" ProgramDownload!;
    0x290 "FMS Request Domain Upload" ProgramUpload;
    0x291 "FMS Create Program Invocation" Control!;
    0x292 "FMS Delete Program Invocation" Control!;
    0x293 "FMS Start" Control!;
    0x294 "FMS Stop" Control!;
    0x295 "FMS Resume" Control!;
    0x296 "FMS Reset" Control!;
    0x297 "FMS Kill" Control!;
    0x298 "FMS Alter Event Condition Monitoring" Config!;
    0x299 "FMS Acknowledge Event Notification" Alarm!;
    0x29C "FMS Initiate Put OD" Config!;
    0x29D "FMS Put OD" Config!;
    0x29E "FMS Terminate Put OD" Config!;
    0x29F "FMS Generic Initiate Download Sequence" ProgramDownload!;
    0x2A0 "FMS Generic Download Segment" ProgramDownload!;
    0x2A1 "FMS Generic Terminate Download Sequence" ProgramDownload!;
    0x2D2 "FMS Read with subindex" Read;
    0x2D3 "FMS Write with subindex" Write!;
    0x2E0 "FMS Initiate" Session;
    0x301 "LAN redundancy diagnostic message" Diagnostic;
    0x381 "LAN redundancy get information" Read;
    0x382 "LAN redundancy put information" Config!;
    0x383 "LAN redundancy get statistics" Read;
}

impl Protocol for FfHse {
    const NAME: &'static str = "ffhse";
    const TITLE: &'static str = "Foundation Fieldbus HSE";
    const BINDING: Binding =
        Binding { tcp: &[1089, 1090, 1091, 3622], udp: &[1089, 1090, 1091, 3622], ethertypes: &[] };

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let Some(head) = b.be32(off) else { return Step::REFUSE };
        let kind = (head >> 8) & 3;
        // 04, 08, 0C, 10 become 0 to 3.
        let protocol = ((head >> 10) & 0x3F).wrapping_sub(1);
        let service = head & 0xFF;
        if head >> 24 > 1 || kind > 2 || w.strict() {
            return Step::REFUSE;
        }
        let mut function = protocol << 8 | service;
        let mut known = FUNCTIONS[b.index::<1023>(function)];
        if protocol > 3 {
            function = OTHER | (head & 0xFFFF);
            known = Kind::UNLISTED.0;
        }
        let listed = known != Kind::UNLISTED.0;
        if !listed && w.service >> 16 != UDP as u32 {
            return Step::REFUSE;
        }
        let Some(unit) = b.be32(off + 4) else { return Step::PARTIAL };
        let Some(length) = b.be32(off + 8) else { return Step::PARTIAL };
        if !(HEAD..=0xFFFF).contains(&length) {
            return Step::REFUSE;
        }
        w.pdu_end = off + length;
        if !listed && w.pdu_end != w.end {
            return Step::REFUSE;
        }
        let dir = if kind == 0 { Dir::Request } else { Dir::Response };
        w.push(op::<FfHse>(function, known, dir, unit));
        Step::DONE
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        if function & OTHER != 0 {
            return out.write_str("?");
        }
        let layer = ["fda", "sm", "fms", "lan"][(function >> 8 & 3) as usize];
        let sure = if function & 0x80 != 0 { 'c' } else { 'u' };
        write!(out, "{layer}/{sure}/{}", function & 0x7F)
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        functions_rows(each);
    }
}

#[cfg(test)]
mod tests {
    use crate::reason::Outcome;
    use crate::testing::{hex, tcp, udp};

    #[test]
    fn read_write_and_answers() {
        assert_eq!(udp(40000, 1091, &hex("01000c82000000010000000c")).lines(), ["ffhse:fms/c/2 read request"]);
        assert_eq!(udp(40000, 1091, &hex("01000c83000000010000000c")).lines(), ["ffhse:fms/c/3 write! request"]);
        assert_eq!(udp(1091, 40000, &hex("01000983000000010000000c")).lines(), ["ffhse:sm/c/3 discovery response"]);
    }

    #[test]
    fn unknown_services_and_wrong_lengths() {
        assert_eq!(udp(40000, 1091, &hex("01000cff000000010000000c")).lines(), ["ffhse:fms/c/127 unknown! request"]);
        assert_eq!(udp(40000, 1091, &hex("01001801000000010000000c")).lines(), ["ffhse:? unknown! request"]);
        assert_eq!(udp(40000, 1091, &hex("01000cff000000010000000d00000000")).outcome, Outcome::Unparsed);
        assert_eq!(tcp(40000, 1091, &hex("01000cff000000010000000c")).outcome, Outcome::Unparsed);
        assert_eq!(udp(40000, 1091, &hex("01000c82000000010000000b")).outcome, Outcome::Unparsed);
        assert_eq!(tcp(40000, 1091, &hex("01000c8200000001")).ops.len(), 0);
    }
}
