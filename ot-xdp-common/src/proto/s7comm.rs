//! S7comm: the protocol of Siemens S7-300 and S7-400 controllers, inside COTP data.
//!
//! Source: no public specification; layout, codes and roles measured on public captures and on captures of Snap7.
//! Big endian, offsets from the first octet of the COTP user data.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 1 | protocol id, 0x32 |
//! | 1 | 1 | ROSCTR: 1 Job, 2 Ack, 3 Ack_Data, 7 Userdata |
//! | 2 | 2 | redundancy id, 0 |
//! | 4 | 2 | PDU reference |
//! | 6 | 2 | length P of the parameter |
//! | 8 | 2 | length D of the data |
//! | 10 | 2 | error class and code, Ack and Ack_Data only |
//! | 10, 12 | P | parameter; Job and Ack_Data: function first |
//! | | D | data |
//!
//! Userdata parameter: head 3 (00 01 12), length, method, type nibble and function group, sub-function, sequence. The
//! type nibble tells the direction (4 request, 8 response, 0 push; of NC functions 7, 11, 3); the method does not: it is
//! "response" in requests with a long parameter.
//!
//! Function encoding: ROSCTR << 24. Job, Ack, Ack_Data: function, PI service number << 8 in a PI job, bit 16 when there is
//! no function. Userdata: type nibble << 16, group << 8, sub-function. Address: DB number of the first item (Read Var,
//! Write Var), block number (up- and download), SZL id (Read SZL).
//!
//! In a download the roles are reversed: the controller sends Jobs "Download Block" and "Download Ended", and the program
//! is in the engineering station's Ack_Data. So that answer is what changes the state.
//!
//! Not parsed: items behind the first of Read Var and Write Var, values, a PDU that is split over COTP fragments (its
//! first fragment is).

use core::fmt;

use super::cotp::{LAST, STRICT, forget_empty, unclaimed, unread};
use super::{Binding, Number, Protocol, Row};
use crate::bytes::Bytes;
use crate::flags;
use crate::op::{Class, Dir, Kind, Op, Tag};
use crate::walk::{Hint, Step, Walk};

/// See the module head.
pub struct S7comm;

/// Version and reserved octet of the packet header that carries COTP.
const TPKT: u32 = 0x0300;
/// The packet header and an empty data TPDU.
const TPKT_MIN: u32 = 7;

/// First octet of an S7 PDU.
pub const MAGIC: u8 = 0x32;
/// Octets of the header of Job and Userdata; Ack and Ack_Data have two octets of error behind it.
const HEADER: u32 = 10;
const JOB: u32 = 1;
const ACK: u32 = 2;
const ACK_DATA: u32 = 3;
const USERDATA: u32 = 7;
/// Bit set of the known ROSCTR.
const KNOWN: u32 = 1 << JOB | 1 << ACK | 1 << ACK_DATA | 1 << USERDATA;
/// In the function: the parameter is empty.
const NO_FUNCTION: u32 = 1 << 16;

const READ_VAR: u8 = 0x04;
const WRITE_VAR: u8 = 0x05;
const REQUEST_DOWNLOAD: u8 = 0x1A;
const DOWNLOAD_BLOCK: u8 = 0x1B;
const DOWNLOAD_ENDED: u8 = 0x1C;
const START_UPLOAD: u8 = 0x1D;
const PI_SERVICE: u8 = 0x28;
/// Userdata group and sub-function of Read SZL.
const READ_SZL: u32 = 0x401;
/// Octets of a Userdata parameter up to its sequence number.
const USERDATA_HEAD: u32 = 8;
/// Parameter lengths from which on the first item and the file name are whole.
const ITEM_END: u32 = 10;
const NAME_END: u32 = 18;
/// Octets of the data that Read SZL begins with: return code 1, transport size 1, length 2, SZL id 2, index 2.
const SZL_HEAD: u16 = 8;
/// Userdata group of BSEND and BRECV: any sub-function.
const PBC: u32 = 6;

