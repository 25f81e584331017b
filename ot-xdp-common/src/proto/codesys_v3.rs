//! CODESYS V3 runtime: blocks over TCP, datagrams over UDP.
//!
//! Source: public descriptions of the protocol's layers. TCP 11740 to 11743 and 1217 (gateway), UDP 1740 to 1743. Little
//! endian.
//!
//! TCP: 00 01 17 E8, length of the whole block 4, then the datagram; UDP: the datagram.
//!
//! | off | size | field of the datagram |
//! |---|---|---|
//! | 0 | 1 | C5 |
//! | 1 | 1 | hop count 5 bits, length of the header in words 3 bits |
//! | 2 | 1 | priority, signal, address type, length of the data block |
//! | 3 | 1 | service: 1, 2 address; 3, 4 name; 40 channels |
//! | 4 | 1 | message id |
//! | 5 | 1 | words of the sender's and of the receiver's address |
//! | 6 | | addresses; the channel layer begins at the next multiple of four |
//!
//! Channel layer: type 1 (C2, C3, 83, C4, 01 block, 02 acknowledge, 03 keep-alive). Block: flags 1 (bit 0: first of a
//! message), channel 2, block id 4, acknowledged id 4, in the first also the size 4 and the CRC 4 of the message. Service
//! layer: CD55 (7557: secured), length of its header 2, group 2 (bit 7: response), command 2, session 4, size 4.
//!
//! Function encoding: command, group << 8, layer << 16 (0 datagram, 1 channel, 2 service, 3 secured). Later blocks of a
//! message are the channel's block operation. Not parsed: the content of services.

use core::fmt;

use super::{Binding, Protocol, Row, Sniff, op};
use crate::bytes::Bytes;
use crate::frame::TCP;
use crate::op::{Class, Dir, Kind};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct CodesysV3;

const MAGIC: u32 = 0x0001_17E8;
const LONGEST: u32 = 0x1_0000;
const DATAGRAM: u8 = 0xC5;
const CHANNELS: u8 = 0x40;
const BLOCK: u8 = 0x01;
const CHANNEL_LAYER: u32 = 1 << 16;
const SERVICE_LAYER: u32 = 2 << 16;
const SECURED_LAYER: u32 = 3 << 16;
const CLEAR: u16 = 0xCD55;
const SECURED: u16 = 0x7557;

functions! {
    /// Services of the datagram layer.
    DATAGRAMS, datagram_rows, base 0;
    0x01 "address notification request" Discovery;
    0x02 "address notification response" Response;
    0x03 "name service request" Discovery;
    0x04 "name service reply" Response;
    0x40 "channel manager" Session;
}

functions! {
    /// Types of the channel layer.
    CHANNEL, channel_rows, base CHANNEL_LAYER;
    0x01 "block" Unknown;
    0x02 "acknowledge" Response;
    0x03 "keep-alive" Session;
    0x83 "open channel response" Response;
    0xC2 "get information" Discovery;
    0xC3 "open channel" Session;
    0xC4 "close channel" Session;
}

functions! {
    /// Groups whose commands are alike.
    GROUPS, group_rows, base 0;
    0x06 "CmpSettings" Config!;
    0x0C "CmpUserMgr" Auth!;
    0x12 "CmpAppBP breakpoints" Control!;
    0x13 "CmpAppForce force values" Write!;
    0x03 "CmpMonitor" Read;
    0x18 "CmpAlarmManager" Alarm!;
    0x0B "CmpIoMgr" Config!;
    0x1F "CmpCoreDump" Diagnostic!;
    0x07 "SysEthernet" Config!;
    0x04 "CmpVisuServer" Write!;
    0x22 "CmpOpenSSL" Auth!;
    0x1D "CmpCodeMeter" Config!;
}

