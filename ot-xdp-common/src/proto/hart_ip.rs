//! HART-IP (FieldComm Group HCF_SPEC-085) over UDP and TCP.
//!
//! UDP and TCP 5094. Big endian.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 1 | version 1, 2 |
//! | 1 | 1 | message type (low nibble): 0 request, 1 response, 2 publish, 3 error, 15 NAK |
//! | 2 | 1 | message id 0..5 |
//! | 3 | 1 | status |
//! | 4 | 2 | sequence |
//! | 6 | 2 | length, header included |
//! | 8 | | token-passing PDU: delimiter 1 (80 long address, 60 expansion octets), address 1 or 5, expansion, command 1, ... |
//!
//! Sources: HCF_SPEC-085 cl. 8 (message header), HCF_SPEC-081 (token-passing PDU), HCF_SPEC-099, 127, 151 (commands).
//! Function encoding: message id, command << 8, bit 31 when there is a command. `unit` is the device address (the device
//! id of a long one). Not parsed: commands inside a Direct PDU, sub-device commands (77), the check octet.

use core::fmt;

use super::{Binding, Protocol, Row, Sniff, op};
use crate::bytes::Bytes;
use crate::op::{Dir, Kind};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct HartIp;

const PORT: u16 = 5094;
const HEAD: u32 = 8;
const TOKEN: u32 = 3;
const INITIATE: u32 = 0;
const COMMAND: u32 = 1 << 31;

functions! {
    MESSAGES, message_rows, base 0;
    0 "Session Initiate" Session;
    1 "Session Close" Session;
    2 "Keep Alive" Session;
    3 "Token-Passing PDU" Unknown!;
    4 "Direct PDU" Unknown!;
    5 "Read Audit Log" Diagnostic;
}

functions! {
    COMMANDS, command_rows, base 0;
    0x00 "Read Unique Identifier" Discovery;
    0x01 "Read Primary Variable" Read;
    0x02 "Read Loop Current" Read;
    0x03 "Read Dynamic Variables" Read;
    0x06 "Write Polling Address" Config!;
    0x07 "Read Loop Configuration" Read;
    0x08 "Read Dynamic Var Classifications" Read;
    0x09 "Read Device Variables with Status" Read;
    0x0b "Read Unique Id by Tag" Discovery;
    0x0c "Read Message" Read;
    0x0d "Read Tag/Descriptor/Date" Read;
    0x0e "Read PV Transducer Info" Read;
    0x0f "Read Device Information" Read;
    0x10 "Read Final Assembly Number" Read;
    0x11 "Write Message" Config!;
    0x12 "Write Tag/Descriptor/Date" Config!;
    0x13 "Write Final Assembly Number" Config!;
    0x14 "Read Long Tag" Read;
    0x15 "Read Unique Id by Long Tag" Discovery;
    0x16 "Write Long Tag" Config!;
    0x21 "Read Device Variables" Read;
    0x22 "Write PV Damping" Config!;
    0x23 "Write PV Range Values" Config!;
    0x24 "Set PV Upper Range" Config!;
    0x25 "Set PV Lower Range" Config!;
    0x26 "Reset Configuration Changed Flag" Config!;
    0x27 "EEPROM Control" Config!;
    0x28 "Enter/Exit Fixed Current Mode" Control!;
    0x29 "Perform Self Test" Diagnostic!;
    0x2a "Perform Device Reset" Control!;
    0x2b "Set PV Zero" Config!;
    0x2c "Write PV Units" Config!;
    0x2d "Trim Loop Current Zero" Config!;
    0x2e "Trim Loop Current Gain" Config!;
    0x2f "Write PV Transfer Function" Config!;
    0x30 "Read Additional Device Status" Read;
    0x31 "Write PV Transducer Serial No" Config!;
    0x32 "Read Dynamic Var Assignments" Read;
    0x33 "Write Dynamic Var Assignments" Config!;
    0x34 "Set Device Variable Zero" Config!;
    0x35 "Write Device Variable Units" Config!;
    0x36 "Read Device Variable Info" Read;
    0x37 "Write Device Variable Damping" Config!;
    0x38 "Write Device Variable Transducer Serial" Config!;
    0x39 "Read Unit Tag/Descriptor/Date" Read;
    0x3a "Write Unit Tag/Descriptor/Date" Config!;
    0x3b "Write Number of Response Preambles" Config!;
    0x3c "Read Analog Channel and Percent" Read;
    0x3d "Read Dynamic Vars and PV Analog Channel" Read;
    0x3e "Read Analog Channels" Read;
    0x3f "Read Analog Channel Info" Read;
    0x40 "Write Analog Channel Damping" Config!;
    0x41 "Write Analog Channel Range" Config!;
    0x42 "Enter/Exit Fixed Analog Channel Mode" Control!;
    0x43 "Trim Analog Channel Zero" Config!;
    0x44 "Trim Analog Channel Gain" Config!;
    0x45 "Write Analog Channel Transfer Function" Config!;
    0x46 "Read Analog Channel Endpoints" Read;
    0x47 "Lock Device" Config!;
    0x48 "Squawk" Diagnostic!;
    0x49 "Find Device" Discovery;
    0x4a "Read I/O System Capabilities" Discovery;
    0x4b "Poll Sub-Device" Discovery;
    0x4c "Read Lock State" Read;
    0x4d "Send Command to Sub-Device (recurse)" Unknown!;
    0x4e "Read Aggregated Commands (recurse)" Read;
    0x4f "Write Device Variable" Control!;
    0x50 "Read Trim Points" Read;
    0x51 "Read Trim Guidelines" Read;
    0x52 "Write Trim Point" Config!;
    0x53 "Reset Trim" Config!;
    0x54 "Read Sub-Device Identity" Discovery;
    0x55 "Read I/O Channel Statistics" Read;
    0x56 "Read Sub-Device Statistics" Read;
    0x57 "Write I/O System Master Mode" Config!;
    0x58 "Write I/O System Retry Count" Config!;
    0x59 "Set Real-Time Clock" Config!;
    0x1f "Extended command marker (16-bit command follows)" Unknown!;
}

