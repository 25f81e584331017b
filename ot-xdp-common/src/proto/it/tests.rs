//! Real first octets of each protocol on its port, and what must not be named.

extern crate std;

use std::string::String;
use std::vec::Vec;

use super::rules::SERVICES;
use crate::flags;
use crate::reason::Outcome;
use crate::testing::{hex, tcp, udp};

const CLIENT: u16 = 50000;
/// A TLS 1.2 client hello up to its cipher suites.
const HELLO: &str =
    "1603010050010000 4c0303000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f00000ac02bc02fc00ac0140035";

#[test]
fn each_protocol_on_its_port() {
    let cases: [(u16, &str, &str); 27] = [
        (
            3389,
            "0300002b26e00000000000436f6f6b69653a206d737473686173683d61646d696e0d0a0100080003000000",
            "rdp: remote-admin! request",
        ),
        (3389, "0300000c02f0806400010b00", "rdp: remote-admin! request"),
        (445, "000000a4fe534d4240000100", "smb: file-transfer! request"),
        (139, "81000044204353", "netbios:ssn infrastructure request"),
        (22, "5353482d322e302d4f70656e5353485f392e320d0a", "ssh: remote-admin! request"),
        (23, "fffd03fffb18", "telnet: remote-admin! request"),
        (5900, "524642203030332e3030380a", "vnc: remote-admin! request"),
        (5985, "504f5354202f77736d616e20485454502f312e31", "winrm: remote-admin! request"),
        (135, "05000b0310000000480000000200000000000000", "msrpc: remote-admin! request"),
        (5938, "17240a2000000000", "teamviewer: remote-admin! request"),
        (7070, HELLO, "anydesk: remote-admin! request"),
        (21, "5553455220616e6f6e0d0a", "ftp: file-transfer! request"),
        (80, "474554202f20485454502f312e310d0a", "http: remote-admin! request"),
        (443, HELLO, "tls: remote-admin! request"),
        (443, "1703030020aabbcc", "tls: remote-admin! request"),
        (53, "001d123401000001000000000000036f746803636f6d0000010001", "dns: infrastructure request"),
        (389, "300c020101600702010304008000", "ldap: infrastructure request"),
        (389, "3084000000100201016384000000070400", "ldap: infrastructure request"),
        (636, HELLO, "ldap: infrastructure request"),
        (88, "000000b46a81b13081ae", "kerberos: infrastructure request"),
        (1433, "1201002f0000010000001a00", "mssql: infrastructure! request"),
        (3306, "0300000003414243", "mysql: infrastructure! request"),
        (5432, "0000000804d2162f", "postgresql: infrastructure! request"),
        (5432, "510000000d53454c45", "postgresql: infrastructure! request"),
        (1521, "00f50000010000000138012c", "oracle: infrastructure! request"),
        (8080, "434f4e4e45435420", "http: remote-admin! request"),
        (5986, HELLO, "winrm: remote-admin! request"),
    ];
    for (port, payload, line) in cases {
        let s = tcp(CLIENT, port, &hex(payload));
        assert_eq!((s.lines(), s.flags), (Vec::from([String::from(line)]), 0), "TCP {port} {payload}");
    }
    let cases: [(u16, &str, &str); 13] = [
        (53, "123401000001000000000000036f746803636f6d0000010001", "dns: infrastructure request"),
        (5353, "000000000001000000000000095f7365727669636573", "mdns: infrastructure request"),
        (5355, "a1b200000001000000000000046861636b0000010001", "llmnr: infrastructure request"),
        (137, "80d40110000100000000000020464845504643454c", "netbios:ns infrastructure request"),
        (138, "110a80d4c0a80001008a00bb0000", "netbios:dgm infrastructure request"),
        (123, &"00".repeat(47).replacen("00", "23000000", 1), "ntp: infrastructure request"),
        (69, "0001746573742e62696e006f6374657400", "tftp:1 file-transfer! request"),
        (69, "0002746573742e62696e006f6374657400", "tftp:2 file-transfer! request"),
        (88, "6a81b13081aea1030201", "kerberos: infrastructure request"),
        (514, "3c33343e4f63742031312032323a31343a3135", "syslog: infrastructure request"),
        (1900, "4d2d534541524348202a20485454502f312e31", "ssdp: infrastructure request"),
        (389, "300c020101600702010304008000", "ldap: infrastructure request"),
        (3389, "ffffffff000010", "rdp: remote-admin! request"),
    ];
    for (port, payload, line) in cases {
        let s = udp(CLIENT, port, &hex(payload));
        assert_eq!((s.lines(), s.flags), (Vec::from([String::from(line)]), 0), "UDP {port} {payload}");
    }
    let mut dhcp = Vec::from([0; 240]);
    dhcp[..3].copy_from_slice(&[1, 1, 6]);
    assert_eq!(udp(68, 67, &dhcp).outcome, Outcome::NotOt);
    dhcp[236..].copy_from_slice(&[0x63, 0x82, 0x53, 0x63]);
    assert_eq!(udp(68, 67, &dhcp).lines(), ["dhcp: infrastructure request"]);
    assert_eq!(tcp(80, CLIENT, b"HTTP/1.1 200 OK\r\n").lines(), ["http: remote-admin response"]);
}

#[test]
fn strong_content_is_named_on_any_port() {
    for (port, payload, path) in [
        (2222, "5353482d322e302d4f70656e5353485f392e320d0a", "ssh:"),
        (40001, HELLO, "tls:"),
        (443, "5353482d322e302d4f70656e5353485f392e320d0a", "ssh:"),
        (8081, "474554202f20485454502f312e310d0a", "http:"),
        (49153, "0500008310000000640000000200000000000000", "msrpc:"),
        (49152, "05000b0310000000480000000200000000000000", "msrpc:"),
    ] {
        let s = tcp(CLIENT, port, &hex(payload));
        assert_eq!((s.paths(), s.flags), (Vec::from([String::from(path)]), flags::PORT_MISMATCH), "{port}");
    }
}

#[test]
fn nothing_else_is_named() {
    for port in SERVICES.iter().flat_map(|s| s.tcp) {
        for payload in ["ab", "a5a5a5a5a5a5a5a5a5a5a5a5", "a5"] {
            assert_eq!(tcp(CLIENT, *port, &hex(payload)).outcome, Outcome::NotOt, "{port} {payload}");
        }
    }
    assert_eq!(tcp(CLIENT, 40001, &hex("16030100a5a5a5a5")).outcome, Outcome::NotOt);
    // S7comm on the port of RDP is still S7comm.
    let s7 = hex("0300001f02f080320100000001000e00000401120a10020001000083000000");
    assert_eq!(tcp(CLIENT, 3389, &s7).paths(), ["s7comm:job/0x04"]);
    // A client of Modbus may have any port.
    let modbus = hex("000100000005010302000a");
    assert_eq!(tcp(502, 3306, &modbus).paths(), ["modbus:3"]);
    assert_eq!(tcp(80, 3306, b"HTTP/1.1 200 OK\r\n").flags, flags::PORT_MISMATCH);
    assert_eq!(tcp(443, 3306, &hex("1703030020aabbcc")).paths(), ["mysql:"]);
    assert_eq!(tcp(443, 5900, &hex("1703030020aabbcc")).paths(), ["tls:"]);
    let tsap = hex("0300001611e00000000100c0010ac1020100c2020102");
    assert!(tcp(CLIENT, 3389, &tsap).paths().is_empty());
}
