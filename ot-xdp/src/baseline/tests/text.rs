//! The text form reads back to the same members.

use std::sync::Arc;

use ot_xdp_common::op::{Class, Dir, Kind};
use ot_xdp_common::proto::Proto;

use crate::baseline::balance::BalanceHabit;
use crate::baseline::habit::{Look, Rules, Sample};
use crate::baseline::model::Place;
use crate::baseline::{Asset, Baseline, Hours, Mark, Op, OpKey, State, Station, Status, Talk, TalkKey, line};

/// A small generator (xorshift), so that a failure repeats.
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

fn mark(d: &mut Dice) -> Mark {
    let first = 1_700_000_000 + d.below(1 << 24) as u32;
    Mark {
        first_s: first,
        last_s: first + d.below(1 << 20) as u32,
        count: d.next() as u32,
        hours: d.next() as u8,
        days: d.next() as u8,
        status: Status::ALL[d.below(5) as usize],
        late: d.below(2) == 0,
        met: false,
    }
}

fn station(d: &mut Dice) -> Station {
    match d.below(3) {
        0 => Station::Ip(std::net::Ipv4Addr::from(d.next() as u32).into()),
        1 => Station::Ip(
            std::net::Ipv6Addr::from(u128::from(d.next()) << 64 | 0x2001 << 112 | u128::from(d.next())).into(),
        ),
        _ => Station::Mac([2, d.next() as u8, 3, 4, 5, d.next() as u8]),
    }
}

/// A baseline with members of every form.
pub fn random(seed: u64) -> Baseline {
    let mut d = Dice(seed);
    let mut b = Baseline {
        version: d.below(1_000) as u32,
        state: [State::Learning, State::Candidate, State::Locked][d.below(3) as usize],
        locked_s: 1_700_000_001,
        span_s: (1_700_000_002, 1_700_900_000),
        observed_s: d.below(1 << 20) as u32,
        ..Baseline::default()
    };
    for _ in 0..30 {
        let mut asset = Asset { mark: mark(&mut d), ..Asset::default() };
        let m = mark(&mut d);
        asset.macs.push(([1, 2, 3, 4, 5, d.next() as u8], m));
        asset.places.push((Place { interface: Arc::from("eth1"), vlan: d.below(4_095) as u16 }, m));
        b.assets.insert(station(&mut d), asset);
        let l4 = [0u8, 6, 17][d.below(3) as usize];
        let end = |d: &mut Dice| {
            if l4 == 0 {
                line::words(Station::Mac([2, 0, 0, 0, 0, d.next() as u8]))
            } else {
                line::words(Station::Ip(std::net::Ipv4Addr::from(d.next() as u32).into()))
            }
        };
        let key =
            TalkKey { client: end(&mut d), server: end(&mut d), vlan: d.below(5) as u16, port: d.next() as u16, l4 };
        let mut talk = Talk { mark: mark(&mut d), flags: d.next() as u32 & 0xFF_FFFF, ..Talk::default() };
        if d.below(2) == 0 {
            talk.balance = Some(BalanceHabit {
                requests: 7,
                most_unanswered: 0.1 + d.below(9) as f32 / 7.0,
                ..BalanceHabit::default()
            });
        }
        for _ in 0..d.below(6) {
            let proto = Proto::ALL[d.below(Proto::ALL.len() as u64) as usize];
            let op = OpKey {
                function: d.next() as u32,
                unit: d.next() as u32,
                proto: proto as u8,
                kind: Kind::new(Class::ALL[d.below(19) as usize], d.below(2) == 0).0,
                dir: [Dir::Unknown, Dir::Request, Dir::Response, Dir::Publish][d.below(4) as usize],
                from_client: d.below(2) == 0,
            };
            let mut learning = crate::baseline::habit::Learning::default();
            for i in 0..d.below(500) {
                let look = Look { from_ns: i * 10_000_000_000 + 1, to_ns: (i + 1) * 10_000_000_000 + 1, wall_s: 0 };
                learning
                    .observe(&look, &Sample { count: d.below(9) as u32, last_ns: look.to_ns - 5, gap_max_ns: None });
            }
            let habit = learning.habit(&Rules { min_observed_s: 60, min_observations: 5 });
            // Windows that run are not kept.
            learning = crate::baseline::habit::Learning::from_line(&learning.to_line()).unwrap();
            talk.ops.insert(
                op,
                Op {
                    mark: mark(&mut d),
                    window: (d.next() as u32 >> 1, u32::MAX),
                    habit: Some(habit),
                    hours: (d.below(3) == 0).then(|| Box::new(Hours([d.next() as u8; 21]))),
                    learning: (d.below(2) == 0).then(|| Box::new(learning)),
                    ..Op::default()
                },
            );
        }
        b.talks.insert(key, talk);
    }
    b
}

#[test]
fn an_export_reads_back() {
    for seed in 1..60 {
        let b = random(seed);
        let text = line::export(&b);
        let again = line::parse(&text).unwrap_or_else(|e| panic!("seed {seed}: {e}\n{text}"));
        assert_eq!(again.assets, b.assets, "seed {seed}");
        assert_eq!(again.talks, b.talks, "seed {seed}");
        assert_eq!(line::export(&again), text, "seed {seed}");
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert!(lines.is_sorted(), "seed {seed}");
    }
}

#[test]
fn what_is_wrong_with_a_line_is_said() {
    let head = format!(
        "{}\nbaseline state=learning version=0 locked=no begin=1970-01-01T00:00:00Z end=1970-01-01T00:00:00Z observed=0s\n",
        line::HEAD
    );
    for (text, part) in [
        ("asset 10.0.0.300 | status=seen", "10.0.0.300"),
        ("asset 10.0.0.3 | status=usual", "usual"),
        ("asset 10.0.0.3", "between"),
        ("talk 10.0.0.1 > 10.0.0.2 tcp/502 vlan=0 | status=seen", "tcp/502"),
        ("op 10.0.0.1 > 10.0.0.2 ip6/502 vlan=0 modbsu:3#3 unit=1 request client read | status=seen", "modbsu"),
        ("asset 10.0.0.3 | colour=red", "colour"),
        ("nothing at all | status=seen", "nothing"),
    ] {
        let error = line::parse(&format!("{head}{text}\n")).unwrap_err();
        assert!(error.line == 3 && error.what.contains(part), "{text}: {error}");
    }
    assert!(line::parse("hello").unwrap_err().to_string().contains("line 1"));
}

#[test]
fn hours_of_the_week_are_counted_from_monday() {
    // 2026-11-23 is a Monday.
    let monday: jiff::Timestamp = "2026-11-23T00:30:00Z".parse().unwrap();
    let s = monday.as_second() as u32;
    assert_eq!((Hours::of(s), Hours::of(s - 3_600), Hours::of(s + 25 * 3_600)), (0, 167, 25));
    let mut hours = Hours::default();
    hours.set(0);
    assert!(hours.has(0) && hours.has_near(167) && hours.has_near(1) && !hours.has_near(2));
}
