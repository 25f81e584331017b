//! Where stations belong, and what crosses from one zone to another.

use std::net::IpAddr;
use std::sync::Arc;

use ot_xdp_common::op::Class;

use super::catalog::Kind;
use crate::baseline::learn::{Meeting, is_industrial};
use crate::baseline::{OpKey, Station};

/// Side of a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Business network.
    It,
    /// Between the two.
    Dmz,
    /// Plant.
    Ot,
}

/// A zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Name.
    pub name: Arc<str>,
    /// Purdue level times ten.
    pub level_tenths: u8,
    /// Side.
    pub side: Side,
}

/// Tells where a station belongs.
pub trait Zones: Send {
    /// The zone of a station, by interface, VLAN, hardware address or prefix.
    fn zone(&self, station: &Station, mac: &[u8; 6], ifindex: u32, vlan: u16) -> Option<Zone>;
}

/// Kinds that an operation between these zones is, with what is said of it.
pub fn kinds(m: &Meeting, from: Option<&Zone>, to: Option<&Zone>) -> Vec<(Kind, String)> {
    let mut out = Vec::new();
    let (client, server) = (m.talk.client(), m.talk.server());
    if let (Some(a), Some(b)) = (from, to) {
        let inward = a.side != Side::Ot && b.side == Side::Ot;
        let (from, to) = (&a.name, &b.name);
        if inward && a.side == Side::It && m.op.from_client && is_command(&m.op) {
            out.push((Kind::ZoneCrossing, format!("{client} in zone {from} commands {server} in zone {to}")));
        }
        if inward && m.op.class() == Class::RemoteAdmin {
            out.push((Kind::RemoteAdmin, format!("{client} in zone {from} administers {server} in zone {to}")));
        }
        let (high, low) = (a.level_tenths.max(b.level_tenths), a.level_tenths.min(b.level_tenths));
        if high >= 40 && low <= 10 && is_industrial(&m.op) {
            let why = format!("{client} on level {} talks to {server} on level {}", level(a), level(b));
            out.push((Kind::LevelSkip, why));
        }
    }
    if is_industrial(&m.op) {
        for (station, zone) in [(client, from), (server, to)] {
            if is_public(&station) && zone.is_none() {
                out.push((Kind::PublicAddress, format!("{station} is a public address and talks {client} > {server}")));
            }
        }
    }
    out
}

fn is_command(op: &OpKey) -> bool {
    op.state_changing() && is_industrial(op)
}

fn level(z: &Zone) -> String {
    let (whole, tenth) = (z.level_tenths / 10, z.level_tenths % 10);
    if tenth == 0 { whole.to_string() } else { format!("{whole}.{tenth}") }
}

/// Is it an address of the Internet? Private, link-local, documentation and test ranges (RFC 6890) are not.
pub fn is_public(station: &Station) -> bool {
    match station {
        Station::Ip(IpAddr::V4(a)) => {
            let [x, y, ..] = a.octets();
            let shared = x == 100 && (64..128).contains(&y);
            let test = x == 198 && (18..20).contains(&y);
            let other =
                a.is_private() || a.is_loopback() || a.is_link_local() || a.is_documentation() || station.is_group();
            !(shared || test || other || x == 0 || x >= 224)
        }
        Station::Ip(IpAddr::V6(a)) => a.segments().first().is_some_and(|s| s & 0xE000 == 0x2000 && *s != 0x2001),
        Station::Mac(_) => false,
    }
}