functions! {
    /// ROSCTR: what a PDU without a function is.
    CARRIERS, carrier_rows, base 0;
    1 "Job" Session;
    2 "Ack" Response;
    3 "Ack_Data" Response;
    7 "Userdata" Session;
}

functions! {
    /// Functions of Job and Ack_Data.
    FUNCTIONS, function_rows, base JOB << 24;
    0x00 "CPU services" Diagnostic;
    0x04 "Read Var" Read;
    0x05 "Write Var" Write!;
    0x1A "Request Download" ProgramDownload!;
    0x1B "Download Block" ProgramDownload!;
    0x1C "Download Ended" ProgramDownload!;
    0x1D "Start Upload" ProgramUpload;
    0x1E "Upload" ProgramUpload;
    0x1F "End Upload" ProgramUpload;
    0x28 "PI service" Control!;
    0x29 "PLC Stop" Control!;
    0xF0 "Setup Communication" Session;
}

functions! {
    /// Groups and sub-functions of Userdata.
    USERDATA_FUNCTIONS[4096], userdata_rows, base USERDATA << 24;
    0x000 "Mode transition: Stop" Alarm;
    0x001 "Mode transition: Warm Restart" Alarm;
    0x002 "Mode transition: Run" Alarm;
    0x003 "Mode transition: Hot Restart" Alarm;
    0x004 "Mode transition: Hold" Alarm;
    0x006 "Mode transition: Cold Restart" Alarm;
    0x009 "Mode transition: Run_R" Alarm;
    0x00B "Mode transition: Link-Up" Alarm;
    0x00C "Mode transition: Update" Alarm;
    0x101 "Block status" Diagnostic;
    0x102 "Variable status" Read;
    0x103 "Output ISTACK" Diagnostic;
    0x104 "Output BSTACK" Diagnostic;
    0x105 "Output LSTACK" Diagnostic;
    0x106 "Time measurement" Diagnostic;
    0x107 "Force selection" Diagnostic;
    0x108 "Modify variable" Write!;
    0x109 "Force" Write!;
    0x10A "Breakpoint" Control!;
    0x10B "Exit HOLD" Control!;
    0x10C "Memory reset" Control!;
    0x10D "Disable job" Control!;
    0x10E "Enable job" Control!;
    0x10F "Delete job" Control!;
    0x110 "Read job list" Diagnostic;
    0x111 "Read job" Diagnostic;
    0x112 "Replace job" Control!;
    0x113 "Block status v2" Diagnostic;
    0x116 "Flash LED" Diagnostic!;
    0x201 "Cyclic transfer" Read;
    0x204 "Unsubscribe" Session;
    0x205 "Change driven transfer" Read;
    0x207 "Change driven transfer modify" Read;
    0x208 "RDREC" Read;
    0x301 "List blocks" Discovery;
    0x302 "List blocks of type" Discovery;
    0x303 "Get block info" Discovery;
    0x401 "Read SZL" Diagnostic;
    0x402 "Message service" Alarm;
    0x403 "Diagnostic message" Alarm;
    0x404 "ALARM_8 indication" Alarm;
    0x405 "NOTIFY indication" Alarm;
    0x406 "ALARM_8 lock" Alarm!;
    0x407 "ALARM_8 unlock" Alarm!;
    0x409 "SCAN indication" Alarm;
    0x40B "ALARM_S indication" Alarm;
    0x40C "ALARM_SQ indication" Alarm;
    0x40D "ALARM query" Alarm;
    0x40E "ALARM ack" Alarm!;
    0x411 "ALARM ack indication" Alarm;
    0x412 "ALARM lock indication" Alarm;
    0x413 "ALARM unlock indication" Alarm;
    0x416 "NOTIFY_8 indication" Alarm;
    0x501 "PLC password" Auth!;
    0x701 "Read clock" Read;
    0x702 "Set clock" Config!;
    0x703 "Read clock (following)" Read;
    0x704 "Set clock (2)" Config!;
    0xF01 "NC Request download" ProgramDownload!;
    0xF02 "NC Download block" ProgramDownload!;
    0xF03 "NC Continue download" ProgramDownload!;
    0xF04 "NC Download ended" ProgramDownload!;
    0xF06 "NC Start upload" ProgramUpload;
    0xF07 "NC Upload" ProgramUpload;
    0xF08 "NC Continue upload" ProgramUpload;
}

