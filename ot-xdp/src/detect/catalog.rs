//! The catalogue: every kind of deviation with its id, severity, what it is consistent with, and what to look at next.

use crate::attack::{
    COMMAND, DENIAL, IN_THE_MIDDLE, REMOTE_DISCOVERY, REMOTE_INFORMATION, REMOTE_SERVICES, REPORTING, ROGUE_MASTER,
    Technique, hints,
};
pub use crate::severity::Severity;
use ot_xdp_common::op::Class;

/// What a kind is about; receivers filter by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Stations.
    Asset,
    /// Who talks to whom.
    Conversation,
    /// What is done.
    Operation,
    /// The form of messages.
    Sanity,
    /// When and how often.
    Time,
    /// Questions, answers and errors.
    Balance,
    /// Searches.
    Sweep,
    /// The sensor itself.
    Sensor,
}

impl Family {
    /// Word in events.
    pub fn word(self) -> &'static str {
        match self {
            Family::Asset => "asset",
            Family::Conversation => "conversation",
            Family::Operation => "operation",
            Family::Sanity => "sanity",
            Family::Time => "time",
            Family::Balance => "balance",
            Family::Sweep => "sweep",
            Family::Sensor => "sensor",
        }
    }
}

macro_rules! kinds {
    ($($variant:ident $id:literal $word:literal $severity:ident $family:ident [$($technique:ident)*] $meaning:literal $next:literal;)+) => {
        /// A kind of deviation. Ids and words are never reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind { $(#[doc = $meaning] $variant,)+ }

        impl Kind {
            /// Every kind, by id.
            pub const ALL: &'static [Kind] = &[$(Kind::$variant),+];

            /// Stable id, `OTX-2001`.
            pub fn id(self) -> &'static str {
                match self { $(Kind::$variant => concat!("OTX-", $id),)+ }
            }
            /// `event.action`.
            pub fn word(self) -> &'static str {
                match self { $(Kind::$variant => $word,)+ }
            }
            /// Severity without steps.
            pub fn severity(self) -> Severity {
                match self { $(Kind::$variant => Severity::$severity,)+ }
            }
            /// What it is about.
            pub fn family(self) -> Family {
                match self { $(Kind::$variant => Family::$family,)+ }
            }
            /// Techniques of ATT&CK for ICS that it is consistent with, beside those of the operation's class.
            pub fn techniques(self) -> &'static [Technique] {
                match self { $(Kind::$variant => { const T: &[Technique] = &[$($technique),*]; T })+ }
            }
            /// What it is, in one sentence.
            pub fn meaning(self) -> &'static str {
                match self { $(Kind::$variant => $meaning,)+ }
            }
            /// One thing to check.
            pub fn next(self) -> &'static str {
                match self { $(Kind::$variant => $next,)+ }
            }
        }
    };
}

