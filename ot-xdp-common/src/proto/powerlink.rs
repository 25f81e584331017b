//! Ethernet POWERLINK: cyclic polling of nodes by a managing node, network management and SDO.
//!
//! Source: EPSG DS 301 cl. 4.6 (frames), 6.3 (SDO: sequence and command layer), 7.3 (NMT services). EtherType 0x88AB, version 1 0x3E3F; the same octets in UDP, port 3819. Little endian.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 1 | message type (7 bits) |
//! | 1 | 2 | destination node, source node: 1 to 239 controlled nodes, 240 managing node, 255 all |
//! | 8 | 2 | PReq, PRes: size of the process data at 10 |
//! | 3 | 1 | ASnd: service |
//! | 4 | 1 | ASnd NMT: command |
//! | 4 | 4 | ASnd SDO: sequence layer |
//! | 10 | 2 | SDO: flags (80 answer, 40 abort, 30 segmentation), command |
//! | 16 | 3 | SDO: index, subindex; 4 octets later in the first of several segments |
//!
//! Function encoding: message type | service << 8 | NMT or SDO command << 16 | object that is more than data << 24. Unit:
//! the controlled node. Address: SDO index << 8 | subindex. Span: octets of process data. Direction: PReq asks and PRes
//! answers. Not parsed: process data, the data of SDO by name, of version 1 whatever is inside an ASnd.

use core::fmt;

use super::{Binding, Protocol, Row, op};
use crate::bytes::Bytes;
use crate::op::{Dir, Kind};
use crate::walk::{Hint, Step, Walk};

/// See the module head.
pub struct Powerlink;

const ETHERTYPE: u16 = 0x88AB;
const VERSION_1: u16 = 0x3E3F;
const PORT: u16 = 3819;
const SOC: u32 = 1;
const PREQ: u32 = 3;
const PRES: u32 = 4;
const ASND: u32 = 6;
const MANAGING_NODE: u32 = 240;
const NMT_REQUEST: u32 = 3;
const NMT_COMMAND: u32 = 4;
const SDO: u32 = 5;
/// Octets in front of the process data, and their highest number.
const PDO: u32 = 10;
const PDO_MAX: u32 = 1490;
/// Flags of the SDO command layer.
const ANSWER: u32 = 0x80;
const SEGMENTATION: u32 = 0x30;
const FIRST_SEGMENT: u32 = 0x10;
const LATER_SEGMENT: u32 = 0x20;
const WRITE_BY_INDEX: u32 = 1;
/// Where service, command and object stand in the function.
const SERVICE: u32 = 8;
const COMMAND: u32 = 16;
const OBJECT: u32 = 24;

functions! {
    TYPES, type_rows, base 0;
    0x01 "SoC" CyclicIo!;
    0x03 "PReq" CyclicIo!;
    0x04 "PRes" CyclicIo;
    0x05 "SoA" Session;
    0x06 "ASnd" Unknown!;
    0x07 "AMNI" Session!;
    0x0D "AInv" Session;
}

functions! {
    /// Services of an ASnd.
    SERVICES, service_rows, base 0;
    0x01 "IdentResponse" Discovery;
    0x02 "StatusResponse" Diagnostic;
    0x03 "NMTRequest" Control!;
    0x04 "NMTCommand" Control!;
    0x05 "SDO" Unknown!;
    0x06 "SyncResponse" Session;
}

