//! Where events go. One sink here: JSON lines on standard output.

use std::io::Write;

use serde_json::Value;

/// JSON lines to a writer; counts what the writer refuses.
pub struct Lines<W: Write> {
    out: W,
    written: u64,
}

impl<W: Write> Lines<W> {
    /// A sink that writes to `out`, which should be buffered.
    pub fn new(out: W) -> Lines<W> {
        Lines { out, written: 0 }
    }

    /// Writes one event as one line.
    ///
    /// # Errors
    /// When the reader is gone or the disk is full.
    pub fn write(&mut self, event: &Value) -> std::io::Result<()> {
        serde_json::to_writer(&mut self.out, event).map_err(std::io::Error::from)?;
        self.out.write_all(b"\n")?;
        self.written += 1;
        Ok(())
    }

    /// Hands everything on.
    ///
    /// # Errors
    /// As for [`Lines::write`].
    pub fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }

    /// Events written so far.
    pub fn written(&self) -> u64 {
        self.written
    }
}
