//! Identity of an event: id, gap-free sequence number, and when it was made.

use uuid::{ContextV7, Timestamp, Uuid};

use crate::sys::clock;

/// What an event gets when it is emitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// UUIDv7; later events of a sensor sort behind earlier ones.
    pub id: Uuid,
    /// From 1 on without a gap until the sensor is started again: a receiver can prove loss.
    pub sequence: u64,
    /// When the event was made, nanoseconds since the Unix epoch.
    pub created_ns: u64,
}

/// Hands out stamps.
#[derive(Debug)]
pub struct Sequencer {
    boot_id: Uuid,
    sequence: u64,
    context: ContextV7,
}

impl Default for Sequencer {
    fn default() -> Self {
        Sequencer::new()
    }
}

impl Sequencer {
    /// A new run of the sensor.
    pub fn new() -> Sequencer {
        let context = ContextV7::new();
        Sequencer { boot_id: v7(&context, clock::realtime_ns()), sequence: 0, context }
    }

    /// Names this run of the sensor: sequence numbers are gap-free within it.
    pub fn boot_id(&self) -> Uuid {
        self.boot_id
    }

    /// Stamps handed out so far.
    pub fn emitted(&self) -> u64 {
        self.sequence
    }

    /// The next stamp.
    pub fn next_stamp(&mut self) -> Stamp {
        self.sequence += 1;
        let created_ns = clock::realtime_ns();
        Stamp { id: v7(&self.context, created_ns), sequence: self.sequence, created_ns }
    }
}

fn v7(context: &ContextV7, ns: u64) -> Uuid {
    Uuid::new_v7(Timestamp::from_unix(context, ns / 1_000_000_000, (ns % 1_000_000_000) as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_ordered_and_gap_free() {
        let mut s = Sequencer::new();
        let stamps: Vec<Stamp> = (0..1_000).map(|_| s.next_stamp()).collect();
        assert!(stamps.windows(2).all(|w| w[0].id < w[1].id && w[0].sequence + 1 == w[1].sequence));
        assert_eq!((stamps[0].sequence, s.emitted()), (1, 1_000));
        assert!(stamps.iter().all(|s| s.id.get_version_num() == 7));
    }
}
