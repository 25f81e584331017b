//! Datagrams there and back across the plant: which were lost or changed, and the longest silence.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::netns::within;

/// What came back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Echoes {
    /// Requests sent.
    pub sent: u32,
    /// Answers whose content is that of their request.
    pub answered: u32,
    /// Answers with another content, or twice.
    pub wrong: u32,
}

/// A Modbus read with this number in its transaction id and address.
fn request(number: u32) -> [u8; 12] {
    let [a, b, c, d] = number.to_be_bytes();
    [c, d, 0, 0, 0, 6, 1, 3, a, b, 0, 1]
}

/// Sends Modbus reads by UDP from one namespace to an address in another one, whose socket sends each back as it is, until
/// `done`; one every `gap`.
///
/// # Panics
/// When sockets cannot be made in the namespaces.
pub fn datagrams(from: &str, to: &str, address: &str, gap: Duration, done: &AtomicBool) -> Echoes {
    let socket = |namespace: &str, address: &str| {
        within(namespace, || {
            let s = UdpSocket::bind(address).expect("binds");
            s.set_read_timeout(Some(Duration::from_millis(200))).expect("time-out");
            s
        })
    };
    let server = socket(to, address);
    let client = socket(from, "0.0.0.0:0");
    client.connect(address).expect("connects");
    let over = AtomicBool::new(false);
    let sent = std::sync::atomic::AtomicU32::new(0);
    let mut echoes = Echoes::default();
    let mut answered = std::collections::HashSet::new();
    std::thread::scope(|s| {
        s.spawn(|| {
            let mut buffer = [0; 2048];
            while !over.load(Ordering::Relaxed) {
                if let Ok((n, peer)) = server.recv_from(&mut buffer) {
                    server.send_to(&buffer[..n], peer).expect("sends back");
                }
            }
        });
        s.spawn(|| {
            let begin = Instant::now();
            let mut number = 0u32;
            while !done.load(Ordering::Relaxed) {
                client.send(&request(number)).expect("sends");
                number += 1;
                sent.store(number, Ordering::Relaxed);
                std::thread::sleep((begin + gap * number).saturating_duration_since(Instant::now()));
            }
        });
        let mut buffer = [0; 2048];
        let mut quiet = None;
        loop {
            match client.recv(&mut buffer) {
                Ok(n) => {
                    quiet = None;
                    let number = u32::from_be_bytes([buffer[8], buffer[9], buffer[0], buffer[1]]);
                    let right = n == 12 && buffer[..12] == request(number) && answered.insert(number);
                    echoes.wrong += u32::from(!right);
                }
                // The last answers may be late on a busy machine.
                Err(_) if done.load(Ordering::Relaxed) => {
                    if quiet.get_or_insert_with(Instant::now).elapsed() > Duration::from_secs(1) {
                        break;
                    }
                }
                Err(_) => {}
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    echoes.sent = sent.load(Ordering::Relaxed);
    echoes.answered = answered.len() as u32;
    echoes
}
