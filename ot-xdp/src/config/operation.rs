//! `[[operation]]`: codes that a site knows better than the function tables.

use std::collections::BTreeSet;

use ot_xdp_common::op::{Class, Kind};
use ot_xdp_common::proto::{Path, Proto};
use serde::de::{Deserialize, Deserializer, Error};

/// A function, and what it is at this site.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteOperation {
    /// Path as in events: `modbus:91`.
    #[serde(deserialize_with = "function")]
    pub function: SiteFunction,
    /// Its class.
    #[serde(deserialize_with = "class")]
    pub class: Class,
    /// Does it change the state of the device or the process?
    pub state_changing: bool,
}

/// A function by its path, with the codes that it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteFunction {
    /// Path as in events.
    pub path: String,
    /// Its protocol.
    pub proto: Proto,
    /// Codes in the encoding of the maps: several where a path leaves out for what object or sub-function it is.
    pub codes: BTreeSet<u32>,
}

impl SiteOperation {
    /// Class and mark in one.
    pub fn kind(&self) -> Kind {
        Kind::new(self.class, self.state_changing)
    }
}

/// The first entry that names a function a second time, with the reason.
pub(super) fn check(entries: &[SiteOperation]) -> Result<(), (usize, String)> {
    let mut seen = BTreeSet::new();
    for (i, entry) in entries.iter().enumerate() {
        if !entry.function.codes.iter().all(|code| seen.insert((entry.function.proto, *code))) {
            return Err((i, format!("`{}` is given twice; once is enough", entry.function.path)));
        }
    }
    Ok(())
}

fn class<'de, D: Deserializer<'de>>(d: D) -> Result<Class, D::Error> {
    let word = String::deserialize(d)?;
    Class::ALL.into_iter().find(|c| c.word() == word).ok_or_else(|| {
        let words = Class::ALL.map(Class::word).join(", ");
        D::Error::custom(format!("unknown class `{word}`; known are {words}"))
    })
}

fn function<'de, D: Deserializer<'de>>(d: D) -> Result<SiteFunction, D::Error> {
    find(&String::deserialize(d)?).map_err(D::Error::custom)
}

/// The codes whose path this is. Paths are not made to be read back: what the protocol lists is looked through and all
/// short codes; then what differs from a listed code in one octet, so that codes outside the tables are found as well.
pub(crate) fn find(path: &str) -> Result<SiteFunction, String> {
    let written = "write it as in events, like `modbus:91` (`ot-xdp schema operations`)";
    let Some((name, _)) = path.split_once(':') else {
        return Err(format!("`{path}` names no function; {written}"));
    };
    let Some(proto) = Proto::ALL.iter().copied().find(|p| p.name() == name) else {
        return Err(format!("unknown protocol `{name}` in `{path}`; {written}"));
    };
    let mut listed = BTreeSet::new();
    proto.rows(&mut |row| {
        listed.insert(row.function);
    });
    let is_it = |function: &u32| Path { proto: proto as u8, function: *function }.to_string() == path;
    let mut codes: BTreeSet<u32> = listed.iter().copied().chain(0..=0xFFFF).filter(is_it).collect();
    if codes.is_empty() {
        let near = |code: u32, shift: u32| (0..=0xFF).map(move |octet| code & !(0xFF << shift) | octet << shift);
        let all = listed.iter().flat_map(|code| [0, 8, 16, 24].map(|shift| near(*code, shift))).flatten();
        codes = all.filter(is_it).collect();
    }
    if codes.is_empty() {
        return Err(format!("no function of `{name}` has the path `{path}`; {written}"));
    }
    if codes.len() > CODES_MAX {
        // A protocol that writes every code in the same way has one function.
        codes.retain(|code| listed.contains(code));
    }
    Ok(SiteFunction { path: path.to_owned(), proto, codes })
}

/// More codes than a function with its objects and sub-functions has.
const CODES_MAX: usize = 2_048;
