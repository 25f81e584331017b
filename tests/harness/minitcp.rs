//! A TCP client in user space: a real server answers it, and it sends what no honest stack would.

use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::packet::{Ends, PacketSocket, flag};

/// How a segment is put on the wire.
pub type Carrier = fn(&Ends, &[u8]) -> Vec<u8>;

/// One connection. Its address must be one that the host's own stack does not have, or that stack resets it.
pub struct MiniTcp {
    /// Both ends, this one first.
    pub ends: Ends,
    /// Sequence number of the first octet of the stream.
    pub first: u32,
    /// What is acknowledged: the server's first octet.
    pub ack: u32,
    socket: PacketSocket,
    carrier: Carrier,
}

impl MiniTcp {
    /// Opens a connection on an interface of the calling thread's namespace.
    ///
    /// # Errors
    /// When nobody answers within three seconds.
    pub fn open(interface: &str, ends: Ends, carrier: Carrier) -> io::Result<MiniTcp> {
        let socket = PacketSocket::open(interface, true)?;
        let start = 0x1000_0000;
        let mut c = MiniTcp { ends, first: start + 1, ack: 0, socket, carrier };
        let end = Instant::now() + Duration::from_secs(3);
        c.put(start, 0, flag::SYN, &[])?;
        while Instant::now() < end {
            let Some(frame) = c.socket.receive(Duration::from_millis(200)) else {
                c.put(start, 0, flag::SYN, &[])?;
                continue;
            };
            if let Some(answer) = c.answer(&frame).filter(|a| a.flags == flag::SYN | flag::ACK && a.ack == start + 1) {
                c.ack = answer.seq + 1;
                c.put(c.first, c.ack, flag::ACK, &[])?;
                return Ok(c);
            }
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "no SYN-ACK"))
    }

    /// Octets at an offset of the stream.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn send(&self, offset: usize, octets: &[u8]) -> io::Result<()> {
        self.put(self.first + offset as u32, self.ack, flag::PSH_ACK, octets)
    }

    /// The segment of octets at an offset, to be changed and sent by [`MiniTcp::segment`].
    pub fn made(&self, offset: usize, ack: u32, octets: &[u8]) -> Vec<u8> {
        self.ends.tcp(self.first + offset as u32, ack, flag::PSH_ACK, octets)
    }

    /// Sends a segment.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn segment(&self, segment: &[u8]) -> io::Result<()> {
        self.socket.send(&(self.carrier)(&self.ends, segment))
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn raw(&self, frame: &[u8]) -> io::Result<()> {
        self.socket.send(frame)
    }

    fn put(&self, seq: u32, ack: u32, flags: u8, octets: &[u8]) -> io::Result<()> {
        self.segment(&self.ends.tcp(seq, ack, flags, octets))
    }

    /// What the server says in a frame: headers of this connection without options of IP.
    fn answer(&self, frame: &[u8]) -> Option<Answer> {
        let at = match self.ends.ip[0] {
            IpAddr::V4(_) if frame.get(12..14)? == [0x08, 0x00] => 34,
            IpAddr::V6(_) if frame.get(12..14)? == [0x86, 0xDD] => 54,
            _ => return None,
        };
        let tcp = frame.get(at..at + 20)?;
        let ports = [u16::from_be_bytes([tcp[2], tcp[3]]), u16::from_be_bytes([tcp[0], tcp[1]])];
        let word = |at: usize| u32::from_be_bytes([tcp[at], tcp[at + 1], tcp[at + 2], tcp[at + 3]]);
        (ports == self.ends.port).then(|| Answer { seq: word(4), ack: word(8), flags: tcp[13] & 0x17 })
    }
}

impl Drop for MiniTcp {
    /// The server forgets the connection: nobody would acknowledge what it still sends.
    fn drop(&mut self) {
        for offset in [0, 12] {
            let _ = self.put(self.first + offset, self.ack, flag::RST | flag::ACK, &[]);
        }
    }
}

struct Answer {
    seq: u32,
    ack: u32,
    flags: u8,
}
