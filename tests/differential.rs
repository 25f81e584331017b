//! One parser source, two engines: the kernel program and user space decide the same for every frame.

use std::collections::HashMap;

use harness::{data, is_root, skip, tunnel};
use ot_xdp::bindings::BindingTable;
use ot_xdp::config::Config;
use ot_xdp::source::replay::{Engine, KernelEngine, Record, UserEngine};
use ot_xdp_common::limits::{FLOWS, REACH};
use ot_xdp_common::wire::{FlowKey, FlowValue};

/// Both engines on the same frames, stopped at the first difference.
struct Pair {
    user: UserEngine,
    kernel: KernelEngine,
    frames: u64,
}

impl Pair {
    fn new() -> Pair {
        Pair::with(BindingTable::default())
    }

    fn with(bindings: BindingTable) -> Pair {
        Pair {
            user: UserEngine::new(bindings.clone(), FLOWS),
            kernel: KernelEngine::new(bindings, FLOWS).expect("the kernel program loads"),
            frames: 0,
        }
    }

    fn frame(&mut self, data: &[u8], from: &dyn std::fmt::Display) -> Record {
        self.frames += 1;
        let at = self.frames * 1_000;
        let u = self.user.frame(self.frames, data, at).expect("user engine");
        let k = self.kernel.frame(self.frames, data, at).expect("kernel engine");
        assert_eq!(u, k, "{from}: user (left) and kernel (right) differ on {} octets: {:02x?}", data.len(), data);
        assert_eq!(k.verdict, "pass", "{from}: passive mode passes every frame");
        k
    }

    /// Counters of both, and the accounting equation.
    fn compare_counters(&mut self) {
        let u = self.user.snapshot(0).expect("user snapshot");
        let k = self.kernel.snapshot(0).expect("kernel snapshot");
        let table = |flows: &[(FlowKey, FlowValue)]| flows.iter().copied().collect::<HashMap<_, _>>();
        let (uf, kf) = (table(&u.flows), table(&k.flows));
        if u.ports[0].1.overflow_ops == 0 {
            let only: Vec<_> = kf.iter().filter(|(k, _)| !uf.contains_key(k)).take(5).collect();
            assert_eq!(uf.len(), kf.len(), "number of keys; only in the kernel: {only:?}");
            for (key, value) in &uf {
                assert_eq!(Some(value), kf.get(key), "counters of {key:?}");
            }
        }
        let (up, kp) = (u.ports[0].1, k.ports[0].1);
        assert_eq!((up.frames, up.bytes, up.outcomes, up.classes), (kp.frames, kp.bytes, kp.outcomes, kp.classes));
        assert_eq!(kp.frames, kp.outcomes.iter().sum::<u64>(), "frames seen = sum of outcomes");
        let classified = kp.outcomes[0] + kp.outcomes[1];
        assert_eq!(classified, kp.classes.iter().sum::<u64>(), "classified and malformed = sum of classes");
        let in_flows: u64 = k.flows.iter().map(|(_, v)| v.frames).sum();
        assert_eq!(classified, in_flows + kp.overflow_frames, "classified and malformed = flows + overflow");
    }
}

/// A frame to port 502 with these Modbus PDUs, behind an Ethernet, IPv4 and TCP header; each client has one connection.
fn modbus(client: u8, pdus: &[&[u8]]) -> Vec<u8> {
    let adus: Vec<u8> = pdus.iter().flat_map(|p| [&[0, 1, 0, 0, 0, p.len() as u8 + 1, 1], *p].concat()).collect();
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 40 + adus.len() as u8, 0, 1, 0x40, 0];
    frame.extend([64, 6, 0, 0, 10, 1, 0, client, 10, 0, 0, 2, 0x9C, 0x40, 0x01, 0xF6, 0, 0, 0, 1, 0, 0, 0, 1]);
    frame.extend([0x50, 0x18, 0, 0, 0, 0, 0, 0]);
    frame.extend(adus);
    frame
}

