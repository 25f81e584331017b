//! Errors of the kernel side.

use std::path::PathBuf;

use super::PROGRAM;

/// Errors of the kernel side, each with what to do.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// Built without the object.
    #[error("this binary was built without the kernel object; build it with `cargo xtask build`")]
    NoObject,
    /// The kernel refused the object.
    #[error("cannot load the kernel program: {0}{hint}", hint = hint(.0))]
    Load(String),
    /// A map or program is missing in the object: object and binary do not belong together.
    #[error(
        "the kernel object has no `{0}`: object and binary are of different versions, rebuild with `cargo xtask build`"
    )]
    Missing(&'static str),
    /// A map could not be read or written.
    #[error("map {map}: {error}")]
    Map {
        /// Name of the map.
        map: &'static str,
        /// What the kernel said.
        error: String,
    },
    /// The interface does not exist.
    #[error("interface `{0}` does not exist in this network namespace; `ip link` lists those that do")]
    NoInterface(String),
    /// The driver cannot run XDP.
    #[error(
        "interface `{interface}` cannot run XDP natively ({error}); allow the slower generic mode with `--attach-mode skb`"
    )]
    NoNative {
        /// Interface.
        interface: String,
        /// What the kernel said.
        error: String,
    },
    /// Another program holds the interface.
    #[error(
        "interface `{interface}` already runs the XDP program `{program}` (id {id}); stop what loaded it, or remove it with \
         {}", if program == PROGRAM { "`ot-xdp detach`" } else { "`ip link set dev IF xdp off`" }
    )]
    Occupied {
        /// Interface.
        interface: String,
        /// Name of the other program.
        program: String,
        /// Its id.
        id: u32,
    },
    /// Something below the directory of pins.
    #[error("{}: {error}", .path.display())]
    Pin {
        /// What could not be pinned, opened or removed.
        path: PathBuf,
        /// What the kernel said.
        error: String,
    },
    /// Pins need a BPF file system.
    #[error(
        "`{}` is on no BPF file system; mount one with `mount -t bpf bpf /sys/fs/bpf`, or name another directory with --pin",
        .0.display()
    )]
    NoBpfFs(PathBuf),
    /// Another loader lives there.
    #[error("another ot-xdp uses `{}`; stop it, or name another directory with --pin", .0.display())]
    PinsInUse(PathBuf),
    /// Two interfaces share a counter slot.
    #[error("interfaces with indices {0} and {1} share a counter slot; give one of them another index")]
    SlotTaken(u32, u32),
    /// Any other refusal to attach.
    #[error("cannot attach to `{interface}`: {error}")]
    Attach {
        /// Interface.
        interface: String,
        /// What the kernel said.
        error: String,
    },
    /// A test run failed.
    #[error("test run of a frame of {len} octets failed: {error}")]
    TestRun {
        /// Length of the frame.
        len: usize,
        /// What the kernel said.
        error: String,
    },
}

fn hint(text: &str) -> &'static str {
    if text.contains("Operation not permitted") || text.contains("EPERM") || text.contains("os error 1)") {
        "\nRun as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON; `ot-xdp doctor` tells which one is missing."
    } else {
        "\n`ot-xdp doctor` tells what this kernel lacks."
    }
}
