//! KNXnet/IP: KNX over UDP and TCP, with the cEMI message inside.
//!
//! Source: ISO 22510 and KNX system specifications 03_08 (KNXnet/IP: core, management, tunnelling, routing, security),
//! 03_06_03 (cEMI), 03_03_07 (application layer). Port 3671, multicast 224.0.23.12. Big endian.
//!
//! | off | size | field |
//! |---|---|---|
//! | 0 | 2 | 06 10: header length, version |
//! | 2 | 2 | service |
//! | 4 | 2 | total length |
//! | 6 | 4 | tunnelling, device configuration: connection header 04, channel, sequence, status |
//! | 6, 10 | | cEMI: message code 1, length n of additional information 1 |
//! | cEMI 2+n | 2 | control fields; 80 in the second: group address |
//! | cEMI 4+n | 4 | source, destination |
//! | cEMI 8+n | 1 | length of what follows |
//! | cEMI 9+n | 2 | transport and application control: the low 10 bits are the application service |
//!
//! Function encoding: service, | application service << 16 | bit 31, or message code << 16 | bit 30. Unit: source
//! address. Address: destination, | bit 16 for a group. Not parsed: values, properties, the secure wrapper.

use core::fmt;

use super::{Binding, Protocol, Row, Sniff, op};
use crate::bytes::Bytes;
use crate::flags;
use crate::op::{Class, Dir, Kind};
use crate::walk::{Step, Walk};

/// See the module head.
pub struct Knxnet;

const PORT: u16 = 3671;
const SIGNATURE: u32 = 0x0610;
const HEAD: u32 = 6;
/// Octets of the connection header.
const CONNECTION: u32 = 4;
const SERVICE_MAX: u32 = 4096;
const DEVICE_CONFIGURATION: u32 = 0x0310;
const TUNNELLING: u32 = 0x0420;
const FEATURE_INFO: u32 = 0x0425;
const ROUTING: u32 = 0x0530;
const SYSTEM_BROADCAST: u32 = 0x0533;
const SECURE_WRAPPER: u32 = 0x0950;
const SESSION_RESPONSE: u32 = 0x0952;
const L_DATA_REQ: u32 = 0x11;
const L_DATA_IND: u32 = 0x29;
const L_DATA_CON: u32 = 0x2E;
const BUSMON_IND: u32 = 0x2B;
const RESET_IND: u32 = 0xF0;
const PROP_INFO_IND: u32 = 0xF7;
const APPLICATION: u32 = 1 << 31;
const MESSAGE: u32 = 1 << 30;
/// Groups of 64 application services whose low six bits are data: all but 7, B, E and F.
const DATA_GROUPS: u32 = 0x377F;

functions! {
    SERVICES[4096], service_rows, base 0;
    0x0201 "SEARCH_REQUEST" Discovery;
    0x0202 "SEARCH_RESPONSE" Response;
    0x0203 "DESCRIPTION_REQUEST" Discovery;
    0x0204 "DESCRIPTION_RESPONSE" Response;
    0x0205 "CONNECT_REQUEST" Session;
    0x0206 "CONNECT_RESPONSE" Response;
    0x0207 "CONNECTIONSTATE_REQUEST" Session;
    0x0208 "CONNECTIONSTATE_RESPONSE" Response;
    0x0209 "DISCONNECT_REQUEST" Session;
    0x020A "DISCONNECT_RESPONSE" Response;
    0x020B "SEARCH_REQUEST_EXT" Discovery;
    0x020C "SEARCH_RESPONSE_EXT" Response;
    0x0310 "DEVICE_CONFIGURATION_REQUEST (cEMI M_*)" Config;
    0x0311 "DEVICE_CONFIGURATION_ACK" Response;
    0x0420 "TUNNELING_REQUEST (class by cEMI)" Unknown;
    0x0421 "TUNNELING_ACK" Response;
    0x0422 "TUNNELING_FEATURE_GET" Read;
    0x0423 "TUNNELING_FEATURE_RESPONSE" Response;
    0x0424 "TUNNELING_FEATURE_SET" Config!;
    0x0425 "TUNNELING_FEATURE_INFO" Diagnostic;
    0x0530 "ROUTING_INDICATION (class by cEMI)" Unknown;
    0x0531 "ROUTING_LOST_MESSAGE" Diagnostic;
    0x0532 "ROUTING_BUSY (flow control)" Control!;
    0x0533 "ROUTING_SYSTEM_BROADCAST" Config!;
    0x0740 "REMOTE_DIAG_REQUEST" Diagnostic;
    0x0741 "REMOTE_DIAG_RESPONSE" Response;
    0x0742 "REMOTE_BASIC_CONFIGURATION_REQUEST" Config!;
    0x0743 "REMOTE_RESET_REQUEST" Control!;
    0x0950 "SECURE_WRAPPER" Encrypted!;
    0x0951 "SESSION_REQUEST" Auth;
    0x0952 "SESSION_RESPONSE" Auth;
    0x0953 "SESSION_AUTHENTICATE" Auth;
    0x0954 "SESSION_STATUS" Session;
    0x0955 "TIMER_NOTIFY" Infrastructure;
}

