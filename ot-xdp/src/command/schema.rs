//! `ot-xdp schema`: the JSON Schema of the events, and the tables behind them as JSON.

mod operations;

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use ot_xdp_common::flags;
use ot_xdp_common::proto::Proto;
use serde::Serialize;
use serde_json::Value;

use crate::cli::{SchemaArg, SchemaArgs};
use crate::detect::{Kind, catalog};
use crate::event;

/// Version of the tables' JSON; raised when a member changes its meaning or goes.
const TABLES_VERSION: u32 = 1;

/// A table with its version.
#[derive(Serialize)]
struct Tables<T> {
    /// See [`TABLES_VERSION`].
    version: u32,
    /// The program that printed it.
    program: &'static str,
    #[serde(flatten)]
    table: T,
}

#[derive(Serialize)]
struct Protocols {
    protocols: Vec<ProtocolRow>,
}

#[derive(Serialize)]
struct ProtocolRow {
    number: u8,
    name: &'static str,
    title: &'static str,
    /// Can a frame begin with it? Others are carried inside one of those.
    root: bool,
    tcp: &'static [u16],
    udp: &'static [u16],
    ethertypes: &'static [u16],
}

#[derive(Serialize)]
struct Flags {
    flags: Vec<FlagRow>,
}

#[derive(Serialize)]
struct FlagRow {
    bit: u32,
    name: &'static str,
    meaning: &'static str,
}

#[derive(Serialize)]
struct Deviations {
    deviations: Vec<DeviationRow>,
    left_out: Vec<LeftOut>,
}

#[derive(Serialize)]
struct DeviationRow {
    id: &'static str,
    action: &'static str,
    family: &'static str,
    severity: &'static str,
    meaning: &'static str,
    next: &'static str,
    techniques: Vec<&'static str>,
}

#[derive(Serialize)]
struct LeftOut {
    deviation: &'static str,
    why: &'static str,
}

fn deviations() -> Deviations {
    let row = |k: &Kind| DeviationRow {
        id: k.id(),
        action: k.word(),
        family: k.family().word(),
        severity: k.severity().word(),
        meaning: k.meaning(),
        next: k.next(),
        techniques: k.techniques().iter().map(|t| t.id()).collect(),
    };
    let left_out = catalog::LEFT_OUT.iter().map(|(deviation, why)| LeftOut { deviation, why }).collect();
    Deviations { deviations: Kind::ALL.iter().map(row).collect(), left_out }
}

/// Runs the subcommand.
///
/// # Errors
/// When nobody takes the output.
pub fn run(args: &SchemaArgs) -> Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    let what = if args.operations { SchemaArg::Operations } else { args.what };
    let value = match what {
        SchemaArg::Events => event::schema::events(),
        SchemaArg::Protocols => table(Protocols { protocols: protocols() })?,
        SchemaArg::Operations => {
            let (head, lines) = operations::table()?;
            writeln!(out, "{}", serde_json::to_string(&head)?)?;
            for line in lines {
                writeln!(out, "{}", serde_json::to_string(&line)?)?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        SchemaArg::Flags => table(Flags { flags: all_flags() })?,
        SchemaArg::Deviations => table(deviations())?,
    };
    serde_json::to_writer_pretty(&mut out, &value)?;
    out.write_all(b"\n")?;
    Ok(ExitCode::SUCCESS)
}

fn table<T: Serialize>(table: T) -> Result<Value> {
    let program = concat!("ot-xdp ", env!("CARGO_PKG_VERSION"));
    Ok(serde_json::to_value(Tables { version: TABLES_VERSION, program, table })?)
}

fn protocols() -> Vec<ProtocolRow> {
    let row = |p: &Proto| {
        let b = p.binding();
        ProtocolRow {
            number: *p as u8,
            name: p.name(),
            title: p.title(),
            root: p.is_root(),
            tcp: b.tcp,
            udp: b.udp,
            ethertypes: b.ethertypes,
        }
    };
    Proto::ALL.iter().map(row).collect()
}

fn all_flags() -> Vec<FlagRow> {
    let row = |(mask, name, meaning): &(u32, &'static str, &'static str)| FlagRow {
        bit: mask.trailing_zeros(),
        name,
        meaning: meaning.trim(),
    };
    flags::ALL.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn protocols_and_flags_are_complete() {
        let rows = protocols();
        assert_eq!(rows.len(), Proto::ALL.len());
        assert!(
            rows.iter()
                .all(|r| r.root == (!r.tcp.is_empty() || !r.udp.is_empty() || !r.ethertypes.is_empty()) || r.root)
        );
        let flags = all_flags();
        assert_eq!(flags.len(), flags::ALL.len());
        let bits: BTreeSet<u32> = flags.iter().map(|f| f.bit).collect();
        assert_eq!(bits.len(), flags.len());
        assert!(flags.iter().all(|f| f.meaning.ends_with('.')));
    }

    #[test]
    fn tables_carry_their_version() {
        let value = table(Flags { flags: all_flags() }).unwrap();
        assert_eq!(value["version"], 1);
        assert_eq!(value["flags"][0]["name"], "split");
    }
}
