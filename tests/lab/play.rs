//! Sends recorded frames out of an interface, as they are.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use harness::data;
use harness::packet::PacketSocket;

/// Sends every frame of the files, one after the other.
pub fn play(interface: &str, pause: Duration, files: &[&str]) -> Result<ExitCode> {
    let socket = PacketSocket::open(interface, false).with_context(|| format!("no packet socket on {interface}"))?;
    let mut sent = 0u64;
    for file in files {
        for frame in data::frames(Path::new(file)).with_context(|| (*file).to_owned())? {
            socket.send(&frame).with_context(|| format!("cannot send a frame of {} octets", frame.len()))?;
            sent += 1;
            if !pause.is_zero() {
                std::thread::sleep(pause);
            }
        }
    }
    println!("sent {sent}");
    Ok(ExitCode::SUCCESS)
}
