//! Members as lines of text: the rows of the store, the export that a person reviews, and what `baseline accept` takes.
//!
//! `KEY | FIELDS`. The key names the member; fields are `name=value` in a fixed order. Sorted lines diff well, and parse
//! back to the same members.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use ot_xdp_common::op::{Class, Dir, Kind};
use ot_xdp_common::proto::{Path, Proto};

use super::balance::BalanceHabit;
use super::habit::{Habit, Learning};
use super::model::{Asset, Baseline, Hours, Mark, Op, OpKey, Place, State, Station, Status, Talk, TalkKey, mac_text};

/// Between key and fields.
const BAR: &str = " | ";
/// First line of a file.
pub const HEAD: &str = "# ot-xdp baseline 1";

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct LineError {
    /// Number of the line, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

/// Key of a station.
pub fn asset_key(station: &Station) -> String {
    format!("asset {station}")
}

/// Key of a hardware address of a station.
pub fn binding_key(station: &Station, mac: &[u8; 6]) -> String {
    format!("binding {station} {}", mac_text(mac))
}

/// Key of a place of a station.
pub fn place_key(station: &Station, interface: &str, vlan: u16) -> String {
    format!("place {station} {interface} vlan={vlan}")
}

/// Key of a conversation.
pub fn talk_key(talk: &TalkKey) -> String {
    format!("talk {}", talk_text(talk))
}

/// Key of an operation.
pub fn op_key(talk: &TalkKey, op: &OpKey) -> String {
    let path = Path { proto: op.proto, function: op.function };
    let sender = if op.from_client { "client" } else { "server" };
    let change = if op.state_changing() { "!" } else { "" };
    format!(
        "op {} {path}#{} unit={} {} {sender} {}{change}",
        talk_text(talk),
        op.function,
        op.unit,
        dir_word(op.dir),
        op.class().word()
    )
}

fn talk_text(t: &TalkKey) -> String {
    let service = match t.l4 {
        0 => format!("eth/0x{:04x}", t.port),
        n => format!("ip{n}/{}", t.port),
    };
    format!("{} > {} {service} vlan={}", t.client(), t.server(), t.vlan)
}

fn dir_word(dir: Dir) -> &'static str {
    dir.word().unwrap_or("unknown")
}

fn time_text(s: u32) -> String {
    Timestamp::from_second(i64::from(s)).map_or_else(|_| s.to_string(), |t| t.to_string())
}

fn mark_text(m: &Mark) -> String {
    let late = if m.late { " late=1" } else { "" };
    format!(
        "status={} first={} last={} hours={} days={} count={}{late}",
        m.status.word(),
        time_text(m.first_s),
        time_text(m.last_s),
        m.hours,
        m.days,
        m.count
    )
}

/// Every member with its fields, in no order.
pub fn each(b: &Baseline, mut f: impl FnMut(String, String)) {
    for (station, asset) in &b.assets {
        f(asset_key(station), mark_text(&asset.mark));
        for (mac, mark) in &asset.macs {
            f(binding_key(station, mac), mark_text(mark));
        }
        for (place, mark) in &asset.places {
            f(place_key(station, &place.interface, place.vlan), mark_text(mark));
        }
    }
    for (key, talk) in &b.talks {
        let mut fields = mark_text(&talk.mark);
        if talk.flags != 0 {
            let _ = write!(fields, " flags={:#x}", talk.flags);
        }
        if let Some(balance) = &talk.balance {
            let _ = write!(fields, " balance={}", balance.to_text());
        }
        f(talk_key(key), fields);
        for (op_key_, op) in &talk.ops {
            let mut fields = mark_text(&op.mark);
            if op.window != (0, 0) {
                let _ = write!(fields, " window={}-{}", op.window.0, op.window.1);
            }
            if let Some(habit) = &op.habit {
                let _ = write!(fields, " habit={}", habit.to_text());
            }
            if let Some(hours) = &op.hours {
                let _ = write!(fields, " week={}", hours.0.iter().map(|b| format!("{b:02x}")).collect::<String>());
            }
            if let Some(learning) = &op.learning {
                let _ = write!(fields, " learning={}", learning.to_line());
            }
            f(op_key(key, op_key_), fields);
        }
    }
}

