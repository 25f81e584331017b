//! Every field that an event can have, by its dotted path: the list behind the JSON Schema.
//!
//! Names outside `otxdp.` are those of the Elastic Common Schema 9.4. There is no array of objects: several receivers
//! flatten or refuse them. A path segment `{class}` or `{outcome}` stands for each class or outcome word with underscores.

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Any text.
    Text,
    /// Texts.
    Texts,
    /// RFC 3339 in UTC with microseconds.
    Date,
    /// IPv4 or IPv6 address.
    Ip,
    /// Such addresses.
    Ips,
    /// Hardware address, upper case with dashes.
    Mac,
    /// UUIDv7.
    Uuid,
    /// Whole number from 0.
    Count,
    /// Whole numbers from 0.
    Counts,
    /// Whole number.
    Integer,
    /// Number.
    Number,
    /// One of these numbers.
    Steps(&'static [u64]),
    /// True or false.
    Bool,
    /// Always this text.
    Const(&'static str),
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// Some of these texts.
    SomeOf(&'static [&'static str]),
    /// A class word.
    Class,
    /// Class words.
    Classes,
    /// Words of [`ot_xdp_common::flags`].
    Flags,
    /// Words of [`crate::event::Reason`].
    Reasons,
    /// A word of [`crate::event::Attach`].
    Attach,
}

/// When a field is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// In every event of its kind.
    Always,
    /// Whenever the object around it is there.
    Here,
    /// Sometimes.
    Optional,
}

/// One field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Dotted path.
    pub path: &'static str,
    /// What it holds.
    pub kind: Type,
    /// When it is there.
    pub need: Need,
    /// What it means.
    pub about: &'static str,
}

const fn f(path: &'static str, kind: Type, need: Need, about: &'static str) -> Field {
    Field { path, kind, need, about }
}

use Need::{Always, Here, Optional};
use Type::{
    Attach, Bool, Class, Classes, Const, Count, Counts, Date, Flags, Integer, Ip, Ips, Mac, OneOf, Reasons, SomeOf,
    Steps, Text, Texts, Uuid,
};

/// Fields of every event.
pub const COMMON: &[Field] = &[
    f(
        "@timestamp",
        Date,
        Always,
        "When it happened: of the last frame it tells of, or of the read of the counters. In replay the capture's time.",
    ),
    f("ecs.version", Const("9.4.0"), Always, "Version of the Elastic Common Schema."),
    f("data_stream.namespace", Text, Always, "Site or environment, from the configuration."),
    f("event.module", Const("otxdp"), Always, "Source of the event."),
    f("event.provider", Const("otxdp-xdp"), Always, "Source of the event."),
    f("event.id", Uuid, Always, "Unique; later events of a sensor sort behind earlier ones."),
    f(
        "event.sequence",
        Count,
        Always,
        "Counts events from 1 without a gap within otxdp.sensor_boot_id: a gap is a lost event.",
    ),
    f("event.created", Date, Always, "When the sensor made the event."),
    f("observer.name", Text, Always, "Name of the sensor, from the configuration."),
    f("observer.hostname", Text, Always, "Host name of the sensor."),
    f("observer.vendor", Const("ot-xdp"), Always, "Maker of the sensor."),
    f("observer.product", Const("ot-xdp"), Always, "The sensor."),
    f("observer.version", Text, Always, "Version of the sensor."),
    f("observer.type", Const("sensor"), Always, "The sensor watches; it does not take part."),
    f("observer.serial_number", Text, Optional, "Serial number of the sensor, from the configuration."),
    f("observer.ingress.interface.name", Text, Always, "Interface the frames came in on; `capture` in replay."),
    f("observer.ingress.interface.id", Text, Always, "Its index."),
    f("otxdp.schema", Const(super::SCHEMA_VERSION), Always, "Version of this schema."),
    f("otxdp.sensor_boot_id", Uuid, Always, "One run of the sensor."),
    f(
        "otxdp.mode",
        OneOf(&["enforce", "monitor", "replay", "shadow"]),
        Always,
        "What the sensor does with frames: watch them, judge them, refuse what the policy denies, or read them from a capture.",
    ),
];

