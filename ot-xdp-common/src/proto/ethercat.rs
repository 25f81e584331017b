//! EtherCAT: the fieldbus of datagrams that every slave reads and writes while the frame passes, with its mailboxes.
//!
//! Source: IEC 61158-4-12 cl. 5.3, 5.4 (frame, datagrams), 5.6 (mailbox), 6 (registers); IEC 61158-6-12 cl. 5 (CoE, EoE,
//! FoE, SoE); ETG.1000.4, ETG.8200 (mailbox gateway). EtherType 0x88A4; the same octets in UDP or TCP, port 34980.
//! Little endian.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 2 | length of what follows (11 bits), reserved bit, type (4 bits): 1 datagrams, 2 ADS, 3 RAW-IO, 4 network variables, 5 mailbox gateway |
//! | 2 | 1 | command |
//! | 3 | 1 | index, the master's own |
//! | 4 | 4 | slave 2, register 2; or a logical address of 4 octets |
//! | 8 | 2 | length of the data n (11 bits); bit 14: circulating; bit 15: another datagram follows |
//! | 10 | 2 | interrupt |
//! | 12 | n | data |
//! | 12+n | 2 | working counter: how many slaves did what was asked |
//!
//! A mailbox is the data of a write (or of an answered read) from register 0x1000 on: length 2, address 2, channel and
//! priority 1, type (4 bits) and counter 1, then CoE: number 9 bits and service 4 bits, SDO command 1, index 2,
//! subindex 1; FoE: operation 1; SoE: operation 3 bits; EoE: type 4 bits.
//!
//! Function encoding: command; | area << 8 for writes to (AL status: reads of) the registers that change the slave, by
//! the first register of the area / 16; AL control: | state << 16; mailbox: area 0xFF | mailbox type << 20 | service or
//! operation << 16. CoE SDO: a second operation, bit 31 | SDO command | 0x100 for objects that configure the device.
//! Other frame types: bit 30 | type. Unit: the slave's configured address. Address: slave << 16 | register, the logical
//! address, or index << 8 | subindex; span: octets.
//!
//! The first slave sets the locally-administered bit of the frame's source address; over UDP and TCP, where routers
//! replace it, a working counter tells what was answered. A write on its way back that no slave has counted is still
//! before the slaves behind the tap: it stays state-changing. Not parsed: process data, ADS, tunnelled Ethernet, segments
//! of an SDO, datagrams behind a step limit (flagged).

use core::fmt;

use super::{Binding, Number, Protocol, Row, Sniff, op};
use crate::bytes::Bytes;
use crate::frame::{TCP, UDP};
use crate::limits::STEPS;
use crate::op::{Class, Dir, Kind, Op, Tag};
use crate::walk::{Hint, Step, Walk};

mod tables;

use tables::access;

/// See the module head.
pub struct Ethercat;

const ETHERTYPE: u16 = 0x88A4;
const PORT: u16 = 34980;
/// Offset of the source address's first octet, and its bit that slaves set.
const SOURCE: u32 = 6;
const LOCAL: u8 = 2;
/// Octets of the frame header and of a datagram without its data.
const HEAD: u32 = 2;
const DATAGRAM: u32 = 12;
/// Offset of a datagram's data.
const DATA: u32 = 10;
const LENGTH: u32 = 0x7FF;
const RESERVED: u32 = 0x800;
const MORE: u32 = 0x8000;
const DATAGRAMS: u32 = 1;
const GATEWAY: u32 = 5;
/// Registers end here; memory with process data and mailboxes begins.
const MEMORY: u32 = 0x1000;
const AL_CONTROL: u32 = 0x120;
const AL_STATUS: u32 = 0x13;
/// Area of a mailbox in the function.
const IN_MAILBOX: u32 = 0xFF;
const MAILBOX_HEAD: u32 = 6;
/// Mailbox types: AoE, EoE, CoE, FoE, SoE, VoE.
const TYPES: u32 = 0x803E;
/// CoE service of SDO requests and aborts.
const SDO_REQUEST: u32 = 0x32;
const IS_SDO: u32 = 1 << 31;
const CONFIGURES: u32 = 0x100;
const IS_FRAME: u32 = 1 << 30;

/// What the steps of one frame share.
mod mem {
    /// End of the frame that its header declares, 0 before it was read.
    pub const END: usize = 0;
    /// Direction of all datagrams: 0 not known, 1 towards the slaves, 2 back.
    pub const SIDE: usize = 1;
}

