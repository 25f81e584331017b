//! Rendering of deviations from the baseline.

use std::collections::BTreeSet;

use ot_xdp_common::frame::{TCP, UDP};
use serde_json::{Value, json};

use super::Alert;
use super::attack::Technique;
use super::community_id;
use super::ecs::{Doc, protocol_name};
use super::names::Name;
use crate::aggregate::End;
use crate::baseline::model::mac_text;
use crate::baseline::{Station, TalkKey};
use crate::detect::{Deviation, Subject};

impl Doc<'_> {
    pub(super) fn deviation(&mut self, e: &Alert) {
        let d = &e.told.deviation;
        let category = if matches!(d.subject, Subject::Sensor) { "host" } else { "network" };
        self.kind("alert", d.kind.word(), "otxdp.alert", category, &["info"]);
        self.put_time("@timestamp", d.at_ns);
        let (start, end) = d.window_ns.unwrap_or((d.at_ns, d.at_ns));
        self.put_time("event.start", start);
        self.put_time("event.end", end);
        self.put("event.reason", d.why.as_str());
        self.put("event.severity", d.severity() as u8);
        let (ifindex, name) = d.interface.as_ref().map_or((0, "any"), |(i, n)| (*i, &**n));
        self.interface(name, ifindex);
        self.put("rule.id", d.kind.id());
        self.put("rule.name", d.kind.word());
        self.put("rule.category", d.kind.family().word());
        self.put("rule.description", d.kind.meaning());
        self.put("otxdp.deviation.id", d.kind.id());
        self.put("otxdp.deviation.phase", d.phase.word());
        self.put("otxdp.deviation.expected", d.expected.as_str());
        self.put("otxdp.deviation.observed", d.observed.as_str());
        if let Some(threshold) = &d.threshold {
            self.put("otxdp.deviation.threshold", threshold.as_str());
        }
        if let Some(score) = d.score.filter(|s| s.is_finite()) {
            self.put("otxdp.deviation.score", (score * 1_000.0).round() / 1_000.0);
        }
        self.put("otxdp.deviation.dedup", d.dedup.as_str());
        self.put("otxdp.deviation.next", d.kind.next());
        self.put("otxdp.deviation.incident", e.told.incident.as_str());
        self.put("otxdp.deviation.members", d.members);
        self.put("otxdp.deviation.suppressed", e.told.suppressed);
        self.put("otxdp.deviation.count", d.count);
        if let Some(member) = &d.member {
            self.put("otxdp.deviation.member", member.as_str());
        }
        if !d.evidence.is_empty() {
            self.put("otxdp.deviation.evidence", json!(d.evidence));
        }
        self.put("otxdp.baseline.state", e.baseline.state);
        self.put("otxdp.baseline.version", e.baseline.version);
        self.put("otxdp.baseline.age_s", e.baseline.age_s);
        self.put("otxdp.baseline.observations", d.known.observations);
        if d.known.seen_s != (0, 0) {
            self.put_second("otxdp.baseline.first_seen", d.known.seen_s.0);
            self.put_second("otxdp.baseline.last_seen", d.known.seen_s.1);
        }
        if let Some(window) = &e.maintenance {
            self.put("otxdp.maintenance", window.as_str());
        }
        if let Some((from, to)) = &d.zones {
            self.put("otxdp.zone.source", &**from);
            self.put("otxdp.zone.destination", &**to);
        }
        match &d.subject {
            Subject::Sensor => {}
            Subject::Asset { station, mac } => self.station(station, mac),
            Subject::Talk { key, client, server, protocol } => self.talk(key, *client, *server, *protocol),
        }
        self.operation(d);
        let class = d.operation.map(|o| (o.class, o.state_changing)).filter(|_| d.kind.has_operation());
        self.attack(&d.kind.all_techniques(class) as &[Technique]);
    }

    fn station(&mut self, station: &Station, mac: &[u8; 6]) {
        if let Station::Ip(ip) = station {
            self.put("source.ip", ip.to_string());
            self.put("source.address", ip.to_string());
            self.put("related.ip", json!([ip.to_string()]));
        }
        let mac = if let Station::Mac(m) = station { m } else { mac };
        if *mac != [0; 6] {
            self.put("source.mac", mac_text(mac));
        }
    }

    fn talk(&mut self, key: &TalkKey, client: End, server: End, protocol: u8) {
        if protocol != 0 {
            self.put("network.protocol", protocol_name(protocol));
        }
        if key.vlan != 0 {
            self.put("network.vlan.id", key.vlan.to_string());
        }
        let stations = [("source", key.client(), client), ("destination", key.server(), server)];
        let mut related = BTreeSet::new();
        for (side, station, end) in stations {
            let mac = match station {
                Station::Mac(mac) => mac,
                Station::Ip(ip) => {
                    self.put(&format!("{side}.ip"), ip.to_string());
                    self.put(&format!("{side}.address"), ip.to_string());
                    related.insert(ip.to_string());
                    end.mac()
                }
            };
            if mac != [0; 6] {
                self.put(&format!("{side}.mac"), mac_text(&mac));
            }
        }
        let (Station::Ip(a), Station::Ip(b)) = (key.client(), key.server()) else { return };
        self.put("destination.port", key.port);
        self.put("network.type", if a.is_ipv4() { "ipv4" } else { "ipv6" });
        match key.l4 {
            TCP => self.put("network.transport", "tcp"),
            UDP => self.put("network.transport", "udp"),
            _ => {}
        }
        self.put("network.iana_number", key.l4.to_string());
        self.put("related.ip", json!(related));
        if client.port() != 0 {
            self.put("source.port", client.port());
            let ends = ((a, client.port()), (b, server.port()));
            let id = community_id::v1(community_id::DEFAULT_SEED, key.l4, ends.0, ends.1);
            self.put("network.community_id", id);
        }
    }

    fn operation(&mut self, d: &Deviation) {
        let Some(op) = &d.operation else { return };
        let name = Name::of(op.proto, op.function);
        self.put("otxdp.op.protocol", protocol_name(op.proto));
        self.put("otxdp.op.class", op.class.word());
        self.put("otxdp.op.state_changing", op.state_changing);
        self.put("otxdp.op.direction", op.dir.word().unwrap_or("unknown"));
        self.put("otxdp.op.sender", if op.from_client { "source" } else { "destination" });
        self.put("otxdp.op.function.path", name.path);
        self.put("otxdp.op.function.name", Value::from(name.name));
        self.put("otxdp.op.unit", op.unit);
    }
}
