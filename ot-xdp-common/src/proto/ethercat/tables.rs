//! Commands, registers and mailbox services of EtherCAT.

use super::{AL_CONTROL, CONFIGURES, IN_MAILBOX, IS_FRAME, IS_SDO};
use crate::bytes::Bytes;
use crate::op::Class;
use crate::proto::Row;

functions! {
    COMMANDS, command_rows, base 0;
    0x00 "NOP" Diagnostic;
    0x01 "APRD, auto-increment read" Read;
    0x02 "APWR, auto-increment write" Write!;
    0x03 "APRW, auto-increment read and write" Write!;
    0x04 "FPRD, configured-address read" Read;
    0x05 "FPWR, configured-address write" Write!;
    0x06 "FPRW, configured-address read and write" Write!;
    0x07 "BRD, broadcast read" Discovery;
    0x08 "BWR, broadcast write" Write!;
    0x09 "BRW, broadcast read and write" Write!;
    0x0A "LRD, logical read" CyclicIo;
    0x0B "LWR, logical write" CyclicIo!;
    0x0C "LRW, logical read and write" CyclicIo!;
    0x0D "ARMW, auto-increment read, multiple write" CyclicIo!;
    0x0E "FRMW, configured read, multiple write" CyclicIo!;
    0xFF "EXT" Unknown!;
}

functions! {
    /// Areas of registers, by the first of their registers / 16.
    AREA_KINDS, area_rows, base 0;
    0x01 "write station address or alias" Config!;
    0x02 "write protection registers" Config!;
    0x04 "write ESC reset" Control!;
    0x10 "write DL control" Config!;
    0x12 "write AL Control" Control!;
    0x13 "read AL status" Diagnostic;
    0x40 "write watchdog times" Config!;
    0x50 "write SII EEPROM interface" Config!;
    0x51 "write MII management" Config!;
    0x60 "write FMMU" Config!;
    0x80 "write SyncManager" Config!;
    0x90 "write distributed-clock registers" Config!;
    0xF0 "write digital outputs" Write!;
}

functions! {
    /// Mailbox type and service.
    MAILBOX, mailbox_rows, base 0;
    0x10 "AoE" Unknown!;
    0x20 "EoE frame fragment" Unknown!;
    0x22 "EoE init request" Config!;
    0x23 "EoE init response" Response;
    0x24 "EoE MAC filter request" Config!;
    0x25 "EoE MAC filter response" Response;
    0x31 "CoE emergency" Alarm;
    0x32 "CoE SDO" Session;
    0x33 "CoE SDO response" Response;
    0x34 "CoE TxPDO" CyclicIo;
    0x35 "CoE RxPDO" CyclicIo!;
    0x36 "CoE TxPDO remote request" Read;
    0x37 "CoE RxPDO remote request" Read;
    0x38 "CoE SDO information" Discovery;
    0x41 "FoE read request" ProgramUpload;
    0x42 "FoE write request" ProgramDownload!;
    0x43 "FoE data" File!;
    0x44 "FoE ack" Response;
    0x45 "FoE error" Response;
    0x46 "FoE busy" Response;
    0x51 "SoE read request" Read;
    0x52 "SoE read response" Response;
    0x53 "SoE write request" Write!;
    0x54 "SoE write response" Response;
    0x55 "SoE notification" Alarm;
    0x56 "SoE emergency" Alarm;
    0xF0 "VoE" Unknown!;
}

functions! {
    /// SDO commands of the client.
    SDO[8], sdo_rows, base IS_SDO;
    0x0 "CoE SDO download segment" Write!;
    0x1 "CoE SDO initiate download" Write!;
    0x2 "CoE SDO initiate upload" Read;
    0x3 "CoE SDO upload segment" Read;
    0x4 "CoE SDO abort" Session;
}

functions! {
    /// Types of frames without datagrams.
    FRAMES[16], frame_rows, base IS_FRAME;
    0x2 "ADS" Unknown!;
    0x3 "RAW-IO" Unknown!;
    0x4 "network variables" CyclicIo!;
    0x5 "mailbox gateway" Unknown!;
}

/// What a command may do.
pub mod access {
    /// A command that exists.
    pub const KNOWN: u8 = 0x80;
    /// Reads registers.
    pub const READ: u8 = 1;
    /// Writes registers.
    pub const WRITE: u8 = 2;
    /// Reaches mailboxes: one slave, physical memory.
    pub const MAILBOX: u8 = 4;
    /// A logical address.
    pub const LOGICAL: u8 = 8;
    /// The configured address of a slave.
    pub const CONFIGURED: u8 = 16;
    /// All slaves; where the address was, they count.
    pub const BROADCAST: u8 = 32;
}

