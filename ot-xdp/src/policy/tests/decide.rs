//! What a policy decides: presets, lines in front of them, ranges, times, permits, zones.

use super::*;

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
                (Preset::Observe, Condition::Spoofed) => Action::Alert,
                (Preset::Observe, _) => Action::Allow,
                (Preset::Strict, _) => Action::Deny,
                (_, Condition::PartialPdu) => Action::Allow,
                (Preset::ProtectProgram, Condition::Unparsed) => Action::Alert,
                _ => Action::Deny,
            };
            for from in [0, OFFICE] {
                assert_eq!(of_condition(&c, from, PLANT, condition), expected, "{p:?} {condition:?}");
            }
            let elsewhere = if condition == Condition::Spoofed { expected } else { Action::Allow };
            assert_eq!(of_condition(&c, DMZ, OFFICE, condition), elsewhere);
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
    p.permit("permit 1", &entry, now()).unwrap();
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
        RuleEntry { from: one("any"), source: None, ..entry.clone() },
        RuleEntry { protocol: vec![], class: vec![], ..entry.clone() },
        RuleEntry { owner: String::new(), ..entry.clone() },
        RuleEntry { to: one("nowhere"), ..entry },
    ] {
        assert!(p.permit("permit 2", &broken, now()).is_err(), "{broken:?}");
    }
    assert_eq!(p, before);
}

#[test]
fn zones_of_a_flow_belong_to_one_generation() {
    use ot_xdp_common::policy::Zones;
    let z = Zones::new(77, 3, 15, true);
    assert_eq!((z.from(), z.to(), z.is_spoofed(), z.is_of(77)), (3, 15, true, true));
    // The same tables two policies later.
    assert!(!z.is_of(79) && !z.is_of(76) && !Zones::default().is_of(0));
    assert!(!Zones::new(0, 0, 0, false).is_spoofed() && Zones::new(0, 0, 0, false).is_of(0));
}

#[test]
fn the_simple_gateway_protects_one_side() {
    let p = Policy::simple(&["p1".to_owned()], &["p2".to_owned()]);
    let ports = [(5, "p1".to_owned()), (6, "p2".to_owned()), (7, "p3".to_owned())];
    let c = p.compile(clocks(), &ports).unwrap();
    let port = |n: usize| (c.ports[n].zone, c.ports[n].beyond, c.ports[n].judged, c.ports[n].side);
    assert_eq!(port(0), (1, 2, 1, Side::It as u8));
    assert_eq!(port(1), (2, 1, 0, Side::Ot as u8));
    assert_eq!(
        port(2),
        (0, 2, 1, Side::None as u8),
        "a port of neither is judged like IT: the plant may lie behind it"
    );
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

/// Numbers that look random and are the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len() as u64) as usize]
    }
}

/// The table of first rules is a short cut: it must decide as looking at every rule does.
#[test]
fn the_table_decides_as_the_list_does() {
    let mut dice = Dice(7);
    let zone = ["office", "dmz", "plant", "unzoned", "any", "side:ot"];
    let about = [
        "",
        "protocol = \"modbus\"",
        "protocol = [\"modbus\", \"s7comm\"]",
        "class = \"write\"",
        "class = \"state-changing\"\nunit = \"1-2\"",
        "protocol = \"s7comm\"\nclass = [\"read\", \"control\"]\naddress = \"5-9\"",
        "function = \"modbus:6\"",
        "condition = \"fragment\"",
        "condition = \"any\"\nsource = \"0.0.0.0/0\"",
        "protocol = \"any\"\nexpires = \"2026-06-10T12:30:00Z\"",
    ];
    for _ in 0..40 {
        let mut text = format!("[policy]\npreset = \"{}\"\n{ZONES}", Preset::ALL[dice.below(4) as usize].word());
        for _ in 0..dice.below(12) {
            let (from, to) = (dice.one(&zone), dice.one(&zone));
            let (about, action) = (dice.one(&about), dice.one(&["allow", "alert", "deny"]));
            text += &format!("[[rule]]\n{WHO}from = \"{from}\"\nto = \"{to}\"\n{about}\naction = \"{action}\"\n");
        }
        // Lines that never decide are no matter here.
        let c = read(&text).0.compile(clocks(), &[]).unwrap();
        for _ in 0..4_000 {
            let is_condition = dice.below(4) == 0;
            let proto = if is_condition { CONDITIONS } else { [1, 4, 14, 126][dice.below(4) as usize] };
            let kind = if is_condition { dice.below(8) } else { dice.below(19) | dice.below(2) << 5 } as u32;
            let op = Op {
                function: dice.below(8) as u32,
                unit: dice.below(4) as u32,
                addr: dice.below(12) as u32,
                span: dice.below(4) as u32,
                tag: Tag::default(),
            };
            let (from, to) = (dice.below(4) as u32, dice.below(4) as u32);
            let now_ns = HOUR + dice.below(2) * HOUR / 2;
            let src = [0, 0, 0xFFFF * dice.below(2) as u32, 1];
            let s = ot_xdp_common::policy::Subject { from, to, src, dst: [0; 4], proto, kind, op, now_ns };
            let cell = c.rows.get(&row(0, from, to, proto)).map_or(0, |r| r[kind as usize]);
            let short = c.action(ot_xdp_common::policy::judge(&c.rules, cell, &s));
            let long = c.rules.iter().position(|r| r.matches(&s)).map_or(0, |n| n as u8);
            assert_eq!(short, c.action(long), "{text}\n{s:?}");
        }
    }
}
