//! The queue between the sensor and a sink's thread: bounded, and woken once a burst and not once an event.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::transport::Record;

/// Records after which the thread is woken without being told to.
const BURST: usize = 256;

#[derive(Debug)]
struct Shared {
    inside: Mutex<Inside>,
    wake: Notify,
    capacity: usize,
}

#[derive(Debug, Default)]
struct Inside {
    records: VecDeque<Record>,
    closed: bool,
}

impl Shared {
    fn with<T>(&self, work: impl FnOnce(&mut Inside) -> T) -> T {
        work(&mut self.inside.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The near end. Dropping it closes the queue.
#[derive(Debug)]
pub struct Sender(Arc<Shared>);

/// The far end.
#[derive(Debug)]
pub struct Receiver(Arc<Shared>);

/// A queue of so many records.
pub fn queue(capacity: usize) -> (Sender, Receiver) {
    let shared = Arc::new(Shared { inside: Mutex::default(), wake: Notify::new(), capacity });
    (Sender(Arc::clone(&shared)), Receiver(shared))
}

impl Sender {
    /// Takes a record; gives it back when there is no room.
    ///
    /// # Errors
    /// The record, when the queue is full.
    pub fn push(&self, record: Record) -> Result<(), Record> {
        let waiting = self.0.with(|inside| {
            if inside.records.len() >= self.0.capacity {
                return Err(record);
            }
            inside.records.push_back(record);
            Ok(inside.records.len())
        })?;
        if waiting % BURST == 0 {
            self.flush();
        }
        Ok(())
    }

    /// Wakes the far end.
    pub fn flush(&self) {
        self.0.wake.notify_one();
    }

    /// Is nothing in it?
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.0.with(|inside| inside.records.is_empty())
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.0.with(|inside| inside.closed = true);
        self.flush();
    }
}

impl Receiver {
    /// Moves at most `max` records to the end of `into`, without waiting.
    pub fn try_take(&self, into: &mut impl Extend<Record>, max: usize) -> usize {
        self.0.with(|inside| {
            let n = inside.records.len().min(max);
            into.extend(inside.records.drain(..n));
            n
        })
    }

    /// The same; waits for the first. 0 when the queue is closed and empty.
    pub async fn take(&self, into: &mut impl Extend<Record>, max: usize) -> usize {
        loop {
            let (n, closed) = self.0.with(|inside| {
                let n = inside.records.len().min(max);
                into.extend(inside.records.drain(..n));
                (n, inside.closed)
            });
            if n != 0 || closed {
                return n;
            }
            self.0.wake.notified().await;
        }
    }
}
