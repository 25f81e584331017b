//! Subcommands and options. Data goes to standard output, logs to standard error; exit codes: 0 done, 1 runtime error,
//! 2 usage or configuration error.

pub mod baseline;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::text::{PairNames, duration};
use clap::{Args, Parser, Subcommand, ValueEnum};

/// See, count and judge every industrial protocol command, inside the Linux kernel.
#[derive(Debug, Parser)]
#[command(name = "ot-xdp", version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Log more (-v: debug, -vv: trace); `OT_XDP_LOG` takes a filter.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Colour of logs and help.
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    pub color: Color,
}

/// When to use colour. `NO_COLOR` is honoured in `auto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Classify the frames of interfaces and stream events.
    Run(RunArgs),
    /// Classify the frames of capture files: same parsers, same events.
    Replay(ReplayArgs),
    /// Check a configuration and say what it means.
    Check(CheckArgs),
    /// Read a policy out, or try it on captures.
    Policy {
        /// What to do with it.
        #[command(subcommand)]
        command: PolicyCommand,
    },
    /// Look at a baseline, lock it, decide about members.
    Baseline {
        /// What to do with it.
        #[command(subcommand)]
        command: baseline::BaselineCommand,
    },
    /// Ask a policy what becomes of a payload, and why.
    Explain(ExplainArgs),
    /// Tell whether this host can run the sensor, and what to do where it cannot.
    Doctor(DoctorArgs),
    /// Print the JSON Schema of the events, the configuration, or the tables behind them.
    Schema(SchemaArgs),
    /// Take every program of ot-xdp off every interface, at once: the way back. Needs no running loader.
    Detach(DetachArgs),
    /// Ask the running loader what it does and what it has counted.
    Status(StatusArgs),
    /// Change the mode of the running gateway.
    Mode(ModeArgs),
    /// Confirm an arming that would be undone otherwise.
    Confirm(ByArgs),
    /// Have the running loader read its configuration again; a wrong one leaves the old policy in force.
    Reload(ByArgs),
    /// Print the complete configuration with its defaults.
    Config,
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page.
    Man,
}

/// Options of `run`.
#[derive(Debug, Default, Args)]
pub struct RunArgs {
    /// Configuration file (TOML). Not needed for a first run.
    #[arg(short, long)]
    pub config: Option<PathBuf>,
    /// Interface to listen on; may be given several times.
    #[arg(short, long = "interface", value_name = "IF")]
    pub interfaces: Vec<String>,
    /// How to attach: in the driver, or behind it (slower; frames may be merged).
    #[arg(long, value_enum)]
    pub attach_mode: Option<ModeArg>,
    /// Where an interface cannot run XDP in its driver, attach behind it and say so in every health event.
    #[arg(long)]
    pub allow_fallback: bool,
    /// Open tunnels (VXLAN, GRE, ERSPAN): judge the frame inside, not the one around it.
    #[arg(long)]
    pub tunnels: bool,
    /// Stop after this time, e.g. `20s`, `10m`, `1h`.
    #[arg(long, value_parser = duration)]
    pub duration: Option<Duration>,
    /// Time between flow summaries.
    #[arg(long, value_parser = duration)]
    pub interval: Option<Duration>,
    /// Conversation-and-function keys that can be counted.
    #[arg(long)]
    pub flows: Option<u32>,
    /// Where events go, instead of standard output and of what the configuration names: `stdout`, `file:PATH`,
    /// `syslog:HOST:PORT`, `nats:HOST:PORT`, ... with the keys of a `[[sink]]` behind, e.g. `,format=cef,min_severity=47`. May
    /// be given several times.
    #[arg(short, long = "output", value_name = "SINK")]
    pub outputs: Vec<String>,
    /// Leave program and counters in the kernel at the end, pinned below this directory: the next start goes on with them
    /// without a frame between. `ot-xdp detach` takes them off.
    #[arg(long, num_args = 0..=1, require_equals = true, value_name = "DIR")]
    pub pin: Option<Option<PathBuf>>,
    /// Socket for `ot-xdp status` and the other commands that ask a running loader; /run/ot-xdp/control.sock without this.
    #[arg(long, value_name = "PATH")]
    pub control: Option<PathBuf>,
    /// File that keeps what is normal here: learned until it is locked, then judged by. `ot-xdp baseline` shows it.
    #[arg(long, value_name = "BASE")]
    pub baseline: Option<PathBuf>,
    /// Which of several baselines in the file.
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Print a readable summary to standard error at the end.
    #[arg(long)]
    pub summary: bool,
    /// Gateway.
    #[command(flatten)]
    pub gate: GateArgs,
}

