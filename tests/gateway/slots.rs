//! Controllers have few connections: a refused client must not hold one.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use harness::client::PATIENCE;
use harness::pdu::Framing;

use crate::attempt::{read, write};
use crate::stage::Stage;

/// Connections that a small controller has.
const FEW: usize = 4;
/// Clients that still believe in their connection.
const DELUDED: usize = 64;

/// Refused writes on new connections, one after the other; then a legal client.
pub fn denied(stage: &Stage, attempts: u16) {
    let controller = stage.modbus();
    let mut clients = VecDeque::new();
    for n in 0..attempts {
        let mut client = stage.session("it", 502, Framing::Mbap);
        client.send(&write(n)).expect("sent");
        // The client is not asked: its own end would free the connection as well.
        clients.push_back(client);
        if clients.len() > DELUDED {
            clients.pop_front();
        }
        let met = usize::from(n) + 1;
        let free = controller.wait(PATIENCE, |s| s.streams.len() == met && s.open < FEW);
        assert!(free, "attempt {n}: the controller's connections stay open");
    }
    assert!(controller.wait(PATIENCE, |s| s.open == 0), "every connection ends");
    let state = controller.state();
    assert!(state.peak <= FEW, "{} connections at a time", state.peak);
    assert!(state.pdus.is_empty(), "{} writes arrived", state.pdus.len());
    drop(state);
    let begun = Instant::now();
    stage.session("it", 502, Framing::Mbap).ask(&read(1)).expect("a legal client is served");
    assert!(begun.elapsed() < Duration::from_secs(1), "at once, not after {:?}", begun.elapsed());
}

/// Without a gateway the same clients take every connection, and all their writes arrive.
pub fn taken_without_a_gateway(stage: &Stage, attempts: u16) {
    let controller = stage.modbus();
    let mut clients = Vec::new();
    for n in 0..attempts {
        let mut client = stage.session("it", 502, Framing::Mbap);
        client.send(&write(n)).expect("sent");
        clients.push(client);
    }
    let all = usize::from(attempts);
    assert!(controller.wait(PATIENCE, |s| s.open == all && s.pdus.len() == all), "all stay open");
}
