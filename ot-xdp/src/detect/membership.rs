//! What is new: stations, conversations, functions, units, addresses. No statistics: a member is in the baseline or not.

use std::sync::Arc;

use ot_xdp_common::op::{Class, Dir};

use super::catalog::Kind;
use super::deviation::{Deviation, Known, Operation, Phase, Subject};
use super::say;
use crate::baseline::learn::{self, Meeting, MeetingNews, Sighting, SightingNews, Standing};
use crate::baseline::line;
use crate::baseline::{Mark, Station, Status};

/// What decides about members, beside the news themselves.
#[derive(Clone, Copy, Debug)]
pub struct Court {
    /// New members are told; else they are only learned.
    pub judging: bool,
    /// The baseline is locked: what waited for a person at the lock is not normal.
    pub locked: bool,
    /// Quiet time after which a pending member that comes back is told again, seconds.
    pub again_s: u32,
}

/// How a member stands before this court.
enum Verdict {
    Normal,
    /// New, never accepted, or refused.
    Told(Phase, Status),
}

impl Court {
    fn verdict(&self, standing: Standing, wall_s: u32) -> Verdict {
        let Standing::Known(mark) = standing else { return Verdict::Told(Phase::New, Status::Pending) };
        let quiet = mark.met && wall_s.saturating_sub(mark.last_s) >= self.again_s;
        match mark.status {
            Status::Rejected if quiet || !mark.met => Verdict::Told(Phase::New, Status::Rejected),
            Status::Pending if mark.late && quiet => Verdict::Told(Phase::Update, Status::Pending),
            // It waits since the learning; the lock did not take it in.
            Status::Pending if self.locked && !mark.late && !mark.met => Verdict::Told(Phase::New, Status::Pending),
            _ => Verdict::Normal,
        }
    }
}

/// Deviations of a station that was heard. `shares` are stations that speak from the same hardware address.
pub fn of_sighting(
    court: &Court,
    s: &Sighting<'_>,
    news: &SightingNews,
    shares: &[Station],
    at_ns: u64,
    ifindex: u32,
    out: &mut Vec<Deviation>,
) {
    let make = |kind, phase, expected: String, observed: String, why: String, member, mark: Standing| Deviation {
        kind,
        steps: 0,
        phase,
        at_ns,
        interface: Some((ifindex, Arc::clone(s.interface))),
        subject: Subject::Asset { station: s.station, mac: s.mac },
        operation: None,
        member: Some(member),
        expected,
        observed,
        threshold: None,
        score: None,
        window_ns: None,
        evidence: Vec::new(),
        known: known(mark),
        dedup: String::new(),
        source: Some(s.station),
        members: 1,
        count: u64::from(s.count.max(1)),
        why,
        zones: None,
    };
    let mac = say::mac_vendor(&s.mac);
    let name = s.station;
    // A binding that changed is told also while learning: it needs no baseline, two claims contradict each other.
    let rebound = news.mac.is_new() && !news.other_macs.is_empty();
    let back = matches!(news.mac, Standing::Known(m) if m.status == Status::Pending);
    if (rebound || (court.judging && back))
        && let Verdict::Told(phase, _) = court.verdict(news.mac, s.wall_s)
    {
        let had: Vec<String> = news.other_macs.iter().map(say::mac_vendor).collect();
        let expected = if had.is_empty() { "its known hardware address".to_owned() } else { had.join(", ") };
        let why = format!("{name} speaks from {mac}; so far it spoke from {expected}");
        let member = line::binding_key(&s.station, &s.mac);
        out.push(make(Kind::BindingChanged, phase, expected, mac.clone(), why, member, news.mac));
        return;
    }
    if !court.judging {
        return;
    }
    match (court.verdict(news.asset, s.wall_s), news.asset) {
        (Verdict::Told(phase, status), standing) => {
            let member = line::asset_key(&s.station);
            // A router speaks for many; a station that takes one more address is another matter.
            let added = standing.is_new() && matches!(s.station, Station::Ip(_)) && (1..=2).contains(&shares.len());
            let (kind, why, expected) = if status == Status::Rejected {
                let why = format!("{name} ({mac}) speaks again, and was refused by a person");
                (Kind::RejectedBack, why, "no frame of it".to_owned())
            } else if added {
                let other = say::list(shares);
                let why = format!("{mac} speaks as {name}, and was known as {other} only");
                (Kind::AddressAdded, why, other)
            } else if standing.is_new() {
                let why = format!("{name} ({mac}) was never heard before");
                (Kind::AssetNew, why, "known stations only".to_owned())
            } else {
                let why = format!("{name} ({mac}) is back; nobody has accepted it");
                (Kind::AssetNew, why, "known stations only".to_owned())
            };
            out.push(make(kind, phase, expected, format!("{name} at {mac}"), why, member, standing));
        }
        (Verdict::Normal, _) if news.place.is_new() => {
            let here = say::place(s.interface, s.vlan);
            let why = format!("{name} ({mac}) is heard on {here}, where it never was");
            let member = line::place_key(&s.station, s.interface, s.vlan);
            out.push(make(
                Kind::AssetMoved,
                Phase::New,
                "its known port and VLAN".to_owned(),
                here,
                why,
                member,
                news.asset,
            ));
        }
        _ => {}
    }
}