functions! {
    /// Commands of network management.
    NMT, nmt_rows, base 0;
    0x21 "NMTStartNode" Control!;
    0x22 "NMTStopNode" Control!;
    0x23 "NMTEnterPreOperational2" Control!;
    0x24 "NMTEnableReadyToOperate" Control!;
    0x28 "NMTResetNode" Control!;
    0x29 "NMTResetCommunication" Control!;
    0x2A "NMTResetConfiguration" Control!;
    0x2B "NMTSwReset" Control!;
    0x2C "NMTGoToStandby" Control!;
    0x2D "NMTDNA" Config!;
    0x41 "NMTStartNodeEx" Control!;
    0x42 "NMTStopNodeEx" Control!;
    0x43 "NMTEnterPreOperational2Ex" Control!;
    0x44 "NMTEnableReadyToOperateEx" Control!;
    0x48 "NMTResetNodeEx" Control!;
    0x49 "NMTResetCommunicationEx" Control!;
    0x4A "NMTResetConfigurationEx" Control!;
    0x4B "NMTSwResetEx" Control!;
    0x62 "NMTNetHostNameSet" Config!;
    0x63 "NMTFlushArpEntry" Config!;
    0x80 "NMTPublishConfiguredNodes" Diagnostic;
    0x90 "NMTPublishActiveNodes" Diagnostic;
    0x91 "NMTPublishPreOperational1" Diagnostic;
    0x92 "NMTPublishPreOperational2" Diagnostic;
    0x93 "NMTPublishReadyToOperate" Diagnostic;
    0x94 "NMTPublishOperational" Diagnostic;
    0x95 "NMTPublishStopped" Diagnostic;
    0xA0 "NMTPublishEmergencyNew" Alarm;
    0xB0 "NMTPublishTime" Infrastructure!;
}

functions! {
    /// Commands of an SDO; 0 is a sequence layer without a command.
    SDOS, sdo_rows, base 0;
    0x00 "SDO sequence layer" Session;
    0x01 "SDO write by index" Write!;
    0x02 "SDO read by index" Read;
    0x03 "SDO write all by index" Write!;
    0x04 "SDO read all by index" Read;
    0x05 "SDO write by name" Write!;
    0x06 "SDO read by name" Read;
    0x20 "SDO file write" ProgramDownload!;
    0x21 "SDO file read" ProgramUpload;
    0x31 "SDO write multiple" Write!;
    0x32 "SDO read multiple" Read;
    0x70 "SDO maximum segment size" Session;
}

functions! {
    /// Objects whose writing is more than a write.
    OBJECTS[8], object_rows, base 0;
    1 "SDO write to 0x1010 store parameters" Config!;
    2 "SDO write to 0x1011 restore default parameters" Config!;
    3 "SDO write to 0x1F50 download program data" ProgramDownload!;
    4 "SDO write to 0x1F51 program control" Control!;
}

/// Direction by message type.
static DIRECTIONS: [Dir; 256] = {
    let mut t = [Dir::Publish; 256];
    t[PREQ as usize] = Dir::Request;
    t[PRES as usize] = Dir::Response;
    t
};

/// Direction of an ASnd by service: the answers to an SoA are responses.
static ASND_DIRECTIONS: [Dir; 256] = {
    let mut t = [Dir::Unknown; 256];
    t[1] = Dir::Response;
    t[2] = Dir::Response;
    t[6] = Dir::Response;
    t[NMT_REQUEST as usize] = Dir::Request;
    t[NMT_COMMAND as usize] = Dir::Request;
    t
};

