//! What the sensor says about its own events: which were lost on the way to a receiver, which were not made at all.

use super::ecs::Doc;

/// Word of `event.action` of [`Lost`].
pub const LOST: &str = "events-lost";
/// Word of `event.action` of [`Limited`].
pub const LIMITED: &str = "events-limited";

/// Causes of a loss.
pub const CAUSES: &[&str] = &["disk-full", "memory-full", "queue-full", "spool-damaged", "spool-full"];

/// Events that a sink did not get and will not get: of one cause, since the last event of this kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// When it was noticed, in the source's clock.
    pub at_ns: u64,
    /// Name of the sink.
    pub sink: String,
    /// One of [`CAUSES`].
    pub cause: &'static str,
    /// How many.
    pub events: u64,
    /// Sequence numbers of the first and the last one, when known. Not every one between has to be lost.
    pub sequences: Option<(u64, u64)>,
    /// Lost by this sink since the start, of all causes.
    pub total: u64,
}

/// Events over the daily volume: counted, and not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limited {
    /// Beginning and end of the time that this is about, in the source's clock.
    pub interval_ns: (u64, u64),
    /// Kind of event, its severity (0: none), and how many.
    pub events: Vec<(&'static str, u8, u64)>,
}

impl Doc<'_> {
    pub(super) fn lost(&mut self, e: &Lost) {
        self.kind("event", LOST, "otxdp.sensor", "host", &["info"]);
        self.put_time("@timestamp", e.at_ns);
        self.put("event.severity", 73);
        let what = match e.cause {
            "disk-full" => "the disk of its spool takes no more; make room",
            "memory-full" => "it does not answer, and it has no spool; give it one",
            "spool-damaged" => "files of its spool were damaged",
            "spool-full" => "its spool has reached its cap; bring the receiver back, or raise the cap",
            _ => "it is slower than the events come; filter them, or make it faster",
        };
        self.put("event.reason", format!("{} events did not reach the sink {}: {what}", e.events, e.sink));
        // Not about one interface.
        self.interface("sensor", 0);
        self.put("otxdp.loss.sink", e.sink.as_str());
        self.put("otxdp.loss.cause", e.cause);
        self.put("otxdp.loss.events", e.events);
        self.put("otxdp.loss.events_total", e.total);
        if let Some((first, last)) = e.sequences {
            self.put("otxdp.loss.sequence_first", first);
            self.put("otxdp.loss.sequence_last", last);
        }
    }

    pub(super) fn limited(&mut self, e: &Limited) {
        self.kind("event", LIMITED, "otxdp.sensor", "host", &["info"]);
        self.put_time("@timestamp", e.interval_ns.1);
        self.put_time("otxdp.interval.start", e.interval_ns.0);
        self.put_time("otxdp.interval.end", e.interval_ns.1);
        let total: u64 = e.events.iter().map(|(.., n)| n).sum();
        let worst = e.events.iter().map(|(_, severity, _)| *severity).max().unwrap_or(0);
        self.put("event.severity", if worst >= 73 { 73 } else { 47 });
        let each: Vec<_> =
            e.events.iter().map(|(kind, severity, n)| format!("{n} {kind} of severity {severity}")).collect();
        let text = format!("{total} events were over the daily volume and were not made: {}", each.join(", "));
        self.put("event.reason", text);
        self.interface("sensor", 0);
        self.put("otxdp.limited.events", total);
        self.put("otxdp.limited.worst_severity", worst);
        let mut kinds: Vec<&str> = e.events.iter().map(|(kind, ..)| *kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        self.put("otxdp.limited.actions", serde_json::Value::from_iter(kinds));
    }
}
