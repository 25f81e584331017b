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
