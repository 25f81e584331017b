//! What a sink still has to send, in order: a batch on its way, then memory or disk.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::driver::{Cause, State};
use super::queue::Receiver;
use super::spool::{Refused, Spool};
use super::transport::Record;

/// Kind of the record that may use the spool's reserve.
const LOST: &str = crate::event::LOST;

/// The records of one sink.
pub struct Backlog {
    queue: Receiver,
    open: bool,
    /// Taken out of the queue and older than everything on disk.
    memory: VecDeque<Record>,
    limit: usize,
    spool: Option<Spool>,
    /// On its way, and whether it is on disk as well.
    batch: Arc<Vec<Record>>,
    on_disk: bool,
    offline: bool,
    state: Arc<State>,
    fresh: Vec<Record>,
}

impl Backlog {
    /// Nothing in memory; on disk what an earlier process has left.
    pub fn new(queue: Receiver, spool: Option<Spool>, limit: usize, state: Arc<State>) -> Backlog {
        let (memory, fresh, batch) = (VecDeque::new(), Vec::new(), Arc::new(Vec::new()));
        Backlog { queue, open: true, memory, limit, spool, batch, on_disk: false, offline: true, state, fresh }
    }

    /// More records may come.
    pub fn is_open(&self) -> bool {
        self.open
    }

    fn has_spooled(&self) -> bool {
        self.spool.as_ref().is_some_and(|s| s.pending() != 0)
    }

    /// Nothing to send, and nothing will come.
    pub fn is_done(&self) -> bool {
        !self.open && self.batch.is_empty() && self.memory.is_empty() && !self.has_spooled()
    }

    /// Takes what is in the queue; waits for it.
    pub async fn take(&mut self) {
        let mut fresh = std::mem::take(&mut self.fresh);
        if self.queue.take(&mut fresh, 1_024).await == 0 {
            self.open = false;
        }
        self.store(&mut fresh);
        self.fresh = fresh;
    }

    fn store(&mut self, fresh: &mut Vec<Record>) {
        let room = self.memory.len() + fresh.len() <= self.limit;
        match &self.spool {
            Some(spool) if spool.pending() != 0 || self.offline || !room => {
                if spool.pending() == 0 {
                    // What is in memory is older; the batch on its way is older still and stays in memory.
                    let older: Vec<Record> = self.memory.drain(..).collect();
                    self.append(&older);
                }
                self.append(fresh);
                fresh.clear();
            }
            None if !room => {
                let fits = self.limit.saturating_sub(self.memory.len());
                self.state.lose(Cause::Memory, fresh.get(fits..).unwrap_or_default());
                self.memory.extend(fresh.drain(..).take(fits));
            }
            _ => self.memory.extend(fresh.drain(..)),
        }
    }

    /// Onto the disk, behind everything; counts what does not fit.
    fn append(&mut self, records: &[Record]) {
        let Some(spool) = &mut self.spool else { return };
        let (mut taken, mut why) = spool.append(records, false);
        while let (Some(reason), Some(left)) = (why, records.get(taken..)) {
            let cause = if reason == Refused::Full { Cause::Spool } else { Cause::Disk };
            // Only news of a loss may still fit; everything before it is lost.
            let next = left.iter().position(|r| reason == Refused::Full && r.kind == LOST).unwrap_or(left.len());
            self.state.lose(cause, left.get(..next).unwrap_or_default());
            let Some(news) = left.get(next..).and_then(|l| l.first()) else { break };
            let (one, refused) = spool.append(std::slice::from_ref(news), true);
            if one == 0 {
                let cause = if refused == Some(Refused::Full) { Cause::Spool } else { Cause::Disk };
                self.state.lose(cause, std::slice::from_ref(news));
            }
            taken += next + 1;
            if taken >= records.len() {
                break;
            }
            let (more, again) = spool.append(records.get(taken..).unwrap_or_default(), false);
            taken += more;
            why = again;
        }
        self.state.spooled.store(spool.pending(), Relaxed);
    }

    /// Makes a batch of at most `max` records; waits for the first. False when there is nothing more to send.
    pub async fn fill(&mut self, max: usize) -> bool {
        while self.batch.is_empty() {
            // What is in the queue belongs to the batch: without this, each record would travel alone.
            if self.memory.len() < max && !self.has_spooled() {
                let room = max - self.memory.len();
                self.queue.try_take(&mut self.memory, room);
            }
            if !self.memory.is_empty() {
                let n = self.memory.len().min(max);
                self.batch = Arc::new(self.memory.drain(..n).collect());
                self.on_disk = false;
            } else if self.has_spooled() {
                self.read(max);
            } else if self.open {
                self.take().await;
            } else {
                return false;
            }
        }
        true
    }

    fn read(&mut self, max: usize) {
        let Some(spool) = &mut self.spool else { return };
        let damaged = spool.damaged();
        self.batch = Arc::new(spool.read(max));
        self.on_disk = true;
        if spool.damaged() != damaged {
            self.state.lose_some(Cause::Damage, spool.damaged() - damaged, (0, 0));
        } else if self.batch.is_empty() {
            // Everything was read and is acknowledged, or the disk answers no more: begin with what is there.
            spool.rewind();
        }
    }

    /// The batch on its way.
    pub fn batch(&self) -> Arc<Vec<Record>> {
        Arc::clone(&self.batch)
    }

    /// The receiver has the first `n` of the batch.
    pub fn acknowledge(&mut self, n: usize) {
        let on_disk = self.on_disk;
        if let Some(spool) = self.spool.as_mut().filter(|_| on_disk) {
            spool.acknowledge(n);
            self.state.spooled.store(spool.pending(), Relaxed);
        }
        self.batch = Arc::new(self.batch.get(n..).unwrap_or_default().to_vec());
    }

    /// There is a connection.
    pub fn online(&mut self) {
        self.offline = false;
    }

    /// There is none: what is not yet on disk goes there, where there is one.
    pub fn offline(&mut self) {
        self.offline = true;
        let batch = std::mem::replace(&mut self.batch, Arc::new(Vec::new()));
        match &mut self.spool {
            Some(spool) if self.on_disk => spool.rewind(),
            _ => batch.iter().rev().for_each(|r| self.memory.push_front(r.clone())),
        }
        self.spill();
    }

    fn spill(&mut self) {
        let Some(spool) = &mut self.spool else { return };
        if self.memory.is_empty() {
            return spool.sync();
        }
        if spool.pending() == 0 {
            let records: Vec<Record> = self.memory.drain(..).collect();
            self.append(&records);
        } else if spool.prepend(self.memory.make_contiguous()).is_ok() {
            self.memory.clear();
            self.state.spooled.store(spool.pending(), Relaxed);
        }
        // Else they stay in memory, in front.
        if let Some(spool) = &self.spool {
            spool.sync();
        }
    }

    /// The end: what was not sent is put on disk, or is lost.
    pub fn retire(&mut self) {
        let mut fresh = Vec::new();
        self.queue.try_take(&mut fresh, usize::MAX);
        self.offline();
        self.store(&mut fresh);
        self.spill();
        if !self.memory.is_empty() {
            let cause = if self.spool.is_some() { Cause::Disk } else { Cause::Memory };
            let left: Vec<Record> = self.memory.drain(..).collect();
            self.state.lose(cause, &left);
        }
    }
}