/// Every member with its fields, sorted by key.
pub fn lines(b: &Baseline) -> Vec<(String, String)> {
    let mut all = Vec::new();
    each(b, |key, fields| all.push((key, fields)));
    all.sort_unstable();
    all
}

/// The whole as text. Without `learning`, what is only of use to go on learning is left out.
pub fn export(b: &Baseline) -> String {
    let mut text = format!("{HEAD}\n{}\n", header(b));
    for (key, fields) in lines(b) {
        let _ = writeln!(text, "{key}{BAR}{fields}");
    }
    text
}

/// State, version and times, in one line.
pub fn header(b: &Baseline) -> String {
    format!(
        "baseline state={} version={} locked={} begin={} end={} observed={}s",
        b.state.word(),
        b.version,
        if b.locked_s == 0 { "no".to_owned() } else { time_text(b.locked_s) },
        time_text(b.span_s.0),
        time_text(b.span_s.1),
        b.observed_s
    )
}

/// Reads an export.
///
/// # Errors
/// The first line that is none, and why.
pub fn parse(text: &str) -> Result<Baseline, LineError> {
    let mut b = Baseline::default();
    for (n, line) in text.lines().enumerate() {
        let at = |what: String| LineError { line: n + 1, what };
        let line = line.trim_end();
        if n == 0 && line != HEAD {
            return Err(at(format!("begins with `{line}`, not with `{HEAD}`")));
        }
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(rest) = line.strip_prefix("baseline ") {
            read_header(&mut b, rest).map_err(at)?;
            continue;
        }
        let (key, fields) = line.split_once(BAR).ok_or_else(|| at(format!("no `{BAR}` between member and fields")))?;
        insert(&mut b, key, fields).map_err(at)?;
    }
    Ok(b)
}

/// Reads the line of [`header`] without its first word.
///
/// # Errors
/// What is wrong with it.
pub fn read_header(b: &mut Baseline, rest: &str) -> Result<(), String> {
    for (name, value) in rest.split(' ').filter_map(|f| f.split_once('=')) {
        match name {
            "state" => {
                b.state = [State::Learning, State::Candidate, State::Locked]
                    .into_iter()
                    .find(|s| s.word() == value)
                    .ok_or_else(|| format!("no state `{value}`"))?;
            }
            "version" => b.version = number(value)?,
            "locked" => b.locked_s = if value == "no" { 0 } else { time(value)? },
            "begin" => b.span_s.0 = time(value)?,
            "end" => b.span_s.1 = time(value)?,
            "observed" => b.observed_s = number(value.trim_end_matches('s'))?,
            _ => return Err(format!("no field `{name}` in the head")),
        }
    }
    Ok(())
}

/// Puts one member in.
///
/// # Errors
/// What is wrong with it.
pub fn insert(b: &mut Baseline, key: &str, fields: &str) -> Result<(), String> {
    let f = Fields::read(fields)?;
    match read_key(key)? {
        Member::Asset(station) => b.assets.entry(station).or_default().mark = f.mark,
        Member::Binding(station, mac) => {
            let asset: &mut Asset = b.assets.entry(station).or_default();
            asset.macs.retain(|(m, _)| *m != mac);
            asset.macs.push((mac, f.mark));
            asset.macs.sort_unstable_by_key(|(m, _)| *m);
        }
        Member::Place(station, place) => {
            let asset: &mut Asset = b.assets.entry(station).or_default();
            asset.places.retain(|(p, _)| *p != place);
            asset.places.push((place, f.mark));
            asset.places.sort_by(|a, b| a.0.cmp(&b.0));
        }
        Member::Talk(key) => {
            let talk: &mut Talk = b.talks.entry(key).or_default();
            (talk.mark, talk.flags, talk.balance) = (f.mark, f.flags, f.balance);
        }
        Member::Op(key, op) => {
            let entry = Op {
                mark: f.mark,
                window: f.window,
                habit: f.habit,
                learning: f.learning,
                hours: f.hours,
                ..Op::default()
            };
            b.talks.entry(key).or_default().ops.insert(op, entry);
        }
    }
    Ok(())
}