functions! {
    /// Commands by group << 7 and command.
    COMMANDS[8192], command_rows, base 0;
    0x0081 "CmpDevice GetTargetIdent" Discovery;
    0x0082 "CmpDevice Login" Auth;
    0x0083 "CmpDevice Logout" Session;
    0x0084 "CmpDevice ResetOrigin" Control!;
    0x0085 "CmpDevice Echo" Diagnostic;
    0x0086 "CmpDevice SetOperatingMode" Control!;
    0x0087 "CmpDevice GetOperatingMode" Read;
    0x0088 "CmpDevice InteractiveLogin" Auth;
    0x0089 "CmpDevice RenameNode" Config!;
    0x008A "CmpDevice SessionCreate" Session;
    0x008B "CmpDevice ResetOriginGetConfig" Read;
    0x0101 "CmpApp Login" Session;
    0x0102 "CmpApp Logout" Session;
    0x0103 "CmpApp CreateApp" ProgramDownload!;
    0x0104 "CmpApp DeleteApp" ProgramDownload!;
    0x0105 "CmpApp Download" ProgramDownload!;
    0x0106 "CmpApp OnlineChange" ProgramDownload!;
    0x0107 "CmpApp DeviceDownload" ProgramDownload!;
    0x0108 "CmpApp CreateDevApp" ProgramDownload!;
    0x0110 "CmpApp Start" Control!;
    0x0111 "CmpApp Stop" Control!;
    0x0112 "CmpApp Reset" Control!;
    0x0113 "CmpApp SetBP" Control!;
    0x0114 "CmpApp ReadStatus" Read;
    0x0115 "CmpApp DeleteBP" Control!;
    0x0116 "CmpApp ReadCallStack" Diagnostic;
    0x0117 "CmpApp GetAreaOffset" Read;
    0x0118 "CmpApp ReadAppList" Discovery;
    0x0119 "CmpApp SetNextStatement" Control!;
    0x0120 "CmpApp ReleaseForceList" Write!;
    0x0121 "CmpApp UploadForceList" Read;
    0x0122 "CmpApp SingleCycle" Control!;
    0x0123 "CmpApp CreateBootProject" ProgramDownload!;
    0x0124 "CmpApp ReInitApp" Control!;
    0x0125 "CmpApp ReadAppStateList" Read;
    0x0126 "CmpApp LoadBootApp" Control!;
    0x0127 "CmpApp RegisterBootApp" ProgramDownload!;
    0x0128 "CmpApp CheckFileConsistency" Diagnostic;
    0x0129 "CmpApp ReadAppInfo" Discovery;
    0x0130 "CmpApp DownloadCompact" ProgramDownload!;
    0x0131 "CmpApp ReadProjectInfo" Discovery;
    0x0132 "CmpApp DefineFlow" Diagnostic!;
    0x0133 "CmpApp ReadFlowValues" Read;
    0x0134 "CmpApp DownloadEncrypted" ProgramDownload!;
    0x0135 "CmpApp ReadAppContent" ProgramUpload;
    0x0136 "CmpApp SaveRetains" Config!;
    0x0137 "CmpApp RestoreRetains" Write!;
    0x0138 "CmpApp GetAreaAddress" Read;
    0x0139 "CmpApp LeaveExecpointsActive" Control!;
    0x0140 "CmpApp ClaimExecpointsForApp" Control!;
    0x0281 "CmpLog GetEntries" Diagnostic;
    0x0282 "CmpLog GetComponentNames" Diagnostic;
    0x0283 "CmpLog GetLoggerList" Diagnostic;
    0x0401 "CmpFileTransfer GetFileInfo" File;
    0x0402 "CmpFileTransfer StartDownload" ProgramDownload!;
    0x0403 "CmpFileTransfer RestartDownload" ProgramDownload!;
    0x0404 "CmpFileTransfer Download" ProgramDownload!;
    0x0405 "CmpFileTransfer StartUpload" ProgramUpload;
    0x0406 "CmpFileTransfer RestartUpload" ProgramUpload;
    0x0407 "CmpFileTransfer Upload" ProgramUpload;
    0x0408 "CmpFileTransfer End" Session;
    0x0409 "CmpFileTransfer Cancel" Session;
    0x040A "CmpFileTransfer SafeSignature" Config!;
    0x040B "CmpFileTransfer GetSafeSignature" Read;
    0x040C "CmpFileTransfer GetDirInfo" File;
    0x040D "CmpFileTransfer CancelGetDirInfo" Session;
    0x040E "CmpFileTransfer DeleteFile" File!;
    0x040F "CmpFileTransfer RenameFile" File!;
    0x0410 "CmpFileTransfer CreateDir" File!;
    0x0411 "CmpFileTransfer DeleteDir" File!;
    0x0412 "CmpFileTransfer RenameDir" File!;
    0x0414 "CmpFileTransfer SyncFileTransfer" File!;
    0x0481 "CmpIecVarAccess RegisterVarList" Session;
    0x0482 "CmpIecVarAccess UnRegisterVarList" Session;
    0x0483 "CmpIecVarAccess ReadVarList" Read;
    0x0484 "CmpIecVarAccess WriteVarList" Write!;
    0x0485 "CmpIecVarAccess ReadVars" Read;
    0x0486 "CmpIecVarAccess WriteVars" Write!;
    0x0487 "CmpIecVarAccess GetRootNodes" Discovery;
    0x0488 "CmpIecVarAccess GetChildrenNodes" Discovery;
    0x0489 "CmpIecVarAccess GetTypes" Discovery;
    0x048A "CmpIecVarAccess GetAddressInfo" Discovery;
    0x048B "CmpIecVarAccess RemoveVarsFromList" Session;
    0x0781 "CmpTraceMgr PacketReadList" Diagnostic;
    0x0782 "CmpTraceMgr PacketCreate" Diagnostic!;
    0x0783 "CmpTraceMgr PacketDelete" Diagnostic!;
    0x0787 "CmpTraceMgr PacketRead" Diagnostic;
    0x078A "CmpTraceMgr PacketStart" Diagnostic!;
    0x078B "CmpTraceMgr PacketStop" Diagnostic!;
    0x078D "CmpTraceMgr RecordAdd" Diagnostic!;
    0x0881 "PlcShell command" Control!;
    0x0D81 "CmpMonitor2 Read" Read;
    0x0D82 "CmpMonitor2 Write" Write!;
}

