//! Attempts that no honest stack makes: frames by hand, and TCP in user space.

use std::net::Ipv4Addr;

use harness::client::PATIENCE;
use harness::minitcp::{Carrier, MiniTcp};
use harness::netns::within;
use harness::packet::{Ends, PacketSocket, flag};
use harness::pdu::Framing;
use harness::sink::{Answers, Sink};

use crate::attempt::{Tried, read, write};
use crate::stage::{GHOST6, OT6, Stage, address, socket};

/// A connection of the ghost in user space.
fn ghost(stage: &Stage, sport: u16) -> MiniTcp {
    let ends = stage.ghost(sport, 502);
    within(&stage.plant.namespace("it"), || MiniTcp::open("it0", ends, |e, s| e.frame(s))).expect("connects")
}

/// Waits until what was sent before has arrived or never will: a frame sent after it on the same path is there.
fn barrier(stage: &Stage, ear: &Sink, mark: u8) {
    let frame = [&[2, 0, 0, 0x77, 0, 2, 2, 0, 0, 0x77, 0, 1, 0x88, 0xB5], &[mark; 46][..]].concat();
    let sender = within(&stage.plant.namespace("it"), || PacketSocket::open("it0", false)).expect("a packet socket");
    sender.send(&frame).expect("sent");
    // An experimental Ethernet type: no policy knows it.
    assert!(ear.wait(PATIENCE, |s| s.contains(&frame[12..])), "the bridge forwards");
}

/// Sends a write over a connection in some way.
type Sends = fn(&MiniTcp, &[u8]);

/// Runs attempts on connections in user space, each with a write of its own.
fn on_connections(stage: &Stage, attempts: &[(&str, Sends)]) -> Tried {
    stage.begin();
    let (sink, mut tried) = (stage.modbus(), Tried::default());
    let ear = Sink::frames(&stage.plant.namespace("ot"), "ot0");
    for (i, (name, attempt)) in attempts.iter().enumerate() {
        let pdu = write(i as u16 + 1);
        let connection = ghost(stage, 30_000 + i as u16);
        attempt(&connection, &pdu);
        barrier(stage, &ear, i as u8 + 1);
        tried.note(stage, &sink, name, &pdu);
    }
    tried
}

/// The same range twice with other content: the controller cannot use the first, or has it replaced.
pub fn other_content(stage: &Stage) -> Tried {
    on_connections(
        stage,
        &[
            ("behind a read with a bad checksum", |c, pdu| {
                let mut decoy = c.made(0, c.ack, &read(1));
                decoy[16] ^= 0x55;
                c.segment(&decoy).expect("sent");
                c.send(0, pdu).expect("sent");
            }),
            ("behind a read that acknowledges what was never sent", |c, pdu| {
                c.segment(&c.made(0, c.ack.wrapping_add(1_000_000), &read(1))).expect("sent");
                c.send(0, pdu).expect("sent");
            }),
            ("half of it behind a whole read with a bad checksum", |c, pdu| {
                let mut decoy = c.made(0, c.ack, &read(1));
                decoy[16] ^= 0x55;
                c.segment(&decoy).expect("sent");
                c.send(0, &pdu[..7]).expect("sent");
                c.send(7, &pdu[7..]).expect("sent");
            }),
        ],
    )
}

/// Retransmissions that change their mind about octets which the controller does not have yet.
pub fn retransmission(stage: &Stage) -> Tried {
    on_connections(
        stage,
        &[
            ("the function octet, once wrong with a bad checksum", |c, pdu| {
                c.send(0, &pdu[..7]).expect("sent");
                let mut decoy = c.made(7, c.ack, &read(1)[7..]);
                decoy[17] ^= 0x55;
                c.segment(&decoy).expect("sent");
                c.send(7, &pdu[7..]).expect("sent");
            }),
            ("from the beginning again, longer", |c, pdu| {
                c.send(0, &pdu[..7]).expect("sent");
                c.send(0, pdu).expect("sent");
            }),
            ("refused once, then sent again as it was", |c, pdu| {
                for _ in 0..5 {
                    c.send(0, pdu).expect("sent");
                }
            }),
        ],
    )
}