/// A member by its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Member {
    /// A station.
    Asset(Station),
    /// A hardware address of a station.
    Binding(Station, [u8; 6]),
    /// A place of a station.
    Place(Station, Place),
    /// A conversation.
    Talk(TalkKey),
    /// An operation of a conversation.
    Op(TalkKey, OpKey),
}

/// Reads a key.
///
/// # Errors
/// What is wrong with it.
pub fn read_key(key: &str) -> Result<Member, String> {
    let words: Vec<&str> = key.split(' ').collect();
    match words.as_slice() {
        ["asset", a] => Ok(Member::Asset(station(a)?)),
        ["binding", a, m] => Ok(Member::Binding(station(a)?, mac(m)?)),
        ["place", a, interface, vlan] => {
            Ok(Member::Place(station(a)?, Place { interface: Arc::from(*interface), vlan: named(vlan, "vlan")? }))
        }
        ["talk", a, ">", b, service, vlan] => Ok(Member::Talk(talk(a, b, service, vlan)?)),
        ["op", a, ">", b, service, vlan, path, unit, dir, sender, class] => {
            Ok(Member::Op(talk(a, b, service, vlan)?, op(path, unit, dir, sender, class)?))
        }
        _ => Err(format!("`{key}` is no asset, binding, place, talk or op")),
    }
}

fn talk(a: &str, b: &str, service: &str, vlan: &str) -> Result<TalkKey, String> {
    let (l4, port) = if let Some(hex) = service.strip_prefix("eth/0x") {
        (0, u16::from_str_radix(hex, 16).map_err(|_| format!("`{service}` is no EtherType"))?)
    } else {
        let (l4, port) = service
            .strip_prefix("ip")
            .and_then(|s| s.split_once('/'))
            .ok_or_else(|| format!("`{service}` is no service: ip6/502 or eth/0x88b8"))?;
        (number(l4)?, number(port)?)
    };
    let vlan = named(vlan, "vlan")?;
    Ok(TalkKey { client: words(station(a)?), server: words(station(b)?), vlan, port, l4 })
}

fn op(path: &str, unit: &str, dir: &str, sender: &str, class: &str) -> Result<OpKey, String> {
    let (path, function) = path.rsplit_once('#').ok_or_else(|| format!("`{path}` has no `#` with its number"))?;
    let name = path.split(':').next().unwrap_or_default();
    let proto = Proto::ALL.iter().find(|p| p.name() == name).ok_or_else(|| format!("no protocol `{name}`"))?;
    let dir = [Dir::Unknown, Dir::Request, Dir::Response, Dir::Publish]
        .into_iter()
        .find(|d| dir_word(*d) == dir)
        .ok_or_else(|| format!("no direction `{dir}`"))?;
    let word = class.trim_end_matches('!');
    let changing = class.ends_with('!');
    let class = Class::ALL.iter().find(|c| c.word() == word).ok_or_else(|| format!("no class `{word}`"))?;
    let from_client = match sender {
        "client" => true,
        "server" => false,
        _ => return Err(format!("`{sender}` is neither client nor server")),
    };
    let kind = Kind::new(*class, changing).0;
    Ok(OpKey { function: number(function)?, unit: named(unit, "unit")?, proto: *proto as u8, kind, dir, from_client })
}

