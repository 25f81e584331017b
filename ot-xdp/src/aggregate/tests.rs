//! Tests of the aggregator with made-up snapshots.

use ot_xdp_common::op::{Kind, Tag};
use ot_xdp_common::proto::Proto;
use ot_xdp_common::reason::Outcome;

use super::*;

const CLIENT: [u32; 4] = [0, 0, 0xFFFF, 0x0A14_010F];
const SERVER: [u32; 4] = [0, 0, 0xFFFF, 0x0A14_0328];
const CLIENT_END: u64 = 0x000C_2901_98BE << 16 | 51_102;
const SERVER_END: u64 = 0x001B_1B8A_2210 << 16 | 502;

fn key(proto: Proto, function: u32, kind: Kind, dir: Dir) -> FlowKey {
    let (src, dst) = if dir == Dir::Response { (SERVER, CLIENT) } else { (CLIENT, SERVER) };
    FlowKey {
        src,
        dst,
        function,
        unit: 1,
        ifindex: 2,
        service: 120 << 16 | 502,
        tag: Tag::new(proto as u8, kind.0, dir, 6),
    }
}

fn read(dir: Dir) -> FlowKey {
    key(Proto::Modbus, 3, Kind::new(Class::Read, false), dir)
}

fn value(key: &FlowKey, pdus: u64, first_ns: u64, last_ns: u64) -> FlowValue {
    let answer = key.src == SERVER;
    FlowValue {
        pdus,
        frames: pdus,
        bytes: pdus * 66,
        first_ns,
        last_ns,
        src_end: if answer { SERVER_END } else { CLIENT_END },
        dst_end: if answer { CLIENT_END } else { SERVER_END },
        ..FlowValue::default()
    }
}

fn snapshot(at_ns: u64, flows: Vec<(FlowKey, FlowValue)>) -> Snapshot {
    let mut port = PortValue::default();
    for (key, value) in &flows {
        port.frames += value.frames;
        port.bytes += value.bytes;
        port.outcomes[Outcome::Classified as usize] += value.frames;
        port.classes[usize::from(key.kind().class())] += value.frames;
    }
    let id = PortId { ifindex: 2, name: "ens1f0".to_owned() };
    Snapshot { at_ns, flows, ports: vec![(id, port)], ..Snapshot::default() }
}

fn record(key: &FlowKey, at_ns: u64) -> FirstSeen {
    let v = value(key, 1, at_ns, at_ns);
    FirstSeen { at_ns, src_end: v.src_end, dst_end: v.dst_end, key: *key, addr: 100, span: 4, flags: 0 }
}

#[test]
fn both_directions_are_one_conversation() {
    let (ask, answer) = (read(Dir::Request), read(Dir::Response));
    let flows = vec![(answer, value(&answer, 599, 11, 900)), (ask, value(&ask, 600, 10, 890))];
    let i = Aggregator::new().update(&snapshot(1_000, flows));
    assert_eq!(i.conversations.len(), 1);
    let a = &i.conversations[0];
    assert_eq!((a.conversation.client, a.conversation.server, a.conversation.port), (CLIENT, SERVER, 502));
    assert_eq!((a.conversation.vlan, &*a.interface), (120, "ens1f0"));
    assert_eq!((a.sent.frames, a.received.frames), (600, 599));
    assert_eq!((a.client, a.server), (End(CLIENT_END), End(SERVER_END)));
    assert_eq!((a.first_ns, a.start_ns, a.end_ns), (10, 10, 900));
    assert_eq!(
        a.functions.iter().map(|f| (f.dir, f.operations)).collect::<Vec<_>>(),
        [(Dir::Request, 600), (Dir::Response, 599)]
    );
    assert!(i.ports[0].accounting.is_exact());
    assert_eq!((i.start_ns, i.end_ns, i.keys, i.restarts), (10, 1_000, 2, 0));
}

