//! Frames as octets: a packet socket on one interface, and headers with right checksums.
#![allow(unsafe_code, reason = "a packet socket: no crate is needed for four calls")]

use std::ffi::CString;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// `ETH_P_ALL` in network order.
const EVERYTHING: u16 = (libc::ETH_P_ALL as u16).to_be();

/// A packet socket bound to one interface: sends frames as they are, hears all that come in.
pub struct PacketSocket {
    socket: OwnedFd,
    index: i32,
}

impl PacketSocket {
    /// Opens it in the namespace of the calling thread. One that only sends is not given what comes in.
    ///
    /// # Errors
    /// Without root, or when there is no such interface.
    pub fn open(interface: &str, hears: bool) -> io::Result<PacketSocket> {
        let name = CString::new(interface)?;
        // SAFETY: a nul-terminated string; the call only reads it.
        let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
        if index == 0 {
            return Err(io::Error::last_os_error());
        }
        let protocol = if hears { EVERYTHING } else { 0 };
        // SAFETY: a plain system call; the descriptor is owned from here on.
        let socket = unsafe {
            let fd = libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, i32::from(protocol));
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(fd)
        };
        let socket = PacketSocket { socket, index: index as i32 };
        let to = socket.address(protocol);
        // SAFETY: the address lives during the call, and its size is given.
        let bound = unsafe {
            libc::bind(socket.socket.as_raw_fd(), (&raw const to).cast(), size_of::<libc::sockaddr_ll>() as u32)
        };
        if bound != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(socket)
    }

    fn address(&self, protocol: u16) -> libc::sockaddr_ll {
        // SAFETY: all zeroes is a valid address.
        let mut to: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        to.sll_family = libc::AF_PACKET as u16;
        to.sll_protocol = protocol;
        to.sll_ifindex = self.index;
        to
    }

    /// Sends one frame.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        let to = self.address(0);
        loop {
            // SAFETY: frame and address live during the call, and their sizes are given.
            let n = unsafe {
                libc::sendto(
                    self.socket.as_raw_fd(),
                    frame.as_ptr().cast(),
                    frame.len(),
                    0,
                    (&raw const to).cast(),
                    size_of::<libc::sockaddr_ll>() as u32,
                )
            };
            match n {
                n if n == frame.len() as isize => return Ok(()),
                // The interface's queue is full for a moment.
                _ if io::Error::last_os_error().raw_os_error() == Some(libc::ENOBUFS) => std::thread::yield_now(),
                _ => return Err(io::Error::last_os_error()),
            }
        }
    }

    /// The next frame that comes in; none when nothing comes for this long.
    pub fn receive(&self, wait: Duration) -> Option<Vec<u8>> {
        let mut poll = libc::pollfd { fd: self.socket.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let mut buffer = vec![0u8; 65_536];
        // SAFETY: one element, as given; the buffer and the address live during the call, and their sizes are given.
        let (n, kind) = unsafe {
            if libc::poll(&raw mut poll, 1, wait.as_millis() as i32) < 1 {
                return None;
            }
            let mut from: libc::sockaddr_ll = std::mem::zeroed();
            let mut size = size_of::<libc::sockaddr_ll>() as u32;
            let n = libc::recvfrom(
                self.socket.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                0,
                (&raw mut from).cast(),
                &raw mut size,
            );
            (n, from.sll_pkttype)
        };
        if n <= 0 {
            return None;
        }
        // What this host sends itself is heard as well: an empty frame instead, which nobody looks for.
        if kind == libc::PACKET_OUTGOING {
            return Some(Vec::new());
        }
        buffer.truncate(n as usize);
        Some(buffer)
    }
}

/// Both ends of a frame.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    /// Ethernet addresses, sender first.
    pub mac: [[u8; 6]; 2],
    /// IP addresses, of one family.
    pub ip: [IpAddr; 2],
    /// Ports.
    pub port: [u16; 2],
}

/// TCP flags.
pub mod flag {
    /// Opens.
    pub const SYN: u8 = 0x02;
    /// Ends at once.
    pub const RST: u8 = 0x04;
    /// With payload.
    pub const PSH_ACK: u8 = 0x18;
    /// Nothing but an acknowledgement.
    pub const ACK: u8 = 0x10;
}

/// The ones' complement sum of the internet.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u32;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
        }
    }
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    !(sum as u16)
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(a) => a.octets().to_vec(),
        IpAddr::V6(a) => a.octets().to_vec(),
    }
}

impl Ends {
    /// A TCP segment with its checksum.
    pub fn tcp(&self, seq: u32, ack: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut s = Vec::new();
        self.port.iter().for_each(|p| s.extend(p.to_be_bytes()));
        s.extend(seq.to_be_bytes());
        s.extend(ack.to_be_bytes());
        s.extend([0x50, flags, 0xFF, 0xFF, 0, 0, 0, 0]);
        s.extend(payload);
        let pseudo = [&octets(self.ip[0])[..], &octets(self.ip[1]), &[0, 6], &(s.len() as u16).to_be_bytes()].concat();
        let sum = checksum(&[&pseudo, &s]);
        s[16..18].copy_from_slice(&sum.to_be_bytes());
        s
    }

    /// The Ethernet frame of a TCP segment.
    pub fn frame(&self, segment: &[u8]) -> Vec<u8> {
        match self.ip[0] {
            IpAddr::V4(_) => self.ethernet(&[0x08, 0x00], &self.ipv4(1, 0x4000, segment)),
            IpAddr::V6(_) => self.ethernet(&[0x86, 0xDD], &self.ipv6(6, segment)),
        }
    }

    /// A frame with these octets between the addresses and the packet: the Ethernet type, and tags before it.
    pub fn ethernet(&self, types: &[u8], packet: &[u8]) -> Vec<u8> {
        let mut frame = [&self.mac[1][..], &self.mac[0], types, packet].concat();
        frame.resize(frame.len().max(60), 0);
        frame
    }

    /// An IPv4 packet of TCP; `fragment` is the word of flags and offset.
    pub fn ipv4(&self, id: u16, fragment: u16, payload: &[u8]) -> Vec<u8> {
        let mut p = vec![0x45, 0];
        p.extend((20 + payload.len() as u16).to_be_bytes());
        p.extend(id.to_be_bytes());
        p.extend(fragment.to_be_bytes());
        p.extend([64, 6, 0, 0]);
        self.ip.iter().for_each(|a| p.extend(octets(*a)));
        let sum = checksum(&[&p]);
        p[10..12].copy_from_slice(&sum.to_be_bytes());
        p.extend(payload);
        p
    }

    /// An IPv6 packet; `next` is the first header of the payload.
    pub fn ipv6(&self, next: u8, payload: &[u8]) -> Vec<u8> {
        let mut p = vec![0x60, 0, 0, 0];
        p.extend((payload.len() as u16).to_be_bytes());
        p.extend([next, 64]);
        self.ip.iter().for_each(|a| p.extend(octets(*a)));
        p.extend(payload);
        p
    }

    /// Fragments of a segment: pieces (offset in octets, octets), all but the last one marked as followed by more.
    pub fn fragments(&self, id: u16, pieces: &[(usize, Vec<u8>)]) -> Vec<Vec<u8>> {
        let last = pieces.len().saturating_sub(1);
        let one = |(i, (at, octets)): (usize, &(usize, Vec<u8>))| {
            let more = if i < last { 0x2000 } else { 0 };
            self.ethernet(&[0x08, 0x00], &self.ipv4(id, more | (at / 8) as u16, octets))
        };
        pieces.iter().enumerate().map(one).collect()
    }
}
