//! BSAP over UDP: Bristol Standard Asynchronous Protocol, IP and serial framing.
//!
//! Source: the public description of BSAP and BSAP-IP, and recorded traffic. UDP 1234 (IP framing), 1235 (serial framing).
//! Little endian.
//!
//! | off | size | field (IP framing) |
//! |---|---|---|
//! | 0 | 2 | length of the header: 14, or 22 with eight more octets |
//! | 2 | 2 | number of messages |
//! | 4 | 2 | function |
//! | 6 | 4 | serial number |
//! | 10 | 4 | acknowledged serial number |
//!
//! Each message: length 4 (itself included), header type 1, sequence 4, application function 1, node status 1, RDB function
//! 1 (application function A0) or 2 (A1). The chain of lengths has to end with the datagram.
//!
//! | off | size | field (serial framing) |
//! |---|---|---|
//! | 0 | 2 | 10 02 |
//! | 2 | 1 | address; bit 7: five octets of global addressing follow the serial number |
//! | 3 | 1 | serial number |
//! | 4 | 6 | destination function, sequence 2, source function, node status, function |
//! | end - 4 | 2 | 10 03, then a CRC |
//!
//! Function encoding: function of the datagram, application function << 8, RDB function << 16; bit 31 for serial framing.
//! A datagram is one operation, that of its worst message. The byte order of the extended RDB functions is taken to be that
//! of the header. Not parsed: names and values, messages behind the fourth (flagged), the CRC and doubled 10 of serial
//! framing.

use core::fmt;

use super::{Binding, Protocol, Row, op};
use crate::bytes::Bytes;
use crate::op::{Class, Dir, Kind, rank_of};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Bsap;

const PORT: u16 = 1234;
const PORT_SERIAL: u16 = 1235;
const SERIAL: u32 = 1 << 31;
const HEAD: u32 = 14;
const HEAD_LONG: u32 = 22;
/// Octets of a message up to its RDB function.
const MESSAGE: u32 = 11;
const MESSAGES: u32 = 4;
const POLL: u32 = 0;
const COUNT: u32 = 1;
const RESPONSE: u32 = 5;
const REQUEST: u32 = 6;
const RDB: u8 = 0xA0;
const RDB_EXTENDED: u8 = 0xA1;

/// Which functions of the datagram are known.
static KNOWN: [u8; 256] = {
    let mut t = [0; 256];
    t[0] = 1;
    t[1] = 1;
    t[5] = 1;
    t[6] = 1;
    t[0x84] = 1;
    t[0x86] = 1;
    t
};

functions! {
    /// Application functions.
    APPLICATION, application_rows, base 0;
    0x48 "DIAG" Diagnostic;
    0x68 "FLASH_DOWNLOAD" ProgramDownload!;
    0x6A "FLASH_CONFIG" Config!;
    0x70 "CMD_HANDLER request" Control!;
    0x78 "DOWNLOAD_REQ_MSG_FRAMES" ProgramDownload!;
    0x88 "TS/NRT" Config!;
    0xA2 "RBE firmware" Alarm;
    0xA3 "RBE manager" Alarm;
    0xA8 "ALARM_ACK" Alarm!;
    0xA9 "ALARM_INIT" Alarm!;
    0xAA "ALARM_REPORT" Alarm;
    0xB0 "P2P master" CyclicIo!;
    0xB1 "P2P slave" CyclicIo;
    0xBF "TUNNEL_REQUEST" Unknown!;
}

functions! {
    /// RDB functions of application function A0.
    DATABASE, database_rows, base 0;
    0x00 "RDB read signal by address" Read;
    0x02 "RDB read logical by address" Read;
    0x04 "RDB read signal by name" Read;
    0x06 "RDB read logical by name" Read;
    0x0C "RDB read signal by list start" Read;
    0x0D "RDB read signal by list continue" Read;
    0x0E "RDB read logical by list start" Read;
    0x0F "RDB read logical by list continue" Read;
    0x80 "RDB write signal by address" Write!;
    0x84 "RDB write signal by name" Write!;
    0x8C "RDB write signal by list start" Write!;
    0x8D "RDB write signal by list continue" Write!;
}

functions! {
    /// Extended RDB functions of application function A1.
    EXTENDED[2048], extended_rows, base 0;
    0x0101 "RDB extension: reset system" Control!;
    0x0102 "RDB extension: diagnostics reset" Diagnostic!;
    0x0201 "RDB extension: read date and time" Read;
    0x0202 "RDB extension: read date" Read;
    0x0203 "RDB extension: read time" Read;
    0x0281 "RDB extension: write date and time" Write!;
    0x0400 "RDB extension: change local node address" Config!;
}

/// Function bits and kind of the message whose application function is at `at`.
#[inline(always)]
fn message<B: Bytes>(b: B, at: u32) -> (u32, u8) {
    let app = b.u8(at).unwrap_or(0);
    let word = b.le16(at + 2).unwrap_or(0);
    let low = word as u8;
    let function = (app as u32) << 8;
    if app == RDB {
        (function | (low as u32) << 16, DATABASE[low as usize])
    } else if app == RDB_EXTENDED {
        let kind = if word < 0x800 { EXTENDED[b.index::<0x7FF>(word as u32)] } else { Kind::UNLISTED.0 };
        (function | ((word & 0x7FFF) as u32) << 16, kind)
    } else {
        (function, APPLICATION[app as usize])
    }
}

