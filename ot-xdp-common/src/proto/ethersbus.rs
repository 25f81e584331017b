//! Saia Ether-S-Bus: S-Bus telegrams of Saia PCD controllers over UDP.
//!
//! The vendor does not publish the protocol; header and command names are as publicly known from protocol analysers.
//! UDP 5050. Big endian.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 4 | length of the datagram |
//! | 4 | 1 | version 0 or 1 |
//! | 5 | 1 | protocol type 0 |
//! | 6 | 2 | sequence number |
//! | 8 | 1 | attribute: 0 request, 1 response, 2 acknowledge |
//! | 9 | 1 | request: station |
//! | 10 | 1 | request: command |
//! | 11 | 1 | request, media: number less one; 12: first address 2 |
//! | end-2 | 2 | CRC |
//!
//! Function encoding: command; responses: attribute | bit 8. Unit: station. Not parsed: values, block transfers, CRC.

use core::fmt;

use super::{Binding, Protocol, Row, Sniff, op};
use crate::bytes::Bytes;
use crate::frame::UDP;
use crate::op::{Class, Dir, Kind};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct EtherSbus;

const PORT: u16 = 5050;
/// Header, attribute, CRC.
const LENGTH_MIN: u32 = 11;
/// A request without parameters.
const REQUEST_MIN: u32 = 13;
const ATTRIBUTE: u32 = 1 << 8;

functions! {
    COMMANDS, command_rows, base 0;
    0 "Read counters" Read;
    1 "Read display register" Read;
    2 "Read flags" Read;
    3 "Read inputs" Read;
    4 "Read real-time clock" Read;
    5 "Read outputs" Read;
    6 "Read registers" Read;
    7 "Read timers" Read;
    10 "Write counters" Write!;
    11 "Write flags" Write!;
    12 "Write real-time clock" Config!;
    13 "Write outputs" Write!;
    14 "Write registers" Write!;
    15 "Write timers" Write!;
    20 "Read status of CPU 0" Diagnostic;
    21 "Read status of CPU 1" Diagnostic;
    22 "Read status of CPU 2" Diagnostic;
    23 "Read status of CPU 3" Diagnostic;
    24 "Read status of CPU 4" Diagnostic;
    25 "Read status of CPU 5" Diagnostic;
    26 "Read status of CPU 6" Diagnostic;
    27 "Read status of the own CPU" Diagnostic;
    29 "Read station number" Discovery;
    30 "Read user memory" ProgramUpload;
    31 "Read program line" ProgramUpload;
    32 "Read firmware version" Discovery;
    33 "Read text" Read;
    34 "Read active transition" Diagnostic;
    35 "Write user memory" ProgramDownload!;
    36 "Write program line" ProgramDownload!;
    37 "Write text" Write!;
    40 "Run CPU 0" Control!;
    41 "Run CPU 1" Control!;
    42 "Run CPU 2" Control!;
    43 "Run CPU 3" Control!;
    44 "Run CPU 4" Control!;
    45 "Run CPU 5" Control!;
    46 "Run CPU 6" Control!;
    47 "Run the own CPU" Control!;
    48 "Run all CPUs" Control!;
    50 "Restart CPU 1 cold" Control!;
    51 "Restart CPU 2 cold" Control!;
    52 "Restart CPU 3 cold" Control!;
    53 "Restart CPU 4 cold" Control!;
    54 "Restart CPU 5 cold" Control!;
    55 "Restart CPU 6 cold" Control!;
    56 "Restart the own CPU cold" Control!;
    57 "Restart all CPUs cold" Control!;
    60 "Stop CPU 0" Control!;
    61 "Stop CPU 1" Control!;
    62 "Stop CPU 2" Control!;
    63 "Stop CPU 3" Control!;
    64 "Stop CPU 4" Control!;
    65 "Stop CPU 5" Control!;
    66 "Stop CPU 6" Control!;
    67 "Stop the own CPU" Control!;
    68 "Stop all CPUs" Control!;
    70 "Read arithmetic status" Diagnostic;
    71 "Read byte" Read;
    72 "Read halt failure register" Diagnostic;
    73 "Read index register" Diagnostic;
    74 "Read instruction pointer" Diagnostic;
    75 "Find history" Diagnostic;
    80 "Write arithmetic status" Write!;
    81 "Write byte" Write!;
    82 "Write index register" Write!;
    83 "Write instruction pointer" Control!;
    90 "Clear all media" Write!;
    91 "Clear flags" Write!;
    92 "Clear outputs" Write!;
    93 "Clear registers" Write!;
    94 "Clear timers" Write!;
    100 "Restart CPU 1 warm" Control!;
    101 "Restart CPU 2 warm" Control!;
    102 "Restart CPU 3 warm" Control!;
    103 "Restart CPU 4 warm" Control!;
    104 "Restart CPU 5 warm" Control!;
    105 "Restart CPU 6 warm" Control!;
    106 "Restart the own CPU warm" Control!;
    107 "Restart all CPUs warm" Control!;
    110 "Change block" ProgramDownload!;
    111 "Clear history" Alarm!;
    112 "Delete program line" ProgramDownload!;
    113 "Go conditional" Control!;
    114 "Insert program line" ProgramDownload!;
    115 "Local cycles" Control!;
    116 "All cycles" Control!;
    117 "Make text" Write!;
    118 "Execute one instruction" Control!;
    119 "Single step" Control!;
    130 "Interrupt XOB 17" Control!;
    131 "Interrupt XOB 18" Control!;
    132 "Interrupt XOB 19" Control!;
    145 "Read hang-up timeout" Diagnostic;
    150 "Read data block" Read;
    151 "Write data block" Write!;
    152 "Make data block" Write!;
    153 "Clear data block" Write!;
    154 "Clear text" Write!;
    155 "Read block address" Diagnostic;
    156 "Read block sizes" Diagnostic;
    157 "Read current block" Diagnostic;
    158 "Read call stack" Diagnostic;
    159 "Read DBX" Read;
    161 "Read user EEPROM register" Read;
    163 "Write user EEPROM register" Write!;
    165 "Erase flash" ProgramDownload!;
    166 "Restart cold flag" Control!;
    167 "Write system buffer" Unknown!;
    168 "Read system buffer" Read;
    169 "Read or write block" Unknown!;
    170 "Get diagnostic" Diagnostic;
    171 "Read system information" Discovery;
    172 "Change blocks in run" ProgramDownload!;
    173 "Flash card" Unknown!;
    174 "Download firmware" ProgramDownload!;
    175 "Web server" Session;
}

