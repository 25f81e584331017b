//! What the event stream carries: events a second into a file and into syslog over TLS, and memory in a storm.
//!
//! Events are made from first-seen records, each of a conversation of its own, through aggregation, rendering and sinks:
//! everything that a sensor does behind the kernel. The sensor's side runs on one core.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ot_xdp::config::SinkEntry;
use ot_xdp::event::ecs::Mode;
use ot_xdp::pipeline::{Pipeline, Settings};
use ot_xdp::sink::fanout::Fanout;
use ot_xdp::sink::{Sink, build};
use ot_xdp::source::Clock;
use ot_xdp_common::op::{Class, Dir, Kind, Tag};
use ot_xdp_common::proto::Proto;
use ot_xdp_common::wire::{FirstSeen, FlowKey};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::Options;

/// Floors of the product: events a second.
const TO_FILE: f64 = 50_000.0;
const TO_TLS: f64 = 20_000.0;
/// What a storm may add to the memory of the process, in octets.
const STORM: u64 = 192 << 20;

/// A first-seen record that nobody has seen before.
fn record(n: u32) -> FirstSeen {
    let kind = Kind::new(if n.is_multiple_of(2) { Class::Read } else { Class::Write }, !n.is_multiple_of(2));
    let key = FlowKey {
        src: [0, 0, 0xFFFF, 0x0A00_0000 | n],
        dst: [0, 0, 0xFFFF, 0x0A14_0328],
        function: if n.is_multiple_of(2) { 3 } else { 16 },
        unit: 1,
        ifindex: 2,
        service: 502,
        tag: Tag::new(Proto::Modbus as u8, kind.0, Dir::Request, 6),
    };
    FirstSeen {
        at_ns: 1_000_000_000 + u64::from(n),
        src_end: 0x000C_2901_98BE << 16 | 50_000,
        dst_end: 0x001B_1B8A_2210 << 16 | 502,
        key,
        addr: 100,
        span: 4,
        flags: 0,
    }
}

fn settings(daily: Option<u64>, flow_capacity: u32) -> Settings {
    Settings {
        sensor: "bench".to_owned(),
        mode: Mode::Monitor,
        flow_capacity,
        first_seen: true,
        summaries: true,
        daily,
    }
}

fn sinks(options: &[String], dir: &Path) -> Result<Fanout> {
    let entries: Result<Vec<SinkEntry>, String> = options.iter().map(|o| SinkEntry::from_option(o)).collect();
    entries.and_then(|e| build::start(&e, dir)).map_err(anyhow::Error::msg)
}

/// Events a second of one core until the receivers have all of them; `apart` is the thread of a receiver in this process.
fn rate(what: &str, options: &[String], dir: &Path, events: u32, apart: &str) -> Result<(f64, u64)> {
    let mut pipeline = Pipeline::new(settings(None, u32::MAX / 2), Clock::now(), sinks(options, dir)?);
    let (begin, used) = (Instant::now(), cpu(apart));
    for n in (0..events).step_by(256) {
        let records: Vec<FirstSeen> = (n..events.min(n + 256)).map(record).collect();
        // As the sensor's poll of the ring: what the sinks cannot take at once waits in the kernel.
        while pipeline.sink().states().values().any(|s| behind(s, n) > 4_096) {
            std::thread::sleep(Duration::from_micros(200));
        }
        pipeline.first_seen(&records)?;
    }
    ensure!(pipeline.sink().close(Duration::from_secs(60)), "not everything arrived");
    let per_core = f64::from(events) / (cpu(apart) - used).max(0.01);
    let rate = f64::from(events) / begin.elapsed().as_secs_f64();
    println!("{what:<28} {per_core:>9.0} events/s on one core; {rate:.0}/s beside what else this machine does");
    Ok((per_core, pipeline.dropped()))
}

/// Seconds of processor time of this process, without those of one thread.
fn cpu(apart: &str) -> f64 {
    let ticks = |file: String| -> f64 {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let fields = text.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
        // utime and stime, fields 14 and 15 of proc(5), in hundredths of a second.
        fields.skip(11).take(2).filter_map(|n| n.parse::<f64>().ok()).sum()
    };
    (ticks("/proc/self/stat".to_owned()) - ticks(format!("/proc/{apart}/stat"))) / 100.0
}

fn behind(state: &ot_xdp::sink::driver::State, made: u32) -> u64 {
    u64::from(made).saturating_sub(state.sent.load(std::sync::atomic::Ordering::Relaxed))
}

/// Resident memory of this process, in octets.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) << 10
}

