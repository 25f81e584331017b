//! Syslog: RFC 5424 over UDP (RFC 5426), TCP with octet counting (RFC 6587, 3.4.1) and TLS (RFC 5425).
//!
//! Syslog has no acknowledgement: what the kernel has taken may still be lost with the connection. What was sent shortly
//! before a connection was lost is sent again on the next one, with its ids: twice is better than never.

use std::collections::VecDeque;
use std::fmt::Write;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use super::tls::{is_refusal, server_name};
use super::transport::{Record, Reply, SinkError, Transport};
use crate::config::Carrier;

/// Facility `local0`.
const FACILITY: u8 = 16;
/// Largest message in a datagram: that of IPv4 without its headers, and some room.
const DATAGRAM: usize = 65_000;
/// Datagrams that are sent at once; a burst would be lost in the receiver's buffer.
const BURST: usize = 16;
/// Pause between them.
const PAUSE: Duration = Duration::from_millis(2);
/// What was sent so long ago has arrived, or the connection would be known to be dead.
const TAIL: Duration = Duration::from_secs(15);
/// Octets of it that are kept.
const TAIL_BYTES: usize = 16 << 20;
/// Without an acknowledgement of the other host for so long, the connection is dead.
const SILENCE_MS: u32 = 10_000;
/// How long a receiver may take to refuse our certificate behind the handshake (TLS 1.3 tells it late).
const VETO: Duration = Duration::from_millis(50);

trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for T {}

enum Line {
    Datagrams(UdpSocket),
    Stream(Box<dyn Stream>),
}

/// A syslog receiver.
pub struct Syslog {
    address: String,
    carrier: Carrier,
    tls: Option<(Arc<ClientConfig>, String)>,
    hostname: String,
    process: u32,
    line: Option<Line>,
    /// Sent not long ago.
    tail: VecDeque<(Instant, Record)>,
    tail_bytes: usize,
    /// To be sent again.
    again: Vec<Record>,
}

impl Syslog {
    /// A receiver at `host:port`. `tls` is needed for [`Carrier::Tls`]: the configuration, and the name in its certificate
    /// where it is not the host.
    pub fn new(
        address: String,
        carrier: Carrier,
        tls: Option<(Arc<ClientConfig>, Option<String>)>,
        hostname: String,
    ) -> Syslog {
        let host = address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host).to_owned();
        let tls = tls.map(|(config, name)| (config, name.unwrap_or(host)));
        let hostname = field(&hostname, 255);
        let (tail, again) = (VecDeque::new(), Vec::new());
        Syslog { address, carrier, tls, hostname, process: std::process::id(), line: None, tail, tail_bytes: 0, again }
    }

    /// A record as a syslog message.
    fn message(&self, r: &Record) -> Vec<u8> {
        let at = jiff::Timestamp::from_nanosecond(i128::from(r.at_ns)).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let mut head = String::with_capacity(200);
        // 32473 is the enterprise number that is reserved for documentation (RFC 5612).
        let _ = write!(
            head,
            "<{}>1 {at:.6} {} ot-xdp {} {} [otxdp@32473 sequence=\"{}\" id=\"{}\" severity=\"{}\"] ",
            FACILITY * 8 + level(r.severity),
            self.hostname,
            self.process,
            r.kind,
            r.sequence,
            r.id,
            r.severity,
        );
        let mut message = head.into_bytes();
        message.extend_from_slice(&r.body);
        message
    }

    async fn connected(&mut self) -> Result<(), SinkError> {
        self.line = None;
        let lost = std::mem::take(&mut self.tail);
        self.tail_bytes = 0;
        // A record may be in both when a connection did not last.
        let mut again: Vec<Record> = lost.into_iter().filter(|(at, _)| at.elapsed() < TAIL).map(|(_, r)| r).collect();
        again.append(&mut self.again);
        again.dedup_by_key(|r| r.id);
        self.again = again;
        let unreachable = |e: io::Error| SinkError::Unreachable(format!("syslog {}: {e}", self.address));
        self.line = Some(match self.carrier {
            Carrier::Udp => {
                let to = tokio::net::lookup_host(&self.address).await.map_err(unreachable)?.next();
                let to = to.ok_or_else(|| unreachable(io::ErrorKind::NotFound.into()))?;
                let from = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                let socket = UdpSocket::bind(from).await.map_err(unreachable)?;
                socket.connect(to).await.map_err(unreachable)?;
                Line::Datagrams(socket)
            }
            Carrier::Tcp => Line::Stream(Box::new(self.tcp().await?)),
            Carrier::Tls => Line::Stream(self.tls().await?),
        });
        Ok(())
    }

    async fn tcp(&self) -> Result<TcpStream, SinkError> {
        let stream = TcpStream::connect(&self.address).await;
        let stream = stream.map_err(|e| SinkError::Unreachable(format!("syslog {}: {e}", self.address)))?;
        // Both only make a dead receiver be noticed earlier.
        let _ = stream.set_nodelay(true);
        let _ = rustix::net::sockopt::set_tcp_user_timeout(&stream, SILENCE_MS);
        Ok(stream)
    }

    async fn tls(&self) -> Result<Box<dyn Stream>, SinkError> {
        let Some((config, name)) = &self.tls else {
            return Err(SinkError::Refused(format!("syslog {}: no TLS configuration", self.address)));
        };
        let name = server_name(name).map_err(SinkError::Refused)?;
        let failed = |e: &io::Error| {
            let text = format!("syslog {} (TLS): {e}", self.address);
            if is_refusal(e) { SinkError::Refused(text) } else { SinkError::Unreachable(text) }
        };
        let mut stream =
            TlsConnector::from(Arc::clone(config)).connect(name, self.tcp().await?).await.map_err(|e| failed(&e))?;
        match timeout(VETO, stream.read(&mut [0; 1])).await {
            Ok(Err(e)) => Err(failed(&e)),
            Ok(Ok(0)) => Err(SinkError::Lost(format!("syslog {} (TLS): closed behind the handshake", self.address))),
            _ => Ok(Box::new(stream)),
        }
    }

    async fn write(&mut self, batch: &[Record]) -> io::Result<usize> {
        let Some(mut line) = self.line.take() else { return Err(io::ErrorKind::NotConnected.into()) };
        let again = std::mem::take(&mut self.again);
        let result = self.write_all(&mut line, &again, batch).await;
        if result.is_ok() {
            self.line = Some(line);
            let now = Instant::now();
            for r in again.into_iter().chain(batch.iter().cloned()) {
                self.tail_bytes += r.body.len();
                self.tail.push_back((now, r));
            }
            while self.tail.front().is_some_and(|(at, _)| at.elapsed() >= TAIL || self.tail_bytes > TAIL_BYTES) {
                if let Some((_, r)) = self.tail.pop_front() {
                    self.tail_bytes -= r.body.len();
                }
            }
        } else {
            // The batch is given again by the caller.
            self.again = again;
        }
        result
    }

    async fn write_all(&self, line: &mut Line, again: &[Record], batch: &[Record]) -> io::Result<usize> {
        match line {
            Line::Datagrams(socket) => {
                for (i, r) in again.iter().chain(batch).enumerate() {
                    let mut message = self.message(r);
                    message.truncate(DATAGRAM);
                    socket.send(&message).await?;
                    if i % BURST == BURST - 1 {
                        sleep(PAUSE).await;
                    }
                }
            }
            Line::Stream(stream) => {
                still_open(stream).await?;
                let mut block = Vec::with_capacity(64 << 10);
                for r in again.iter().chain(batch) {
                    let message = self.message(r);
                    block.extend_from_slice(message.len().to_string().as_bytes());
                    block.push(b' ');
                    block.extend_from_slice(&message);
                }
                stream.write_all(&block).await?;
                stream.flush().await?;
            }
        }
        Ok(batch.len())
    }
}

