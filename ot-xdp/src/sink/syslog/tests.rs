//! Tests of syslog against receivers in this process: framing, TLS with certificates on both sides, lost connections.

use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, UdpSocket as Datagrams};
use std::path::Path;
use std::sync::mpsc;

use bytes::Bytes;
use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::*;
use crate::sink::tls::TlsFiles;

fn record(n: u64, severity: u8) -> Record {
    let id = uuid::Uuid::from_u128(u128::from(n));
    let body = Bytes::from(format!("{{\"n\":{n},\"text\":\"Zürich\"}}"));
    Record { sequence: n, id, at_ns: 1_795_372_200_123_456_000, severity, kind: "dropped", body }
}

fn records(range: std::ops::Range<u64>) -> Vec<Record> {
    range.map(|n| record(n, 73)).collect()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Reads frames with octet counting, as long as there are any.
fn frames(from: &mut impl BufRead) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let mut length = Vec::new();
        if !matches!(from.read_until(b' ', &mut length), Ok(n) if n != 0) {
            return all;
        }
        let length: usize = String::from_utf8(length).unwrap().trim_end().parse().unwrap();
        let mut frame = vec![0; length];
        if from.read_exact(&mut frame).is_err() {
            return all;
        }
        all.push(String::from_utf8(frame).unwrap());
    }
}

#[test]
fn messages_are_those_of_rfc_5424() {
    let syslog = Syslog::new("h:1".to_owned(), Carrier::Udp, None, "sensor 07".to_owned());
    let id = std::process::id();
    for (severity, priority) in [(99, 130), (73, 131), (47, 132), (21, 133), (1, 134)] {
        let text = String::from_utf8(syslog.message(&record(7, severity))).unwrap();
        let expected = format!(
            "<{priority}>1 2026-11-22T18:30:00.123456Z sensor07 ot-xdp {id} dropped [otxdp@32473 sequence=\"7\" \
             id=\"00000000-0000-0000-0000-000000000007\" severity=\"{severity}\"] {{\"n\":7,\"text\":\"Zürich\"}}"
        );
        assert_eq!(text, expected);
    }
}

#[test]
fn a_datagram_is_a_message() {
    let receiver = Datagrams::bind("127.0.0.1:0").unwrap();
    receiver.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let address = receiver.local_addr().unwrap().to_string();
    let mut syslog = Syslog::new(address, Carrier::Udp, None, "h".to_owned());
    runtime().block_on(async {
        syslog.connect().await.unwrap();
        assert_eq!(syslog.send(&records(1..41)).await.unwrap(), 40);
    });
    for n in 1..41 {
        let mut octets = [0; 2_000];
        let size = receiver.recv(&mut octets).unwrap();
        assert_eq!(octets[..size], syslog.message(&record(n, 73)));
    }
}

#[test]
fn frames_are_counted_and_a_lost_connection_is_made_up_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (tell, told) = mpsc::channel();
    let server = std::thread::spawn(move || {
        let (first, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(first);
        // Reads a part and goes away: what is left in its buffer is gone.
        let mut part = vec![0; 500];
        reader.read_exact(&mut part).unwrap();
        drop(reader);
        tell.send(()).unwrap();
        let (second, _) = listener.accept().unwrap();
        frames(&mut BufReader::new(second))
    });
    let mut syslog = Syslog::new(address, Carrier::Tcp, None, "h".to_owned());
    runtime().block_on(async {
        syslog.connect().await.unwrap();
        assert_eq!(syslog.send(&records(1..101)).await.unwrap(), 100);
        told.recv().unwrap();
        sleep(Duration::from_millis(20)).await;
        let error = syslog.send(&records(101..201)).await.unwrap_err();
        assert!(matches!(error, SinkError::Lost(_)), "noticed before anything is written: {error}");
        syslog.connect().await.unwrap();
        assert_eq!(syslog.send(&records(101..201)).await.unwrap(), 100);
        syslog.close().await;
    });
    let got = server.join().unwrap();
    let expected: Vec<String> = records(1..201).iter().map(|r| String::from_utf8(syslog.message(r)).unwrap()).collect();
    assert_eq!(got, expected, "in order, the earlier ones again");
}

#[test]
fn nobody_there_is_told() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut syslog = Syslog::new(free.clone(), Carrier::Tcp, None, "h".to_owned());
    let error = runtime().block_on(syslog.connect()).unwrap_err();
    assert!(matches!(error, SinkError::Unreachable(_)) && error.to_string().contains(&free), "{error}");
}

/// Frames of a connection, and how it ended.
type Ended = (Vec<String>, Option<io::ErrorKind>);