/// Is it a service of the datagram layer?
static SERVICE: [u8; 256] = {
    let mut t = [0; 256];
    t[1] = 1;
    t[2] = 1;
    t[3] = 1;
    t[4] = 1;
    t[0x40] = 1;
    t
};

#[inline(always)]
fn service<B: Bytes>(b: B, w: &mut Walk, at: u32) -> Step {
    let Some(flags) = b.u8(at + 1) else { return Step::PARTIAL };
    let dir = if flags & 0x80 != 0 { Dir::Request } else { Dir::Response };
    let id = if flags & 1 != 0 { b.le16(at + 20).unwrap_or(0) } else { 0 };
    if id == SECURED {
        w.push(op::<CodesysV3>(SECURED_LAYER, Kind::new(Class::Encrypted, false).0, dir, 0));
        return Step::DONE;
    }
    let word = b.le16(at + 24);
    let code = b.le16(at + 26);
    let (Some(word), Some(code)) = (word, code) else { return block(w, dir) };
    if id != CLEAR {
        return block(w, dir);
    }
    let group = word as u32 & 0x7F;
    let code = code as u32;
    let function = SERVICE_LAYER | group << 8 | code & 0xFF;
    if word & 0x80 != 0 {
        w.push(op::<CodesysV3>(function, Kind::new(Class::Response, false).0, Dir::Response, 0));
        return Step::DONE;
    }
    let mut kind = Kind::UNLISTED.0;
    if code < 0x80 && group < 0x40 {
        kind = COMMANDS[b.index::<8191>(group << 7 | code)];
    }
    if kind == Kind::UNLISTED.0 {
        kind = GROUPS[b.index::<127>(group)];
    }
    w.push(op::<CodesysV3>(function, kind, Dir::Request, 0));
    Step::DONE
}

#[inline(always)]
fn block(w: &mut Walk, dir: Dir) -> Step {
    w.push(op::<CodesysV3>(CHANNEL_LAYER | BLOCK as u32, CHANNEL[BLOCK as usize], dir, 0));
    Step::DONE
}