impl Protocol for Ethercat {
    const NAME: &'static str = "ethercat";
    const TITLE: &'static str = "EtherCAT, also over UDP and TCP (IEC 61158 type 12)";
    const BINDING: Binding = Binding { tcp: &[PORT], udp: &[PORT], ethertypes: &[ETHERTYPE] };
    // Type 1, reserved bit 0, command below 16: the datagrams have to end with the frame then.
    const SNIFF: &'static [Sniff] = &[Sniff { l4: UDP, mask: 0x00F8_F000, value: 0x0010_0000 }];
    const WEAK: bool = true;
    const TURNS: u32 = STEPS;

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        if w.mem[mem::END] == 0 {
            let off = w.off;
            let Some(head) = b.le16(off) else { return Step::REFUSE };
            let head = head as u32;
            let end = off + HEAD + (head & LENGTH);
            let layer2 = w.hint == Hint::EtherType as u8;
            if head & RESERVED != 0 || (end > w.end && !layer2 && w.strict()) {
                return Step::REFUSE;
            }
            // Behind the frame on layer 2 is padding.
            w.pdu_end = if layer2 { w.end } else { end };
            if head >> 12 != DATAGRAMS {
                return other(b, w, head >> 12, end);
            }
            w.mem[mem::END] = end;
            if layer2 {
                w.mem[mem::SIDE] = 1 + (b.u8(w.base + SOURCE).unwrap_or(0) & LOCAL != 0) as u32;
            }
            w.off = off + HEAD;
        }
        datagram(b, w)
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        if function & IS_SDO != 0 {
            write!(out, "coe_sdo/{}", function & 0xFF)
        } else if function & IS_FRAME != 0 {
            out.write_str("?")
        } else {
            write!(out, "{}", function & 0xFF)
        }
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        tables::rows(each);
    }
}

/// One datagram at [`Walk::off`].
#[inline(always)]
fn datagram<B: Bytes>(b: B, w: &mut Walk) -> Step {
    let off = w.off;
    let Some(head) = b.le64(off) else { return short(w) };
    let command = head as u8;
    let slave = (head >> 16) as u32 & 0xFFFF;
    let register = (head >> 32) as u32 & 0xFFFF;
    let length = (head >> 48) as u32;
    let size = length & LENGTH;
    let next = off + DATAGRAM + size;
    let rights = tables::rights(command);
    if rights == 0 || next > w.mem[mem::END] {
        return broken(w);
    }
    let Some(counter) = b.be16(off + DATA + size) else { return short(w) };
    let counted = counter != 0;
    let back = if w.mem[mem::SIDE] == 0 { counted } else { w.mem[mem::SIDE] == 2 };

    let mut function = command as u32;
    let mut kind = tables::command(command);
    let write = rights & access::WRITE != 0;
    let mut sdo = 0;
    if register >= MEMORY {
        // The mailbox of a read lies in the answer alone.
        if rights & access::MAILBOX != 0 && (write || counted) && size >= MAILBOX_HEAD + 2 {
            sdo = mailbox(b, off + DATA, size, &mut function, &mut kind);
        }
    } else if write {
        let area = tables::area(register);
        if area != 0 {
            function |= area << 8;
            kind = tables::area_kind(area);
        }
        // A write may begin below the register that it is about.
        if register <= AL_CONTROL && register + size > AL_CONTROL {
            let state = b.u8(off + DATA + AL_CONTROL - register).unwrap_or(0) & 0xF;
            function = command as u32 | AL_CONTROL << 4 | (state as u32) << 16;
            kind = Kind::new(Class::Control, true).0;
        }
    } else if rights & access::READ != 0 && register >> 4 == AL_STATUS {
        function |= AL_STATUS << 8;
        kind = tables::area_kind(AL_STATUS);
    }

    let unit = if rights & access::CONFIGURED != 0 { slave } else { 0 };
    let dir = if back { Dir::Response } else { Dir::Request };
    // What came back uncounted was not done yet.
    if back && counted {
        kind &= !Kind::STATE_CHANGING;
    }
    let addr = if rights & access::LOGICAL != 0 {
        register << 16 | slave
    } else if rights & access::BROADCAST != 0 {
        register
    } else {
        slave << 16 | register
    };
    let tag = Tag::new(Ethercat::NUMBER, kind, dir, 0);
    w.push(Op { function, unit, addr, span: size, tag });
    if sdo != 0 {
        push_sdo(b, w, sdo, unit, dir, counted);
    }
    w.off = next;
    if length & MORE != 0 {
        return Step::INNER;
    }
    if w.strict() && next != w.mem[mem::END] {
        return broken(w);
    }
    Step::DONE
}