/// Segments that overlap, or come in another order.
pub fn overlap(stage: &Stage) -> Tried {
    on_connections(
        stage,
        &[
            ("over the tail of a read that came early", |c, pdu| {
                c.send(4, &read(1)[4..]).expect("sent");
                c.send(0, pdu).expect("sent");
            }),
            ("its tail first", |c, pdu| {
                c.send(7, &pdu[7..]).expect("sent");
                c.send(0, &pdu[..7]).expect("sent");
            }),
            ("every octet alone, from the last to the first", |c, pdu| {
                for at in (0..pdu.len()).rev() {
                    c.send(at, &pdu[at..=at]).expect("sent");
                }
            }),
            ("every piece reaches back over the one before it", |c, pdu| {
                for at in 1..=pdu.len() {
                    c.send(at.saturating_sub(3), &pdu[at.saturating_sub(3)..at]).expect("sent");
                }
            }),
        ],
    )
}

/// IP fragments: as small as they can be, and in the wrong order.
pub fn fragments(stage: &Stage) -> Tried {
    fn pieces(segment: &[u8], size: usize) -> Vec<(usize, Vec<u8>)> {
        segment.chunks(size).enumerate().map(|(i, c)| (i * size, c.to_vec())).collect()
    }
    on_connections(
        stage,
        &[
            ("eight octets each", |c, pdu| {
                for f in c.ends.fragments(7, &pieces(&c.made(0, c.ack, pdu), 8)) {
                    c.raw(&f).expect("sent");
                }
            }),
            ("the header alone", |c, pdu| {
                for f in c.ends.fragments(8, &pieces(&c.made(0, c.ack, pdu), 24)) {
                    c.raw(&f).expect("sent");
                }
            }),
            ("the last one first", |c, pdu| {
                for f in c.ends.fragments(9, &pieces(&c.made(0, c.ack, pdu), 24)).iter().rev() {
                    c.raw(f).expect("sent");
                }
            }),
        ],
    )
}

/// Overlapping fragments: Linux discards them, other controllers do not, so the frames are what is looked at.
pub fn overlapping_fragments(stage: &Stage) -> Tried {
    stage.begin();
    let ear = Sink::frames(&stage.plant.namespace("ot"), "ot0");
    let ends = stage.ghost(31_000, 502);
    let segment = |pdu: &[u8]| ends.tcp(1, 1, flag::PSH_ACK, pdu);
    // The first says read, the second says from octet 24 on what the write says.
    let second = segment(&write(1))[24..].to_vec();
    let frames = ends.fragments(10, &[(0, segment(&read(1))), (24, second)]);
    let sender = within(&stage.plant.namespace("it"), || PacketSocket::open("it0", false)).expect("a packet socket");
    frames.iter().for_each(|f| sender.send(f).expect("sent"));
    barrier(stage, &ear, 1);
    let mut tried = Tried::default();
    for (name, frame) in ["the first fragment", "the second fragment"].iter().zip(&frames) {
        // Type, header and eight octets: a bridge may take off the padding behind them.
        tried.writes.push(((*name).to_owned(), ear.state().contains(&frame[12..42])));
    }
    tried
}

/// Behind VLAN tags: no host here takes them off, so the frames are what is looked at.
pub fn tagged(stage: &Stage) -> Tried {
    stage.begin();
    let ear = Sink::frames(&stage.plant.namespace("ot"), "ot0");
    let sender = within(&stage.plant.namespace("it"), || PacketSocket::open("it0", false)).expect("a packet socket");
    let mut tried = Tried::default();
    let tags: [(&str, &[u8]); 4] = [
        ("one tag", &[0x81, 0, 0, 5, 8, 0]),
        ("priority only", &[0x81, 0, 0xE0, 0, 8, 0]),
        ("two tags of a provider", &[0x88, 0xA8, 0, 100, 0x81, 0, 0, 5, 8, 0]),
        ("two customer tags", &[0x81, 0, 0, 100, 0x81, 0, 0, 5, 8, 0]),
    ];
    for (i, (name, types)) in tags.iter().enumerate() {
        let ends = stage.ghost(32_000 + i as u16, 502);
        let put = |seq: u32, flags: u8, pdu: &[u8]| {
            let segment = ends.tcp(seq, 1, flags, pdu);
            sender.send(&ends.ethernet(types, &ends.ipv4(1, 0x4000, &segment))).expect("sent");
        };
        let (seen, pdu) = (read(i as u16 + 100), write(i as u16 + 1));
        put(0, flag::SYN, &[]);
        put(1, flag::PSH_ACK, &seen);
        put(13, flag::PSH_ACK, &pdu);
        barrier(stage, &ear, i as u8 + 1);
        assert!(ear.state().contains(&seen), "{name}: the read passes");
        tried.note(stage, &ear, name, &pdu);
    }
    tried
}

