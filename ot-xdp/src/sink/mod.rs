//! Where events go: JSON lines on a writer, from the caller's thread or from one of their own, and clients of receivers.

mod backlog;
pub mod build;
pub mod driver;
pub mod fanout;
pub mod file;
mod queue;
pub mod spool;
pub mod syslog;
pub mod tls;
pub mod transport;

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use crate::event::{Emitted, Format, Lost};

/// Lines that wait for a slow reader before further ones are dropped and counted.
const QUEUE: usize = 65_536;

/// Takes events, one by one.
pub trait Sink {
    /// Takes one event.
    ///
    /// # Errors
    /// When no event can be taken any more.
    fn write(&mut self, event: &Emitted) -> std::io::Result<()>;
    /// Hands on what was taken.
    ///
    /// # Errors
    /// As for [`Sink::write`].
    fn flush(&mut self) -> std::io::Result<()>;
    /// Events lost so far on their way to a receiver.
    fn dropped(&self) -> u64;
    /// What was lost since this was last asked, by receiver and cause; `at_ns` is now.
    fn losses(&mut self, at_ns: u64) -> Vec<Lost> {
        let _ = at_ns;
        Vec::new()
    }
    /// Opens files anew: somebody has moved them.
    fn reopen(&mut self) {}
    /// Ends; waits `limit` for the readers to take what was taken. True when everything was.
    fn close(&mut self, limit: Duration) -> bool {
        let _ = limit;
        self.flush().is_ok()
    }
}

impl Sink for Box<dyn Sink> {
    fn write(&mut self, event: &Emitted) -> std::io::Result<()> {
        self.as_mut().write(event)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.as_mut().flush()
    }
    fn dropped(&self) -> u64 {
        self.as_ref().dropped()
    }
    fn losses(&mut self, at_ns: u64) -> Vec<Lost> {
        self.as_mut().losses(at_ns)
    }
    fn reopen(&mut self) {
        self.as_mut().reopen();
    }
    fn close(&mut self, limit: Duration) -> bool {
        self.as_mut().close(limit)
    }
}

/// JSON lines to a writer, at once: for captures, which wait for their reader.
pub struct Lines<W: Write>(pub W);

impl<W: Write> Sink for Lines<W> {
    fn write(&mut self, event: &Emitted) -> std::io::Result<()> {
        serde_json::to_writer(&mut self.0, event.document()).map_err(std::io::Error::from)?;
        self.0.write_all(b"\n")
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
    fn dropped(&self) -> u64 {
        0
    }
}

/// JSON lines through a bounded queue to a thread that writes them: for a running sensor, which waits for nobody. What
/// does not fit is dropped and counted, and visible as a gap of `event.sequence`.
pub struct Queued {
    lines: Option<SyncSender<Vec<u8>>>,
    done: Receiver<()>,
    gone: Arc<AtomicBool>,
    dropped: u64,
}

impl Queued {
    /// A queue in front of `out`.
    pub fn new(out: impl Write + Send + 'static) -> Queued {
        Queued::with_capacity(out, QUEUE)
    }

    fn with_capacity(mut out: impl Write + Send + 'static, lines: usize) -> Queued {
        let (tx, rx) = sync_channel::<Vec<u8>>(lines);
        let (ended, done) = mpsc::channel();
        let gone = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&gone);
        std::thread::spawn(move || {
            let mut work = || -> std::io::Result<()> {
                while let Ok(line) = rx.recv() {
                    out.write_all(&line)?;
                    // One flush for a burst, and none is waited for.
                    for line in rx.try_iter() {
                        out.write_all(&line)?;
                    }
                    out.flush()?;
                }
                Ok(())
            };
            if work().is_err() {
                flag.store(true, Ordering::Relaxed);
            }
            // Nobody waits any more when the sensor has ended.
            let _ = ended.send(());
        });
        Queued { lines: Some(tx), done, gone, dropped: 0 }
    }

    /// Takes a line without its end; true when there was room for it.
    ///
    /// # Errors
    /// When the reader is gone.
    pub fn line(&mut self, line: &[u8]) -> std::io::Result<bool> {
        if self.gone.load(Ordering::Relaxed) {
            return Err(std::io::ErrorKind::BrokenPipe.into());
        }
        let Some(lines) = &self.lines else { return Err(std::io::ErrorKind::BrokenPipe.into()) };
        match lines.try_send([line, b"\n"].concat()) {
            Ok(()) => Ok(true),
            Err(TrySendError::Full(_)) => {
                self.dropped += 1;
                Ok(false)
            }
            Err(TrySendError::Disconnected(_)) => Err(std::io::ErrorKind::BrokenPipe.into()),
        }
    }
}

impl Sink for Queued {
    fn write(&mut self, event: &Emitted) -> std::io::Result<()> {
        self.line(&event.body(Format::Ecs)).map(|_| ())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
    fn dropped(&self) -> u64 {
        self.dropped
    }
    fn close(&mut self, limit: Duration) -> bool {
        self.lines = None;
        self.done.recv_timeout(limit).is_ok() && !self.gone.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// A reader that takes nothing until it is let go.
    struct Slow(Arc<Mutex<Vec<u8>>>, Receiver<()>);
    impl Write for Slow {
        fn write(&mut self, b: &[u8]) -> std::io::Result<usize> {
            // Ends when the test drops its side.
            let _ = self.1.recv();
            self.0.lock().unwrap().extend_from_slice(b);
            Ok(b.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_slow_reader_costs_events_that_are_counted_and_no_time() {
        let (go, wait) = mpsc::channel();
        let read = Arc::new(Mutex::new(Vec::new()));
        let mut q = Queued::with_capacity(Slow(Arc::clone(&read), wait), 4);
        for i in 0..100u32 {
            q.line(i.to_string().as_bytes()).unwrap();
        }
        let dropped = q.dropped();
        assert!((90..=96).contains(&dropped), "four wait, one is being written: {dropped} dropped");
        assert!(!q.close(Duration::from_millis(20)), "the reader has not taken everything");
        drop(go);
        assert!(q.done.recv_timeout(Duration::from_secs(5)).is_ok() || !read.lock().unwrap().is_empty());
        let lines = String::from_utf8(read.lock().unwrap().clone()).unwrap();
        assert_eq!(lines.lines().count() as u64, 100 - dropped, "what was not dropped has arrived");
    }

    #[test]
    fn a_reader_that_is_gone_is_an_error() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let mut q = Queued::new(Gone);
        let _ = q.line(b"1");
        assert!(!q.close(Duration::from_secs(5)));
        assert!(q.line(b"2").is_err());
    }
}
