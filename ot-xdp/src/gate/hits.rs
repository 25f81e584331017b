//! Hits of rules by what they are, and not by their number, which changes with every policy.

use std::collections::BTreeMap;

use ot_xdp_common::policy::Hits;

use crate::event::RuleInfo;

/// What a rule decided so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleTotal {
    /// The rule, as it was when it decided last.
    pub rule: RuleInfo,
    /// Frames that it decided.
    pub frames: u64,
    /// Their octets.
    pub bytes: u64,
    /// Those that were refused.
    pub refused: u64,
    /// Monotonic time of the last one.
    pub last_ns: u64,
}

/// The totals of all policies since the start.
#[derive(Debug, Default)]
pub struct Book {
    totals: BTreeMap<String, RuleTotal>,
    /// The kernel's counters as of the last look, by generation; it starts them anew with each policy.
    seen: [Vec<Hits>; 2],
}

impl Book {
    /// Adds what the kernel has counted for the rules of a generation.
    pub fn add(&mut self, generation: u32, rules: &[RuleInfo], hits: &[Hits]) {
        let [first, second] = &mut self.seen;
        let seen = if generation & 1 == 0 { first } else { second };
        // Number 0 is none.
        for (number, (rule, now)) in rules.iter().zip(hits).enumerate().skip(1) {
            let before = seen.get(number).copied().unwrap_or_default();
            let total = self.totals.entry(rule.id.clone()).or_default();
            total.rule = rule.clone();
            total.frames += now.frames.saturating_sub(before.frames);
            total.bytes += now.bytes.saturating_sub(before.bytes);
            total.refused += now.refused.saturating_sub(before.refused);
            total.last_ns = total.last_ns.max(now.last_ns);
        }
        *seen = hits.to_vec();
    }

    /// The kernel's counters of a generation are zero again.
    pub fn cleared(&mut self, generation: u32) {
        let [first, second] = &mut self.seen;
        if generation & 1 == 0 { first } else { second }.clear();
    }

    /// All totals by the rules' ids.
    pub fn totals(&self) -> impl Iterator<Item = &RuleTotal> {
        self.totals.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_outlive_a_policy() {
        let rule = |id: &str| RuleInfo { id: id.to_owned(), ..RuleInfo::default() };
        let hits = |frames| Hits { frames, bytes: 60 * frames, refused: frames / 2, last_ns: frames };
        let mut book = Book::default();
        book.add(0, &[rule(""), rule("a"), rule("b")], &[hits(9), hits(2), hits(0)]);
        book.add(0, &[rule(""), rule("a"), rule("b")], &[hits(9), hits(4), hits(1)]);
        // The same rules by other numbers.
        book.cleared(1);
        book.add(1, &[rule(""), rule("permit 1"), rule("a"), rule("b")], &[hits(0), hits(7), hits(10), hits(0)]);
        book.cleared(0);
        book.add(0, &[rule(""), rule("a")], &[hits(0), hits(1)]);
        let found: Vec<(&str, u64)> = book.totals().map(|t| (t.rule.id.as_str(), t.frames)).collect();
        assert_eq!(found, [("a", 15), ("b", 1), ("permit 1", 7)]);
    }
}
