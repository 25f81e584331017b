//! MITRE ATT&CK for ICS: techniques that an operation class is consistent with. Hints for the analyst, never verdicts.
//!
//! Source: ATT&CK for ICS v19 and its published v18-to-v19 crosswalk, which turned T0855 and others into sub-techniques.
//! Where the matrix lists a technique under several tactics, the one that fits the operation is given.

use ot_xdp_common::op::Class;

/// Version of the matrix that the ids belong to.
pub const MATRIX_VERSION: &str = "19";

/// A tactic: id and name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tactic(pub &'static str, pub &'static str);

/// A technique or sub-technique.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Technique {
    /// Id and name of the technique.
    pub technique: (&'static str, &'static str),
    /// Id and full name of the sub-technique.
    pub subtechnique: Option<(&'static str, &'static str)>,
    /// Its tactic.
    pub tactic: Tactic,
    /// Id up to v18 where it changed, for rules written then.
    pub legacy_id: Option<&'static str>,
}

impl Technique {
    /// The most specific id.
    pub fn id(&self) -> &'static str {
        self.subtechnique.unwrap_or(self.technique).0
    }
}

const fn technique(id: &'static str, name: &'static str, tactic: Tactic) -> Technique {
    Technique { technique: (id, name), subtechnique: None, tactic, legacy_id: None }
}

const DISCOVERY: Tactic = Tactic("TA0102", "Discovery");
const EVASION: Tactic = Tactic("TA0103", "Evasion");
const COLLECTION: Tactic = Tactic("TA0100", "Collection");
const EXECUTION: Tactic = Tactic("TA0104", "Execution");
const IMPAIR: Tactic = Tactic("TA0106", "Impair Process Control");
const INHIBIT: Tactic = Tactic("TA0107", "Inhibit Response Function");
const LATERAL: Tactic = Tactic("TA0109", "Lateral Movement");
const PERSISTENCE: Tactic = Tactic("TA0110", "Persistence");

const COMMAND_MESSAGE: Technique = Technique {
    technique: ("T1692", "Unauthorized Message"),
    subtechnique: Some(("T1692.001", "Unauthorized Message: Command Message")),
    tactic: IMPAIR,
    legacy_id: Some("T0855"),
};
const MODIFY_PARAMETER: Technique = technique("T0836", "Modify Parameter", IMPAIR);
const CHANGE_MODE: Technique = technique("T0858", "Change Operating Mode", EXECUTION);
const RESTART: Technique = technique("T0816", "Device Restart/Shutdown", INHIBIT);
const PROGRAM_DOWNLOAD: Technique = technique("T0843", "Program Download", LATERAL);
const MODIFY_PROGRAM: Technique = technique("T0889", "Modify Program", PERSISTENCE);
const PROGRAM_UPLOAD: Technique = technique("T0845", "Program Upload", COLLECTION);
const CHANGE_CREDENTIAL: Technique = technique("T0892", "Change Credential", INHIBIT);
const ALARM_SUPPRESSION: Technique = technique("T0878", "Alarm Suppression", INHIBIT);
const ALARM_SETTINGS: Technique = technique("T0838", "Modify Alarm Settings", INHIBIT);
const IO_IMAGE: Technique = technique("T0835", "Manipulate I/O Image", INHIBIT);

/// What an operation of this class is consistent with. Only state-changing operations and program uploads have hints:
/// on everything else they would tag the normal day.
pub fn hints(class: Class, state_changing: bool) -> &'static [Technique] {
    match class {
        Class::ProgramUpload => &[PROGRAM_UPLOAD],
        _ if !state_changing => &[],
        Class::Write => &[COMMAND_MESSAGE, MODIFY_PARAMETER],
        Class::Control => &[COMMAND_MESSAGE, CHANGE_MODE, RESTART],
        Class::ProgramDownload => &[PROGRAM_DOWNLOAD, MODIFY_PROGRAM],
        Class::Config => &[MODIFY_PARAMETER],
        Class::File => &[MODIFY_PROGRAM],
        Class::Auth => &[CHANGE_CREDENTIAL],
        Class::Alarm => &[ALARM_SUPPRESSION, ALARM_SETTINGS],
        Class::CyclicIo => &[IO_IMAGE],
        Class::Unknown => &[COMMAND_MESSAGE],
        _ => &[],
    }
}

/// Other systems are looked for.
pub const REMOTE_DISCOVERY: Technique = technique("T0846", "Remote System Discovery", DISCOVERY);
/// What another system is, is asked for.
pub const REMOTE_INFORMATION: Technique = technique("T0888", "Remote System Information Discovery", DISCOVERY);
/// Somebody stands between two stations.
pub const IN_THE_MIDDLE: Technique = technique("T0830", "Adversary-in-the-Middle", COLLECTION);
/// Services of another system are used.
pub const REMOTE_SERVICES: Technique = technique("T0886", "Remote Services", LATERAL);
/// Too much for the receiver.
pub const DENIAL: Technique = technique("T0814", "Denial of Service", INHIBIT);
/// A station that does not belong here.
pub const ROGUE_MASTER: Technique = technique("T0848", "Rogue Master", EVASION);
/// A command that nobody was to give.
pub const COMMAND: Technique = COMMAND_MESSAGE;
/// Reports that are not those of the device.
pub const REPORTING: Technique = Technique {
    technique: ("T1692", "Unauthorized Message"),
    subtechnique: Some(("T1692.002", "Unauthorized Message: Reporting Message")),
    tactic: IMPAIR,
    legacy_id: Some("T0856"),
};
