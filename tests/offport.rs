//! Protocols on ports that are not theirs: named once both directions matched, in both engines, and later connections to
//! the same server from their first frame.

use harness::is_root;
use ot_xdp::bindings::BindingTable;
use ot_xdp::source::replay::{Engine, KernelEngine, Record, UserEngine};
use ot_xdp_common::limits::FLOWS;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
    digits.chunks(2).map(|c| c[0] << 4 | c[1]).collect()
}

/// Both engines, which have to agree on every frame.
struct Bench {
    user: UserEngine,
    kernel: Option<KernelEngine>,
    frames: u64,
}

/// A connection of a client to the server, with the sequence numbers of both sides.
struct Connection {
    client: u16,
    port: u16,
    seq: [u32; 2],
}

impl Connection {
    fn new(client: u16, port: u16) -> Connection {
        Connection { client, port, seq: [1, 1] }
    }
}

impl Bench {
    fn new() -> Bench {
        let kernel = is_root().then(|| KernelEngine::new(BindingTable::default(), FLOWS).expect("loads"));
        if kernel.is_none() {
            harness::skipped("no root: the kernel program is not compared");
        }
        Bench { user: UserEngine::new(BindingTable::default(), FLOWS), kernel, frames: 0 }
    }

    /// The next segment of a connection, from the client or from the server.
    fn send(&mut self, c: &mut Connection, from_client: bool, payload: &str) -> Record {
        let payload = hex(payload);
        let side = usize::from(!from_client);
        let (seq, ack) = (c.seq[side], c.seq[1 - side]);
        c.seq[side] += payload.len() as u32;
        let (a, b) = ([10, 201, 0, 1], [10, 201, 0, 2]);
        let (src, dst) = if from_client { (a, b) } else { (b, a) };
        let (sport, dport) = if from_client { (c.client, c.port) } else { (c.port, c.client) };
        let mut f = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0];
        f.extend((40 + payload.len() as u16).to_be_bytes());
        f.extend([0, 1, 0x40, 0, 64, 6, 0, 0]);
        f.extend(src);
        f.extend(dst);
        f.extend(sport.to_be_bytes());
        f.extend(dport.to_be_bytes());
        f.extend(seq.to_be_bytes());
        f.extend(ack.to_be_bytes());
        f.extend([0x50, 0x18, 0, 0, 0, 0, 0, 0]);
        f.extend(payload);
        self.frames += 1;
        let user = self.user.frame(self.frames, &f, self.frames).expect("user engine");
        if let Some(kernel) = &mut self.kernel {
            let other = kernel.frame(self.frames, &f, self.frames).expect("kernel engine");
            assert_eq!(user, other, "user (left) and kernel (right) differ on {f:02x?}");
        }
        user
    }
}

