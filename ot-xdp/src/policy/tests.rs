//! What files mean, what is said about wrong ones, and what the compiled policy decides.

use std::path::Path;

use jiff::Timestamp;
use ot_xdp_common::frame::Frame;
use ot_xdp_common::op::{Class, Dir, Kind, Op, Tag};
use ot_xdp_common::policy::{Action, CONDITIONS, Condition, Side, by, row};
use ot_xdp_common::proto::Proto;
use ot_xdp_common::reason::Outcome;
use ot_xdp_common::walk::Walk;

use super::*;

const ZONES: &str = r#"
[[zone]]
name = "office"
level = 4
side = "it"
prefixes = ["10.0.0.0/16"]
[[zone]]
name = "dmz"
level = 3.5
side = "dmz"
prefixes = ["10.5.0.0/16"]
[[zone]]
name = "plant"
level = 1
side = "ot"
prefixes = ["10.20.0.0/16", "fd00:20::/32"]
"#;

/// Numbers of the zones in [`ZONES`].
const OFFICE: u8 = 1;
const DMZ: u8 = 2;
const PLANT: u8 = 3;

const WHO: &str = "reason = \"r\"\nowner = \"o\"\n";

fn now() -> Timestamp {
    "2026-06-10T12:00:00Z".parse().unwrap()
}

/// The clocks of [`now`], an hour after the start of the machine.
const HOUR: u64 = 3_600_000_000_000;

fn clocks() -> Now {
    Now { wall: now(), monotonic_ns: HOUR }
}

fn read(text: &str) -> (Policy, Vec<Problem>) {
    Policy::read(&crate::config::parse_text(Path::new("site.toml"), text).unwrap(), now())
}

fn policy(text: &str) -> Policy {
    let (policy, problems) = read(text);
    assert_eq!(problems, [], "{text}");
    policy
}

/// The only problem of a file.
fn wrong(text: &str) -> Problem {
    let (_, problems) = read(text);
    assert_eq!(problems.len(), 1, "{text}: {problems:?}");
    problems[0].clone()
}

fn compiled(text: &str) -> Compiled {
    policy(text).compile(clocks(), &[]).unwrap()
}

fn rule(lines: &str) -> String {
    format!("{ZONES}[[rule]]\n{WHO}{lines}\n")
}

fn operation(proto: Proto, class: Class, changing: bool) -> Op {
    Op { tag: Tag::new(proto as u8, Kind::new(class, changing).0, Dir::Request, 0), ..Op::default() }
}

/// What happens to an operation at a time.
fn at(c: &Compiled, from: u8, to: u8, op: Op, now_ns: u64) -> (Action, u8) {
    let mut w = Walk::default();
    w.push(op);
    let frame = Frame { l4: 17, off: 42, end: 60, ..Frame::default() };
    let judged = c.judge(Outcome::Classified, &frame, &w, Way { from, to, spoofed: false }, now_ns);
    assert_eq!(judged.len(), 1);
    (c.action(judged[0].rule), judged[0].rule)
}

fn of(c: &Compiled, from: u8, to: u8, op: Op) -> Action {
    at(c, from, to, op, HOUR).0
}

fn of_condition(c: &Compiled, from: u8, to: u8, condition: Condition) -> Action {
    let cell = c.rows.get(&row(0, from.into(), to.into(), CONDITIONS)).map_or(0, |r| r[condition as usize]);
    let (from, to) = (from.into(), to.into());
    let (src, dst, op, kind) = ([0; 4], [0; 4], Op::default(), condition as u32);
    let s = ot_xdp_common::policy::Subject { from, to, src, dst, proto: CONDITIONS, kind, op, now_ns: HOUR };
    c.action(ot_xdp_common::policy::judge(&c.rules, cell, &s))
}

fn preset(p: Preset) -> Compiled {
    compiled(&format!("[policy]\npreset = \"{}\"\n{ZONES}", p.word()))
}