impl Protocol for CodesysV3 {
    const NAME: &'static str = "codesys-v3";
    const TITLE: &'static str = "CODESYS V3";
    const BINDING: Binding =
        Binding { tcp: &[1217, 11740, 11741, 11742, 11743], udp: &[1740, 1741, 1742, 1743], ethertypes: &[] };
    const SNIFF: &'static [Sniff] = &[Sniff { l4: TCP, mask: 0xFFFF_FFFF, value: MAGIC }];

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let mut off = w.off;
        let Some(first) = b.be32(off) else { return Step::REFUSE };
        if first == MAGIC {
            let Some(length) = b.le32(off + 4) else { return Step::PARTIAL };
            if !(14..=LONGEST).contains(&length) {
                return Step::REFUSE;
            }
            w.pdu_end = off + length;
            off += 8;
        } else if w.strict() {
            return Step::REFUSE;
        }
        let Some(head) = b.be32(off) else { return Step::PARTIAL };
        let code = head as u8;
        if (head >> 24) as u8 != DATAGRAM || head >> 16 & 7 != 3 || SERVICE[code as usize] == 0 {
            return Step::REFUSE;
        }
        let Some(words) = b.u8(off + 5) else { return Step::PARTIAL };
        let words = words as u32;
        if code != CHANNELS {
            let dir = if code & 1 != 0 { Dir::Request } else { Dir::Response };
            w.push(op::<CodesysV3>(code as u32, DATAGRAMS[code as usize], dir, 0));
            return Step::DONE;
        }
        let at = off + ((6 + ((words >> 4) + (words & 15)) * 2 + 3) & 0x7C);
        let Some(kind) = b.u8(at) else { return Step::PARTIAL };
        if kind == BLOCK {
            return service(b, w, at);
        }
        if CHANNEL[kind as usize] == Kind::UNLISTED.0 {
            return Step::REFUSE;
        }
        let dir = if kind & 0xC0 == 0xC0 {
            Dir::Request
        } else if kind == 0x83 {
            Dir::Response
        } else {
            w.port_dir()
        };
        w.push(op::<CodesysV3>(CHANNEL_LAYER | kind as u32, CHANNEL[kind as usize], dir, 0));
        Step::DONE
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        let low = function & 0xFF;
        match function >> 16 {
            0 => write!(out, "dg/{low:#04x}"),
            1 => write!(out, "ch/{low:#04x}"),
            2 => write!(out, "{:#04x}/{low:#04x}", function >> 8 & 0xFF),
            _ => write!(out, "secured"),
        }
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        datagram_rows(each);
        channel_rows(each);
        command_rows(&mut |r| {
            each(Row { function: SERVICE_LAYER | (r.function >> 7) << 8 | r.function & 0x7F, ..r });
        });
        group_rows(&mut |r| each(Row { function: SERVICE_LAYER | r.function << 8, ..r }));
        each(Row { function: SECURED_LAYER, name: "secured service", class: Class::Encrypted, state_changing: false });
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use crate::reason::Outcome;
    use crate::testing::{hex, tcp, udp};

    const STOP: &str = "000117e838000000c57300400112001122334455018101000100000000000000100000000000000055cd1000\
        020011000000000000000000";

    fn stop() -> std::vec::Vec<u8> {
        let mut v = hex(STOP);
        v[4] = v.len() as u8;
        v
    }

    #[test]
    fn a_service_in_its_layers() {
        assert_eq!(tcp(40000, 11740, &stop()).lines(), ["codesys-v3:0x02/0x11 control! request"]);
        assert_eq!(tcp(40000, 4711, &stop()).paths(), ["codesys-v3:0x02/0x11"]);
        let mut answer = stop();
        answer[44] |= 0x80;
        assert_eq!(tcp(11740, 40000, &answer).lines(), ["codesys-v3:0x02/0x11 response response"]);
    }

    #[test]
    fn datagrams_and_refusals() {
        assert_eq!(udp(1741, 1740, &hex("c573000301000000")).lines(), ["codesys-v3:dg/0x03 discovery request"]);
        assert_eq!(udp(1741, 1740, &hex("c574000301000000")).outcome, Outcome::Unparsed);
        assert_eq!(tcp(40000, 11740, &stop()[..13]).ops.len(), 0);
    }
}