/// Options of commands that ask a running loader.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The loader's control socket, where `run --control` was given one.
    #[arg(long, value_name = "PATH")]
    pub control: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of commands that change something in a running loader.
#[derive(Debug, Args)]
pub struct ByArgs {
    /// Who asks: it is in the audit event.
    #[arg(long, value_name = "NAME")]
    pub by: String,
    /// The loader's control socket, where `run --control` was given one.
    #[arg(long, value_name = "PATH")]
    pub control: Option<PathBuf>,
}

/// Options of `mode`.
#[derive(Debug, Args)]
pub struct ModeArgs {
    /// The mode.
    #[arg(value_enum)]
    pub mode: GateMode,
    /// Undo the arming (mode enforce) after this time unless `ot-xdp confirm` confirms it.
    #[arg(long, value_parser = duration, value_name = "TIME")]
    pub confirm_within: Option<Duration>,
    /// Ticket or change number.
    #[arg(long)]
    pub ticket: Option<String>,
    /// Who, and which loader.
    #[command(flatten)]
    pub by: ByArgs,
}

/// Options of `policy permit`.
#[derive(Debug, Args)]
pub struct PermitArgs {
    /// Source address.
    #[arg(long, value_name = "ADDRESS", value_parser = crate::text::address)]
    pub from: IpAddr,
    /// Destination address.
    #[arg(long, value_name = "ADDRESS", value_parser = crate::text::address)]
    pub to: IpAddr,
    /// Protocol, by the name that events have.
    #[arg(long)]
    pub protocol: String,
    /// Class of operations; may be given several times. Without it every operation of the protocol.
    #[arg(long)]
    pub class: Vec<String>,
    /// How long, e.g. `30m`; at most a day. It ends in the kernel, also when this program is dead by then.
    #[arg(long = "for", value_parser = duration, value_name = "TIME")]
    pub length: Duration,
    /// Ticket or change number.
    #[arg(long)]
    pub ticket: String,
    /// Why.
    #[arg(long)]
    pub reason: Option<String>,
    /// Who, and which loader.
    #[command(flatten)]
    pub by: ByArgs,
}

/// Options of `policy revoke`.
#[derive(Debug, Args)]
pub struct RevokeArgs {
    /// Number of the permit.
    pub id: u64,
    /// Who, and which loader.
    #[command(flatten)]
    pub by: ByArgs,
}

/// Options of `detach`.
#[derive(Debug, Args)]
pub struct DetachArgs {
    /// Directory of pins, where `run --pin` was given one.
    #[arg(long, value_name = "DIR")]
    pub pin: Option<PathBuf>,
}

