//! A sensor that is killed with a full spool: what was spooled arrives after the next start, in order, and what arrives
//! twice has the same id. The sensor is this test program, started again, with the product's sinks in it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use harness::skip;
use ot_xdp::config::SinkEntry;
use ot_xdp::event::{Emitted, Sequencer};
use ot_xdp::sink::fanout::Fanout;
use ot_xdp::sink::{Sink, build};
use serde_json::{Value, json};

/// How the test program knows that it is the sensor: options of its sink, number of events.
const SENSOR: &str = "OT_XDP_TEST_SENSOR";

/// Sequence number and id of each message, in the order of arrival.
type Got = Arc<Mutex<Vec<(u64, String)>>>;

/// Takes syslog with octet counting until it is stopped.
struct Receiver {
    got: Got,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Receiver {
    fn start(address: &str, got: &Got) -> Receiver {
        let begin = Instant::now();
        let listener = loop {
            // The port may still be held by connections of the one before.
            match TcpListener::bind(address) {
                Ok(listener) => break listener,
                Err(e) => assert!(begin.elapsed() < Duration::from_secs(30), "{address}: {e}"),
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        listener.set_nonblocking(true).unwrap();
        let stop: Arc<AtomicBool> = Arc::default();
        let (flag, all) = (Arc::clone(&stop), Arc::clone(got));
        let thread = std::thread::spawn(move || {
            while !flag.load(Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => read(stream, &all, &flag),
                    Err(_) => std::thread::sleep(Duration::from_millis(5)),
                }
            }
        });
        Receiver { got: Arc::clone(got), stop, thread: Some(thread) }
    }

    fn count(&self) -> usize {
        self.got.lock().unwrap().len()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// Frames of one connection. A frame that is not whole when the connection ends has not arrived.
fn read(stream: TcpStream, got: &Got, stop: &AtomicBool) {
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut stream = stream;
    let mut octets = Vec::new();
    let mut block = [0; 65_536];
    while !stop.load(Relaxed) {
        match stream.read(&mut block) {
            Ok(0) => return,
            Ok(n) => octets.extend_from_slice(&block[..n]),
            Err(e) if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => continue,
            Err(_) => return,
        }
        let mut at = 0;
        while let Some(blank) = octets[at..].iter().position(|b| *b == b' ') {
            let length: usize = std::str::from_utf8(&octets[at..at + blank]).unwrap().parse().unwrap();
            let Some(message) = octets.get(at + blank + 1..at + blank + 1 + length) else { break };
            let text = std::str::from_utf8(message).unwrap();
            let event: Value = serde_json::from_str(text.split_once("] ").unwrap().1).unwrap();
            let id = event["event"]["id"].as_str().unwrap().to_owned();
            got.lock().unwrap().push((event["event"]["sequence"].as_u64().unwrap(), id));
            at += blank + 1 + length;
        }
        octets.drain(..at);
    }
}

/// The sensor: makes events for a while, tells what its sink does, and goes on until it is killed, or its input ends.
#[test]
fn sensor() {
    let Ok(text) = std::env::var(SENSOR) else { return };
    let (events, option) = text.split_once(' ').unwrap();
    let entry = {
        let mut entry = SinkEntry::from_option(option).unwrap();
        entry.name = "siem".to_owned();
        entry
    };
    let mut sinks: Fanout = build::start(&[entry], Path::new("/nonexistent")).unwrap();
    let state = Arc::clone(&sinks.states()["siem"]);
    let mut sequencer = Sequencer::new();
    for n in 0..events.parse::<u64>().unwrap() {
        let stamp = sequencer.next_stamp();
        let document = json!({
            "event": { "action": "dropped", "severity": 73, "sequence": stamp.sequence, "id": stamp.id.to_string() },
            "text": "x".repeat(400),
        });
        sinks.write(&Emitted::new(document, stamp)).unwrap();
        if n % 64 == 0 {
            sinks.flush().unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    sinks.flush().unwrap();
    let out = std::thread::spawn(move || {
        loop {
            let n = |v: &std::sync::atomic::AtomicU64| v.load(Relaxed);
            let line = format!("STATE {} {} {}\n", n(&state.spooled), n(&state.sent), n(&state.lost));
            std::io::stderr().write_all(line.as_bytes()).unwrap();
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    // Until the other side is gone.
    let _ = std::io::stdin().read(&mut [0]);
    drop(out);
    sinks.close(Duration::from_secs(5));
}

struct Sensor {
    child: Child,
    lines: BufReader<std::process::ChildStderr>,
}

impl Sensor {
    fn start(events: u64, option: &str) -> Sensor {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["sensor", "--exact", "--nocapture"])
            .env(SENSOR, format!("{events} {option}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap());
        Sensor { child, lines }
    }

    /// Spooled, sent, lost: as soon as they are as wanted.
    fn until(&mut self, what: &str, wanted: impl Fn([u64; 3]) -> bool) -> [u64; 3] {
        let begin = Instant::now();
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(self.lines.read_line(&mut line).unwrap(), 0, "the sensor ended");
            let Some(numbers) = line.trim_end().strip_prefix("STATE ") else { continue };
            let numbers: Vec<u64> = numbers.split(' ').map(|n| n.parse().unwrap()).collect();
            let state = [numbers[0], numbers[1], numbers[2]];
            if wanted(state) {
                return state;
            }
            assert!(begin.elapsed() < Duration::from_secs(60), "{what}: {state:?}");
        }
    }

    /// SIGKILL: nothing is put in order.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// One id for each number, and the numbers of first arrivals in order.
fn unique(got: &Got) -> (BTreeMap<u64, String>, bool) {
    let mut ids = BTreeMap::new();
    let mut in_order = true;
    for (sequence, id) in got.lock().unwrap().iter() {
        match ids.get(sequence) {
            Some(known) => assert_eq!(known, id, "{sequence} came twice with different ids"),
            None => {
                in_order &= ids.last_key_value().is_none_or(|(last, _)| last < sequence);
                ids.insert(*sequence, id.clone());
            }
        }
    }
    (ids, in_order)
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn killed_with_a_full_spool() {
    let dir = tempfile::tempdir().unwrap();
    let address = free_address();
    let option = format!("syslog:{address},transport=tcp,spool=2MiB,spool_dir={}", dir.path().join("s").display());
    let mut sensor = Sensor::start(8_000, &option);
    let [spooled, sent, lost] = sensor.until("a full spool", |[spooled, _, lost]| spooled + lost == 8_000);
    assert!(spooled > 2_000 && lost > 1_000 && sent == 0, "{spooled} spooled, {lost} lost");
    sensor.kill();

    let got = Got::default();
    let receiver = Receiver::start(&address, &got);
    let mut sensor = Sensor::start(0, &option);
    sensor.until("an empty spool", |[spooled, ..]| spooled == 0);
    drop(sensor.child.stdin.take());
    sensor.child.wait().unwrap();
    let begin = Instant::now();
    while receiver.count() < spooled as usize && begin.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(10));
    }
    let (ids, in_order) = unique(&got);
    assert!(in_order);
    assert_eq!(ids.keys().copied().collect::<Vec<_>>(), (1..=spooled).collect::<Vec<_>>());
    assert_eq!(receiver.count() as u64, spooled, "nothing was sent before the kill, so nothing comes twice");
}

#[test]
fn killed_again_and_again_while_it_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    let address = free_address();
    let option = format!("syslog:{address},transport=tcp,spool=32MiB,spool_dir={}", dir.path().join("s").display());
    let mut sensor = Sensor::start(20_000, &option);
    sensor.until("all on disk", |[spooled, _, lost]| spooled == 20_000 && lost == 0);
    sensor.kill();
    let got = Got::default();
    let receiver = Receiver::start(&address, &got);
    for wait in [2, 5, 9] {
        let before = receiver.count();
        let sensor = Sensor::start(0, &option);
        let begin = Instant::now();
        while receiver.count() == before && begin.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(wait));
        }
        sensor.kill();
    }
    let mut sensor = Sensor::start(0, &option);
    sensor.until("an empty spool", |[spooled, ..]| spooled == 0);
    drop(sensor.child.stdin.take());
    sensor.child.wait().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let (ids, in_order) = unique(&got);
    assert!(in_order);
    assert_eq!(ids.len(), 20_000, "every one of them");
    assert_eq!(ids.last_key_value().map(|(n, _)| *n), Some(20_000));
}

#[test]
fn a_receiver_that_goes_and_comes_back_has_everything() {
    let dir = tempfile::tempdir().unwrap();
    let address = free_address();
    let option = format!("syslog:{address},transport=tcp,spool=32MiB,spool_dir={}", dir.path().join("s").display());
    let got = Got::default();
    let receiver = Receiver::start(&address, &got);
    let mut sensor = Sensor::start(10_000, &option);
    let begin = Instant::now();
    while receiver.count() < 1_000 && begin.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(receiver);
    std::thread::sleep(Duration::from_secs(3));
    let receiver = Receiver::start(&address, &got);
    sensor.until("everything is sent", |[spooled, sent, lost]| spooled == 0 && sent + lost >= 10_000);
    drop(sensor.child.stdin.take());
    sensor.child.wait().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let (ids, _) = unique(&got);
    assert_eq!(ids.keys().copied().collect::<Vec<_>>(), (1..=10_000).collect::<Vec<_>>());
    drop(receiver);
}

/// A file system of one mebibyte, gone with the value.
struct Small(tempfile::TempDir);

impl Small {
    fn mount() -> Option<Small> {
        let dir = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(dir.path());
        mount.status().is_ok_and(|s| s.success()).then(|| Small(dir))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_costs_what_does_not_fit_and_nothing_else() {
    let Some(disk) = Small::mount() else { skip!("needs root to mount a small file system") };
    let address = free_address();
    let dir = disk.0.path().join("s");
    let option = format!("syslog:{address},transport=tcp,spool=64MiB,spool_dir={}", dir.display());
    let mut sensor = Sensor::start(5_000, &option);
    let [spooled, _, lost] = sensor.until("a full disk", |[spooled, _, lost]| spooled + lost == 5_000);
    assert!(spooled > 1_000 && lost > 1_000, "{spooled} spooled, {lost} lost");
    let got = Got::default();
    let receiver = Receiver::start(&address, &got);
    sensor.until("an empty spool", |[spooled, sent, _]| spooled == 0 && sent != 0);
    let left: u64 = std::fs::read_dir(&dir).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
    assert!(left < 1_000, "{left} octets stay on the disk");
    drop(sensor.child.stdin.take());
    sensor.child.wait().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let (ids, in_order) = unique(&got);
    assert!(in_order);
    assert_eq!(ids.len() as u64 + lost, 5_000);
    drop(receiver);
}
