//! AMQP: message broker protocol over TCP, versions 0-9-1 and 1.0.
//!
//! Source: AMQP 0-9-1 specification cl. 2.3 (framing, method ids); OASIS AMQP 1.0 part 2 cl. 2.3 and 2.7 (frames,
//! performatives), part 5 cl. 5.3 (SASL). Port 5672. Big endian.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 8 | protocol header: "AMQP", 4 octets of version |
//! | 0 | 1 | 0-9-1 frame: type 1 method, 2 header, 3 body, 8 heartbeat |
//! | 1 | 2 | channel |
//! | 3 | 4 | size of the payload |
//! | 7 | | payload; method: class 2, method 2; then CE |
//! | 0 | 4 | 1.0 frame: size, 4 data offset in words, 5 type 0 or 1, 6 channel; performative 00 53 code |
//!
//! Function encoding: 0-9-1: class << 16 | method, other frames: type << 24; header: bit 31; 1.0: performative | bit 30.
//! Unit: channel. Not parsed: exchanges, routing keys, contents.

use core::fmt;

use super::{Binding, Protocol, Row, Sniff, op};
use crate::bytes::Bytes;
use crate::frame::TCP;
use crate::op::{Class, Dir, Kind};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Amqp;

const PORT: u16 = 5672;
const MAGIC: u32 = 0x414D_5150;
const HEADER: u32 = 1 << 31;
const ONE: u32 = 1 << 30;
/// Octets of a 0-9-1 frame around its payload.
const FRAME: u32 = 8;
const FRAME_END: u8 = 0xCE;
const SIZE_MAX: u32 = 0x0400_0000;
const METHOD: u32 = 1;
const HEARTBEAT: u32 = 8;
const CONNECTION: u32 = 10;
const BASIC: u32 = 60;
const TRANSFER: u8 = 0x14;

/// Kinds of the method classes.
static CLASSES: [u8; 128] = {
    let mut t = [Kind::UNLISTED.0; 128];
    t[10] = Class::Session as u8;
    t[20] = Class::Session as u8;
    t[40] = Kind::new(Class::Config, true).0;
    t[50] = Kind::new(Class::Config, true).0;
    t[60] = Class::Unknown as u8;
    t[85] = Class::Session as u8;
    t[90] = Class::Session as u8;
    t
};

functions! {
    /// Methods of class basic.
    BASICS, basic_rows, base BASIC << 16;
    10 "basic.qos" Session;
    11 "basic.qos-ok" Session;
    20 "basic.consume" Read;
    21 "basic.consume-ok" Response;
    40 "basic.publish" Write!;
    50 "basic.return" Unknown;
    60 "basic.deliver" Unknown;
    70 "basic.get" Unknown;
}

functions! {
    /// Performatives of AMQP 1.0.
    PERFORMATIVES, performative_rows, base ONE;
    0x10 "open" Session;
    0x11 "begin" Session;
    0x12 "attach" Session;
    0x13 "flow" Session;
    0x14 "transfer" Unknown!;
    0x15 "disposition" Session;
    0x16 "detach" Session;
    0x17 "end" Session;
    0x18 "close" Session;
    0x40 "sasl-mechanisms" Auth;
    0x41 "sasl-init" Auth;
    0x42 "sasl-challenge" Auth;
    0x43 "sasl-response" Auth;
    0x44 "sasl-outcome" Auth;
}