/// A receiver has nothing to say: what can be read is the end of the connection.
async fn still_open(stream: &mut Box<dyn Stream>) -> io::Result<()> {
    let mut octets = [0; 64];
    poll_fn(|cx| {
        let mut buffer = ReadBuf::new(&mut octets);
        Poll::Ready(match Pin::new(&mut *stream).poll_read(cx, &mut buffer) {
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => Err(io::ErrorKind::ConnectionReset.into()),
            Poll::Ready(Err(e)) => Err(e),
            Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
        })
    })
    .await
}

/// Severity of RFC 5424: critical, error, warning, notice, informational.
const fn level(severity: u8) -> u8 {
    match severity {
        99.. => 2,
        73..=98 => 3,
        47..=72 => 4,
        21..=46 => 5,
        _ => 6,
    }
}

/// A header field: visible ASCII without blanks, `-` when nothing is left.
fn field(text: &str, max: usize) -> String {
    let kept: String = text.chars().filter(char::is_ascii_graphic).take(max).collect();
    if kept.is_empty() { "-".to_owned() } else { kept }
}

impl Transport for Syslog {
    fn connect(&mut self) -> Reply<'_, Result<(), SinkError>> {
        Box::pin(self.connected())
    }

    fn send<'a>(&'a mut self, batch: &'a [Record]) -> Reply<'a, Result<usize, SinkError>> {
        Box::pin(async move {
            let sent = self.write(batch).await;
            sent.map_err(|e| {
                let text = format!("syslog {}: {e}", self.address);
                if is_refusal(&e) { SinkError::Refused(text) } else { SinkError::Lost(text) }
            })
        })
    }

    fn close(&mut self) -> Reply<'_, ()> {
        Box::pin(async move {
            if let Some(Line::Stream(mut stream)) = self.line.take() {
                // Close-notify and FIN; then until the receiver has read everything, or a reset would take it away.
                if stream.shutdown().await.is_ok() {
                    let mut octets = [0; 64];
                    while stream.read(&mut octets).await.is_ok_and(|n| n != 0) {}
                }
            }
        })
    }
}

#[cfg(test)]
mod tests;