/// Facts about the two ends that a meeting's news are weighed with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ends {
    /// The client was a server of the plant so far, and nothing else.
    pub client_was_server: bool,
    /// The conversation is new or waits for a person; its parts are told only when they are worse than all before.
    pub binding_pending: bool,
}

/// Deviations of an operation that was seen.
pub fn of_meeting(
    court: &Court,
    m: &Meeting,
    news: &MeetingNews,
    ends: Ends,
    interface: Option<(u32, Arc<str>)>,
    out: &mut Vec<Deviation>,
) {
    if !court.judging {
        return;
    }
    let operation = Operation {
        proto: m.op.proto,
        function: m.op.function,
        unit: m.op.unit,
        class: m.op.class(),
        state_changing: m.op.state_changing(),
        dir: m.op.dir,
        from_client: m.op.from_client,
    };
    let make = |kind, phase, expected: String, observed: String, why: String, member: String, mark| Deviation {
        kind,
        steps: 0,
        phase,
        at_ns: m.at_ns,
        interface: interface.clone(),
        subject: Subject::Talk { key: m.talk, client: m.client, server: m.server, protocol: m.op.proto },
        operation: Some(operation),
        member: Some(member),
        expected,
        observed,
        threshold: None,
        score: None,
        window_ns: None,
        evidence: Vec::new(),
        known: known(mark),
        dedup: String::new(),
        source: Some(m.sender().0),
        members: 1,
        count: u64::from(m.count.max(1)),
        why,
        zones: None,
    };
    let (client, server) = (m.talk.client(), m.talk.server());
    let what = say::function(m.op.proto, m.op.function);
    let verb = say::verb(&m.op);
    let did = format!("{} {verb} {} ({what}, unit {})", m.sender().0, say::other(m), m.op.unit);
    let industrial = learn::is_industrial(&m.op);
    let group = server.is_group();

    // The conversation.
    if let Verdict::Told(phase, status) = court.verdict(news.talk, m.wall_s) {
        let chatter = group && !industrial;
        if !chatter {
            let member = line::talk_key(&m.talk);
            let service = say::service(&m.talk, m.op.proto);
            let again = if news.talk.is_new() { "" } else { " again; nobody has accepted it" };
            let (kind, why) = match status {
                Status::Rejected => {
                    (Kind::RejectedBack, format!("{client} talks to {server} ({service}), which a person refused"))
                }
                _ if group => {
                    (Kind::PublisherNew, format!("{client} publishes {service} to {server}{again}; it never did"))
                }
                _ if ends.client_was_server && industrial && m.op.from_client => (
                    Kind::RoleChanged,
                    format!("{client}, so far a server of the plant only, asks {server} ({service})"),
                ),
                _ => (Kind::TalkNew, format!("{client} talks to {server} ({service}){again}; it never did: {did}")),
            };
            let mut d = make(kind, phase, "known conversations only".to_owned(), did.clone(), why, member, news.talk);
            d.steps = talk_steps(m, industrial);
            out.push(d);
            return;
        }
    }
    if group && !industrial {
        return;
    }
    let on_pending = matches!(news.talk, Standing::Known(Mark { status: Status::Pending | Status::Rejected, .. }));
    let verdict = court.verdict(news.op, m.wall_s);
    if let Verdict::Told(phase, status) = verdict {
        let fresh = news.op.is_new();
        let quiet_answer =
            m.op.dir == Dir::Response && !m.op.state_changing() && !learn::is_exception(m.op.proto, m.op.function);
        let absorbed = on_pending && !(m.op.is_risky() && (phase == Phase::New && news.function || !fresh));
        if absorbed || (quiet_answer && (news.asked || !fresh)) {
            return;
        }
        let member = line::op_key(&m.talk, &m.op);
        if status == Status::Rejected {
            let why = format!("{did}, which a person refused");
            let expected = "not this operation".to_owned();
            out.push(make(Kind::RejectedBack, phase, expected, what, why, member, news.op));
            return;
        }
        if fresh && !news.function && news.unit {
            let why = format!("{did}; this pair never used unit {}", m.op.unit);
            let expected = "known units only".to_owned();
            out.push(make(Kind::UnitNew, phase, expected, format!("unit {}", m.op.unit), why, member, news.op));
            return;
        }
        // The same function at a unit that the pair knows by other functions: worth a word only where it changes something.
        if fresh && !news.function && !m.op.is_risky() {
            return;
        }
        let only = if fresh { "it never did" } else { "nobody has accepted it" };
        let (kind, steps) = kind_of(m, news);
        let why = format!("{did}; {only}");
        let mut d = make(kind, phase, "known functions only".to_owned(), what, why, member, news.op);
        d.steps = steps;
        out.push(d);
        return;
    }
    if let (Some((low, high)), Standing::Known(mark)) = (news.widened, news.op)
        && !on_pending
        && mark.count >= WINDOW_OBSERVATIONS
        && mark.days >= 2
    {
        let member = line::op_key(&m.talk, &m.op);
        let observed = format!("{}-{}", m.window.0, m.window.1);
        let why = format!("{did} touched addresses {observed}; so far {low}-{high}");
        let mut d = make(Kind::WindowWidened, Phase::New, format!("{low}-{high}"), observed, why, member, news.op);
        d.steps = i8::from(m.op.is_risky());
        out.push(d);
    }
}