/// Options of a gateway: `run --bridge br0 --it-port p1 --ot-port p2 --mode enforce` protects p2 from writes.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Gateway")]
pub struct GateArgs {
    /// Bridge between the zones: every port of it is watched, and ports that come and go are followed.
    #[arg(long, value_name = "BRIDGE")]
    pub bridge: Option<String>,
    /// Port towards the business network; may be given several times.
    #[arg(long = "it-port", value_name = "IF")]
    pub it_ports: Vec<String>,
    /// Port towards the plant; may be given several times.
    #[arg(long = "ot-port", value_name = "IF")]
    pub ot_ports: Vec<String>,
    /// Two interfaces without a bridge, the one towards IT first, e.g. `it0:ot0`: what passes goes out of the other one.
    /// May be given several times. Without --pin the pair is closed when this program ends.
    #[arg(long = "pair", value_name = "IF:IF", conflicts_with_all = ["bridge", "it_ports", "ot_ports"])]
    pub pairs: Vec<PairNames>,
    /// What happens to what the policy denies: nothing is looked up, it is reported, or it is refused.
    #[arg(long, value_enum, default_value_t = GateMode::Monitor)]
    pub mode: GateMode,
    /// Undo the arming (mode enforce) after this time unless it is confirmed with SIGUSR1.
    #[arg(long, value_parser = duration, value_name = "TIME")]
    pub confirm_within: Option<Duration>,
    /// Age of the loader's last sign of life at which the kernel passes everything by itself; 2s where the policy does not
    /// say another time.
    #[arg(long, value_parser = duration, value_name = "TIME")]
    pub dead_man: Option<Duration>,
}

/// Modes of a gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum GateMode {
    /// Everything passes, nothing is looked up.
    #[default]
    Monitor,
    /// Everything passes; what would be refused is reported.
    Shadow,
    /// What the policy denies is refused.
    Enforce,
}

impl GateMode {
    /// The word on the command line and in requests.
    pub const fn word(self) -> &'static str {
        match self {
            GateMode::Monitor => "monitor",
            GateMode::Shadow => "shadow",
            GateMode::Enforce => "enforce",
        }
    }
}

/// Attach modes by the names that XDP tools use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ModeArg {
    /// In the driver.
    Native,
    /// On socket buffers (generic).
    Skb,
}

/// Options of `replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Capture files: pcap or pcapng, plain, gzip or zstd; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Configuration file (TOML).
    #[arg(short, long)]
    pub config: Option<PathBuf>,
    /// What classifies: the kernel program by test runs (needs privileges), or its parsers in this process.
    #[arg(long, value_enum, default_value_t = EngineArg::User)]
    pub engine: EngineArg,
    /// Print one record for each frame instead of events.
    #[arg(long)]
    pub frames: bool,
    /// Open tunnels (VXLAN, GRE, ERSPAN): judge the frame inside, not the one around it.
    #[arg(long)]
    pub tunnels: bool,
    /// Time between flow summaries, in the time of the capture.
    #[arg(long, value_parser = duration)]
    pub interval: Option<Duration>,
    /// Learn a baseline from the captures, as one history in the order of time, into this file.
    #[arg(long, value_name = "BASE", conflicts_with = "frames")]
    pub learn: Option<PathBuf>,
    /// Judge the captures by the baseline in this file, which stays as it is.
    #[arg(long, value_name = "BASE", conflicts_with_all = ["frames", "learn"])]
    pub baseline: Option<PathBuf>,
    /// Which of several baselines in the file.
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Only alerts: no flow summaries, first-seen functions and health events.
    #[arg(long)]
    pub alerts_only: bool,
    /// Print a readable summary to standard error at the end.
    #[arg(long)]
    pub summary: bool,
}

/// What classifies in `replay`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EngineArg {
    /// The real kernel program.
    Kernel,
    /// The same parsers in this process.
    User,
}

/// Options of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Configuration file (TOML).
    #[arg(short, long)]
    pub config: PathBuf,
}

/// What to do with a policy.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Read the policy out: from zone to zone, one sentence a line.
    Show(ShowArgs),
    /// Say what the policy would have denied and reported in captured traffic.
    Simulate(SimulateArgs),
    /// Let one host do something to another one for some time, at the running gateway.
    Permit(PermitArgs),
    /// List the permits that are in force.
    Permits(StatusArgs),
    /// End a permit before its time.
    Revoke(RevokeArgs),
}

