//! From the text of a configuration file to checked values; the checks that options share with the file.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Range, RangeInclusive};
use std::path::Path;
use std::time::Duration;

use clap::ValueEnum;
use ot_xdp_common::classify::Table;
use ot_xdp_common::proto::Proto;
use serde::de::{Deserialize, Deserializer, Error};
use toml::Spanned;

use super::operation::{self, SiteOperation};
use super::{BaselineSection, Capture, Config, ConfigError, Counters, Events, Sensor, SinkEntry, SiteBinding};
use crate::bindings::BindingTable;
use crate::cli::ModeArg;
use crate::policy::{PolicySection, RuleEntry, WindowEntry, ZoneEntry};
use crate::text::{duration, size, size_text, time};

/// Flow keys that can be asked for: below, a small plant would overflow; above, a host would run out of memory.
pub const FLOWS_RANGE: RangeInclusive<u32> = 1_000..=4_000_000;
/// Octets of an interface name with its end mark (`IFNAMSIZ`, linux/if.h).
const NAME_SIZE: usize = 16;
/// Below, a number in the type field is a length (IEEE 802.3, cl. 3.2.6).
const FIRST_ETHERTYPE: u16 = 0x0600;
/// EtherTypes that the envelope itself reads: IPv4, IPv6, VLAN tags, HSR, R-TAG.
const ENVELOPE: [u16; 7] = [0x0800, 0x86DD, 0x8100, 0x88A8, 0x9100, 0x892F, 0xF1C1];
/// Shortest time between two reads of the maps.
const SHORTEST: Duration = Duration::from_millis(100);
/// Longest time between two reports.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);

/// Least volume of events, in octets a day.
const DAILY_MIN: u64 = 64 << 20;

/// [`Config`] as it is written: bindings and operations keep their place for messages.
#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    sensor: Sensor,
    capture: Capture,
    counters: Counters,
    events: Events,
    sink: Vec<Spanned<SinkEntry>>,
    baseline: BaselineSection,
    binding: Vec<Spanned<SiteBinding>>,
    operation: Vec<Spanned<SiteOperation>>,
    policy: Option<Spanned<PolicySection>>,
    zone: Vec<Spanned<ZoneEntry>>,
    rule: Vec<Spanned<RuleEntry>>,
    window: Vec<Spanned<WindowEntry>>,
}

/// Reads and checks the text of a file.
pub(crate) fn parse(file: &Path, text: &str) -> Result<Config, ConfigError> {
    let at = |span: Range<usize>, reason: String| {
        let (line, column) = place(text, span.start);
        ConfigError::File { file: file.to_owned(), line, column, reason }
    };
    let read: File = toml::from_str(text).map_err(|e| at(e.span().unwrap_or(0..0), e.message().to_owned()))?;
    let spans: Vec<Range<usize>> = read.binding.iter().map(Spanned::span).collect();
    let binding: Vec<SiteBinding> = read.binding.into_iter().map(Spanned::into_inner).collect();
    table(&binding).map_err(|(entry, reason)| at(spans.get(entry).cloned().unwrap_or(0..0), reason))?;
    let spans: Vec<Range<usize>> = read.operation.iter().map(Spanned::span).collect();
    let operation: Vec<SiteOperation> = read.operation.into_iter().map(Spanned::into_inner).collect();
    operation::check(&operation).map_err(|(entry, reason)| at(spans.get(entry).cloned().unwrap_or(0..0), reason))?;
    let spans: Vec<Range<usize>> = read.sink.iter().map(Spanned::span).collect();
    let lined_sink = |s| lined(s, text, |entry: &mut SinkEntry, line| entry.line = line);
    let mut sink: Vec<SinkEntry> = read.sink.into_iter().map(lined_sink).collect();
    super::sink::name_all(&mut sink)
        .map_err(|(entry, reason)| at(spans.get(entry).cloned().unwrap_or(0..0), reason))?;
    let File { sensor, capture, counters, events, baseline, .. } = read;
    let policy = read.policy.map(|s| lined(s, text, |entry: &mut PolicySection, line| entry.line = line));
    let zone = read.zone.into_iter().map(|s| lined(s, text, |entry: &mut ZoneEntry, line| entry.line = line)).collect();
    let rule = read.rule.into_iter().map(|s| lined(s, text, |entry: &mut RuleEntry, line| entry.line = line)).collect();
    let window =
        read.window.into_iter().map(|s| lined(s, text, |entry: &mut WindowEntry, line| entry.line = line)).collect();
    Ok(Config { sensor, capture, counters, events, baseline, sink, binding, operation, policy, zone, rule, window })
}

/// An entry that knows its line.
fn lined<T>(entry: Spanned<T>, text: &str, set: impl Fn(&mut T, usize)) -> T {
    let (line, _) = place(text, entry.span().start);
    let mut entry = entry.into_inner();
    set(&mut entry, line);
    entry
}

