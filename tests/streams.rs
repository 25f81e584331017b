//! TCP streams: however a stream is cut, repeated and shuffled, each PDU is counted once, in both engines.

use std::collections::BTreeMap;

use harness::is_root;
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
    for n in 0..8_000 {
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