impl Protocol for EtherSbus {
    const NAME: &'static str = "ethersbus";
    const TITLE: &'static str = "Saia Ether-S-Bus";
    const BINDING: Binding = Binding { tcp: &[], udp: &[PORT], ethertypes: &[] };
    const SNIFF: &'static [Sniff] = &[Sniff { l4: UDP, mask: 0xFFFF_F800, value: 0 }];

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let Some(head) = b.be64(off) else { return Step::REFUSE };
        let Some(tail) = b.be16(off + 8) else { return Step::REFUSE };
        let length = (head >> 32) as u32;
        let attribute = tail as u32 >> 8;
        if length < LENGTH_MIN || length != w.end - off || head >> 16 & 0xFEFF != 0 || attribute > 2 {
            return Step::REFUSE;
        }
        w.pdu_end = w.end;
        if attribute != 0 {
            // One octet and more behind the attribute of an answer; the acknowledgement has exactly two.
            if attribute == 2 && length != REQUEST_MIN {
                return Step::REFUSE;
            }
            w.push(op::<EtherSbus>(attribute | ATTRIBUTE, Class::Response as u8, Dir::Response, 0));
            return Step::DONE;
        }
        let Some(command) = b.u8(off + 10) else { return Step::REFUSE };
        let kind = COMMANDS[b.index::<0xFF>(command as u32)];
        if length < REQUEST_MIN || (w.strict() && kind == Kind::UNLISTED.0) {
            return Step::REFUSE;
        }
        let mut found = op::<EtherSbus>(command as u32, kind, Dir::Request, tail as u32 & 0xFF);
        if command < 8 && length > REQUEST_MIN {
            found.addr = b.be16(off + 12).unwrap_or(0) as u32;
            found.span = b.u8(off + 11).unwrap_or(0) as u32 + 1;
        } else if command < 16 && length > REQUEST_MIN {
            found.addr = b.be16(off + 12).unwrap_or(0) as u32;
        }
        w.push(found);
        Step::DONE
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        let word = if function & ATTRIBUTE != 0 { "att" } else { "cmd" };
        write!(out, "{word}/{}", function & 0xFF)
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        command_rows(each);
        for (number, name) in [(1, "Response"), (2, "Acknowledge or negative acknowledge")] {
            each(Row { function: ATTRIBUTE | number, name, class: Class::Response, state_changing: false });
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::flags;
    use crate::reason::Outcome;
    use crate::testing::{cuts, hex, udp};

    const READ: &str = "00000010010000130 00a06030000ede6";

    #[test]
    fn requests_and_answers() {
        let s = udp(2467, 5050, &hex(READ));
        assert_eq!((s.lines(), s.flags), (["ethersbus:cmd/6 read request".into()].into(), 0));
        assert_eq!((s.ops[0].unit, s.ops[0].addr, s.ops[0].span), (10, 0, 4));
        assert_eq!(
            udp(2467, 5050, &hex("0000000d010000 8100 0a2f7fcf")).lines(),
            ["ethersbus:cmd/47 control! request"]
        );
        let s = udp(5050, 2467, &hex("0000000f00000002014d6f64656c0d"));
        assert_eq!(s.lines(), ["ethersbus:att/1 response response"]);
        let s = udp(40000, 40001, &hex(READ));
        assert_eq!((s.paths(), s.flags), (["ethersbus:cmd/6".into()].into(), flags::PORT_MISMATCH));
        cuts(&hex(READ), &[], &|p| udp(2467, 5050, p));
    }

    #[test]
    fn the_length_has_to_be_the_datagrams() {
        let mut p = hex(READ);
        p.push(0);
        assert_eq!(udp(2467, 5050, &p).outcome, Outcome::Unparsed);
    }
}
