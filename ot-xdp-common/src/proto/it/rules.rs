//! The signatures as data: which rules hold on which port, and which hold everywhere. Tables for the parser are made from
//! them at compile time.

use super::super::Number;
use super::members::{
    AnyDesk, Dhcp, Dns, Ftp, Http, Kerberos, Ldap, Llmnr, Mdns, MsRpc, Mssql, Mysql, NetBios, Ntp, Oracle, Postgresql,
    Rdp, Smb, Ssdp, Ssh, Syslog, TeamViewer, Telnet, Tftp, Tls, Vnc, WinRm,
};
use crate::frame::{TCP, UDP};
use crate::op::Dir;

/// One signature: the first eight octets of a payload under a mask (missing ones are 0), and what they name.
#[derive(Clone, Copy)]
pub struct Rule {
    /// Bits that count, big-endian.
    pub mask: u64,
    /// Their value.
    pub value: u64,
    /// Octets that the payload has at least.
    pub min: u32,
    /// IP protocol number, 0 for any.
    pub l4: u8,
    /// Number of the name.
    pub name: u8,
    /// Function of the name.
    pub function: u8,
    /// Direction, [`Dir::Unknown`] for that of the ports.
    pub dir: u8,
    /// What else has to fit, behind the first eight octets.
    pub check: u8,
}

/// Nothing else.
const NO_CHECK: u8 = 0;
/// The magic number of DHCP options.
pub const CHECK_DHCP: u8 = 1;
/// A connection request or confirm of RDP and of nothing else on ISO transport.
pub const CHECK_RDP: u8 = 2;

impl Rule {
    const fn udp(self) -> Rule {
        Rule { l4: UDP, ..self }
    }
    const fn tcp(self) -> Rule {
        Rule { l4: TCP, ..self }
    }
    const fn min(self, min: u32) -> Rule {
        Rule { min, ..self }
    }
    const fn dir(self, dir: Dir) -> Rule {
        Rule { dir: dir as u8, ..self }
    }
    const fn function(self, function: u8) -> Rule {
        Rule { function, ..self }
    }
    const fn check(self, check: u8) -> Rule {
        Rule { check, ..self }
    }
}

/// Bits and their value.
const fn bits<N: Number>(mask: u64, value: u64) -> Rule {
    let dir = Dir::Unknown as u8;
    Rule { mask, value, min: 4, l4: 0, name: N::NUMBER, function: 0, dir, check: NO_CHECK }
}

/// A text at the start.
const fn text<N: Number>(text: &[u8]) -> Rule {
    let (mut value, mut i) = (0, 0);
    while i < text.len() {
        value |= (text[i] as u64) << (56 - 8 * i);
        i += 1;
    }
    bits::<N>(!(u64::MAX >> 1 >> (8 * text.len() - 1)), value).min(text.len() as u32)
}

/// Any TLS record of SSL 3.0 to TLS 1.3 (RFC 8446 cl. 5.1), up to half a megabyte: on a port that says whose it is.
const fn tls<N: Number>() -> Rule {
    bits::<N>(0xFCFF_F880_0000_0000, 0x1403_0000_0000_0000).tcp()
}

/// Ports, and what is recognised on them.
pub struct Service {
    /// TCP ports.
    pub tcp: &'static [u16],
    /// UDP ports.
    pub udp: &'static [u16],
    /// The first that fits counts.
    pub rules: &'static [Rule],
}

macro_rules! services {
    ($($(tcp $($tcp:literal)+,)? $(udp $($udp:literal)+,)? [$($rule:expr),+ $(,)?];)+) => {
        /// Every service.
        pub const SERVICES: &[Service] = &[$(
            Service { tcp: &[$($($tcp),+)?], udp: &[$($($udp),+)?], rules: &[$($rule),+] },
        )+];
        /// TCP ports of all services.
        pub const TCP_PORTS: &[u16] = &[$($($($tcp,)+)?)+];
        /// UDP ports of all services.
        pub const UDP_PORTS: &[u16] = &[$($($($udp,)+)?)+];
    };
}

