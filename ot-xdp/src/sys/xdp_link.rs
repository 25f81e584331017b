//! Taking XDP programs off interfaces by their kernel links, without the process that attached them.
#![allow(unsafe_code, reason = "the bpf() system call has no safe wrapper for detaching a link by its id")]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Commands of `enum bpf_cmd` (linux/bpf.h).
const OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const LINK_GET_FD_BY_ID: libc::c_int = 30;
const LINK_GET_NEXT_ID: libc::c_int = 31;
/// Since 5.9.
const LINK_DETACH: libc::c_int = 34;
/// `BPF_LINK_TYPE_XDP`.
const TYPE_XDP: u32 = 6;

/// Octets of `union bpf_attr` that are passed: more than any member here has.
const ATTR: usize = 64;

/// An XDP program on an interface.
#[derive(Debug)]
pub struct XdpLink {
    /// Id of the program.
    pub program: u32,
    /// Index of the interface in its own network namespace.
    pub ifindex: u32,
    fd: OwnedFd,
}

impl XdpLink {
    /// Takes the program off the interface; frames then go on as if it had never been there.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn detach(&self) -> io::Result<()> {
        call(LINK_DETACH, &mut words(&[self.fd.as_raw_fd() as u32])).map(|_| ())
    }
}

/// Every XDP link of this host, of all network namespaces.
///
/// # Errors
/// What the kernel answers: `EPERM` without privileges.
pub fn all() -> io::Result<Vec<XdpLink>> {
    let mut links = Vec::new();
    let mut id = 0;
    loop {
        let mut attr = words(&[id]);
        match call(LINK_GET_NEXT_ID, &mut attr) {
            Ok(_) => id = attr[1],
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => return Ok(links),
            Err(e) => return Err(e),
        }
        // A link that has gone in the meantime is no error.
        let Ok(fd) = call(LINK_GET_FD_BY_ID, &mut words(&[id])) else { continue };
        // SAFETY: the kernel has just made this descriptor for us.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let mut info = [0u32; 16];
        let pointer = info.as_mut_ptr() as u64;
        let mut attr =
            words(&[fd.as_raw_fd() as u32, size_of_val(&info) as u32, pointer as u32, (pointer >> 32) as u32]);
        if call(OBJ_GET_INFO_BY_FD, &mut attr).is_ok() && info[0] == TYPE_XDP {
            links.push(XdpLink { program: info[2], ifindex: info[4], fd });
        }
    }
}

fn words(values: &[u32]) -> [u32; ATTR / 4] {
    let mut attr = [0; ATTR / 4];
    attr.iter_mut().zip(values).for_each(|(word, value)| *word = *value);
    attr
}

fn call(command: libc::c_int, attr: &mut [u32; ATTR / 4]) -> io::Result<libc::c_int> {
    // SAFETY: the attribute lives during the call and is as long as is said; the only pointer in it is to a buffer of the
    // caller that lives as well.
    let r = unsafe { libc::syscall(libc::SYS_bpf, command, attr.as_mut_ptr(), ATTR as libc::c_uint) };
    if r < 0 { Err(io::Error::last_os_error()) } else { Ok(r as libc::c_int) }
}