/// Direction by message type; Unknown marks the types that do not exist.
static DIRS: [Dir; 16] = {
    let mut t = [Dir::Unknown; 16];
    t[0] = Dir::Request;
    t[1] = Dir::Response;
    t[2] = Dir::Publish;
    t[3] = Dir::Response;
    t[15] = Dir::Response;
    t
};

impl Protocol for HartIp {
    const NAME: &'static str = "hart_ip";
    const TITLE: &'static str = "HART-IP";
    const BINDING: Binding = Binding { tcp: &[PORT], udp: &[PORT], ethertypes: &[] };
    const SNIFF: &'static [Sniff] = &[
        Sniff { l4: 0, mask: 0xFFF0_F800, value: 0x0100_0000 },
        Sniff { l4: 0, mask: 0xFFF0_F800, value: 0x0200_0000 },
    ];
    const WEAK: bool = true;

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let Some(head) = b.be32(off) else { return Step::REFUSE };
        let version = head >> 24;
        let id = head >> 8 & 0xFF;
        let dir = DIRS[b.index::<15>(head >> 16)];
        if version == 0 || version > 2 || id > 5 || matches!(dir, Dir::Unknown) || head & 0x00F0_0000 != 0 {
            return Step::REFUSE;
        }
        let Some(length) = b.be16(off + 6) else { return Step::PARTIAL };
        let length = length as u32;
        if length < HEAD || (id == INITIATE && matches!(dir, Dir::Request) && length != 13) {
            return Step::REFUSE;
        }
        w.pdu_end = off + length;
        if w.strict() && w.pdu_end != w.end {
            return Step::REFUSE;
        }
        let mut function = id;
        let mut kind = MESSAGES[b.index::<0xFF>(id)];
        let mut unit = 0;
        if id == TOKEN && length > HEAD {
            let Some(delimiter) = b.u8(off + HEAD) else { return Step::PARTIAL };
            let long = delimiter & 0x80 != 0;
            let at = off + HEAD + 1 + if long { 5 } else { 1 } + (delimiter as u32 >> 5 & 3);
            let Some(command) = b.u8(at) else { return Step::PARTIAL };
            unit = if long {
                b.be32(off + HEAD + 2).unwrap_or(0)
            } else {
                b.u8(off + HEAD + 1).unwrap_or(0) as u32 & 0x3F
            };
            function |= (command as u32) << 8 | COMMAND;
            kind = COMMANDS[command as usize];
        }
        if matches!(dir, Dir::Publish) {
            // Burst data are an answer that nobody asked for: nothing is changed by them.
            kind &= !Kind::STATE_CHANGING;
        }
        w.push(op::<HartIp>(function, kind, dir, unit));
        Step::DONE
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{}", function & 0xFF)?;
        if function & COMMAND != 0 { write!(out, "/{}", function >> 8 & 0xFFFF) } else { Ok(()) }
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        message_rows(each);
        command_rows(&mut |r| each(Row { function: r.function << 8 | TOKEN | COMMAND, ..r }));
    }
}

#[cfg(test)]
mod tests {
    use crate::reason::Outcome;
    use crate::testing::{hex, tcp, udp};

    #[test]
    fn sessions_and_commands() {
        assert_eq!(
            udp(40000, 5094, &hex("01000000000 1000d01000493e0".replace(' ', "").as_str())).paths(),
            ["hart_ip:0"]
        );
        assert_eq!(udp(5094, 40000, &hex("0101020000020008")).lines(), ["hart_ip:2 session response"]);
        let read = "010003000003000d0280000082";
        assert_eq!(tcp(40000, 5094, &hex(read)).lines(), ["hart_ip:3/0 discovery request"]);
        let write = "0100030000040012829abcdef0122300a1b2";
        assert_eq!(tcp(40000, 5094, &hex(write)).lines(), ["hart_ip:3/35 config! request"]);
    }

    #[test]
    fn other_traffic_and_cut_short() {
        assert_eq!(udp(40000, 5094, &hex("0300020000020008")).outcome, Outcome::Unparsed);
        assert_eq!(tcp(40000, 5094, &hex("010003000003")).outcome, Outcome::Continuation);
        assert_eq!(tcp(40000, 5094, &hex("010003000003000d02")).outcome, Outcome::Continuation);
    }
}