/// Codes that the site knows better have its class and mark in both engines, and the worst operation follows from them.
#[test]
fn a_site_overrules_the_function_tables() {
    if !is_root() {
        skip!("needs root to load the kernel program");
    }
    let file = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("overrule.toml");
    let entry = |function: &str, class: &str, change: bool| {
        format!("[[operation]]\nfunction = \"{function}\"\nclass = \"{class}\"\nstate_changing = {change}\n")
    };
    let text = entry("modbus:91", "program-download", true) + &entry("modbus:6", "session", false);
    std::fs::write(&file, text).expect("written");
    let site = Config::load(&file).expect("valid").bindings().expect("valid");
    let (object, write, read): (&[u8], &[u8], &[u8]) = (&[91, 0, 0], &[6, 0, 1, 0, 1], &[3, 0, 10, 0, 2]);
    let cases = [
        (vec![object], ("unknown", true), ("program-download", true)),
        (vec![write], ("write", true), ("session", false)),
        (vec![write, read], ("write", true), ("read", false)),
        (vec![read, write, object], ("write", true), ("program-download", true)),
    ];
    let (mut plain, mut overruled) = (Pair::new(), Pair::with(site));
    for (client, (pdus, default, here)) in (1..).zip(cases) {
        let frame = modbus(client, &pdus);
        let r = plain.frame(&frame, &"default");
        assert_eq!((r.class, r.state_changing), (Some(default.0), default.1), "{pdus:?}");
        let r = overruled.frame(&frame, &"site");
        assert_eq!((r.class, r.state_changing), (Some(here.0), here.1), "{pdus:?}");
    }
    plain.compare_counters();
    overruled.compare_counters();
}

/// The flow map is full: further functions go to the overflow bucket, and every total stays exact.
#[test]
fn a_full_flow_map_keeps_totals_exact() {
    if !is_root() {
        skip!("needs root to load the kernel program");
    }
    const KEYS: u32 = 1_000;
    let mut kernel = KernelEngine::new(BindingTable::default(), KEYS).expect("the kernel program loads");
    let mut user = UserEngine::new(BindingTable::default(), KEYS);
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 52, 0, 1, 0x40, 0, 64, 6, 0, 0];
    frame.extend([
        10, 1, 0, 0, 10, 0, 0, 2, 0x9C, 0x40, 0x01, 0xF6, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 0, 0, 0, 0, 0, 0,
    ]);
    frame.extend([0, 1, 0, 0, 0, 6, 1, 3, 0, 10, 0, 2]);
    for i in 0..3_000u16 {
        frame[28..30].copy_from_slice(&i.to_be_bytes());
        let n = u64::from(i) + 1;
        let (k, u) = (kernel.frame(n, &frame, n).expect("kernel"), user.frame(n, &frame, n).expect("user"));
        assert_eq!((k.functions, u.functions), (vec!["modbus:3".to_owned()], vec!["modbus:3".to_owned()]));
    }
    for snapshot in [kernel.snapshot(0).expect("kernel"), user.snapshot(0).expect("user")] {
        let port = snapshot.ports[0].1;
        let in_flows: u64 = snapshot.flows.iter().map(|(_, v)| v.frames).sum();
        let in_overflow: u64 = snapshot.overflow.iter().map(|(.., v)| v.frames).sum();
        assert!(port.overflow_frames > 0, "the map is too small for 3,000 conversations");
        assert_eq!((port.frames, in_flows + in_overflow), (3_000, 3_000), "no frame is missing from the books");
        assert_eq!(port.overflow_frames, in_overflow, "the port and the bucket agree");
    }
}

/// xorshift64*: the same mutations on every machine.
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

fn captures() -> Vec<std::path::PathBuf> {
    let mut files = data::own_captures();
    if let Some(shared) = data::shared() {
        files.extend(data::captures(&shared.join("live/pcaps")));
        files.extend(data::captures(&shared.join("corpus/dev/pcap")));
    }
    files
}

#[test]
fn every_captured_frame() {
    if !is_root() {
        skip!("needs root to load the kernel program");
    }
    if data::shared().is_none() {
        harness::skipped("the shared corpus is absent; only the repository's captures are compared");
    }
    let mut pair = Pair::new();
    for file in captures() {
        for (i, frame) in data::frames(&file).expect("readable").iter().enumerate() {
            pair.frame(frame, &format_args!("{} frame {}", file.display(), i + 1));
        }
    }
    assert!(pair.frames > 100, "no captures found");
    pair.compare_counters();
    println!("{} frames equal", pair.frames);
}

