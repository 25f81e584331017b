//! Members of a baseline: assets, conversations, and what is done in them.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use ot_xdp_common::op::{Class, Dir};

use super::balance::{Asked, BalanceHabit};
use super::habit::{Habit, Learning, Sample};
use super::imbalance::BalanceState;
use super::rhythm::Rhythm;
use crate::aggregate::Conversation;

/// A station: by its IP address, on layer 2 by its hardware address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Station {
    /// IP address.
    Ip(IpAddr),
    /// Hardware address.
    Mac([u8; 6]),
}

impl Station {
    /// From the form of the kernel's keys; `l4` is the IP protocol number, 0 for layer 2.
    pub fn from_words(words: [u32; 4], l4: u8) -> Station {
        let [a, b, c, d] = words.map(u128::from);
        let all = a << 96 | b << 64 | c << 32 | d;
        if l4 == 0 {
            let m = (all as u64).to_be_bytes();
            return Station::Mac([m[2], m[3], m[4], m[5], m[6], m[7]]);
        }
        let v6 = Ipv6Addr::from(all);
        Station::Ip(v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4))
    }

    /// Is it the address of a group or of nobody: multicast, broadcast, unspecified? `x.x.x.255` counts as broadcast: no
    /// mask is on the wire, and a station of that name is rare.
    pub fn is_group(&self) -> bool {
        match self {
            Station::Ip(IpAddr::V4(a)) => {
                a.is_multicast() || a.is_broadcast() || a.is_unspecified() || a.octets()[3] == 255
            }
            Station::Ip(IpAddr::V6(a)) => a.is_multicast() || a.is_unspecified(),
            Station::Mac(m) => m[0] & 1 != 0 || *m == [0; 6],
        }
    }
}

impl fmt::Display for Station {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Station::Ip(a) => a.fmt(f),
            Station::Mac(m) => f.write_str(&mac_text(m)),
        }
    }
}

/// `00-0C-29-01-98-BE`: the form of ECS.
pub fn mac_text([a, b, c, d, e, f]: &[u8; 6]) -> String {
    format!("{a:02X}-{b:02X}-{c:02X}-{d:02X}-{e:02X}-{f:02X}")
}

/// Two stations and the service between them, on whatever interface: a bridge sees questions on one port and answers on
/// the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TalkKey {
    /// Station that asks or publishes, in the form of the kernel's keys.
    pub client: [u32; 4],
    /// Station that answers or receives.
    pub server: [u32; 4],
    /// Outer VLAN id, 0 for untagged.
    pub vlan: u16,
    /// Port of the server; EtherType for layer 2.
    pub port: u16,
    /// IP protocol number, 0 for layer 2.
    pub l4: u8,
}

impl TalkKey {
    /// Of a conversation of the counters.
    pub fn of(c: &Conversation) -> TalkKey {
        TalkKey { client: c.client, server: c.server, vlan: c.vlan, port: c.port, l4: c.l4 }
    }
    /// Station that asks or publishes.
    pub fn client(&self) -> Station {
        Station::from_words(self.client, self.l4)
    }
    /// Station that answers or receives.
    pub fn server(&self) -> Station {
        Station::from_words(self.server, self.l4)
    }
}

/// Where a member stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Status {
    /// Seen, and not often enough yet to be usual: becomes learned by itself while learning, never once locked.
    #[default]
    Seen = 0,
    /// Usual: seen on enough hours or days.
    Learned = 1,
    /// Changes the state of a device or crosses zones, or came after the lock: waits for a person.
    Pending = 2,
    /// Approved by a person.
    Accepted = 3,
    /// Refused by a person: told each time it comes.
    Rejected = 4,
}

impl Status {
    /// Every status.
    pub const ALL: [Status; 5] = [Status::Seen, Status::Learned, Status::Pending, Status::Accepted, Status::Rejected];

    /// Word in files and events.
    pub fn word(self) -> &'static str {
        match self {
            Status::Seen => "seen",
            Status::Learned => "learned",
            Status::Pending => "pending",
            Status::Accepted => "accepted",
            Status::Rejected => "rejected",
        }
    }

    /// Is it part of what is normal once the baseline is locked?
    pub fn is_normal(self) -> bool {
        matches!(self, Status::Learned | Status::Accepted)
    }
}

/// When and how often a member was seen. Wall-clock seconds since the Unix epoch, so that it outlives the sensor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// First time.
    pub first_s: u32,
    /// Last time.
    pub last_s: u32,
    /// Operations, frames or sightings, saturating.
    pub count: u32,
    /// Different hours in which it was seen, saturating.
    pub hours: u8,
    /// Different days (UTC) on which it was seen, saturating.
    pub days: u8,
    /// Where it stands.
    pub status: Status,
    /// Came after learning had ended.
    pub late: bool,
    /// Seen since this program has begun to judge; not kept.
    pub met: bool,
}

impl Mark {
    /// Seen for the first time.
    pub fn new(wall_s: u32, status: Status) -> Mark {
        let late = status == Status::Pending;
        Mark { first_s: wall_s, last_s: wall_s, count: 0, hours: 1, days: 1, status, late, met: true }
    }