/// BSEND and BRECV, whatever the sub-function.
const PBC_ROW: Row =
    Row { function: USERDATA << 24 | PBC << 8, name: "PBC BSEND/BRECV", class: Class::Write, state_changing: true };

/// A program invocation service. Its number is its place in the list, from 1.
struct Service {
    name: &'static str,
    title: &'static str,
    class: Class,
    state_changing: bool,
}

const fn pi(name: &'static str, title: &'static str, class: Class, state_changing: bool) -> Service {
    Service { name, title, class, state_changing }
}

const SERVICES: [Service; 31] = [
    pi("P_PROGRAM", "P_PROGRAM", Class::Control, true),
    pi("_INSE", "Activate block", Class::ProgramDownload, true),
    pi("_INS2", "Activate block (2)", Class::ProgramDownload, true),
    pi("_DELE", "Delete block", Class::ProgramDownload, true),
    pi("_MODU", "Copy RAM to ROM", Class::ProgramDownload, true),
    pi("_GARB", "Compress memory", Class::Config, true),
    pi("_N_LOGIN_", "NC login", Class::Auth, false),
    pi("_N_LOGOUT", "NC logout", Class::Auth, false),
    pi("_N_NEWPWD", "NC new password", Class::Auth, true),
    pi("_N_CANCEL", "Cancel NC alarm", Class::Alarm, true),
    pi("_N_F_DELE", "Delete NC file", Class::File, true),
    pi("_N_F_DELR", "Delete NC file without rights", Class::File, true),
    pi("_N_F_COPY", "Copy NC file", Class::File, true),
    pi("_N_F_RENA", "Rename NC file", Class::File, true),
    pi("_N_F_XFER", "Select file for upload", Class::ProgramUpload, false),
    pi("_N_F_OPEN", "Open file", Class::File, true),
    pi("_N_F_OPER", "Open file read only", Class::File, false),
    pi("_N_F_CLOS", "Close file", Class::File, false),
    pi("_N_F_SEEK", "Seek in file", Class::File, false),
    pi("_N_F_PROT", "Set file protection", Class::Config, true),
    pi("_N_F_DMDA", "Delete MDA memory", Class::ProgramDownload, true),
    pi("_N_SELECT", "Select program for execution", Class::Control, true),
    pi("_N_EXTERN", "Select external program", Class::Control, true),
    pi("_N_EXTMOD", "Select external program (2)", Class::Control, true),
    pi("_N_STRTLK", "Set global start disable", Class::Control, true),
    pi("_N_STRTUL", "Reset global start disable", Class::Control, true),
    pi("_N_CONFIG", "Reconfigure machine data", Class::Config, true),
    pi("_N_NCKMOD", "Set NCK mode", Class::Control, true),
    pi("_N_DASAVE", "Copy SRAM to FLASH", Class::Config, true),
    pi("_N_SETUFR", "Activate user frame", Class::Config, true),
    pi("_N_ASUP__", "Assign interrupt", Class::Config, true),
];

/// Number of an NC service that is not in the list.
const OTHER_NC: u32 = SERVICES.len() as u32 + 1;
const OTHER_NC_ROW: Row = Row {
    function: JOB << 24 | OTHER_NC << 8 | PI_SERVICE as u32,
    name: "any other _N_ NC service",
    class: Class::Config,
    state_changing: true,
};