/// What a preset says of an operation, written down a second time.
fn truth(p: Preset, from: Side, to: Side, class: Class, changing: bool) -> Action {
    let outside = matches!(from, Side::It | Side::None) && to == Side::Ot;
    let program = class == Class::ProgramDownload;
    let settings = matches!(class, Class::Control | Class::Config | Class::File | Class::Auth);
    let looking = matches!(
        class,
        Class::Read | Class::Discovery | Class::Session | Class::Diagnostic | Class::Response | Class::CyclicIo
    );
    match p {
        Preset::Observe if outside && (changing || program) => Action::Alert,
        Preset::ProtectWrites if outside && changing => Action::Deny,
        Preset::ProtectProgram if outside && (program || settings && changing) => Action::Deny,
        Preset::ProtectProgram if outside && changing => Action::Alert,
        Preset::Strict if outside && (changing || !looking) => Action::Deny,
        Preset::Strict if from == Side::Dmz && to == Side::Ot && changing => Action::Deny,
        _ => Action::Allow,
    }
}

#[test]
fn presets_do_what_their_table_says() {
    let sides = [(0, Side::None), (OFFICE, Side::It), (DMZ, Side::Dmz), (PLANT, Side::Ot)];
    for p in Preset::ALL {
        let c = preset(p);
        for (from, from_side) in sides {
            for (to, to_side) in sides {
                for class in Class::ALL {
                    for changing in [false, true] {
                        let expected = truth(p, from_side, to_side, class, changing);
                        for proto in [Proto::Modbus, Proto::S7comm, Proto::Ssdp] {
                            let found = of(&c, from, to, operation(proto, class, changing));
                            assert_eq!(found, expected, "{p:?} {from_side:?} {to_side:?} {class:?} {changing}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn presets_judge_conditions() {
    for p in Preset::ALL {
        let c = preset(p);
        for condition in Condition::ALL {
            let expected = match (p, condition) {
                (Preset::Observe, _) => Action::Allow,
                (Preset::Strict, _) => Action::Deny,
                (_, Condition::PartialPdu) => Action::Allow,
                (Preset::ProtectProgram, Condition::Unparsed) => Action::Alert,
                _ => Action::Deny,
            };
            for from in [0, OFFICE] {
                assert_eq!(of_condition(&c, from, PLANT, condition), expected, "{p:?} {condition:?}");
            }
            assert_eq!(of_condition(&c, PLANT, OFFICE, condition), Action::Allow);
            assert_eq!(of_condition(&c, PLANT, PLANT, condition), Action::Allow);
        }
    }
}

#[test]
fn a_line_of_the_file_stands_in_front_of_the_preset() {
    let c = compiled(&format!(
        "[policy]\npreset = \"protect-writes\"\n{}",
        rule("from = \"office\"\nto = \"plant\"\nprotocol = \"modbus\"\nclass = \"write\"\naction = \"allow\"")
    ));
    assert_eq!(of(&c, OFFICE, PLANT, operation(Proto::Modbus, Class::Write, true)), Action::Allow);
    assert_eq!(of(&c, OFFICE, PLANT, operation(Proto::S7comm, Class::Write, true)), Action::Deny);
    assert_eq!(of(&c, OFFICE, PLANT, operation(Proto::Modbus, Class::Control, true)), Action::Deny);
    assert_eq!(of(&c, 0, PLANT, operation(Proto::Modbus, Class::Write, true)), Action::Deny);
    // A plain allow is found without looking at rules.
    let kind = usize::from(Class::Write as u8) | 32;
    let cell = |proto: Proto| c.rows[&row(0, OFFICE.into(), PLANT.into(), proto as u8)][kind];
    assert_eq!((cell(Proto::Modbus), cell(Proto::S7comm)), (0, 2));
}

#[test]
fn rules_about_any_protocol_fill_every_row_but_that_of_conditions() {
    let c = compiled(&rule("from = \"any\"\nto = \"plant\"\naction = \"deny\""));
    for from in [0, OFFICE, DMZ, PLANT] {
        for proto in 0..CONDITIONS {
            assert_eq!(c.rows[&row(0, from.into(), PLANT.into(), proto)], [1; 64], "{from} {proto}");
        }
        assert!(!c.rows.contains_key(&row(0, from.into(), PLANT.into(), CONDITIONS)));
    }
    assert!(!c.rows.contains_key(&row(0, PLANT.into(), OFFICE.into(), 1)));
}

#[test]
fn functions_are_found_by_their_path() {
    let text = "from = \"office\"\nto = \"plant\"\naction = \"deny\"\nfunction = ";
    let c = compiled(&rule(&format!("{text}\"modbus:16\"")));
    let op = |function| Op { function, ..operation(Proto::Modbus, Class::Write, true) };
    assert_eq!(of(&c, OFFICE, PLANT, op(16)), Action::Deny);
    assert_eq!(of(&c, OFFICE, PLANT, op(6)), Action::Allow);
    // A path that stands for several codes matches each of them and no other.
    let c = compiled(&rule(&format!("{text}[\"modbus:8\", \"modbus:43\"]")));
    for function in 0..=0xFFFF {
        let path = ot_xdp_common::proto::Path { proto: Proto::Modbus as u8, function }.to_string();
        let expected = if ["modbus:8", "modbus:43"].contains(&path.as_str()) { Action::Deny } else { Action::Allow };
        assert_eq!(of(&c, OFFICE, PLANT, op(function)), expected, "{path} {function:#x}");
    }
    for path in ["modbus:400x", "profibus:1", "modbus"] {
        let problem = wrong(&rule(&format!("{text}\"{path}\"")));
        assert!(problem.fatal && problem.reason.contains("modbus:91"), "{problem:?}");
    }
}

#[test]
fn units_and_addresses_are_ranges() {
    let text = "from = \"office\"\nto = \"plant\"\nprotocol = \"modbus\"\nunit = \"1-5\"\naddress = \"0x10-0x1f\"\n";
    let op = |unit, addr, span| Op { unit, addr, span, ..operation(Proto::Modbus, Class::Write, true) };
    let deny = compiled(&rule(&format!("{text}action = \"deny\"")));
    // Who denies a range denies what touches any part of it.
    for (unit, addr, span, denied) in [
        (1, 16, 1, true),
        (5, 31, 1, true),
        (0, 16, 1, false),
        (6, 16, 1, false),
        (3, 15, 1, false),
        (3, 32, 1, false),
        (3, 15, 2, true),
        (3, 31, 5, true),
        (3, 0, 100, true),
        (3, 20, 0, true),
    ] {
        let expected = if denied { Action::Deny } else { Action::Allow };
        assert_eq!(of(&deny, OFFICE, PLANT, op(unit, addr, span)), expected, "{unit} {addr} {span}");
    }
    // Who allows one allows what lies in it.
    let allow =
        compiled(&format!("[policy]\npreset = \"protect-writes\"\n{}", rule(&format!("{text}action = \"allow\""))));
    for (addr, span, allowed) in [(16, 16, true), (31, 1, true), (31, 2, false), (15, 2, false), (0, 100, false)] {
        let expected = if allowed { Action::Allow } else { Action::Deny };
        assert_eq!(of(&allow, OFFICE, PLANT, op(3, addr, span)), expected, "{addr} {span}");
    }
    assert!(
        wrong(&rule(&format!("{text}action = \"deny\"").replace("1-5", "5-1"))).reason.contains("lower number first")
    );
}

#[test]
fn a_rule_ends_when_it_says() {
    let text = rule("from = \"office\"\nto = \"plant\"\naction = \"deny\"\nexpires = \"2026-06-10T13:00:00+00:00\"");
    let c = compiled(&text);
    let op = operation(Proto::Modbus, Class::Write, true);
    assert_eq!(at(&c, OFFICE, PLANT, op, HOUR).0, Action::Deny);
    assert_eq!(at(&c, OFFICE, PLANT, op, 2 * HOUR - 1).0, Action::Deny);
    assert_eq!(at(&c, OFFICE, PLANT, op, 2 * HOUR).0, Action::Allow);
    let problem = wrong(&text.replace("13:00:00", "11:59:59"));
    assert!(!problem.fatal && problem.reason.contains("remove it"), "{problem:?}");
    let (over, _) = read(&text.replace("13:00:00", "11:59:59"));
    assert_eq!(over.compile(clocks(), &[]).unwrap().rules.len(), 1, "no place in the kernel for what is over");
    assert!(wrong(&text.replace("2026-06-10T13:00:00+00:00", "tomorrow")).reason.contains("2026-12-01T00:00:00Z"));
}

#[test]
fn a_window_goes_over_midnight() {
    let text = format!(
        "{}window = \"night\"\n[[window]]\nname = \"night\"\ndays = [\"tue\", \"wed\"]\nfrom = \"22:00\"\nto = \"04:00\"\n",
        rule("from = \"office\"\nto = \"plant\"\naction = \"deny\"")
    );
    let p = policy(&text);
    let op = operation(Proto::Modbus, Class::Write, true);
    // 2026-06-10 is a Wednesday.
    for (wall, denied) in [
        ("2026-06-10T03:59:59Z", true),
        ("2026-06-10T04:00:00Z", false),
        ("2026-06-10T21:59:59Z", false),
        ("2026-06-10T22:00:00Z", true),
        ("2026-06-11T03:00:00Z", true),
        ("2026-06-11T23:00:00Z", false),
        ("2026-06-12T03:00:00Z", false),
    ] {
        let now = Now { wall: wall.parse().unwrap(), monotonic_ns: HOUR };
        let c = p.compile(now, &[]).unwrap();
        let expected = if denied { Action::Deny } else { Action::Allow };
        assert_eq!(at(&c, OFFICE, PLANT, op, HOUR).0, expected, "{wall}");
        assert!(c.renew_ns.unwrap() > HOUR);
    }
    // Compiled at noon, it begins at ten in the evening and ends at four, when it is to be compiled again.
    let c = p.compile(clocks(), &[]).unwrap();
    assert_eq!(at(&c, OFFICE, PLANT, op, 11 * HOUR - 1).0, Action::Allow);
    assert_eq!(at(&c, OFFICE, PLANT, op, 11 * HOUR).0, Action::Deny);
    assert_eq!((at(&c, OFFICE, PLANT, op, 17 * HOUR).0, c.renew_ns), (Action::Allow, Some(17 * HOUR)));
    for (what, with) in [
        ("to = \"04:00\"", "to = \"22:00\""),
        ("[\"tue\", \"wed\"]", "[\"tues\"]"),
        ("\"night\"\ndays", "\"day\"\ndays"),
    ] {
        assert!(wrong(&text.replace(what, with)).fatal, "{with}");
    }
}

#[test]
fn stretches_without_a_pause_are_one() {
    let days = "\"mon\", \"tue\", \"wed\", \"thu\", \"fri\"";
    let p = policy(&format!("{ZONES}[[window]]\nname = \"week\"\ndays = [{days}]\nfrom = \"00:00\"\nto = \"24:00\"\n"));
    let (begin, end) = p.windows[0].stretch(now()).unwrap();
    assert!(begin <= now() && end == "2026-06-13T00:00:00Z".parse().unwrap(), "{begin} {end}");
}

#[test]
fn every_problem_has_its_line() {
    let cases = [
        ("from = \"offce\"\nto = \"plant\"\naction = \"deny\"", "unknown zone `offce`"),
        ("from = \"side:cloud\"\nto = \"plant\"\naction = \"deny\"", "unknown side"),
        ("to = \"plant\"\naction = \"deny\"", "does not say `from`"),
        ("from = \"any\"\nto = \"plant\"\naction = \"forbid\"", "no action"),
        ("from = \"any\"\nto = \"plant\"\naction = \"deny\"\nprotocol = \"modbu\"", "unknown protocol `modbu`"),
        ("from = \"any\"\nto = \"plant\"\naction = \"deny\"\nclass = \"writes\"", "unknown class `writes`"),
        ("from = \"any\"\nto = \"plant\"\naction = \"deny\"\ncondition = \"odd\"", "unknown condition `odd`"),
        ("from = \"any\"\nto = \"plant\"\naction = \"deny\"\nclass = \"write\"\nfunction = \"modbus:6\"", "not both"),
        ("from = \"any\"\nto = \"plant\"\naction = \"deny\"\nclass = \"write\"\ncondition = \"fragment\"", "two rules"),
        ("from = \"any\"\nto = \"plant\"\naction = \"deny\"\nwindow = \"never\"", "unknown window"),
        ("from = \"any\"\nto = \"plant\"\naction = \"deny\"\nsource = \"10.0.5.7/8\"", "10.0.0.0/8"),
        ("from = \"any\"\nto = \"plant\"\naction = \"deny\"\ndestination = \"plc\"", "no address"),
    ];
    let line = ZONES.lines().count() + 1;
    for (text, word) in cases {
        let problem = wrong(&rule(text));
        assert!(problem.reason.contains(word) && problem.fatal && problem.line == line, "{text}: {problem:?}");
    }
    let without = format!("{ZONES}[[rule]]\nfrom = \"any\"\nto = \"plant\"\naction = \"deny\"\n");
    let (_, problems) = read(&without);
    assert!(problems.len() == 2 && problems.iter().all(|p| p.line == line), "reason and owner: {problems:?}");
}

#[test]
fn zones_are_checked() {
    let zone = |name: &str, more: &str| format!("[[zone]]\nname = \"{name}\"\nside = \"it\"\n{more}\n");
    let cases = [
        (zone("a", ""), 1, "no member"),
        (zone("any", "ports = [\"p1\"]"), 1, "cannot name a zone"),
        (zone("a", "vlans = [4095]\nports = [\"p1\"]"), 1, "1 to 4094"),
        (zone("a", "macs = [\"00:1b\"]\nports = [\"p1\"]"), 1, "six octets"),
        (zone("a", "level = 6\nports = [\"p1\"]"), 1, "Purdue"),
        (zone("a", "ports = [\"p1\"]") + &zone("b", "ports = [\"p1\"]"), 5, "port p1 belongs to zone `a` in line 1"),
        (zone("a", "vlans = [7]") + &zone("b", "vlans = [7]"), 5, "VLAN 7"),
        (zone("a", "macs = [\"00-00-00-00-00-01\"]") + &zone("b", "macs = [\"00:00:00:00:00:01\"]"), 5, "MAC"),
        (zone("a", "prefixes = [\"10.0.0.0/8\"]") + &zone("b", "prefixes = [\"10.0.0.0/8\"]"), 5, "prefix"),
        (zone("a", "ports = [\"p1\"]") + &zone("a", "ports = [\"p2\"]"), 5, "given twice"),
    ];
    for (text, line, word) in cases {
        let problem = wrong(&text);
        assert!(problem.line == line && problem.reason.contains(word) && problem.fatal, "{text}: {problem:?}");
    }
    let many: String = (0..16).map(|n| zone(&format!("z{n}"), &format!("vlans = [{}]", n + 1))).collect();
    assert!(wrong(&many).reason.contains("16 zones and 15"));
    let ports = zone("a", "ports = [\"p1\"]") + &zone("b", "ports = [\"p2\"]");
    let ot = |members: &str| format!("{ports}[[zone]]\nname = \"c\"\nside = \"ot\"\n{members}\n");
    assert!(wrong(&ot("ports = [\"p3\"]")).reason.contains("macs or prefixes"), "where do its frames go?");
    policy(&ot("ports = [\"p3\"]\nprefixes = [\"10.0.0.0/8\"]"));
    assert!(wrong("[policy]\npreset = \"strict\"\n").reason.contains("side = \"ot\""));
}

#[test]
fn lines_that_never_decide_are_named_with_the_earlier_one() {
    let two = |first: &str, second: &str| {
        let line = |text: &str| format!("[[rule]]\n{WHO}from = \"office\"\nto = \"plant\"\n{text}\n");
        format!("{ZONES}{}{}", line(first), line(second))
    };
    let first = ZONES.lines().count() + 1;
    let cases = [
        ("action = \"deny\"", "action = \"allow\"\nclass = \"read\"", Some((false, "matches everything"))),
        (
            "action = \"deny\"\nclass = \"write\"",
            "action = \"deny\"\nclass = \"write\"",
            Some((false, "says the same")),
        ),
        (
            "action = \"deny\"\nclass = \"write\"",
            "action = \"allow\"\nclass = \"write\"",
            Some((true, "another action")),
        ),
        ("action = \"deny\"", "action = \"allow\"\nfunction = \"modbus:6\"", Some((false, "matches everything"))),
        (
            "action = \"deny\"\nsource = \"10.0.0.0/24\"",
            "action = \"allow\"\nsource = \"10.0.0.7\"",
            Some((false, "matches")),
        ),
        ("action = \"deny\"\nunit = 3", "action = \"allow\"\nunit = \"1-5\"", None),
        ("action = \"deny\"\nsource = \"10.0.0.7\"", "action = \"allow\"", None),
        ("action = \"deny\"\nexpires = \"2027-01-01T00:00:00Z\"", "action = \"allow\"", None),
        ("action = \"deny\"", "action = \"allow\"\ncondition = \"fragment\"", None),
    ];
    for (a, b, expected) in cases {
        let (_, problems) = read(&two(a, b));
        match expected {
            None => assert_eq!(problems, [], "{a} / {b}"),
            Some((fatal, words)) => {
                assert_eq!(problems.len(), 1, "{a} / {b}: {problems:?}");
                let p = &problems[0];
                assert!(p.fatal == fatal && p.reason.contains(words) && p.line > first, "{p:?}");
                assert!(p.reason.contains(&format!("line {first}")), "{p:?}");
            }
        }
    }
}

#[test]
fn a_permit_stands_in_front_and_ends() {
    let mut p = policy(&format!("[policy]\npreset = \"strict\"\n{ZONES}"));
    let one = |text: &str| vec![text.to_owned()];
    let entry = RuleEntry {
        from: one("office"),
        to: one("plant"),
        protocol: one("s7comm"),
        class: one("program-download"),
        source: Some("10.0.5.7".to_owned()),
        action: "allow".to_owned(),
        reason: "exchange of the press controller".to_owned(),
        owner: "maintenance".to_owned(),
        ticket: Some("CHG-17".to_owned()),
        expires: Some("2026-06-10T12:30:00Z".to_owned()),
        ..RuleEntry::default()
    };
    p.permit(&entry, now()).unwrap();
    let c = p.compile(clocks(), &[]).unwrap();
    assert_eq!(c.rule_info(1).unwrap().line.ticket.as_deref(), Some("CHG-17"));
    let op = operation(Proto::S7comm, Class::ProgramDownload, true);
    let mut w = Walk::default();
    w.push(op);
    let judge = |src: u32, now_ns| {
        let f = Frame { src: [0, 0, 0xFFFF, src], l4: 17, off: 42, end: 60, ..Frame::default() };
        c.action(c.judge(Outcome::Classified, &f, &w, Way { from: OFFICE, to: PLANT, spoofed: false }, now_ns)[0].rule)
    };
    assert_eq!(judge(0x0A00_0507, HOUR), Action::Allow);
    assert_eq!(judge(0x0A00_0508, HOUR), Action::Deny);
    assert_eq!(judge(0x0A00_0507, HOUR + HOUR / 2), Action::Deny);
    let before = p.clone();
    for broken in [
        RuleEntry { action: "deny".to_owned(), ..entry.clone() },
        RuleEntry { expires: None, ..entry.clone() },
        RuleEntry { expires: Some("2026-06-10T11:00:00Z".to_owned()), ..entry.clone() },
        RuleEntry { from: one("any"), ..entry.clone() },
        RuleEntry { protocol: vec![], class: vec![], ..entry.clone() },
        RuleEntry { owner: String::new(), ..entry.clone() },
        RuleEntry { to: one("nowhere"), ..entry },
    ] {
        assert!(p.permit(&broken, now()).is_err(), "{broken:?}");
    }
    assert_eq!(p, before);
}

#[test]
fn the_simple_gateway_protects_one_side() {
    let p = Policy::simple(&["p1".to_owned()], &["p2".to_owned()]);
    let ports = [(5, "p1".to_owned()), (6, "p2".to_owned()), (7, "p3".to_owned())];
    let c = p.compile(clocks(), &ports).unwrap();
    let port = |n: usize| (c.ports[n].zone, c.ports[n].beyond, c.ports[n].judged, c.ports[n].side);
    assert_eq!(port(0), (1, 2, 1, Side::It as u8));
    assert_eq!(port(1), (2, 1, 0, Side::Ot as u8));
    assert_eq!((port(2).0, port(2).2), (0, 0), "two zones lie behind a port of neither");
    assert_eq!((c.head.by, c.head.reset, c.head.sides), (0, 1, 0x310));
    assert_eq!(of(&c, 1, 2, operation(Proto::Modbus, Class::Write, true)), Action::Deny);
    assert_eq!(of(&c, 1, 2, operation(Proto::Modbus, Class::Read, false)), Action::Allow);
    assert_eq!(of(&c, 2, 1, operation(Proto::Modbus, Class::Write, true)), Action::Allow);
    let plan = c.plan(&p);
    assert_eq!((plan.rules.len(), plan.zones.len()), (c.rules.len(), 3));
    assert!(plan.rules[1].name.contains("denies every state-changing operation"), "{:?}", plan.rules[1]);
}

#[test]
fn zones_are_found_in_the_kernels_order() {
    let p = policy(
        "[[zone]]\nname = \"a\"\nside = \"it\"\nvlans = [7]\nmacs = [\"00:00:00:00:00:01\"]\nprefixes = [\"10.0.0.0/8\"]\n\
         [[zone]]\nname = \"b\"\nside = \"ot\"\nprefixes = [\"10.20.0.0/16\"]\nports = [\"p2\"]\n",
    );
    let c = p.compile(clocks(), &[(1, "p1".to_owned()), (2, "p2".to_owned())]).unwrap();
    assert_eq!(c.head.by, by::VLAN | by::MAC | by::PREFIX);
    assert!(c.prefixes.contains(&([0, 0, 0xFFFF, 0x0A00_0000], 104, 1)));
    let ip = |a: u32, b: u32| Frame { src: [0, 0, 0xFFFF, a], dst: [0, 0, 0xFFFF, b], l3_at: 14, ..Frame::default() };
    let way = |from, to, spoofed| Way { from, to, spoofed };
    assert_eq!(c.way(&ip(0x0A00_0001, 0x0A14_0001), 1), way(1, 2, false), "longest prefix");
    assert_eq!(c.way(&ip(0x0A14_0002, 0x0A14_0001), 2), way(2, 2, false));
    assert_eq!(c.way(&Frame { vlan: 7, ..ip(0x0A14_0002, 0x0A14_0001) }, 1), way(1, 2, true), "spoofed");
    assert_eq!(c.way(&Frame { src_end: 1 << 16, ..Frame::default() }, 1), way(1, 2, false), "layer 2, beyond");
}

#[test]
fn what_does_not_fit_is_refused() {
    let protocols: Vec<String> = Proto::ALL.iter().map(|p| format!("\"{}\"", p.name())).collect();
    let line = |n: usize| {
        let list = protocols.join(", ");
        format!(
            "[[rule]]\n{WHO}from = \"office\"\nto = \"plant\"\nprotocol = [{list}]\nunit = {n}\naction = \"deny\"\n"
        )
    };
    let few = format!("{ZONES}{}", line(1));
    policy(&few);
    let far = format!("{few}[[rule]]\n{WHO}from = \"office\"\nto = \"plant\"\nunit = 2\naction = \"deny\"\n");
    assert!(wrong(&far).reason.contains("64"), "scan");
    let many: String = (1..5).map(line).collect();
    assert!(wrong(&format!("{ZONES}{many}")).reason.contains("255"), "rules");
}

#[test]
fn a_policy_can_be_read_aloud() {
    let p = policy(&format!(
        "[policy]\npreset = \"protect-writes\"\nrefuse = \"drop\"\n{}",
        rule(
            "from = \"office\"\nto = \"plant\"\nprotocol = \"modbus\"\nclass = [\"write\", \"control\"]\nunit = 3\naddress = \"0-99\"\naction = \"allow\""
        )
    ));
    let text = show::text(&p);
    for words in [
        "Zone dmz is on the side dmz, Purdue level 3.5: 10.5.0.0/16.",
        "From office to plant:",
        "allows the operations write, control of modbus of the unit 3 at the addresses 0 to 99: r (o).",
        "protect-writes/1 denies every state-changing operation: ",
        "Everything else passes.",
        "is dropped",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let json = show::json(&p);
    assert_eq!(json["lines"][0]["action"], "allow");
    assert_eq!(json["zones"][2]["name"], "plant");
}

/// What becomes of payloads that come in on a port.
fn asked(text: &str, port: Option<&str>, src: &str, hex: &[&str]) -> Vec<explain::Answer> {
    let p = policy(text);
    let ports = explain::ports(&p);
    let envelope = packet::Envelope {
        src: src.parse().unwrap(),
        dst: if src.contains(':') { "fd00:20::20" } else { "10.20.3.20" }.parse().unwrap(),
        src_mac: 1,
        dst_mac: 2,
        vlan: Some(130),
        sport: 49_152,
        dport: 502,
        udp: false,
    };
    let payloads = hex.iter().map(|h| packet::octets(h).unwrap()).collect();
    let question = explain::Question { envelope, port: port.map(str::to_owned), payloads };
    let number = explain::port_number(&ports, port).unwrap();
    let c = p.compile(clocks(), &ports).unwrap();
    explain::explain(&c, crate::bindings::BindingTable::default(), &question, number, HOUR)
}

const READ: &str = "00 01 00 00 00 06 01 03 00 00 00 01";
const WRITE: &str = "00:01:00:00:00:06:01:06:00:07:00:01";

#[test]
fn a_question_is_answered_by_the_parsers_and_the_rules() {
    let text = format!("[policy]\npreset = \"protect-writes\"\n{ZONES}");
    for src in ["10.0.5.7", "192.0.2.7", "fd00:99::7"] {
        let a = asked(&text, None, src, &[READ, WRITE, &WRITE[..17], &WRITE[18..], "ffffffffffffffffffff"]);
        let found: Vec<_> = a.iter().map(|a| (a.action, a.judged.last().map(|j| j.what.as_str()))).collect();
        let expected = [
            ("allow", Some("modbus:3")),
            ("deny", Some("modbus:6")),
            ("allow", Some("partial-pdu")),
            ("deny", Some("modbus:6")),
            ("deny", Some("unaligned")),
        ];
        assert_eq!(found, expected, "{src}");
        assert_eq!((a[0].to_zone.as_str(), a[1].judged[0].address), ("plant", Some(7)));
    }
    let text = text.replace("prefixes = [\"10.0.0.0/16\"]", "ports = [\"p-it\"]");
    let a = asked(&text, Some("p-it"), "10.20.0.1", &[READ]);
    assert_eq!((a[0].action, a[0].judged[0].what.as_str()), ("deny", "spoofed"));
    assert_eq!(asked(&text, None, "10.20.0.1", &[WRITE])[0].action, "allow", "inside the plant");
    let aloud = explain::text(&a, "10.20.0.1".parse().unwrap(), "10.20.3.20".parse().unwrap());
    assert!(aloud.contains("(zone office)") && aloud.contains("denied by protect-writes/3"), "{aloud}");
    let ports = explain::ports(&policy(&text));
    assert!(explain::port_number(&ports, Some("p9")).unwrap_err().contains("p-it"));
}

#[test]
fn octets_are_written_in_several_ways() {
    assert_eq!(packet::octets("0x0a0B"), Ok(vec![10, 11]));
    assert_eq!(packet::octets("0a 0b:0c-0d"), Ok(vec![10, 11, 12, 13]));
    for text in ["", "0", "0g", "0a0"] {
        assert!(packet::octets(text).is_err(), "{text}");
    }
}

#[test]
fn a_simulation_counts_what_would_have_been_denied() {
    let text = format!(
        "[policy]\npreset = \"protect-writes\"\n{}",
        rule(
            "from = \"office\"\nto = \"plant\"\naction = \"alert\"\nclass = \"read\"\nexpires = \"2027-01-01T00:00:00Z\""
        )
    );
    let p = policy(&text);
    let mut s = simulate::Simulation::new(&p, crate::bindings::BindingTable::default(), explain::ports(&p), 1);
    let envelope = packet::Envelope {
        src: "10.0.5.7".parse().unwrap(),
        dst: "10.20.3.20".parse().unwrap(),
        src_mac: 1,
        dst_mac: 2,
        vlan: None,
        sport: 49_152,
        dport: 502,
        udp: true,
    };
    let frame = |hex: &str| packet::frame(&envelope, 0, 0, &packet::octets(hex).unwrap());
    let second = |n: u64| 1_782_000_000_000_000_000 + n * 1_000_000_000;
    for n in 0..3 {
        s.frame(&frame(WRITE), second(n)).unwrap();
    }
    s.frame(&frame(READ), second(3)).unwrap();
    // A year later the rule about reading is over.
    s.next_capture();
    s.frame(&frame(READ), second(31_536_000)).unwrap();
    let report = s.finish();
    assert_eq!((report.frames, report.judged, report.denied, report.alerted), (5, 4, 3, 1));
    let found: Vec<_> = report.findings.iter().map(|f| (f.action, f.what.as_str(), f.frames, f.service)).collect();
    assert_eq!(found, [("deny", "modbus:6", 3, 502), ("alert", "modbus:3", 1, 502)]);
    assert_eq!((report.findings[0].first.as_str(), report.findings[0].line), ("2026-06-21T00:00:00.000Z", None));
    let text = simulate::text(&report);
    assert!(text.contains("3 would have been denied") && text.contains("10.0.5.7 (office)"), "{text}");
}
