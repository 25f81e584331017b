//! Drives one receiver: a queue in memory, then a spool on disk, a connection that is made again. Each in a thread of its
//! own, so that a receiver that is dead or slow costs nobody else anything.

use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::backlog::Backlog;
use super::queue::{Sender, queue};
use super::spool::Spool;
use super::transport::{Record, Reply, SinkError, Transport};

/// Shortest pause before the next attempt.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// Longest pause before the next attempt, also after a refusal.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(15);
/// How long a batch may take before the connection counts as lost.
const SEND: Duration = Duration::from_secs(60);
/// How long the orderly end of a connection may take.
const GOODBYE: Duration = Duration::from_millis(500);

/// How a receiver is driven.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of the sink.
    pub name: String,
    /// Records in memory, twice: on their way to the driver's thread, and there.
    pub queue: usize,
    /// Records in one batch.
    pub batch: usize,
    /// Directory and cap of the spool.
    pub spool: Option<(PathBuf, u64)>,
}

impl Options {
    /// With the usual sizes and without a spool.
    pub fn new(name: impl Into<String>) -> Options {
        Options { name: name.into(), queue: 8_192, batch: 512, spool: None }
    }
}

/// Why events were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// More events than the driver took out of its queue.
    Queue,
    /// No spool, and the memory is full.
    Memory,
    /// The spool has reached its cap.
    Spool,
    /// The spool's disk takes no more.
    Disk,
    /// The spool was damaged.
    Damage,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Cause; 5] = [Cause::Queue, Cause::Memory, Cause::Spool, Cause::Disk, Cause::Damage];

    /// The word used in JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Cause::Queue => "queue-full",
            Cause::Memory => "memory-full",
            Cause::Spool => "spool-full",
            Cause::Disk => "disk-full",
            Cause::Damage => "spool-damaged",
        }
    }
}

/// Lost events of one cause since they were last asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loss {
    /// How many.
    pub events: u64,
    /// Sequence number of the first and of the last one, 0 when not known.
    pub sequences: (u64, u64),
}

/// What is known of a sink from outside its thread.
#[derive(Debug, Default)]
pub struct State {
    /// Records that the receiver has.
    pub sent: AtomicU64,
    /// Records that were lost.
    pub lost: AtomicU64,
    /// Records on disk.
    pub spooled: AtomicU64,
    /// Connections that failed or were lost.
    pub failures: AtomicU64,
    /// There is a connection.
    pub connected: AtomicBool,
    losses: Mutex<[Loss; Cause::ALL.len()]>,
    /// What went wrong last.
    error: Mutex<Option<String>>,
}

impl State {
    pub(super) fn lose(&self, cause: Cause, records: &[Record]) {
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return };
        self.lose_some(cause, records.len() as u64, (first.sequence, last.sequence));
    }

    pub(super) fn lose_some(&self, cause: Cause, events: u64, sequences: (u64, u64)) {
        self.lost.fetch_add(events, Relaxed);
        let mut losses = self.losses.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(loss) = losses.get_mut(cause as usize) else { return };
        if loss.events == 0 {
            loss.sequences = sequences;
        }
        loss.events += events;
        loss.sequences = (loss.sequences.0.min(sequences.0), loss.sequences.1.max(sequences.1));
    }

    /// What was lost since this was last asked, by cause.
    pub fn take_losses(&self) -> Vec<(Cause, Loss)> {
        let mut losses = self.losses.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = std::mem::take(&mut *losses);
        Cause::ALL.into_iter().zip(taken).filter(|(_, loss)| loss.events != 0).collect()
    }

    /// What went wrong last.
    pub fn error(&self) -> Option<String> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn failed(&self, error: &SinkError) -> bool {
        self.connected.store(false, Relaxed);
        self.failures.fetch_add(1, Relaxed);
        let text = error.to_string();
        let mut last = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = last.as_ref() != Some(&text);
        *last = Some(text);
        is_news
    }
}