/// Line and column, from 1, of an octet of the text.
fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |n| n + 1);
    let column = before.get(line_start..).map_or(0, |l| l.chars().count());
    (before.matches('\n').count() + 1, column + 1)
}

/// The numbers of an entry, each with its table.
pub(crate) fn numbers(b: &SiteBinding) -> impl Iterator<Item = (Table, u16)> {
    let tcp = b.tcp.iter().map(|n| (Table::Tcp, *n));
    let udp = b.udp.iter().map(|n| (Table::Udp, *n));
    let ethertypes = b.ethertypes.iter().map(|n| (Table::EtherType, *n));
    tcp.chain(udp).chain(ethertypes)
}

/// A number as people write it: `TCP port 502`, `EtherType 0x88b8`.
pub(crate) fn number_text(table: Table, number: u16) -> String {
    match table {
        Table::Tcp => format!("TCP port {number}"),
        Table::Udp => format!("UDP port {number}"),
        Table::EtherType => format!("EtherType {number:#06x}"),
    }
}

/// The table that the entries make, or the index of a wrong entry with the reason. Removals come first, whatever the
/// order, so that a port can be handed from one protocol to another.
pub(super) fn table(entries: &[SiteBinding]) -> Result<BindingTable, (usize, String)> {
    let mut table = BindingTable::default();
    let mut removed = BTreeSet::new();
    let mut added: BTreeMap<(u32, u16), Proto> = BTreeMap::new();
    for (i, b) in entries.iter().enumerate() {
        suits(b).map_err(|reason| (i, reason))?;
        for (kind, number) in numbers(b).filter(|_| b.remove) {
            if !defaults(b.protocol, kind).contains(&number) {
                let (what, name) = (number_text(kind, number), b.protocol.name());
                return Err((i, format!("{what} is not registered for `{name}`, so it cannot be removed")));
            }
            removed.insert((kind as u32, number, b.protocol));
            table.set(kind, number, None);
        }
    }
    for (i, b) in entries.iter().enumerate().filter(|(_, b)| !b.remove) {
        let name = b.protocol.name();
        for (kind, number) in numbers(b) {
            let what = number_text(kind, number);
            if removed.contains(&(kind as u32, number, b.protocol)) {
                return Err((i, format!("{what} is both added and removed for `{name}`; keep one of them")));
            }
            if let Some(other) = added.insert((kind as u32, number), b.protocol).filter(|o| *o != b.protocol) {
                let both = format!("`{}` and to `{name}`", other.name());
                return Err((
                    i,
                    format!("{what} is given to {both}; a number leads to one protocol, keep one of them"),
                ));
            }
            table.set(kind, number, Some(b.protocol));
        }
    }
    Ok(table)
}

/// The protocol's own numbers in one table.
fn defaults(proto: Proto, kind: Table) -> &'static [u16] {
    let binding = proto.binding();
    match kind {
        Table::Tcp => binding.tcp,
        Table::Udp => binding.udp,
        Table::EtherType => binding.ethertypes,
    }
}

/// Can the protocol come in on this kind of number?
fn suits(b: &SiteBinding) -> Result<(), String> {
    let name = b.protocol.name();
    let defaults = b.protocol.binding();
    let on_layer_2 = !defaults.ethertypes.is_empty();
    let on_ip = !on_layer_2 || !defaults.tcp.is_empty() || !defaults.udp.is_empty();
    if numbers(b).next().is_none() {
        return Err(format!("the binding of `{name}` names no number; give it `tcp`, `udp` or `ethertypes`"));
    }
    if !on_layer_2 && !b.ethertypes.is_empty() {
        return Err(format!("`{name}` runs on TCP or UDP, not directly on Ethernet; use `tcp` or `udp`"));
    }
    if !on_ip && (!b.tcp.is_empty() || !b.udp.is_empty()) {
        return Err(format!("`{name}` runs directly on Ethernet, not on TCP or UDP; use `ethertypes`"));
    }
    Ok(())
}

/// Names of the protocols that a binding can name.
fn root_names() -> String {
    let names: Vec<&str> = Proto::ALL.iter().filter(|p| p.is_root()).map(|p| p.name()).collect();
    names.join(", ")
}

pub(super) fn root_protocol<'de, D: Deserializer<'de>>(d: D) -> Result<Proto, D::Error> {
    let name = String::deserialize(d)?;
    let Some(proto) = Proto::ALL.iter().find(|p| p.name() == name) else {
        return Err(D::Error::custom(format!("unknown protocol `{name}`; known are {}", root_names())));
    };
    if !proto.is_root() {
        return Err(D::Error::custom(format!(
            "`{name}` is carried inside another protocol and has no number of its own; bind that one: {}",
            root_names()
        )));
    }
    Ok(*proto)
}

pub(super) fn ports<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u16>, D::Error> {
    numbers_of(d, "a port is a number from 1 to 65535", |n| n != 0)
}

