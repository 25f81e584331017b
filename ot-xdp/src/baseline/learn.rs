//! What a frame adds to the baseline: one path for learning and for judging, which differ only in what becomes of the new.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use ot_xdp_common::op::{Class, Dir};
use ot_xdp_common::proto::Path;

use super::model::{Asset, Baseline, Mark, Op, OpKey, Place, Station, Status, Talk, TalkKey};
use crate::aggregate::End;

/// Marks the error that answers a function in its path.
const EXCEPTION_MARK: char = '!';

/// A station was heard.
#[derive(Clone, Debug)]
pub struct Sighting<'a> {
    /// The station.
    pub station: Station,
    /// Hardware address it spoke from.
    pub mac: [u8; 6],
    /// Name of the interface it was heard on.
    pub interface: &'a Arc<str>,
    /// Outer VLAN id.
    pub vlan: u16,
    /// Wall clock, seconds.
    pub wall_s: u32,
    /// How often since the last time.
    pub count: u32,
}

/// An operation was seen.
#[derive(Clone, Copy, Debug)]
pub struct Meeting {
    /// Who talks to whom.
    pub talk: TalkKey,
    /// Hardware address and port of the client.
    pub client: End,
    /// The same of the server.
    pub server: End,
    /// What was done.
    pub op: OpKey,
    /// Lowest and highest address touched; both 0 without.
    pub window: (u32, u32),
    /// Flags.
    pub flags: u32,
    /// When, source's clock.
    pub at_ns: u64,
    /// Wall clock, seconds.
    pub wall_s: u32,
    /// Operations since the last time.
    pub count: u32,
}

impl Meeting {
    /// Who sent it, and from which hardware address.
    pub fn sender(&self) -> (Station, [u8; 6]) {
        if self.op.from_client {
            (self.talk.client(), self.client.mac())
        } else {
            (self.talk.server(), self.server.mac())
        }
    }
}

/// How a member stood when it was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It was not there.
    New,
    /// It was there; its mark from before.
    Known(Mark),
}

impl Standing {
    /// Was it not there?
    pub fn is_new(self) -> bool {
        self == Standing::New
    }
}

/// What a sighting changed.
#[derive(Clone, Debug)]
pub struct SightingNews {
    /// The station.
    pub asset: Standing,
    /// Its hardware address.
    pub mac: Standing,
    /// Hardware addresses that it had before, when this one is new.
    pub other_macs: Vec<[u8; 6]>,
    /// Where it was heard.
    pub place: Standing,
}

/// What a meeting changed.
#[derive(Clone, Copy, Debug)]
pub struct MeetingNews {
    /// The conversation.
    pub talk: Standing,
    /// Its protocol there.
    pub protocol: bool,
    /// The function there, at any unit, in this direction.
    pub function: bool,
    /// The unit there, for any function.
    pub unit: bool,
    /// The operation.
    pub op: Standing,
    /// Addresses below or above what was known, when the operation was.
    pub widened: Option<(u32, u32)>,
    /// Flags that the conversation did not have.
    pub flags: u32,
    /// Highest risk of the class of the operations known before, and whether one of them changed the state.
    pub before: (u8, bool),
    /// Did anybody ask in this protocol here?
    pub asked: bool,
}

impl Baseline {
    /// Takes in a station; a new one gets `status`.
    pub fn sight(&mut self, s: &Sighting<'_>, status: Status) -> SightingNews {
        let asset = self.assets.entry(s.station);
        let standing = match &asset {
            Entry::Occupied(e) => Standing::Known(e.get().mark),
            Entry::Vacant(_) => Standing::New,
        };
        let asset: &mut Asset =
            asset.or_insert_with(|| Asset { mark: Mark::new(s.wall_s, status), ..Asset::default() });
        asset.mark.see(s.wall_s, s.count);
        let mut other_macs = Vec::new();
        let mac = match asset.macs.iter_mut().find(|(m, _)| *m == s.mac) {
            Some((_, mark)) => {
                let before = *mark;
                mark.see(s.wall_s, s.count);
                Standing::Known(before)
            }
            None => {
                other_macs = asset.macs.iter().map(|(m, _)| *m).collect();
                let mut mark = Mark::new(s.wall_s, status);
                mark.count = s.count;
                asset.macs.push((s.mac, mark));
                asset.macs.sort_unstable_by_key(|(m, _)| *m);
                Standing::New
            }
        };
        let here = |p: &Place| p.vlan == s.vlan && *p.interface == **s.interface;
        let place = match asset.places.iter_mut().find(|(p, _)| here(p)) {
            Some((_, mark)) => {
                let before = *mark;
                mark.see(s.wall_s, s.count);
                Standing::Known(before)
            }
            None => {
                let mut mark = Mark::new(s.wall_s, status);
                mark.count = s.count;
                asset.places.push((Place { interface: Arc::clone(s.interface), vlan: s.vlan }, mark));
                asset.places.sort_by(|a, b| a.0.cmp(&b.0));
                Standing::New
            }
        };
        SightingNews { asset: standing, mac, other_macs, place }
    }

    /// Takes in an operation; what is new gets `status`.
    pub fn meet(&mut self, m: &Meeting, status: Status) -> MeetingNews {
        let entry = self.talks.entry(m.talk);
        let standing = match &entry {
            Entry::Occupied(e) => Standing::Known(e.get().mark),
            Entry::Vacant(_) => Standing::New,
        };
        let talk: &mut Talk = entry.or_insert_with(|| Talk { mark: Mark::new(m.wall_s, status), ..Talk::default() });
        talk.mark.see(m.wall_s, m.count);
        let flags = m.flags & !talk.flags;
        talk.flags |= m.flags;
        if let Some(op) = talk.ops.get_mut(&m.op) {
            let before = op.mark;
            op.mark.see(m.wall_s, m.count);
            let is_addressed = m.window != (0, 0) && m.op.dir != Dir::Response;
            let (low, high) = op.window;
            let widened = (is_addressed && (m.window.0 < low || m.window.1 > high)).then_some(op.window);
            if widened.is_some() {
                op.window = (low.min(m.window.0), high.max(m.window.1));
            }
            return MeetingNews {
                talk: standing,
                protocol: false,
                function: false,
                unit: false,
                op: Standing::Known(before),
                widened,
                flags,
                before: (0, false),
                asked: true,
            };
        }
        let mut news = MeetingNews {
            talk: standing,
            protocol: true,
            function: true,
            unit: true,
            op: Standing::New,
            widened: None,
            flags,
            before: (0, false),
            asked: false,
        };
        for key in talk.ops.keys() {
            let same = key.proto == m.op.proto;
            news.protocol &= !same;
            news.function &= !(same && key.function == m.op.function && key.from_client == m.op.from_client);
            news.unit &= !(same && key.unit == m.op.unit);
            news.asked |= same && key.dir != Dir::Response;
            news.before.0 = news.before.0.max(key.class().risk());
            news.before.1 |= key.state_changing();
        }
        let mut mark = Mark::new(m.wall_s, status);
        mark.count = m.count;
        talk.ops.insert(m.op, Op { mark, window: m.window, ..Op::default() });
        news
    }
}

/// Is the function an error that answers another one?
pub fn is_exception(proto: u8, function: u32) -> bool {
    Path { proto, function }.to_string().contains(EXCEPTION_MARK)
}

/// Is it an operation of the plant, as opposed to what any network does?
pub fn is_industrial(op: &OpKey) -> bool {
    !matches!(op.class(), Class::RemoteAdmin | Class::FileTransfer | Class::Infrastructure)
}
