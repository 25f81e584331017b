//! Program, counters and streams that outlive the loader, under a directory of a BPF file system.
//!
//! | path below the directory | what |
//! |---|---|
//! | `state-ABI/MAP` | maps that the next loader goes on with; `ABI` names their layout, so that a loader of another layout makes its own |
//! | `link-IFINDEX` | a program on an interface; the next loader puts its own program into it, without a frame between |
//! | `programs-PID` | the program array: the kernel empties one that nobody holds |
//!
//! Policy, mode and heartbeat are not among the shared maps. A loader fills its own and arms them before it takes the links
//! over, so that each frame is judged by the old policy or by the new one.

use std::fs::{self, File, TryLockError};
use std::hash::Hasher;
use std::path::{Path, PathBuf};

use aya::maps::{MapInfo, ProgramArray};
use aya::programs::links::{FdLink, PinnedLink};
use ot_xdp_common::limits::{PORTS, RING_BYTES};
use ot_xdp_common::policy::{CONDUIT_SIZE, GATE_COUNT_SIZE};
use ot_xdp_common::service::SERVICES;
use ot_xdp_common::stream::{STREAM_SIZE, STREAMS, WINDOW_SIZE, WINDOWS};
use ot_xdp_common::wire::{ABI, FLOW_KEY_SIZE, FLOW_VALUE_SIZE, OVERFLOW_SLOTS, OVERFLOW_VALUE_SIZE, PORT_VALUE_SIZE};

use super::{KernelError, Options, chain};

/// Where pins are unless the operator names another place.
pub const DIRECTORY: &str = "/sys/fs/bpf/ot-xdp";

/// `BPF_FS_MAGIC` (linux/magic.h).
const BPF_FS: i64 = 0xCAFE_4A11;

/// A map that the next loader goes on with: name, octets of a key and of a value, entries.
type Shared = (&'static str, usize, usize, u32);

fn shared(options: &Options) -> [Shared; 9] {
    let conduits = if options.gate { STREAMS } else { 1 };
    [
        ("FLOWS", FLOW_KEY_SIZE, FLOW_VALUE_SIZE, options.flows),
        ("PORTS", 4, PORT_VALUE_SIZE, PORTS),
        ("OVERFLOW", 4, OVERFLOW_VALUE_SIZE, OVERFLOW_SLOTS),
        ("FIRST_SEEN", 0, 0, RING_BYTES),
        ("STREAMS", 4, STREAM_SIZE, STREAMS),
        ("WINDOWS", 4, WINDOW_SIZE, WINDOWS),
        ("SERVICES", 4, 8, SERVICES),
        ("CONDUITS", 4, CONDUIT_SIZE, conduits),
        ("GATE_COUNTS", 4, GATE_COUNT_SIZE, PORTS),
    ]
}

/// The pins of one loader; no other one uses the directory while this value lives.
#[derive(Debug)]
pub struct Pins {
    directory: PathBuf,
    state: PathBuf,
    maps: Vec<(Shared, PathBuf)>,
    adopted: bool,
    _lock: File,
}

impl Pins {
    /// Takes possession of a directory, which is made when it is not there.
    ///
    /// # Errors
    /// No BPF file system, a directory that another loader uses, missing privilege.
    pub fn open(directory: &Path, options: &Options) -> Result<Pins, KernelError> {
        let error = |e: &dyn std::error::Error| pin_error(directory, e);
        let shared = shared(options);
        let state = directory.join(format!("state-{:016x}", layout(&shared)));
        make(directory)?;
        let lock = File::open(directory).map_err(|e| error(&e))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(KernelError::PinsInUse(directory.to_owned())),
            Err(TryLockError::Error(e)) => return Err(error(&e)),
        }
        let adopted = state.is_dir();
        fs::create_dir_all(&state).map_err(|e| error(&e))?;
        let maps = shared.into_iter().map(|map| (map, state.join(map.0))).collect();
        Ok(Pins { directory: directory.to_owned(), state, maps, adopted, _lock: lock })
    }

    /// Are there counters of a loader before this one?
    pub fn adopted(&self) -> bool {
        self.adopted
    }

    /// Paths of the shared maps, by name.
    pub fn maps(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        self.maps.iter().map(|((name, ..), path)| (*name, path.as_path()))
    }

    /// Are the maps that were loaded what they are to be? The library takes whatever lies at the path.
    ///
    /// # Errors
    /// [`KernelError::Pin`] when something else lies there.
    pub fn verify(&self) -> Result<(), KernelError> {
        for ((_, key, value, entries), path) in &self.maps {
            let info = MapInfo::from_pin(path).map_err(|e| pin_error(path, &e))?;
            let found = (info.key_size() as usize, info.value_size() as usize, info.max_entries());
            if found != (*key, *value, *entries) {
                let error = "another map than this program's; `ot-xdp detach` removes it".to_owned();
                return Err(KernelError::Pin { path: path.clone(), error });
            }
        }
        Ok(())
    }

    /// Keeps the program array alive for the programs on the interfaces.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn keep(&self, programs: ProgramArray<aya::maps::MapData>) -> Result<(), KernelError> {
        let path = self.programs();
        // Of a process with the same number that has died.
        let _ = fs::remove_file(&path);
        programs.pin(&path).map_err(|e| pin_error(&path, &e))
    }

    /// The link that a loader before this one left on an interface where this program runs; one that is not on it any
    /// more is removed.
    pub fn link(&self, ifindex: u32, program: Option<u32>) -> Option<FdLink> {
        let path = self.link_path(ifindex);
        let link = PinnedLink::from_pin(&path).ok()?;
        let link = FdLink::from(link);
        if program.is_some() && link.info().ok().map(|i| i.program_id()) == program {
            return Some(link);
        }
        let _ = fs::remove_file(path);
        None
    }

    /// Lets a link outlive this process.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn pin(&self, ifindex: u32, link: FdLink) -> Result<FdLink, KernelError> {
        let path = self.link_path(ifindex);
        link.pin(&path).map(FdLink::from).map_err(|e| pin_error(&path, &e))
    }

    /// Takes the pin of a link away; the program leaves the interface with its last descriptor.
    pub fn unpin(&self, ifindex: u32) {
        // Not there: nothing to do.
        let _ = fs::remove_file(self.link_path(ifindex));
    }

    /// Removes what loaders before this one left and this one has no use for: links of other interfaces, program arrays,
    /// maps of other layouts.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn clean(&self, attached: &[u32]) -> Result<(), KernelError> {
        let mine: Vec<PathBuf> = attached.iter().map(|i| self.link_path(*i)).collect();
        let programs = self.programs();
        for entry in fs::read_dir(&self.directory).map_err(|e| pin_error(&self.directory, &e))?.flatten() {
            let path = entry.path();
            if path != self.state && path != programs && !mine.contains(&path) {
                remove(&path)?;
            }
        }
        Ok(())
    }

    fn link_path(&self, ifindex: u32) -> PathBuf {
        // By index: a name may hold dots, which this file system does not allow.
        self.directory.join(format!("link-{ifindex}"))
    }

    fn programs(&self) -> PathBuf {
        self.directory.join(format!("programs-{}", std::process::id()))
    }
}

