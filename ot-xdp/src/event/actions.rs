//! Words of `event.action`, by which receivers and filters tell events apart.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use super::fields::{KINDS, Type};

static WORDS: LazyLock<BTreeSet<&'static str>> = LazyLock::new(|| {
    let fields = KINDS.iter().flat_map(|(.., lists)| lists.iter().copied().flatten());
    let words = fields.filter(|f| f.path == "event.action").flat_map(|f| match f.kind {
        Type::Const(word) => vec![word],
        Type::OneOf(words) => words.to_vec(),
        _ => Vec::new(),
    });
    words.chain(crate::detect::Kind::ALL.iter().map(|k| k.word())).collect()
});

/// Every word, sorted.
pub fn actions() -> impl Iterator<Item = &'static str> {
    WORDS.iter().copied()
}

/// The word itself; `event` for one that this version does not know.
pub fn action_word(text: &str) -> &'static str {
    WORDS.get(text).copied().unwrap_or("event")
}