#[inline(always)]
fn serial<B: Bytes>(b: B, w: &mut Walk) -> Step {
    let (off, end) = (w.off, w.end);
    if end - off < 14 {
        return Step::REFUSE;
    }
    let Some(tail) = b.be16(end - 4) else { return Step::REFUSE };
    let Some(address) = b.u8(off + 2) else { return Step::REFUSE };
    if tail != 0x1003 {
        return Step::REFUSE;
    }
    let at = if address & 0x80 != 0 { off + 9 } else { off + 4 };
    let Some(app) = b.u8(at) else { return Step::REFUSE };
    let Some(rdb) = b.u8(at + 5) else { return Step::REFUSE };
    let kind = if app == RDB { DATABASE[rdb as usize] } else { APPLICATION[app as usize] };
    w.pdu_end = end;
    let function = SERIAL | (app as u32) << 8 | (rdb as u32) << 16;
    w.push(op::<Bsap>(function, kind, Dir::Unknown, (address & 0x7F) as u32));
    Step::DONE
}

impl Protocol for Bsap {
    const NAME: &'static str = "bsap";
    const TITLE: &'static str = "BSAP (Bristol, Emerson) over UDP";
    const BINDING: Binding = Binding { tcp: &[], udp: &[PORT, PORT_SERIAL], ethertypes: &[] };

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let Some(length) = b.le16(off) else { return Step::REFUSE };
        if length == 0x0210 && !w.strict() {
            return serial(b, w);
        }
        let head = length as u32;
        let Some(count) = b.le16(off + 2) else { return Step::REFUSE };
        let Some(function) = b.le16(off + 4) else { return Step::REFUSE };
        let Some(_) = b.le32(off + 10) else { return Step::REFUSE };
        if (head != HEAD && head != HEAD_LONG)
            || function > 0xFF
            || KNOWN[b.index::<0xFF>(function as u32)] == 0
            || w.strict()
        {
            return Step::REFUSE;
        }
        let mut at = off + head;
        // Rank, kind and function of the worst message so far.
        let mut worst = 0;
        for n in 0..MESSAGES {
            if n >= count as u32 {
                break;
            }
            let Some(size) = b.le32(at) else { return Step::REFUSE };
            if !(MESSAGE..=0xFFFF).contains(&size) {
                return Step::REFUSE;
            }
            let (f, k) = message(b, at + 9);
            worst = core::cmp::max(worst, (rank_of(Kind(k)) as u64) << 40 | (k as u64) << 32 | f as u64);
            at += size;
        }
        if count as u32 > MESSAGES {
            w.flags |= crate::flags::WALK_LIMIT;
        } else if at != w.end {
            return Step::REFUSE;
        }
        w.pdu_end = w.end;
        let function = function as u32;
        if function == POLL {
            w.push(op::<Bsap>(POLL, Kind::new(Class::Session, false).0, Dir::Unknown, 0));
        } else if function == COUNT || function == RESPONSE {
            w.push(op::<Bsap>(function, Kind::new(Class::Response, false).0, Dir::Response, 0));
        } else {
            w.push(op::<Bsap>(function | worst as u32, (worst >> 32) as u8, Dir::Request, 0));
        }
        Step::DONE
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        if function & SERIAL != 0 {
            return write!(out, "serial/0x{:02x}", (function >> 8) & 0xFF);
        }
        write!(out, "0x{:02x}", function & 0xFF)
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        each(Row { function: POLL, name: "poll", class: Class::Session, state_changing: false });
        each(Row { function: COUNT, name: "response count", class: Class::Response, state_changing: false });
        each(Row { function: RESPONSE, name: "response", class: Class::Response, state_changing: false });
        application_rows(&mut |r| each(Row { function: r.function << 8 | REQUEST, ..r }));
        let rdb = (RDB as u32) << 8 | REQUEST;
        database_rows(&mut |r| each(Row { function: r.function << 16 | rdb, ..r }));
        let extended = (RDB_EXTENDED as u32) << 8 | REQUEST;
        extended_rows(&mut |r| each(Row { function: r.function << 16 | extended, ..r }));
    }
}

#[cfg(test)]
mod tests {
    use crate::reason::Outcome;
    use crate::testing::{hex, udp};

    #[test]
    fn request_response_and_poll() {
        let ask = hex("0e0001000600844b0000744b0000140000000c844b0000a0000403d0010f07404700");
        let ask = &ask[..34];
        assert_eq!(udp(1234, 1234, ask).lines(), ["bsap:0x06 read request"]);
        let poll = hex("0e000000000000000000754b0000");
        assert_eq!(udp(1234, 1234, &poll).lines(), ["bsap:0x00 session -"]);
        let mut set = ask.to_vec();
        set[25] = 0x84;
        assert_eq!(udp(1234, 1234, &set).lines(), ["bsap:0x06 write! request"]);
    }

    #[test]
    fn serial_framing() {
        let mut read = hex("10020501a0000000000400471003abcd");
        assert_eq!(udp(1235, 1235, &read).lines(), ["bsap:serial/0xa0 read -"]);
        read[9] = 0x84;
        assert_eq!(udp(1235, 1235, &read).lines(), ["bsap:serial/0xa0 write! -"]);
        read[13] = 0;
        assert_eq!(udp(1235, 1235, &read).outcome, Outcome::Unparsed);
    }

    #[test]
    fn the_chain_ends_with_the_datagram() {
        let poll = hex("0e000000000000000000754b000000");
        assert_eq!(udp(1234, 1234, &poll).outcome, Outcome::Unparsed);
        assert_eq!(udp(1234, 1234, &poll[..13]).outcome, Outcome::Unparsed);
    }
}
