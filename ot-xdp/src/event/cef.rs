//! ArcSight's Common Event Format, for receivers that know it: a view of the ECS document.
//!
//! Source of the names: the implementation standard of CEF, version 25. In the header `\` and `|` are escaped, in the
//! extension `\`, `=` and ends of lines; nothing that came off the wire can end a field.

use serde_json::Value;

/// The document as one line.
pub fn render(document: &Value) -> String {
    let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str);
    let action = text("/event/action").unwrap_or("event");
    let id = text("/rule/id").unwrap_or(action);
    let name = text("/rule/name").unwrap_or_else(|| label(action));
    let version = text("/observer/version").unwrap_or_default();
    let severity = severity(document.pointer("/event/severity").and_then(Value::as_u64));
    let mut line = format!("CEF:0|ot-xdp|ot-xdp|{}|{}|{}|{severity}|", header(version), header(id), header(name));
    let mut fields = Fields { line: &mut line, first: true };

    fields.put("rt", text("/@timestamp").and_then(milliseconds));
    fields.put("start", text("/event/start").and_then(milliseconds));
    fields.put("end", text("/event/end").and_then(milliseconds));
    fields.put("act", Some(action.to_owned()));
    fields.put("outcome", text("/event/outcome").map(str::to_owned));
    fields.put("app", text("/network/protocol").map(str::to_owned));
    fields.put("proto", text("/network/transport").map(str::to_uppercase));
    for (name, end) in [("s", "source"), ("d", "destination")] {
        let ip = text(&format!("/{end}/ip"));
        // `src` and `dst` are IPv4 addresses; IPv6 has fields of its own.
        match ip {
            Some(v6) if v6.contains(':') => {
                let (field, what) = if name == "s" { ("c6a2", "Source") } else { ("c6a3", "Destination") };
                fields.put(field, Some(v6.to_owned()));
                fields.put(&format!("{field}Label"), Some(format!("{what} IPv6 Address")));
            }
            Some(v4) => fields.put(if name == "s" { "src" } else { "dst" }, Some(v4.to_owned())),
            None => {}
        }
        let port = document.pointer(&format!("/{end}/port")).and_then(Value::as_u64);
        fields.put(if name == "s" { "spt" } else { "dpt" }, port.map(|p| p.to_string()));
        let mac = text(&format!("/{end}/mac")).map(|m| m.replace('-', ":"));
        fields.put(&format!("{name}mac"), mac);
    }
    let count = |pointer: &str| document.pointer(pointer).and_then(Value::as_u64).map(|n| n.to_string());
    fields.put("in", count("/source/bytes"));
    fields.put("out", count("/destination/bytes"));
    fields.put("cnt", count("/otxdp/gate/frames").or(count("/otxdp/flow/operations")));
    fields.put("deviceInboundInterface", text("/observer/ingress/interface/name").map(str::to_owned));
    fields.put("dvchost", text("/observer/hostname").map(str::to_owned));
    fields.put("deviceExternalId", text("/observer/name").map(str::to_owned));
    fields.put("suser", text("/user/name").map(str::to_owned));
    fields.put("msg", text("/event/reason").map(str::to_owned));
    let from = text("/otxdp/gate/from_zone").or(text("/otxdp/zone/source"));
    let zones =
        from.zip(text("/otxdp/gate/to_zone").or(text("/otxdp/zone/destination"))).map(|(a, b)| format!("{a}>{b}"));
    fields.labelled("cs1", "function", text("/otxdp/op/function/path").map(str::to_owned));
    fields.labelled("cs2", "zonePair", zones);
    fields.labelled("cs3", "attackIcs", joined(document.pointer("/otxdp/attack/ids")));
    fields.labelled("cs4", "class", text("/otxdp/op/class").map(str::to_owned));
    fields.labelled("cs5", "communityId", text("/network/community_id").map(str::to_owned));
    fields.labelled("cs6", "sensorBootId", text("/otxdp/sensor_boot_id").map(str::to_owned));
    fields.labelled("cn1", "sequence", count("/event/sequence"));
    fields.labelled("cn2", "unit", count("/otxdp/op/unit"));
    fields.put("externalId", text("/event/id").map(str::to_owned));
    line
}

/// Words for people, where there is no rule with a name.
fn label(action: &str) -> &str {
    match action {
        "ot-flow-summary" => "Conversation",
        "ot-first-seen-function" => "Function seen for the first time",
        "otxdp-stats" => "Counters of a port",
        "events-lost" => "Events lost on their way out",
        "events-limited" => "Events over the daily volume",
        other => other,
    }
}

/// 0 to 10: low to 3, medium to 6, high to 8, very high from 9.
fn severity(ecs: Option<u64>) -> u8 {
    match ecs {
        None => 1,
        Some(99..) => 10,
        Some(73..) => 7,
        Some(47..) => 5,
        Some(_) => 3,
    }
}

fn milliseconds(text: &str) -> Option<String> {
    Some(text.parse::<jiff::Timestamp>().ok()?.as_millisecond().to_string())
}

fn joined(list: Option<&Value>) -> Option<String> {
    let texts: Vec<&str> = list?.as_array()?.iter().filter_map(Value::as_str).collect();
    Some(texts.join(","))
}

struct Fields<'a> {
    line: &'a mut String,
    first: bool,
}

impl Fields<'_> {
    fn put(&mut self, name: &str, value: Option<String>) {
        let Some(value) = value else { return };
        if !self.first {
            self.line.push(' ');
        }
        self.first = false;
        self.line.push_str(name);
        self.line.push('=');
        for c in value.chars() {
            match c {
                '\\' => self.line.push_str("\\\\"),
                '=' => self.line.push_str("\\="),
                '\n' => self.line.push_str("\\n"),
                '\r' => self.line.push_str("\\r"),
                c => self.line.push(c),
            }
        }
    }

    fn labelled(&mut self, name: &str, label: &str, value: Option<String>) {
        if value.is_some() {
            self.put(&format!("{name}Label"), Some(label.to_owned()));
            self.put(name, value);
        }
    }
}

/// A header field; it has no escape for ends of lines, so they become blanks.
fn header(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace(['\n', '\r'], " ")
}