services! {
    // TPKT with a connection request or confirm that negotiates RDP, or one without parameters; MCS PDUs in data (T.125
    // cl. 7); records of the TLS session that everything newer runs in.
    tcp 3389, udp 3389, [
        bits::<Rdp>(0xFFFF_FFFF_FFCF_0000, 0x0300_000B_06C0_0000).tcp().min(11),
        bits::<Rdp>(0xFFFF_0000_00FF_0000, 0x0300_0000_00E0_0000).tcp().check(CHECK_RDP),
        bits::<Rdp>(0xFFFF_0000_00FF_0000, 0x0300_0000_00D0_0000).tcp().check(CHECK_RDP),
        bits::<Rdp>(0xFFFF_0000_FFFF_FFFF, 0x0300_0000_02F0_807F).tcp(),
        bits::<Rdp>(0xFFFF_0000_FFFF_FFF3, 0x0300_0000_02F0_8060).tcp(),
        bits::<Rdp>(0xFFFF_0000_FFFF_FFF3, 0x0300_0000_02F0_8000).tcp(),
        bits::<Rdp>(0xFFFF_0000_FFFF_FFF1, 0x0300_0000_02F0_8020).tcp(),
        bits::<Rdp>(0xFFFF_0000_FFFF_FFF9, 0x0300_0000_02F0_8038).tcp(),
        tls::<Rdp>(),
        bits::<Rdp>(0xFFFF_FFFF_0000_0000, 0xFFFF_FFFF_0000_0000).udp(),
    ];
    // Session header, then SMB 1, 2, encrypted or compressed (MS-SMB2 cl. 2.1, 2.2.1).
    tcp 445, [bits::<Smb>(0xFF00_0000_FCFF_FFFF, 0x0000_0000_FC53_4D42).min(8)];
    // RFC 1002 cl. 4.3: session request, answers, keep-alive, message.
    tcp 139, [
        bits::<Smb>(0xFF00_0000_FCFF_FFFF, 0x0000_0000_FC53_4D42).min(8),
        bits::<NetBios>(0xF8FE_0000_0000_0000, 0x8000_0000_0000_0000).function(2),
        bits::<NetBios>(0xFFFF_0000_0000_0000, 0x0000_0000_0000_0000).function(2),
    ];
    // RFC 4253 cl. 4.2 and 6: identification; key exchange; packets whose length is in the clear.
    tcp 22, [text::<Ssh>(b"SSH-"), bits::<Ssh>(0xFFFF_8000_0000_0000, 0)];
    // RFC 854: a command.
    tcp 23, [bits::<Telnet>(0xFFF8_0000_0000_0000, 0xFFF8_0000_0000_0000).min(3)];
    // RFC 6143 cl. 7.1.1.
    tcp 5900 5901 5902 5903 5904 5905 5906, [text::<Vnc>(b"RFB 00")];
    tcp 5985 5986, [
        text::<WinRm>(b"POST /"), text::<WinRm>(b"HTTP/1.").dir(Dir::Response), text::<WinRm>(b"OPTIONS "),
        text::<WinRm>(b"GET /"), tls::<WinRm>(),
    ];
    // C706 cl. 12.6.3.1, version 5, little endian.
    tcp 135, [bits::<MsRpc>(0xFFFE_E000_FFFF_FFFF, 0x0500_0000_1000_0000).min(16)];
    tcp 5938, udp 5938, [
        bits::<TeamViewer>(0xFFFF_0000_0000_0000, 0x1724_0000_0000_0000),
        bits::<TeamViewer>(0xFFFF_0000_0000_0000, 0x1130_0000_0000_0000),
        bits::<TeamViewer>(0x00FF_FF00_0000_0000, 0x0017_2400_0000_0000).udp(),
        tls::<TeamViewer>(),
    ];
    tcp 6568 7070, [tls::<AnyDesk>()];
    // RFC 959 cl. 4.1, 4.2: three digits and a blank or hyphen; a command in upper case.
    tcp 21, [
        bits::<Ftp>(0xF0F0_F0FF_0000_0000, 0x3030_3020_0000_0000).dir(Dir::Response),
        bits::<Ftp>(0xF0F0_F0FF_0000_0000, 0x3030_302D_0000_0000).dir(Dir::Response),
        bits::<Ftp>(0xE0E0_E000_0000_0000, 0x4040_4000_0000_0000).dir(Dir::Request),
    ];
    // RFC 1350 cl. 5: request, then a name.
    udp 69, [
        bits::<Tftp>(0xFFFF_8000_0000_0000, 0x0001_0000_0000_0000).function(0).min(9),
        bits::<Tftp>(0xFFFF_8000_0000_0000, 0x0002_0000_0000_0000).function(1).min(9),
    ];
    // RFC 9110 cl. 9, RFC 9112 cl. 3 and 4.
    tcp 80 8080, [
        text::<Http>(b"GET "), text::<Http>(b"POST "), text::<Http>(b"HTTP/").dir(Dir::Response),
        text::<Http>(b"HEAD "), text::<Http>(b"PUT "), text::<Http>(b"DELETE "), text::<Http>(b"OPTIONS "),
        text::<Http>(b"PATCH "), text::<Http>(b"CONNECT "), text::<Http>(b"PROPFIND"),
    ];
    tcp 443 8443, [tls::<Tls>()];
    // RFC 1035 cl. 4.1.1: query or update, one question; over TCP a length in front.
    tcp 53, udp 53, [
        bits::<Dns>(0x0000_7840_FFFF_0000, 0x0000_0000_0001_0000).udp().min(12),
        bits::<Dns>(0x0000_7840_FFFF_0000, 0x0000_2800_0001_0000).udp().min(12),
        bits::<Dns>(0x0000_0000_7840_FFFF, 0x0000_0000_0000_0001).tcp().min(12),
        bits::<Dns>(0x0000_0000_7840_FFFF, 0x0000_0000_2800_0001).tcp().min(12),
    ];
    // RFC 6762 cl. 18.
    udp 5353, [bits::<Mdns>(0x0000_7800_FF00_FF00, 0).min(12)];
    // RFC 4795 cl. 2.1.1.
    udp 5355, [bits::<Llmnr>(0x0000_7840_FFFF_0000, 0x0000_0000_0001_0000).min(12)];
    // RFC 1002 cl. 4.2.1.1, 4.4.1.
    udp 137, [bits::<NetBios>(0x0000_0060_FFFE_FFFE, 0).min(12).function(0)];
    udp 138, [bits::<NetBios>(0xF8F0_0000_0000_0000, 0x1000_0000_0000_0000).min(14).function(1)];
    // RFC 2131 cl. 2: request or reply, Ethernet.
    udp 67 68, [
        bits::<Dhcp>(0xFFFF_FF00_0000_0000, 0x0101_0600_0000_0000).dir(Dir::Request).check(CHECK_DHCP),
        bits::<Dhcp>(0xFFFF_FF00_0000_0000, 0x0201_0600_0000_0000).dir(Dir::Response).check(CHECK_DHCP),
    ];
    // RFC 5905 cl. 7.3: client, server, broadcast, symmetric; stratum below 32; RFC 9327: control.
    udp 123, [
        bits::<Ntp>(0x07E0_0000_0000_0000, 0x0300_0000_0000_0000).min(48).dir(Dir::Request),
        bits::<Ntp>(0x07E0_0000_0000_0000, 0x0400_0000_0000_0000).min(48).dir(Dir::Response),
        bits::<Ntp>(0x07E0_0000_0000_0000, 0x0500_0000_0000_0000).min(48).dir(Dir::Publish),
        bits::<Ntp>(0x07E0_0000_0000_0000, 0x0100_0000_0000_0000).min(48),
        bits::<Ntp>(0x07E0_0000_0000_0000, 0x0200_0000_0000_0000).min(48),
        bits::<Ntp>(0x0600_0000_0000_0000, 0x0600_0000_0000_0000).min(8),
    ];
    // RFC 4511 cl. 4.1.1 and 5.1: a message with its id, in all lengths of BER.
    tcp 389 3268, udp 389, [
        bits::<Ldap>(0xFF80_FFF8_0000_0000, 0x3000_0200_0000_0000),
        bits::<Ldap>(0xFFFF_00FF_F800_0000, 0x3081_0002_0000_0000),
        bits::<Ldap>(0xFFFF_0000_FFF8_0000, 0x3082_0000_0200_0000),
        bits::<Ldap>(0xFFFF_FF00_0000_FFF8, 0x3084_0000_0000_0200).min(8),
    ];
    tcp 636 3269, [tls::<Ldap>()];
    // RFC 4120 cl. 5 and 7.2: application tags 10 to 15 and 30; over TCP a length in front.
    tcp 88, udp 88, [
        bits::<Kerberos>(0xF0FC_0000_0000_0000, 0x6080_0000_0000_0000).udp(),
        bits::<Kerberos>(0xFF00_0000_0000_0000, 0x7E00_0000_0000_0000).udp().dir(Dir::Response),
        bits::<Kerberos>(0xFFFF_0000_F0FC_0000, 0x0000_0000_6080_0000).tcp(),
        bits::<Kerberos>(0xFFFF_0000_FF00_0000, 0x0000_0000_7E00_0000).tcp().dir(Dir::Response),
    ];
    // MS-TDS cl. 2.2.3.1: type, status, length, process id, packet, window 0.
    tcp 1433, [bits::<Mssql>(0xE0E0_0000_0000_00FF, 0).min(8), tls::<Mssql>()];
    // Packets below 64 KiB with one of the first sequence numbers; TLS after that.
    tcp 3306, [bits::<Mysql>(0x0000_FFF0_0000_0000, 0).min(5), tls::<Mysql>()];
    // Start-up of version 3, SSL request, message type and length.
    tcp 5432, [
        bits::<Postgresql>(0xFFFF_0000_FFFF_FF00, 0x0000_0000_0003_0000).dir(Dir::Request),
        bits::<Postgresql>(0xFFFF_FFFF_FFFF_FFFF, 0x0000_0008_04D2_162F).dir(Dir::Request),
        bits::<Postgresql>(0xC0FF_FF00_0000_0000, 0x4000_0000_0000_0000).min(5),
        tls::<Postgresql>(),
    ];
    // TNS: length, checksum 0, type, flags, header checksum 0.
    tcp 1521, [bits::<Oracle>(0x0000_FFFF_F000_FFFF, 0).min(8)];
    // RFC 3164 cl. 4.1.1.
    udp 514, [bits::<Syslog>(0xFFF0_0000_0000_0000, 0x3C30_0000_0000_0000)];
    udp 1900, [
        text::<Ssdp>(b"M-SEARCH").dir(Dir::Request), text::<Ssdp>(b"NOTIFY *").dir(Dir::Publish),
        text::<Ssdp>(b"HTTP/1.1").dir(Dir::Response),
    ];
}

