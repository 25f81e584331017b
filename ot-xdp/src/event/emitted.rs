//! An event with its number, rendered once and read by every sink.

use std::cell::OnceCell;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;

pub use crate::config::Format;

use super::{Event, LIMITED, LOST, Stamp, action_word, cef, eve};

/// An event on its way out.
pub struct Emitted {
    /// Identity of the event.
    pub stamp: Stamp,
    document: Value,
    bodies: [OnceCell<Bytes>; Format::ALL.len()],
}

impl Emitted {
    /// From the document that [`super::ecs::render`] makes.
    pub fn new(document: Value, stamp: Stamp) -> Emitted {
        Emitted { stamp, document, bodies: Default::default() }
    }

    /// The event in the Elastic Common Schema.
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// One line in a format, without its end. The other formats are views of the document: they cannot say anything else.
    pub fn body(&self, format: Format) -> Bytes {
        let make = || match format {
            Format::Ecs => {
                // Most events fit; growing by steps would copy each several times.
                let mut octets = Vec::with_capacity(2_048);
                if serde_json::to_writer(&mut octets, &self.document).is_err() {
                    octets.clear();
                }
                octets.into()
            }
            Format::Eve => serde_json::to_vec(&eve::render(&self.document)).unwrap_or_default().into(),
            Format::Cef => cef::render(&self.document).into(),
        };
        self.bodies.get(format as usize).map_or_else(make, |body| body.get_or_init(make).clone())
    }

    fn text(&self, path: &str) -> Option<&str> {
        self.document.pointer(path).and_then(Value::as_str)
    }

    /// The word of `event.action`.
    pub fn action(&self) -> &'static str {
        self.text("/event/action").map_or("event", action_word)
    }

    /// `event.severity`; 1 for events that have none.
    pub fn severity(&self) -> u8 {
        let severity = self.document.pointer("/event/severity").and_then(Value::as_u64);
        severity.and_then(|s| u8::try_from(s).ok()).unwrap_or(1)
    }

    /// Wall-clock time of what happened, in nanoseconds since 1970.
    pub fn at_ns(&self) -> i64 {
        let at = self.text("/@timestamp").and_then(|t| t.parse::<Timestamp>().ok());
        at.and_then(|t| i64::try_from(t.as_nanosecond()).ok())
            .unwrap_or_else(|| i64::try_from(self.stamp.created_ns).unwrap_or(0))
    }

    /// Zones that it is about: none for the sensor's own events, and where no zones are configured.
    pub fn zones(&self) -> impl Iterator<Item = &str> {
        const PLACES: [&str; 6] = [
            "/otxdp/gate/from_zone",
            "/otxdp/gate/to_zone",
            "/observer/ingress/zone",
            "/observer/egress/zone",
            "/otxdp/zone/source",
            "/otxdp/zone/destination",
        ];
        PLACES.iter().filter_map(|place| self.text(place))
    }
}

/// The word of `event.action` that an event will have.
pub fn action_of(event: &Event) -> &'static str {
    match event {
        Event::Flow(_) => "ot-flow-summary",
        Event::FirstSeen(_) => "ot-first-seen-function",
        Event::Health(_) => "otxdp-stats",
        Event::Refusal(e) => e.action(),
        Event::Audit(e) => e.action,
        Event::Lost(_) => LOST,
        Event::Limited(_) => LIMITED,
        Event::Deviation(e) => e.told.deviation.kind.word(),
    }
}