/// Fields about a conversation: flow summaries and first-seen functions.
pub const CONVERSATION: &[Field] = &[
    f("event.category", SomeOf(&["network"]), Always, "Traffic."),
    f("source.ip", Ip, Optional, "Client: who asks, commands or publishes. None on layer 2."),
    f("source.address", Text, Optional, "The same as source.ip."),
    f("source.mac", Mac, Always, "Hardware address of the client's last frame: of the router where one is between."),
    f("source.port", Count, Optional, "Port of the client in its last frame."),
    f("destination.ip", Ip, Optional, "Server: who answers or receives. None on layer 2."),
    f("destination.address", Text, Optional, "The same as destination.ip."),
    f("destination.mac", Mac, Always, "Hardware address of the server, like source.mac."),
    f("destination.port", Count, Optional, "Port of the server in the last frame."),
    f("network.type", OneOf(&["ipv4", "ipv6"]), Optional, "None on layer 2."),
    f("network.transport", OneOf(&["tcp", "udp"]), Optional, "None on layer 2."),
    f("network.iana_number", Text, Optional, "IP protocol number."),
    f(
        "network.protocol",
        Text,
        Always,
        "The outermost industrial protocol; what is nested in it is in otxdp.protocols.",
    ),
    f("network.community_id", Text, Optional, "Community ID v1 with seed 0, of the ports above. None on layer 2."),
    f("network.vlan.id", Text, Here, "Outer VLAN id; no object without one."),
    f("related.ip", Ips, Optional, "Both addresses."),
    f("otxdp.flags", Flags, Always, "What was unusual about the frames; `ot-xdp schema flags` explains each."),
];

/// Fields of flow summaries.
pub const FLOW: &[Field] = &[
    f("data_stream.type", Const("logs"), Always, "Index family."),
    f("data_stream.dataset", Const("otxdp.flow"), Always, "Index."),
    f("event.kind", Const("event"), Always, "Something that happened."),
    f("event.dataset", Const("otxdp.flow"), Always, "Kind of the event."),
    f("event.action", Const("ot-flow-summary"), Always, "Kind of the event."),
    f("event.type", SomeOf(&["connection", "info"]), Always, "`connection` for IP only."),
    f(
        "event.start",
        Date,
        Always,
        "Earliest moment at which the interval's first operation can have been: it is known exactly for new conversations only.",
    ),
    f("event.end", Date, Always, "Last operation."),
    f("event.duration", Count, Always, "Nanoseconds between the two."),
    f("source.packets", Count, Always, "Frames that the client sent in the interval."),
    f("source.bytes", Count, Always, "Octets of these frames."),
    f("destination.packets", Count, Always, "Frames that the server sent in the interval."),
    f("destination.bytes", Count, Always, "Octets of these frames."),
    f(
        "network.packets",
        Count,
        Always,
        "Frames in both directions. Frames without an industrial operation are not among them.",
    ),
    f("network.bytes", Count, Always, "Octets of these frames."),
    f("network.inner.vlan.id", Text, Here, "Inner VLAN id of the last frame; no object without one."),
    f("otxdp.interval.start", Date, Always, "Beginning of the interval."),
    f("otxdp.interval.end", Date, Always, "End of the interval: when the counters were read."),
    f("otxdp.flow.first_seen", Date, Always, "First operation of the conversation ever."),
    f(
        "otxdp.flow.operations",
        Count,
        Always,
        "Operations in the interval, those of nested protocols and of responses included.",
    ),
    f("otxdp.flow.state_changing", Count, Always, "Those that ask for a change of the device or the process."),
    f("otxdp.protocols", Texts, Always, "Every protocol of the conversation in the interval."),
    f("otxdp.functions", Texts, Always, "Every function in the interval as a path, at most 64."),
    f("otxdp.functions_total", Count, Always, "Number of functions, those beyond the 64 included."),
    f("otxdp.units", Counts, Always, "Unit ids, link or common addresses, APPIDs in the interval, at most 64."),
    f(
        "otxdp.ops.{class}.functions",
        Texts,
        Here,
        "Functions of this class as paths, at most 64. Answers are named when they are errors, change the state, or nobody asked.",
    ),
    f("otxdp.ops.{class}.function_names", Texts, Here, "Their names, in the same order."),
    f("otxdp.ops.{class}.requests", Count, Here, "Operations that ask or command."),
    f("otxdp.ops.{class}.responses", Count, Here, "Answers, exceptions included."),
    f("otxdp.ops.{class}.exceptions", Count, Here, "Answers that are errors."),
    f(
        "otxdp.ops.{class}.published",
        Count,
        Here,
        "Operations sent without a question: cyclic, spontaneous, multicast.",
    ),
    f("otxdp.ops.{class}.undirected", Count, Here, "Operations whose direction cannot be told."),
    f(
        "otxdp.ops.{class}.address_min",
        Count,
        Optional,
        "Lowest address (register, DB number, information object, ...) touched since the function was first seen.",
    ),
    f("otxdp.ops.{class}.address_max", Count, Optional, "Highest address touched since."),
];