/// Slots of [`PI_TABLE`], a power of two.
const PI_SLOTS: usize = 64;
/// Multiplier that sends every service to a slot of its own; the table's constructor proves it.
const PI_HASH: u64 = 0x1441_3273_A1B9_3DB5;

/// Slot of a name without its first character, as a number: one look instead of thirty comparisons.
#[inline(always)]
const fn pi_slot(tail: u64) -> usize {
    (tail.wrapping_mul(PI_HASH) >> 58) as usize & (PI_SLOTS - 1)
}

/// By [`pi_slot`]: the name without its first character, and kind | service number << 8 | first character << 16.
static PI_TABLE: [(u64, u32); PI_SLOTS] = {
    let mut t = [(0, FUNCTIONS[PI_SERVICE as usize] as u32); PI_SLOTS];
    let mut i = 0;
    while i < SERVICES.len() {
        let s = &SERVICES[i];
        let name = s.name.as_bytes();
        let (mut tail, mut at) = (0, 1);
        while at < name.len() {
            tail = tail << 8 | name[at] as u64;
            at += 1;
        }
        let slot = pi_slot(tail);
        assert!(t[slot].0 == 0, "two services in one slot: take another multiplier");
        t[slot] = (tail, Kind::new(s.class, s.state_changing).0 as u32 | (i as u32 + 1) << 8 | (name[0] as u32) << 16);
        i += 1;
    }
    t
};

impl Protocol for S7comm {
    const NAME: &'static str = "s7comm";
    const TITLE: &'static str = "Siemens S7comm";
    const BINDING: Binding = Binding { tcp: &[], udp: &[], ethertypes: &[] };

    /// Called by the COTP parser with its marks in the first memory word.
    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let marks = w.mem[0];
        let room = w.inner_end.wrapping_sub(off);
        if room < HEADER {
            return unclaimed(w);
        }
        let Some(head) = b.be64(off) else { return unread(w) };
        let rosctr = (head >> 48) as u32 & 0xFF;
        let reserved = (head >> 32) & 0xFFFF != 0;
        if rosctr > USERDATA || KNOWN >> rosctr & 1 == 0 {
            return unclaimed(w);
        }
        let Some(data_len) = b.be16(off + 8) else { return unread(w) };
        let header = if rosctr == ACK || rosctr == ACK_DATA { HEADER + 2 } else { HEADER };
        let params = head as u32 & 0xFFFF;
        let stated = header + params + data_len as u32;
        let exact = stated == room || (marks == 0 && stated > room);
        if !exact && (reserved || marks & STRICT != 0) {
            return unclaimed(w);
        }
        if reserved && marks & STRICT != 0 {
            return Step::REFUSE;
        }
        // A parameter that ends before its function, or a fragment that does: the octets behind it are another packet's.
        let need = if rosctr == USERDATA { USERDATA_HEAD } else { (params != 0) as u32 };
        if room < header + need {
            return unclaimed(w);
        }
        if marks & LAST == 0 {
            w.flags |= flags::TRANSPORT_FRAGMENT;
        }
        let parameter = off + header;
        let found = if rosctr == USERDATA {
            userdata(b, w, parameter, params, data_len)
        } else {
            job(b, w, rosctr, parameter, params)
        };
        let Some(found) = found else { return Step::PARTIAL };
        forget_empty(w);
        w.push(found);
        if exact { Step::DONE } else { lies(b, w, off + stated, stated < room) }
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        let rosctr = function >> 24;
        if rosctr == USERDATA {
            return write!(out, "ud/{}/{}/{}", (function >> 16) & 0xF, (function >> 8) & 0xF, function & 0xFF);
        }
        out.write_str(match rosctr {
            JOB => "job",
            ACK => "ack",
            _ => "ack_data",
        })?;
        if function & NO_FUNCTION != 0 { Ok(()) } else { write!(out, "/{:#04x}", function & 0xFF) }
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        carrier_rows(&mut |r| each(Row { function: r.function << 24 | NO_FUNCTION, ..r }));
        function_rows(each);
        // Answers have the function of their Job; of a download they are what changes the state (see the head).
        function_rows(&mut |r| {
            let code = r.function as u8;
            let state_changing = code == DOWNLOAD_BLOCK || code == DOWNLOAD_ENDED;
            each(Row { function: ACK_DATA << 24 | code as u32, state_changing, ..r });
        });
        for (i, s) in SERVICES.iter().enumerate() {
            let function = JOB << 24 | (i as u32 + 1) << 8 | PI_SERVICE as u32;
            each(Row { function, name: s.title, class: s.class, state_changing: s.state_changing });
        }
        each(OTHER_NC_ROW);
        // Requests have type 4, mode transitions are pushed.
        let typed = |r: Row| if r.function & 0xF00 == 0 { r } else { Row { function: r.function | 4 << 16, ..r } };
        userdata_rows(&mut |r| each(typed(r)));
        each(typed(PBC_ROW));
    }
}

