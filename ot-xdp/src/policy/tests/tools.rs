//! What people ask of a policy: to be read out, explained, tried.

use super::*;

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
        "protect-writes/1 denies every state-changing operation of an industrial protocol: ",
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
    let payloads = hex.iter().map(|h| crate::text::octets(h).unwrap()).collect();
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
    assert!(aloud.contains("(zone office)") && aloud.contains("denied by protect-writes/4"), "{aloud}");
    let ports = explain::ports(&policy(&text));
    assert!(explain::port_number(&ports, Some("p9")).unwrap_err().contains("p-it"));
}

#[test]
fn octets_are_written_in_several_ways() {
    assert_eq!(crate::text::octets("0x0a0B"), Ok(vec![10, 11]));
    assert_eq!(crate::text::octets("0a 0b:0c-0d"), Ok(vec![10, 11, 12, 13]));
    for text in ["", "0", "0g", "0a0"] {
        assert!(crate::text::octets(text).is_err(), "{text}");
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
    let frame = |hex: &str| packet::frame(&envelope, 0, 0, &crate::text::octets(hex).unwrap());
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