/// Frames of every protocol with octets changed, cut, grown and spliced: equal results, no panic.
#[test]
fn a_million_mutated_frames() {
    if !is_root() {
        skip!("needs root to load the kernel program");
    }
    let mut seeds: Vec<Vec<u8>> = Vec::new();
    for file in captures() {
        // Small frames of every file: headers are where parsers decide.
        let frames = data::frames(&file).expect("readable");
        let step = frames.len() / 40 + 1;
        seeds.extend(frames.into_iter().step_by(step).filter(|f| (14..1600).contains(&f.len())));
    }
    assert!(!seeds.is_empty(), "no captures found");
    let total: u64 = std::env::var("OT_XDP_MUTATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    let mut random = Random(0x07D9_0001);
    let mut pair = Pair::new();
    while pair.frames < total {
        let mut frame = seeds[random.below(seeds.len())].clone();
        mutate(&mut frame, &seeds, &mut random);
        pair.frame(&frame, &"mutation");
    }
    pair.compare_counters();
    println!("{} mutated frames of {} seeds equal", pair.frames, seeds.len());
}

/// Both engines for a site that opens tunnels.
fn opening_tunnels() -> Pair {
    let mut bindings = BindingTable::default();
    bindings.open_tunnels(true);
    Pair::with(bindings)
}

/// The frames of a capture that stay within reach in a tunnel.
fn frames_for_tunnels(file: &std::path::Path) -> Vec<Vec<u8>> {
    let fits = |f: &Vec<u8>| (14..REACH as usize - tunnel::OVERHEAD).contains(&f.len());
    data::frames(file).expect("readable").into_iter().filter(fits).collect()
}

/// What is decided for each frame without a tunnel, in user space.
fn bare(frames: &[Vec<u8>]) -> Vec<Record> {
    let mut user = UserEngine::new(BindingTable::default(), FLOWS);
    (1..).zip(frames).map(|(n, f)| user.frame(n, f, n * 1_000).expect("user engine")).collect()
}

/// A frame in a tunnel is what it is without one, and flagged; both engines agree, and so do their books.
#[test]
fn every_frame_in_every_tunnel() {
    if !is_root() {
        skip!("needs root to load the kernel program");
    }
    type Wrap = Box<dyn Fn(&[u8]) -> Option<Vec<u8>>>;
    let frames: Vec<Vec<u8>> = data::own_captures().iter().flat_map(|file| frames_for_tunnels(file)).collect();
    let expected = bare(&frames);
    let mut kinds: Vec<(String, Wrap)> = vec![("packet-in-gre".to_owned(), Box::new(tunnel::wrap_packet))];
    for (name, carrier, head) in tunnel::KINDS {
        kinds.push((name.to_owned(), Box::new(move |f| Some(tunnel::wrap(carrier, head, f)))));
    }
    let (_, carrier, head) = tunnel::KINDS[0];
    kinds.push(("vxlan-ipv6".to_owned(), Box::new(move |f| Some(tunnel::wrap_ipv6(carrier, head, f)))));
    for (kind, wrap) in kinds {
        let mut pair = opening_tunnels();
        let mut wrapped = 0;
        for (frame, bare) in frames.iter().zip(&expected) {
            let Some(outer) = wrap(frame) else {
                // Not a packet: keeps the numbers and the memory of both in step.
                pair.frame(frame, &kind);
                continue;
            };
            let mut record = pair.frame(&outer, &kind);
            assert!(record.flags.contains(&"tunnel"), "{kind}: {record:?}");
            record.flags.retain(|f| *f != "tunnel");
            assert_eq!(&record, bare, "{kind}: in the tunnel (left) and bare (right) on {frame:02x?}");
            wrapped += 1;
        }
        assert!(wrapped > 100, "{kind}: {wrapped} frames");
        pair.compare_counters();
        println!("{kind}: {wrapped} of {} frames equal", frames.len());
    }
}

/// The same in user space for the shared corpus, which has more protocols.
#[test]
fn every_captured_frame_in_a_tunnel() {
    if data::shared().is_none() {
        skip!("the shared corpus is absent");
    }
    let mut bindings = BindingTable::default();
    bindings.open_tunnels(true);
    let (_, carrier, head) = tunnel::KINDS[0];
    let mut total = 0;
    for file in captures() {
        let frames = frames_for_tunnels(&file);
        let expected = bare(&frames);
        let mut user = UserEngine::new(bindings.clone(), FLOWS);
        for (frame, bare) in frames.iter().zip(&expected) {
            let outer = tunnel::wrap(carrier, head, frame);
            let mut record = user.frame(bare.frame, &outer, bare.frame * 1_000).expect("user engine");
            record.flags.retain(|f| *f != "tunnel");
            assert_eq!(&record, bare, "{}: in the tunnel (left) and bare (right) on {frame:02x?}", file.display());
        }
        total += frames.len();
    }
    println!("{total} frames equal");
}

/// A tunnel in a tunnel is not opened, whatever the kinds.
#[test]
fn a_tunnel_in_a_tunnel() {
    if !is_root() {
        skip!("needs root to load the kernel program");
    }
    let read = modbus(1, &[&[3, 0, 10, 0, 2]]);
    let mut pair = opening_tunnels();
    for (outer_name, outer, outer_head) in tunnel::KINDS {
        for (inner_name, inner, inner_head) in tunnel::KINDS {
            for inside in [tunnel::wrap(inner, inner_head, &read), tunnel::wrap_ipv6(inner, inner_head, &read)] {
                let from = format!("{inner_name} in {outer_name}");
                let record = pair.frame(&tunnel::wrap(outer, outer_head, &inside), &from);
                assert_eq!((record.outcome, record.flags), ("not_ot", vec!["tunnel"]), "{from}");
            }
        }
    }
    pair.compare_counters();
}

/// Octets changed in the headers around and inside: equal results, also where a tunnel is broken.
#[test]
fn mutated_tunnels() {
    if !is_root() {
        skip!("needs root to load the kernel program");
    }
    let mut seeds: Vec<Vec<u8>> = Vec::new();
    for file in data::own_captures() {
        let frames = frames_for_tunnels(&file);
        let step = frames.len() / 10 + 1;
        for (frame, (_, carrier, head)) in frames.iter().step_by(step).zip(tunnel::KINDS.iter().cycle()) {
            seeds.push(tunnel::wrap(*carrier, head, frame));
            seeds.push(tunnel::wrap_ipv6(*carrier, head, frame));
            seeds.extend(tunnel::wrap_packet(frame));
        }
    }
    seeds.retain(|f| f.len() < 1600);
    let total = std::env::var("OT_XDP_MUTATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000_000_u64) / 5;
    let mut random = Random(0x07D9_0002);
    let mut pair = opening_tunnels();
    while pair.frames < total {
        let mut frame = seeds[random.below(seeds.len())].clone();
        mutate(&mut frame, &seeds, &mut random);
        pair.frame(&frame, &"mutation");
    }
    pair.compare_counters();
    println!("{} mutated frames of {} seeds equal", pair.frames, seeds.len());
}

fn mutate(frame: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Random) {
    for _ in 0..=random.below(4) {
        let len = frame.len();
        // Most changes behind the Ethernet and IP headers, where the protocols are.
        let from = if random.below(4) == 0 { 0 } else { 34.min(len - 1) };
        let at = from + random.below(len - from);
        match random.below(8) {
            0 => frame[at] ^= 1 << random.below(8),
            1 => frame[at] = random.next() as u8,
            2 => frame[at] = [0, 1, 0x7F, 0x80, 0xFE, 0xFF][random.below(6)],
            3 if len > 20 => frame.truncate((14 + random.below(len - 14)).max(15)),
            4 => frame.extend((0..random.below(32)).map(|i| i as u8)),
            5 => {
                let other = &seeds[random.below(seeds.len())];
                let cut = random.below(other.len());
                frame.truncate(at.max(14));
                frame.extend_from_slice(&other[cut..]);
                frame.truncate(1600);
            }
            6 => {
                let copy: Vec<u8> = frame[at..].to_vec();
                frame.extend_from_slice(&copy);
                frame.truncate(1600);
            }
            _ => {
                let value = (random.next() as u16).to_be_bytes();
                if at + 1 < len {
                    frame[at..at + 2].copy_from_slice(&value);
                }
            }
        }
    }
}
