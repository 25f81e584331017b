//! Legal traffic is not harmed, whatever happens to the gateway meanwhile.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use harness::client::Session;
use harness::echo::datagrams;
use harness::pdu::Framing;
use harness::plant::{IT, OT};
use harness::sink::Answers;

use crate::attempt::{read, write};
use crate::stage::{Stage, socket};

/// How long: `OT_XDP_HARM` in seconds, 20 when it is not set; 600 is the full run.
pub fn duration() -> Duration {
    let seconds = std::env::var("OT_XDP_HARM").ok().and_then(|s| s.parse().ok());
    Duration::from_secs(seconds.unwrap_or(20))
}

/// Changes mode or policy of the running gateway, as its operator does.
fn change(stage: &Stage, n: u64) {
    let by = ["--by", "test"];
    let permit = ["--from", IT, "--to", OT, "--protocol", "s7comm", "--for", "2s", "--ticket", "T-1"];
    let asked: Vec<&str> = match n % 6 {
        0 => vec!["mode", "shadow"],
        1 => vec!["mode", "monitor"],
        2 => vec!["mode", "enforce", "--confirm-within", "1s"],
        3 => [&["policy", "permit"][..], &permit].concat(),
        4 => vec!["mode", "enforce"],
        _ => vec!["reload"],
    };
    if let Err(why) = stage.ask(&[&asked[..], &by].concat()) {
        // So many permits at once are refused; everything else is done.
        assert!(why.contains("permits are in force"), "{asked:?}: {why}");
    }
}

/// One client: its requests in turn, on one connection, or on a new one each time. Counts them; notes what fails.
struct Client {
    from: &'static str,
    to: &'static str,
    port: u16,
    writes: bool,
    reconnects: bool,
}

const CLIENTS: [Client; 5] = [
    Client { from: "it", to: OT, port: 502, writes: false, reconnects: false },
    Client { from: "it", to: OT, port: 502, writes: false, reconnects: false },
    Client { from: "it", to: OT, port: 502, writes: false, reconnects: true },
    Client { from: "ot", to: IT, port: 502, writes: true, reconnects: false },
    Client { from: "ot", to: IT, port: 502, writes: true, reconnects: true },
];

impl Client {
    fn run(&self, namespace: &str, stop: &AtomicBool, requests: &AtomicU64, failures: &Mutex<Vec<String>>) {
        let mut session = None;
        let mut n = 0u16;
        while !stop.load(Ordering::Relaxed) {
            n = n.wrapping_add(1);
            let request = if self.writes && n.is_multiple_of(2) { write(n) } else { read(n) };
            let mut ask = || {
                if self.reconnects || session.is_none() {
                    session = Some(Session::open(namespace, socket(self.to, self.port), Framing::Mbap)?);
                }
                let answer = session.as_mut().map(|s| s.ask(&request)).transpose()?.unwrap_or_default();
                if answer.get(..2) == Some(&n.to_be_bytes()) {
                    Ok(())
                } else {
                    Err(std::io::Error::other(format!("answer {answer:02x?} to {request:02x?}")))
                }
            };
            match ask() {
                Ok(()) => requests.fetch_add(1, Ordering::Relaxed),
                Err(e) => {
                    failures.lock().expect("no panic").push(format!("{} request {n}: {e}", self.from));
                    session = None;
                    0
                }
            };
            // As polled as a plant is: what counts is that none fails, not how many there are.
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// A third port of the bridge comes and goes.
fn third_port(stage: &Stage) {
    let ip = |args: &[&str]| stage.plant.ip("br", args).expect("ip");
    ip(&["link", "add", "p-new", "type", "veth", "peer", "name", "new0"]);
    ip(&["link", "set", "p-new", "master", "br0"]);
    ip(&["link", "set", "p-new", "up"]);
    ip(&["link", "set", "new0", "up"]);
    std::thread::sleep(Duration::from_millis(100));
    ip(&["link", "del", "p-new"]);
}

/// Runs the clients while the gateway is changed, killed and started again: no request fails.
pub fn nothing_fails(stage: &Stage, time: Duration) {
    let _controllers = ["it", "ot"].map(|side| stage.sink(side, 502, Framing::Mbap, Answers::new()));
    stage.begin();
    let (stop, failures) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let requests = [const { AtomicU64::new(0) }; CLIENTS.len()];
    let mut turns = [0u64; 3];
    let echoes = std::thread::scope(|s| {
        let (it, ot) = (stage.plant.namespace("it"), stage.plant.namespace("ot"));
        let over = &stop;
        let echoes = s.spawn(move || datagrams(&it, &ot, "10.77.0.2:502", Duration::from_millis(1), over));
        for (client, requests) in CLIENTS.iter().zip(&requests) {
            let namespace = stage.plant.namespace(client.from);
            let (stop, failures) = (&stop, &failures);
            s.spawn(move || client.run(&namespace, stop, requests, failures));
        }
        let end = Instant::now() + time;
        // Ends the clients also when something here panics: the scope waits for them.
        let _end = SetOnDrop(&stop);
        let mut random = 0x07D9_1234_5678_9ABCu64;
        while Instant::now() < end {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            std::thread::sleep(Duration::from_millis(50 + random % 700));
            let turn = (random >> 32) % 3;
            match turn {
                // Nobody is there to be asked on a bridge without a gateway.
                0 if !stage.has_gateway() => continue,
                0 => change(stage, random),
                1 => third_port(stage),
                _ => stage.restart(),
            }
            turns[turn as usize] += 1;
        }
        stop.store(true, Ordering::Relaxed);
        echoes.join().expect("no panic")
    });
    let counts: Vec<u64> = requests.iter().map(|r| r.load(Ordering::Relaxed)).collect();
    println!("{echoes:?}");
    println!("{counts:?} requests; {} changes, {} ports, {} restarts", turns[0], turns[1], turns[2]);
    let failures = failures.into_inner().expect("no panic");
    assert!(failures.is_empty(), "{} of {counts:?} requests failed: {failures:#?}", failures.len());
    assert_eq!(echoes.wrong, 0, "{echoes:?}");
    if stage.is_pinned() || !stage.has_gateway() {
        // A program that leaves a veth with its loader costs the frames that wait there: that is the veth.
        assert_eq!(echoes.sent, echoes.answered, "{echoes:?}");
    }
    assert!(counts.iter().all(|n| *n > 10), "every client was at work: {counts:?}");
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
