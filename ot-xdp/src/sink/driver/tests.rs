//! Tests of the driver: receivers that are slow, dead, come back, take a part, or refuse.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicU32;

use bytes::Bytes;
use uuid::Uuid;

use super::*;

/// What a receiver has, and how it behaves.
#[derive(Default)]
struct Receiver {
    got: Mutex<Vec<u64>>,
    /// 0: answers; 1: unreachable; 2: hangs; 3: loses the connection on each batch.
    mood: AtomicU32,
    /// Takes at most this many of a batch, when not 0.
    part: AtomicU32,
    closed: AtomicBool,
}

struct Client(Arc<Receiver>);

impl Transport for Client {
    fn connect(&mut self) -> Reply<'_, Result<(), SinkError>> {
        Box::pin(async {
            match self.0.mood.load(Relaxed) {
                1 => Err(SinkError::Unreachable("test".to_owned())),
                2 => std::future::pending().await,
                _ => Ok(()),
            }
        })
    }
    fn send<'a>(&'a mut self, batch: &'a [Record]) -> Reply<'a, Result<usize, SinkError>> {
        Box::pin(async {
            match self.0.mood.load(Relaxed) {
                1 | 3 => return Err(SinkError::Lost("test".to_owned())),
                2 => std::future::pending().await,
                _ => {}
            }
            let part = self.0.part.load(Relaxed) as usize;
            let n = if part == 0 { batch.len() } else { part.min(batch.len()) };
            self.0.got.lock().unwrap().extend(batch.iter().take(n).map(|r| r.sequence));
            Ok(n)
        })
    }
    fn close(&mut self) -> Reply<'_, ()> {
        Box::pin(async { self.0.closed.store(true, Relaxed) })
    }
}

fn record(n: u64) -> Record {
    Record {
        sequence: n,
        id: Uuid::from_u128(u128::from(n)),
        at_ns: 0,
        severity: 21,
        kind: "ot-flow-summary",
        body: Bytes::from(vec![b'x'; 200]),
    }
}

fn start(receiver: &Arc<Receiver>, queue: usize, spool: Option<(PathBuf, u64)>) -> Driver {
    let options = Options { queue, batch: 64, spool, ..Options::new("test") };
    Driver::start(options, Box::new(Client(Arc::clone(receiver)))).unwrap()
}

