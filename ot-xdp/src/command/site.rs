//! The zones of the configuration, for the watch: where a station belongs by port, VLAN, hardware address or prefix.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use ot_xdp_common::policy::Side as PolicySide;

use crate::baseline::Station;
use crate::config::Config;
use crate::detect::{Side, Zone, Zones};
use crate::policy::{self, Policy};

/// Zones of a policy.
pub struct Site {
    zones: Vec<(policy::Zone, Zone)>,
    /// Name of each interface.
    ports: HashMap<u32, String>,
}

impl Site {
    /// The zones of a configuration, none when it has none. `ports` are the interfaces with their names.
    pub fn of(config: &Config, ports: HashMap<u32, String>) -> Option<Site> {
        let policy = Policy::from_config(config).ok()??;
        let zones: Vec<_> =
            policy.zones.into_iter().filter_map(|z| Some((zone(&z)?, z))).map(|(a, b)| (b, a)).collect();
        (!zones.is_empty()).then_some(Site { zones, ports })
    }
}

fn zone(z: &policy::Zone) -> Option<Zone> {
    let side = match z.side {
        PolicySide::It => Side::It,
        PolicySide::Dmz => Side::Dmz,
        PolicySide::Ot => Side::Ot,
        PolicySide::None => return None,
    };
    let level = match z.level {
        // Without a level a side has the one that it usually is.
        None => match side {
            Side::It => 40,
            Side::Dmz => 35,
            Side::Ot => 20,
        },
        Some(text) => text.parse::<f32>().map_or(20, |l| (l * 10.0) as u8),
    };
    Some(Zone { name: Arc::from(z.name.as_str()), level_tenths: level, side })
}

impl Zones for Site {
    fn zone(&self, station: &Station, mac: &[u8; 6], ifindex: u32, vlan: u16) -> Option<Zone> {
        let [a, b, c, d, e, f] = *mac;
        let mac = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
        let find = |is: &dyn Fn(&policy::Zone) -> bool| self.zones.iter().find(|(z, _)| is(z)).map(|(_, z)| z.clone());
        let port = self.ports.get(&ifindex);
        find(&|z| port.is_some_and(|p| z.ports.iter().any(|q| q == p)))
            .or_else(|| find(&|z| vlan != 0 && z.vlans.contains(&vlan)))
            .or_else(|| find(&|z| mac != 0 && z.macs.contains(&mac)))
            .or_else(|| match station {
                Station::Ip(ip) => self.by_prefix(ip),
                Station::Mac(_) => None,
            })
    }
}

impl Site {
    fn by_prefix(&self, ip: &IpAddr) -> Option<Zone> {
        let nets = self.zones.iter().flat_map(|(z, zone)| z.prefixes.iter().map(move |p| (p, zone)));
        let inside = nets.filter(|(p, _)| p.contains(ip));
        inside.max_by_key(|(p, _)| p.prefix_len()).map(|(_, zone)| zone.clone())
    }
}
