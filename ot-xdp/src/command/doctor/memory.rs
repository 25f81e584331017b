//! Kernel memory that the maps take, from their sizes and the number of CPUs.

use std::fs;

use ot_xdp_common::classify::BINDING_WORDS;
use ot_xdp_common::limits::{PORTS, PROBES, RING_BYTES};
use ot_xdp_common::service::SERVICES;
use ot_xdp_common::stream::{STREAMS, Stream, WINDOWS, Window};
use ot_xdp_common::wire::{
    FLOW_KEY_SIZE, FLOW_VALUE_SIZE, OVERFLOW_SLOTS, OVERFLOW_VALUE_SIZE, PORT_VALUE_SIZE, PROBE_KEY_SIZE,
    PROBE_VALUE_SIZE, SCRATCH_SIZE,
};

/// Octets of the kernel's own fields in front of a hash key (`struct htab_elem`, kernel/bpf/hashtab.c, 64 bits).
const ELEMENT: u64 = 48;
/// Octets of a pointer: each element of a per-CPU hash points to its values.
const POINTER: u64 = 8;
/// Octets of a bucket (`struct bucket`); there is one for each key, rounded up to a power of two.
const BUCKET: u64 = 16;

/// Octets that all maps take for this many flow keys on this many possible CPUs. Everything is taken at start, so a
/// sensor that has started does not run out of map memory.
pub fn map_memory(flows: u32, cpus: u32) -> u64 {
    let (flows, cpus) = (u64::from(flows), u64::from(cpus));
    let round = |n: usize| (n as u64).next_multiple_of(8);
    let element = ELEMENT + round(FLOW_KEY_SIZE) + POINTER + round(FLOW_VALUE_SIZE) * cpus;
    let flow_map = flows * element + flows.next_power_of_two() * BUCKET;
    let per_cpu = u64::from(OVERFLOW_SLOTS) * round(OVERFLOW_VALUE_SIZE)
        + u64::from(PORTS) * round(PORT_VALUE_SIZE)
        + round(SCRATCH_SIZE);
    let probes = u64::from(PROBES);
    let probe_map = probes * (ELEMENT + round(PROBE_KEY_SIZE) + round(PROBE_VALUE_SIZE)) + probes * BUCKET;
    let connections = u64::from(STREAMS) * round(size_of::<Stream>())
        + u64::from(WINDOWS) * round(size_of::<Window>())
        + u64::from(SERVICES) * 8;
    let shared = u64::from(RING_BYTES) + u64::from(BINDING_WORDS) * 8 + probe_map + connections;
    flow_map + per_cpu * cpus + shared
}

/// Octets as a readable number of MiB.
pub(crate) fn mebibytes(octets: u64) -> String {
    format!("{} MiB", octets.div_ceil(1 << 20))
}

/// CPUs that the kernel reserves per-CPU memory for, also those that are not plugged in.
pub(crate) fn possible_cpus() -> u32 {
    fs::read_to_string("/sys/devices/system/cpu/possible").ok().and_then(|t| cpu_list(&t)).unwrap_or(1)
}

/// Number of CPUs in a list such as `0-3,8`.
fn cpu_list(text: &str) -> Option<u32> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        (last >= first).then(|| last - first + 1)
    };
    text.trim().split(',').map(range).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_are_counted() {
        assert_eq!(cpu_list("0\n"), Some(1));
        assert_eq!(cpu_list("0-3,8-9,64\n"), Some(7));
        assert_eq!(cpu_list(""), None);
        assert_eq!(cpu_list("3-0"), None);
    }

    #[test]
    fn memory_grows_with_keys_and_cpus() {
        // 65,536 keys: 48 + 56 + 8 octets and 80 a CPU each, 16 a bucket.
        let flow_map = 65_536 * (112 + 80 * 2 + 16);
        let rest = map_memory(65_536, 2) - flow_map;
        assert!(rest < 64 << 20, "{rest}");
        println!("{rest} octets beside the flow map");
        assert!(map_memory(65_536, 64) > 4 * map_memory(65_536, 2));
        assert!(map_memory(4_000_000, 256) > 1 << 36);
    }

    #[test]
    fn mebibytes_are_rounded_up() {
        assert_eq!(mebibytes(1), "1 MiB");
        assert_eq!(mebibytes(3 << 20), "3 MiB");
    }
}
