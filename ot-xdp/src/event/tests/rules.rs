//! The rules for receivers, for every kind of event: the gate's and the sensor's own beside those of the network.

use ot_xdp_common::policy::{Condition, Done};

use super::*;
use crate::aggregate::{Conversation, End};
use crate::event::gate::Operation;

/// Fields of the Elastic Common Schema 9.4 that only these kinds use: name, is it an array?
const MORE: &[(&str, bool)] = &[
    ("event.outcome", false),
    ("rule.author", true),
    ("rule.description", false),
    ("rule.id", false),
    ("rule.name", false),
    ("user.name", false),
];

/// Texts that an attacker chooses must not end a field anywhere.
pub const NASTY: &str = "a|b\\c=d\ne\"f";

fn refusal(done: Done, condition: bool) -> Event {
    let operation = Operation {
        proto: Proto::Modbus as u8,
        function: 16,
        kind: Kind::new(Class::Write, true),
        unit: 1,
        address: 100,
        span: 4,
    };
    let [client, server] = if condition { V6 } else { V4 };
    Event::Refusal(Box::new(Refusal {
        at_ns: T0 + 5 * MS,
        since_ns: T0,
        frames: 38,
        total: 40,
        interface: "br-it".into(),
        conversation: Conversation { ifindex: 2, vlan: 130, l4: 6, port: 502, client, server },
        source: End(0x0050_569A_7701 << 16 | 40_222),
        destination: End(0x001B_1B8A_2210 << 16 | 502),
        flags: 0,
        done: done as u32,
        operation: (!condition).then_some(operation),
        condition: condition.then_some(Condition::ALL[0]),
        protocol: Proto::Modbus as u8,
        from_zone: "it-dmz".to_owned(),
        to_zone: "cell-3".to_owned(),
        rule: RuleInfo {
            id: "rule-1".to_owned(),
            name: "writes from it".to_owned(),
            reason: NASTY.to_owned(),
            owner: "plant engineering".to_owned(),
            ticket: Some("CHG-17".to_owned()),
        },
    }))
}

/// Every kind of event that exists, in the order of their sequence numbers.
pub fn every_kind() -> Vec<Value> {
    let audit = Audit {
        at_ns: T0,
        action: "gate-mode-change",
        success: false,
        reason: "refused".to_owned(),
        mode: Some(("monitor", "enforce")),
        rules: 3,
        user: Some("kim".to_owned()),
        ticket: None,
    };
    let lost = Lost {
        at_ns: T0,
        sink: "siem".to_owned(),
        cause: "spool-full",
        events: 5,
        sequences: Some((7, 90)),
        total: 12,
    };
    let limited =
        Limited { interval_ns: (T0, T0 + MS), events: vec![("ot-first-seen-function", 21, 9), ("dropped", 73, 2)] };
    let events = [
        refusal(Done::Dropped, false),
        refusal(Done::Reset, true),
        refusal(Done::WouldDrop, false),
        refusal(Done::DeadMan, false),
        refusal(Done::Alerted, true),
        Event::Audit(Box::new(audit.clone())),
        Event::Audit(Box::new(Audit { success: true, mode: None, user: None, ..audit })),
        Event::Lost(Box::new(lost.clone())),
        Event::Lost(Box::new(Lost { sequences: None, cause: "disk-full", ..lost })),
        Event::Limited(Box::new(limited)),
    ];
    let mut all = samples();
    let mut sequencer = Sequencer::new();
    let observer = observer(Mode::Enforce, None, sequencer.boot_id());
    all.extend(events.iter().map(|e| render(e, &sequencer.next_stamp(), &observer, &Clock::CAPTURE)));
    all
}

#[test]
fn the_schema_takes_every_kind() {
    let schema = jsonschema::validator_for(&schema::events()).unwrap();
    for event in every_kind() {
        let errors: Vec<String> = schema.iter_errors(&event).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}: {event}");
    }
}

#[test]
fn only_names_of_ecs_outside_our_own() {
    for event in every_kind() {
        for (path, value) in leaves_of(&event).into_iter().filter(|(p, _)| !p.starts_with("otxdp.")) {
            let known = ECS.iter().map(|(n, _, _, array)| (*n, *array)).chain(MORE.iter().copied());
            let (_, array) =
                known.into_iter().find(|(n, _)| *n == path).unwrap_or_else(|| panic!("not in ECS: {path}"));
            assert_eq!(value.is_array(), array, "{path}");
            let items = value.as_array().cloned().unwrap_or_default();
            assert!(items.iter().all(|v| !v.is_object() && !v.is_array()), "{path}: no arrays of objects");
        }
    }
}

#[test]
fn values_are_the_allowed_ones() {
    let allowed: BTreeMap<_, _> = CATEGORIES.iter().copied().collect();
    for e in every_kind() {
        let ev = &e["event"];
        let kind = ev["kind"].as_str().unwrap();
        assert!(["alert", "event", "metric"].contains(&kind), "`signal` belongs to the receiver: {kind}");
        let texts = |v: &Value| -> Vec<String> { serde_json::from_value(v.clone()).unwrap() };
        for category in texts(&ev["category"]) {
            for kind in texts(&ev["type"]) {
                assert!(allowed[category.as_str()].contains(&kind.as_str()), "{kind} in {category}");
            }
        }
        let severity = ev["severity"].as_u64();
        assert!(severity.is_none_or(|s| [21, 47, 73, 99].contains(&s)), "{severity:?}");
        assert!(kind != "alert" || severity.is_some());
        let types = texts(&ev["type"]);
        let tells = types.iter().any(|t| t == "denied" || t == "change");
        assert_eq!(ev["outcome"].is_string(), tells, "metrics and information have no outcome: {e}");
        if ev["action"] == "dropped" {
            assert_eq!((&types[0][..], &ev["outcome"]), ("denied", &json!("success")), "seen from the gate");
        }
        assert_eq!(e["data_stream"]["type"], if kind == "metric" { "metrics" } else { "logs" });
        assert!(actions().any(|a| a == ev["action"]), "filters know {}", ev["action"]);
    }
}

#[test]
fn each_kind_says_what_it_is_before_it_is_made() {
    let mut sequencer = Sequencer::new();
    let observer = observer(Mode::Enforce, None, sequencer.boot_id());
    for event in [refusal(Done::Dropped, false), refusal(Done::Alerted, true), refusal(Done::DeadMan, false)] {
        let stamp = sequencer.next_stamp();
        let made = Emitted::new(render(&event, &stamp, &observer, &Clock::CAPTURE), stamp);
        assert_eq!(made.action(), action_of(&event));
        assert_eq!(limit::Share::of(&event).1, made.severity());
        assert_eq!(made.zones().collect::<Vec<_>>(), ["it-dmz", "cell-3"]);
        assert_eq!(made.at_ns() as u64, T0 + 5 * MS);
    }
}
