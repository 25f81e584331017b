//! PCCC: the commands of PLC-5 and SLC 500 controllers, which Execute_PCCC of CIP carries.
//!
//! Source: Rockwell Automation 1770-6.5.16 (DF1 Protocol and Command Set), chapters 6 and 7; Wireshark for the PCCC
//! object (class 67), whose requestor id is in front of the command. Little endian.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 1 | length of the requestor id with this octet, usually 7 |
//! | 1 | | vendor 2, serial number 4 |
//! | n | 1 | CMD; bit 6 marks a reply |
//! | n + 1 | 1 | STS |
//! | n + 2 | 2 | TNS, transaction number |
//! | n + 4 | 1 | FNC, only with CMD 06, 07 and 0F |
//!
//! A command is no operation of its own: it gives the operation of Execute_PCCC its class. Function encoding: FNC, or
//! CMD of commands without FNC; set << 8: 0 without FNC, 1 for CMD 0F, 2 for CMD 06, 3 for CMD 07. Not parsed: the
//! commands inside "Execute multiple commands", addresses.

use core::fmt;

use super::{Binding, Protocol, Row};
use crate::bytes::Bytes;
use crate::op::{Class, Kind};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Pccc;

/// CMD of each set, the first one for commands without FNC.
const SETS: [u8; 4] = [0, 0x0F, 0x06, 0x07];

functions! {
    COMMAND, command_rows, base 0;
    0x00 "Protected write" Write!;
    0x01 "Unprotected read" Read;
    0x02 "Protected bit write" Write!;
    0x04 "Physical read" Read;
    0x05 "Unprotected bit write" Write!;
    0x08 "Unprotected write" Write!;
    0x40 "Reply" Response;
}

functions! {
    FUNCTION_0F, function_0f_rows, base 0x100;
    0x00 "Word range write" Write!;
    0x01 "Word range read" Read;
    0x02 "Bit write" Write!;
    0x03 "File write" Write!;
    0x04 "File read" Read;
    0x05 "Download request" ProgramDownload!;
    0x06 "Upload" ProgramUpload;
    0x07 "Shutdown" Control!;
    0x08 "Physical write" Write!;
    0x09 "Physical read" Read;
    0x0A "Restart request" Control!;
    0x11 "Get edit resource" Session!;
    0x12 "Return edit resource" Session;
    0x17 "Read bytes physical" Read;
    0x18 "Write bytes physical" Write!;
    0x26 "Read-modify-write" Write!;
    0x29 "Read section size" Diagnostic;
    0x3A "Set CPU mode" Control!;
    0x41 "Disable forces" Control!;
    0x50 "Download all request" ProgramDownload!;
    0x52 "Download completed" ProgramDownload!;
    0x53 "Upload all request" ProgramUpload;
    0x55 "Upload completed" ProgramUpload;
    0x57 "Initialize memory" ProgramDownload!;
    0x5E "Modify PLC-2 compatibility file" Config!;
    0x67 "Typed write" Write!;
    0x68 "Typed read" Read;
    0x79 "Read-modify-write N" Write!;
    0x80 "Change CPU mode" Control!;
    0x81 "Open file" File;
    0x82 "Close file" File;
    0x88 "Execute multiple commands" Session!;
    0x8F "Apply port configuration" Config!;
    0xA1 "Protected typed logical read, 2 address fields" Read;
    0xA2 "Protected typed logical read, 3 address fields" Read;
    0xA3 "Protected typed logical read (A3)" Read;
    0xA7 "Protected typed file read" File;
    0xA9 "Protected typed logical write, 2 address fields" Write!;
    0xAA "Protected typed logical write, 3 address fields" Write!;
    0xAB "Protected typed logical masked write, 3 address fields" Write!;
    0xAF "Protected typed file write" File!;
}

functions! {
    FUNCTION_06, function_06_rows, base 0x200;
    0x00 "Echo" Diagnostic;
    0x01 "Read diagnostic counters" Diagnostic;
    0x02 "Set variables" Config!;
    0x03 "Diagnostic status" Diagnostic;
    0x04 "Set timeout" Config!;
    0x05 "Set NAKs" Config!;
    0x06 "Set ENQs" Config!;
    0x07 "Reset diagnostic counters" Diagnostic!;
    0x08 "Set data table size" Config!;
    0x09 "Read link parameters" Diagnostic;
    0x0A "Set link parameters" Config!;
}

functions! {
    FUNCTION_07, function_07_rows, base 0x300;
    0x00 "Disable outputs" Control!;
    0x01 "Enable outputs" Control!;
    0x03 "Enable PLC scanning" Control!;
    0x04 "Enter download mode" ProgramDownload!;
    0x05 "Exit download/upload mode" ProgramDownload!;
    0x06 "Enter upload mode" ProgramUpload;
}

/// Set by CMD.
static SET: [u8; 256] = {
    let mut t = [0; 256];
    t[SETS[1] as usize] = 1;
    t[SETS[2] as usize] = 2;
    t[SETS[3] as usize] = 3;
    t
};

/// Kind by function in this file's encoding: one table, so that the verifier sees one load.
static KINDS: [u8; 1024] = {
    let mut t = [0; 1024];
    let mut i = 0;
    while i < 256 {
        t[i] = if i & 0xC0 == 0x40 { Kind::new(Class::Response, false).0 } else { COMMAND[i] };
        t[0x100 + i] = FUNCTION_0F[i];
        t[0x200 + i] = FUNCTION_06[i];
        t[0x300 + i] = FUNCTION_07[i];
        i += 1;
    }
    t
};

/// Function and kind of the command at `off`, which is the length of the requestor id; `None` when it cannot be read.
#[inline(always)]
pub fn command<B: Bytes>(b: B, off: u32) -> Option<(u32, u8)> {
    let at = off + b.u8(off)? as u32;
    let cmd = b.u8(at)?;
    let set = SET[cmd as usize] as u32;
    let code = if set != 0 { b.u8(at + 4)? } else { cmd };
    let function = set << 8 | code as u32;
    Some((function, KINDS[b.index::<0x3FF>(function) & 0x3FF]))
}

impl Protocol for Pccc {
    const NAME: &'static str = "pccc";
    const TITLE: &'static str = "PCCC (PLC-5, SLC 500) in CIP";
    const BINDING: Binding = Binding { tcp: &[], udp: &[], ethertypes: &[] };

    #[inline(always)]
    fn step<B: Bytes>(_b: B, _w: &mut Walk) -> Step {
        Step::REFUSE
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        match SETS.get((function >> 8) as usize) {
            Some(cmd) if *cmd != 0 => write!(out, "{cmd:#04x}/{:#04x}", function & 0xFF),
            _ => write!(out, "{:#04x}", function & 0xFF),
        }
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        command_rows(each);
        function_0f_rows(each);
        function_06_rows(each);
        function_07_rows(each);
    }
}
