//! Vocabulary: operation class, direction, and one operation of a frame.

/// What kind of operation a function is: one scheme over all protocols.
///
/// Numbers are map and wire format and never change; [`Class::risk`] has the order that decides which class a segment
/// with several operations gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Class {
    /// Not publicly known, private or undecodable.
    Unknown = 0,
    /// Reads process values or device data.
    Read = 1,
    /// Changes process values.
    Write = 2,
    /// Start, stop, operate, mode change, restart.
    Control = 3,
    /// Moves a program towards the controller, whatever the vendor calls it.
    ProgramDownload = 4,
    /// Moves a program out of the controller.
    ProgramUpload = 5,
    /// Changes configuration, clock, addresses or parameters of the device.
    Config = 6,
    /// Counters, status, tests.
    Diagnostic = 7,
    /// Finds devices, tags, objects.
    Discovery = 8,
    /// Opens, keeps or closes a session, or carries other services.
    Session = 9,
    /// Alarm or event.
    Alarm = 10,
    /// File access on the device.
    File = 11,
    /// Log-in, reservation, keys.
    Auth = 12,
    /// Cyclic process data.
    CyclicIo = 13,
    /// An answer whose question is not named in it.
    Response = 14,
    /// Encrypted: only the envelope is known.
    Encrypted = 15,
    /// IT: remote administration.
    RemoteAdmin = 16,
    /// IT: file transfer.
    FileTransfer = 17,
    /// IT: name service, time, address assignment, ...
    Infrastructure = 18,
}

/// Number of classes; also the stride of per-class counters.
pub const CLASSES: usize = 19;

impl Class {
    /// Every class, by number.
    pub const ALL: [Class; CLASSES] = [
        Class::Unknown,
        Class::Read,
        Class::Write,
        Class::Control,
        Class::ProgramDownload,
        Class::ProgramUpload,
        Class::Config,
        Class::Diagnostic,
        Class::Discovery,
        Class::Session,
        Class::Alarm,
        Class::File,
        Class::Auth,
        Class::CyclicIo,
        Class::Response,
        Class::Encrypted,
        Class::RemoteAdmin,
        Class::FileTransfer,
        Class::Infrastructure,
    ];

    /// The class with this number, [`Class::Unknown`] for a number that is not in use.
    pub fn from_code(code: u8) -> Class {
        Self::ALL.get(code as usize).copied().unwrap_or(Class::Unknown)
    }

    /// The word used in JSON, configuration and documentation.
    pub const fn word(self) -> &'static str {
        match self {
            Class::Unknown => "unknown",
            Class::Read => "read",
            Class::Write => "write",
            Class::Control => "control",
            Class::ProgramDownload => "program-download",
            Class::ProgramUpload => "program-upload",
            Class::Config => "config",
            Class::Diagnostic => "diagnostic",
            Class::Discovery => "discovery",
            Class::Session => "session",
            Class::Alarm => "alarm",
            Class::File => "file",
            Class::Auth => "auth",
            Class::CyclicIo => "cyclic-io",
            Class::Response => "response",
            Class::Encrypted => "encrypted",
            Class::RemoteAdmin => "remote-admin",
            Class::FileTransfer => "file-transfer",
            Class::Infrastructure => "infrastructure",
        }
    }

    /// Rank by risk, 0 the least: the worst class of a segment's operations is the segment's class.
    pub const fn risk(self) -> u8 {
        RISK[self as usize]
    }
}

/// Risk by class number (a table, not a `match`: the kernel's verifier follows each arm of a `match`).
const RISK: [u8; CLASSES] = [12, 6, 17, 18, 19, 13, 16, 4, 5, 2, 8, 15, 14, 7, 1, 11, 10, 9, 3];

/// Order of kinds: risk of the class, then state-changing; at least 1.
static RANK: [u8; 256] = {
    let mut t = [1; 256];
    let mut k = 0;
    while k < 256 {
        let class = k & 0x1F;
        if class < CLASSES {
            t[k] = RISK[class] * 2 + (k >> 7) as u8 + 1;
        }
        k += 1;
    }
    t
};

/// Rank of a kind by risk, 1 the least: the worst operation of a segment is the one with the highest rank.
#[inline(always)]
pub const fn rank_of(kind: Kind) -> u8 {
    RANK[kind.0 as usize]
}

/// Direction of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Dir {
    /// Cannot be told.
    Unknown = 0,
    /// Asks or commands.
    Request = 1,
    /// Answers.
    Response = 2,
    /// Published, cyclic or pushed without a question.
    Publish = 3,
}

