//! The stage of every test here: a plant, and the gateway in its bridge when the test wants one.

use std::cell::{Cell, RefCell};
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use harness::bpffs::BpfFs;
use harness::client::{PATIENCE, Session};
use harness::packet::Ends;
use harness::pdu::Framing;
use harness::plant::{Guard, IT, OT, Plant};
use harness::sink::{Answers, Sink};
use harness::{binary, is_root};
use serde_json::Value;

/// Addresses that the hosts' own stacks have over IPv6.
pub const IT6: &str = "fd77::1";
/// The same of the OT host.
pub const OT6: &str = "fd77::2";
/// Addresses on the IT host that its own stack does not have, for clients in user space.
pub const GHOST: &str = "10.77.0.9";
/// The same over IPv6.
pub const GHOST6: &str = "fd77::9";
/// Ethernet addresses of the hosts, IT first.
pub const MACS: [[u8; 6]; 2] = [[2, 0, 0, 0x77, 0, 1], [2, 0, 0, 0x77, 0, 2]];

/// Makes the names of a process's plants different.
static PLANTS: AtomicU32 = AtomicU32::new(0);

/// Why the gateway cannot run here; none when it can.
pub fn missing() -> Option<String> {
    if !is_root() {
        return Some("needs root for namespaces and XDP".to_owned());
    }
    let Some(bin) = binary() else { return Some("the release binary is not built: run `cargo xtask test`".to_owned()) };
    let help = Command::new(bin).args(["run", "--help"]).output().expect("runs");
    let knows = String::from_utf8_lossy(&help.stdout).contains("--bridge");
    (!knows).then(|| "`ot-xdp run --help` has no --bridge: this build enforces nothing".to_owned())
}

/// A plant, and how its gateway is started.
pub struct Stage {
    /// The namespaces.
    pub plant: Plant,
    mode: Option<&'static str>,
    gateway: RefCell<Option<Gateway>>,
    /// Directory of the control socket.
    run: PathBuf,
    /// BPF file system for what outlives the loader, where a test wants that.
    pins: Option<BpfFs>,
    starts: Cell<u32>,
}

impl Stage {
    /// A plant whose gateway starts in this mode at [`Stage::begin`]; none for a bridge without a gateway.
    pub fn new(mode: Option<&'static str>) -> Stage {
        let name = format!("otgw{}x{}", std::process::id(), PLANTS.fetch_add(1, Ordering::Relaxed));
        let plant = Plant::new(&name).expect("namespaces");
        let mac = |m: [u8; 6]| m.map(|o| format!("{o:02x}")).join(":");
        for (side, device, own, peers, lladdr) in [
            ("it", "it0", IT6, [OT6, OT].as_slice(), mac(MACS[1])),
            ("ot", "ot0", OT6, &[IT6, IT, GHOST, GHOST6], mac(MACS[0])),
        ] {
            plant.ip(side, &["addr", "add", &format!("{own}/64"), "dev", device, "nodad"]).expect("IPv6");
            for peer in peers {
                // Known neighbours: no question of ARP delays the first frame, and ghosts cannot answer one.
                let neighbour = ["neigh", "replace", peer, "lladdr", &lladdr, "dev", device, "nud", "permanent"];
                plant.ip(side, &neighbour).expect("neighbour");
            }
        }
        let run = std::env::temp_dir().join(format!("ot-xdp-{name}"));
        let stage = Stage { plant, mode, gateway: RefCell::new(None), run, pins: None, starts: Cell::new(0) };
        stage.forwards();
        stage
    }

    /// Waits until the bridge forwards: a port that has just come up may still be on its way.
    fn forwards(&self) {
        let listener = Sink::udp(&self.plant.namespace("ot"), socket(OT, 9));
        let end = Instant::now() + PATIENCE;
        let it = self.plant.namespace("it");
        let probe = harness::netns::within(&it, || std::net::UdpSocket::bind((IT, 0))).expect("a socket");
        while Instant::now() < end {
            let _ = probe.send_to(b"?", (OT, 9));
            if listener.wait(Duration::from_millis(50), |s| !s.pdus.is_empty()) {
                return;
            }
        }
        panic!("the bridge forwards nothing");
    }

    /// Is there a gateway that refuses?
    pub fn enforces(&self) -> bool {
        self.mode == Some("enforce")
    }