/// Observations of an operation before its window of addresses is taken for whole.
const WINDOW_OBSERVATIONS: u32 = 200;

/// Kind and steps of severity of a function that is new on a conversation that is known.
fn kind_of(m: &Meeting, news: &MeetingNews) -> (Kind, i8) {
    let (class, change) = (m.op.class(), m.op.state_changing());
    if learn::is_exception(m.op.proto, m.op.function) {
        return (Kind::FirstError, 0);
    }
    if change && m.talk.server().is_group() && learn::is_industrial(&m.op) && class == Class::Write {
        return (Kind::BroadcastWrite, 0);
    }
    match class {
        Class::ProgramDownload => (Kind::ProgramDownload, 0),
        Class::ProgramUpload => (Kind::ProgramUpload, 0),
        Class::Control if change => (Kind::ControlNew, 0),
        Class::Write if change && !news.before.1 => (Kind::FirstWrite, 0),
        Class::Config if change => (Kind::ConfigChange, 0),
        Class::File => (Kind::FileAccess, 0),
        _ if news.protocol => (Kind::ProtocolNew, if learn::is_industrial(&m.op) { 0 } else { -1 }),
        _ if say::is_unlisted(m.op.proto, m.op.function) => (Kind::UndefinedFunction, 0),
        _ if class.risk() > news.before.0 => (Kind::ClassEscalated, i8::from(change)),
        Class::Write if change => (Kind::FunctionNew, 2),
        Class::Diagnostic | Class::Unknown | Class::Auth => (Kind::FunctionNew, 1),
        _ => (Kind::FunctionNew, 0),
    }
}

/// A conversation that begins with what changes the state is worse than one that reads; what any network does is less.
fn talk_steps(m: &Meeting, industrial: bool) -> i8 {
    match m.op.class() {
        Class::ProgramDownload => 2,
        _ if m.op.is_risky() => 1,
        Class::RemoteAdmin | Class::FileTransfer => 0,
        _ if !industrial => -1,
        _ => 0,
    }
}

fn known(standing: Standing) -> Known {
    match standing {
        Standing::New => Known::default(),
        Standing::Known(m) => Known { observations: u64::from(m.count), seen_s: (m.first_s, m.last_s) },
    }
}