/// Signatures that need no port.
pub const ANYWHERE: &[Rule] = &[
    bits::<Ssh>(0xFFFF_FFFF_FCFF_0000, 0x5353_482D_302E_0000).tcp().min(8),
    text::<Vnc>(b"RFB 00").tcp().min(12),
    text::<Http>(b"HTTP/1.").tcp().dir(Dir::Response),
    text::<Http>(b"GET /").tcp().dir(Dir::Request).min(14),
    text::<Http>(b"POST /").tcp().dir(Dir::Request).min(14),
    // A handshake that begins with a hello.
    bits::<Tls>(0xFFFF_FCC0_00FF_FF00, 0x1603_0000_0001_0000).tcp().dir(Dir::Request).min(40),
    bits::<Tls>(0xFFFF_FCC0_00FF_FF00, 0x1603_0000_0002_0000).tcp().dir(Dir::Response).min(40),
    bits::<MsRpc>(0xFFFE_E07C_FFFF_FFFF, 0x0500_0000_1000_0000).tcp().min(16),
    bits::<Rdp>(0xFFFF_0000_00FF_0000, 0x0300_0000_00E0_0000).tcp().dir(Dir::Request).check(CHECK_RDP),
    bits::<Rdp>(0xFFFF_0000_00FF_0000, 0x0300_0000_00D0_0000).tcp().dir(Dir::Response).check(CHECK_RDP),
];

