//! Deviations as events.

use super::*;

/// A deviation of each subject.
pub fn all() -> Vec<Alert> {
    use crate::aggregate::End;
    use crate::baseline::{Station, TalkKey};
    use crate::detect::{Deviation, Known, Operation, Phase, Subject, Told};
    let key = TalkKey { client: V4[0], server: V4[1], vlan: 120, port: 502, l4: 6 };
    let layer_2 = TalkKey { client: L2[0], server: L2[1], vlan: 0, port: 0x88B8, l4: 0 };
    let end = |port: u64| End(0x000C_2901_98BE << 16 | port);
    let talk = |key, client| Subject::Talk { key, client, server: end(502), protocol: Proto::Modbus as u8 };
    let subjects = [
        (crate::detect::Kind::FirstWrite, talk(key, end(51_102))),
        (crate::detect::Kind::Silence, talk(key, End(0))),
        (crate::detect::Kind::PublisherNew, talk(layer_2, end(0))),
        (
            crate::detect::Kind::AssetNew,
            Subject::Asset { station: Station::Ip("10.0.0.9".parse().unwrap()), mac: [0, 1, 2, 3, 4, 5] },
        ),
        (crate::detect::Kind::AssetSilent, Subject::Asset { station: Station::Mac([0, 1, 2, 3, 4, 5]), mac: [0; 6] }),
        (crate::detect::Kind::NoFrames, Subject::Sensor),
    ];
    let make = |(i, (kind, subject)): (usize, (crate::detect::Kind, Subject))| Alert {
        told: Told {
            incident: "0011223344556677".to_owned(),
            suppressed: 3,
            deviation: Deviation {
                kind,
                steps: 0,
                phase: [Phase::New, Phase::Update, Phase::End][i % 3],
                at_ns: T0,
                interface: (i != 5).then(|| (2, "ens1f0".into())),
                subject,
                operation: (i < 3).then_some(Operation {
                    proto: Proto::Modbus as u8,
                    function: 16,
                    unit: 1,
                    class: Class::Write,
                    state_changing: true,
                    dir: Dir::Request,
                    from_client: true,
                }),
                member: (i != 5).then(|| "asset 10.0.0.9".to_owned()),
                expected: "known stations only".to_owned(),
                observed: "another one".to_owned(),
                threshold: (i == 1).then(|| "31.0 s".to_owned()),
                score: (i == 1).then_some(1.25),
                window_ns: (i == 1).then_some((T0 - 60_000 * MS, T0)),
                evidence: if i == 1 { vec!["last seen".to_owned()] } else { Vec::new() },
                known: Known { observations: 5, seen_s: if i == 1 { (1_795_000_000, 1_795_372_000) } else { (0, 0) } },
                dedup: "OTX|x".to_owned(),
                source: None,
                members: 1,
                count: 4,
                why: "because".to_owned(),
                zones: (i == 0).then(|| ("office".into(), "press shop".into())),
            },
        },
        baseline: BaselineInfo { state: "locked", version: 3, age_s: 86_400 },
        maintenance: (i == 0).then(|| "new valve".to_owned()),
    };
    subjects.into_iter().enumerate().map(make).collect()
}

#[test]
fn an_alert_says_what_was_expected_and_what_came() {
    let events = samples();
    let e = find(&events, |e| e["event"]["action"] == "ot-first-write");
    assert_eq!((&e["event"]["kind"], &e["event"]["severity"]), (&json!("alert"), &json!(73)));
    assert_eq!(e["rule"]["id"], "OTX-2202");
    assert_eq!((&e["source"]["ip"], &e["destination"]["ip"]), (&json!("10.20.1.15"), &json!("10.20.3.40")));
    assert_eq!(e["otxdp"]["attack"]["ids"], json!(["T1692.001", "T0836"]));
    assert_eq!((&e["otxdp"]["maintenance"], &e["otxdp"]["zone"]["source"]), (&json!("new valve"), &json!("office")));
    let asset = find(&events, |e| e["event"]["action"] == "ot-asset-new");
    assert_eq!((&asset["source"]["mac"], &asset["destination"]), (&json!("00-01-02-03-04-05"), &Value::Null));
    let sensor = find(&events, |e| e["event"]["action"] == "ot-no-frames");
    assert_eq!((&sensor["event"]["category"], &sensor["source"]), (&json!(["host"]), &Value::Null));
}