/// Options of `policy show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Configuration file (TOML).
    #[arg(short, long)]
    pub config: Option<PathBuf>,
    /// Without a file: port towards the business network; may be given several times.
    #[arg(long = "it-port", value_name = "IF", conflicts_with = "config")]
    pub it_ports: Vec<String>,
    /// Without a file: port towards the plant; may be given several times.
    #[arg(long = "ot-port", value_name = "IF", conflicts_with = "config")]
    pub ot_ports: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `policy simulate`.
#[derive(Debug, Args)]
pub struct SimulateArgs {
    /// Configuration file (TOML).
    #[arg(short, long)]
    pub config: PathBuf,
    /// Capture files: pcap or pcapng, plain, gzip or zstd; `-` is standard input.
    #[arg(long, num_args = 1.., value_name = "FILE", required_unless_present_any = ["baseline", "live"])]
    pub captures: Vec<PathBuf>,
    /// Flow events that `run` or `replay` wrote: what a sensor has counted so far; `-` is standard input.
    #[arg(long, num_args = 1.., value_name = "FILE")]
    pub baseline: Vec<PathBuf>,
    /// The traffic of this bridge, as long as --duration: the kernel program looks it up and passes everything.
    #[arg(long, value_name = "BRIDGE", conflicts_with_all = ["captures", "baseline"], requires = "duration")]
    pub live: Option<String>,
    /// How long to look at live traffic, e.g. `10m`.
    #[arg(long, value_parser = duration, requires = "live")]
    pub duration: Option<Duration>,
    /// Port of a zone on which all frames come in. Without it zones are found by VLAN, MAC address and prefix only.
    #[arg(long = "in", value_name = "PORT")]
    pub port_name: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Configuration file (TOML).
    #[arg(short, long)]
    pub config: PathBuf,
    /// Source address.
    #[arg(long, value_name = "ADDRESS", value_parser = crate::text::address)]
    pub from: IpAddr,
    /// Destination address.
    #[arg(long, value_name = "ADDRESS", value_parser = crate::text::address)]
    pub to: IpAddr,
    /// Destination port.
    #[arg(long)]
    pub port: u16,
    /// Source port.
    #[arg(long, default_value_t = 49_152)]
    pub source_port: u16,
    /// UDP instead of TCP.
    #[arg(long)]
    pub udp: bool,
    /// Port of a zone on which it comes in.
    #[arg(long = "in", value_name = "PORT")]
    pub port_name: Option<String>,
    /// VLAN id.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=4094))]
    pub vlan: Option<u16>,
    /// Source MAC address.
    #[arg(long, value_name = "MAC", value_parser = crate::text::mac)]
    pub from_mac: Option<u64>,
    /// Destination MAC address.
    #[arg(long, value_name = "MAC", value_parser = crate::text::mac)]
    pub to_mac: Option<u64>,
    /// Payload in hexadecimal; given several times, segments or datagrams of one connection in order.
    #[arg(long, required = true, value_name = "OCTETS", value_parser = crate::text::octets)]
    pub hex: Vec<Vec<u8>>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Interface to look at; all of them without this.
    #[arg(short, long = "interface", value_name = "IF")]
    pub interfaces: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `schema`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// What to print.
    #[arg(value_enum, default_value_t = SchemaArg::Events)]
    pub what: SchemaArg,
    /// The same as `schema operations`.
    #[arg(long, conflicts_with = "what")]
    pub operations: bool,
}

/// What `schema` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SchemaArg {
    /// JSON Schema of every event.
    Events,
    /// Every protocol with its ports and EtherTypes.
    Protocols,
    /// Every operation, as JSON lines: protocol, function, codes, name, class, state-changing, ATT&CK techniques, source.
    Operations,
    /// Every frame flag with its meaning.
    Flags,
    /// Every kind of deviation with its id, severity, meaning and techniques, and what is left out.
    Deviations,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
