//! The plant lab: real and recorded industrial traffic across a bridge on whose ports the sensor runs.
//!
//! `ot-xdp-lab run` is what `cargo xtask run` starts without an interface. The other subcommands are its actors, each
//! started in a namespace of its own; tests use them too.

mod modbus;
mod plant;
mod play;
mod wire;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(code) => code,
        Err(e) => {
            eprintln!("lab: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<ExitCode> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["run", "--bin", bin, rest @ ..] => plant::run(bin.as_ref(), rest),
        ["modbus-server", address] => modbus::serve(address),
        ["modbus-client", address, count, pause_ms] => {
            let pause = Duration::from_millis(pause_ms.parse().context("PAUSE_MS is a number")?);
            modbus::client(address, count.parse().context("COUNT is a number")?, pause)
        }
        ["play", interface, pause_ms, files @ ..] => {
            let pause = Duration::from_millis(pause_ms.parse().context("PAUSE_MS is a number")?);
            play::play(interface, pause, files)
        }
        ["sink", address] => wire::sink(address),
        ["send", address, gap_ms, chunks @ ..] => wire::send(address, gap_ms, chunks),
        ["attempts", address, count, chunk] => wire::attempts(address, count, chunk),
        _ => bail!(
            "usage: ot-xdp-lab run --bin PATH [options of `ot-xdp run`] | modbus-server ADDR:PORT | \
             modbus-client ADDR:PORT COUNT PAUSE_MS | play IF PAUSE_MS FILE... | sink ADDR:PORT | \
             send ADDR:PORT GAP_MS HEX... | attempts ADDR:PORT COUNT HEX"
        ),
    }
}
