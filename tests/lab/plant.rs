//! The lab's stage: namespaces, actors, the sensor, and the end.

use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use harness::plant::{Guard, OT, Plant};
use harness::{data, is_root};
use ot_xdp::text::duration;

/// How long the lab runs when nobody says.
const DEFAULT: &str = "60s";

/// Runs the lab; `options` go to `ot-xdp run`.
pub fn run(bin: &Path, options: &[&str]) -> Result<ExitCode> {
    anyhow::ensure!(is_root(), "the lab needs root (namespaces, XDP): run it with sudo");
    let (time, options) = split_duration(options)?;
    let plant = Plant::new("otlab")?;
    eprintln!(
        "plant lab for {time}: IT host 10.77.0.1 - [p-it br0 p-ot] - OT host 10.77.0.2; the sensor runs on both bridge \
         ports. Real Modbus from tokio-modbus, recorded frames of the other protocols. Ctrl-C ends it."
    );
    let me = std::env::current_exe().context("own path")?;
    let mut sensor = plant.command("br", bin);
    sensor.args(["run", "--interface", "p-it", "--interface", "p-ot", "--summary", "--duration", &time]);
    if !options.contains(&"--interval") {
        sensor.args(["--interval", "5s"]);
    }
    let mut sensor = Guard(sensor.args(&options).spawn().context("cannot start the sensor")?);
    let end = Instant::now() + duration(&time).map_err(anyhow::Error::msg)? + Duration::from_secs(10);
    let mut actors = actors(&plant, &me)?;
    let mut players = Vec::new();
    // Ctrl-C reaches the whole foreground group: the sensor ends by itself, and then so does the lab.
    ignore_interrupts()?;
    let status = loop {
        if let Some(status) = sensor.0.try_wait()? {
            break status;
        }
        if Instant::now() > end {
            break sensor.stop()?;
        }
        players.retain_mut(|p: &mut Guard| matches!(p.0.try_wait(), Ok(None)));
        if players.is_empty() {
            players = play(&plant, &me)?;
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    players.clear();
    actors.clear();
    drop(plant);
    anyhow::ensure!(status.success(), "the sensor ended with {status}");
    eprintln!("lab: everything removed");
    Ok(ExitCode::SUCCESS)
}

/// Takes `--duration` out of the options.
fn split_duration<'a>(options: &[&'a str]) -> Result<(String, Vec<&'a str>)> {
    let mut rest = Vec::new();
    let mut time = DEFAULT.to_owned();
    let mut it = options.iter();
    while let Some(o) = it.next() {
        if *o == "--duration" {
            time = (*it.next().context("--duration needs a time, e.g. 20s")?).to_owned();
        } else if let Some(t) = o.strip_prefix("--duration=") {
            time = t.to_owned();
        } else {
            rest.push(*o);
        }
    }
    duration(&time).map_err(anyhow::Error::msg)?;
    Ok((time, rest))
}

/// A real controller and a real client of it.
fn actors(plant: &Plant, me: &Path) -> Result<Vec<Guard>> {
    let address = format!("{OT}:502");
    let mut server = plant.command("ot", me);
    server.args(["modbus-server", &address]).stdout(Stdio::null());
    let server = Guard(server.spawn().context("cannot start the Modbus server")?);
    // The client answers for nobody being there with an error; the server needs a moment.
    std::thread::sleep(Duration::from_millis(300));
    let mut client = plant.command("it", me);
    client.args(["modbus-client", &address, "0", "20"]).stdout(Stdio::null());
    let client = Guard(client.spawn().context("cannot start the Modbus client")?);
    Ok(vec![client, server])
}

/// One pass over the recorded captures of the other protocols, from the IT side.
fn play(plant: &Plant, me: &Path) -> Result<Vec<Guard>> {
    let files: Vec<PathBuf> = data::own_captures()
        .into_iter()
        .filter(|f| f.file_name().is_some_and(|n| !n.to_string_lossy().contains("modbus")))
        .collect();
    let mut c = plant.command("it", me);
    c.args(["play", "it0", "5"]).args(files).stdout(Stdio::null());
    Ok(vec![Guard(c.spawn().context("cannot start the player")?)])
}

/// Goes on at SIGINT, so that everything is removed after it.
#[allow(unsafe_code, reason = "signal(2)")]
fn ignore_interrupts() -> Result<()> {
    // SAFETY: SIG_IGN is a valid disposition; children were started before and keep theirs.
    let before = unsafe { libc::signal(libc::SIGINT, libc::SIG_IGN) };
    anyhow::ensure!(before != libc::SIG_ERR, "cannot ignore SIGINT");
    Ok(())
}