/// Fields of first-seen functions.
pub const FIRST_SEEN: &[Field] = &[
    f("data_stream.type", Const("logs"), Always, "Index family."),
    f("data_stream.dataset", Const("otxdp.first_seen"), Always, "Index."),
    f("event.kind", Const("event"), Always, "Something that happened."),
    f("event.dataset", Const("otxdp.first_seen"), Always, "Kind of the event."),
    f("event.action", Const("ot-first-seen-function"), Always, "Kind of the event."),
    f("event.type", SomeOf(&["info", "protocol"]), Always, "Information about the use of a protocol."),
    f("event.reason", Text, Always, "What is new, for people."),
    f(
        "event.severity",
        Steps(&[21, 47, 73, 99]),
        Always,
        "21 low, 47 medium (changes state), 73 high (controls, loads a program), 99 critical (not used without a baseline).",
    ),
    f("otxdp.op.protocol", Text, Always, "Protocol of the function: the nested one where it is nested."),
    f("otxdp.op.class", Class, Always, "Class of the function."),
    f("otxdp.op.state_changing", Bool, Always, "Does it ask for a change of the device or the process?"),
    f("otxdp.op.direction", OneOf(&["publish", "request", "response", "unknown"]), Always, "Direction."),
    f("otxdp.op.sender", OneOf(&["destination", "source"]), Always, "Which side sent it."),
    f("otxdp.op.function.path", Text, Always, "The function as a path, e.g. `modbus:16`."),
    f("otxdp.op.function.name", Text, Always, "Its name in the protocol's own words, or `unlisted`."),
    f("otxdp.op.unit", Count, Always, "Unit id, link or common address, APPID; 0 also where the protocol has none."),
    f("otxdp.op.address.start", Count, Here, "First address touched; no object where the function has none."),
    f("otxdp.op.address.count", Count, Optional, "Number of addresses, where the frame tells."),
    f(
        "otxdp.op.delayed",
        Bool,
        Always,
        "Found in the counters and not reported at once: addresses and flags are then those of all operations so far.",
    ),
];

/// Fields of what an operation is consistent with in MITRE ATT&CK; hints, never verdicts.
pub const ATTACK: &[Field] = &[
    f("otxdp.attack.matrix", Const("ics"), Here, "ATT&CK matrix of the ids in threat.*: hints, never verdicts."),
    f("otxdp.attack.version", Const(super::attack::MATRIX_VERSION), Here, "Its version."),
    f("otxdp.attack.ids", Texts, Here, "The most specific ids."),
    f("otxdp.attack.legacy_ids", Texts, Optional, "Ids up to v18, where they changed."),
    f("threat.framework", Const("MITRE ATT&CK"), Here, "Framework of the ids; no object without hints."),
    f("threat.tactic.id", Texts, Here, "Tactics."),
    f("threat.tactic.name", Texts, Here, "Their names."),
    f("threat.technique.id", Texts, Here, "Techniques that the operation is consistent with."),
    f("threat.technique.name", Texts, Here, "Their names."),
    f("threat.technique.subtechnique.id", Texts, Here, "Sub-techniques, where there are any."),
    f("threat.technique.subtechnique.name", Texts, Here, "Their names."),
];

