//! The store: what was saved is there, decisions are chained, faults are clear.

use super::text::random;
use crate::baseline::store::{Decision, Saved, Store, StoreError, now_text};
use crate::baseline::{State, Status, lifecycle, line};

fn decision(version: u32) -> Decision {
    Decision {
        at: now_text(),
        by: "tester".to_owned(),
        what: "lock".to_owned(),
        profile: "default".to_owned(),
        about: String::new(),
        ticket: None,
        version,
        hash: String::new(),
    }
}

#[test]
fn what_was_saved_is_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::at(&dir.path().join("base"));
    assert!(store.load("default").unwrap().is_none());
    let mut b = random(5);
    let mut saved = Saved::default();
    store.save("default", &b, &mut saved, Some(&decision(b.version))).unwrap();
    store.save("weekend", &random(6), &mut Saved::default(), None).unwrap();
    // A change, a member that is gone, and only these are written.
    let gone = *b.assets.keys().next().unwrap();
    b.assets.remove(&gone);
    b.talks.values_mut().for_each(|t| t.mark.count = 77);
    b.version += 1;
    store.save("default", &b, &mut saved, Some(&decision(b.version))).unwrap();
    assert_eq!(line::export(&store.load("default").unwrap().unwrap()), line::export(&b));
    assert_eq!(line::export(&store.load("weekend").unwrap().unwrap()), line::export(&random(6)));
    assert_eq!(store.profiles().unwrap(), ["default", "weekend"]);
    assert_eq!(store.version("default", b.version).unwrap(), line::export(&b));
    assert_ne!(store.version("default", b.version - 1).unwrap(), line::export(&b));
    let history = store.history().unwrap();
    assert_eq!(history.len(), 2);
    assert_ne!(history[0].hash, history[1].hash);
}

#[test]
fn members_are_found_by_event_and_key() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::at(&dir.path().join("base"));
    store.save("default", &random(7), &mut Saved::default(), None).unwrap();
    store.told(&[("event-1".to_owned(), "OTX-2001|x".to_owned(), "asset 10.0.0.9".to_owned())]).unwrap();
    for text in ["event-1", "OTX-2001|x", "asset 10.0.0.9"] {
        assert_eq!(store.resolve(text).unwrap(), "asset 10.0.0.9");
    }
    assert!(store.resolve("event-2").unwrap_err().to_string().contains("event-2"));
}

#[test]
fn a_newer_format_and_a_broken_file_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("base");
    {
        let db = redb::Database::create(&path).unwrap();
        let write = db.begin_write().unwrap();
        {
            let table = redb::TableDefinition::<&str, &str>::new("meta");
            write.open_table(table).unwrap().insert("format", "9").unwrap();
        }
        write.commit().unwrap();
    }
    assert!(matches!(Store::at(&path).load("default"), Err(StoreError::Newer { found, .. }) if found == "9"));
    let broken = dir.path().join("broken");
    std::fs::write(&broken, "no baseline, and long enough to be looked at for a head of one").unwrap();
    assert!(matches!(Store::at(&broken).load("default"), Err(StoreError::Io { .. })));
}

#[test]
fn a_lock_leaves_out_what_is_rare_or_risky() {
    let mut b = random(9);
    (b.state, b.version) = (State::Learning, 4);
    lifecycle::each_mark(&mut b, |m| (m.status, m.hours, m.days, m.late) = (Status::Seen, 9, 1, false));
    let rare = *b.assets.keys().next().unwrap();
    b.assets.get_mut(&rare).unwrap().mark.hours = 1;
    lifecycle::lock(&mut b, false, 1_800_000_000, &Default::default());
    assert_eq!((b.state, b.version), (State::Locked, 5));
    assert_eq!(b.assets[&rare].mark.status, Status::Pending);
    assert!(b.assets.iter().filter(|(s, _)| **s != rare).all(|(_, a)| a.mark.status == Status::Learned));
    let mut risky = 0;
    for (key, op) in b.talks.values().flat_map(|t| &t.ops) {
        assert_eq!(op.mark.status == Status::Pending, key.is_risky(), "{key:?}");
        risky += u32::from(key.is_risky());
    }
    assert!(risky > 5);
    lifecycle::lock(&mut b, true, 1_800_000_000, &Default::default());
    lifecycle::each_mark(&mut b, |m| assert!(m.status.is_normal()));
}

#[test]
fn a_decision_is_about_one_member() {
    let mut b = random(11);
    lifecycle::each_mark(&mut b, |m| m.status = Status::Pending);
    let (key, talk) = b.talks.iter().find(|(_, t)| t.ops.keys().any(|o| o.is_risky())).unwrap();
    let risky = *talk.ops.keys().find(|o| o.is_risky()).unwrap();
    let key = *key;
    lifecycle::decide(&mut b, &line::talk_key(&key), Status::Accepted).unwrap();
    assert_eq!(b.talks[&key].mark.status, Status::Accepted);
    assert_eq!(
        b.talks[&key].ops[&risky].mark.status,
        Status::Pending,
        "what changes the state is a decision of its own"
    );
    lifecycle::decide(&mut b, &line::op_key(&key, &risky), Status::Rejected).unwrap();
    assert_eq!(b.talks[&key].ops[&risky].mark.status, Status::Rejected);
    assert!(lifecycle::decide(&mut b, "asset 203.0.113.1", Status::Accepted).is_err());
}
