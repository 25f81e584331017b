//! The two clocks: monotonic, which the kernel program stamps with, and wall time, which people read.
#![allow(unsafe_code, reason = "clock_gettime")]

use std::io;

/// Nanoseconds of `CLOCK_MONOTONIC`, the clock of the kernel program's stamps.
pub fn monotonic_ns() -> u64 {
    read(libc::CLOCK_MONOTONIC)
}

/// Nanoseconds since the Unix epoch.
pub fn realtime_ns() -> u64 {
    read(libc::CLOCK_REALTIME)
}

fn read(clock: libc::clockid_t) -> u64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `t` is a valid timespec that the call fills; both clocks exist on every Linux.
    unsafe { libc::clock_gettime(clock, &raw mut t) };
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

/// Pins the calling thread to the CPU it runs on, so that one per-CPU slot holds what a test run left.
pub fn pin_to_this_cpu() -> io::Result<usize> {
    // SAFETY: a call without arguments; a zeroed set is an empty set; the set lives during the call.
    unsafe {
        let cpu = libc::sched_getcpu();
        if cpu < 0 {
            return Err(io::Error::last_os_error());
        }
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu as usize, &mut set);
        if libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(cpu as usize)
    }
}