functions! {
    /// Message codes of cEMI.
    MESSAGES, message_rows, base MESSAGE;
    0x10 "L_Raw.req" Write!;
    0x11 "L_Data.req" Unknown;
    0x13 "L_Poll_Data.req" Read;
    0x29 "L_Data.ind" Unknown;
    0x2B "L_Busmon.ind" Read;
    0x2E "L_Data.con" Response;
    0xF0 "M_Reset.ind" Alarm;
    0xF1 "M_Reset.req" Control!;
    0xF5 "M_PropWrite.con" Response;
    0xF6 "M_PropWrite.req" Config!;
    0xF7 "M_PropInfo.ind" Alarm;
    0xF8 "M_FuncPropCommand.req" Control!;
    0xF9 "M_FuncPropStateRead.req" Read;
    0xFA "M_FuncProp.con" Response;
    0xFB "M_PropRead.con" Response;
    0xFC "M_PropRead.req" Read;
}

functions! {
    /// Application services.
    APPLICATIONS[1024], application_rows, base APPLICATION;
    0x000 "GroupValueRead" Read;
    0x040 "GroupValueResponse" Response;
    0x080 "GroupValueWrite" Write!;
    0x0C0 "IndividualAddressWrite" Config!;
    0x100 "IndividualAddressRead" Discovery;
    0x140 "IndividualAddressResponse" Response;
    0x180 "ADCRead" Read;
    0x1C0 "ADCResponse" Response;
    0x1C8 "SystemNetworkParameterRead" Discovery;
    0x1C9 "SystemNetworkParameterResponse" Response;
    0x1CA "SystemNetworkParameterWrite" Config!;
    0x1CC "PropertyExtValueRead" Read;
    0x1CD "PropertyExtValueResponse" Response;
    0x1CE "PropertyExtValueWriteCon" Config!;
    0x1CF "PropertyExtValueWriteConRes" Response;
    0x1D0 "PropertyExtValueWriteUnCon" Config!;
    0x1D1 "PropertyExtValueInfoReport" Alarm;
    0x1D2 "PropertyExtDescriptionRead" Discovery;
    0x1D3 "PropertyExtDescriptionResponse" Response;
    0x1D4 "FunctionPropertyExtCommand" Control!;
    0x1D5 "FunctionPropertyExtStateRead" Read;
    0x1D6 "FunctionPropertyExtStateResponse" Response;
    0x1FB "MemoryExtendedWrite" ProgramDownload!;
    0x1FC "MemoryExtendedWriteResponse" Response;
    0x1FD "MemoryExtendedRead" ProgramUpload;
    0x1FE "MemoryExtendedReadResponse" Response;
    0x200 "MemoryRead" ProgramUpload;
    0x240 "MemoryResponse" Response;
    0x280 "MemoryWrite" ProgramDownload!;
    0x2C0 "UserMemoryRead" ProgramUpload;
    0x2C1 "UserMemoryResponse" Response;
    0x2C2 "UserMemoryWrite" ProgramDownload!;
    0x2C4 "UserMemoryBitWrite" ProgramDownload!;
    0x2C5 "UserManufacturerInfoRead" Discovery;
    0x2C6 "UserManufacturerInfoResponse" Response;
    0x2C7 "FunctionPropertyCommand" Control!;
    0x2C8 "FunctionPropertyStateRead" Read;
    0x2C9 "FunctionPropertyStateResponse" Response;
    0x300 "DeviceDescriptorRead" Discovery;
    0x340 "DeviceDescriptorResponse" Response;
    0x380 "Restart (basic)" Control!;
    0x381 "Restart (master reset / factory)" Control!;
    0x3A1 "Restart response" Response;
    0x3C3 "RoutingTableWrite" Config!;
    0x3CA "RouterMemoryWrite" Config!;
    0x3D0 "MemoryBitWrite" ProgramDownload!;
    0x3D1 "AuthorizeRequest" Auth;
    0x3D2 "AuthorizeResponse" Response;
    0x3D3 "KeyWrite (sets BCU key)" Auth!;
    0x3D4 "KeyResponse" Response;
    0x3D5 "PropertyValueRead" Read;
    0x3D6 "PropertyValueResponse" Response;
    0x3D7 "PropertyValueWrite" Config!;
    0x3D8 "PropertyDescriptionRead" Discovery;
    0x3D9 "PropertyDescriptionResponse" Response;
    0x3DA "NetworkParameterRead" Discovery;
    0x3DB "NetworkParameterResponse" Response;
    0x3DC "IndividualAddressSerialNumberRead" Discovery;
    0x3DD "IndividualAddressSerialNumberResponse" Response;
    0x3DE "IndividualAddressSerialNumberWrite" Config!;
    0x3E0 "DomainAddressWrite" Config!;
    0x3E1 "DomainAddressRead" Discovery;
    0x3E2 "DomainAddressResponse" Response;
    0x3E4 "NetworkParameterWrite" Config!;
    0x3E5 "LinkRead" Read;
    0x3E6 "LinkResponse" Response;
    0x3E7 "LinkWrite" Config!;
    0x3EE "DomainAddressSerialNumberWrite" Config!;
    0x3F1 "SecureService (Data Secure, opaque)" Unknown!;
}

