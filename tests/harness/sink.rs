//! Controllers that remember: real kernel sockets that take PDUs apart, answer, and tell what they hold.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::netns::within;
use crate::packet::PacketSocket;
use crate::pdu::Framing;

/// How often a thread looks whether it shall end.
const BEAT: Duration = Duration::from_millis(50);

/// Answers of a controller by request; where there is none, [`Framing::answer`].
pub type Answers = HashMap<Vec<u8>, Vec<u8>>;

/// What a controller holds.
#[derive(Default)]
pub struct State {
    /// Every PDU, datagram or frame that arrived whole.
    pub pdus: Vec<Vec<u8>>,
    /// Every octet by connection, whole or not: some controllers act before a PDU has ended.
    pub streams: Vec<Vec<u8>>,
    /// Connections that are open now.
    pub open: usize,
    /// The most that were open at a time.
    pub peak: usize,
    peers: HashMap<usize, TcpStream>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    stop: AtomicBool,
}

impl Shared {
    fn change(&self, f: impl FnOnce(&mut State)) {
        if let Ok(mut state) = self.state.lock() {
            f(&mut state);
        }
        self.changed.notify_all();
    }
}

/// A controller. Its threads end with it.
pub struct Sink {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Sink {
    /// A TCP server in a namespace.
    ///
    /// # Panics
    /// When the address cannot be taken.
    pub fn tcp(namespace: &str, address: SocketAddr, framing: Framing, answers: Answers) -> Sink {
        let listener = within(namespace, || listen(address)).expect("the address is free");
        let answers = Arc::new(answers);
        Sink::start(move |shared| {
            let mut connections: Vec<JoinHandle<()>> = Vec::new();
            while readable(&listener, shared) {
                let Ok((stream, _)) = listener.accept() else { continue };
                let (shared, answers) = (shared.clone(), answers.clone());
                connections.retain(|c| !c.is_finished());
                connections.push(std::thread::spawn(move || serve(stream, framing, &answers, &shared)));
            }
            for c in connections {
                let _ = c.join();
            }
        })
    }

    /// A UDP server in a namespace; it answers nothing.
    ///
    /// # Panics
    /// When the address cannot be taken.
    pub fn udp(namespace: &str, address: SocketAddr) -> Sink {
        let socket = within(namespace, || UdpSocket::bind(address)).expect("the address is free");
        Sink::start(move |shared| {
            let mut buffer = [0; 65_536];
            while readable(&socket, shared) {
                if let Ok((n, _)) = socket.recv_from(&mut buffer) {
                    shared.change(|s| s.pdus.push(buffer[..n].to_vec()));
                }
            }
        })
    }

    /// Everything that comes in on an interface of a namespace, as frames (an outer VLAN tag is taken off by the host).
    ///
    /// # Panics
    /// When there is no such interface.
    pub fn frames(namespace: &str, interface: &str) -> Sink {
        let socket = within(namespace, || PacketSocket::open(interface, true)).expect("a packet socket");
        Sink::start(move |shared| {
            while !shared.stop.load(Ordering::Relaxed) {
                if let Some(frame) = socket.receive(BEAT).filter(|f| !f.is_empty()) {
                    shared.change(|s| s.pdus.push(frame));
                }
            }
        })
    }

    fn start(run: impl FnOnce(&Arc<Shared>) + Send + 'static) -> Sink {
        let shared = Arc::new(Shared::default());
        let theirs = shared.clone();
        Sink { shared, thread: Some(std::thread::spawn(move || run(&theirs))) }
    }

    /// What it holds now.
    ///
    /// # Panics
    /// When a thread of the controller panicked.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().expect("the controller runs")
    }

    /// Waits until what it holds fulfils a condition. False when it does not in this time.
    pub fn wait(&self, time: Duration, condition: impl Fn(&State) -> bool) -> bool {
        let end = Instant::now() + time;
        let mut state = self.state();
        while !condition(&state) {
            let Some(left) = end.checked_duration_since(Instant::now()) else { return false };
            state = self.shared.changed.wait_timeout(state, left).expect("the controller runs").0;
        }
        true
    }

    /// Did this PDU arrive whole?
    pub fn holds(&self, pdu: &[u8]) -> bool {
        self.state().holds(pdu)
    }

    /// The controller speaks first: octets to every open connection.
    ///
    /// # Panics
    /// When a thread of the controller panicked.
    pub fn push(&self, octets: &[u8]) {
        for peer in self.state().peers.values_mut() {
            // One that is closed already has nobody to tell.
            let _ = peer.write_all(octets);
        }
    }
}

impl State {
    /// Did this PDU arrive whole?
    pub fn holds(&self, pdu: &[u8]) -> bool {
        self.pdus.iter().any(|p| p == pdu)
    }

    /// Is there a stream, datagram or frame with these octets in it?
    pub fn contains(&self, octets: &[u8]) -> bool {
        self.streams.iter().chain(&self.pdus).any(|s| s.windows(octets.len()).any(|w| w == octets))
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Waits until a socket has something; false when the controller shall end.
#[allow(unsafe_code, reason = "poll(2)")]
fn readable(socket: &impl AsRawFd, shared: &Shared) -> bool {
    while !shared.stop.load(Ordering::Relaxed) {
        let mut poll = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one element, as given.
        if unsafe { libc::poll(&raw mut poll, 1, BEAT.as_millis() as i32) } > 0 {
            return true;
        }
    }
    false
}

/// One connection until it ends.
fn serve(mut stream: TcpStream, framing: Framing, answers: &Answers, shared: &Shared) {
    let _ = stream.set_nodelay(true);
    let mut number = 0;
    shared.change(|s| {
        number = s.streams.len();
        s.streams.push(Vec::new());
        s.peers.extend(stream.try_clone().ok().map(|peer| (number, peer)));
        s.open += 1;
        s.peak = s.peak.max(s.open);
    });
    let mut rest = Vec::new();
    let mut buffer = [0; 4096];
    while readable(&stream, shared) {
        let fresh = match stream.read(&mut buffer) {
            Ok(n) if n > 0 => &buffer[..n],
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            _ => break,
        };
        rest.extend_from_slice(fresh);
        let whole: Vec<Vec<u8>> = std::iter::from_fn(|| framing.take(&mut rest)).collect();
        let answer = |p: &Vec<u8>| answers.get(p).cloned().unwrap_or_else(|| framing.answer(p));
        let said: Vec<u8> = whole.iter().flat_map(answer).collect();
        shared.change(|s| {
            s.streams[number].extend_from_slice(fresh);
            s.pdus.extend(whole);
        });
        if stream.write_all(&said).is_err() {
            break;
        }
    }
    shared.change(|s| {
        s.open -= 1;
        s.peers.remove(&number);
    });
}

/// Listens; the one before may need a moment to go.
fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let end = Instant::now() + Duration::from_secs(3);
    loop {
        match TcpListener::bind(address) {
            Err(e) if e.kind() == ErrorKind::AddrInUse && Instant::now() < end => {
                std::thread::sleep(Duration::from_millis(20));
            }
            done => return done,
        }
    }
}
