//! The gateway as an operator runs it: a plant, the loader on its bridge, servers and clients of the lab.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::plant::{Guard, Plant};

/// A process whose lines are kept.
pub struct Told {
    /// The process.
    pub guard: Guard,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Told {
    /// Starts it in a namespace of the plant.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn new(plant: &Plant, side: &str, program: &std::path::Path, args: &[&str]) -> Told {
        let mut command = plant.command(side, program);
        let mut child = command.args(args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("starts");
        let out = child.stdout.take().expect("piped");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                kept.lock().expect("lines").push(line);
            }
        });
        Told { guard: Guard(child), lines }
    }

    /// Its lines so far.
    ///
    /// # Panics
    /// Never in practice: nobody panics with the lock held.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("lines").clone()
    }

    /// Waits until a line satisfies this.
    ///
    /// # Panics
    /// When none does within half a minute.
    pub fn wait(&self, what: &str, test: impl Fn(&str) -> bool) {
        let begin = Instant::now();
        while !self.lines().iter().any(|l| test(l)) {
            assert!(begin.elapsed() < Duration::from_secs(30), "waited for {what}: {:?}", self.lines());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Its lines as events.
    ///
    /// # Panics
    /// When a line is no JSON.
    pub fn events(&self) -> Vec<Value> {
        self.lines().iter().map(|l| serde_json::from_str(l).expect("JSON lines")).collect()
    }

    /// Events of operations that were denied or reported.
    ///
    /// # Panics
    /// When a line is no JSON.
    pub fn refusals(&self) -> Vec<Value> {
        self.events().into_iter().filter(|e| e["event"]["dataset"] == "otxdp.gate").collect()
    }
}

/// A plant with a gateway in this mode.
pub struct Gateway {
    /// The namespaces.
    pub plant: Plant,
    /// The lab binary.
    pub lab: std::path::PathBuf,
    /// The loader.
    pub gate: Told,
}

impl Gateway {
    /// `None` when the binaries are not built.
    ///
    /// # Panics
    /// When the namespaces cannot be made, or the loader does not come up.
    pub fn new(name: &str, mode: &str, more: &[&str]) -> Option<Gateway> {
        let (bin, lab) = (crate::binary()?, crate::lab()?);
        let plant = Plant::new(&format!("ot{name}{}", std::process::id())).expect("namespaces");
        let gate = Gateway::start(&plant, &bin, mode, more);
        Some(Gateway { plant, lab, gate })
    }

    /// Starts the loader.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start(plant: &Plant, bin: &std::path::Path, mode: &str, more: &[&str]) -> Told {
        let mut args = vec!["run", "--bridge", "br0", "--it-port", "p-it", "--ot-port", "p-ot", "--mode", mode];
        args.extend(["--interval", "1s"]);
        args.extend(more);
        let gate = Told::new(plant, "br", bin, &args);
        gate.wait("the gate", |l| l.contains("gate-mode-change"));
        gate
    }

    /// A server of the lab on this side, once it listens.
    ///
    /// # Panics
    /// When it does not.
    pub fn server(&self, side: &str, args: &[&str]) -> Told {
        let server = Told::new(&self.plant, side, &self.lab, args);
        // It listens when a connection is not refused any more.
        let address = args[1].to_owned();
        let other = if side == "ot" { "it" } else { "ot" };
        for _ in 0..200 {
            let mut probe = self.plant.command(other, &self.lab);
            let probe = probe.args(["attempts", &address, "1", ""]).output().expect("probe");
            if String::from_utf8_lossy(&probe.stdout).contains("not connected 0") {
                return server;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("no server at {address}");
    }

    /// What a client on this side gets for these segments.
    ///
    /// # Panics
    /// When the client fails.
    pub fn send(&self, side: &str, address: &str, gap_ms: u32, chunks: &[&str]) -> String {
        let mut client = self.plant.command(side, &self.lab);
        client.args(["send", address, &gap_ms.to_string()]).args(chunks);
        let out = client.output().expect("client");
        assert!(out.status.success(), "client: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).into_owned()
    }
}

/// Modbus: read one register, and what answers when it holds a number.
pub const READ: &str = "000100000006010300000001";

/// Modbus: write this value into register 0.
pub fn write(value: u16) -> String {
    format!("00020000000601060000{value:04x}")
}

/// What a client says when [`READ`] was answered with this value.
pub fn holds(value: u16) -> String {
    format!("got 000100000005010302{value:04x}")
}
