//! Words for sentences: stations, services, functions.

use std::time::Duration;

use ot_xdp_common::frame::{TCP, UDP};
use ot_xdp_common::op::Dir;
use ot_xdp_common::proto::{Path, Proto};

use crate::baseline::learn::Meeting;
use crate::baseline::model::mac_text;
use crate::baseline::{OpKey, Station, TalkKey};
use crate::names::{Name, UNLISTED};

/// A hardware address with its vendor, where the prefix is known.
pub fn mac_vendor(mac: &[u8; 6]) -> String {
    match crate::baseline::vendor::of(mac) {
        Some(vendor) => format!("{} ({vendor})", mac_text(mac)),
        None => mac_text(mac),
    }
}

/// Stations in a list.
pub fn list(stations: &[Station]) -> String {
    stations.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Interface and VLAN.
pub fn place(interface: &str, vlan: u16) -> String {
    if vlan == 0 { interface.to_owned() } else { format!("{interface} VLAN {vlan}") }
}

/// Protocol and service, `modbus, tcp/502`.
pub fn service(talk: &TalkKey, proto: u8) -> String {
    let name = Proto::from_code(proto).map_or("unknown", Proto::name);
    match talk.l4 {
        TCP => format!("{name}, tcp/{}", talk.port),
        UDP => format!("{name}, udp/{}", talk.port),
        0 => name.to_owned(),
        n => format!("{name}, ip {n}"),
    }
}

/// Name of a protocol.
pub fn protocol(proto: u8) -> &'static str {
    Proto::from_code(proto).map_or("unknown", Proto::name)
}

/// A function with its path and name.
pub fn function(proto: u8, function: u32) -> String {
    let name = Name::of(proto, function);
    if name.name == UNLISTED { name.path } else { format!("{} {}", name.path, name.name) }
}

/// Does no table list the function?
pub fn is_unlisted(proto: u8, function: u32) -> bool {
    Name::of(proto, function).name == UNLISTED && function != 0 && Path { proto, function }.to_string().contains(':')
}

/// What the sender does to the receiver.
pub fn verb(op: &OpKey) -> &'static str {
    match op.dir {
        Dir::Request if op.state_changing() => "commands",
        Dir::Request => "asks",
        Dir::Response => "answers",
        Dir::Publish => "publishes to",
        Dir::Unknown => "sends to",
    }
}

/// Who receives.
pub fn other(m: &Meeting) -> Station {
    if m.op.from_client { m.talk.server() } else { m.talk.client() }
}

/// A duration for people: `1.04 s`, `3 min 5 s`.
pub fn time(ns: u64) -> String {
    let d = Duration::from_nanos(ns);
    let s = d.as_secs();
    match s {
        0 => format!("{} ms", d.as_millis()),
        1..=59 => format!("{:.1} s", d.as_secs_f64()),
        60..=3599 => format!("{} min {} s", s / 60, s % 60),
        _ => format!("{} h {} min", s / 3600, s % 3600 / 60),
    }
}
