//! PROFINET IO context manager: connectionless DCE/RPC over UDP.
//!
//! Source: IEC 61158-6-10 (PROFINET IO: RPC interfaces, AR, record and control blocks); DCE 1.1 RPC (C706), chapter 12
//! (connectionless PDU). Port 34964 for the first exchange, any port afterwards: found by the interface UUID. The RPC
//! header follows its own data representation, the PROFINET blocks are big endian.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 1 | RPC version 4 |
//! | 1 | 1 | packet type: 0 request, 1 ping, 2 response, 3 fault, 4 working, 5 no call, 6 reject, 7 ack, 8 cancel, 9 fragment ack, 10 cancel ack |
//! | 2 | 2 | flags |
//! | 4 | 3 | data representation; 10 in octet 4: little endian |
//! | 8 | 16 | object UUID DEA00000-6C97-11D1-8271-instance 2, device 2, vendor 2 |
//! | 24 | 16 | interface UUID DEA0000n-6C97-11D1-8271-00A02442DF7D, n = 1 to 4 |
//! | 68 | 2 | operation number |
//! | 74 | 2 | body length |
//! | 76 | 2 | fragment number |
//! | 80 | 20 | NDR lengths (requests), status and lengths (responses) |
//! | 100 | 2 | block type; control blocks 0110 to 0119, 8110 to 8119 |
//! | 128 | 2 | control blocks: command bits. Records: 130 is the subslot |
//! | 134 | 2 | records: index; 136: length 4 |
//!
//! Function encoding: operation number | packet type << 8 | control command or record index << 16. Unit: device and
//! vendor id. Address: slot << 16 | subslot. Not parsed: blocks behind the first, records inside a multiple write.

use core::fmt;

use super::{Binding, Protocol, Row, Sniff, op};
use crate::bytes::Bytes;
use crate::flags;
use crate::frame::UDP;
use crate::op::{Class, Dir, Kind};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct PnIo;

const PORT: u16 = 34964;
const HEAD: u32 = 80;
/// Second half of every interface UUID.
const INTERFACE_LOW: u64 = 0x8271_00A0_2442_DF7D;
/// First half, without the interface number.
const INTERFACE_LE: u64 = 0x0000_A0DE_976C_D111;
const INTERFACE_BE: u64 = 0xDEA0_0000_6C97_11D1;
/// Endpoint mapper E1AF8308-5D1F-11C9-91A4-08002B14A0FA.
const MAPPER_LE: u64 = 0x0883_AFE1_1F5D_C911;
const MAPPER_BE: u64 = 0xE1AF_8308_5D1F_11C9;
const MAPPER_LOW: u64 = 0x91A4_0800_2B14_A0FA;
const RELEASE: u32 = 1;
const READ: u32 = 2;
const WRITE: u32 = 3;
const CONTROL: u32 = 4;
const READ_IMPLICIT: u32 = 5;
const REQUEST: u32 = 0;
const RESPONSE: u32 = 2;
/// Bit of functions of the endpoint mapper.
const MAPPER: u32 = 0x80;

functions! {
    OPERATIONS, operation_rows, base 0;
    0x00 "Connect" Session!;
    0x01 "Release" Control!;
    0x02 "Read" Read;
    0x03 "Write" Write!;
    0x04 "Control" Control!;
    0x05 "Read Implicit" Read;
    0x82 "Endpoint mapper lookup" Discovery;
}

functions! {
    /// RPC packet types besides request and response.
    PACKETS, packet_rows, base 0;
    0x01 "RPC ping" Session;
    0x03 "RPC fault" Response;
    0x04 "RPC working" Response;
    0x05 "RPC no call" Response;
    0x06 "RPC reject" Response;
    0x07 "RPC acknowledge" Response;
    0x08 "RPC cancel" Session;
    0x09 "RPC fragment acknowledge" Response;
    0x0A "RPC cancel acknowledge" Response;
}

functions! {
    /// Bits of the control command.
    COMMANDS, control_rows, base 0;
    0x01 "PrmEnd" Control!;
    0x02 "ApplicationReady" Session;
    0x04 "Release" Control!;
    0x08 "Done" Response;
    0x10 "ReadyForCompanion" Session;
    0x20 "ReadyForRT_CLASS_3" Session;
    0x40 "PrmBegin" Control!;
}

