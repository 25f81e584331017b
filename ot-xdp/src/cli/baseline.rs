//! Options of `ot-xdp baseline`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::text::duration;

/// What to do with a baseline.
#[derive(Debug, Subcommand)]
pub enum BaselineCommand {
    /// Stations with vendor and role, conversations with what is done in them.
    Show(ShowArgs),
    /// How far learning is, and what a person should look at.
    Status(BaseArgs),
    /// What changed between two baselines: stores, exports, or versions of one store.
    Diff(DiffArgs),
    /// Lock it, after a report: from then on it changes by decisions only.
    Lock(LockArgs),
    /// Accept a member: by the id of an event, its key of de-duplication, or the member's text.
    Accept(DecideArgs),
    /// Refuse a member: it is told each time it comes.
    Reject(DecideArgs),
    /// Print it as sorted text that reads back.
    Export(ExportArgs),
    /// Read an export into a store.
    Import(ImportArgs),
    /// Who decided what and when.
    History(BaseArgs),
    /// Tag what happens in the next time as maintenance; it is told all the same.
    Maintenance(MaintenanceArgs),
}

/// Which baseline.
#[derive(Debug, Args)]
pub struct BaseArgs {
    /// File of the baseline.
    #[arg(value_name = "BASE")]
    pub base: PathBuf,
    /// Which of several baselines in the file.
    #[arg(long, default_value = "default", value_name = "NAME")]
    pub profile: String,
}

/// Options of `show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Which baseline.
    #[command(flatten)]
    pub base: BaseArgs,
    /// Only stations.
    #[arg(long)]
    pub assets: bool,
}

/// Options of `diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// Store or export.
    #[arg(value_name = "A")]
    pub a: PathBuf,
    /// The one to compare with; not needed for two versions of A.
    #[arg(value_name = "B", required_unless_present = "from")]
    pub b: Option<PathBuf>,
    /// Version of A to begin with.
    #[arg(long, value_name = "N", conflicts_with = "b")]
    pub from: Option<u32>,
    /// Version of A to end with; the present state without this.
    #[arg(long, value_name = "N", requires = "from")]
    pub to: Option<u32>,
    /// Which of several baselines in the file.
    #[arg(long, default_value = "default", value_name = "NAME")]
    pub profile: String,
}

/// Options of `lock`.
#[derive(Debug, Args)]
pub struct LockArgs {
    /// Which baseline.
    #[command(flatten)]
    pub base: BaseArgs,
    /// Who.
    #[arg(long, value_name = "NAME")]
    pub by: String,
    /// Accept also what was seen too rarely and what changes the state of a device.
    #[arg(long)]
    pub all: bool,
    /// Ticket or change number.
    #[arg(long)]
    pub ticket: Option<String>,
    /// Observation that a key needs before its cadence is judged.
    #[arg(long, value_parser = duration, default_value = "24h", value_name = "TIME")]
    pub min_observed: Duration,
}

/// Options of `accept` and `reject`.
#[derive(Debug, Args)]
pub struct DecideArgs {
    /// Which baseline.
    #[command(flatten)]
    pub base: BaseArgs,
    /// event.id, otxdp.deviation.dedup or otxdp.deviation.member of an alert; may be several.
    #[arg(value_name = "EVENT", required = true)]
    pub events: Vec<String>,
    /// Who.
    #[arg(long, value_name = "NAME")]
    pub by: String,
    /// Ticket or change number.
    #[arg(long)]
    pub ticket: Option<String>,
}

/// Options of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Which baseline.
    #[command(flatten)]
    pub base: BaseArgs,
    /// Write to this file and not to standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Options of `import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Which baseline.
    #[command(flatten)]
    pub base: BaseArgs,
    /// The export; `-` is standard input.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Who.
    #[arg(long, value_name = "NAME")]
    pub by: String,
}

/// Options of `maintenance`.
#[derive(Debug, Args)]
pub struct MaintenanceArgs {
    /// Which baseline.
    #[command(flatten)]
    pub base: BaseArgs,
    /// How long.
    #[arg(long = "for", value_parser = duration, value_name = "TIME")]
    pub length: Duration,
    /// Name of the window; it is in every event of that time.
    #[arg(long)]
    pub name: String,
    /// Who.
    #[arg(long, value_name = "NAME")]
    pub by: String,
}