/// The near end of a sink. Dropping it ends the thread without waiting; see [`Driver::close`].
pub struct Driver {
    name: String,
    queue: Option<Sender>,
    state: Arc<State>,
    deadline: watch::Sender<Option<Instant>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Driver {
    /// Starts the thread of a sink.
    ///
    /// # Errors
    /// When the spool cannot be opened or no thread can be started.
    pub fn start(options: Options, transport: Box<dyn Transport>) -> std::io::Result<Driver> {
        let spool = options.spool.as_ref().map(|(dir, cap)| Spool::open(dir, *cap)).transpose()?;
        let state = Arc::new(State::default());
        state.spooled.store(spool.as_ref().map_or(0, Spool::pending), Relaxed);
        let (near, far) = queue(options.queue.max(1));
        let (deadline, ends) = watch::channel(None);
        let name = options.name.clone();
        let backlog = Backlog::new(far, spool, options.queue, Arc::clone(&state));
        let work = Work { options, backlog, state: Arc::clone(&state), transport, attempts: 0 };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new()
            .name(format!("sink-{name}").chars().take(15).collect())
            .spawn(move || runtime.block_on(work.until(ends)))?;
        Ok(Driver { name, queue: Some(near), state, deadline, thread: Some(thread) })
    }

    /// Takes a record; never waits. One that does not fit is counted as lost.
    pub fn push(&self, record: Record) {
        let Some(queue) = &self.queue else { return };
        if let Err(record) = queue.push(record) {
            self.state.lose(Cause::Queue, &[record]);
        }
    }

    /// Has what was taken be looked at now. Without it, the thread is woken by every so many records.
    pub fn flush(&self) {
        if let Some(queue) = &self.queue {
            queue.flush();
        }
    }

    /// Name of the sink.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is known of it.
    pub fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// Ends the sink: no more records are taken, those that are there are sent until `end`, the rest is spooled. Call
    /// [`Driver::wait`] afterwards.
    pub fn finish(&mut self, end: std::time::Instant) {
        self.queue = None;
        self.deadline.send_replace(Some(end.into()));
    }

    /// Waits for the end of a sink that was told to; true when nothing was lost on the way out.
    pub fn wait(&mut self) -> bool {
        let before = self.state.lost.load(Relaxed);
        let ended = self.thread.take().is_none_or(|t| t.join().is_ok());
        ended && self.state.lost.load(Relaxed) == before
    }
}

/// What runs in the thread.
struct Work {
    options: Options,
    backlog: Backlog,
    state: Arc<State>,
    transport: Box<dyn Transport>,
    attempts: u32,
}

impl Work {
    async fn until(mut self, mut ends: watch::Receiver<Option<Instant>>) {
        let deadline = async move {
            // Otherwise the near end is gone without a word.
            if let Ok(end) = ends.wait_for(Option::is_some).await {
                let end = *end;
                sleep_until(end.unwrap_or_else(Instant::now)).await;
            }
        };
        let done = tokio::select! {
            biased;
            () = self.drive() => true,
            () = deadline => false,
        };
        if done && self.state.connected.load(Relaxed) {
            let _ = tokio::time::timeout(GOODBYE, self.transport.close()).await;
        }
        self.backlog.retire();
    }

    /// Until the queue is closed and everything has arrived.
    async fn drive(&mut self) {
        let mut connected = false;
        loop {
            if !connected {
                if self.backlog.is_done() {
                    return;
                }
                connected = self.connect().await;
                continue;
            }
            if !self.backlog.fill(self.options.batch).await {
                return;
            }
            connected = self.send().await;
        }
    }

    async fn connect(&mut self) -> bool {
        let made = beside(limited(CONNECT, self.transport.connect()), &mut self.backlog).await;
        match made {
            Ok(()) => {
                if self.state.failures.load(Relaxed) != 0 {
                    tracing::info!("sink {}: connected", self.options.name);
                }
                self.state.connected.store(true, Relaxed);
                self.backlog.online();
                true
            }
            Err(e) => {
                self.failed(&e).await;
                false
            }
        }
    }

    async fn send(&mut self) -> bool {
        let batch = self.backlog.batch();
        let sent = beside(limited(SEND, self.transport.send(&batch)), &mut self.backlog).await;
        match sent {
            Ok(n) => {
                let n = n.min(batch.len());
                self.state.sent.fetch_add(n as u64, Relaxed);
                self.backlog.acknowledge(n);
                if n != 0 {
                    self.attempts = 0;
                } else {
                    beside(Box::pin(sleep(PAUSE_MIN)), &mut self.backlog).await;
                }
                true
            }
            Err(e) => {
                self.failed(&e).await;
                false
            }
        }
    }

    /// Waits before the next attempt: longer each time, and never for the same time as other sensors.
    async fn failed(&mut self, error: &SinkError) {
        self.backlog.offline();
        if self.state.failed(error) {
            tracing::warn!("sink {}: {error}", self.options.name);
        }
        let refused = matches!(error, SinkError::Refused(_));
        let pause = if refused { PAUSE_MAX } else { PAUSE_MIN * 2u32.pow(self.attempts.min(7)) };
        self.attempts += 1;
        beside(Box::pin(sleep(jitter(pause.min(PAUSE_MAX)))), &mut self.backlog).await;
    }
}

/// Between half and the whole of a time.
fn jitter(pause: Duration) -> Duration {
    let chance = RandomState::new().hash_one(0u8) % 1_000;
    pause / 2 + pause.mul_f64(chance as f64 / 2_000.0)
}

/// A call that counts as failed after a time.
fn limited<'a, T: Send + 'a>(
    limit: Duration,
    call: Reply<'a, Result<T, SinkError>>,
) -> Reply<'a, Result<T, SinkError>> {
    Box::pin(async move {
        let late = |_| SinkError::Lost(format!("no answer within {} s", limit.as_secs()));
        tokio::time::timeout(limit, call).await.map_err(late)?
    })
}

/// Waits for `work` and takes records out of the queue meanwhile.
async fn beside<T>(mut work: Reply<'_, T>, backlog: &mut Backlog) -> T {
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = backlog.take(), if backlog.is_open() => {}
        }
    }
}

#[cfg(test)]
mod tests;
