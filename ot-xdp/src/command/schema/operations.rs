//! The operation table: every function of every protocol with its class, what it is consistent with in ATT&CK for ICS,
//! and where the knowledge comes from. JSON lines: one for the table itself, then one for each function.
//!
//! Codes, names and classes are the parsers' own; techniques and sources are data in `data/techniques.toml`. The version
//! rises with every change: `data/operations.version` has a line for each, and a test compares its digest.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use ot_xdp_common::proto::{Proto, Row};
use serde::{Deserialize, Serialize};

const TECHNIQUES: &str = include_str!("../../../data/techniques.toml");
const VERSIONS: &str = include_str!("../../../data/operations.version");

/// First line: the table itself.
#[derive(Serialize)]
pub struct Head {
    table: &'static str,
    /// Raised with every change of a line.
    pub version: u32,
    /// The matrix that the techniques belong to.
    attack: String,
    program: &'static str,
}

/// One function.
#[derive(Serialize)]
pub struct Line {
    /// Name of the protocol.
    pub protocol: &'static str,
    /// Path as in events: behind the protocol's name; empty for a protocol with one function.
    pub function: String,
    /// The function in the encoding of the maps: several where one service is told apart by the object it is for. Each is
    /// in one line.
    pub codes: Vec<u32>,
    /// Name in the protocol's own words.
    pub name: &'static str,
    /// Operation class.
    pub class: &'static str,
    /// Does it change the state of the device or the process?
    pub state_changing: bool,
    /// What else the same code stands for, by what it is applied to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Other>,
    /// Techniques that it is consistent with: hints, never verdicts.
    pub techniques: Vec<String>,
    /// Specification, or the public description that the line rests on.
    pub source: String,
}

/// Another meaning of a code.
#[derive(Serialize)]
pub struct Other {
    name: &'static str,
    class: &'static str,
    state_changing: bool,
}

/// `data/techniques.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Data {
    matrix: String,
    class: BTreeMap<String, ByChange>,
    source: BTreeMap<String, String>,
    except: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ByChange {
    changes: Vec<String>,
    keeps: Vec<String>,
}

impl Data {
    fn techniques(&self, proto: Proto, row: &Row) -> Vec<String> {
        if let Some(own) = self.except.get(proto.name()).and_then(|names| names.get(row.name)) {
            return own.clone();
        }
        let class = self.class.get(row.class.word());
        class.map(|c| if row.state_changing { &c.changes } else { &c.keeps }).cloned().unwrap_or_default()
    }
}

/// The table.
///
/// # Errors
/// When the data of the build cannot be read, which its tests rule out.
pub fn table() -> Result<(Head, Vec<Line>)> {
    let data: Data = toml::from_str(TECHNIQUES).context("data/techniques.toml")?;
    let version = versions().last().map_or(0, |(version, _)| version);
    let program = concat!("ot-xdp ", env!("CARGO_PKG_VERSION"));
    let head = Head { table: "operations", version, attack: data.matrix.clone(), program };
    Ok((head, lines(&data)))
}

/// The lines of all function tables; those that people cannot tell apart are one, with all their codes, and so are those
/// that have the same code.
fn lines(data: &Data) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for proto in Proto::ALL {
        let first = lines.len();
        proto.rows(&mut |row| {
            let mut function = String::new();
            // Writing to a `String` does not fail.
            let _ = proto.path(row.function, &mut function);
            let (class, state_changing) = (row.class.word(), row.state_changing);
            let mut of_proto = lines.iter_mut().skip(first);
            if let Some(known) = of_proto.find(|l| l.codes.contains(&row.function)) {
                known.also.push(Other { name: row.name, class, state_changing });
                return;
            }
            let same = |l: &&mut Line| {
                (l.function.as_str(), l.name, l.class, l.state_changing) == (&function, row.name, class, state_changing)
            };
            match lines.iter_mut().skip(first).find(same) {
                Some(known) => known.codes.push(row.function),
                None => lines.push(Line {
                    protocol: proto.name(),
                    function,
                    codes: vec![row.function],
                    name: row.name,
                    class,
                    state_changing,
                    also: Vec::new(),
                    techniques: data.techniques(*proto, &row),
                    source: data.source.get(proto.name()).cloned().unwrap_or_default(),
                }),
            }
        });
    }
    lines
}

