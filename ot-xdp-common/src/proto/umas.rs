//! Schneider UMAS: the engineering protocol inside Modbus function 90.
//!
//! Source: structure measured on public captures of Modicon controllers; function names as Schneider's tools print
//! them. They count from the PC: "upload" 0x30 to 0x32 moves the project *into* the controller (program download here),
//! "download" 0x33 to 0x35 moves it out.
//!
//! | off (from the Modbus data) | size | field |
//! |---|---|---|
//! | 0 | 1 | session key |
//! | 1 | 1 | function; 0xFE (done) or 0xFD (error) in responses |
//!
//! Function encoding: the function octet. A response does not repeat the function of its request.

use core::fmt;

use super::{Binding, Protocol, Row, op};
use crate::bytes::Bytes;
use crate::op::Dir;
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Umas;

functions! {
    FUNCTIONS, functions_rows, base 0;
    0x01 "INIT_COMM" Session;
    0x02 "READ_ID" Discovery;
    0x03 "READ_PROJECT_INFO" Discovery;
    0x04 "READ_PLC_INFO" Diagnostic;
    0x06 "READ_CARD_INFO" Discovery;
    0x0A "REPEAT" Session;
    0x10 "TAKE_PLC_RESERVATION" Auth!;
    0x11 "RELEASE_PLC_RESERVATION" Auth;
    0x12 "KEEP_ALIVE" Session;
    0x20 "READ_MEMORY_BLOCK" Read;
    0x22 "READ_VARIABLES" Read;
    0x23 "WRITE_VARIABLES" Write!;
    0x24 "READ_COILS_REGISTERS" Read;
    0x25 "WRITE_COILS_REGISTERS" Write!;
    0x28 "READ (M221)" Read;
    0x29 "WRITE (M221)" Write!;
    0x30 "INITIALIZE_UPLOAD (PC to PLC)" ProgramDownload!;
    0x31 "UPLOAD_BLOCK (PC to PLC)" ProgramDownload!;
    0x32 "END_STRATEGY_UPLOAD (PC to PLC)" ProgramDownload!;
    0x33 "INITIALIZE_DOWNLOAD (PLC to PC)" ProgramUpload;
    0x34 "DOWNLOAD_BLOCK (PLC to PC)" ProgramUpload;
    0x35 "END_STRATEGY_DOWNLOAD (PLC to PC)" ProgramUpload;
    0x39 "READ_ETH_MASTER_DATA" Read;
    0x40 "START_PLC" Control!;
    0x41 "STOP_PLC" Control!;
    0x50 "MONITOR_PLC" Read;
    0x58 "CHECK_PLC" Diagnostic;
    0x70 "READ_IO_OBJECT" Read;
    0x71 "WRITE_IO_OBJECT" Write!;
    0x73 "GET_STATUS_MODULE" Diagnostic;
    0xFD "RESPONSE_ERROR" Response;
    0xFE "RESPONSE_OK" Response;
}

impl Protocol for Umas {
    const NAME: &'static str = "umas";
    const TITLE: &'static str = "Schneider UMAS (Modbus function 90)";
    const BINDING: Binding = Binding { tcp: &[], udp: &[], ethertypes: &[] };

    /// Called by the Modbus parser with the unit id in the first memory word.
    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let Some(function) = b.u8(w.off + 1) else { return Step::PARTIAL };
        let answer = function == 0xFD || function == 0xFE;
        let dir = if answer { Dir::Response } else { w.port_dir() };
        let unit = w.mem[0];
        w.push(op::<Umas>(function as u32, FUNCTIONS[function as usize], dir, unit));
        Step::DONE
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{function:#04x}")
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        functions_rows(each);
    }
}
