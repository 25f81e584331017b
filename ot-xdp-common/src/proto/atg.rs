//! Veeder-Root automatic tank gauges: text commands over TCP.
//!
//! Source: the public TLS-300/350 serial interface manual, and recorded traffic. TCP 10001.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 1 | 01 (answers also 0A) |
//! | 1 | 1 | I inquire, S set; small letters ask for the computer format |
//! | 2 | 3 | function, e.g. 201 |
//! | 5 | 2 | tank or device |
//! | 7 | | data, end of line; answers end with 03 |
//!
//! Function encoding: five characters of 6 bits (0 to 35), bit 30 for a small letter, bit 31 for S. Unit: tank. A command's
//! security code of six characters in front is not known. Not parsed: data, tables of the answers.

use core::fmt;

use super::{Binding, Protocol, Row, op};
use crate::bytes::Bytes;
use crate::op::{Class, Dir, Kind};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Atg;

const PORT: u16 = 10001;
const SET: u32 = 1 << 31;
const SMALL: u32 = 1 << 30;

/// Letters and digits as numbers from 0 to 35 plus one.
static VALUE: [u8; 256] = {
    let mut t = [0; 256];
    let mut i = 0;
    while i < 10 {
        t[b'0' as usize + i] = i as u8 + 1;
        i += 1;
    }
    let mut i = 0;
    while i < 26 {
        t[b'A' as usize + i] = i as u8 + 11;
        t[b'a' as usize + i] = i as u8 + 11;
        i += 1;
    }
    t
};

functions! {
    /// Inquiries by first character << 8 and two digits in BCD.
    INQUIRE[4096], inquire_rows, base 0;
    0x101 "system status report" Read;
    0x201 "in-tank inventory report" Read;
    0x202 "delivery report" Read;
    0x203 "leak report" Read;
    0x204 "shift report" Read;
    0x205 "in-tank status report" Read;
    0x206 "tank alarm history" Alarm;
    0x301 "sensor status" Read;
    0x302 "sensor alarm history" Alarm;
    0x406 "relay status" Read;
    0x902 "version" Discovery;
    0xA01 "tank diagnostics" Diagnostic;
    0xB01 "sensor diagnostics" Diagnostic;
}

functions! {
    /// Settings, likewise.
    SETTING[4096], setting_rows, base 0;
    0x001 "reset" Control!;
    0x002 "clear reset flag" Control!;
    0x003 "remote alarm reset" Control!;
    0x501 "set time of day" Write!;
    0x602 "set tank label" Config!;
}

impl Protocol for Atg {
    const NAME: &'static str = "atg";
    const TITLE: &'static str = "Veeder-Root tank gauge";
    const BINDING: Binding = Binding { tcp: &[PORT], udp: &[], ethertypes: &[] };
    const WEAK: bool = true;

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        if w.strict() {
            return Step::REFUSE;
        }
        let dir = w.port_dir();
        let Some(start) = b.u8(off) else { return Step::REFUSE };
        if start != 0x01 && (start != 0x0A || matches!(dir, Dir::Request)) {
            return Step::REFUSE;
        }
        let Some(letter) = b.u8(off + 1) else { return Step::PARTIAL };
        if letter & 0xDF != b'I' && letter & 0xDF != b'S' {
            return Step::REFUSE;
        }
        let mut text = 0u32;
        for n in 2..7 {
            let Some(c) = b.u8(off + n) else { return Step::PARTIAL };
            let value = VALUE[c as usize];
            if value == 0 {
                return Step::REFUSE;
            }
            text = text << 6 | (value as u32 - 1);
        }
        // Three characters of function: two digits behind the first make the index of the tables.
        let (first, tens, ones) = (text >> 24 & 0x3F, text >> 18 & 0x3F, text >> 12 & 0x3F);
        let known = first < 16 && tens < 10 && ones < 10;
        let at = b.index::<4095>(first << 8 | tens << 4 | ones);
        let set = letter & 0xDF == b'S';
        let fallback = if set { Kind::new(Class::Config, true) } else { Kind::new(Class::Read, false) };
        let mut kind = if set { SETTING[at] } else { INQUIRE[at] };
        if !known || kind == Kind::UNLISTED.0 {
            kind = fallback.0;
        }
        let side = if set { SET } else { 0 } | if letter & 0x20 != 0 { SMALL } else { 0 };
        let unit = (text >> 6 & 0x3F) * 10 + (text & 0x3F);
        w.push(op::<Atg>(text | side, kind, dir, unit));
        Step::DONE
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        let letter = if function & SET != 0 { 'S' } else { 'I' };
        let small = function & SMALL != 0;
        out.write_char(if small { letter.to_ascii_lowercase() } else { letter })?;
        for n in [24, 18, 12, 6, 0] {
            let value = (function >> n & 0x3F) as u8;
            out.write_char(if value < 10 { (b'0' + value) as char } else { (b'A' + (value - 10) % 26) as char })?;
        }
        Ok(())
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        let text = |f: u32| (f >> 8 & 0xF) << 24 | (f >> 4 & 0xF) << 18 | (f & 0xF) << 12;
        inquire_rows(&mut |r| each(Row { function: text(r.function), ..r }));
        setting_rows(&mut |r| each(Row { function: text(r.function) | SET, ..r }));
    }
}

#[cfg(test)]
mod tests {
    use crate::reason::Outcome;
    use crate::testing::{hex, tcp};

    #[test]
    fn inventory_and_labels() {
        assert_eq!(tcp(40000, 10001, &hex("014932303130300d0a")).lines(), ["atg:I20100 read request"]);
        assert_eq!(tcp(10001, 40000, &hex("0a4932303130300a3038")).lines(), ["atg:I20100 read response"]);
        assert_eq!(tcp(40000, 10001, &hex("0153363032303141424344")).lines(), ["atg:S60201 config! request"]);
        assert_eq!(tcp(40000, 10001, &hex("0153303033303041424344")).lines(), ["atg:S00300 control! request"]);
    }

    #[test]
    fn other_text() {
        assert_eq!(tcp(40000, 10001, &hex("fff4fffd06")).outcome, Outcome::Unparsed);
        assert_eq!(tcp(40000, 10001, &hex("0a4932303130300d0a")).outcome, Outcome::Unparsed);
        assert_eq!(tcp(40000, 10001, &hex("01493230")).ops.len(), 0);
    }
}