/// Directions of the packet types; acknowledgements of fragments go both ways.
static DIRS: [Dir; 16] = {
    let mut t = [Dir::Unknown; 16];
    t[0] = Dir::Request;
    t[1] = Dir::Request;
    t[2] = Dir::Response;
    t[3] = Dir::Response;
    t[4] = Dir::Response;
    t[5] = Dir::Response;
    t[6] = Dir::Response;
    t[8] = Dir::Request;
    t[10] = Dir::Response;
    t
};

/// Records whose write is configuration, with their names.
const CONFIG_RECORDS: [(u32, &str); 11] = [
    (0xAFF1, "Write I&M1 (tags)"),
    (0xAFF2, "Write I&M2 (date)"),
    (0xAFF3, "Write I&M3 (descriptor)"),
    (0xAFF4, "Write I&M4 (signature)"),
    (0x802B, "Write PDPortDataCheck"),
    (0x802F, "Write PDPortDataAdjust"),
    (0x8052, "Write PDInterfaceMrpDataAdjust"),
    (0x8071, "Write PDInterfaceAdjust"),
    (0xF850, "Write AutoConfiguration"),
    (0xF8F0, "Add TSN stream"),
    (0xF8F2, "Remove TSN stream"),
];
const ACK_EVENT: u32 = 0xE061;
const FILTER_DATA: u32 = 0xF840;
const UPLOAD: u32 = 0xF860;

impl Protocol for PnIo {
    const NAME: &'static str = "pn_io";
    const TITLE: &'static str = "PROFINET IO context manager (DCE/RPC)";
    const BINDING: Binding = Binding { tcp: &[], udp: &[PORT], ethertypes: &[] };
    const SNIFF: &'static [Sniff] = &[Sniff { l4: UDP, mask: 0xFFF0_0000, value: 0x0400_0000 }];

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let Some(head) = b.be64(off) else { return Step::REFUSE };
        let Some(high) = b.be64(off + 24) else { return Step::REFUSE };
        let Some(low) = b.be64(off + 32) else { return Step::REFUSE };
        let Some(call) = b.be64(off + 68) else { return Step::REFUSE };
        let Some(fragment) = b.be16(off + 76) else { return Step::REFUSE };
        let kind_of_packet = (head >> 48) as u32 & 0xFF;
        let little = head & 0xF000_0000 != 0;
        let (own, mapper) = if little {
            ((high & 0x00FF_FFFF_FFFF_FFFF) == INTERFACE_LE, high == MAPPER_LE)
        } else {
            ((high & 0xFFFF_FFF0_FFFF_FFFF) == INTERFACE_BE, high == MAPPER_BE)
        };
        let own = own && low == INTERFACE_LOW;
        // The endpoint mapper belongs to PROFINET only on its port.
        let mapper = mapper && low == MAPPER_LOW && !w.strict();
        if head >> 56 != 4 || kind_of_packet > 10 || !(own || mapper) || off + HEAD > w.end {
            return Step::REFUSE;
        }
        let wire = (call >> 48) as u16;
        let number = if little { wire.swap_bytes() } else { wire } as u32;
        let wire = (call & 0xFFFF) as u16;
        let body = if little { wire.swap_bytes() } else { wire } as u32;
        if off + HEAD + body > w.end {
            return Step::REFUSE;
        }
        w.pdu_end = w.end;
        let known = number & 0x7F | if mapper { MAPPER } else { 0 };
        let unit = b.be32(off + 20).unwrap_or(0);
        let mut kind = if number > 0x7F { Kind::UNLISTED.0 } else { OPERATIONS[b.index::<0xFF>(known)] };
        let mut function = known | kind_of_packet << 8;
        let (mut addr, mut span) = (0, 0);
        if kind_of_packet != REQUEST && kind_of_packet != RESPONSE {
            kind = PACKETS[b.index::<0xF>(kind_of_packet)];
        } else if fragment != 0 {
            // No block header: the activity UUID names the call.
            w.flags |= flags::TRANSPORT_FRAGMENT;
        } else if own && (number == CONTROL || number == RELEASE) {
            let block = b.be16(off + 100).unwrap_or(0) & 0x7FFF;
            let command = b.be16(off + 128).unwrap_or(0) as u32;
            if (0x0110..=0x0119).contains(&block) {
                function |= command << 16;
                if command & 0xFF00 == 0 && number == CONTROL {
                    kind = COMMANDS[b.index::<0xFF>(command)];
                }
            }
        } else if own && (number == READ || number == WRITE || number == READ_IMPLICIT) {
            let index = b.be16(off + 134).unwrap_or(0) as u32;
            addr = b.be32(off + 128).unwrap_or(0);
            span = b.be32(off + 136).unwrap_or(0);
            function |= index << 16;
            kind = record(number, index, kind);
        }
        let mut found = op::<PnIo>(function, kind, DIRS[b.index::<0xF>(kind_of_packet)], unit);
        found.addr = addr;
        found.span = span;
        w.push(found);
        Step::DONE
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        let number = function & 0x7F;
        if function & MAPPER != 0 {
            return write!(out, "epm/{number}");
        }
        write!(out, "{number}")?;
        if (number == CONTROL || number == RELEASE) && function >> 16 != 0 {
            return write!(out, "/cc{:#06x}", function >> 16);
        }
        Ok(())
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        operation_rows(each);
        packet_rows(&mut |r| each(Row { function: r.function << 8, ..r }));
        control_rows(&mut |r| each(Row { function: r.function << 16 | CONTROL, ..r }));
        for (index, name) in CONFIG_RECORDS {
            each(Row { function: index << 16 | WRITE, name, class: Class::Config, state_changing: true });
        }
        let more = [
            (ACK_EVENT, WRITE, "RS_AckEvent", Class::Alarm),
            (FILTER_DATA, READ, "Read I&M0FilterData", Class::Discovery),
            (UPLOAD, READ, "Read UploadBLOB", Class::ProgramUpload),
        ];
        for (index, number, name, class) in more {
            each(Row { function: index << 16 | number, name, class, state_changing: number == WRITE });
        }
    }
}