/// Versions with the digests of their tables.
fn versions() -> impl Iterator<Item = (u32, &'static str)> {
    VERSIONS.lines().filter_map(|l| l.split_once(' ')).filter_map(|(v, digest)| Some((v.parse().ok()?, digest)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use sha1::{Digest, Sha1};

    use super::*;

    /// Ids that the matrix does not have any more.
    const DEPRECATED: [&str; 12] =
        ["T0808", "T0810", "T0818", "T0824", "T0825", "T0833", "T0841", "T0844", "T0850", "T0854", "T0870", "T0875"];

    #[test]
    fn every_row_of_every_protocol_is_there_once() {
        let (_, lines) = table().unwrap();
        let (mut names, mut codes) = (BTreeSet::new(), BTreeSet::new());
        for l in &lines {
            assert!(!l.name.is_empty(), "{} {:x?}", l.protocol, l.codes);
            let name = format!("{} {}", l.function, l.name);
            assert!(names.insert((l.protocol, name)), "{} {} {} twice", l.protocol, l.function, l.name);
            for code in &l.codes {
                assert!(codes.insert((l.protocol, *code)), "{} {code:#x} twice", l.protocol);
            }
        }
        for proto in Proto::ALL {
            let mut count = 0;
            proto.rows(&mut |_| count += 1);
            let of_proto = lines.iter().filter(|l| l.protocol == proto.name());
            assert_eq!(of_proto.map(|l| l.codes.len() + l.also.len()).sum::<usize>(), count, "{}", proto.name());
            // The parser of IT protocols has only its members' functions, and RTU framing those of Modbus.
            let of_others = [Proto::It, Proto::ModbusRtu].contains(proto);
            assert!(count > 0 || of_others, "{} has no rows", proto.name());
        }
    }

    #[test]
    fn every_line_has_a_source_and_what_changes_state_a_technique() {
        for l in table().unwrap().1 {
            assert!(!l.source.is_empty(), "data/techniques.toml, [source]: `{}` is missing", l.protocol);
            assert!(!l.state_changing || !l.techniques.is_empty(), "{}: {} has no technique", l.protocol, l.name);
            for id in &l.techniques {
                let number = id.strip_prefix('T').filter(|n| n.len() == 4 && n.bytes().all(|b| b.is_ascii_digit()));
                assert!(number.is_some(), "{}: {} has `{id}`", l.protocol, l.name);
                assert!(!DEPRECATED.contains(&id.as_str()), "{}: {} has {id}, which is deprecated", l.protocol, l.name);
            }
        }
    }

    #[test]
    fn every_exception_is_for_a_function_that_exists() {
        let data: Data = toml::from_str(TECHNIQUES).unwrap();
        for (protocol, names) in &data.except {
            let proto = Proto::ALL.iter().find(|p| p.name() == protocol).unwrap_or_else(|| panic!("{protocol}"));
            let mut have = BTreeSet::new();
            proto.rows(&mut |row| {
                have.insert(row.name);
            });
            for name in names.keys() {
                assert!(have.contains(name.as_str()), "[except.{protocol}]: no function is named \"{name}\"");
            }
        }
        let classes: BTreeSet<&str> = data.class.keys().map(String::as_str).collect();
        let all: BTreeSet<&str> = ot_xdp_common::op::Class::ALL.iter().map(|c| c.word()).collect();
        assert_eq!(classes, all);
    }

    #[test]
    fn the_version_belongs_to_the_table() {
        let (head, lines) = table().unwrap();
        let mut hash = Sha1::new();
        hash.update(&head.attack);
        for l in &lines {
            hash.update(serde_json::to_string(l).unwrap());
        }
        let digest: String = hash.finalize().iter().take(8).map(|b| format!("{b:02x}")).collect();
        let known: Vec<_> = versions().collect();
        assert!(known.iter().zip(1..).all(|((version, _), n)| *version == n), "versions count from 1");
        assert_eq!(
            known.last().map(|(_, d)| *d),
            Some(digest.as_str()),
            "the table has changed: append `{} {digest}` to data/operations.version",
            head.version + 1
        );
    }
}