/// The lengths of header, parameters and data do not add up to the packet's. Whoever goes by them takes the octets behind
/// the data for the next packet, if they are one.
#[inline(always)]
fn lies<B: Bytes>(b: B, w: &mut Walk, hidden: u32, behind: bool) -> Step {
    w.flags |= flags::LENGTH_LIE;
    if !behind {
        return Step::MALFORMED;
    }
    let Some(next) = b.be32(hidden) else {
        return if w.pdu_end > w.end { Step::PARTIAL } else { Step::MALFORMED };
    };
    let length = next & 0xFFFF;
    if next >> 16 != TPKT || length < TPKT_MIN || hidden + length > w.pdu_end {
        return Step::MALFORMED;
    }
    w.pdu_end = hidden;
    Step::DONE
}

/// Job, Ack or Ack_Data. `None` when the segment ends before the function.
#[inline(always)]
fn job<B: Bytes>(b: B, w: &Walk, rosctr: u32, parameter: u32, params: u32) -> Option<Op> {
    let dir = if rosctr == JOB { Dir::Request } else { Dir::Response };
    if params == 0 {
        return Some(found(rosctr << 24 | NO_FUNCTION, CARRIERS[b.index::<7>(rosctr)], dir, false));
    }
    let code = b.u8(parameter)?;
    let mut function = rosctr << 24 | code as u32;
    let mut kind = FUNCTIONS[code as usize];
    let mut changes = rosctr == JOB;
    if code == DOWNLOAD_BLOCK || code == DOWNLOAD_ENDED {
        // The controller asks and the engineering station answers with the program.
        changes = if rosctr == JOB { w.hint == Hint::ToServer as u8 } else { w.hint != Hint::FromServer as u8 };
    }
    let mut addr = 0;
    let mut span = 0;
    if rosctr == JOB {
        if code == PI_SERVICE {
            match service(b, parameter) {
                Some(service) => {
                    kind = service as u8;
                    function |= service & 0xFF00;
                }
                // The name is what is asked for, and it comes with the next segment.
                None if w.pdu_end > w.end => return None,
                None => {}
            }
        } else if (code == READ_VAR || code == WRITE_VAR) && params >= ITEM_END {
            // Item count 1; item: 12 0A 10 (any pointer), transport size 1, length 2, DB number 2.
            let item = b.be64(parameter + 2).unwrap_or(0);
            if item >> 40 == 0x12_0A10 {
                addr = item as u32 & 0xFFFF;
                span = 1;
            }
        } else if (REQUEST_DOWNLOAD..=START_UPLOAD).contains(&code) && params >= NAME_END {
            // File name "_", type 2, number 5 digits, file system 1.
            let digits = b.be64(parameter + 10).unwrap_or(0) >> 8 & 0xFF_FFFF_FFFF;
            if digits & 0xF0_F0F0_F0F0 == 0x30_3030_3030 {
                addr = decimal(digits);
                span = 1;
            }
        }
    }
    let mut op = found(function, kind, dir, changes);
    op.addr = addr;
    op.span = span;
    Some(op)
}

