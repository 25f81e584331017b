//! A client as an honest stack would be: one kernel socket, one send a piece.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::netns::within;
use crate::pdu::Framing;

/// Longest time to wait for an answer.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It did not: every answer came.
    Answered,
    /// The other side reset or closed it.
    Reset,
    /// Neither in the time given: the client hangs.
    Hangs,
}

/// A connection to a controller.
pub struct Session {
    stream: TcpStream,
    framing: Framing,
    rest: Vec<u8>,
}

impl Session {
    /// Connects from a namespace.
    ///
    /// # Errors
    /// When nobody accepts.
    pub fn open(namespace: &str, address: SocketAddr, framing: Framing) -> io::Result<Session> {
        let stream = within(namespace, || TcpStream::connect_timeout(&address, PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Session { stream, framing, rest: Vec::new() })
    }

    /// Sends octets by one call.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        self.stream.write_all(octets)
    }

    /// The next PDU from the controller.
    ///
    /// # Errors
    /// `TimedOut` when none comes in this time, `ConnectionReset` when none will.
    pub fn answer(&mut self, wait: Duration) -> io::Result<Vec<u8>> {
        let end = Instant::now() + wait;
        let mut buffer = [0; 4096];
        loop {
            if let Some(pdu) = self.framing.take(&mut self.rest) {
                return Ok(pdu);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            self.stream.set_read_timeout(Some(left))?;
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(ErrorKind::ConnectionReset.into()),
                Ok(n) => self.rest.extend_from_slice(&buffer[..n]),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// As [`Session::answer`].
    pub fn ask(&mut self, request: &[u8]) -> io::Result<Vec<u8>> {
        self.send(request)?;
        self.answer(PATIENCE)
    }

    /// Waits for so many answers, or for the end.
    pub fn ending(&mut self, answers: usize, wait: Duration) -> Ending {
        let end = Instant::now() + wait;
        for _ in 0..answers {
            match self.answer(end.saturating_duration_since(Instant::now())) {
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::TimedOut => return Ending::Hangs,
                Err(_) => return Ending::Reset,
            }
        }
        Ending::Answered
    }
}
