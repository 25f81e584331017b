//! The lines of the presets. They stand behind the lines of the file, so a file makes exceptions by allowing.

use ot_xdp_common::op::{Class, Kind};
use ot_xdp_common::policy::{Action, Condition, Side, kind_number};

use super::line::{ALL, Line, LineInfo, STATE_CHANGING, What};
use super::resolve::Zone;

/// What a policy does without a line of its own; the table is in [`super`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preset {
    /// Nothing is denied, what changes the plant from outside is reported.
    Observe,
    /// What changes the state of a device or the process does not come from outside.
    #[default]
    ProtectWrites,
    /// Programs, configuration and modes do not come from outside; values are reported.
    ProtectProgram,
    /// Only looking is allowed from outside.
    Strict,
}

/// Classes that only look, for [`Preset::Strict`].
const LOOKING: [Class; 6] =
    [Class::Read, Class::Discovery, Class::Session, Class::Diagnostic, Class::Response, Class::CyclicIo];

const WHY_CHANGE: &str = "commands that change the process do not come from outside the plant";
const WHY_PROGRAM: &str = "programs and settings of controllers are not changed from outside the plant";
const WHY_REPORT: &str = "changes from outside the plant are reported";
const WHY_STRICT: &str = "from outside the plant only looking is allowed";
const WHY_SPOOFED: &str = "addresses of the plant do not come from outside of it";
const WHY_FORM: &str = "frames that cannot be read or trusted cannot be shown to change nothing";
const WHY_PIECE: &str = "the piece that completes the PDU is judged";

impl Preset {
    /// Every preset, the mildest first.
    pub const ALL: [Preset; 4] = [Preset::Observe, Preset::ProtectWrites, Preset::ProtectProgram, Preset::Strict];

    /// The word in the file.
    pub const fn word(self) -> &'static str {
        match self {
            Preset::Observe => "observe",
            Preset::ProtectWrites => "protect-writes",
            Preset::ProtectProgram => "protect-program",
            Preset::Strict => "strict",
        }
    }

    /// Its lines for these zones (number 0 is what belongs to none), in order.
    pub fn lines(self, zones: &[Zone]) -> Vec<Line> {
        let of = |side: Side| mask(zones, |zone| zone.side == side);
        let mut lines = Lines { preset: self, from: of(Side::It) | 1, to: of(Side::Ot), all: Vec::new() };
        if lines.to == 0 {
            return lines.all;
        }
        let program = class(Class::ProgramDownload);
        match self {
            Preset::Observe => {
                lines.kinds(STATE_CHANGING | program, Action::Alert, WHY_REPORT);
                lines.spoofed(zones, Action::Alert);
            }
            Preset::ProtectWrites => {
                lines.kinds(industrial(STATE_CHANGING), Action::Deny, WHY_CHANGE);
                lines.conditions(Condition::Unparsed, Action::Deny);
            }
            Preset::ProtectProgram => {
                let changing = [Class::Control, Class::Config, Class::File, Class::Auth]
                    .iter()
                    .fold(0, |bits, c| bits | class(*c) & STATE_CHANGING);
                lines.kinds(program | changing, Action::Deny, WHY_PROGRAM);
                lines.kinds(STATE_CHANGING, Action::Alert, WHY_REPORT);
                lines.conditions(Condition::Unparsed, Action::Alert);
            }
            Preset::Strict => {
                let looking = LOOKING.iter().fold(0, |bits, c| bits | class(*c) & !STATE_CHANGING);
                lines.kinds(!looking, Action::Deny, WHY_STRICT);
                lines.push(What::Conditions(every_condition() & !SPOOFED), Action::Deny, WHY_FORM);
                lines.from = of(Side::Dmz);
                if lines.from != 0 {
                    lines.kinds(STATE_CHANGING, Action::Deny, WHY_CHANGE);
                }
            }
        }
        if self != Preset::Observe {
            lines.spoofed(zones, Action::Deny);
        }
        lines.all
    }
}

/// Bit of the condition.
const SPOOFED: u64 = 1 << Condition::Spoofed as u64;

/// Without the classes of IT protocols (a controller's web page, SSH, FTP): what is done through them cannot be read, and
/// refusing all of it is [`Preset::Strict`].
pub fn industrial(kinds: u64) -> u64 {
    [Class::RemoteAdmin, Class::FileTransfer, Class::Infrastructure].iter().fold(kinds, |bits, c| bits & !class(*c))
}

/// Both kinds of a class: the one that changes the state and the one that does not.
pub fn class(class: Class) -> u64 {
    1 << kind_number(Kind::new(class, false)) | 1 << kind_number(Kind::new(class, true))
}

/// Zones for which this holds, as bits.
pub fn mask(zones: &[Zone], holds: impl Fn(&Zone) -> bool) -> u16 {
    zones.iter().take(16).enumerate().filter(|(_, zone)| holds(zone)).fold(0, |bits, (n, _)| bits | 1 << n)
}

fn every_condition() -> u64 {
    Condition::ALL.iter().fold(0, |bits, c| bits | 1 << *c as u64)
}

/// The lines of a preset as they come together.
struct Lines {
    preset: Preset,
    from: u16,
    to: u16,
    all: Vec<Line>,
}

impl Lines {
    fn push(&mut self, what: What, action: Action, reason: &str) {
        let name = format!("{}/{}", self.preset.word(), self.all.len() + 1);
        let owner = format!("preset {}", self.preset.word());
        let info = LineInfo { name, line: None, reason: reason.to_owned(), owner, ticket: None };
        let (from, to) = (self.from, self.to);
        self.all.push(Line {
            from,
            to,
            what,
            unit: ALL,
            addr: ALL,
            src: None,
            dst: None,
            action,
            expires: None,
            window: None,
            info,
        });
    }

    fn kinds(&mut self, kinds: u64, action: Action, reason: &str) {
        self.push(What::Kinds { protos: None, kinds }, action, reason);
    }

    /// A source address of the plant from outside of it, wherever it goes.
    fn spoofed(&mut self, zones: &[Zone], action: Action) {
        self.from = mask(zones, |zone| zone.side != Side::Ot);
        self.to = mask(zones, |_| true);
        self.push(What::Conditions(SPOOFED), action, WHY_SPOOFED);
    }

    /// The conditions of the two protecting presets, which differ in what happens to octets that are no PDU.
    fn conditions(&mut self, unparsed: Condition, action: Action) {
        self.push(What::Conditions(1 << Condition::PartialPdu as u64), Action::Allow, WHY_PIECE);
        let mut denied = every_condition() & !SPOOFED & !(1 << Condition::PartialPdu as u64);
        if action != Action::Deny {
            denied &= !(1 << unparsed as u64);
            self.push(What::Conditions(1 << unparsed as u64), action, WHY_FORM);
        }
        self.push(What::Conditions(denied), Action::Deny, WHY_FORM);
    }
}
