//! TCP streams: however a stream is cut, repeated and shuffled, each PDU is counted once, in both engines.

use std::collections::BTreeMap;

use harness::{data, is_root};
use ot_xdp::bindings::BindingTable;
use ot_xdp::source::replay::{Engine, KernelEngine, Record, UserEngine};
use ot_xdp_common::limits::FLOWS;

/// Requests of one connection, by port and PDU.
struct Case {
    port: u16,
    pdus: Vec<Vec<u8>>,
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
    digits.chunks(2).map(|c| c[0] << 4 | c[1]).collect()
}

/// Requests of the protocols that plants use over TCP: reads, writes, control.
fn cases() -> Vec<Case> {
    let case = |port, pdus: &[&str]| Case { port, pdus: pdus.iter().map(|p| hex(p)).collect() };
    vec![
        case(
            502,
            &[
                "000100000006 01 03 000a 0002",
                "000200000006 01 06 0010 abcd",
                "00030000000b 01 10 0001 0002 04 00010002",
                "000400000006 01 05 0003 ff00",
            ],
        ),
        case(
            102,
            &[
                // Job: read variable; write variable; PLC stop.
                "0300001f 02f080 32 01 0000 0001 000e 0000 04 01 12 0a 10 02 0004 0001 84 000000",
                "03000024 02f080 32 01 0000 0002 000e 0005 05 01 12 0a 10 02 0001 0001 84 000000 00 04 0008 55",
                "03000021 02f080 32 01 0000 0003 0010 0000 29 000000000009 505f50524f4752414d",
            ],
        ),
        case(
            2404,
            &[
                "68 04 07 00 00 00",
                "68 0e 0000 0000 64 01 0600 0100 000000 14",
                "68 0e 0200 0000 2d 01 0600 0100 010000 81",
                "68 04 01 00 02 00",
            ],
        ),
        case(
            44818,
            &[
                // RegisterSession; SendRRData with Get_Attribute_Single, then Set_Attribute_Single.
                "6500 0400 00000000 00000000 0000000000000000 00000000 0100 0000",
                "6f00 1800 01000000 00000000 0000000000000000 00000000 00000000 0500 0200 0000 0000 b200 0800 0e 03 20 01 24 01 30 01",
                "6f00 1a00 01000000 00000000 0000000000000000 00000000 00000000 0500 0200 0000 0000 b200 0a00 10 03 20 04 24 64 30 03 0100",
            ],
        ),
    ]
}

/// xorshift64*: the same streams on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }
    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

/// One direction of one connection.
struct Connection {
    client: u32,
    port: u16,
    isn: u32,
}

const SYN: u8 = 0x02;
const PSH_ACK: u8 = 0x18;

impl Connection {
    /// A frame with `payload` at `offset` of the stream.
    fn frame(&self, flags: u8, offset: u32, payload: &[u8]) -> Vec<u8> {
        let mut f = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0];
        f.extend((40 + payload.len() as u16).to_be_bytes());
        f.extend([0, 1, 0x40, 0, 64, 6, 0, 0]);
        f.extend(self.client.to_be_bytes());
        f.extend([10, 200, 0, 2]);
        f.extend(40_000u16.to_be_bytes());
        f.extend(self.port.to_be_bytes());
        f.extend(self.isn.wrapping_add(offset).wrapping_add(u32::from(flags != SYN)).to_be_bytes());
        f.extend([0, 0, 0, 1, 0x50, flags, 0, 0, 0, 0, 0, 0]);
        f.extend(payload);
        f
    }
    fn syn(&self) -> Vec<u8> {
        self.frame(SYN, 0, &[])
    }
}

/// A piece of a stream: offset and octets.
type Piece = (usize, Vec<u8>);

/// Engines under test, and what they counted.
struct Bench {
    user: UserEngine,
    kernel: Option<KernelEngine>,
    frames: u64,
    clients: u32,
}

impl Bench {
    fn new() -> Bench {
        let kernel = is_root().then(|| KernelEngine::new(BindingTable::default(), FLOWS).expect("loads"));
        if kernel.is_none() {
            harness::skipped("no root: the kernel program is not compared");
        }
        Bench { user: UserEngine::new(BindingTable::default(), FLOWS), kernel, frames: 0, clients: 0 }
    }

