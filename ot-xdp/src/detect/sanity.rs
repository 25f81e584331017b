//! Flags of frames that a conversation never had: broken rules, lengths that lie, numbers that jump.

use ot_xdp_common::flags as f;

use super::catalog::Kind;

/// Flag, kind, and whether only protocols of the plant are told.
const KINDS: [(u32, Kind, bool); 10] = [
    (f::SENDER_CHANGED, Kind::BindingChanged, false),
    (f::MALFORMED, Kind::Malformed, true),
    (f::LENGTH_LIE, Kind::LengthLie, true),
    (f::OVERLAP, Kind::Overlap, true),
    (f::FRAGMENT, Kind::Fragmented, true),
    (f::PIPELINED, Kind::Pipelined, true),
    (f::SIMULATION, Kind::Simulation, true),
    (f::WALK_LIMIT, Kind::WalkLimit, true),
    (f::TRAILING, Kind::Trailing, true),
    (f::PORT_MISMATCH, Kind::ForeignPort, true),
];

/// Kinds that need no baseline: they break rules that hold everywhere.
const ALWAYS: [Kind; 4] = [Kind::BindingChanged, Kind::Malformed, Kind::LengthLie, Kind::Overlap];

/// Kinds of flags that are new on a conversation, with the word of each flag.
pub fn kinds(new: u32, industrial: bool, judging: bool) -> impl Iterator<Item = (Kind, &'static str)> {
    KINDS
        .into_iter()
        .filter(move |(bit, kind, plant)| {
            new & bit != 0 && (industrial || !plant) && (judging || ALWAYS.contains(kind))
        })
        .map(|(bit, kind, _)| (kind, f::ALL.iter().find(|(b, ..)| *b == bit).map_or(kind.word(), |(_, word, _)| *word)))
}
