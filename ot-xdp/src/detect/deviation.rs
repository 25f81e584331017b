//! One deviation: what was expected, what came, and how sure it is.

use std::sync::Arc;

use ot_xdp_common::op::{Class, Dir};

use super::catalog::{Kind, Severity};
use crate::aggregate::End;
use crate::baseline::{Station, TalkKey};

/// Where a deviation stands in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Told for the first time.
    #[default]
    New,
    /// Told again: it goes on, came back, or grew.
    Update,
    /// Over.
    End,
}

impl Phase {
    /// Word in events.
    pub fn word(self) -> &'static str {
        match self {
            Phase::New => "new",
            Phase::Update => "update",
            Phase::End => "end",
        }
    }
}

/// What a deviation is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A station.
    Asset {
        /// The station.
        station: Station,
        /// Hardware address in its frame.
        mac: [u8; 6],
    },
    /// A conversation.
    Talk {
        /// Who talks to whom.
        key: TalkKey,
        /// Hardware address and port of the client in the last frame, as far as known.
        client: End,
        /// The same of the server.
        server: End,
        /// The protocol that names it.
        protocol: u8,
    },
    /// The sensor itself or one of its ports.
    Sensor,
}

/// The operation that a deviation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Protocol number.
    pub proto: u8,
    /// Function in the encoding of its protocol.
    pub function: u32,
    /// Unit id, link address, common address, APPID.
    pub unit: u32,
    /// Class.
    pub class: Class,
    /// Does it change the state of the device or the process?
    pub state_changing: bool,
    /// Direction.
    pub dir: Dir,
    /// Did the client send it?
    pub from_client: bool,
}

/// What is known of the member that was compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Times it was observed.
    pub observations: u64,
    /// First and last time, wall-clock seconds; 0 when it never was.
    pub seen_s: (u32, u32),
}

/// One deviation. Texts are made where it is found: only there all figures are at hand.
#[derive(Clone, Debug, PartialEq)]
pub struct Deviation {
    /// Kind, see [`super::catalog`].
    pub kind: Kind,
    /// Raises or lowers the severity of the kind, in steps.
    pub steps: i8,
    /// Where it stands.
    pub phase: Phase,
    /// When, nanoseconds of the source's clock.
    pub at_ns: u64,
    /// Interface index and name, where there is one.
    pub interface: Option<(u32, Arc<str>)>,
    /// What it is about.
    pub subject: Subject,
    /// The operation, when there is one.
    pub operation: Option<Operation>,
    /// The member in the text form of the baseline, for `baseline accept`; none when nothing can be accepted.
    pub member: Option<String>,
    /// What was expected, in words.
    pub expected: String,
    /// What came.
    pub observed: String,
    /// From where on it is told, when it is a matter of degree.
    pub threshold: Option<String>,
    /// Observed over threshold, where both are numbers: how sure it is.
    pub score: Option<f64>,
    /// Beginning and end of what was looked at, nanoseconds of the source's clock.
    pub window_ns: Option<(u64, u64)>,
    /// Further facts, each a short sentence or `name: value`.
    pub evidence: Vec<String>,
    /// What the baseline knows of it.
    pub known: Known,
    /// The same deviation of the same subject has the same key, for receivers that count.
    pub dedup: String,
    /// Whose incident it belongs to: the station that caused it. None: the sensor.
    pub source: Option<Station>,
    /// Members that this one stands for (grouped, suppressed); 1 for itself.
    pub members: u64,
    /// Operations, frames or sightings it stands for.
    pub count: u64,
    /// One sentence that says why, made of the fields above.
    pub why: String,
    /// Names of the zones of source and destination, where they are known.
    pub zones: Option<(Arc<str>, Arc<str>)>,
}

impl Deviation {
    /// The baseline cannot be written.
    pub fn unsaved(at_ns: u64, why: String) -> Deviation {
        let mut d = super::judge::sensor(Kind::BaselineUnsaved, at_ns);
        d.expected = "the baseline on disk".to_owned();
        d.observed = "it could not be written".to_owned();
        d.why = why;
        d
    }

    /// Severity of the kind, moved by the steps.
    pub fn severity(&self) -> Severity {
        self.kind.severity().moved(self.steps)
    }
}