/// Five ASCII digits as a number.
#[inline(always)]
fn decimal(digits: u64) -> u32 {
    let d = digits & 0x0F_0F0F_0F0F;
    ((d >> 32) * 10_000 + (d >> 24 & 0xFF) * 1_000 + (d >> 16 & 0xFF) * 100 + (d >> 8 & 0xFF) * 10 + (d & 0xFF)) as u32
}

/// Kind and number of a PI service, as in [`PI_TABLE`]. Parameter: function 1, unknown 7, length 2 of the block, block,
/// length 1 of the name, name. `None` when the segment ends in front of the name.
#[inline(always)]
fn service<B: Bytes>(b: B, parameter: u32) -> Option<u32> {
    let at = parameter + 10 + b.be16(parameter + 8)? as u32;
    let name = b.be16(at)? as u32;
    let (length, first) = (name >> 8, name & 0xFF);
    let tail = if length == 9 {
        b.be64(at + 2)?
    } else if length == 5 {
        b.be32(at + 2)? as u64
    } else {
        0
    };
    let (known, entry) = PI_TABLE[pi_slot(tail)];
    if tail != 0 && known == tail && entry >> 16 == first {
        return Some(entry & 0xFFFF);
    }
    if length == 9 && first == b'_' as u32 && tail >> 48 == 0x4E5F {
        return Some(Kind::new(OTHER_NC_ROW.class, true).0 as u32 | OTHER_NC << 8);
    }
    Some(FUNCTIONS[PI_SERVICE as usize] as u32)
}

/// Userdata. `None` when the segment ends before the sub-function.
#[inline(always)]
fn userdata<B: Bytes>(b: B, w: &Walk, parameter: u32, params: u32, data_len: u16) -> Option<Op> {
    let head = b.be64(parameter)?;
    // Group and sub-function lie side by side. Cut out in one piece: kernels before 6.10 know no bounds of `a | b` and
    // would refuse it as an index.
    let index = (head >> 8) as u32 & 0xFFF;
    let group = index >> 8;
    let nibble = (head >> 20) as u32 & 0xF;
    let kind =
        if group == PBC { Kind::new(PBC_ROW.class, true).0 } else { USERDATA_FUNCTIONS[b.index::<0xFFF>(index)] };
    let dir = DIRECTIONS[b.index::<0xF>(nibble)];
    // Pushes come from the controller; one towards it is somebody's trick.
    let changes =
        if matches!(dir, Dir::Publish) { w.hint == Hint::ToServer as u8 } else { !matches!(dir, Dir::Response) };
    let mut op = found(USERDATA << 24 | nibble << 16 | index, kind, dir, changes);
    if index == READ_SZL
        && data_len >= SZL_HEAD
        && let Some(data) = b.be64(parameter + params)
    {
        op.addr = (data >> 16) as u32 & 0xFFFF;
        op.span = 1;
    }
    Some(op)
}

/// Direction by type nibble.
static DIRECTIONS: [Dir; 16] = {
    let mut t = [Dir::Unknown; 16];
    t[0] = Dir::Publish;
    t[3] = Dir::Publish;
    t[4] = Dir::Request;
    t[7] = Dir::Request;
    t[8] = Dir::Response;
    t[11] = Dir::Response;
    t
};

/// Not [`super::op`], because here an answer can be what changes the state.
#[inline(always)]
fn found(function: u32, kind: u8, dir: Dir, changes: bool) -> Op {
    let kind = if changes { kind } else { kind & !Kind::STATE_CHANGING };
    Op { function, unit: 0, addr: 0, span: 0, tag: Tag::new(S7comm::NUMBER, kind, dir, 0) }
}

#[cfg(test)]
mod tests;