/// The form of the kernel's keys.
pub fn words(station: Station) -> [u32; 4] {
    let all: u128 = match station {
        Station::Ip(IpAddr::V4(a)) => a.to_ipv6_mapped().into(),
        Station::Ip(IpAddr::V6(a)) => a.into(),
        Station::Mac([a, b, c, d, e, f]) => u64::from_be_bytes([0, 0, a, b, c, d, e, f]).into(),
    };
    [(all >> 96) as u32, (all >> 64) as u32, (all >> 32) as u32, all as u32]
}

fn station(text: &str) -> Result<Station, String> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(Station::Ip(ip));
    }
    mac(text).map(Station::Mac).map_err(|_| format!("`{text}` is no address"))
}

fn mac(text: &str) -> Result<[u8; 6], String> {
    let mut out = [0; 6];
    let mut parts = text.split('-');
    for octet in &mut out {
        *octet = parts
            .next()
            .filter(|p| p.len() == 2)
            .and_then(|p| u8::from_str_radix(p, 16).ok())
            .ok_or_else(|| format!("`{text}` is no hardware address"))?;
    }
    if parts.next().is_some() { Err(format!("`{text}` is no hardware address")) } else { Ok(out) }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is no number that fits here"))
}

fn named<T: std::str::FromStr>(text: &str, name: &str) -> Result<T, String> {
    match text.split_once('=') {
        Some((n, value)) if n == name => number(value),
        _ => Err(format!("`{text}` where `{name}=` belongs")),
    }
}

fn time(text: &str) -> Result<u32, String> {
    let t: Timestamp = text.parse().map_err(|_| format!("`{text}` is no time"))?;
    u32::try_from(t.as_second()).map_err(|_| format!("`{text}` is before 1970 or after 2106"))
}

#[derive(Default)]
struct Fields {
    mark: Mark,
    flags: u32,
    window: (u32, u32),
    habit: Option<Habit>,
    learning: Option<Box<Learning>>,
    hours: Option<Box<Hours>>,
    balance: Option<BalanceHabit>,
}

impl Fields {
    fn read(text: &str) -> Result<Fields, String> {
        let mut f = Fields::default();
        for field in text.split(' ').filter(|f| !f.is_empty()) {
            let (name, value) = field.split_once('=').ok_or_else(|| format!("`{field}` is no `name=value`"))?;
            match name {
                "status" => {
                    let status = Status::ALL.into_iter().find(|s| s.word() == value);
                    f.mark.status = status.ok_or_else(|| format!("no status `{value}`"))?;
                }
                "first" => f.mark.first_s = time(value)?,
                "last" => f.mark.last_s = time(value)?,
                "hours" => f.mark.hours = number(value)?,
                "days" => f.mark.days = number(value)?,
                "count" => f.mark.count = number(value)?,
                "late" => f.mark.late = value == "1",
                "flags" => {
                    f.flags = u32::from_str_radix(value.trim_start_matches("0x"), 16)
                        .map_err(|_| format!("`{value}` are no flags"))?;
                }
                "window" => {
                    let (low, high) = value.split_once('-').ok_or_else(|| format!("`{value}` is no window"))?;
                    f.window = (number(low)?, number(high)?);
                }
                "habit" => f.habit = Some(Habit::from_text(value).ok_or_else(|| format!("`{value}` is no habit"))?),
                "learning" => {
                    let read =
                        Learning::from_line(value).ok_or_else(|| format!("`{value}` is no state of learning"))?;
                    f.learning = Some(Box::new(read));
                }
                "week" => {
                    let octet = |i: usize| value.get(2 * i..2 * i + 2).and_then(|t| u8::from_str_radix(t, 16).ok());
                    let mut hours = Hours::default();
                    for (i, b) in hours.0.iter_mut().enumerate() {
                        *b = octet(i).ok_or_else(|| format!("`{value}` is no week"))?;
                    }
                    f.hours = Some(Box::new(hours));
                }
                "balance" => {
                    let read = BalanceHabit::from_text(value).ok_or_else(|| format!("`{value}` is no balance"))?;
                    f.balance = Some(read);
                }
                _ => return Err(format!("no field `{name}`")),
            }
        }
        Ok(f)
    }
}