/// Fields of what the policy denied or reported: one event for each sender, receiver, function and rule, and later ones
/// for what was counted since. `source` is the sender.
pub const REFUSAL: &[Field] = &[
    f("data_stream.type", Const("logs"), Always, "Index family."),
    f("data_stream.dataset", Const("otxdp.gate"), Always, "Index."),
    f("event.kind", Const("alert"), Always, "To be looked at."),
    f("event.dataset", Const("otxdp.gate"), Always, "Kind of the event."),
    f(
        "event.action",
        OneOf(super::gate::ACTIONS),
        Always,
        "`dropped`: refused; `would-drop`: denied in shadow mode, and passed; `policy-alert`: a rule reports it; \
         `passed-dead-man`: denied, and passed because the loader is dead or the arming was not confirmed.",
    ),
    f("event.type", SomeOf(&["denied", "info"]), Always, "`denied` when it was refused."),
    f("event.outcome", Const("success"), Optional, "Seen from the gate, and only where it refused: it was refused."),
    f("event.start", Date, Always, "First frame that this event tells of."),
    f("event.end", Date, Always, "Last frame."),
    f("event.reason", Text, Always, "What, from where to where, and why, for people."),
    f("event.severity", Steps(&[21, 47, 73, 99]), Always, "73 when it changes the state, 47 or 21 otherwise."),
    f("rule.id", Text, Always, "The rule that decided."),
    f("rule.name", Text, Always, "What it says."),
    f("rule.author", Texts, Always, "Who answers for it."),
    f("rule.description", Text, Always, "Why it is there."),
    f("otxdp.gate.ticket", Text, Optional, "Ticket of the rule."),
    f("otxdp.gate.from_zone", Text, Always, "Zone of the sender."),
    f("otxdp.gate.to_zone", Text, Always, "Zone of the receiver."),
    f("otxdp.gate.frames", Count, Always, "Frames that this event tells of."),
    f("otxdp.gate.suppressed", Count, Always, "The same without the first: repeats that had no event of their own."),
    f("otxdp.gate.frames_total", Count, Always, "Frames of the same since the gate was loaded."),
    f("otxdp.gate.condition", Text, Optional, "What was wrong with the frame, where no operation was judged."),
    f("otxdp.op.protocol", Text, Here, "Protocol of the function; no object for a condition."),
    f("otxdp.op.class", Class, Here, "Class of the function."),
    f("otxdp.op.state_changing", Bool, Here, "Does it ask for a change of the device or the process?"),
    f("otxdp.op.function.path", Text, Here, "The function as a path."),
    f("otxdp.op.function.name", Text, Here, "Its name in the protocol's own words, or `unlisted`."),
    f("otxdp.op.unit", Count, Here, "Unit id, link or common address, APPID."),
    f("otxdp.op.address.start", Count, Here, "First address touched; no object where the function has none."),
    f("otxdp.op.address.count", Count, Optional, "Number of addresses, where the frame tells."),
];

/// Fields of what was done to the gate.
pub const AUDIT: &[Field] = &[
    f("data_stream.type", Const("logs"), Always, "Index family."),
    f("data_stream.dataset", Const("otxdp.audit"), Always, "Index."),
    f("event.kind", Const("event"), Always, "Something that happened."),
    f("event.category", SomeOf(&["configuration"]), Always, "About the gate's configuration."),
    f("event.type", SomeOf(&["change"]), Always, "A change."),
    f("event.dataset", Const("otxdp.audit"), Always, "Kind of the event."),
    f("event.action", OneOf(super::gate::AUDITS), Always, "What was done."),
    f("event.outcome", OneOf(&["failure", "success"]), Always, "Did it work?"),
    f("event.reason", Text, Always, "What happened, for people."),
    f("event.severity", Steps(&[21, 47, 73, 99]), Always, "21, or 47 when it did not work."),
    f("otxdp.gate.rules", Count, Always, "Rules in force afterwards."),
    f("otxdp.gate.mode_before", OneOf(&["enforce", "monitor", "shadow"]), Optional, "Mode before."),
    f("otxdp.gate.mode_after", OneOf(&["enforce", "monitor", "shadow"]), Optional, "Mode afterwards."),
    f("user.name", Text, Here, "Who asked for it, where that is known."),
    f("otxdp.gate.ticket", Text, Optional, "Ticket or change number, where one was given."),
];