/// As the pipeline does behind each batch.
fn push(driver: &Driver, n: u64) {
    driver.push(record(n));
    driver.flush();
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let begin = std::time::Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn end(driver: &mut Driver) -> bool {
    driver.finish(std::time::Instant::now() + Duration::from_secs(5));
    driver.wait()
}

#[test]
fn a_receiver_that_answers_gets_everything_in_order_and_a_goodbye() {
    let receiver = Arc::new(Receiver::default());
    receiver.part.store(17, Relaxed);
    let mut driver = start(&receiver, 20_000, None);
    (1..10_001).for_each(|n| push(&driver, n));
    assert!(end(&mut driver));
    assert_eq!(*receiver.got.lock().unwrap(), (1..10_001).collect::<Vec<_>>());
    assert_eq!(driver.state().sent.load(Relaxed), 10_000);
    assert!(receiver.closed.load(Relaxed));
}

#[test]
fn a_dead_receiver_costs_no_time_and_gets_everything_when_it_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Arc::new(Receiver::default());
    for mood in [1, 2, 3] {
        receiver.mood.store(mood, Relaxed);
        receiver.got.lock().unwrap().clear();
        let mut driver = start(&receiver, 4_096, Some((dir.path().join(mood.to_string()), 16 << 20)));
        let begin = std::time::Instant::now();
        for n in 1..3_001 {
            push(&driver, n);
            if n % 100 == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        assert!(begin.elapsed() < Duration::from_secs(3));
        until("on disk", || driver.state().spooled.load(Relaxed) > 2_000);
        // A connect that hangs counts as failed after a while; the other moods recover at once.
        if mood != 2 {
            receiver.mood.store(0, Relaxed);
            until("delivered", || receiver.got.lock().unwrap().len() == 3_000);
            assert!(driver.state().failures.load(Relaxed) != 0 && driver.state().error().unwrap().contains("test"));
        }
        driver.finish(std::time::Instant::now() + Duration::from_millis(100));
        driver.wait();
        receiver.mood.store(0, Relaxed);
        let mut next = start(&receiver, 256, Some((dir.path().join(mood.to_string()), 16 << 20)));
        push(&next, 3_001);
        assert!(end(&mut next));
        assert_eq!(*receiver.got.lock().unwrap(), (1..3_002).collect::<Vec<_>>(), "mood {mood}");
    }
}

#[test]
fn what_does_not_fit_is_counted_with_its_cause_and_its_numbers() {
    let receiver = Arc::new(Receiver::default());
    receiver.mood.store(1, Relaxed);
    let mut driver = start(&receiver, 100, None);
    for n in 1..1_001 {
        push(&driver, n);
        std::thread::sleep(Duration::from_micros(200));
    }
    receiver.mood.store(0, Relaxed);
    until("delivered", || receiver.got.lock().unwrap().len() >= 100);
    end(&mut driver);
    let got: BTreeSet<u64> = receiver.got.lock().unwrap().iter().copied().collect();
    let losses = driver.state().take_losses();
    let lost: u64 = losses.iter().map(|(_, l)| l.events).sum();
    assert_eq!(got.len() as u64 + lost, 1_000, "{losses:?}");
    assert_eq!(lost, driver.state().lost.load(Relaxed));
    let memory = losses.iter().find(|(cause, _)| *cause == Cause::Memory).expect("memory is full").1;
    assert!(
        memory.sequences.0 > 100 && memory.sequences.1 == 1_000 && !got.contains(&memory.sequences.1),
        "{memory:?}"
    );
    assert_eq!(driver.state().take_losses(), [], "told once");
}

#[test]
fn at_the_cap_the_new_ones_are_lost_and_the_news_of_it_arrive() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Arc::new(Receiver::default());
    receiver.mood.store(1, Relaxed);
    let mut driver = start(&receiver, 5_000, Some((dir.path().to_owned(), 200_000)));
    (1..3_001).for_each(|n| push(&driver, n));
    until("the cap", || driver.state().lost.load(Relaxed) > 1_000);
    driver.push(Record { kind: crate::event::LOST, ..record(3_001) });
    driver.flush();
    until("taken", || driver.queue.as_ref().is_some_and(Sender::is_empty));
    receiver.mood.store(0, Relaxed);
    assert!(end(&mut driver));
    let got = receiver.got.lock().unwrap();
    let lost = driver.state().lost.load(Relaxed);
    assert_eq!(got.len() as u64 + lost, 3_001);
    assert_eq!(got.last(), Some(&3_001), "the receiver hears of its loss");
    assert!(got.windows(2).all(|w| w[0] < w[1]), "in order");
    assert_eq!(driver.state().take_losses().iter().map(|(c, _)| *c).collect::<Vec<_>>(), [Cause::Spool]);
}

#[test]
fn a_slow_receiver_keeps_the_order_over_memory_and_disk() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Arc::new(Receiver::default());
    receiver.part.store(3, Relaxed);
    let mut driver = start(&receiver, 64, Some((dir.path().to_owned(), 16 << 20)));
    for n in 1..5_001 {
        push(&driver, n);
        if n % 50 == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        match n {
            1_500 => receiver.mood.store(3, Relaxed),
            2_500 => receiver.mood.store(0, Relaxed),
            _ => {}
        }
    }
    receiver.part.store(0, Relaxed);
    end(&mut driver);
    let lost = driver.state().lost.load(Relaxed);
    let got = receiver.got.lock().unwrap();
    assert_eq!(got.len() as u64 + lost, 5_000);
    assert!(got.windows(2).all(|w| w[0] < w[1]), "in order, and none twice");
}

#[test]
fn pauses_vary() {
    let pauses: BTreeSet<Duration> = (0..50).map(|_| jitter(Duration::from_secs(10))).collect();
    assert!(pauses.len() > 5 && pauses.iter().all(|p| (5_000..=10_000).contains(&p.as_millis())));
}