impl Dir {
    /// The direction with this number.
    pub fn from_code(code: u8) -> Dir {
        match code {
            1 => Dir::Request,
            2 => Dir::Response,
            3 => Dir::Publish,
            _ => Dir::Unknown,
        }
    }

    /// The word used in JSON, `None` for [`Dir::Unknown`].
    pub const fn word(self) -> Option<&'static str> {
        match self {
            Dir::Unknown => None,
            Dir::Request => Some("request"),
            Dir::Response => Some("response"),
            Dir::Publish => Some("publish"),
        }
    }
}

/// Class and state-changing mark of a function in one octet, as function tables hold it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Kind(pub u8);

impl Kind {
    /// Bit that marks a state-changing function.
    pub const STATE_CHANGING: u8 = 0x80;
    /// A code that no table lists: class unknown, and state-changing until somebody shows that it is not.
    pub const UNLISTED: Kind = Kind(Self::STATE_CHANGING);

    /// A kind from its parts.
    pub const fn new(class: Class, state_changing: bool) -> Kind {
        Kind(class as u8 | if state_changing { Self::STATE_CHANGING } else { 0 })
    }
    /// Number of the class.
    #[inline(always)]
    pub const fn class(self) -> u8 {
        self.0 & 0x1F
    }
    /// Does the function change the state of the device or the process?
    #[inline(always)]
    pub const fn state_changing(self) -> bool {
        self.0 & Self::STATE_CHANGING != 0
    }
}

/// Protocol, kind and direction of an operation in one word.
///
/// One word and not four octets, because the kernel program writes it once and reads it at once as part of a hashed
/// key: a word read over octets just written stalls the processor's store buffer.
///
/// Octets from the lowest: protocol number, [`Kind`], [`Dir`], and one octet for the owner ([`Op`]: number of the PDU
/// in its segment; map key: IP protocol number).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Tag(pub u32);

impl Tag {
    /// A tag from its parts.
    #[inline(always)]
    pub const fn new(proto: u8, kind: u8, dir: Dir, last: u8) -> Tag {
        Tag(proto as u32 | (kind as u32) << 8 | (dir as u32) << 16 | (last as u32) << 24)
    }
    /// The same tag with another last octet.
    #[inline(always)]
    pub const fn with_last(self, last: u8) -> Tag {
        Tag(self.0 & 0x00FF_FFFF | (last as u32) << 24)
    }
    /// Protocol number, see [`crate::proto::Proto`].
    #[inline(always)]
    pub const fn proto(self) -> u8 {
        self.0 as u8
    }
    /// Class and state-changing. Only requests and published data are marked state-changing.
    #[inline(always)]
    pub const fn kind(self) -> Kind {
        Kind((self.0 >> 8) as u8)
    }
    /// Direction.
    pub fn dir(self) -> Dir {
        Dir::from_code((self.0 >> 16) as u8)
    }
    /// Number of the direction.
    #[inline(always)]
    pub const fn dir_code(self) -> u8 {
        (self.0 >> 16) as u8
    }
    /// The owner's octet.
    #[inline(always)]
    pub const fn last(self) -> u8 {
        (self.0 >> 24) as u8
    }
}

impl core::fmt::Debug for Tag {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Tag({} {:?} {:?} {})", self.proto(), self.kind(), self.dir(), self.last())
    }
}

/// One operation of a frame (map memory of the kernel program: `repr(C)`, integers only).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Op {
    /// Function, in the encoding of its protocol file (see `path` there).
    pub function: u32,
    /// Unit id, link address, common address, APPID ...: which device behind the address.
    pub unit: u32,
    /// First address touched (register, DB number, IOA, class and instance), 0 when the protocol has none.
    pub addr: u32,
    /// Number of addresses touched, 0 when not known.
    pub span: u32,
    /// Protocol, kind, direction; last octet: which PDU of the segment the operation belongs to, from 0.
    pub tag: Tag,
}

/// Size of [`Op`] in octets.
pub const OP_SIZE: usize = 20;
const _: () = assert!(size_of::<Op>() == OP_SIZE);

impl Op {
    /// Class of the operation.
    pub fn class(&self) -> Class {
        Class::from_code(self.tag.kind().class())
    }
    /// Does it change the state of the device or the process?
    pub fn state_changing(&self) -> bool {
        self.tag.kind().state_changing()
    }
    /// Protocol number.
    pub fn proto(&self) -> u8 {
        self.tag.proto()
    }
    /// Direction.
    pub fn dir(&self) -> Dir {
        self.tag.dir()
    }
}