/// The octets end before the datagram does.
#[inline(always)]
fn short(w: &mut Walk) -> Step {
    if w.hint == Hint::EtherType as u8 || w.mem[mem::END] <= w.end {
        return broken(w);
    }
    Step::PARTIAL
}

/// Datagrams that do not fit their frame: none of them, or not all.
#[inline(always)]
fn broken(w: &mut Walk) -> Step {
    if w.n_ops != w.pdu_ops && (!w.strict() || w.pdus != 0) {
        return Step::MALFORMED;
    }
    if w.pdus == 0 {
        w.clear_ops();
    }
    Step::REFUSE
}

/// Reads the mailbox at `at`: sets function and kind when it is one, and returns where its SDO command is (0 for none).
#[inline(always)]
fn mailbox<B: Bytes>(b: B, at: u32, size: u32, function: &mut u32, kind: &mut u8) -> u32 {
    let Some(head) = b.le64(at) else { return 0 };
    let length = head as u32 & 0xFFFF;
    let of = (head >> 40) as u32 & 0xFF;
    let content = (head >> 48) as u32;
    if length < 2 || length + MAILBOX_HEAD > size || of & 0x80 != 0 || TYPES >> (of & 0xF) & 1 == 0 {
        return 0;
    }
    let of = of & 0xF;
    let (service, found) = tables::mailbox(b, of, content);
    *function |= IN_MAILBOX << 8 | service << 16;
    *kind = found;
    if service == SDO_REQUEST { at + MAILBOX_HEAD + 2 } else { 0 }
}

/// The SDO request whose command is at `at`.
#[inline(always)]
fn push_sdo<B: Bytes>(b: B, w: &mut Walk, at: u32, unit: u32, dir: Dir, counted: bool) {
    let Some(sdo) = b.le32(at) else { return };
    let command = (sdo >> 5) & 7;
    let index = (sdo >> 8) & 0xFFFF;
    let mut function = IS_SDO | command;
    let mut kind = tables::sdo(command);
    // Store and restore parameters, PDO mapping, PDO assignment.
    if command == 1 && (index >> 1 == 0x1010 >> 1 || index.wrapping_sub(0x1600) < 0x500 || index >> 2 == 0x1C10 >> 2) {
        function |= CONFIGURES;
        kind = Kind::new(Class::Config, true).0;
    }
    if matches!(dir, Dir::Response) && counted {
        kind &= !Kind::STATE_CHANGING;
    }
    let tag = Tag::new(Ethercat::NUMBER, kind, dir, 0);
    w.push(Op { function, unit, addr: index << 8 | sdo >> 24, span: 0, tag });
}

/// Frames that hold no datagrams: only on the EtherType or the port, and as long as they say.
#[inline(always)]
fn other<B: Bytes>(b: B, w: &mut Walk, of: u32, end: u32) -> Step {
    let ethertype = w.hint == Hint::EtherType as u8;
    let mut kind = tables::frame(b, of);
    let tcp = !ethertype && w.service >> 16 == TCP as u32;
    if w.strict() || end - w.off <= HEAD || (tcp && kind == Kind::UNLISTED.0) {
        return Step::REFUSE;
    }
    if end > w.end {
        return if tcp { Step::PARTIAL } else { Step::REFUSE };
    }
    if !ethertype && end != w.end {
        return Step::REFUSE;
    }
    let dir = if of == GATEWAY { w.port_dir() } else { Dir::Unknown };
    let mut function = IS_FRAME | of;
    let at = w.off + HEAD;
    let mut sdo = 0;
    if of == GATEWAY {
        sdo = mailbox(b, at, end - at, &mut function, &mut kind);
    }
    if sdo != 0 {
        push_sdo(b, w, sdo, 0, dir, false);
    }
    // A request whose SDO command is cut off is the mailbox's.
    if w.n_ops == w.pdu_ops {
        w.push(op::<Ethercat>(function, kind, dir, 0));
    }
    Step::DONE
}

#[cfg(test)]
mod tests;
