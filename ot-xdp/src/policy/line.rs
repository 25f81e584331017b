//! One line of a policy with its names resolved: what it is about, and whether another line covers it.

use std::collections::BTreeSet;

use ipnet::IpNet;
use jiff::Timestamp;
use ot_xdp_common::policy::Action;

use crate::config::SiteFunction;

/// Bits of kinds that change the state of the device or the process.
pub const STATE_CHANGING: u64 = !0 << 32;

/// Who made a line and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LineInfo {
    /// `rule in line 27`, or the preset's name for it.
    pub name: String,
    /// Line of the file, none for what was not written there.
    pub line: Option<usize>,
    /// Why it is there.
    pub reason: String,
    /// Who answers for it.
    pub owner: String,
    /// Ticket or change number.
    pub ticket: Option<String>,
}

/// What a line looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Operations by kind: protocols (none for any), and a bit for each kind number.
    Kinds {
        /// Protocol numbers.
        protos: Option<BTreeSet<u8>>,
        /// See [`ot_xdp_common::policy::kind_number`].
        kinds: u64,
    },
    /// Functions of protocols.
    Functions(Vec<SiteFunction>),
    /// Conditions, a bit for each number.
    Conditions(u64),
}

/// A resolved line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Source zones, bit n for zone n.
    pub from: u16,
    /// Destination zones.
    pub to: u16,
    /// What it looks at.
    pub what: What,
    /// Lowest and highest unit.
    pub unit: (u32, u32),
    /// Lowest and highest address.
    pub addr: (u32, u32),
    /// Source addresses, none for any.
    pub src: Option<IpNet>,
    /// Destination addresses.
    pub dst: Option<IpNet>,
    /// What it says.
    pub action: Action,
    /// When it ends.
    pub expires: Option<Timestamp>,
    /// Index of the window in which alone it holds.
    pub window: Option<usize>,
    /// Who and why.
    pub info: LineInfo,
}

/// Everything that can be compared with a number.
pub const ALL: (u32, u32) = (0, u32::MAX);

impl What {
    /// Does it look at everything that the other looks at?
    fn covers(&self, other: &What) -> bool {
        match (self, other) {
            (What::Conditions(a), What::Conditions(b)) => b & !a == 0,
            (What::Kinds { protos: a, kinds: x }, What::Kinds { protos: b, kinds: y }) => {
                y & !x == 0 && a.as_ref().is_none_or(|a| b.as_ref().is_some_and(|b| b.is_subset(a)))
            }
            (What::Kinds { protos, kinds: u64::MAX }, What::Functions(f)) => {
                protos.as_ref().is_none_or(|p| f.iter().all(|f| p.contains(&(f.proto as u8))))
            }
            (What::Functions(a), What::Functions(b)) => {
                b.iter().all(|b| a.iter().any(|a| a.proto == b.proto && b.codes.is_subset(&a.codes)))
            }
            _ => false,
        }
    }
}

impl Line {
    /// Does it match everything that the other matches?
    pub fn covers(&self, other: &Line) -> bool {
        let within = |a: (u32, u32), b: (u32, u32)| a.0 <= b.0 && b.1 <= a.1;
        let net = |a: &Option<IpNet>, b: &Option<IpNet>| match (a, b) {
            (None, _) => true,
            (Some(a), Some(b)) => a.contains(b),
            (Some(_), None) => false,
        };
        other.from & !self.from == 0
            && other.to & !self.to == 0
            && self.what.covers(&other.what)
            && within(self.unit, other.unit)
            && within(self.addr, other.addr)
            && net(&self.src, &other.src)
            && net(&self.dst, &other.dst)
            && self.expires.is_none_or(|end| other.expires.is_some_and(|e| e <= end))
            && (self.window.is_none() || self.window == other.window)
    }

    /// Do both match the same?
    pub fn same_match(&self, other: &Line) -> bool {
        self.covers(other) && other.covers(self)
    }
}