kinds! {
    AssetNew "2001" "ot-asset-new" Medium Asset [ROGUE_MASTER]
        "A station speaks that the baseline does not know." "Ask who connected it; look for its hardware address at the switches.";
    BindingChanged "2002" "ot-binding-changed" High Asset [IN_THE_MIDDLE]
        "A known address speaks from another hardware address: a device was replaced, or somebody stands between."
        "Compare the hardware address with the device itself.";
    AddressAdded "2003" "ot-address-added" Medium Asset []
        "A known hardware address speaks with one more network address." "Ask whether the device was given a second address.";
    AssetMoved "2004" "ot-asset-moved" Medium Asset []
        "A station is heard on another port or VLAN." "Look where its cable ends.";
    RoleChanged "2005" "ot-role-changed" High Asset [ROGUE_MASTER]
        "A station that only answered begins to ask." "Look at the device: a controller rarely polls others by itself.";
    AssetSilent "2006" "ot-asset-silent" Medium Asset [DENIAL]
        "Everything that a station sent regularly has stopped." "See whether the device has power, link and is in run mode.";
    RejectedBack "2008" "ot-rejected-back" High Asset []
        "Something speaks that a person has refused." "Find out why it is still there.";
    TalkNew "2101" "ot-conversation-new" Medium Conversation [REMOTE_SERVICES]
        "Two stations talk that never did over this service." "Ask whether the change was planned.";
    ProtocolNew "2102" "ot-protocol-new" Medium Conversation [REMOTE_SERVICES]
        "A pair that is known speaks another protocol." "Ask whether new software runs on one of them.";
    ForeignPort "2103" "ot-foreign-port" Medium Conversation []
        "An industrial protocol runs on a port that is not its own." "Register the port when it is meant to be so.";
    ZoneCrossing "2105" "ot-zone-crossing" High Conversation [REMOTE_SERVICES]
        "An operation that changes the state comes from a zone of the business side into the plant."
        "Find out who works there, and make it a rule or stop it.";
    LevelSkip "2106" "ot-level-skip" High Conversation [REMOTE_SERVICES]
        "Enterprise and field level talk directly, past the levels between." "Lead it through the DMZ.";
    PublicAddress "2107" "ot-public-address" Critical Conversation [REMOTE_SERVICES]
        "A public address takes part in a conversation of the plant." "Close the way to the Internet.";
    PublisherNew "2108" "ot-publisher-new" Medium Conversation [REPORTING]
        "A station publishes to a group that it never published to." "Compare with the engineering file of the group.";
    RemoteAdmin "2109" "ot-remote-admin" High Conversation [REMOTE_SERVICES]
        "A remote administration protocol runs from the business side to a station of the plant." "Ask who is logged in.";
    FunctionNew "2201" "ot-function-new" Low Operation []
        "A function is used that this pair never used." "Ask whether the application was changed.";
    FirstWrite "2202" "ot-first-write" High Operation []
        "A pair that only read writes for the first time." "Ask who changed the client, and look at the value.";
    ControlNew "2203" "ot-control-new" High Operation []
        "A control command is used that this pair never used: operate, start, stop, restart, mode." "Ask the control room.";
    ProgramDownload "2204" "ot-program-download" Critical Operation []
        "A program is moved to a controller." "Ask for the change number; compare the program with the archive.";
    ProgramUpload "2205" "ot-program-upload" High Operation []
        "A program is read out of a controller." "Ask who needs it.";
    ConfigChange "2206" "ot-config-change" High Operation []
        "Configuration, clock, addresses or parameters of a device are changed." "Compare with the change plan.";
    FileAccess "2207" "ot-file-access" High Operation []
        "Files of a device are read, written or deleted." "Ask who needs them.";
    ClassEscalated "2208" "ot-class-escalated" Medium Operation []
        "A pair does something of a riskier class than ever before." "Ask whether the application was changed.";
    UnitNew "2209" "ot-unit-new" Medium Operation [REMOTE_DISCOVERY]
        "A unit, link or common address is used that this pair never used." "See whether a device was added behind the gateway.";
    WindowWidened "2210" "ot-window-widened" Medium Operation []
        "Addresses outside of the learned window are touched." "Look up what lies at these addresses.";
    FirstError "2211" "ot-first-error" Low Operation []
        "A device answers a pair with an error that it never gave." "Look at what was asked just before.";
    UndefinedFunction "2212" "ot-undefined-function" Medium Operation [REMOTE_INFORMATION]
        "A function is used that no table lists." "Ask the vendor, or look for a fuzzer.";
    BroadcastWrite "2213" "ot-broadcast-write" High Operation []
        "A write goes to all stations at once." "Ask the control room.";
    UnusualHour "2214" "ot-unusual-hour" Medium Operation []
        "A command comes at an hour of the week at which it never came." "Ask who was on shift.";
    Malformed "2301" "ot-malformed" Medium Sanity [DENIAL]
        "Messages break the rules of their protocol." "Look for faulty firmware or a fuzzer.";
    LengthLie "2302" "ot-length-lie" Medium Sanity [DENIAL]
        "A length disagrees with the function that it holds." "Look at the sender: receivers may read past the end.";
    Overlap "2303" "ot-overlap" Critical Sanity [COMMAND]
        "The same octets of a connection came twice with different content: receivers may differ in which they take."
        "Treat the sender as hostile until shown otherwise.";
    Fragmented "2304" "ot-fragmented" High Sanity []
        "An industrial message comes in IP fragments, which no device of a plant sends by itself." "Look at the path and the sender.";
    Pipelined "2305" "ot-pipelined" Low Sanity []
        "Several messages share a segment where it never was so." "Ask whether the client was changed.";
    Simulation "2306" "ot-simulation" High Sanity [REPORTING]
        "A message is marked as test or simulation." "Ask whether a test is going on.";
    WalkLimit "2307" "ot-walk-limit" Medium Sanity []
        "A frame holds more messages than are looked at." "Look at the sender: what is behind was not judged.";
    Trailing "2310" "ot-trailing" High Sanity []
        "Octets follow behind the last message of a segment that are no message." "Look whether they hide one.";
    Silence "2401" "ot-silence" Medium Time [DENIAL]
        "What came regularly has stopped." "See whether the sender has power and link.";
    CycleMissed "2402" "ot-cycle-missed" Medium Time [DENIAL]
        "A pause longer than any that was learned, already over." "Look for load or restarts of the sender.";
    RateShift "2403" "ot-rate-shift" Medium Time []
        "Something comes lastingly more or less often than it did." "Ask whether a polling period was changed.";
    Burst "2404" "ot-burst" Medium Time [DENIAL]
        "Much more than ever within seconds." "Look at the sender.";
    BaselineDrift "2405" "ot-baseline-drift" Low Time []
        "A rate has crept away from what was locked." "Decide whether the new rate is right, and accept it.";
    WriteBurst "2406" "ot-write-burst" High Time [DENIAL]
        "Many more commands that change the state than ever within seconds." "Ask the control room at once.";
    Unanswered "2501" "ot-unanswered" Medium Balance [DENIAL]
        "A device leaves many more questions without an answer than it did." "See whether it is overloaded.";
    AnswersUnasked "2502" "ot-answers-unasked" High Balance [REPORTING]
        "More answers than questions: somebody else answers too." "Look for a second sender.";
    ExceptionShare "2503" "ot-exception-share" Medium Balance []
        "A device answers with many more errors than it did." "Look at what is asked of it.";
    FunctionMix "2504" "ot-function-mix" Medium Balance []
        "The shares of the functions of a polling cycle have changed." "Ask whether the polling list was changed.";
    AddressSweep "2601" "ot-address-sweep" High Sweep [REMOTE_DISCOVERY]
        "One station tries many others in a short time." "Find the station; it may be infected.";
    ArpSweep "2602" "ot-arp-sweep" High Sweep [REMOTE_DISCOVERY]
        "One station asks the network for many addresses in a short time." "Find the station.";
    PortSweep "2603" "ot-port-sweep" High Sweep [REMOTE_DISCOVERY]
        "One station tries many ports of another." "Find the station.";
    UnitSweep "2604" "ot-unit-sweep" High Sweep [REMOTE_DISCOVERY]
        "One station tries many units behind a device." "Find the station.";
    FunctionSweep "2605" "ot-function-sweep" High Sweep [REMOTE_INFORMATION]
        "One station tries many functions of a device." "Find the station; look for a scanner or fuzzer.";
    SlowSweep "2606" "ot-slow-sweep" High Sweep [REMOTE_DISCOVERY]
        "One station tries many others or ports over hours." "Find the station; it takes care not to be seen.";
    Flood "2607" "ot-flood" High Sweep [DENIAL]
        "One station sends connection attempts or address requests far beyond any use." "Disconnect it.";
    DiscoveryBurst "2608" "ot-discovery-burst" Medium Sweep [REMOTE_INFORMATION]
        "One station asks many devices what they are." "Ask whether an engineer is looking for devices.";
    NoFrames "2801" "ot-no-frames" High Sensor []
        "A port that had frames has none: the sensor is blind there." "Check mirror port and cable.";
    HalfVisible "2802" "ot-half-visible" Medium Sensor []
        "Most conversations are seen from one side only: the mirror shows one direction." "Check the mirror port.";
    Duplicates "2803" "ot-duplicates" Low Sensor []
        "Most segments come twice: the mirror shows each frame at two ports." "Mirror each frame once.";
    UnparsedShare "2804" "ot-unparsed-share" Medium Sensor []
        "More frames than usual on registered ports could not be read." "Look for encryption or a new protocol.";
    MapFull "2805" "ot-map-full" High Sensor []
        "There are more keys than can be counted one by one: new ones are not told apart." "Raise `counters.flows`.";
    ClockStep "2806" "ot-clock-step" Low Sensor []
        "The wall clock jumped; rates and silences are not touched by it, time stamps are." "Check the time source.";
    RecordsLost "2807" "ot-records-lost" Medium Sensor []
        "New keys came faster than they could be told at once; they are found in the counters." "Look for a scan.";
    ManySilent "2808" "ot-many-silent" High Sensor [DENIAL]
        "Half of what came regularly on a port is silent at once." "Check the mirror port, then the switch.";
    IncidentsLimited "2810" "ot-incidents-limited" Medium Sensor []
        "More incidents than an hour may have; further ones are counted here." "Look at those that were told.";
    BaselineUnsaved "2811" "ot-baseline-unsaved" High Sensor []
        "The baseline cannot be written; what was learned since is lost when the sensor ends." "Make room on the disk.";
}