impl Protocol for Amqp {
    const NAME: &'static str = "amqp";
    const TITLE: &'static str = "AMQP 0-9-1, 1.0";
    const BINDING: Binding = Binding { tcp: &[PORT], udp: &[], ethertypes: &[] };
    const SNIFF: &'static [Sniff] = &[Sniff { l4: TCP, mask: 0xFFFF_FFFF, value: MAGIC }];

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let Some(head) = b.be64(off) else { return if w.strict() { Step::REFUSE } else { Step::PARTIAL } };
        if head >> 32 == MAGIC as u64 {
            // Protocol id 0, 2 (TLS), 3 (SASL), version 1.0, or 0-0-9-1.
            let version = head as u32;
            if version & 0xFCFF_FFFF != 0x0001_0000 && version != 0x0000_0901 {
                return Step::REFUSE;
            }
            w.pdu_end = off + 8;
            let dir = w.port_dir();
            w.push(op::<Amqp>(HEADER, Class::Session as u8, dir, 0));
            return Step::DONE;
        }
        let kind = (head >> 56) as u32;
        if w.strict() && w.pdus == 0 {
            return Step::REFUSE;
        }
        if kind == 0 {
            return one(b, w, head);
        }
        let channel = (head >> 40) as u32 & 0xFFFF;
        let size = (head >> 8) as u32;
        if (kind > 3 && kind != HEARTBEAT) || size > SIZE_MAX || (kind == HEARTBEAT && (size != 0 || channel != 0)) {
            return Step::REFUSE;
        }
        let end = off + FRAME + size;
        let close = b.u8(end - 1);
        if close.is_some() && close != Some(FRAME_END) {
            return Step::REFUSE;
        }
        w.pdu_end = end;
        if kind != METHOD {
            let class = if kind == HEARTBEAT { Class::Session } else { Class::Unknown };
            let dir = w.port_dir();
            w.push(op::<Amqp>(kind << 24, class as u8, dir, channel));
            return Step::DONE;
        }
        let Some(method) = b.be32(off + 7) else { return Step::PARTIAL };
        let (class, number) = (method >> 16, method & 0xFFFF);
        if size < 4 || class > 127 || number > 0xFF {
            return Step::REFUSE;
        }
        let mut known = CLASSES[b.index::<127>(class)];
        if class == BASIC {
            let basic = BASICS[b.index::<0xFF>(number)];
            known = if basic == Kind::UNLISTED.0 { known } else { basic };
        } else if class == CONNECTION && number == 11 {
            known = Class::Auth as u8;
        }
        // Methods that answer are odd; in the connection's class they go both ways.
        let dir = if class != CONNECTION && number & 1 != 0 { Dir::Response } else { w.port_dir() };
        w.push(op::<Amqp>(method, known, dir, channel));
        Step::DONE
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        if function & HEADER != 0 {
            out.write_str("hdr")
        } else if function & ONE != 0 {
            write!(out, "1.0:{:#04x}", function & 0xFF)
        } else if function >> 24 != 0 {
            write!(out, "{}", function >> 24)
        } else {
            write!(out, "1:{}:{}", function >> 16, function & 0xFFFF)
        }
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        basic_rows(each);
        performative_rows(each);
        let more = [
            (HEADER, "Protocol header", Class::Session, false),
            (CONNECTION << 16 | 11, "connection.start-ok", Class::Auth, false),
            (40 << 16 | 10, "exchange.declare", Class::Config, true),
            (40 << 16 | 20, "exchange.delete", Class::Config, true),
            (50 << 16 | 10, "queue.declare", Class::Config, true),
            (50 << 16 | 20, "queue.bind", Class::Config, true),
            (50 << 16 | 30, "queue.purge", Class::Config, true),
            (50 << 16 | 40, "queue.delete", Class::Config, true),
            (2 << 24, "Content header", Class::Unknown, false),
            (3 << 24, "Content body", Class::Unknown, false),
            (8 << 24, "Heartbeat", Class::Session, false),
        ];
        for (function, name, class, state_changing) in more {
            each(Row { function, name, class, state_changing });
        }
    }
}

/// A frame of AMQP 1.0.
#[inline(always)]
fn one<B: Bytes>(b: B, w: &mut Walk, head: u64) -> Step {
    let size = (head >> 32) as u32;
    let offset = (head >> 24) as u32 & 0xFF;
    let sort = (head >> 16) as u32 & 0xFF;
    if !(8..=SIZE_MAX).contains(&size) || offset < 2 || sort > 1 || offset * 4 > size {
        return Step::REFUSE;
    }
    w.pdu_end = w.off + size;
    let dir = w.port_dir();
    if size == offset * 4 {
        w.push(op::<Amqp>(ONE, Class::Session as u8, dir, 0));
        return Step::DONE;
    }
    let Some(descriptor) = b.be16(w.off + offset * 4) else { return Step::PARTIAL };
    let Some(code) = b.u8(w.off + offset * 4 + 2) else { return Step::PARTIAL };
    let known = PERFORMATIVES[code as usize];
    if descriptor != 0x0053 || (known == Kind::UNLISTED.0 && code != TRANSFER) {
        return Step::REFUSE;
    }
    w.push(op::<Amqp>(ONE | code as u32, known, dir, (head & 0xFFFF) as u32));
    Step::DONE
}

#[cfg(test)]
mod tests {
    use crate::reason::Outcome;
    use crate::testing::{cuts, hex, tcp};

    const PUBLISH: &str = "01 0001 00000009 003c0028 0000000000 ce";

    #[test]
    fn frames() {
        assert_eq!(tcp(40000, 5672, &hex("414d515000000901")).lines(), ["amqp:hdr session request"]);
        let s = tcp(40000, 5672, &hex(PUBLISH));
        assert_eq!((s.lines(), s.flags), (["amqp:1:60:40 write! request".into()].into(), 0));
        assert_eq!(tcp(5672, 40000, &hex("08000000000000ce")).lines(), ["amqp:8 session response"]);
        assert_eq!(tcp(40000, 41000, &hex("414d515000010000")).paths(), ["amqp:hdr"]);
        cuts(&hex(PUBLISH), &[], &|p| tcp(40000, 5672, p));
    }

    #[test]
    fn refusals() {
        let mut p = hex(PUBLISH);
        *p.last_mut().expect("octets") = 0;
        assert_eq!(tcp(40000, 5672, &p).outcome, Outcome::Unparsed);
        assert_eq!(tcp(40000, 41000, &hex(PUBLISH)).outcome, Outcome::NotOt);
    }
}