/// Fields of health and statistics, one event a port.
pub const HEALTH: &[Field] = &[
    f("data_stream.type", Const("metrics"), Always, "Index family."),
    f("data_stream.dataset", Const("otxdp.stats"), Always, "Index."),
    f("event.kind", Const("metric"), Always, "Numbers."),
    f("event.category", SomeOf(&["host"]), Always, "About the sensor."),
    f("event.type", SomeOf(&["info"]), Always, "Information."),
    f("event.dataset", Const("otxdp.stats"), Always, "Kind of the event."),
    f("event.action", Const("otxdp-stats"), Always, "Kind of the event."),
    f("event.reason", Text, Optional, "Why the sensor is degraded, for people."),
    f("otxdp.interval.start", Date, Always, "Beginning of the interval."),
    f("otxdp.interval.end", Date, Always, "End of the interval: when the counters were read."),
    f("otxdp.health.status", OneOf(&["degraded", "ok"]), Always, "`degraded` when there is a reason."),
    f("otxdp.health.reasons", Reasons, Always, "Why the sensor is degraded."),
    f("otxdp.health.uptime_s", Count, Always, "Seconds since the sensor was started."),
    f("otxdp.xdp.attach_mode", Attach, Always, "How the frames reach the program."),
    f("otxdp.xdp.interface.frames", Count, Always, "Frames seen since the start."),
    f("otxdp.xdp.interface.bytes", Count, Always, "Octets seen since the start."),
    f(
        "otxdp.xdp.interface.ot_frames",
        Count,
        Always,
        "Frames with an industrial protocol since the start, malformed ones included.",
    ),
    f(
        "otxdp.xdp.outcomes.{outcome}",
        Count,
        Always,
        "Frames by what became of them since the start; their sum is the number of frames seen.",
    ),
    f(
        "otxdp.xdp.classes.{class}",
        Count,
        Always,
        "Frames by the class of their worst operation since the start; their sum is ot_frames.",
    ),
    f("otxdp.xdp.beyond_reach", Count, Always, "Frames longer than classification reaches, since the start."),
    f("otxdp.xdp.walk_limit", Count, Always, "Frames with more PDUs than are walked, since the start."),
    f(
        "otxdp.xdp.ring.full",
        Count,
        Always,
        "First-seen records that found the ring full, since the start; they are reported with the counters.",
    ),
    f("otxdp.xdp.ring.limited", Count, Always, "First-seen records over the rate limit, since the start; likewise."),
    f("otxdp.xdp.map.flows.entries", Count, Always, "Keys in the flow map, all ports together."),
    f("otxdp.xdp.map.flows.capacity", Count, Always, "Keys that it can hold."),
    f(
        "otxdp.xdp.map.flows.overflow_operations",
        Count,
        Always,
        "Operations of this port that found it full, since the start.",
    ),
    f(
        "otxdp.xdp.map.flows.overflow_frames",
        Count,
        Always,
        "Frames of this port whose worst operation found it full, since the start.",
    ),
    f("otxdp.delta.frames", Count, Always, "Frames seen in the interval."),
    f("otxdp.delta.bytes", Count, Always, "Octets seen in the interval."),
    f("otxdp.delta.ot_frames", Count, Always, "Frames with an industrial protocol in the interval."),
    f("otxdp.delta.malformed", Count, Always, "Malformed frames in the interval."),
    f(
        "otxdp.delta.overflow_operations",
        Count,
        Always,
        "Operations of this port that found the flow map full in the interval.",
    ),
    f(
        "otxdp.overflow.operations",
        Count,
        Here,
        "What found the flow map full in the interval, all ports together; no object without.",
    ),
    f("otxdp.overflow.frames", Count, Here, "Frames whose worst operation it was."),
    f("otxdp.overflow.bytes", Count, Here, "Octets of these frames."),
    f("otxdp.overflow.protocols", Texts, Here, "Their protocols."),
    f("otxdp.overflow.classes", Classes, Here, "Their classes."),
    f("otxdp.accounting.ok", Bool, Always, "Is every frame counted exactly once?"),
    f(
        "otxdp.accounting.outcomes_off",
        Integer,
        Always,
        "Frames seen minus frames with an outcome. Frames that arrive during a read may make a difference for one interval.",
    ),
    f("otxdp.accounting.classes_off", Integer, Always, "Frames with an industrial protocol minus frames with a class."),
    f(
        "otxdp.accounting.flows_off",
        Integer,
        Always,
        "Frames with a class minus frames in the flow map and in the overflow bucket.",
    ),
    f("otxdp.events.emitted", Count, Always, "Events made in this run, this one included."),
    f("otxdp.events.dropped", Count, Always, "Events lost on their way out in this run."),
];

