//! The narrow waist between the event stream and the clients of receivers.

use std::future::Future;
use std::pin::Pin;

use thiserror::Error;

/// One rendered event on its way out.
#[derive(Clone, Debug)]
pub struct Record {
    /// `event.sequence`: without a gap per boot of the sensor.
    pub sequence: u64,
    /// `event.id`, for receivers that take an event once.
    pub id: uuid::Uuid,
    /// Wall-clock time of the event, in nanoseconds since 1970.
    pub at_ns: i64,
    /// `event.severity`, 1 to 100.
    pub severity: u8,
    /// `event.action`.
    pub kind: &'static str,
    /// The event in the sink's format, without a newline.
    pub body: bytes::Bytes,
}

/// Why a receiver did not take a batch. The text says what to do.
#[derive(Debug, Error)]
pub enum SinkError {
    /// Nobody answers at the address.
    #[error("{0}: nobody answers; check the address, and that the receiver runs. Tried again until it does")]
    Unreachable(String),
    /// The receiver does not want us, which does not get better by itself: credentials, certificate, configuration.
    #[error("{0}: refused; check credentials, certificates and the receiver's settings")]
    Refused(String),
    /// The connection was there and ended.
    #[error("{0}: connection lost; it is made again, and what was not acknowledged is sent again")]
    Lost(String),
}

/// What a [`Transport`] answers in its own time. Boxed, so that sinks of all kinds live in one list.
pub type Reply<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A receiver's client. One instance per sink, in a task of its own.
pub trait Transport: Send {
    /// Connects; called before the first `send` and after each error.
    ///
    /// # Errors
    /// When there is no connection that can carry events.
    fn connect(&mut self) -> Reply<'_, Result<(), SinkError>>;
    /// Sends a batch in order; returns how many from its front the receiver has acknowledged (or, without
    /// acknowledgements, the kernel has taken).
    ///
    /// # Errors
    /// When nothing of the batch is known to have arrived and the connection is of no more use.
    fn send<'a>(&'a mut self, batch: &'a [Record]) -> Reply<'a, Result<usize, SinkError>>;
    /// Orderly end (close-notify, flush), bounded by the caller.
    fn close(&mut self) -> Reply<'_, ()>;
}