    fn connection(&mut self, port: u16, isn: u32) -> Connection {
        self.clients += 1;
        Connection { client: 0x0A00_0000 + self.clients, port, isn }
    }

    fn frame(&mut self, frame: &[u8]) -> Record {
        self.frames += 1;
        let user = self.user.frame(self.frames, frame, self.frames).expect("user engine");
        if let Some(kernel) = &mut self.kernel {
            let other = kernel.frame(self.frames, frame, self.frames).expect("kernel engine");
            assert_eq!(user, other, "user (left) and kernel (right) differ on {frame:02x?}");
        }
        user
    }

    /// Sends the pieces of a connection; returns its records.
    fn send(&mut self, c: &Connection, syn: bool, pieces: &[Piece]) -> Vec<Record> {
        if syn {
            let frame = c.syn();
            self.frame(&frame);
        }
        pieces.iter().map(|(at, octets)| self.frame(&c.frame(PSH_ACK, *at as u32, octets))).collect()
    }
}

/// Functions counted: those of every frame that is not a retransmission.
fn counted(records: &[Record]) -> BTreeMap<String, usize> {
    let mut all = BTreeMap::new();
    for r in records.iter().filter(|r| r.outcome == "classified" || r.outcome == "malformed") {
        for f in &r.functions {
            *all.entry(f.clone()).or_default() += 1;
        }
    }
    all
}

fn told(records: &[Record]) -> String {
    records.iter().map(|r| format!("\n  {} {:?} {:?}", r.outcome, r.functions, r.flags)).collect()
}

fn shown(pieces: &[Piece]) -> String {
    pieces.iter().map(|(at, octets)| format!("\n  {at}+{} {octets:02x?}", octets.len())).collect()
}

fn whole(case: &Case, order: &[usize]) -> Vec<Piece> {
    let mut at = 0;
    order
        .iter()
        .map(|i| {
            let pdu = case.pdus[*i].clone();
            at += pdu.len();
            (at - pdu.len(), pdu)
        })
        .collect()
}

fn join(pieces: &[Piece]) -> Vec<u8> {
    pieces.iter().flat_map(|(_, octets)| octets.clone()).collect()
}

fn cut(stream: &[u8], mut at: Vec<usize>) -> Vec<Piece> {
    at.push(stream.len());
    at.sort_unstable();
    at.dedup();
    let mut from = 0;
    at.into_iter()
        .filter(|to| *to != 0)
        .map(|to| {
            let piece = (from, stream[from..to].to_vec());
            from = to;
            piece
        })
        .collect()
}

#[test]
fn whole_requests_are_what_they_seem() {
    let mut bench = Bench::new();
    for case in cases() {
        let c = bench.connection(case.port, 1);
        let order: Vec<usize> = (0..case.pdus.len()).collect();
        let records = bench.send(&c, true, &whole(&case, &order));
        assert!(records.iter().all(|r| r.outcome == "classified" && r.flags.is_empty()), "{records:?}");
    }
}

/// Every request cut at every octet: in order, the other way round, each piece twice, all of it once more.
#[test]
fn every_cut() {
    let mut bench = Bench::new();
    for case in cases() {
        for (i, pdu) in case.pdus.iter().enumerate() {
            let c = bench.connection(case.port, 1);
            let expected = counted(&bench.send(&c, true, &whole(&case, &[i])));
            for at in 1..pdu.len() {
                let pieces = cut(pdu, vec![at]);
                let [a, b] = [pieces[0].clone(), pieces[1].clone()];
                let all = (0, pdu.clone());
                let ways: [(&str, Vec<Piece>); 6] = [
                    ("in order", vec![a.clone(), b.clone()]),
                    ("the other way round", vec![b.clone(), a.clone()]),
                    ("each twice", vec![a.clone(), a.clone(), b.clone(), b.clone()]),
                    ("then once more as a whole", vec![a.clone(), b.clone(), all.clone()]),
                    ("the first, then all", vec![a.clone(), all.clone()]),
                    ("the second, then all", vec![b.clone(), all.clone(), a.clone()]),
                ];
                for (way, pieces) in ways {
                    // Sequence numbers that wrap inside the request, too.
                    for isn in [1_000, 0u32.wrapping_sub(at as u32 + 1), 0u32.wrapping_sub(3)] {
                        let c = bench.connection(case.port, isn);
                        let records = bench.send(&c, true, &pieces);
                        assert_eq!(
                            counted(&records),
                            expected,
                            "port {} request {i} cut at {at}, {way}:{}",
                            case.port,
                            told(&records)
                        );
                    }
                }
            }
        }
    }
    println!("{} frames", bench.frames);
}

