//! Cause over effect: a station that is silent explains its keys, a port that is silent its stations.

use std::collections::HashMap;
use std::sync::Arc;

use super::catalog::Kind;
use super::deviation::{Deviation, Phase, Subject};
use super::say;
use super::timing::{Found, describe};
use crate::baseline::Station;
use crate::baseline::rhythm::Finding;

/// Keys of one port that are silent at once make one event from this number on.
const MANY: usize = 4;

/// Findings of a look as deviations. `armed` is the number of keys with a silence detector by sender; while the sensor is
/// `blind`, silence means nothing.
pub fn group(
    found: Vec<Found>,
    armed: &HashMap<Station, u32>,
    now_ns: u64,
    names: &HashMap<u32, Arc<str>>,
    blind: bool,
) -> Vec<Deviation> {
    let interface = |ifindex: u32| names.get(&ifindex).map(|n| (ifindex, Arc::clone(n)));
    let (silences, others): (Vec<Found>, Vec<Found>) =
        found.into_iter().partition(|f| matches!(f.finding, Finding::Silence { .. }));
    let mut out: Vec<Deviation> = others.iter().map(|f| describe(f, now_ns, interface(f.ifindex))).collect();
    if blind || silences.is_empty() {
        return out;
    }
    let all: u32 = armed.values().sum();
    if silences.len() >= MANY && silences.len() * 2 >= all as usize {
        let mut d = super::judge::sensor(Kind::ManySilent, now_ns);
        d.interface = silences.first().and_then(|f| interface(f.ifindex));
        d.members = silences.len() as u64;
        d.expected = format!("{all} keys that come regularly");
        d.observed = format!("{} of them silent at once", silences.len());
        d.why = format!("{} of {all} keys that come regularly fell silent at once", silences.len());
        out.push(d);
        return out;
    }
    let mut by_sender: Vec<(Station, Vec<Found>)> = Vec::new();
    for f in silences {
        let sender = f.sender();
        match by_sender.iter_mut().find(|(s, _)| *s == sender) {
            Some((_, list)) => list.push(f),
            None => by_sender.push((sender, vec![f])),
        }
    }
    for (sender, list) in by_sender {
        let whole = armed.get(&sender).copied().unwrap_or(0) as usize;
        if whole >= 2 && list.len() >= whole {
            let mut d = super::judge::sensor(Kind::AssetSilent, now_ns);
            d.phase = Phase::New;
            d.subject = Subject::Asset { station: sender, mac: [0; 6] };
            d.source = Some(sender);
            d.members = 1;
            d.expected = format!("{whole} keys that come regularly");
            d.observed = "all of them silent".to_owned();
            d.evidence = list.iter().map(|f| say::function(f.op.proto, f.op.function)).take(8).collect();
            d.why = format!("{sender} is silent: all {whole} things that it sends regularly have stopped");
            d.interface = list.first().and_then(|f| interface(f.ifindex));
            out.push(d);
        } else {
            out.extend(list.iter().map(|f| describe(f, now_ns, interface(f.ifindex))));
        }
    }
    out
}
