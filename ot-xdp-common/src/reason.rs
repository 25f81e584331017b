//! Outcome of a frame: each frame has exactly one, so that the sum over outcomes is the number of frames seen.

macro_rules! outcomes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $nr:literal, $text:literal;)+) => {
        /// What became of a frame. Numbers are map format and are never reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Outcome { $($(#[doc = $doc])+ $variant = $nr),+ }
        impl Outcome {
            /// Every outcome, by number.
            pub const ALL: &[Outcome] = &[$(Outcome::$variant),+];
            /// The word used in JSON and metrics.
            pub const fn word(self) -> &'static str {
                match self { $(Outcome::$variant => $text),+ }
            }
            /// What it means, for people.
            pub const fn meaning(self) -> &'static str {
                match self { $(Outcome::$variant => concat!($($doc),+)),+ }
            }
            /// The outcome with this number.
            pub fn from_code(code: u8) -> Option<Outcome> {
                Self::ALL.get(code as usize).copied()
            }
        }
        /// Number of outcomes.
        pub const OUTCOMES: usize = [$($nr),+].len();
    };
}

outcomes! {
    /// Named, with at least one operation.
    Classified = 0, "classified";
    /// Named, but the header breaks its protocol's rules.
    Malformed = 1, "malformed";
    /// Payload on a registered port or EtherType that does not validate as its protocol: continuation or something else.
    Unparsed = 2, "unparsed";
    /// TCP segment without payload on a registered port.
    NoPayload = 3, "no_payload";
    /// Second or later IP fragment: it has no ports.
    Fragment = 4, "fragment";
    /// Headers that end too early or contradict themselves below the transport payload.
    BadEnvelope = 5, "bad_envelope";
    /// No industrial protocol.
    NotOt = 6, "not_ot";
    /// TCP segment in which no PDU begins: the rest of one that was counted, or octets that wait for others.
    Continuation = 7, "continuation";
    /// TCP segment whose octets were seen and counted before.
    Retransmission = 8, "retransmission";
}