pub(super) fn ethertypes<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u16>, D::Error> {
    let accepted = "an EtherType is a number from 0x0600 to 0xffff that is not IPv4, IPv6, or a VLAN, HSR or R-TAG tag";
    numbers_of(d, accepted, |n| n >= FIRST_ETHERTYPE && !ENVELOPE.contains(&n))
}

fn numbers_of<'de, D: Deserializer<'de>>(d: D, accepted: &str, ok: fn(u16) -> bool) -> Result<Vec<u16>, D::Error> {
    let wide = Vec::<i64>::deserialize(d)?;
    wide.into_iter()
        .map(|n| u16::try_from(n).ok().filter(|n| ok(*n)).ok_or_else(|| D::Error::custom(format!("{n}: {accepted}"))))
        .collect()
}

pub(super) fn profile<'de, D: Deserializer<'de>>(d: D) -> Result<String, D::Error> {
    check_profile(&String::deserialize(d)?).map_err(D::Error::custom)
}

/// A name that is a part of a row's key and of a command line.
pub(super) fn check_profile(name: &str) -> Result<String, String> {
    let fits = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if fits { Ok(name.to_owned()) } else { Err(format!("`{name}`: a profile is named with letters, digits, - _ .")) }
}

pub(super) fn budget<'de, D: Deserializer<'de>>(d: D) -> Result<f64, D::Error> {
    let n = f64::deserialize(d)?;
    if (0.01..=1000.0).contains(&n) {
        Ok(n)
    } else {
        Err(D::Error::custom(format!("{n}: a budget is 0.01 to 1000 a week")))
    }
}

pub(super) fn min_observed<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
    duration(&String::deserialize(d)?).map_err(D::Error::custom)
}

pub(super) fn sensor_name<'de, D: Deserializer<'de>>(d: D) -> Result<String, D::Error> {
    let name = String::deserialize(d)?;
    if name.trim().is_empty() || name.chars().any(char::is_control) {
        return Err(D::Error::custom("the sensor's name is a text of at least one visible character"));
    }
    Ok(name)
}

pub(super) fn interfaces<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<String>, D::Error> {
    let names = Vec::<String>::deserialize(d)?;
    check_interfaces(&names).map_err(D::Error::custom)?;
    Ok(names)
}

/// Names that the kernel can have (`dev_valid_name`, net/core/dev.c), each once.
pub(super) fn check_interfaces(names: &[String]) -> Result<(), String> {
    for (i, name) in names.iter().enumerate() {
        let wrong = |c: char| c == '/' || c == ':' || c.is_whitespace();
        if name.is_empty() || name.len() >= NAME_SIZE || name == "." || name == ".." || name.contains(wrong) {
            return Err(format!("`{name}` is no name of an interface; `ip link` lists them"));
        }
        if names.iter().take(i).any(|n| n == name) {
            return Err(format!("interface `{name}` is given twice; once is enough"));
        }
    }
    Ok(())
}

pub(super) fn attach_mode<'de, D: Deserializer<'de>>(d: D) -> Result<ModeArg, D::Error> {
    let word = String::deserialize(d)?;
    ModeArg::from_str(&word, false)
        .map_err(|_| D::Error::custom(format!("unknown attach mode `{word}`; write \"native\" or \"skb\"")))
}

/// The word of an attach mode.
pub(crate) fn mode_word(mode: ModeArg) -> &'static str {
    match mode {
        ModeArg::Native => "native",
        ModeArg::Skb => "skb",
    }
}

pub(super) fn flows<'de, D: Deserializer<'de>>(d: D) -> Result<u32, D::Error> {
    check_flows(i64::deserialize(d)?).map_err(D::Error::custom)
}

pub(super) fn check_flows(flows: i64) -> Result<u32, String> {
    u32::try_from(flows).ok().filter(|n| FLOWS_RANGE.contains(n)).ok_or_else(|| {
        format!("{flows} keys cannot be counted; choose from {} to {}", FLOWS_RANGE.start(), FLOWS_RANGE.end())
    })
}

pub(super) fn interval<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
    duration(&String::deserialize(d)?).and_then(check_interval).map_err(D::Error::custom)
}

pub(super) fn check_interval(interval: Duration) -> Result<Duration, String> {
    if (SHORTEST..=LONGEST).contains(&interval) {
        return Ok(interval);
    }
    Err(format!("{} is not between {} and {}", time(interval), time(SHORTEST), time(LONGEST)))
}

pub(super) fn daily<'de, D: Deserializer<'de>>(d: D) -> Result<u64, D::Error> {
    let octets = size(&String::deserialize(d)?).map_err(D::Error::custom)?;
    if octets < DAILY_MIN {
        return Err(D::Error::custom(format!(
            "less than {} a day is not enough to tell what matters",
            size_text(DAILY_MIN)
        )));
    }
    Ok(octets)
}
