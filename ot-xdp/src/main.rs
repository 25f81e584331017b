//! Arguments to stages; the only place that turns errors into exit codes.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use ot_xdp::cli::{Cli, Color, Command};
use ot_xdp::command;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = Cli::parse();
    logs(&cli);
    let result = match &cli.command {
        Command::Run(a) => command::run::run(a),
        Command::Replay(a) => command::replay::run(a),
        Command::Check(a) => command::check::run(a),
        Command::Policy { command } => command::policy::run(command),
        Command::Baseline { command } => command::baseline::run(command),
        Command::Explain(a) => command::policy::explain(a),
        Command::Doctor(a) => command::doctor::run(a),
        Command::Schema(a) => command::schema::run(a),
        Command::Detach(args) => command::detach::run(args),
        Command::Status(args) => command::operate::status(args),
        Command::Mode(args) => command::operate::mode(args),
        Command::Confirm(args) => command::operate::confirm(args),
        Command::Reload(args) => command::operate::reload(args),
        Command::Config => command::check::defaults(),
        Command::Completions { shell } => command::help::completions(*shell),
        Command::Man => command::help::man(),
    };
    match result {
        Ok(code) => code,
        Err(e) if command::is_broken_pipe(&e) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("ot-xdp: {e:#}");
            command::exit_code(&e)
        }
    }
}

fn logs(cli: &Cli) {
    let level = match cli.verbose {
        0 => "info",
        1 => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_env("OT_XDP_LOG").unwrap_or_else(|_| EnvFilter::new(format!("ot_xdp={level}")));
    let ansi = match cli.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(ansi)
        .with_target(false)
        .with_writer(std::io::stderr)
        .init();
}