/// Several requests in up to 20 pieces, some repeated, some longer than their neighbours, neighbours swapped.
#[test]
fn random_streams() {
    let mut bench = Bench::new();
    let mut random = Random(0x07D9_0003);
    let cases = cases();
    for n in 0..4_000 {
        let case = &cases[random.below(cases.len())];
        let order: Vec<usize> = (0..=random.below(6)).map(|_| random.below(case.pdus.len())).collect();
        let plain = whole(case, &order);
        let c = bench.connection(case.port, 7);
        let expected = counted(&bench.send(&c, true, &plain));
        let stream = join(&plain);
        let cuts = (0..random.below(20)).map(|_| random.below(stream.len())).collect();
        let mut pieces = cut(&stream, cuts);
        for i in 0..pieces.len() {
            match random.below(6) {
                // Overlap: a piece that begins earlier, with the same content.
                0 => {
                    let (at, octets) = pieces[i].clone();
                    let back = random.below(at + 1);
                    pieces[i] = (at - back, stream[at - back..at + octets.len()].to_vec());
                }
                1 => pieces.push(pieces[i].clone()),
                2 if i > 0 => pieces.swap(i - 1, i),
                3 if stream.len() < 300 => {
                    let other = random.below(pieces.len());
                    pieces.swap(i, other);
                }
                _ => {}
            }
        }
        // Whatever was lost on the way comes in the end.
        let c = bench.connection(case.port, random.next() as u32);
        let records = bench.send(&c, true, &pieces);
        assert_eq!(counted(&records), expected, "stream {n} port {}: {}{}", case.port, shown(&pieces), told(&records));
    }
    println!("{} frames", bench.frames);
}

/// The same range once more with other content: both are counted, and the second is marked.
#[test]
fn other_content_in_the_same_range() {
    let mut bench = Bench::new();
    let read = hex("000100000006 01 03 000a 0002");
    let write = hex("000100000006 01 06 000a 0002");
    let c = bench.connection(502, 99);
    let records = bench.send(&c, true, &[(0, read.clone()), (0, write.clone()), (0, read.clone())]);
    assert_eq!(records[1].functions, ["modbus:6"], "{}", told(&records));
    assert_eq!((records[1].outcome, records[1].flags.contains(&"overlap")), ("classified", true), "{}", told(&records));
    // In pieces: the first version of an octet is the one that is parsed, and the second is marked.
    let c = bench.connection(502, 99);
    let records = bench.send(&c, true, &[(0, read[..8].to_vec()), (7, write[7..8].to_vec()), (8, read[8..].to_vec())]);
    assert!(records.iter().any(|r| r.flags.contains(&"overlap")) || records[1].outcome == "retransmission");
    assert_eq!(counted(&records), BTreeMap::from([("modbus:3".to_owned(), 1)]), "{}", told(&records));
}

/// A connection that is met in its middle, inside a PDU: everything from the next segment that begins with one.
#[test]
fn met_in_the_middle() {
    let mut bench = Bench::new();
    for case in cases() {
        let order: Vec<usize> = (0..case.pdus.len()).chain(0..case.pdus.len()).collect();
        for skip in 1..case.pdus[1].len() {
            // From the second on: a RegisterSession without its first two octets is a ListServices.
            let mut pieces = pieces_at(&whole(&case, &order)[1..]);
            let (at, octets) = pieces[0].clone();
            pieces[0] = (at + skip, octets[skip..].to_vec());
            let c = bench.connection(case.port, 4_000_000_000);
            let records = bench.send(&c, false, &pieces);
            let plain = bench.connection(case.port, 1);
            let expected = counted(&bench.send(&plain, true, &pieces_at(&pieces[1..])));
            let found = counted(&records[1..]);
            assert_eq!(found, expected, "port {} from octet {skip}:{}", case.port, told(&records));
        }
    }
}