impl Kind {
    /// Is the operation a part of what tells two deviations of this kind apart?
    pub fn has_operation(self) -> bool {
        matches!(self.family(), Family::Operation | Family::Time)
    }

    /// Techniques of the kind and of the class of its operation, each once.
    pub fn all_techniques(self, class: Option<(Class, bool)>) -> Vec<Technique> {
        let of_class = class.map_or(&[][..], |(class, changing)| hints(class, changing));
        let mut all: Vec<Technique> = Vec::new();
        for t in self.techniques().iter().chain(of_class) {
            if !all.iter().any(|a| a.id() == t.id()) {
                all.push(*t);
            }
        }
        all
    }
}

/// Entries of catalogues of this field that are left out, and why.
pub const LEFT_OUT: &[(&str, &str)] = &[
    (
        "asset back with another fingerprint",
        "only addresses, functions and cadence are known of a station, no fingerprint",
    ),
    ("identity or firmware string changed", "payload does not leave the kernel"),
    ("address conflict by DHCP", "DHCP is counted as a protocol; its content is not read"),
    ("decommissioned asset", "covered by a rejected member that comes back"),
    ("session churn, resets by the server", "connections are followed for their messages, not counted"),
    ("force or override of single points", "told as write or control by its function, not by its point"),
    ("order of operations (transitions)", "needs the previous function in each counter"),
    ("repeated interrogation", "covered by burst and rate shift of that function"),
    ("encrypted before, plain now", "told as a new protocol or function of the pair"),
    ("failed log-ins", "told as a first error of the pair and a share of errors"),
    (
        "jitter, bytes per interval, response time",
        "counts and largest gaps decide; response times need pairing in the kernel",
    ),
    ("retransmissions grew", "counted in health events, no deviation"),
    ("order numbers of GOOSE, SV and IEC 60870-5-104", "not followed yet"),
    ("one conversation seen from one side", "told as unanswered questions, or as a half-visible mirror"),
    ("foreign payload on a registered port", "counted in health events and told as a share that could not be read"),
    ("status bits of DNP3, BACnet, CIP", "payload detail that is not counted"),
    ("checksum-bad decoys", "checksums are not verified in the kernel"),
    ("only UDP or ICMP probes", "frames of unknown protocols leave no key; ARP and TCP attempts do"),
    (
        "process values, program comparison, key switch, malware, inside encryption, serial lines",
        "not on the wire or not read",
    ),
];