static ACCESS: [u8; 256] = {
    use access::{BROADCAST, CONFIGURED, KNOWN, LOGICAL, MAILBOX, READ, WRITE};
    let mut t = [0; 256];
    t[0x00] = KNOWN;
    t[0x01] = KNOWN | READ | MAILBOX;
    t[0x02] = KNOWN | WRITE | MAILBOX;
    t[0x03] = KNOWN | READ | WRITE | MAILBOX;
    t[0x04] = KNOWN | CONFIGURED | READ | MAILBOX;
    t[0x05] = KNOWN | CONFIGURED | WRITE | MAILBOX;
    t[0x06] = KNOWN | CONFIGURED | READ | WRITE | MAILBOX;
    t[0x07] = KNOWN | BROADCAST | READ;
    t[0x08] = KNOWN | BROADCAST | WRITE;
    t[0x09] = KNOWN | BROADCAST | READ | WRITE;
    t[0x0A] = KNOWN | LOGICAL;
    t[0x0B] = KNOWN | LOGICAL;
    t[0x0C] = KNOWN | LOGICAL;
    t[0x0D] = KNOWN;
    t[0x0E] = KNOWN | CONFIGURED;
    t[0xFF] = KNOWN;
    t
};

/// First and last register / 16 of each area that a write changes the slave by.
const RANGES: [(u8, u8); 12] = [
    (0x01, 0x01),
    (0x02, 0x03),
    (0x04, 0x04),
    (0x10, 0x10),
    (0x12, 0x12),
    (0x40, 0x42),
    (0x50, 0x50),
    (0x51, 0x51),
    (0x60, 0x6F),
    (0x80, 0x87),
    (0x90, 0x9F),
    (0xF0, 0xF1),
];

static AREAS: [u8; 256] = {
    let mut t = [0; 256];
    let mut i = 0;
    while i < RANGES.len() {
        let (first, last) = RANGES[i];
        let mut at = first as usize;
        while at <= last as usize {
            t[at & 0xFF] = first;
            at += 1;
        }
        i += 1;
    }
    t
};

/// Bits of a mailbox's first octet that name the operation, by mailbox type. CoE has its service in the second.
static OPERATION: [u8; 16] = [0, 0, 0xF, 0, 0xF, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// See [`access`]; 0 for a command that does not exist.
#[inline(always)]
pub fn rights(command: u8) -> u8 {
    ACCESS[command as usize]
}

/// Kind of a command.
#[inline(always)]
pub fn command(command: u8) -> u8 {
    COMMANDS[command as usize]
}

/// Area of a register below 0x1000, 0 for none.
#[inline(always)]
pub fn area(register: u32) -> u32 {
    AREAS[(register >> 4) as usize & 0xFF] as u32
}

/// Kind of an access to an area.
#[inline(always)]
pub fn area_kind(area: u32) -> u8 {
    AREA_KINDS[area as usize & 0xFF]
}

/// Mailbox type and service, and its kind, from the first two octets behind the mailbox header.
#[inline(always)]
pub fn mailbox<B: Bytes>(b: B, of: u32, content: u32) -> (u32, u8) {
    let service =
        content >> 12 & COE_SERVICE[b.index::<0xF>(of)] as u32 | content & OPERATION[b.index::<0xF>(of)] as u32;
    let index = b.index::<0xFF>(of << 4 | service);
    (index as u32, MAILBOX[index])
}

/// Bits of the CoE service, by mailbox type.
static COE_SERVICE: [u8; 16] = [0, 0, 0, 0xF, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Kind of an SDO command.
#[inline(always)]
pub fn sdo(command: u32) -> u8 {
    SDO[command as usize & 7]
}

/// Kind of a frame type.
#[inline(always)]
pub fn frame<B: Bytes>(b: B, of: u32) -> u8 {
    FRAMES[b.index::<0xF>(of)]
}

/// Every function: commands, what they do to registers and mailboxes, SDO, other frames.
pub fn rows(each: &mut dyn FnMut(Row)) {
    command_rows(each);
    for command in 0..=0xFFu32 {
        let rights = rights(command as u8);
        let writes = rights & access::WRITE != 0;
        area_rows(&mut |r| {
            let status = r.function == super::AL_STATUS;
            if (writes && !status) || (!writes && status && rights & access::READ != 0) {
                each(Row { function: command | r.function << 8, ..r });
            }
        });
        if writes {
            for (state, name) in STATES {
                let function = command | AL_CONTROL << 4 | state << 16;
                each(Row { function, name, class: Class::Control, state_changing: true });
            }
        }
        if rights & access::MAILBOX != 0 {
            mailbox_rows(&mut |r| each(Row { function: command | IN_MAILBOX << 8 | r.function << 16, ..r }));
        }
    }
    sdo_rows(each);
    let name = "CoE SDO initiate download of configuration";
    each(Row { function: IS_SDO | CONFIGURES | 1, name, class: Class::Config, state_changing: true });
    frame_rows(each);
}

const STATES: [(u32, &str); 5] = [
    (1, "write AL Control INIT"),
    (2, "write AL Control PRE-OP"),
    (3, "write AL Control BOOTSTRAP"),
    (4, "write AL Control SAFE-OP"),
    (8, "write AL Control OP"),
];