impl Protocol for Powerlink {
    const NAME: &'static str = "powerlink";
    const TITLE: &'static str = "Ethernet POWERLINK (EPSG DS 301)";
    const BINDING: Binding = Binding { tcp: &[], udp: &[PORT], ethertypes: &[ETHERTYPE, VERSION_1] };

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let Some(head) = b.be32(off) else { return Step::REFUSE };
        let of = (head >> 24) & 0x7F;
        let to = (head >> 16) & 0xFF;
        let from = (head >> 8) & 0xFF;
        // One PDU a frame; behind it is padding.
        w.pdu_end = w.end;
        let kind = TYPES[b.index::<0xFF>(of)];
        // SoC, SoA, AMNI, AInv and PReq come from the managing node, and polls go to one node.
        let managed = 1 << (of & 0xF) & (1 << SOC | 1 << PREQ | 1 << 5 | 1 << 7 | 1 << 0xD) != 0;
        let named = of < 16 && (kind != Kind::UNLISTED.0 || of == ASND);
        if !named || from == 0 || (managed && from != MANAGING_NODE) || (of == PREQ && to.wrapping_sub(1) >= 239) {
            return Step::REFUSE;
        }
        let unit = if from == MANAGING_NODE { to } else { from };
        if of == ASND {
            return asnd(b, w, head & 0xFF, unit);
        }
        let mut size = 0;
        let mut fits = true;
        if of == PREQ || of == PRES {
            let Some(octets) = b.le16(off + 8) else { return Step::REFUSE };
            size = octets as u32;
            fits = size <= PDO_MAX && off + PDO + size <= w.end;
        }
        let mut found = op::<Powerlink>(of, kind, DIRECTIONS[b.index::<0xFF>(of)], unit);
        found.span = size;
        w.push(found);
        if fits { Step::DONE } else { Step::MALFORMED }
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{:#04x}", function & 0xFF)?;
        let service = function >> SERVICE & 0xFF;
        if service == 0 {
            return Ok(());
        }
        write!(out, "/{service:#04x}")?;
        if (NMT_REQUEST..=SDO).contains(&service) {
            write!(out, "/{:#04x}", function >> COMMAND & 0xFF)?;
        }
        Ok(())
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        type_rows(each);
        service_rows(&mut |r| {
            if r.function < NMT_REQUEST || r.function > SDO {
                each(Row { function: ASND | r.function << SERVICE, ..r });
            }
        });
        for service in [NMT_COMMAND, NMT_REQUEST] {
            nmt_rows(&mut |r| each(Row { function: ASND | service << SERVICE | r.function << COMMAND, ..r }));
        }
        let sdo = ASND | SDO << SERVICE;
        sdo_rows(&mut |r| each(Row { function: sdo | r.function << COMMAND, ..r }));
        object_rows(&mut |r| each(Row { function: sdo | WRITE_BY_INDEX << COMMAND | r.function << OBJECT, ..r }));
    }
}