#[test]
fn the_last_snapshot_is_subtracted() {
    let mut agg = Aggregator::new();
    let ask = read(Dir::Request);
    agg.update(&snapshot(1_000, vec![(ask, value(&ask, 5, 10, 900))]));
    let i = agg.update(&snapshot(2_000, vec![(ask, value(&ask, 7, 10, 1_500))]));
    assert_eq!(i.conversations[0].functions[0].operations, 2);
    assert_eq!((i.conversations[0].start_ns, i.conversations[0].end_ns), (1_000, 1_500));
    assert_eq!((i.ports[0].total.frames, i.ports[0].delta.frames), (7, 2));
    let idle = agg.update(&snapshot(3_000, vec![(ask, value(&ask, 7, 10, 1_500))]));
    assert!(idle.conversations.is_empty() && idle.novelties.is_empty());
}

#[test]
fn counters_that_went_back_start_anew() {
    let mut agg = Aggregator::new();
    let ask = read(Dir::Request);
    agg.update(&snapshot(1_000, vec![(ask, value(&ask, 5, 10, 900))]));
    let fewer = agg.update(&snapshot(2_000, vec![(ask, value(&ask, 3, 1_200, 1_500))]));
    assert_eq!(fewer.conversations[0].functions[0].operations, 3);
    assert_eq!(fewer.restarts, 2, "the key and the port");
    // Deleted and made again between two reads, with more than before: the first stamp tells.
    let more = agg.update(&snapshot(3_000, vec![(ask, value(&ask, 9, 2_100, 2_500))]));
    assert_eq!((more.conversations[0].functions[0].operations, more.restarts), (9, 1));
    assert!(more.novelties.is_empty());
}

#[test]
fn a_function_is_news_once_and_its_answer_is_not() {
    let mut agg = Aggregator::new();
    let (ask, answer) = (read(Dir::Request), read(Dir::Response));
    let mut other_unit = ask;
    other_unit.unit = 9;
    let n = agg.first_seen(&record(&ask, 10)).unwrap();
    assert!(n.from_client && !n.late);
    assert_eq!((n.address, n.span, n.function.addresses), (100, 4, (100, 103)));
    assert_eq!(agg.first_seen(&record(&answer, 11)), None);
    assert_eq!(agg.first_seen(&record(&other_unit, 12)), None);
    let i = agg.update(&snapshot(1_000, vec![(ask, value(&ask, 1, 10, 10)), (answer, value(&answer, 1, 11, 11))]));
    assert!(i.novelties.is_empty());
    assert_eq!(i.conversations[0].functions.len(), 2);
}

#[test]
fn an_answer_without_its_question_is_news_and_so_is_the_question_then() {
    let mut agg = Aggregator::new();
    let n = agg.first_seen(&record(&read(Dir::Response), 10)).unwrap();
    assert!(!n.from_client);
    assert_eq!((n.client, n.server), (End(CLIENT_END), End(SERVER_END)));
    assert!(agg.first_seen(&record(&read(Dir::Request), 11)).is_some());
}

#[test]
fn an_answer_that_changes_the_state_is_news() {
    let mut agg = Aggregator::new();
    assert!(agg.first_seen(&record(&read(Dir::Request), 10)).is_some());
    let other = key(Proto::Modbus, 77, Kind::new(Class::Read, false), Dir::Response);
    assert_eq!(agg.first_seen(&record(&other, 11)), None, "somebody asked in this protocol");
    let brings = key(Proto::Modbus, 78, Kind::new(Class::ProgramDownload, true), Dir::Response);
    assert!(agg.first_seen(&record(&brings, 12)).is_some());
}

#[test]
fn what_the_ring_lost_is_found_in_the_counters() {
    let (a, b) = (read(Dir::Request), key(Proto::Modbus, 16, Kind::new(Class::Write, true), Dir::Request));
    let mut s = snapshot(1_000, vec![(b, value(&b, 1, 20, 20)), (a, value(&a, 1, 10, 10))]);
    s.first_seen = vec![record(&a, 10)];
    let i = Aggregator::new().update(&s);
    let found: Vec<_> = i.novelties.iter().map(|n| (n.function.function, n.late)).collect();
    assert_eq!(found, [(3, false), (16, true)]);
}

