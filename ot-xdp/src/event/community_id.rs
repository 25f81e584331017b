//! Community ID v1: the flow hash by which other tools find the same connection.
//!
//! Source: Community ID flow hashing specification, version 1 (corelight/community-id-spec): SHA-1 over seed, addresses,
//! protocol, a zero octet and ports in network order, the smaller (address, port) first, as base64 behind `1:`. VLAN ids
//! are no part of it. ICMP, which maps types to ports, is not needed here.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

/// The seed that tools use unless configured otherwise.
pub const DEFAULT_SEED: u16 = 0;

/// The id of a TCP or UDP flow; both directions give the same. Addresses must be of the same family.
pub fn v1(seed: u16, protocol: u8, a: (IpAddr, u16), b: (IpAddr, u16)) -> String {
    let (first, second) = if a <= b { (a, b) } else { (b, a) };
    let mut hash = Sha1::new();
    hash.update(seed.to_be_bytes());
    for (ip, _) in [first, second] {
        match ip {
            IpAddr::V4(ip) => hash.update(ip.octets()),
            IpAddr::V6(ip) => hash.update(ip.octets()),
        }
    }
    hash.update([protocol, 0]);
    hash.update(first.1.to_be_bytes());
    hash.update(second.1.to_be_bytes());
    format!("1:{}", STANDARD.encode(hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The TCP, UDP and SCTP lines of the specification's baseline: protocol, address, port, address, port, id with
    /// seed 0, id with seed 1.
    const BASELINE: &[(u8, &str, u16, &str, u16, &str, &str)] = &[
        (
            6,
            "128.232.110.120",
            34855,
            "66.35.250.204",
            80,
            "1:LQU9qZlK+B5F3KDmev6m5PMibrg=",
            "1:3V71V58M3Ksw/yuFALMcW0LAHvc=",
        ),
        (17, "192.168.1.52", 54585, "8.8.8.8", 53, "1:d/FP5EW3wiY1vCndhwleRRKHowQ=", "1:Q9We8WO3piVF8yEQBNJF4uiSVrI="),
        (
            6,
            "2001:470:e5bf:dead:4957:2174:e82c:4887",
            63943,
            "2607:f8b0:400c:c03::1a",
            25,
            "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4=",
            "1:eJYTW6AOzFLlSUoESovMjnu7rMw=",
        ),
        (
            132,
            "192.168.170.8",
            7,
            "192.168.170.56",
            7,
            "1:MP2EtRCAUIZvTw6MxJHLV7N7JDs=",
            "1:5w3ZRjeKBzqT3zsaEECDGjUbYeg=",
        ),
    ];

    #[test]
    fn baseline_of_the_specification() {
        for (protocol, a, a_port, b, b_port, seed0, seed1) in BASELINE {
            let (a, b) = ((a.parse().unwrap(), *a_port), (b.parse().unwrap(), *b_port));
            assert_eq!(v1(0, *protocol, a, b), *seed0);
            assert_eq!(v1(0, *protocol, b, a), *seed0);
            assert_eq!(v1(1, *protocol, a, b), *seed1);
        }
    }
}