/// An ASnd with its service.
#[inline(always)]
fn asnd<B: Bytes>(b: B, w: &mut Walk, service: u32, unit: u32) -> Step {
    let off = w.off;
    if w.hint == Hint::EtherType as u8 && b.be16(off.wrapping_sub(2)) == Some(VERSION_1) {
        w.push(op::<Powerlink>(ASND, TYPES[ASND as usize], Dir::Unknown, unit));
        return Step::DONE;
    }
    let mut function = ASND | service << SERVICE;
    let mut kind = SERVICES[b.index::<0xFF>(service)];
    let mut dir = ASND_DIRECTIONS[b.index::<0xFF>(service)];
    let mut addr = 0;
    if service == NMT_COMMAND || service == NMT_REQUEST {
        let Some(command) = b.u8(off + 4) else { return Step::PARTIAL };
        function |= (command as u32) << COMMAND;
        kind = NMT[command as usize];
        // What a node asks the managing node for is asked, whatever it is.
        if service == NMT_REQUEST {
            kind |= Kind::STATE_CHANGING;
        }
    } else if service == SDO {
        let Some(layer) = b.be16(off + 10) else { return Step::PARTIAL };
        let (flags, command) = ((layer >> 8) as u32, layer as u32 & 0xFF);
        function |= command << COMMAND;
        kind = SDOS[b.index::<0xFF>(command)];
        dir = if flags & ANSWER == 0 { Dir::Request } else { Dir::Response };
        let segmentation = flags & SEGMENTATION;
        if command != 0 && segmentation < LATER_SEGMENT {
            let at = off + 16 + (segmentation == FIRST_SEGMENT) as u32 * 4;
            let object = b.le32(at).unwrap_or(0) & 0x00FF_FFFF;
            let index = object & 0xFFFF;
            addr = index << 8 | object >> 16;
            if command == WRITE_BY_INDEX {
                // 1010, 1011, 1F50, 1F51: a pair each.
                let pair = if index >> 1 == 0x1010 >> 1 {
                    1
                } else if index >> 1 == 0x1F50 >> 1 {
                    3
                } else {
                    0
                };
                if pair != 0 {
                    let which = pair + (index & 1);
                    function |= which << OBJECT;
                    kind = OBJECTS[b.index::<7>(which)];
                }
            }
        }
    }
    let mut found = op::<Powerlink>(function, kind, dir, unit);
    found.addr = addr;
    w.push(found);
    Step::DONE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::Outcome;
    use crate::testing::{cuts, hex, layer2, udp};

    const POLL: &str = "0301f0000100 0100 0400 01020304";
    const SDO_WRITE: &str = "06f00105000000000001000108000000 006001aabbccdd";

    fn lines(payload: &str) -> std::vec::Vec<std::string::String> {
        layer2(ETHERTYPE, &hex(payload)).lines()
    }

    extern crate std;

    #[test]
    fn the_cycle() {
        assert_eq!(lines("01fff000000000000000"), ["powerlink:0x01 cyclic-io! publish"]);
        let s = layer2(ETHERTYPE, &hex(POLL));
        assert_eq!(s.lines(), ["powerlink:0x03 cyclic-io! request"]);
        assert_eq!((s.ops[0].unit, s.ops[0].span), (1, 4));
        assert_eq!(lines("04ff01fd0100010004000102030400"), ["powerlink:0x04 cyclic-io response"]);
        assert_eq!(lines("05fff0fd000000"), ["powerlink:0x05 session publish"]);
        assert_eq!(layer2(ETHERTYPE, &hex(&POLL.replace("0400", "0500"))).outcome, Outcome::Malformed);
    }

    #[test]
    fn network_management_and_sdo() {
        assert_eq!(lines("06fff0042100"), ["powerlink:0x06/0x04/0x21 control! request"]);
        assert_eq!(lines("06fff004b000"), ["powerlink:0x06/0x04/0xb0 infrastructure! request"]);
        assert_eq!(lines("06f0010328"), ["powerlink:0x06/0x03/0x28 control! request"]);
        assert_eq!(lines("06ff0101"), ["powerlink:0x06/0x01 discovery response"]);
        let s = layer2(ETHERTYPE, &hex(SDO_WRITE));
        assert_eq!(s.lines(), ["powerlink:0x06/0x05/0x01 write! request"]);
        assert_eq!((s.ops[0].unit, s.ops[0].addr), (1, 0x60_0001));
        assert_eq!(
            lines(&SDO_WRITE.replace("006001", "501f01")),
            ["powerlink:0x06/0x05/0x01 program-download! request"]
        );
        assert_eq!(lines(&SDO_WRITE.replace("00010001", "00018001")), ["powerlink:0x06/0x05/0x01 write response"]);
        assert_eq!(lines(&["06f00105", &"00".repeat(16)].concat()), ["powerlink:0x06/0x05/0x00 session request"]);
    }

    #[test]
    fn other_octets_are_refused() {
        for p in ["02fff00000000000", "01ff0100000000", "03fff0000000000000000000", "0301000000000000"] {
            assert_eq!(layer2(ETHERTYPE, &hex(p)).outcome, Outcome::Unparsed, "{p}");
        }
        assert_eq!(layer2(VERSION_1, &hex("06fff0042100")).lines(), ["powerlink:0x06 unknown! -"]);
        assert_eq!(udp(3819, 3819, &hex(SDO_WRITE)).lines(), ["powerlink:0x06/0x05/0x01 write! request"]);
        cuts(&hex(SDO_WRITE), &["powerlink:0x06/0x05/0x01"], &|p| layer2(ETHERTYPE, p));
    }
}
