//! The accounting equation: every frame is counted exactly once, and we say so or say by how much not.

use ot_xdp_common::reason::Outcome;
use ot_xdp_common::wire::PortValue;

/// What the equation came to for one port, in frames; all 0 is exact.
///
/// Counters are read while frames arrive: a difference is an error only when arriving frames cannot explain it at two
/// reads in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accounting {
    /// Does the equation hold?
    pub ok: bool,
    /// Frames seen minus frames with an outcome.
    pub outcomes_off: i64,
    /// Frames classified or malformed minus frames with a class.
    pub classes_off: i64,
    /// Frames with a class minus frames in the flow map and in the overflow bucket.
    pub flows_off: i64,
}

impl Accounting {
    /// Exact to the frame: what a replay must reach, where nothing arrives during a read.
    pub fn is_exact(&self) -> bool {
        (self.outcomes_off, self.classes_off, self.flows_off) == (0, 0, 0)
    }
}

/// Running check of one port.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ledger {
    /// Frames with a class outside the overflow bucket, at the last read.
    in_flows: u64,
    /// Was something off at the last read?
    suspect: bool,
}

impl Ledger {
    /// Checks a port's counters against the frames that its keys in the flow map hold. The source reads the flow map
    /// before the ports.
    pub fn check(&mut self, port: &PortValue, flow_frames: u64) -> Accounting {
        let outcome = |o: Outcome| port.outcomes.get(o as usize).copied().unwrap_or(0);
        let classes: u64 = port.classes.iter().sum();
        let in_flows = classes.saturating_sub(port.overflow_frames);
        let outcomes_off = difference(port.frames, port.outcomes.iter().sum());
        let classes_off = difference(outcome(Outcome::Classified) + outcome(Outcome::Malformed), classes);
        let flows_off = difference(in_flows, flow_frames);

        // What was counted up to the last read must be in the flow map by now; what is there now was counted by now.
        let explained = (self.in_flows.min(in_flows)..=in_flows).contains(&flow_frames);
        self.in_flows = in_flows;
        // Frames that arrive while counters are copied make a difference once; a frame that is lost makes it for good.
        let off = outcomes_off != 0 || classes_off != 0 || !explained;
        let ok = !(off && self.suspect);
        self.suspect = off;
        Accounting { ok, outcomes_off, classes_off, flows_off }
    }
}

fn difference(a: u64, b: u64) -> i64 {
    a.wrapping_sub(b) as i64
}

#[cfg(test)]
mod tests {
    use ot_xdp_common::op::Class;

    use super::*;

    fn port(frames: u64, not_ot: u64, reads: u64, overflow: u64) -> PortValue {
        let mut p = PortValue { frames, overflow_frames: overflow, ..PortValue::default() };
        p.outcomes[Outcome::NotOt as usize] = not_ot;
        p.outcomes[Outcome::Classified as usize] = reads;
        p.classes[Class::Read as usize] = reads;
        p
    }

    #[test]
    fn balanced_counters_are_exact() {
        let a = Ledger::default().check(&port(10, 4, 6, 2), 4);
        assert!(a.ok && a.is_exact(), "{a:?}");
    }

    #[test]
    fn frames_that_arrive_during_the_read_are_no_error() {
        let mut ledger = Ledger::default();
        assert!(ledger.check(&port(10, 4, 6, 0), 5).ok);
        assert!(ledger.check(&port(20, 8, 12, 0), 9).ok);
    }

    #[test]
    fn a_frame_that_is_missing_from_the_flow_map_is_reported() {
        let mut ledger = Ledger::default();
        assert!(ledger.check(&port(10, 4, 6, 0), 6).ok);
        assert!(ledger.check(&port(10, 4, 6, 0), 5).ok, "once may be the moment of the read");
        let a = ledger.check(&port(10, 4, 6, 0), 5);
        assert!(!a.ok);
        assert_eq!(a.flows_off, 1);
    }

    #[test]
    fn more_in_the_flow_map_than_was_classified_is_reported() {
        let mut ledger = Ledger::default();
        ledger.check(&port(10, 4, 6, 0), 7);
        assert_eq!(
            ledger.check(&port(10, 4, 6, 0), 7),
            Accounting { ok: false, outcomes_off: 0, classes_off: 0, flows_off: -1 }
        );
    }

    #[test]
    fn a_port_difference_must_stay_to_be_an_error() {
        let mut ledger = Ledger::default();
        let first = ledger.check(&port(11, 4, 6, 0), 6);
        assert!(first.ok);
        assert_eq!(first.outcomes_off, 1);
        assert!(!ledger.check(&port(11, 4, 6, 0), 6).ok);
        assert!(ledger.check(&port(10, 4, 6, 0), 6).ok);
    }
}