/// Kind of a record access by the record's index.
#[inline(always)]
fn record(number: u32, index: u32, kind: u8) -> u8 {
    if number == WRITE {
        let mut config = false;
        for (record, _) in CONFIG_RECORDS {
            config |= index == record;
        }
        if config {
            Kind::new(Class::Config, true).0
        } else if index == ACK_EVENT {
            Kind::new(Class::Alarm, true).0
        } else {
            kind
        }
    } else if index == FILTER_DATA {
        Class::Discovery as u8
    } else if index == UPLOAD {
        Class::ProgramUpload as u8
    } else {
        kind
    }
}

#[cfg(test)]
mod tests {
    use crate::flags;
    use crate::reason::Outcome;
    use crate::testing::{cuts, hex, udp};

    const PRM_END: &str = "0400200000000000dea000006c9711d182710001000 3015adea000016c9711d1827100a02442df7d13142f90000010 00a994d2106890ca5a000000000000000100000002 0004ffffffff0034000000000000100000000020000010000000000000000020 0110001c010000007c74224e166c4a58bf6b6c25a75870f00001000000010000";
    const DONE: &str = "04022800100000000000a0de976cd111827100010003015a0100a0de976cd111827100a02442df7d902f141300000010a994d2106890ca5a0200000001000000020000000400ffffffff340000000000000000002000000000100000000000002000000 08110001c010000007c74224e166c4a58bf6b6c25a75870f00001000000080000";

    #[test]
    fn control_on_and_off_the_port() {
        let s = udp(65151, 34964, &hex(PRM_END));
        assert_eq!((s.lines(), s.flags), (["pn_io:4/cc0x0001 control! request".into()].into(), 0));
        let s = udp(49152, 65151, &hex(DONE));
        assert_eq!((s.lines(), s.flags), (["pn_io:4/cc0x0008 response response".into()].into(), flags::PORT_MISMATCH));
        assert_eq!(s.ops[0].unit, 0x0003_015A);
        cuts(&hex(DONE), &[], &|p| udp(49152, 65151, p));
    }

    #[test]
    fn other_interfaces_are_refused() {
        for at in [0, 25, 30, 34, 39] {
            let mut p = hex(DONE);
            p[at] ^= 0x40;
            assert_eq!(udp(49152, 65151, &p).outcome, Outcome::NotOt, "octet {at}");
        }
    }
}
