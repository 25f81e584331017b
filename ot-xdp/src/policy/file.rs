//! The policy as it is written: `[policy]`, `[[zone]]`, `[[rule]]`, `[[window]]`. Values are taken as text here; what is
//! wrong with them is found by [`super::resolve`], all of it at once.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

use super::preset::Preset;

/// `[policy]`
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PolicySection {
    /// Lines behind those of the file.
    #[serde(deserialize_with = "preset")]
    pub preset: Preset,
    /// What happens to a refused TCP segment.
    #[serde(deserialize_with = "refuse")]
    pub refuse: Refuse,
    /// Age of the heartbeat at which the kernel passes everything.
    #[serde(deserialize_with = "dead_man")]
    pub dead_man: Option<Duration>,
    /// Line of the file, 0 when it was not read from one.
    #[serde(skip)]
    pub line: usize,
}

/// What happens to a refused TCP segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Refuse {
    /// Both ends learn at once that the connection is gone.
    #[default]
    Reset,
    /// Silence: the sender tries again until it gives up.
    Drop,
}

/// `[[zone]]`
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ZoneEntry {
    /// Name in rules and events.
    pub name: String,
    /// Purdue level: 0 to 5, also 3.5.
    #[serde(deserialize_with = "one_text")]
    pub level: Option<String>,
    /// `it`, `dmz` or `ot`.
    pub side: String,
    /// Ports of the bridge.
    pub ports: Vec<String>,
    /// VLAN ids.
    pub vlans: Vec<i64>,
    /// MAC addresses.
    pub macs: Vec<String>,
    /// Addresses and prefixes.
    pub prefixes: Vec<String>,
    /// Line of the file, 0 when it was not read from one.
    #[serde(skip)]
    pub line: usize,
}

/// `[[rule]]`
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuleEntry {
    /// Source: names of zones, `unzoned`, `side:it`, or `any`.
    #[serde(deserialize_with = "texts")]
    pub from: Vec<String>,
    /// Destination, like `from`.
    #[serde(deserialize_with = "texts")]
    pub to: Vec<String>,
    /// Names of protocols; none for any.
    #[serde(deserialize_with = "texts")]
    pub protocol: Vec<String>,
    /// Words of classes, `state-changing`, or `any`; none for any.
    #[serde(deserialize_with = "texts")]
    pub class: Vec<String>,
    /// Paths of functions, as events print them.
    #[serde(deserialize_with = "texts")]
    pub function: Vec<String>,
    /// Unit ids: `3` or `"1-5"`.
    #[serde(deserialize_with = "one_text")]
    pub unit: Option<String>,
    /// Addresses: `7` or `"0x00-0x63"`.
    #[serde(deserialize_with = "one_text")]
    pub address: Option<String>,
    /// Source address or prefix.
    pub source: Option<String>,
    /// Destination address or prefix.
    pub destination: Option<String>,
    /// Words of conditions, instead of protocol and class.
    #[serde(deserialize_with = "texts")]
    pub condition: Vec<String>,
    /// `allow`, `alert` or `deny`.
    pub action: String,
    /// Why the rule is there.
    pub reason: String,
    /// Who answers for it.
    pub owner: String,
    /// Ticket or change number.
    pub ticket: Option<String>,
    /// RFC 3339 time at which it ends.
    pub expires: Option<String>,
    /// Name of the window in which alone it holds.
    pub window: Option<String>,
    /// Line of the file, 0 when it was not read from one.
    #[serde(skip)]
    pub line: usize,
}

/// `[[window]]`
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WindowEntry {
    /// Name in rules.
    pub name: String,
    /// Days on which it begins: `mon` to `sun`.
    #[serde(deserialize_with = "texts")]
    pub days: Vec<String>,
    /// Time of day, `22:00`.
    pub from: String,
    /// Time of day at which it ends; not after `from` means on the next day.
    pub to: String,
    /// `utc` or `local`.
    pub timezone: Option<String>,
    /// Line of the file, 0 when it was not read from one.
    #[serde(skip)]
    pub line: usize,
}

fn preset<'de, D: Deserializer<'de>>(d: D) -> Result<Preset, D::Error> {
    let word = String::deserialize(d)?;
    Preset::ALL.into_iter().find(|p| p.word() == word).ok_or_else(|| {
        let words = Preset::ALL.map(Preset::word).join(", ");
        D::Error::custom(format!("unknown preset `{word}`; known are {words}"))
    })
}

fn refuse<'de, D: Deserializer<'de>>(d: D) -> Result<Refuse, D::Error> {
    match String::deserialize(d)?.as_str() {
        "reset" => Ok(Refuse::Reset),
        "drop" => Ok(Refuse::Drop),
        word => Err(D::Error::custom(format!("`{word}` is no way to refuse; write \"reset\" or \"drop\""))),
    }
}

fn dead_man<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(d)?;
    let time = crate::text::duration(&text).map_err(D::Error::custom)?;
    if time < Duration::from_secs(1) || time > Duration::from_secs(3_600) {
        return Err(D::Error::custom(format!("`{text}` is not between 1s and 1h")));
    }
    Ok(Some(time))
}

/// A text, a number, or a list of them.
struct Texts<T>(PhantomData<T>);

impl<'de> Visitor<'de> for Texts<Vec<String>> {
    type Value = Vec<String>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a list of strings")
    }
    fn visit_str<E: Error>(self, v: &str) -> Result<Vec<String>, E> {
        Ok(vec![v.to_owned()])
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<String>, A::Error> {
        let mut all = Vec::new();
        while let Some(text) = seq.next_element::<String>()? {
            all.push(text);
        }
        if all.is_empty() {
            return Err(A::Error::custom("the list is empty; leave the key out or name something"));
        }
        Ok(all)
    }
}

impl Visitor<'_> for Texts<String> {
    type Value = String;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, or a string like \"1-5\"")
    }
    fn visit_str<E: Error>(self, v: &str) -> Result<String, E> {
        Ok(v.to_owned())
    }
    fn visit_i64<E: Error>(self, v: i64) -> Result<String, E> {
        Ok(v.to_string())
    }
    fn visit_f64<E: Error>(self, v: f64) -> Result<String, E> {
        Ok(v.to_string())
    }
}

fn texts<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<String>, D::Error> {
    d.deserialize_any(Texts::<Vec<String>>(PhantomData))
}

fn one_text<'de, D: Deserializer<'de>>(d: D) -> Result<Option<String>, D::Error> {
    d.deserialize_any(Texts::<String>(PhantomData)).map(Some)
}
