//! Suricata's EVE JSON, for receivers that know it: a view of the ECS document.
//!
//! Source of the shapes: the schema of EVE that Suricata publishes (`etc/schema.json`). Alerts are `alert`, conversations
//! `flow`, counters `stats`, first-seen functions `anomaly`, what the sensor says of itself `engine`.

use serde_json::{Map, Value, json};

/// First signature id of this sensor, in the range that is left to local rules.
const SIGNATURES: u64 = 3_220_000;

/// The document as an EVE record.
pub fn render(document: &Value) -> Value {
    let d = View(document);
    let mut o = Map::new();
    if let Some(at) = d.text("/@timestamp") {
        // Suricata writes the offset without a colon, and no `Z`.
        o.insert("timestamp".to_owned(), format!("{}+0000", at.trim_end_matches('Z')).into());
    }
    d.copy(&mut o, "host", "/observer/name");
    if let Some(interface) = d.text("/observer/ingress/interface/name") {
        o.insert("in_iface".to_owned(), interface.into());
    }
    d.conversation(&mut o);
    // The one place of every record where numbers of our own are allowed: a gap shows that events are missing.
    o.insert("metadata".to_owned(), json!({ "flowints": { "otxdp_sequence": d.number("/event/sequence") } }));
    let kind = match (d.text("/event/kind"), d.text("/event/action")) {
        (Some("alert"), _) => {
            o.insert("alert".to_owned(), d.alert());
            if let Some(verdict) = d.verdict() {
                o.insert("verdict".to_owned(), json!({ "action": verdict }));
            }
            "alert"
        }
        (_, Some("ot-flow-summary")) => {
            o.insert("flow".to_owned(), d.flow());
            "flow"
        }
        (_, Some("ot-first-seen-function")) => {
            let event = d.text("/otxdp/op/function/path").unwrap_or("function");
            o.insert("anomaly".to_owned(), json!({ "type": "applayer", "event": event, "layer": "proto_parser" }));
            "anomaly"
        }
        (Some("metric"), _) => {
            o.insert("stats".to_owned(), d.stats());
            "stats"
        }
        _ => {
            let message = d.text("/event/reason").or(d.text("/event/action")).unwrap_or_default();
            o.insert("engine".to_owned(), json!({ "message": message, "module": d.text("/event/action") }));
            "engine"
        }
    };
    o.insert("event_type".to_owned(), kind.into());
    Value::Object(o)
}

/// Reads the document.
struct View<'a>(&'a Value);

impl<'a> View<'a> {
    fn text(&self, pointer: &str) -> Option<&'a str> {
        self.0.pointer(pointer).and_then(Value::as_str)
    }

    fn number(&self, pointer: &str) -> u64 {
        self.0.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
    }

    fn copy(&self, o: &mut Map<String, Value>, name: &str, pointer: &str) {
        if let Some(value) = self.0.pointer(pointer) {
            o.insert(name.to_owned(), value.clone());
        }
    }

    fn conversation(&self, o: &mut Map<String, Value>) {
        self.copy(o, "src_ip", "/source/ip");
        self.copy(o, "src_port", "/source/port");
        self.copy(o, "dest_ip", "/destination/ip");
        self.copy(o, "dest_port", "/destination/port");
        if let Some(transport) = self.text("/network/transport") {
            o.insert("proto".to_owned(), transport.to_uppercase().into());
        }
        self.copy(o, "app_proto", "/network/protocol");
        self.copy(o, "community_id", "/network/community_id");
        if let Some(vlan) = self.text("/network/vlan/id").and_then(|v| v.parse::<u64>().ok()) {
            o.insert("vlan".to_owned(), json!([vlan]));
        }
        if let (Some(source), Some(destination)) = (self.text("/source/mac"), self.text("/destination/mac")) {
            let colons = |mac: &str| mac.to_lowercase().replace('-', ":");
            o.insert("ether".to_owned(), json!({ "src_mac": colons(source), "dest_mac": colons(destination) }));
        }
    }

    fn verdict(&self) -> Option<&'static str> {
        match self.text("/event/action")? {
            "dropped" => Some("drop"),
            "would-drop" | "policy-alert" | "passed-dead-man" => Some("alert"),
            _ => None,
        }
    }

    fn alert(&self) -> Value {
        let name = self.text("/rule/name").or(self.text("/event/action")).unwrap_or("alert");
        let id = self.text("/rule/id").unwrap_or_default();
        let blocked = self.text("/event/action") == Some("dropped");
        let severity = match self.number("/event/severity") {
            99.. => 1,
            73.. => 2,
            _ => 3,
        };
        let mut metadata = Map::new();
        let mut note = |name: &str, pointer: &str| {
            let texts: Vec<Value> = match self.0.pointer(pointer) {
                Some(Value::Array(all)) => all.clone(),
                Some(Value::Null) | None => return,
                Some(Value::String(text)) => vec![text.as_str().into()],
                Some(other) => vec![other.to_string().into()],
            };
            metadata.insert(name.to_owned(), Value::Array(texts));
        };
        note("event_id", "/event/id");
        note("sequence", "/event/sequence");
        note("sensor_boot_id", "/otxdp/sensor_boot_id");
        note("action", "/event/action");
        note("reason", "/event/reason");
        note("rule_id", "/rule/id");
        note("function", "/otxdp/op/function/path");
        note("class", "/otxdp/op/class");
        note("from_zone", "/otxdp/gate/from_zone");
        note("to_zone", "/otxdp/gate/to_zone");
        note("from_zone", "/otxdp/zone/source");
        note("to_zone", "/otxdp/zone/destination");
        note("incident", "/otxdp/deviation/incident");
        note("mitre_technique_id", "/otxdp/attack/ids");
        json!({
            "action": if blocked { "blocked" } else { "allowed" },
            "gid": 1,
            "signature_id": signature(id),
            "rev": 1,
            "signature": format!("OTXDP {name}"),
            "category": self.text("/rule/category").unwrap_or("Industrial control"),
            "severity": severity,
            "metadata": metadata,
        })
    }

    fn flow(&self) -> Value {
        json!({
            "pkts_toserver": self.number("/source/packets"),
            "pkts_toclient": self.number("/destination/packets"),
            "bytes_toserver": self.number("/source/bytes"),
            "bytes_toclient": self.number("/destination/bytes"),
            "start": self.text("/event/start").map(|t| format!("{}+0000", t.trim_end_matches('Z'))),
            "end": self.text("/event/end").map(|t| format!("{}+0000", t.trim_end_matches('Z'))),
            "age": self.number("/event/duration") / 1_000_000_000,
            "alerted": false,
        })
    }

    fn stats(&self) -> Value {
        json!({
            "uptime": self.number("/otxdp/health/uptime_s"),
            "capture": {
                "kernel_packets": self.number("/otxdp/xdp/interface/frames"),
                "kernel_drops": self.number("/otxdp/xdp/map/flows/overflow_frames"),
            },
            "decoder": {
                "pkts": self.number("/otxdp/xdp/interface/frames"),
                "bytes": self.number("/otxdp/xdp/interface/bytes"),
            },
        })
    }
}

/// A number for a rule: that in its id, else one made of the id. The same for every event of a rule, in every run.
fn signature(id: &str) -> u64 {
    let digits: String = id.chars().filter(char::is_ascii_digit).collect();
    match digits.parse::<u64>() {
        Ok(n) if n < 10_000 && id.starts_with("OTX-") => SIGNATURES + n,
        _ => SIGNATURES + 10_000 + u64::from(crc32fast::hash(id.as_bytes()) % 70_000),
    }
}