/// Request, response and what they are.
struct Case {
    weak: bool,
    port: u16,
    request: (&'static str, &'static [&'static str]),
    response: (&'static str, &'static [&'static str]),
}

const CASES: &[Case] = &[
    Case {
        weak: true,
        port: 18502,
        request: ("000100000006 01 06 0010 abcd", &["modbus:6"]),
        response: ("000100000006 01 06 0010 abcd", &["modbus:6"]),
    },
    Case {
        weak: true,
        port: 18503,
        request: ("000100000006 01 03 000a 0002", &["modbus:3"]),
        response: ("000100000007 01 03 04 00010002", &["modbus:3"]),
    },
    // RTU framing.
    Case {
        weak: true,
        port: 14001,
        request: ("01 03 0000 0002 c40b", &["modbus:3"]),
        response: ("01 03 04 0007 0007 0a30", &["modbus:3"]),
    },
    Case {
        weak: true,
        port: 12404,
        request: ("68 0e 1a00 1a00 2d 01 0600 2f00 140000 01", &["iec104:I/45/6"]),
        response: ("68 0e 1a00 0c00 2d 01 0700 2f00 140000 01", &["iec104:I/45/7"]),
    },
    Case {
        weak: false,
        port: 11102,
        request: (
            "0300001f 02f080 32 01 0000 0001 000e 0000 04 01 12 0a 10 02 0004 0001 84 000000",
            &["s7comm:job/0x04"],
        ),
        response: (
            "0300001d 02f080 32 03 0000 0001 0002 0008 0000 04 01 ff 04 0020 00000001",
            &["s7comm:ack_data/0x04"],
        ),
    },
    Case {
        weak: false,
        port: 14102,
        request: (
            "6f00 1600 dfccc6ed 00000000 0000000000000000 00000000 00000000 0000 0200 0000 0000 b200 0600 07 02 20 8e 24 01",
            &["enip:0x006f", "cip:0x07"],
        ),
        response: (
            "6f00 1400 dfccc6ed 00000000 0000000000000000 00000000 00000000 0000 0200 0000 0000 b200 0400 87 00 00 00",
            &["enip:0x006f", "cip:0x07"],
        ),
    },
];

fn is(record: &Record, functions: &[&str]) {
    assert_eq!(
        (record.outcome, record.functions.iter().map(String::as_str).collect::<Vec<_>>()),
        ("classified", functions.to_vec()),
        "{record:?}"
    );
    assert!(record.flags.contains(&"port_mismatch"), "{record:?}");
}

#[test]
fn named_once_both_directions_matched() {
    let mut bench = Bench::new();
    for case in CASES {
        let mut c = Connection::new(40_000, case.port);
        let first = bench.send(&mut c, true, case.request.0);
        if case.weak {
            assert_eq!((first.outcome, first.functions.len()), ("not_ot", 0), "{first:?}");
        } else {
            is(&first, case.request.1);
        }
        is(&bench.send(&mut c, false, case.response.0), case.response.1);
        is(&bench.send(&mut c, true, case.request.0), case.request.1);
        is(&bench.send(&mut c, false, case.response.0), case.response.1);
        let mut c = Connection::new(40_001, case.port);
        is(&bench.send(&mut c, true, case.request.0), case.request.1);
    }
}

/// Requests that repeat without an answer, and answers that nobody asked for, stay without a name.
#[test]
fn one_direction_is_not_enough() {
    let mut bench = Bench::new();
    for case in CASES.iter().filter(|c| c.weak && c.request.0 != c.response.0) {
        for from_client in [true, false] {
            let mut c = Connection::new(40_000, case.port + 1_000 + u16::from(from_client));
            for _ in 0..3 {
                let seen = bench.send(&mut c, from_client, if from_client { case.request.0 } else { case.response.0 });
                assert_eq!(seen.outcome, "not_ot", "{seen:?}");
            }
        }
    }
}

/// Each octet that the signature asks for, changed, in both directions: nothing is named.
#[test]
fn near_misses_are_not_named() {
    let mut bench = Bench::new();
    // LDAP with four octets of length: unbind, and an answer whose number is one less than Modbus would need.
    let pairs = [
        ("308400000006 02 02 0002 4200", "30840000000c 02 01 09 61 07 0a 01 00 04 00 04 00"),
        ("000100000006 01 03 000a 0000", "000100000006 01 03 03 000102"),
        ("000100000007 01 03 000a 0002", "000100000007 01 03 05 00010002"),
        ("000100010006 01 03 000a 0002", "000100010007 01 03 04 00010002"),
        ("000100000006 01 03 000a 0002 00", "000100000007 01 03 04 00010002 00"),
        ("000100000006 01 66 000a 0002", "000100000003 01 83 20"),
        ("01 03 0000 0002 c40c", "01 03 04 0007 0007 0a31"),
    ];
    for (port, (request, response)) in (29_000..).zip(pairs) {
        let mut c = Connection::new(40_000, port);
        for _ in 0..2 {
            for (from_client, payload) in [(true, request), (false, response)] {
                let seen = bench.send(&mut c, from_client, payload);
                assert_eq!((seen.outcome, seen.functions.len()), ("not_ot", 0), "{payload}: {seen:?}");
            }
        }
    }
}

/// Two requests behind one header, on the port: both are counted.
#[test]
fn hidden_requests_are_counted() {
    let mut bench = Bench::new();
    let lies: &[(u16, &str, &[&str])] = &[
        (
            102,
            "03000034 02f080 32 01 0000 0001 0002 0000 f000 03000021 02f080 32 01 0000 0003 0010 0000 29 000000000009 505f50524f4752414d",
            &["s7comm:job/0xf0", "s7comm:job/0x29"],
        ),
        (502, "000100000012 01 03 000a 0002 000200000006 01 06 0010 abcd", &["modbus:3", "modbus:6"]),
        (
            2404,
            "681e 1a00 1a00 64 01 0600 0100 000000 14 680e 0a00 1a00 2d 01 0600 2f00 140000 01",
            &["iec104:I/100/6", "iec104:I/45/6"],
        ),
    ];
    for (port, payload, functions) in lies {
        let mut c = Connection::new(40_000, *port);
        let seen = bench.send(&mut c, true, payload);
        assert_eq!(seen.functions, *functions, "{seen:?}");
        assert!(seen.flags.contains(&"length_lie"), "{seen:?}");
        // In two pieces: the same functions, each once.
        let half = payload.replace(' ', "");
        for cut in (2..half.len()).step_by(2) {
            let mut c = Connection::new(40_001 + cut as u16, *port);
            let mut all = bench.send(&mut c, true, &half[..cut]).functions;
            all.extend(bench.send(&mut c, true, &half[cut..]).functions);
            assert_eq!(all, *functions, "cut at {}", cut / 2);
        }
    }
}
