//! Tests of filters, and of sinks side by side.

use serde_json::{Value, json};

use super::super::driver::Options;
use super::super::transport::{Reply, SinkError, Transport};
use super::*;
use crate::event::Sequencer;

fn event(sequencer: &mut Sequencer, action: &str, severity: Option<u64>, zones: Option<(&str, &str)>) -> Emitted {
    let mut document = json!({ "event": { "action": action, "sequence": sequencer.emitted() + 1 } });
    if let Some(severity) = severity {
        document["event"]["severity"] = severity.into();
    }
    if let Some((from, to)) = zones {
        document["otxdp"] = json!({ "gate": { "from_zone": from, "to_zone": to } });
    }
    Emitted::new(document, sequencer.next_stamp())
}

fn filter(text: &str) -> Filter {
    Filter::new(&SinkEntry::from_option(&format!("stdout{text}")).unwrap())
}

#[test]
fn filters_take_what_they_say() {
    let mut s = Sequencer::new();
    let dropped = event(&mut s, "dropped", Some(73), Some(("office", "press")));
    let alert = event(&mut s, "policy-alert", Some(21), Some(("office", "cell")));
    let flow = event(&mut s, "ot-flow-summary", None, None);
    let lost = event(&mut s, LOST, Some(73), None);
    for (text, wanted) in [
        ("", [true, true, true, true]),
        (",kinds=dropped", [true, false, false, true]),
        (",except=dropped+ot-flow-summary", [false, true, false, true]),
        (",except=events-lost", [true, true, true, false]),
        (",min_severity=47", [true, false, false, true]),
        (",min_severity=1", [true, true, true, true]),
        (",zones=cell", [false, true, true, true]),
        (",zones=press+cell,min_severity=21", [true, true, false, true]),
    ] {
        let filter = filter(text);
        let takes = [&dropped, &alert, &flow, &lost].map(|e| filter.takes(e));
        assert_eq!(takes, wanted, "{text}");
    }
}

type Seen = Arc<std::sync::Mutex<Vec<Record>>>;

struct Client {
    seen: Seen,
    dead: bool,
}

impl Transport for Client {
    fn connect(&mut self) -> Reply<'_, Result<(), SinkError>> {
        Box::pin(async { if self.dead { Err(SinkError::Refused("test".to_owned())) } else { Ok(()) } })
    }
    fn send<'a>(&'a mut self, batch: &'a [Record]) -> Reply<'a, Result<usize, SinkError>> {
        self.seen.lock().unwrap().extend(batch.iter().cloned());
        Box::pin(async { Ok(batch.len()) })
    }
    fn close(&mut self) -> Reply<'_, ()> {
        Box::pin(async {})
    }
}

fn output(text: &str, seen: &Seen, dead: bool, queue: usize) -> Output {
    let mut entry = SinkEntry::from_option(&format!("stdout{text}")).unwrap();
    entry.name = format!("sink-{queue}");
    let options = Options { queue, ..Options::new(&entry.name) };
    let driver = Driver::start(options, Box::new(Client { seen: Arc::clone(seen), dead })).unwrap();
    Output { filter: Filter::new(&entry), format: entry.format, way: Way::Driven(driver) }
}

#[test]
fn a_dead_sink_costs_the_others_nothing_and_its_loss_is_told() {
    let (all, some, none) = (Seen::default(), Seen::default(), Seen::default());
    let outputs = vec![
        output("", &all, false, 30_000),
        output(",format=eve,kinds=dropped", &some, false, 30_001),
        output("", &none, true, 100),
    ];
    let mut fanout = Fanout::new(outputs, Arc::default());
    let mut s = Sequencer::new();
    let begin = Instant::now();
    for i in 0..20_000 {
        let action = if i % 10 == 0 { "dropped" } else { "ot-flow-summary" };
        fanout.write(&event(&mut s, action, None, None)).unwrap();
    }
    assert!(begin.elapsed() < Duration::from_secs(5), "nobody is waited for");
    let mut lost = 0;
    while lost != fanout.dropped() {
        lost = fanout.dropped();
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!((19_000..20_000).contains(&lost), "{lost}");
    let losses = fanout.losses(7);
    assert!(losses.iter().all(|l| l.sink == "sink-100" && l.at_ns == 7 && l.total == lost));
    assert_eq!(losses.iter().map(|l| l.events).sum::<u64>(), lost);
    fanout.close(Duration::from_secs(5));
    let all = all.lock().unwrap();
    assert_eq!(all.iter().map(|r| r.sequence).collect::<Vec<_>>(), (1..=20_000).collect::<Vec<_>>());
    let some = some.lock().unwrap();
    assert_eq!(some.len(), 2_000);
    assert!(some.iter().all(|r| r.kind == "dropped" && serde_json::from_slice::<Value>(&r.body).unwrap()["event_type"].is_string()));
    assert!(none.lock().unwrap().is_empty());
    assert_eq!(fanout.states().len(), 3);
}

#[test]
fn a_reader_that_is_gone_ends_the_run_only_where_nobody_else_listens() {
    struct Gone;
    impl io::Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let gone =
        || Output { filter: Filter::default(), format: Format::Ecs, way: Way::lines("stdout", Queued::new(Gone)) };
    let mut s = Sequencer::new();
    let mut write_some = |fanout: &mut Fanout| {
        (0..100).try_for_each(|_| {
            std::thread::sleep(Duration::from_millis(1));
            fanout.write(&event(&mut s, "dropped", None, None))
        })
    };
    assert!(write_some(&mut Fanout::new(vec![gone()], Arc::default())).is_err());
    let seen = Seen::default();
    let mut two = Fanout::new(vec![gone(), output("", &seen, false, 1_000)], Arc::default());
    assert!(write_some(&mut two).is_ok());
    two.close(Duration::from_secs(5));
    assert_eq!(seen.lock().unwrap().len(), 100);
}