/// A certificate authority, and certificates of it in files.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    ca: std::path::PathBuf,
    dir: tempfile::TempDir,
}

impl Authority {
    fn new() -> Authority {
        let dir = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        let ca = dir.path().join("ca.pem");
        std::fs::write(&ca, certificate.pem()).unwrap();
        Authority { issuer: Issuer::new(params, key), ca, dir }
    }

    /// Certificate and key of a name, in files.
    fn identity(&self, name: &str) -> (std::path::PathBuf, std::path::PathBuf) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        let paths = (self.dir.path().join(format!("{name}.pem")), self.dir.path().join(format!("{name}.key")));
        std::fs::write(&paths.0, certificate.pem()).unwrap();
        std::fs::write(&paths.1, key.serialize_pem()).unwrap();
        paths
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(pem(&self.ca)).unwrap();
        roots
    }

    /// A receiver that asks for certificates of `clients`; its frames, and how the last connection ended.
    fn serve(&self, clients: &Authority, connections: usize) -> (String, mpsc::Receiver<Ended>) {
        use rustls::pki_types::pem::PemObject;
        let (certificate, key) = self.identity("localhost");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(clients.roots()), Arc::clone(&provider))
            .build()
            .unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![pem(&certificate)], rustls::pki_types::PrivateKeyDer::from_pem_file(&key).unwrap())
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("localhost:{}", listener.local_addr().unwrap().port());
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            for _ in 0..connections {
                let (stream, _) = listener.accept().unwrap();
                let stream = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream);
                let mut reader = BufReader::new(stream);
                let got = frames(&mut reader);
                let end = reader.read(&mut [0]).err().map(|e| e.kind());
                let _ = tell.send((got, end));
            }
        });
        (address, told)
    }
}

fn pem(file: &Path) -> rustls::pki_types::CertificateDer<'static> {
    use rustls::pki_types::pem::PemObject;
    rustls::pki_types::CertificateDer::from_pem_file(file).unwrap()
}

fn client(address: &str, files: &TlsFiles, name: Option<&str>) -> Syslog {
    let tls = Some((files.config().unwrap(), name.map(str::to_owned)));
    Syslog::new(address.to_owned(), Carrier::Tls, tls, "h".to_owned())
}

#[test]
fn tls_has_certificates_on_both_sides_and_an_orderly_end() {
    let authority = Authority::new();
    let (address, told) = authority.serve(&authority, 1);
    let files = TlsFiles { ca: Some(authority.ca.clone()), identity: Some(authority.identity("sensor")) };
    let mut syslog = client(&address, &files, None);
    runtime().block_on(async {
        syslog.connect().await.unwrap();
        for part in records(1..1_001).chunks(100) {
            assert_eq!(syslog.send(part).await.unwrap(), 100);
        }
        syslog.close().await;
    });
    let (got, end) = told.recv_timeout(Duration::from_secs(5)).unwrap();
    assert_eq!(got.len(), 1_000);
    assert_eq!(got[999].as_bytes(), syslog.message(&record(1_000, 73)));
    assert_eq!(end, None, "close-notify: without it the end of the data would be an error");
}

#[test]
fn who_is_not_who_he_should_be_is_refused_on_either_side() {
    let (right, wrong) = (Authority::new(), Authority::new());
    let (address, _told) = right.serve(&right, 8);
    let ca = |authority: &Authority| Some(authority.ca.clone());
    let run = runtime();
    for (what, files, name) in [
        ("a receiver of another authority", TlsFiles { ca: ca(&wrong), identity: Some(right.identity("a")) }, None),
        ("another name", TlsFiles { ca: ca(&right), identity: Some(right.identity("b")) }, Some("siem.example")),
        ("no certificate of ours", TlsFiles { ca: ca(&right), identity: None }, None),
        ("one of another authority", TlsFiles { ca: ca(&right), identity: Some(wrong.identity("c")) }, None),
    ] {
        let error = run.block_on(client(&address, &files, name).connect()).unwrap_err();
        assert!(matches!(error, SinkError::Refused(_)), "{what}: {error}");
    }
}

#[test]
fn wrong_files_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("empty.pem");
    std::fs::write(&file, "nothing").unwrap();
    for files in [
        TlsFiles { ca: Some(file.clone()), identity: None },
        TlsFiles { ca: None, identity: Some((file.clone(), file.clone())) },
        TlsFiles { ca: Some(dir.path().join("missing.pem")), identity: None },
    ] {
        let error = files.config().unwrap_err();
        assert!(error.contains(".pem") || error.contains("ca_file"), "{error}");
    }
}