impl Protocol for Knxnet {
    const NAME: &'static str = "knxnet";
    const TITLE: &'static str = "KNXnet/IP (ISO 22510)";
    const BINDING: Binding = Binding { tcp: &[PORT], udp: &[PORT], ethertypes: &[] };
    const SNIFF: &'static [Sniff] = &[Sniff { l4: 0, mask: 0xFFFF_0000, value: 0x0610_0000 }];

    #[inline(always)]
    fn step<B: Bytes>(b: B, w: &mut Walk) -> Step {
        let off = w.off;
        let Some(head) = b.be32(off) else { return Step::REFUSE };
        let Some(length) = b.be16(off + 4) else { return if w.strict() { Step::REFUSE } else { Step::PARTIAL } };
        let service = head & 0xFFFF;
        let length = length as u32;
        if head >> 16 != SIGNATURE || length < HEAD || service >= SERVICE_MAX {
            return Step::REFUSE;
        }
        let mut kind = SERVICES[b.index::<0xFFF>(service)];
        w.pdu_end = off + length;
        if w.strict() && (kind == Kind::UNLISTED.0 || w.pdu_end > w.end) {
            return Step::REFUSE;
        }
        if service == SECURE_WRAPPER {
            w.flags |= flags::ENCRYPTED;
        }
        let mut dir = if kind == Class::Response as u8 || service == SESSION_RESPONSE {
            Dir::Response
        } else if service >> 8 == 5 || service == FEATURE_INFO {
            Dir::Publish
        } else if service == SECURE_WRAPPER || service > 0x0953 {
            w.port_dir()
        } else {
            Dir::Request
        };
        let (mut function, mut unit, mut addr) = (service, 0, 0);
        let connected = service == DEVICE_CONFIGURATION || service == TUNNELLING;
        if connected || service == ROUTING || service == SYSTEM_BROADCAST {
            let at = off + HEAD + if connected { CONNECTION } else { 0 };
            let Some(code) = b.be16(at) else { return Step::PARTIAL };
            let (code, at) = (code as u32 >> 8, at + (code as u32 & 0xFF));
            kind = MESSAGES[b.index::<0xFF>(code)];
            function |= code << 16 | MESSAGE;
            if code == L_DATA_REQ || code == L_DATA_IND || code == L_DATA_CON {
                let Some(data) = b.be64(at + 3) else { return Step::PARTIAL };
                unit = (data >> 40) as u32 & 0xFFFF;
                addr = (data >> 24) as u32 & 0xFFFF | ((data >> 63) as u32) << 16;
                let transport = (data >> 8) as u32 & 0xFF;
                // Second control field, source, destination, length, then the two control octets.
                if data & 0x00FF_0000 == 0 || transport & 0x80 != 0 {
                    kind = Class::Session as u8;
                } else {
                    let service = (transport & 3) << 8 | data as u32 & 0xFF;
                    let known = if DATA_GROUPS >> (service >> 6) & 1 != 0 { service & 0x3C0 } else { service };
                    kind = APPLICATIONS[b.index::<0x3FF>(known)];
                    function = service_only(function) | known << 16 | APPLICATION;
                }
            }
            // Confirmations of what was requested, and answers from the bus.
            if code == L_DATA_CON || kind == Class::Response as u8 {
                dir = Dir::Response;
            } else if code == L_DATA_IND || code == BUSMON_IND || code == RESET_IND || code == PROP_INFO_IND {
                dir = Dir::Publish;
            } else if connected {
                dir = Dir::Request;
            }
        }
        let mut found = op::<Knxnet>(function, kind, dir, unit);
        found.addr = addr;
        w.push(found);
        Step::DONE
    }

