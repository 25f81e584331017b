//! What a station seems to be, from what it does. A proposal with its reason, never set by itself.

use std::collections::{BTreeMap, BTreeSet};

use ot_xdp_common::op::{Class, Dir};

use super::learn::is_industrial;
use super::model::{Baseline, Station};

/// What a station seems to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// In one word.
    pub word: &'static str,
    /// Purdue level that it speaks for.
    pub level: &'static str,
    /// Why.
    pub why: String,
}

#[derive(Default)]
struct Deeds {
    serves: BTreeSet<Station>,
    asks: BTreeSet<Station>,
    publishes: u32,
    programs: bool,
    commands: bool,
    protocols: BTreeSet<u8>,
}

/// Roles of all stations that do something in a protocol of the plant.
pub fn all(b: &Baseline) -> BTreeMap<Station, Role> {
    let mut deeds: BTreeMap<Station, Deeds> = BTreeMap::new();
    for (key, talk) in &b.talks {
        let (client, server) = (key.client(), key.server());
        for op in talk.ops.keys().filter(|op| is_industrial(op)) {
            if op.dir == Dir::Publish {
                let d = deeds.entry(if op.from_client { client } else { server }).or_default();
                d.publishes += 1;
                d.protocols.insert(op.proto);
                continue;
            }
            if server.is_group() {
                continue;
            }
            let d = deeds.entry(server).or_default();
            d.serves.insert(client);
            d.protocols.insert(op.proto);
            let d = deeds.entry(client).or_default();
            d.asks.insert(server);
            d.programs |= op.from_client && matches!(op.class(), Class::ProgramDownload | Class::ProgramUpload);
            d.commands |= op.from_client && op.is_risky();
        }
    }
    deeds.into_iter().map(|(s, d)| (s, role(&d))).collect()
}

fn role(d: &Deeds) -> Role {
    let (serves, asks) = (d.serves.len(), d.asks.len());
    let role = |word, level, why| Role { word, level, why };
    if d.programs {
        return role("engineering", "2", format!("moves programs; asks {asks} stations"));
    }
    if serves > 0 && asks == 0 {
        return role("controller", "1", format!("answers {serves} stations, asks none"));
    }
    if serves > 0 && asks > 0 {
        return role("gateway", "2", format!("answers {serves} stations and asks {asks}"));
    }
    if asks >= 3 || d.commands {
        let what = if d.commands { "commands" } else { "polls" };
        return role("operator-station", "2", format!("{what} {asks} stations"));
    }
    if asks > 0 {
        return role("client", "2-3", format!("reads {asks} stations"));
    }
    role("device", "1", format!("publishes {} messages", d.publishes))
}
