//! TRDP: train real-time data protocol, process data over UDP and message data over UDP and TCP.
//!
//! Source: IEC 61375-2-3 annex A (TRDP: PDU layout, message types). UDP 17224 process data, UDP and TCP 17225 message
//! data. Big endian.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 4 | sequence counter |
//! | 4 | 2 | protocol version 1.x |
//! | 6 | 2 | message type, two letters |
//! | 8 | 4 | ComId |
//! | 12 | 8 | topology counters |
//! | 20 | 4 | length of the dataset, without padding to four octets |
//! | 24 | | process data: reserved 4, reply ComId 4, reply address 4, check 4, dataset at 40 |
//! | 24 | | message data: status 4, session 16, timeout 4, source and destination URI 32 each, check 4, dataset at 116 |
//!
//! Function encoding: the message type. Address: ComId. What a message asks for is settled by the ComId, which the
//! operator assigns: notifications and requests have class unknown. Not parsed: datasets, URIs, check.

use core::fmt;

use super::{Binding, Protocol, Row, op};
use crate::bytes::Bytes;
use crate::op::{Dir, Kind};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Trdp;

const DATA_PORT: u16 = 17224;
const MESSAGE_PORT: u16 = 17225;
const DATA_HEAD: u32 = 40;
const MESSAGE_HEAD: u32 = 116;
const DATASET_MAX: u32 = 0x1_0000;
/// First letter of the process data's types, and of the message data's.
const PROCESS: u32 = b'P' as u32;
const MESSAGE: u32 = b'M' as u32;

functions! {
    /// Process data by the second letter.
    DATA, data_rows, base PROCESS << 8;
    0x64 "Pd process data" CyclicIo!;
    0x65 "Pe process data error" Response;
    0x70 "Pp process data reply" CyclicIo;
    0x72 "Pr process data request" Read;
}

functions! {
    /// Message data by the second letter.
    MESSAGES, message_rows, base MESSAGE << 8;
    0x63 "Mc message confirm" Session;
    0x65 "Me message error" Response;
    0x6E "Mn message notification" Unknown!;
    0x70 "Mp message reply" Response;
    0x71 "Mq message reply with confirmation" Response;
    0x72 "Mr message request" Unknown!;
}

/// Directions by the second letter.
static DIRS: [Dir; 32] = {
    let mut t = [Dir::Unknown; 32];
    t[b'd' as usize & 31] = Dir::Publish;
    t[b'n' as usize & 31] = Dir::Publish;
    t[b'r' as usize & 31] = Dir::Request;
    t[b'c' as usize & 31] = Dir::Request;
    t[b'p' as usize & 31] = Dir::Response;
    t[b'q' as usize & 31] = Dir::Response;
    t[b'e' as usize & 31] = Dir::Response;
    t
};

impl Protocol for Trdp {
    const NAME: &'static str = "trdp";
    const TITLE: &'static str = "TRDP (IEC 61375-2-3)";
    const BINDING: Binding = Binding { tcp: &[MESSAGE_PORT], udp: &[DATA_PORT, MESSAGE_PORT], ethertypes: &[] };

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let Some(head) = b.be32(off + 4) else { return Step::REFUSE };
        let (sort, letter) = (head >> 8 & 0xFF, head & 0xFF);
        let (kind, header) = if sort == PROCESS {
            (DATA[b.index::<0xFF>(letter)], DATA_HEAD)
        } else if sort == MESSAGE {
            (MESSAGES[b.index::<0xFF>(letter)], MESSAGE_HEAD)
        } else {
            return Step::REFUSE;
        };
        // Listed as unknown: the request and the notification of message data.
        let opaque = sort == MESSAGE && (letter == 0x6E || letter == 0x72);
        if w.strict() || head >> 24 != 1 || (kind == Kind::UNLISTED.0 && !opaque) {
            return Step::REFUSE;
        }
        let Some(id) = b.be32(off + 8) else { return Step::PARTIAL };
        let Some(length) = b.be32(off + 20) else { return Step::PARTIAL };
        if length > DATASET_MAX {
            return Step::REFUSE;
        }
        w.pdu_end = off + header + ((length + 3) & !3);
        let mut found = op::<Trdp>(head & 0xFFFF, kind, DIRS[b.index::<31>(letter)], 0);
        found.addr = id;
        w.push(found);
        Step::DONE
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{:#06x}", function & 0xFFFF)
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        data_rows(each);
        message_rows(each);
    }
}

#[cfg(test)]
mod tests {
    use crate::reason::Outcome;
    use crate::testing::{cuts, hex, tcp, udp};

    const DATA: &str =
        "00000001 01005064 000003e8 00000000 00000000 00000003 00000000 00000000 00000000 ce487aea 48656c00";

    #[test]
    fn process_and_message_data() {
        let s = udp(47228, 17224, &hex(DATA));
        assert_eq!((s.lines(), s.flags), (["trdp:0x5064 cyclic-io! publish".into()].into(), 0));
        assert_eq!(s.ops[0].addr, 1000);
        let mut p = hex("00000000 01004d72 000003e9 00000000 00000000 0000000d");
        p.resize(132, 0);
        let s = tcp(45482, 17225, &p);
        assert_eq!((s.lines(), s.flags), (["trdp:0x4d72 unknown! request".into()].into(), 0));
        cuts(&hex(DATA), &[], &|p| udp(47228, 17224, p));
    }

    #[test]
    fn refusals() {
        let mut p = hex(DATA);
        p[4] = 2;
        assert_eq!(udp(47228, 17224, &p).outcome, Outcome::Unparsed);
        assert_eq!(udp(40000, 40001, &hex(DATA)).outcome, Outcome::NotOt);
    }
}