/// Removes everything below a directory of pins, and the directory. Nothing to remove is fine.
///
/// # Errors
/// What stays; the rest is gone nevertheless.
pub fn remove_all(directory: &Path) -> Result<(), KernelError> {
    if !directory.is_dir() || !is_bpf(directory)? {
        return Ok(());
    }
    remove(directory)
}

/// Removes a pin or a directory of pins, as far as it goes.
fn remove(path: &Path) -> Result<(), KernelError> {
    let done = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    done.map_err(|e| pin_error(path, &e))
}

fn make(directory: &Path) -> Result<(), KernelError> {
    // Looked at before anything is made: directories would be made on any file system.
    let exists = directory.ancestors().find(|d| d.is_dir()).unwrap_or(Path::new("/"));
    if !is_bpf(exists)? {
        return Err(KernelError::NoBpfFs(directory.to_owned()));
    }
    fs::create_dir_all(directory).map_err(|e| pin_error(directory, &e))
}

fn is_bpf(directory: &Path) -> Result<bool, KernelError> {
    let found = rustix::fs::statfs(directory).map_err(|e| pin_error(directory, &e))?;
    Ok(found.f_type as i64 & 0xFFFF_FFFF == BPF_FS)
}

/// A number for the layout of the shared maps.
fn layout(shared: &[Shared]) -> u64 {
    // FNV-1a (RFC 9923): the standard library's hashes may change from one release to the next.
    struct Fnv(u64);
    impl Hasher for Fnv {
        fn finish(&self) -> u64 {
            self.0
        }
        fn write(&mut self, bytes: &[u8]) {
            for b in bytes {
                self.0 = (self.0 ^ u64::from(*b)).wrapping_mul(0x0100_0000_01B3);
            }
        }
    }
    let mut hash = Fnv(0xCBF2_9CE4_8422_2325);
    hash.write(&ABI.to_le_bytes());
    for (name, key, value, entries) in shared {
        hash.write(name.as_bytes());
        hash.write(&[*key as u64, *value as u64, u64::from(*entries)].map(u64::to_le_bytes).concat());
    }
    hash.finish()
}

fn pin_error(path: &Path, e: &dyn std::error::Error) -> KernelError {
    KernelError::Pin { path: path.to_owned(), error: chain(e) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::BindingTable;

    #[test]
    fn another_layout_has_another_name() {
        let options = |flows, gate| Options { flows, replay: false, bindings: BindingTable::default(), gate };
        let name = |o: &Options| layout(&shared(o));
        assert_eq!(name(&options(10, true)), name(&options(10, true)));
        assert_ne!(name(&options(10, true)), name(&options(11, true)));
        assert_ne!(name(&options(10, true)), name(&options(10, false)));
    }

    #[test]
    fn pins_need_their_file_system() {
        let dir = std::env::temp_dir().join("ot-xdp-no-bpf");
        let options = Options { flows: 1, replay: false, bindings: BindingTable::default(), gate: false };
        assert!(matches!(Pins::open(&dir, &options), Err(KernelError::NoBpfFs(_))));
        assert!(!dir.exists(), "nothing is made there");
    }
}
