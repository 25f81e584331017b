//! Any number of sinks at once, each with its own filter and format.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::driver::{Driver, State};
use super::transport::Record;
use super::{Queued, Sink};
use crate::config::SinkEntry;
use crate::event::{Emitted, Format, LIMITED, LOST, Lost};

/// Which events a sink wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only these kinds; all when empty.
    pub kinds: Vec<String>,
    /// Not these.
    pub except: Vec<String>,
    /// Only of this severity or more.
    pub min_severity: u8,
    /// Only about these zones, or about none; all when empty.
    pub zones: Vec<String>,
}

impl Filter {
    /// Of a configured sink.
    pub fn new(entry: &SinkEntry) -> Filter {
        let SinkEntry { kinds, except, min_severity, zones, .. } = entry.clone();
        Filter { kinds, except, min_severity, zones }
    }

    /// Does the sink want this event? What tells of missing events is kept out by name only: a sink that is not told
    /// would take a gap for silence.
    pub fn takes(&self, event: &Emitted) -> bool {
        let action = event.action();
        let named = |list: &[String]| list.iter().any(|k| k == action);
        if named(&self.except) {
            return false;
        }
        if matches!(action, LOST | LIMITED) {
            return true;
        }
        if !self.kinds.is_empty() && !named(&self.kinds) || event.severity() < self.min_severity {
            return false;
        }
        self.zones.is_empty() || {
            let mut zones = event.zones().peekable();
            zones.peek().is_none() || zones.any(|z| self.zones.iter().any(|want| want == z))
        }
    }
}

/// Where the events of one sink go.
pub enum Way {
    /// To a receiver that is driven.
    Driven(Driver),
    /// To standard output, or another writer, whose end is the end of the run where it is the only sink.
    Lines {
        /// Name of the sink.
        name: String,
        /// The writer.
        queue: Queued,
        /// Lost, and not yet told.
        lost: (u64, u64, u64),
        /// The reader is gone.
        gone: bool,
    },
}

impl Way {
    /// Lines to a writer.
    pub fn lines(name: impl Into<String>, queue: Queued) -> Way {
        Way::Lines { name: name.into(), queue, lost: (0, 0, 0), gone: false }
    }
}

/// One sink.
pub struct Output {
    /// Which events it wants.
    pub filter: Filter,
    /// How they are written.
    pub format: Format,
    /// Where they go.
    pub way: Way,
}

/// All sinks of a run.
pub struct Fanout {
    outputs: Vec<Output>,
    /// Number of requests to open files anew; file sinks watch it.
    reopens: Arc<AtomicU64>,
}

impl Fanout {
    /// Of these sinks. `reopens` is shared with those that write files.
    pub fn new(outputs: Vec<Output>, reopens: Arc<AtomicU64>) -> Fanout {
        Fanout { outputs, reopens }
    }

    /// What is known of each driven sink, by name: for metrics.
    pub fn states(&self) -> BTreeMap<String, Arc<State>> {
        let driven = self.outputs.iter().filter_map(|o| match &o.way {
            Way::Driven(driver) => Some((driver.name().to_owned(), Arc::clone(driver.state()))),
            Way::Lines { .. } => None,
        });
        driven.collect()
    }
}

impl Sink for Fanout {
    fn write(&mut self, event: &Emitted) -> io::Result<()> {
        let only = self.outputs.len() == 1;
        let record = |format| Record {
            sequence: event.stamp.sequence,
            id: event.stamp.id,
            at_ns: event.at_ns(),
            severity: event.severity(),
            kind: event.action(),
            body: event.body(format),
        };
        for output in &mut self.outputs {
            if !output.filter.takes(event) {
                continue;
            }
            match &mut output.way {
                Way::Driven(driver) => driver.push(record(output.format)),
                Way::Lines { gone: true, lost, .. } => lost.0 += 1,
                Way::Lines { name, queue, lost, gone } => match queue.line(&event.body(output.format)) {
                    Ok(true) => {}
                    Ok(false) => {
                        let sequence = event.stamp.sequence;
                        *lost = (lost.0 + 1, if lost.0 == 0 { sequence } else { lost.1 }, sequence);
                    }
                    Err(e) if only => return Err(e),
                    Err(e) => {
                        *gone = true;
                        tracing::warn!("sink {name}: {e}; it gets no more events");
                    }
                },
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        for output in &self.outputs {
            if let Way::Driven(driver) = &output.way {
                driver.flush();
            }
        }
        Ok(())
    }

    fn dropped(&self) -> u64 {
        let of = |o: &Output| match &o.way {
            Way::Driven(driver) => driver.state().lost.load(Relaxed),
            Way::Lines { queue, .. } => queue.dropped(),
        };
        self.outputs.iter().map(of).sum()
    }

    fn losses(&mut self, at_ns: u64) -> Vec<Lost> {
        let mut all = Vec::new();
        for output in &mut self.outputs {
            match &mut output.way {
                Way::Driven(driver) => {
                    let total = driver.state().lost.load(Relaxed);
                    let losses = driver.state().take_losses().into_iter();
                    all.extend(losses.map(|(cause, loss)| Lost {
                        at_ns,
                        sink: driver.name().to_owned(),
                        cause: cause.word(),
                        events: loss.events,
                        sequences: (loss.sequences.1 != 0).then_some(loss.sequences),
                        total,
                    }));
                }
                Way::Lines { gone: true, .. } => {}
                Way::Lines { name, queue, lost, .. } => {
                    let (events, first, last) = std::mem::take(lost);
                    let (sink, total) = (name.clone(), queue.dropped());
                    let sequences = Some((first, last));
                    all.extend((events != 0).then_some(Lost {
                        at_ns,
                        sink,
                        cause: "queue-full",
                        events,
                        sequences,
                        total,
                    }));
                }
            }
        }
        all
    }

    fn reopen(&mut self) {
        self.reopens.fetch_add(1, Relaxed);
    }

    fn close(&mut self, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        for output in &mut self.outputs {
            if let Way::Driven(driver) = &mut output.way {
                driver.finish(end);
            }
        }
        let mut all = true;
        for output in &mut self.outputs {
            all &= match &mut output.way {
                Way::Driven(driver) => driver.wait(),
                Way::Lines { queue, gone, .. } => queue.close(end.saturating_duration_since(Instant::now())) || *gone,
            };
        }
        all
    }
}

#[cfg(test)]
mod tests;
