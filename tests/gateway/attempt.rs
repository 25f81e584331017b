//! Attempts to get a write past the gateway: what each of them shares.

use std::time::Duration;

use harness::client::{Ending, PATIENCE, Session};
use harness::pdu::Framing;
use harness::sink::Sink;

use crate::stage::Stage;

/// How long a client of a refused request is listened to: a write that leaks by retransmission comes after 0.2 s.
pub const LISTEN: Duration = Duration::from_secs(2);

/// What an attempt came to.
#[derive(Default)]
pub struct Tried {
    /// Name of each write, and whether the controller got it.
    pub writes: Vec<(String, bool)>,
    /// Names of those that were refused without a word to the client.
    pub hang: Vec<String>,
}

/// An attempt: starts the stage's gateway when it is time to, and tries.
pub type Attempt = fn(&Stage) -> Tried;

/// A Modbus request: transaction, function, address and one value.
fn modbus(transaction: u16, function: u8, value: u16) -> Vec<u8> {
    let mut pdu = transaction.to_be_bytes().to_vec();
    pdu.extend([0, 0, 0, 6, 1, function, 0x12, 0x34]);
    pdu.extend(value.to_be_bytes());
    pdu
}

/// A read of one register.
pub fn read(transaction: u16) -> Vec<u8> {
    modbus(transaction, 3, 1)
}

/// A write of one register with a value of its own.
pub fn write(transaction: u16) -> Vec<u8> {
    modbus(transaction, 6, 0xBE00 | transaction & 0xFF)
}

impl Tried {
    /// Notes what became of a write: the controller holds it whole, or has all octets of its function in a row.
    ///
    /// Without a gateway, waits until it is there. With one, whoever calls this has given it its time.
    pub fn note(&mut self, stage: &Stage, sink: &Sink, name: &str, pdu: &[u8]) {
        // Behind transaction, protocol, length and unit: what a controller acts on that does not mind the length.
        let body = if pdu.get(2..4) == Some(&[0, 0]) { &pdu[7..] } else { pdu };
        if !stage.enforces() {
            sink.wait(PATIENCE, |s| s.holds(pdu) || s.contains(body));
        }
        let state = sink.state();
        self.writes.push((name.to_owned(), state.holds(pdu) || state.contains(body)));
    }

    /// Sends pieces on a connection, waits for its end, and notes the write in it.
    pub fn pieces(
        &mut self,
        stage: &Stage,
        sink: &Sink,
        name: &str,
        mut session: Session,
        pieces: &[&[u8]],
        pdu: &[u8],
    ) {
        for piece in pieces {
            // Refused in the middle: the rest has nowhere to go.
            if session.send(piece).is_err() {
                break;
            }
        }
        // Answers to the reads before it may come; one to the write means that it arrived.
        let hangs = stage.enforces() && session.ending(usize::MAX, LISTEN) == Ending::Hangs;
        self.note(stage, sink, name, pdu);
        if hangs && self.writes.last().is_some_and(|(_, arrived)| !arrived) {
            self.hang.push(name.to_owned());
        }
    }
}

/// Runs an attempt across a bridge without a gateway: every write arrives.
pub fn succeeds_without_a_gateway(name: &str, attempt: Attempt) {
    let tried = attempt(&Stage::new(None));
    assert!(!tried.writes.is_empty(), "{name}: tried nothing");
    for (write, arrived) in &tried.writes {
        assert!(arrived, "{name}: `{write}` reaches no controller even without a gateway");
    }
    println!("{name}: {} writes arrive", tried.writes.len());
}

/// Runs an attempt against the gateway: no write arrives, an event says so, and a legal client is served at once.
pub fn fails_at_the_gateway(name: &str, attempt: Attempt) {
    let stage = Stage::new(Some("enforce"));
    let tried = attempt(&stage);
    let leaked: Vec<&String> = tried.writes.iter().filter(|(_, arrived)| *arrived).map(|(write, _)| write).collect();
    assert!(leaked.is_empty(), "{name}: {} of {} writes arrived: {leaked:?}", leaked.len(), tried.writes.len());
    assert!(tried.hang.is_empty(), "{name}: clients were not told: {:?}", tried.hang);
    assert!(!stage.events("dropped", |all| !all.is_empty()).is_empty(), "{name}: no event `dropped`");
    // A port that no attempt uses: what it left behind in state and tables must not matter to others.
    let controller = stage.sink("ot", 502, Framing::Mbap, Default::default());
    stage.session("it", 502, Framing::Mbap).ask(&read(99)).expect("a legal client is served");
    assert!(controller.holds(&read(99)));
}