#[test]
fn nested_protocols_share_the_conversation() {
    let carrier = key(Proto::Modbus, 90, Kind::new(Class::Session, false), Dir::Request);
    let inner = key(Proto::Umas, 0x40, Kind::new(Class::Control, true), Dir::Request);
    let mut inner_value = value(&inner, 50, 10, 10);
    inner_value.frames = 50;
    let i =
        Aggregator::new().update(&snapshot(1_000, vec![(inner, inner_value), (carrier, value(&carrier, 1, 10, 10))]));
    assert_eq!(i.conversations.len(), 1);
    assert_eq!(i.conversations[0].protocol, Proto::Modbus as u8);
    assert_eq!(i.conversations[0].functions.len(), 2);
}

#[test]
fn keys_that_are_gone_are_forgotten() {
    let mut agg = Aggregator::new();
    let ask = read(Dir::Request);
    agg.update(&snapshot(1, vec![(ask, value(&ask, 5, 10, 10))]));
    for at in 2..6 {
        agg.update(&snapshot(at, Vec::new()));
    }
    assert!(agg.keys.is_empty() && agg.numbers.is_empty());
    assert_eq!(agg.free.len(), 1);
    let i = agg.update(&snapshot(9, vec![(ask, value(&ask, 2, 7, 8))]));
    assert_eq!((i.conversations[0].functions[0].operations, i.novelties.len(), i.restarts), (2, 1, 0));
}

#[test]
fn overflow_is_subtracted_too() {
    let mut agg = Aggregator::new();
    let bucket = |pdus| OverflowValue { pdus, frames: pdus, bytes: pdus * 60 };
    let mut s = snapshot(1, Vec::new());
    s.overflow = vec![(1, 2, bucket(4)), (1, 1, bucket(2))];
    assert_eq!(agg.update(&s).overflow, [(1, 1, bucket(2)), (1, 2, bucket(4))]);
    s.overflow = vec![(1, 2, bucket(5)), (1, 1, bucket(2))];
    assert_eq!(agg.update(&s).overflow, [(1, 2, bucket(1))]);
}

/// Prints what a read of 100,000 keys costs; `cargo test --release -p ot-xdp --lib many_keys -- --nocapture`.
#[test]
fn many_keys() {
    const KEYS: u32 = 100_000;
    let flows = |n: u64| -> Vec<(FlowKey, FlowValue)> {
        (0..KEYS)
            .map(|i| {
                let mut k = read(if i % 2 == 0 { Dir::Request } else { Dir::Response });
                // Two directions, two functions: four keys a conversation.
                let station = [0, 0, 0xFFFF, 0x0A00_0000 + i / 4];
                if i % 2 == 0 {
                    k.src = station
                } else {
                    k.dst = station
                }
                k.function = 3 + (i / 2) % 2;
                (k, value(&k, n, 10, 10 + n))
            })
            .collect()
    };
    let mut agg = Aggregator::new();
    for round in 1..4 {
        let s = snapshot(round * 1_000, flows(round));
        let begin = std::time::Instant::now();
        let i = agg.update(&s);
        println!("read {round}: {KEYS} keys, {} conversations, {:?}", i.conversations.len(), begin.elapsed());
        assert_eq!(i.conversations.len(), KEYS as usize / 4);
        assert!(i.conversations.iter().all(|a| a.functions.len() == 4));
        assert!(i.ports[0].accounting.is_exact());
    }
    let s = snapshot(9_000, flows(3));
    let begin = std::time::Instant::now();
    assert!(agg.update(&s).conversations.is_empty());
    println!("idle read: {:?}", begin.elapsed());
}