/// Rules of one service that are looked at.
pub const RULES_MAX: usize = 10;
/// Entries of [`RULES`]; a power of two, for the index.
const RULES_SIZE: usize = 128;
/// Entries of [`PORTS`]; a power of two, for the index.
const PORTS_SIZE: usize = 256;

/// Every rule, those of a service side by side.
pub static RULES: [Rule; RULES_SIZE] = TABLES.0;
/// Port << 16, first rule << 8, number of rules, by [`slot`].
pub static PORTS: [u32; PORTS_SIZE] = TABLES.1;
/// First rule << 8 and number of rules of [`ANYWHERE`].
pub const ANYWHERE_RULES: u32 = TABLES.2;

/// Where a port is in [`PORTS`]: found by trying numbers until no two ports meet, which the compiler checks below.
#[inline(always)]
pub const fn slot(port: u32) -> u32 {
    (port * 255) >> 8
}

/// The tables from the lists. A port that meets another one in its slot, or a service with too many rules, does not
/// compile.
const TABLES: ([Rule; RULES_SIZE], [u32; PORTS_SIZE], u32) = {
    let never = Rule { mask: 0, value: 1, min: 0, l4: 0, name: 0, function: 0, dir: 0, check: NO_CHECK };
    let (mut rules, mut ports) = ([never; RULES_SIZE], [0; PORTS_SIZE]);
    let (mut n, mut s) = (0, 0);
    while s <= SERVICES.len() {
        let list = if s < SERVICES.len() { SERVICES[s].rules } else { ANYWHERE };
        assert!(list.len() <= RULES_MAX, "more rules than are looked at");
        let mut i = 0;
        while i < list.len() {
            rules[n + i] = list[i];
            i += 1;
        }
        let run = (n as u32) << 8 | list.len() as u32;
        if s == SERVICES.len() {
            break;
        }
        let mut i = 0;
        while i < SERVICES[s].tcp.len() + SERVICES[s].udp.len() {
            let tcp = SERVICES[s].tcp;
            let port = if i < tcp.len() { tcp[i] } else { SERVICES[s].udp[i - tcp.len()] } as u32;
            let at = slot(port) as usize % PORTS_SIZE;
            let entry = port << 16 | run;
            assert!(ports[at] == 0 || ports[at] == entry, "two ports in one slot: choose another factor");
            ports[at] = entry;
            i += 1;
        }
        n += list.len();
        s += 1;
    }
    let anywhere = (n as u32) << 8 | ANYWHERE.len() as u32;
    (rules, ports, anywhere)
};