    /// Seen again, `count` times. Times that lie behind the last one change only the count.
    pub fn see(&mut self, wall_s: u32, count: u32) {
        self.count = self.count.saturating_add(count);
        self.met = true;
        if wall_s <= self.last_s {
            return;
        }
        self.hours = self.hours.saturating_add(u8::from(wall_s / 3600 != self.last_s / 3600));
        self.days = self.days.saturating_add(u8::from(wall_s / 86_400 != self.last_s / 86_400));
        self.last_s = wall_s;
    }
}

/// A place where a station was heard.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Name of the interface.
    pub interface: Arc<str>,
    /// Outer VLAN id, 0 for untagged.
    pub vlan: u16,
}

/// A station that was heard to speak.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asset {
    /// The station itself.
    pub mark: Mark,
    /// Hardware addresses that it spoke from; one, or those of a redundant pair or of its router.
    pub macs: Vec<([u8; 6], Mark)>,
    /// Where it was heard.
    pub places: Vec<(Place, Mark)>,
}

/// What is done in a conversation: one function in one direction, at one unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OpKey {
    /// Function in the encoding of its protocol.
    pub function: u32,
    /// Unit id, link address, common address, APPID.
    pub unit: u32,
    /// Protocol number.
    pub proto: u8,
    /// Class number and state-changing, as in [`ot_xdp_common::op::Kind`].
    pub kind: u8,
    /// Direction.
    pub dir: Dir,
    /// Did the client send it?
    pub from_client: bool,
}

impl OpKey {
    /// The class.
    pub fn class(&self) -> Class {
        Class::from_code(ot_xdp_common::op::Kind(self.kind).class())
    }
    /// Does it change the state of the device or the process?
    pub fn state_changing(&self) -> bool {
        ot_xdp_common::op::Kind(self.kind).state_changing()
    }
    /// Is it never learned silently? Operations of industrial protocols that change the state, and moves of programs.
    pub fn is_risky(&self) -> bool {
        let class = self.class();
        let it = matches!(class, Class::RemoteAdmin | Class::FileTransfer | Class::Infrastructure | Class::Session);
        (self.state_changing() && !it && class != Class::CyclicIo) || class == Class::ProgramUpload
    }
}

/// An operation of a conversation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Op {
    /// When and how often.
    pub mark: Mark,
    /// Lowest and highest address touched; both 0 where the protocol has none.
    pub window: (u32, u32),
    /// What was learned of its cadence.
    pub habit: Option<Habit>,
    /// What is being learned of it.
    pub learning: Option<Box<Learning>>,
    /// What judging it remembers; not kept.
    pub rhythm: Rhythm,
    /// What the running look saw of it; not kept.
    pub now: Sample,
    /// Interface that it was last seen on; not kept.
    pub ifindex: u32,
    /// What the running five minutes saw of it; not kept.
    pub mix: u32,
    /// Hours of the week (UTC, Monday first) at which it came: of operations that change the state only.
    pub hours: Option<Box<Hours>>,
}

/// A bit for each hour of the week.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hours(pub [u8; 21]);

impl Hours {
    /// Number of the hour of the week of a second of the wall clock: 1970 began on a Thursday.
    pub fn of(wall_s: u32) -> usize {
        ((wall_s / 3_600 + 3 * 24) % 168) as usize
    }
    /// Was it seen in this hour?
    pub fn has(&self, hour: usize) -> bool {
        self.0.get(hour / 8).is_some_and(|b| b >> (hour % 8) & 1 != 0)
    }
    /// Or in the one before or after: shifts do not end on the minute.
    pub fn has_near(&self, hour: usize) -> bool {
        [hour + 167, hour, hour + 1].iter().any(|h| self.has(h % 168))
    }
    /// It was seen.
    pub fn set(&mut self, hour: usize) {
        if let Some(b) = self.0.get_mut(hour / 8) {
            *b |= 1 << (hour % 8);
        }
    }
}

/// A conversation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Talk {
    /// The conversation itself.
    pub mark: Mark,
    /// Its operations.
    pub ops: BTreeMap<OpKey, Op>,
    /// Flags of [`ot_xdp_common::flags`] that were seen on it.
    pub flags: u32,
    /// Usual shares of answers and errors.
    pub balance: Option<BalanceHabit>,
    /// What judging the shares remembers; not kept.
    pub state: BalanceState,
    /// What the running look saw of it; not kept.
    pub asked: Asked,
    /// What client and server sent in the running five minutes; not kept.
    pub sides: (u32, u32),
    /// Windows in a row whose mix of functions did not fit; not kept.
    pub off: u8,
}

/// Where the whole baseline stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Takes in what it sees.
    #[default]
    Learning,
    /// The same; nothing new came for so long that a person may lock it.
    Candidate,
    /// Changes by approval only.
    Locked,
}

impl State {
    /// Word in files and events.
    pub fn word(self) -> &'static str {
        match self {
            State::Learning => "learning",
            State::Candidate => "candidate",
            State::Locked => "locked",
        }
    }
}

/// What is known of the plant.
#[derive(Clone, Debug, Default)]
pub struct Baseline {
    /// Counts up with each lock, acceptance and rejection.
    pub version: u32,
    /// Where it stands.
    pub state: State,
    /// When it was locked, wall-clock seconds; 0 before.
    pub locked_s: u32,
    /// First and last second of observation.
    pub span_s: (u32, u32),
    /// Seconds of observation in it (the sensor may have been off).
    pub observed_s: u32,
    /// Stations that speak.
    pub assets: HashMap<Station, Asset>,
    /// Conversations.
    pub talks: HashMap<TalkKey, Talk>,
}