/// IPv6 with extension headers before TCP.
pub fn extension_headers(stage: &Stage) -> Tried {
    /// Eight octets of padding options; the first says what follows.
    const fn options(next: u8) -> [u8; 8] {
        [next, 0, 1, 4, 0, 0, 0, 0]
    }
    let carriers: [(&str, Carrier); 3] = [
        ("hop-by-hop options", |e, s| e.ethernet(&[0x86, 0xDD], &e.ipv6(0, &[&options(6), s].concat()))),
        ("destination options", |e, s| e.ethernet(&[0x86, 0xDD], &e.ipv6(60, &[&options(6), s].concat()))),
        ("both", |e, s| e.ethernet(&[0x86, 0xDD], &e.ipv6(0, &[&options(60), &options(6)[..], s].concat()))),
    ];
    stage.begin();
    let sink = Sink::tcp(&stage.plant.namespace("ot"), socket(OT6, 502), Framing::Mbap, Answers::new());
    let ear = Sink::frames(&stage.plant.namespace("ot"), "ot0");
    let mut tried = Tried::default();
    for (i, (name, carrier)) in carriers.into_iter().enumerate() {
        let ip = [address(GHOST6), address(OT6)];
        let ends = Ends { ip, ..stage.ghost(33_000 + i as u16, 502) };
        let c = within(&stage.plant.namespace("it"), || MiniTcp::open("it0", ends, carrier)).expect("connects");
        let pdu = write(i as u16 + 1);
        c.send(0, &pdu).expect("sent");
        barrier(stage, &ear, i as u8 + 1);
        tried.note(stage, &sink, name, &pdu);
    }
    tried
}

/// So many new connections that every table forgets what it held.
pub fn state_flood(stage: &Stage) -> Tried {
    flood(stage, 60_000)
}

/// Fewer, each with half a header: connections are still known, what was kept of their PDUs may not be.
pub fn window_flood(stage: &Stage) -> Tried {
    flood(stage, 6_000)
}

/// New connections between the halves of a write and before a whole one: each a SYN and half a header.
fn flood(stage: &Stage, connections: u16) -> Tried {
    stage.begin();
    let (sink, mut tried) = (stage.modbus(), Tried::default());
    // Without the function octet, which would be refused at once.
    let pdu = write(1);
    let mut session = stage.session("it", 502, Framing::Mbap);
    session.send(&pdu[..7]).expect("sent");
    assert!(sink.wait(PATIENCE, |s| s.streams.iter().any(|o| o.len() == 7)), "the first half arrived");
    let sender = within(&stage.plant.namespace("it"), || PacketSocket::open("it0", false)).expect("a packet socket");
    for n in 0..connections {
        let mut ends = stage.ghost(1024 + n, 502);
        // To a host that is not there, behind the address of one that is: nobody answers.
        ends.ip[0] = Ipv4Addr::from(0x0A4E_0000 + u32::from(n)).into();
        ends.ip[1] = Ipv4Addr::new(10, 77, 0, 3).into();
        sender.send(&ends.frame(&ends.tcp(0, 0, flag::SYN, &[]))).expect("sent");
        sender.send(&ends.frame(&ends.tcp(1, 1, flag::PSH_ACK, &read(7)[..5]))).expect("sent");
    }
    tried.pieces(stage, &sink, "begun before it", session, &[&pdu[7..]], &pdu);
    let session = stage.session("it", 502, Framing::Mbap);
    tried.pieces(stage, &sink, "after it", session, &[&write(50)], &write(50));
    tried
}