/// Fields of what the sensor says about its own events.
pub const OWN: &[Field] = &[
    f("data_stream.type", Const("logs"), Always, "Index family."),
    f("data_stream.dataset", Const("otxdp.sensor"), Always, "Index."),
    f("event.kind", Const("event"), Always, "Something that happened."),
    f("event.category", SomeOf(&["host"]), Always, "About the sensor."),
    f("event.type", SomeOf(&["info"]), Always, "Information."),
    f("event.dataset", Const("otxdp.sensor"), Always, "Kind of the event."),
    f("event.reason", Text, Always, "What is missing and what to do, for people."),
    f("event.severity", Steps(&[21, 47, 73, 99]), Always, "73 where serious ones may be among them, else 47."),
];

/// Fields of events that did not reach a receiver.
pub const LOST: &[Field] = &[
    f("event.action", Const(super::LOST), Always, "Kind of the event."),
    f("otxdp.loss.sink", Text, Always, "Name of the sink that did not get them."),
    f("otxdp.loss.cause", OneOf(super::delivery::CAUSES), Always, "Why."),
    f("otxdp.loss.events", Count, Always, "How many, since the last event of this kind."),
    f("otxdp.loss.events_total", Count, Always, "How many this sink lost since the start, of all causes."),
    f("otxdp.loss.sequence_first", Count, Optional, "Least event.sequence among them, where it is known."),
    f("otxdp.loss.sequence_last", Count, Optional, "Greatest. Not every one between has to be missing."),
];

/// Fields of events over the daily volume.
pub const LIMITED: &[Field] = &[
    f("event.action", Const(super::LIMITED), Always, "Kind of the event."),
    f("otxdp.interval.start", Date, Always, "Beginning of the time that this is about."),
    f("otxdp.interval.end", Date, Always, "Its end."),
    f("otxdp.limited.events", Count, Always, "Events that were not made. They have no event.sequence."),
    f("otxdp.limited.worst_severity", Count, Always, "Greatest severity among them, 0 where none has one."),
    f("otxdp.limited.actions", Texts, Always, "Their kinds."),
];

