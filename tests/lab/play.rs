//! Sends recorded frames out of an interface, as they are.
#![allow(unsafe_code, reason = "a packet socket: no crate is needed for one call")]

use std::ffi::CString;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use harness::data;

/// Sends every frame of the files, one after the other.
pub fn play(interface: &str, pause: Duration, files: &[&str]) -> Result<ExitCode> {
    let name = CString::new(interface)?;
    // SAFETY: a nul-terminated string; the call only reads it.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    anyhow::ensure!(index != 0, "no interface {interface}");
    // SAFETY: a plain system call; the descriptor is owned from here on.
    let socket = unsafe {
        let fd = libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0);
        anyhow::ensure!(fd >= 0, "no packet socket: {}", std::io::Error::last_os_error());
        OwnedFd::from_raw_fd(fd)
    };
    let mut sent = 0u64;
    for file in files {
        for frame in data::frames(Path::new(file)).with_context(|| (*file).to_owned())? {
            send(&socket, index, &frame)?;
            sent += 1;
            if !pause.is_zero() {
                std::thread::sleep(pause);
            }
        }
    }
    println!("sent {sent}");
    Ok(ExitCode::SUCCESS)
}

fn send(socket: &OwnedFd, index: u32, frame: &[u8]) -> Result<()> {
    // SAFETY: the address is zeroed and filled as packet(7) says; frame and address live during the call.
    let n = unsafe {
        let mut to: libc::sockaddr_ll = std::mem::zeroed();
        to.sll_family = libc::AF_PACKET as u16;
        to.sll_ifindex = index as i32;
        libc::sendto(
            socket.as_raw_fd(),
            frame.as_ptr().cast(),
            frame.len(),
            0,
            (&raw const to).cast(),
            size_of::<libc::sockaddr_ll>() as u32,
        )
    };
    anyhow::ensure!(
        n == frame.len() as isize,
        "cannot send a frame of {} octets: {}",
        frame.len(),
        std::io::Error::last_os_error()
    );
    Ok(())
}