    /// Starts the gateway, when this stage has one.
    pub fn begin(&self) {
        if let Some(mode) = self.mode {
            let control = self.run.join("control.sock").display().to_string();
            let mut more = vec!["--control".to_owned(), control];
            if let Some(pins) = &self.pins {
                more.push(pins.option());
                // Every other start is an upgrade to a program with another layout of its maps.
                let flows = if self.starts.get().is_multiple_of(2) { "65536" } else { "32768" };
                more.extend(["--flows".to_owned(), flows.to_owned()]);
            }
            self.starts.set(self.starts.get() + 1);
            *self.gateway.borrow_mut() = Some(Gateway::start(&self.plant, mode, &more));
        }
    }

    /// The same with a gateway that outlives its loader.
    pub fn pinned(mode: &'static str) -> Stage {
        let mut stage = Stage::new(Some(mode));
        stage.pins = Some(BpfFs::new(stage.plant.namespace("pins").as_str()));
        stage
    }

    /// Is there a gateway?
    pub fn has_gateway(&self) -> bool {
        self.mode.is_some()
    }

    /// Does the gateway outlive its loader?
    pub fn is_pinned(&self) -> bool {
        self.pins.is_some()
    }

    /// Asks the running gateway for something; what it says when it refuses.
    pub fn ask(&self, args: &[&str]) -> Result<(), String> {
        let mut command = Command::new(binary().expect("looked for before"));
        let out = command.args(args).arg("--control").arg(self.run.join("control.sock")).output().expect("runs");
        if out.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&out.stderr).into_owned()) }
    }

    /// `kill -9`, and a new one.
    pub fn restart(&self) {
        if let Some(gateway) = self.gateway.borrow_mut().take() {
            gateway.kill();
        }
        self.begin();
    }

    /// Waits for events of this action that fulfil a condition; those of that action so far.
    pub fn events(&self, action: &str, enough: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let end = Instant::now() + PATIENCE;
        loop {
            let mut all = self.gateway.borrow().as_ref().map(Gateway::events).unwrap_or_default();
            all.retain(|e| e["event"]["action"] == action);
            if enough(&all) || Instant::now() > end {
                return all;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// A controller of this protocol on a side.
    pub fn sink(&self, side: &str, port: u16, framing: Framing, answers: Answers) -> Sink {
        let host = if side == "it" { IT } else { OT };
        Sink::tcp(&self.plant.namespace(side), socket(host, port), framing, answers)
    }

    /// A Modbus controller on the OT side.
    pub fn modbus(&self) -> Sink {
        self.sink("ot", 502, Framing::Mbap, Answers::new())
    }

    /// A connection from a side to the controller on the other one.
    pub fn session(&self, side: &str, port: u16, framing: Framing) -> Session {
        let host = if side == "it" { OT } else { IT };
        Session::open(&self.plant.namespace(side), socket(host, port), framing).expect("connects")
    }

    /// Both ends of a connection of a user-space client on the IT side.
    pub fn ghost(&self, sport: u16, dport: u16) -> Ends {
        Ends { mac: MACS, ip: [address(GHOST), address(OT)], port: [sport, dport] }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.run);
    }
}

/// An IP address.
pub fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// An address with a port.
pub fn socket(host: &str, port: u16) -> SocketAddr {
    (address(host), port).into()
}

/// The program under test, and what it has said so far.
pub struct Gateway {
    process: Guard,
    said: Arc<Mutex<Vec<Value>>>,
}

impl Gateway {
    fn start(plant: &Plant, mode: &str, more: &[String]) -> Gateway {
        let mut c = plant.command("br", &binary().expect("looked for before"));
        c.args([
            "run",
            "--bridge",
            "br0",
            "--it-port",
            "p-it",
            "--ot-port",
            "p-ot",
            "--mode",
            mode,
            "--interval",
            "1s",
        ]);
        c.args(more);
        let mut process = Guard(c.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().expect("the gateway starts"));
        let out = process.0.stdout.take().expect("its output");
        let said = Arc::new(Mutex::new(Vec::new()));
        let theirs = said.clone();
        // Ends with the process, whose end of the pipe it reads.
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let event = serde_json::from_str(&line).unwrap_or(Value::String(line));
                theirs.lock().expect("no panic").push(event);
            }
        });
        let mut gateway = Gateway { process, said };
        let end = Instant::now() + Duration::from_secs(30);
        // Attached, and its first interval told: from then on it has the policy.
        let attached = || ["p-it", "p-ot"].iter().all(|p| plant.xdp(p).unwrap_or(false));
        while gateway.events().is_empty() || !attached() {
            let status = gateway.process.0.try_wait().expect("a child");
            assert!(status.is_none() && Instant::now() < end, "the gateway does not start: {status:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
        gateway
    }

    fn events(&self) -> Vec<Value> {
        self.said.lock().expect("no panic").clone()
    }

    fn kill(mut self) {
        self.process.0.kill().expect("kill -9");
        self.process.0.wait().expect("gone");
    }
}
