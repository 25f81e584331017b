//! The gateway refuses what changes state: proven by what controllers hold, not by counters.
//!
//! Every attempt is one function that also runs across a bridge without a gateway, where it must succeed: an evasion
//! that reaches no controller anyway would prove nothing.

#[path = "gateway/attempt.rs"]
mod attempt;
#[path = "gateway/download.rs"]
mod download;
#[path = "gateway/frame_attempts.rs"]
mod frame_attempts;
#[path = "gateway/harm.rs"]
mod harm;
#[path = "gateway/matrix.rs"]
mod matrix;
#[path = "gateway/slots.rs"]
mod slots;
#[path = "gateway/stage.rs"]
mod stage;
#[path = "gateway/stream_attempts.rs"]
mod stream_attempts;
#[path = "gateway/survey.rs"]
mod survey;

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use attempt::Attempt;
use harness::pdu::Framing;
use harness::plant::{Guard, OT};
use harness::{is_root, skip};
use stage::Stage;

/// Skips a test where the gateway cannot run or does not exist.
macro_rules! needs_gateway {
    () => {
        if let Some(why) = stage::missing() {
            skip!("{why}");
        }
    };
}

/// Every attempt, and a test of each against the gateway.
macro_rules! attempts {
    ($($name:ident: $attempt:path,)*) => {
        const ATTEMPTS: &[(&str, Attempt)] = &[$((stringify!($name), $attempt),)*];

        mod evasion {
            use super::*;
            $(
                #[test]
                fn $name() {
                    needs_gateway!();
                    attempt::fails_at_the_gateway(stringify!($name), $attempt);
                }
            )*
        }
    };
}

attempts! {
    split_at_every_octet: stream_attempts::split_at_every_octet,
    octet_by_octet: stream_attempts::octet_by_octet,
    interleaved: stream_attempts::interleaved,
    every_protocol: stream_attempts::every_protocol,
    pipelined: stream_attempts::pipelined,
    lying_length: stream_attempts::lying_length,
    off_port: stream_attempts::off_port,
    from_the_middle: stream_attempts::from_the_middle,
    over_ipv6: stream_attempts::over_ipv6,
    nested_services: stream_attempts::nested_services,
    s7_download: download::attempts,
    other_content_in_the_same_range: frame_attempts::other_content,
    retransmission: frame_attempts::retransmission,
    overlap: frame_attempts::overlap,
    fragments: frame_attempts::fragments,
    overlapping_fragments: frame_attempts::overlapping_fragments,
    tagged: frame_attempts::tagged,
    ipv6_extension_headers: frame_attempts::extension_headers,
    state_table_flood: frame_attempts::state_flood,
    window_flood: frame_attempts::window_flood,
}

#[test]
fn everything_arrives_without_a_gateway() {
    if !is_root() {
        skip!("needs root for namespaces");
    }
    let stage = Stage::new(None);
    for row in survey::TCP {
        matrix::tcp(&stage, row);
    }
    matrix::bacnet(&stage);
    matrix::layer_2(&stage);
    slots::taken_without_a_gateway(&stage, 50);
    for (name, attempt) in ATTEMPTS {
        attempt::succeeds_without_a_gateway(name, *attempt);
    }
    download::reversed(&Stage::new(None));
    harm::nothing_fails(&Stage::new(None), Duration::from_secs(3));
}

#[test]
fn reads_pass_and_writes_do_not() {
    needs_gateway!();
    let stage = Stage::new(Some("enforce"));
    stage.begin();
    for row in survey::TCP {
        matrix::tcp(&stage, row);
        matrix::event(&stage, "dropped", &survey::names(row.0));
    }
    matrix::bacnet(&stage);
    matrix::event(&stage, "dropped", &["bacnet"]);
    matrix::layer_2(&stage);
    matrix::event(&stage, "dropped", &["goose"]);
    matrix::event(&stage, "dropped", &["pn_dcp"]);
}

/// Shadow refuses nothing and says what it would have refused; monitor says nothing of the kind.
#[test]
fn shadow_and_monitor_refuse_nothing() {
    needs_gateway!();
    for (mode, would) in [("shadow", true), ("monitor", false)] {
        let stage = Stage::new(Some(mode));
        stage.begin();
        let controller = stage.modbus();
        let mut session = stage.session("it", 502, Framing::Mbap);
        session.ask(&attempt::write(1)).expect("the write is answered");
        assert!(controller.holds(&attempt::write(1)), "{mode}: the write arrives");
        if would {
            matrix::event(&stage, "would-drop", &["modbus"]);
        } else {
            // Two intervals: what was to be said has been said.
            let stats = stage.events("otxdp-stats", |all| !all.is_empty()).len();
            stage.events("otxdp-stats", |all| all.len() > stats + 4);
        }
        for action in ["dropped", "would-drop"] {
            let said = stage.events(action, |_| true);
            assert_eq!(said.is_empty(), action == "dropped" || !would, "{mode}: {action} {said:?}");
        }
    }
}

/// An independent stack on both sides: the client's ninth request is a write, and its connection ends with it.
#[test]
fn a_real_stack_reads_until_it_writes() {
    needs_gateway!();
    let Some(lab) = harness::lab() else { skip!("the lab is not built: run `cargo xtask test`") };
    let stage = Stage::new(Some("enforce"));
    stage.begin();
    let address = format!("{OT}:502");
    let mut server = stage.plant.command("ot", &lab);
    let server = server.args(["modbus-server", &address]).stdout(Stdio::piped()).spawn().expect("server");
    let mut server = Guard(server);
    let mut said = BufReader::new(server.0.stdout.take().expect("its output")).lines();
    assert_eq!(said.next().expect("a line").expect("readable"), "listening");
    let client = |requests: &str| {
        stage.plant.command("it", &lab).args(["modbus-client", &address, requests, "0"]).output().expect("client")
    };
    let refused = client("10");
    assert!(!refused.status.success(), "the write fails: {}", String::from_utf8_lossy(&refused.stdout));
    let legal = client("8");
    assert!(legal.status.success(), "reads go on: {}", String::from_utf8_lossy(&legal.stderr));
    assert!(server.stop().expect("server ends").success());
    assert_eq!(said.next().expect("a line").expect("readable"), "answered 16", "eight reads twice, and no write");
}

#[test]
fn reversed_download_jobs_pass() {
    needs_gateway!();
    download::reversed(&Stage::new(Some("enforce")));
}

#[test]
fn refused_clients_hold_no_connection() {
    needs_gateway!();
    let stage = Stage::new(Some("enforce"));
    stage.begin();
    slots::denied(&stage, 1_000);
}

#[test]
fn legal_traffic_is_not_harmed() {
    needs_gateway!();
    harm::nothing_fails(&Stage::new(Some("enforce")), harm::duration());
}

#[test]
fn legal_traffic_is_not_harmed_by_upgrades_of_a_pinned_gateway() {
    needs_gateway!();
    harm::nothing_fails(&Stage::pinned("enforce"), harm::duration());
}