/// A TLS receiver that counts frames, with its own certificate in a file.
fn receiver(dir: &Path) -> Result<(String, String, String, mpsc::Receiver<u64>)> {
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec!["localhost".to_owned()])?.self_signed(&key)?;
    let ca = dir.join("ca.pem");
    std::fs::write(&ca, certificate.pem())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(certificate.pem().as_bytes())?],
            PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes())?,
        )?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = format!("localhost:{}", listener.local_addr()?.port());
    let (tell, told) = mpsc::channel();
    let (name, named) = mpsc::channel();
    std::thread::spawn(move || -> Result<()> {
        name.send(std::fs::read_link("/proc/thread-self")?.display().to_string())?;
        let (stream, _) = listener.accept()?;
        let mut reader =
            BufReader::with_capacity(1 << 20, StreamOwned::new(ServerConnection::new(Arc::new(config))?, stream));
        let mut frames = 0;
        let mut length = Vec::new();
        while reader.read_until(b' ', &mut length).is_ok_and(|n| n != 0) {
            let size: u64 = String::from_utf8_lossy(&length).trim_end().parse()?;
            length.clear();
            std::io::copy(&mut (&mut reader).take(size), &mut std::io::sink())?;
            frames += 1;
        }
        tell.send(frames).context("nobody waits")
    });
    Ok((address, ca.display().to_string(), named.recv()?, told))
}

/// Measures, prints, and fails below the floors.
pub fn run(options: &Options) -> Result<Value> {
    let events = if options.quick { 20_000 } else { 300_000 };
    let dir = tempfile::tempdir()?;
    let (address, ca, apart, told) = receiver(dir.path())?;
    // From here on, every thread that is started runs on this core; the receiver is free.
    ot_xdp::sys::clock::pin_to_this_cpu()?;

    let file = dir.path().join("events.ndjson");
    let (to_file, lost) =
        rate("pipeline to a file", &[format!("file:{}", file.display())], dir.path(), events, "none")?;
    let lines = BufReader::new(std::fs::File::open(&file)?).lines().count();
    ensure!(lines == events as usize && lost == 0, "{lines} of {events} events in the file, {lost} lost");

    let option = format!("syslog:{address},ca_file={ca},spool=0");
    let (to_tls, lost) = rate("pipeline to syslog over TLS", &[option], dir.path(), events, &apart)?;
    let frames = told.recv_timeout(Duration::from_secs(60))?;
    ensure!(frames == u64::from(events) && lost == 0, "{frames} of {events} events arrived, {lost} lost");

    let records = if options.quick { 100_000 } else { 1_000_000 };
    let storm = storm(dir.path(), records)?;
    if !options.quick {
        ensure!(to_file >= TO_FILE, "below the floor of {TO_FILE} events/s into a file");
        ensure!(to_tls >= TO_TLS, "below the floor of {TO_TLS} events/s into syslog over TLS");
    }
    Ok(json!({ "to_file_per_s": to_file, "to_syslog_tls_per_s": to_tls, "storm": storm }))
}

/// A million first-seen records at once, and a receiver that is dead.
fn storm(dir: &Path, records: u32) -> Result<Value> {
    let spool = 64u64 << 20;
    let dead = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let option = format!("syslog:{dead},transport=tcp,spool=64MiB,spool_dir={}", dir.join("storm").display());
    let before = resident();
    let daily = ot_xdp::config::Config::default().events.daily;
    let mut pipeline = Pipeline::new(settings(Some(daily), 65_536), Clock::now(), sinks(&[option], dir)?);
    let begin = Instant::now();
    let mut peak = 0;
    for n in (0..records).step_by(4_096) {
        let batch: Vec<FirstSeen> = (n..records.min(n + 4_096)).map(record).collect();
        pipeline.first_seen(&batch)?;
        peak = peak.max(resident());
    }
    let took = begin.elapsed();
    let grown = peak.saturating_sub(before);
    let made = pipeline.totals().events;
    pipeline.sink().close(Duration::from_millis(200));
    let on_disk: u64 =
        std::fs::read_dir(dir.join("storm"))?.flatten().filter_map(|e| Some(e.metadata().ok()?.len())).sum();
    println!(
        "storm of {records} records      {:>9.2} s, {made} events made, memory +{} MiB, {} MiB on disk, {} lost",
        took.as_secs_f64(),
        grown >> 20,
        on_disk >> 20,
        pipeline.dropped(),
    );
    ensure!(grown <= STORM, "a storm added {} MiB to the memory; the bound is {} MiB", grown >> 20, STORM >> 20);
    ensure!(on_disk <= spool + (128 << 10), "{on_disk} octets on disk");
    Ok(json!({ "records": records, "events": made, "grown_bytes": grown, "disk_bytes": on_disk }))
}
