//! A real receiver: rsyslog over UDP, TCP and TLS at once, stopped for a while in the middle. What it has written in the end
//! is what was sent, each event once after repeats are taken out by their ids.

use std::collections::BTreeMap;
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use harness::skip;
use ot_xdp::config::SinkEntry;
use ot_xdp::event::{Emitted, Sequencer};
use ot_xdp::sink::{Sink, build};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};

const EVENTS: u64 = 10_000;
/// How long the receiver is away.
const AWAY: Duration = Duration::from_secs(20);

struct Receiver {
    child: Child,
}

impl Receiver {
    fn start(dir: &Path, ready: u16) -> Receiver {
        let child = Command::new("rsyslogd")
            .arg("-n")
            .arg("-f")
            .arg(dir.join("rsyslog.conf"))
            .arg("-i")
            .arg(dir.join("pid"))
            .stdin(Stdio::null())
            .stderr(fs::File::options().append(true).create(true).open(dir.join("log")).unwrap())
            .spawn()
            .unwrap();
        let begin = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", ready)).is_err() {
            let log = || fs::read_to_string(dir.join("log")).unwrap_or_default();
            assert!(begin.elapsed() < Duration::from_secs(15), "rsyslogd does not listen: {}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
        Receiver { child }
    }

    /// As a service manager stops it.
    fn stop(mut self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.child.wait().unwrap();
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where Debian and others keep the TLS driver.
fn has_tls() -> bool {
    ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"]
        .iter()
        .any(|dir| Path::new(dir).join("rsyslog/lmnsd_ossl.so").exists())
}

/// A certificate authority with a certificate for the receiver and one for the sensor.
fn certificates(dir: &Path) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // A subject of its own: OpenSSL takes a certificate whose issuer has the same name for signed by itself.
    params.distinguished_name.push(DnType::CommonName, "authority");
    let ca = params.self_signed(&key).unwrap();
    fs::write(dir.join("ca.pem"), ca.pem()).unwrap();
    let issuer = Issuer::new(params, key);
    for name in ["localhost", "sensor"] {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &issuer).unwrap();
        fs::write(dir.join(format!("{name}.pem")), certificate.pem()).unwrap();
        fs::write(dir.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

fn free_ports() -> [u16; 3] {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let [a, b] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    [udp, a.local_addr().unwrap().port(), b.local_addr().unwrap().port()]
}

fn configure(dir: &Path, [udp, tcp, tls]: [u16; 3]) {
    let d = dir.display();
    let text = format!(
        r#"
global(workDirectory="{d}" maxMessageSize="64k" DefaultNetstreamDriver="ossl" DefaultNetstreamDriverCAFile="{d}/ca.pem"
       DefaultNetstreamDriverCertFile="{d}/localhost.pem" DefaultNetstreamDriverKeyFile="{d}/localhost.key")
module(load="imudp")
module(load="imptcp")
module(load="imtcp" StreamDriver.Name="ossl" StreamDriver.Mode="1" StreamDriver.AuthMode="x509/certvalid")
template(name="line" type="string" string="%msg%\n")
template(name="head" type="string" string="%app-name% %msgid% %syslogseverity% %structured-data%\n")
ruleset(name="udp") {{ action(type="omfile" file="{d}/udp" template="line") }}
ruleset(name="tcp") {{ action(type="omfile" file="{d}/tcp" template="line") action(type="omfile" file="{d}/heads" template="head") }}
ruleset(name="tls") {{ action(type="omfile" file="{d}/tls" template="line") }}
input(type="imudp" port="{udp}" address="127.0.0.1" rcvbufSize="4m" ruleset="udp")
input(type="imptcp" port="{tcp}" address="127.0.0.1" ruleset="tcp")
input(type="imtcp" port="{tls}" address="127.0.0.1" ruleset="tls")
"#
    );
    fs::write(dir.join("rsyslog.conf"), text).unwrap();
}

/// Whole lines by event id; what was cut when the receiver stopped is not one. And the number of lines.
fn arrived(file: PathBuf) -> (BTreeMap<String, Value>, usize) {
    let text = fs::read_to_string(file).unwrap_or_default();
    let events = text.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok());
    let by_id = events.map(|e| (e["event"]["id"].as_str().unwrap().to_owned(), e)).collect();
    (by_id, text.lines().count())
}

#[test]
fn everything_arrives_over_every_carrier_although_the_receiver_was_away() {
    if Command::new("rsyslogd").arg("-v").stdout(Stdio::null()).status().is_err() {
        skip!("no rsyslogd; `cargo xtask setup --tests` installs it");
    }
    if !has_tls() {
        skip!("rsyslog has no TLS driver; install the package rsyslog-openssl");
    }
    let dir = tempfile::tempdir().unwrap();
    certificates(dir.path());
    let ports @ [udp, tcp, tls] = free_ports();
    configure(dir.path(), ports);
    let receiver = Receiver::start(dir.path(), tcp);

    let d = dir.path().display();
    let options = [
        format!("syslog:127.0.0.1:{udp},transport=udp,name=udp"),
        format!("syslog:127.0.0.1:{tcp},transport=tcp,name=tcp"),
        format!("syslog:localhost:{tls},name=tls,ca_file={d}/ca.pem,cert_file={d}/sensor.pem,key_file={d}/sensor.key"),
    ];
    let entries: Vec<SinkEntry> = options.iter().map(|o| SinkEntry::from_option(o).unwrap()).collect();
    let mut sinks = build::start(&entries, &dir.path().join("spool")).unwrap();
    let states = sinks.states();
    let mut sequencer = Sequencer::new();
    let mut sent = BTreeMap::new();
    let mut receiver = Some(receiver);
    let mut back = None;
    for n in 1..=EVENTS {
        let stamp = sequencer.next_stamp();
        let id = stamp.id.to_string();
        let document = json!({
            "event": { "action": "dropped", "severity": 73, "sequence": stamp.sequence, "id": id, "reason": "Zürich \"a\\b\" ]" },
            "text": "x".repeat(900),
        });
        sent.insert(id, document.clone());
        sinks.write(&Emitted::new(document, stamp)).unwrap();
        if n % 20 == 0 {
            sinks.flush().unwrap();
            std::thread::sleep(Duration::from_millis(10));
        }
        if n == EVENTS / 3 {
            receiver.take().unwrap().stop();
            back = Some(Instant::now() + AWAY);
        }
    }
    std::thread::sleep(back.unwrap().saturating_duration_since(Instant::now()));
    let receiver = Receiver::start(dir.path(), tcp);

    let begin = Instant::now();
    let files = ["udp", "tcp", "tls"];
    while files.iter().any(|f| arrived(dir.path().join(f)).0.len() < EVENTS as usize) {
        let n = files.map(|f| arrived(dir.path().join(f)).0.len());
        let errors = files.map(|f| states[f].error());
        assert!(begin.elapsed() < Duration::from_secs(60), "{n:?} of {EVENTS} over UDP, TCP, TLS; {errors:?}");
        std::thread::sleep(Duration::from_millis(500));
    }
    assert!(sinks.close(Duration::from_secs(5)));
    receiver.stop();
    for file in files {
        let (events, lines) = arrived(dir.path().join(file));
        assert!(events == sent, "{file}: what arrived is not what was sent");
        println!("{file}: {} events, {lines} lines, {} failures", events.len(), states[file].failures.load(Relaxed));
        assert_ne!(states[file].failures.load(Relaxed), 0, "{file}: the receiver was away");
    }
    let heads = fs::read_to_string(dir.path().join("heads")).unwrap();
    assert!(
        heads.lines().all(|l| l.starts_with("ot-xdp dropped 3 [otxdp@32473 sequence=")),
        "{:?}",
        heads.lines().next()
    );
    let log = fs::read_to_string(dir.path().join("log")).unwrap_or_default();
    assert!(!log.contains("error"), "the receiver complains: {log}");
}