    fn path(function: u32, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{:#06x}", service_only(function))
    }

    fn rows(each: &mut dyn FnMut(Row)) {
        service_rows(each);
        message_rows(&mut |r| each(Row { function: MESSAGE | (r.function & 0xFF) << 16 | TUNNELLING, ..r }));
        application_rows(&mut |r| each(Row { function: APPLICATION | (r.function & 0x3FF) << 16 | TUNNELLING, ..r }));
    }
}

/// The KNXnet/IP service of a function.
const fn service_only(function: u32) -> u32 {
    function & 0xFFFF
}

#[cfg(test)]
mod tests {
    use crate::flags;
    use crate::reason::Outcome;
    use crate::testing::{cuts, hex, tcp, udp};

    const WRITE: &str = "061004200015040100001100bce0110a0a03010081";

    #[test]
    fn group_writes() {
        let s = udp(48873, 3671, &hex(WRITE));
        assert_eq!((s.lines(), s.flags), (["knxnet:0x0420 write! request".into()].into(), 0));
        assert_eq!((s.ops[0].unit, s.ops[0].addr), (0x110A, 0x1_0A03));
        let s = udp(3671, 48873, &hex("061004200015040100002e00bce0110a0a03010081"));
        assert_eq!(s.lines(), ["knxnet:0x0420 write response"]);
        let s = udp(3671, 3671, &hex("0610053000112900bcd0110a0a03010081"));
        assert_eq!(s.lines(), ["knxnet:0x0530 write! publish"]);
        cuts(&hex(WRITE), &[], &|p| udp(48873, 3671, p));
    }

    #[test]
    fn services_and_other_ports() {
        let s = tcp(3671, 54445, &hex("06100423000e0401020006001087 06100425000e0401030006001087"));
        assert_eq!(s.lines(), ["knxnet:0x0423 response response", "knxnet:0x0425 diagnostic publish"]);
        let s = udp(40000, 40001, &hex("06100201000e08010a4d0001e599"));
        assert_eq!((s.paths(), s.flags), (["knxnet:0x0201".into()].into(), flags::PORT_MISMATCH));
    }

    #[test]
    fn refusals() {
        assert_eq!(udp(40000, 40001, &hex("06100299000e08010a4d0001e599")).outcome, Outcome::NotOt);
        assert_eq!(udp(48873, 3671, &hex("06200201000e08010a4d0001e599")).outcome, Outcome::Unparsed);
    }
}