/// Fields of a deviation from the baseline. `source` is the client of the conversation, or the station that it is about.
pub const DEVIATION: &[Field] = &[
    f("data_stream.type", Const("logs"), Always, "Index family."),
    f("data_stream.dataset", Const("otxdp.alert"), Always, "Index."),
    f("event.kind", Const("alert"), Always, "To be looked at."),
    f("event.category", SomeOf(&["host", "network"]), Always, "`host`: about the sensor itself."),
    f("event.type", SomeOf(&["info"]), Always, "Nothing was held back."),
    f("event.dataset", Const("otxdp.alert"), Always, "Kind of the event."),
    f("event.action", Text, Always, "Kind of the deviation in a word; `ot-xdp schema deviations` lists all."),
    f("event.start", Date, Always, "Beginning of what was looked at."),
    f("event.end", Date, Always, "Its end."),
    f("event.reason", Text, Always, "Why, in one sentence."),
    f("event.severity", Steps(&[21, 47, 73, 99]), Always, "Low, medium, high, critical."),
    f("rule.id", Text, Always, "Stable id of the kind, `OTX-....`."),
    f("rule.name", Text, Always, "The same as event.action."),
    f(
        "rule.category",
        Text,
        Always,
        "Family of the kind: asset, conversation, operation, sanity, time, balance, sweep, sensor.",
    ),
    f("rule.description", Text, Always, "What the kind is."),
    f("otxdp.deviation.id", Text, Always, "The same as rule.id."),
    f("otxdp.deviation.phase", OneOf(&["end", "new", "update"]), Always, "Begun, going on or back again, over."),
    f("otxdp.deviation.expected", Text, Always, "What the baseline says."),
    f("otxdp.deviation.observed", Text, Always, "What came."),
    f("otxdp.deviation.threshold", Text, Optional, "From where on it is told, where it is a matter of degree."),
    f("otxdp.deviation.score", Type::Number, Optional, "Observed over threshold: how sure it is."),
    f("otxdp.deviation.dedup", Text, Always, "The same for the same deviation of the same subject, over restarts."),
    f("otxdp.deviation.next", Text, Always, "One thing to check."),
    f("otxdp.deviation.incident", Text, Always, "Events of the same cause have the same incident."),
    f("otxdp.deviation.members", Count, Always, "Members of the incident so far."),
    f("otxdp.deviation.suppressed", Count, Always, "Members that had no event of their own."),
    f("otxdp.deviation.count", Count, Always, "Operations, frames or attempts that it tells of."),
    f("otxdp.deviation.member", Text, Optional, "The member of the baseline, for `ot-xdp baseline accept`."),
    f("otxdp.deviation.evidence", Texts, Optional, "Further facts."),
    f("otxdp.baseline.state", OneOf(&["candidate", "learning", "locked"]), Always, "State of the baseline."),
    f("otxdp.baseline.version", Count, Always, "Its version: counts locks and decisions."),
    f("otxdp.baseline.age_s", Count, Always, "Seconds of observation that it rests on."),
    f("otxdp.baseline.observations", Count, Always, "How often the member was observed before."),
    f("otxdp.baseline.first_seen", Date, Optional, "When the member was first seen."),
    f("otxdp.baseline.last_seen", Date, Optional, "When it was last seen before."),
    f("otxdp.maintenance", Text, Optional, "Maintenance window in which it happened."),
    f("otxdp.zone.source", Text, Optional, "Zone of the source."),
    f("otxdp.zone.destination", Text, Optional, "Zone of the destination."),
    f("source.ip", Ip, Optional, "Client, or the station that it is about."),
    f("source.address", Text, Optional, "The same as source.ip."),
    f("source.mac", Mac, Optional, "Its hardware address."),
    f("source.port", Count, Optional, "Its port in the frame at hand."),
    f("destination.ip", Ip, Optional, "Server."),
    f("destination.address", Text, Optional, "The same as destination.ip."),
    f("destination.mac", Mac, Optional, "Its hardware address."),
    f("destination.port", Count, Optional, "Port of the service."),
    f("network.type", OneOf(&["ipv4", "ipv6"]), Optional, "None on layer 2."),
    f("network.transport", OneOf(&["tcp", "udp"]), Optional, "None on layer 2."),
    f("network.iana_number", Text, Optional, "IP protocol number."),
    f("network.protocol", Text, Optional, "Protocol."),
    f("network.vlan.id", Text, Optional, "Outer VLAN id."),
    f("network.community_id", Text, Optional, "Flow hash that Zeek and Suricata compute as well."),
    f("related.ip", Ips, Optional, "Both addresses."),
    f("otxdp.op.protocol", Text, Here, "Protocol of the function; no object without one."),
    f("otxdp.op.class", Class, Here, "Class of the function."),
    f("otxdp.op.state_changing", Bool, Here, "Does it ask for a change of the device or the process?"),
    f("otxdp.op.direction", OneOf(&["publish", "request", "response", "unknown"]), Here, "Direction."),
    f("otxdp.op.sender", OneOf(&["destination", "source"]), Here, "Which side sent it."),
    f("otxdp.op.function.path", Text, Here, "The function as a path."),
    f("otxdp.op.function.name", Text, Here, "Its name in the protocol's own words, or `unlisted`."),
    f("otxdp.op.unit", Count, Here, "Unit id, link or common address, APPID."),
];

/// A kind of event: name, what it is, its fields beside [`COMMON`].
pub const KINDS: &[(&str, &str, &[&[Field]])] = &[
    ("flow_summary", "What a conversation did in an interval.", &[CONVERSATION, FLOW]),
    (
        "first_seen_function",
        "A function seen for the first time on a conversation.",
        &[CONVERSATION, FIRST_SEEN, ATTACK],
    ),
    ("stats", "Counters of a port and the state of the sensor.", &[HEALTH]),
    ("refusal", "What a rule of the policy denied or reported.", &[CONVERSATION, REFUSAL, ATTACK]),
    ("audit", "Something that was done to the gate.", &[AUDIT]),
    ("events_lost", "Events that did not reach a receiver.", &[OWN, LOST]),
    ("events_limited", "Events over the daily volume, counted and not made.", &[OWN, LIMITED]),
    ("deviation", "What deviates from the baseline.", &[DEVIATION, ATTACK]),
];
