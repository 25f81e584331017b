//! Doing something inside a network namespace, in this process: sockets made there stay there.
#![allow(unsafe_code, reason = "setns(2)")]

use std::fs::File;
use std::os::fd::AsRawFd;

/// Runs `f` in the named namespace, on a thread of its own, so that the caller stays where it is.
///
/// # Panics
/// When the namespace cannot be entered, or `f` panics.
pub fn within<T: Send>(namespace: &str, f: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|s| {
        let inside = s.spawn(|| {
            let file = File::open(format!("/run/netns/{namespace}")).expect("the namespace exists");
            // SAFETY: a plain system call on an open descriptor; it changes this thread only.
            let entered = unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) };
            assert_eq!(entered, 0, "cannot enter {namespace}: {}", std::io::Error::last_os_error());
            f()
        });
        inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Commands of `SIOCETHTOOL` (linux/ethtool.h): checksums by the device, and receive offload.
pub const ETHTOOL_STXCSUM: u32 = 0x17;
/// See [`ETHTOOL_STXCSUM`].
pub const ETHTOOL_SGRO: u32 = 0x2C;

/// Sets a feature of an interface in a namespace on or off.
///
/// # Panics
/// When the kernel refuses.
pub fn feature(namespace: &str, interface: &str, command: u32, on: bool) {
    within(namespace, || feature_here(interface, command, on));
}

/// Sets a feature of an interface on or off, as `ethtool -K` does.
///
/// # Panics
/// When the kernel refuses.
pub fn feature_here(interface: &str, command: u32, on: bool) {
    #[repr(C)]
    struct Value {
        command: u32,
        data: u32,
    }
    #[repr(C)]
    struct Request {
        name: [u8; 16],
        value: *mut Value,
        rest: [u64; 2],
    }
    const SIOCETHTOOL: libc::c_ulong = 0x8946;
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").expect("socket");
    let mut value = Value { command, data: u32::from(on) };
    let mut name = [0; 16];
    name[..interface.len()].copy_from_slice(interface.as_bytes());
    let mut request = Request { name, value: &raw mut value, rest: [0; 2] };
    // SAFETY: `ifreq` with a pointer to `ethtool_value`; both live during the call and are as large as the kernel's.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL as _, &raw mut request) };
    assert_eq!(done, 0, "{interface}: {}", std::io::Error::last_os_error());
}

/// Puts IPv4 options into what a connection sends from now on.
///
/// # Panics
/// When the kernel refuses.
pub fn ip_options(connection: &std::net::TcpStream, options: &[u8]) {
    // SAFETY: the octets live during the call, and their number is given.
    let done = unsafe {
        libc::setsockopt(
            connection.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_OPTIONS,
            options.as_ptr().cast(),
            options.len() as libc::socklen_t,
        )
    };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}
