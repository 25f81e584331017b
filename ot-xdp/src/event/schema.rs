//! The JSON Schema of the events, made from the list of fields.

use ot_xdp_common::flags;
use ot_xdp_common::op::Class;
use ot_xdp_common::reason::Outcome;
use serde_json::{Map, Value, json};

use super::fields::{COMMON, Field, KINDS, Need, Type};
use super::{Attach, Reason, SCHEMA_VERSION};

/// Stands for each class in a path.
const CLASS: &str = "{class}";
/// Stands for each outcome in a path.
const OUTCOME: &str = "{outcome}";

/// JSON Schema (draft 2020-12) of every event. Nothing that is not listed is allowed anywhere.
pub fn events() -> Value {
    let mut definitions = Map::new();
    let mut choices = Vec::new();
    for (name, about, lists) in KINDS {
        let mut root = Node::default();
        for field in COMMON.iter().chain(lists.iter().copied().flatten()) {
            root.add(field.path, field);
        }
        let mut object = root.schema();
        if let Value::Object(o) = &mut object {
            o.insert("description".to_owned(), json!(about));
        }
        definitions.insert((*name).to_owned(), object);
        choices.push(json!({ "$ref": format!("#/$defs/{name}") }));
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": format!("urn:ot-xdp:schema:events:{SCHEMA_VERSION}"),
        "title": "Events of ot-xdp",
        "description": "One JSON object a line. Names outside `otxdp` are those of the Elastic Common Schema 9.4.",
        "oneOf": choices,
        "$defs": definitions,
    })
}

/// An object of the schema, or a field when it has no members.
#[derive(Default)]
struct Node {
    field: Option<Field>,
    members: Vec<(&'static str, Node)>,
}

impl Node {
    fn add(&mut self, path: &'static str, field: &Field) {
        let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
        if !self.members.iter().any(|(n, _)| *n == name) {
            self.members.push((name, Node::default()));
        }
        let Some((_, member)) = self.members.iter_mut().find(|(n, _)| *n == name) else { return };
        match rest {
            Some(rest) => member.add(rest, field),
            None => member.field = Some(*field),
        }
    }

    /// In every event?
    fn is_always(&self) -> bool {
        self.field.is_some_and(|f| f.need == Need::Always) || self.members.iter().any(|(_, m)| m.is_always())
    }

    /// In every object around it?
    fn is_required(&self) -> bool {
        self.is_always() || self.field.is_some_and(|f| f.need == Need::Here)
    }

    fn schema(&self) -> Value {
        if let Some(field) = &self.field {
            let mut schema = type_schema(field.kind);
            if let Value::Object(o) = &mut schema {
                o.insert("description".to_owned(), json!(field.about));
            }
            return schema;
        }
        let mut properties = Map::new();
        let mut required = Vec::new();
        for (name, member) in &self.members {
            let names = match *name {
                CLASS => Class::ALL.iter().map(|c| class_key(*c)).collect(),
                OUTCOME => Outcome::ALL.iter().map(|o| o.word().to_owned()).collect(),
                name => vec![name.to_owned()],
            };
            for name in names {
                properties.insert(name.clone(), member.schema());
                if member.is_required() {
                    required.push(name);
                }
            }
        }
        // An object that may be left out altogether is left out rather than empty.
        json!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
            "minProperties": 1,
        })
    }
}

/// A class word as a key: keys have underscores, values hyphens.
pub fn class_key(class: Class) -> String {
    class.word().replace('-', "_")
}

fn type_schema(kind: Type) -> Value {
    let some_of = |words: Vec<&str>| json!({ "type": "array", "items": { "enum": words }, "uniqueItems": true });
    let list = |items: Value| json!({ "type": "array", "items": items, "uniqueItems": true });
    let classes = || Class::ALL.iter().map(|c| c.word()).collect::<Vec<_>>();
    let ip = || json!({ "type": "string", "anyOf": [{ "format": "ipv4" }, { "format": "ipv6" }] });
    match kind {
        Type::Text => json!({ "type": "string", "minLength": 1 }),
        // Names of different functions may be equal.
        Type::Texts => json!({ "type": "array", "items": { "type": "string", "minLength": 1 } }),
        Type::Date => json!({
            "type": "string",
            "format": "date-time",
            "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{6}Z$",
        }),
        Type::Ip => ip(),
        Type::Ips => list(ip()),
        Type::Mac => json!({ "type": "string", "pattern": "^([0-9A-F]{2}-){5}[0-9A-F]{2}$" }),
        Type::Uuid => json!({
            "type": "string",
            "format": "uuid",
            "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$",
        }),
        Type::Count => json!({ "type": "integer", "minimum": 0 }),
        Type::Counts => list(json!({ "type": "integer", "minimum": 0 })),
        Type::Number => json!({ "type": "number" }),
        Type::Integer => json!({ "type": "integer" }),
        Type::Steps(steps) => json!({ "enum": steps }),
        Type::Bool => json!({ "type": "boolean" }),
        Type::Const(text) => json!({ "const": text }),
        Type::OneOf(words) => json!({ "enum": words }),
        Type::SomeOf(words) => some_of(words.to_vec()),
        Type::Class => json!({ "enum": classes() }),
        Type::Classes => some_of(classes()),
        Type::Flags => some_of(flags::ALL.iter().map(|(_, word, _)| *word).collect()),
        Type::Reasons => some_of(Reason::ALL.map(Reason::word).to_vec()),
        Type::Attach => json!({ "enum": Attach::ALL.map(Attach::word) }),
    }
}
