//! `ot-xdp policy` and `ot-xdp explain`: a policy read out, tried on captures, and asked about one payload.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::bindings::BindingTable;
use crate::capture::Capture;
use crate::cli::{ExplainArgs, PolicyCommand, ShowArgs, SimulateArgs};
use crate::config::{Config, ConfigError};
use crate::policy::explain::{self, Question};
use crate::policy::packet::Envelope;
use crate::policy::recorded::Functions;
use crate::policy::simulate::{self, Simulation};
use crate::policy::{Now, Policy, show};

/// Shortest frame that can be judged: an Ethernet header.
const FRAME_MIN: usize = 14;

/// Runs a subcommand of `policy`.
///
/// # Errors
/// See [`PolicyCommand`]'s functions.
pub fn run(command: &PolicyCommand) -> Result<ExitCode> {
    match command {
        PolicyCommand::Show(args) => show(args),
        PolicyCommand::Simulate(args) => simulate(args),
        PolicyCommand::Permit(args) => super::operate::permit(args),
        PolicyCommand::Permits(args) => super::operate::permits(args),
        PolicyCommand::Revoke(args) => super::operate::revoke(args),
    }
}

fn option(option: &'static str, reason: impl Into<String>) -> ConfigError {
    ConfigError::Option { option, reason: reason.into() }
}

/// The policy of a file, and what its frames are named by.
fn load(file: &Path) -> Result<(Policy, BindingTable)> {
    let config = Config::load(file)?;
    let policy = Policy::from_config(&config)
        .map_err(|problems| ConfigError::Policy { file: file.to_owned(), problems })?
        .ok_or_else(|| option("--config", format!("{} has no policy; write [policy] and [[zone]]", file.display())))?;
    Ok((policy, config.bindings()?))
}

/// Reads a policy out.
fn show(args: &ShowArgs) -> Result<ExitCode> {
    let policy = match &args.config {
        Some(file) => load(file)?.0,
        None if !args.ot_ports.is_empty() => Policy::simple(&args.it_ports, &args.ot_ports),
        None => {
            let reason = "none given; name a file, or the ports of a gateway without one with --it-port and --ot-port";
            return Err(option("--config", reason).into());
        }
    };
    let text = if args.json { serde_json::to_string_pretty(&show::json(&policy))? + "\n" } else { show::text(&policy) };
    print(&text)
}

fn print(text: &str) -> Result<ExitCode> {
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// Asks a policy about one payload, or several of one connection.
///
/// # Errors
/// A wrong configuration or option, or nobody takes the output.
pub fn explain(args: &ExplainArgs) -> Result<ExitCode> {
    let (policy, bindings) = load(&args.config)?;
    if args.from.is_ipv4() != args.to.is_ipv4() {
        return Err(option("--to", "is not of the same family as --from; give two IPv4 or two IPv6 addresses").into());
    }
    let envelope = Envelope {
        src: args.from,
        dst: args.to,
        src_mac: args.from_mac.unwrap_or(LOCAL_MAC),
        dst_mac: args.to_mac.unwrap_or(LOCAL_MAC + 1),
        vlan: args.vlan,
        sport: args.source_port,
        dport: args.port,
        udp: args.udp,
    };
    let question = Question { envelope, port: args.port_name.clone(), payloads: args.hex.clone() };
    let ports = explain::ports(&policy);
    let port = explain::port_number(&ports, question.port.as_deref()).map_err(|reason| option("--in", reason))?;
    let now = Now::read();
    let compiled = policy.compile(now, &ports)?;
    let answers = explain::explain(&compiled, bindings, &question, port, now.monotonic_ns);
    if args.json {
        return print(&(serde_json::to_string_pretty(&answers)? + "\n"));
    }
    print(&explain::text(&answers, args.from, args.to))
}

/// A MAC address that nobody has (IEEE 802 cl. 8.4.2: locally administered).
const LOCAL_MAC: u64 = 0x0200_0000_0001;

/// Tries a policy on captures, on flow events, or on live traffic.
fn simulate(args: &SimulateArgs) -> Result<ExitCode> {
    if let Some(bridge) = &args.live {
        let report = super::live::simulate(&args.config, bridge, args.duration)?;
        let text = if args.json { serde_json::to_string_pretty(&report)? + "\n" } else { simulate::text(&report) };
        return print(&text);
    }
    let (policy, bindings) = load(&args.config)?;
    let ports = explain::ports(&policy);
    let port = explain::port_number(&ports, args.port_name.as_deref()).map_err(|reason| option("--in", reason))?;
    let mut simulation = Simulation::new(&policy, bindings, ports, port);
    let mut faults = 0;
    for file in &args.captures {
        simulation.next_capture();
        faults += frames(file, &mut simulation)?;
    }
    let mut functions = Functions::default();
    for file in &args.baseline {
        faults += events(file, &mut simulation, &mut functions)?;
    }
    let report = simulation.finish();
    let text = if args.json { serde_json::to_string_pretty(&report)? + "\n" } else { simulate::text(&report) };
    print(&text)?;
    Ok(if faults == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs the events of one file; returns the number of faults.
fn events(file: &Path, simulation: &mut Simulation<'_>, functions: &mut Functions) -> Result<u32> {
    let open = || -> std::io::Result<Box<dyn BufRead>> {
        Ok(if file == Path::new("-") {
            Box::new(BufReader::new(std::io::stdin()))
        } else {
            Box::new(BufReader::new(File::open(file)?))
        })
    };
    let mut flows = 0u64;
    let mut faults = 0;
    for (n, line) in (1..).zip(open().with_context(|| format!("cannot read {}", file.display()))?.lines()) {
        let line = line.with_context(|| format!("cannot read {}", file.display()))?;
        match serde_json::from_str(&line) {
            Ok(event) => flows += u64::from(simulation.event(&event, functions)?),
            Err(e) => {
                tracing::error!("{}:{n}: no event: {e}", file.display());
                faults += 1;
            }
        }
    }
    if flows == 0 {
        tracing::error!("{}: holds no flow events", file.display());
        faults += 1;
    }
    Ok(faults)
}

/// Runs the frames of one capture; returns the number of faults.
fn frames(file: &Path, simulation: &mut Simulation<'_>) -> Result<u32> {
    let mut capture = match Capture::open(file) {
        Ok(capture) => capture,
        Err(e) => {
            tracing::error!("{e}");
            return Ok(1);
        }
    };
    let mut faults = 0;
    for item in capture.by_ref() {
        match item {
            Ok(c) if c.data.len() >= FRAME_MIN => {
                simulation.frame(&c.data, u64::try_from(c.at_ns).unwrap_or(0))?;
            }
            Ok(_) => {}
            Err(e) => {
                tracing::error!("{e}");
                faults += 1;
            }
        }
    }
    if capture.skipped() != 0 {
        tracing::warn!("{}: {} frames could not be rebuilt and were left out", file.display(), capture.skipped());
    }
    Ok(faults)
}