/// The same pieces with offsets from 0 on.
fn pieces_at(pieces: &[Piece]) -> Vec<Piece> {
    let first = pieces.first().map_or(0, |(at, _)| *at);
    pieces.iter().map(|(at, octets)| (at - first, octets.clone())).collect()
}

/// Segments are lost for good: what is not there is not counted, nothing is counted twice, and the gap is marked.
#[test]
fn lost_segments() {
    let mut bench = Bench::new();
    let mut random = Random(0x07D9_0004);
    let cases = cases();
    for n in 0..500 {
        let case = &cases[random.below(cases.len())];
        // Not the first: a connection is not opened twice.
        let order: Vec<usize> = (0..40).map(|_| 1 + random.below(case.pdus.len() - 1)).collect();
        let lost = 1 + random.below(38);
        let mut pieces = whole(case, &order);
        pieces.remove(lost);
        let kept: Vec<usize> = order.iter().enumerate().filter(|(i, _)| *i != lost).map(|(_, p)| *p).collect();
        let c = bench.connection(case.port, random.next() as u32);
        let records = bench.send(&c, true, &pieces);
        let plain = bench.connection(case.port, 1);
        let expected = counted(&bench.send(&plain, true, &whole(case, &kept)));
        assert_eq!(counted(&records), expected, "stream {n} without {lost}:{}", told(&records));
        assert!(records.iter().any(|r| r.flags.contains(&"gap")), "the gap is marked");
    }
}

/// Connections of real stacks that were cut on purpose: the same functions as each connection joined by sequence
/// number and sent at once.
#[test]
fn split_captures_of_real_stacks() {
    let mut files = data::own_captures();
    files.extend(data::shared().map(|s| data::captures(&s.join("live/pcaps"))).unwrap_or_default());
    let is_split = |f: &std::path::PathBuf| f.file_name().is_some_and(|n| n.to_string_lossy().starts_with("split-"));
    let mut seen = 0;
    for file in files.into_iter().filter(is_split) {
        let mut bench = Bench::new();
        let mut joined: BTreeMap<(u32, u16, u16), BTreeMap<u32, Vec<u8>>> = BTreeMap::new();
        let mut records = Vec::new();
        for frame in data::frames(&file).expect("readable") {
            records.push(bench.frame(&frame));
            let (head, payload) = frame.split_at(54.min(frame.len()));
            if head[12..14] != [8, 0] || head[23] != 6 {
                continue;
            }
            let options = usize::from(head[46] >> 4) * 4 - 20;
            let total = usize::from(u16::from_be_bytes([head[16], head[17]])) - 40 - options;
            if total == 0 {
                continue;
            }
            let port = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
            let seq = u32::from_be_bytes([head[38], head[39], head[40], head[41]]);
            let key = (u32::from_be_bytes([head[26], head[27], head[28], head[29]]), port(34), port(36));
            joined.entry(key).or_default().entry(seq).or_insert_with(|| payload[options..options + total].to_vec());
        }
        let mut expected = Vec::new();
        for ((_, sport, dport), segments) in joined {
            let server = sport.min(dport);
            // The walk stops after 16 PDUs a segment: a few at a time.
            let stream: Vec<u8> = segments.into_values().flatten().collect();
            let mut c = bench.connection(server, 5);
            c.port = dport;
            let mut frame = c.frame(PSH_ACK, 0, &stream);
            frame[34..36].copy_from_slice(&sport.to_be_bytes());
            expected.push(bench.frame(&frame));
        }
        let limited = expected.iter().any(|r| r.flags.contains(&"walk_limit"));
        assert!(limited || counted(&records) == counted(&expected), "{}:{}", file.display(), told(&records));
        seen += 1;
    }
    assert!(seen > 0, "no capture of split segments");
}
