//! The checks of the host: kernel, privileges, the kernel program, clock, memory.

use std::fs;
use std::time::Instant;

use ot_xdp_common::limits::FLOWS;

use super::memory::{map_memory, mebibytes, possible_cpus};
use super::{Finding, plural};
use crate::bindings::BindingTable;
use crate::config::FLOWS_RANGE;
use crate::object;
use crate::source::kernel::{Kernel, Options};

/// First kernel with XDP programs for frames of several buffers (`BPF_F_XDP_HAS_FRAGS`) and the helper below.
const MINIMUM: (u32, u32) = (5, 18);
/// Helper that came with them; distributions that bring them to an older kernel bring it as well.
const MULTI_BUFFER_HELPER: &str = "bpf_xdp_get_buff_len";

/// Capability bits (linux/capability.h).
const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// Why this kernel cannot run the program and what to do, or `None` when it can.
pub fn unsupported_kernel() -> Option<String> {
    let (reason, advice) = unsupported(&read("/proc/sys/kernel/osrelease")?, has_multi_buffer)?;
    Some(format!("{reason}; {advice}"))
}

fn has_multi_buffer() -> bool {
    let symbols = read("/proc/kallsyms").unwrap_or_default();
    symbols.lines().any(|l| l.split_whitespace().nth(2) == Some(MULTI_BUFFER_HELPER))
}

/// Major and minor number of a release such as `6.1.0-18-amd64`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.trim().split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn unsupported(release: &str, has_multi_buffer: impl FnOnce() -> bool) -> Option<(String, &'static str)> {
    if version(release)? >= MINIMUM || has_multi_buffer() {
        return None;
    }
    let reason = format!(
        "Linux {} has no XDP for frames of several buffers, which jumbo frames need; it came with Linux 5.18",
        release.trim()
    );
    Some((reason, "install a later kernel, for example that of Debian 12, Ubuntu 24.04 or Ubuntu 22.04 HWE"))
}

/// Every check of the host.
pub(super) fn checks() -> Vec<Finding> {
    let capabilities = read("/proc/self/status").and_then(|s| effective(&s));
    let missing = capabilities.map_or_else(Vec::new, missing);
    vec![
        kernel(&read("/proc/sys/kernel/osrelease").unwrap_or_default()),
        architecture(std::env::consts::ARCH, cfg!(target_endian = "little")),
        btf(fs::metadata("/sys/kernel/btf/vmlinux").is_ok()),
        jit(read("/proc/sys/net/core/bpf_jit_enable").as_deref()),
        unprivileged(read("/proc/sys/kernel/unprivileged_bpf_disabled").as_deref()),
        privileges(capabilities.is_some(), &missing),
        program(&missing),
        bpffs(&read("/proc/self/mounts").unwrap_or_default()),
        clock(read("/sys/devices/system/clocksource/clocksource0/current_clocksource").as_deref()),
        memory(possible_cpus(), read("/proc/meminfo").and_then(|t| available(&t))),
    ]
}

fn kernel(release: &str) -> Finding {
    match (unsupported(release, has_multi_buffer), version(release)) {
        (Some((reason, advice)), _) => Finding::problem("kernel", reason, advice),
        (None, Some(_)) => Finding::ok("kernel", format!("Linux {} has what the program needs", release.trim())),
        (None, None) => Finding::warning(
            "kernel",
            format!("`{}` is no Linux version", release.trim()),
            "make sure that /proc is mounted and that the kernel is 5.18 or later",
        ),
    }
}

fn architecture(name: &str, little_endian: bool) -> Finding {
    match (name, little_endian) {
        ("x86_64", _) => Finding::ok("architecture", "x86_64, on which ot-xdp is tested"),
        (_, true) => Finding::warning(
            "architecture",
            format!("{name}: the kernel program loads on every little-endian machine, but is tested on x86_64 only"),
            "compare `ot-xdp replay --engine kernel` with `--engine user` on a capture of yours first",
        ),
        (_, false) => Finding::problem(
            "architecture",
            format!("{name} is big-endian; the kernel program in this binary is little-endian"),
            "use a little-endian host",
        ),
    }
}

fn btf(present: bool) -> Finding {
    Finding::ok(
        "btf",
        if present {
            "the kernel describes its types in /sys/kernel/btf/vmlinux"
        } else {
            "the kernel does not describe its types (CONFIG_DEBUG_INFO_BTF); ot-xdp does without"
        },
    )
}

fn jit(value: Option<&str>) -> Finding {
    match value.map(str::trim) {
        Some("1") => Finding::ok("jit", "BPF programs are compiled to machine code"),
        Some("0") => Finding::warning(
            "jit",
            "BPF programs are interpreted, which costs several times as much for each frame",
            "sysctl -w net.core.bpf_jit_enable=1",
        ),
        Some("2") => Finding::warning(
            "jit",
            "BPF programs are compiled, and the kernel log receives their machine code (a setting for debugging)",
            "sysctl -w net.core.bpf_jit_enable=1",
        ),
        _ => Finding::ok("jit", "the setting is not readable here (it is to root, outside containers)"),
    }
}

fn unprivileged(value: Option<&str>) -> Finding {
    match value.map(str::trim) {
        Some("0") => Finding::warning(
            "unprivileged",
            "every user of this host may load BPF programs, which ot-xdp does not need",
            "sysctl -w kernel.unprivileged_bpf_disabled=2",
        ),
        Some(_) => Finding::ok("unprivileged", "users without privileges cannot load BPF programs"),
        None => Finding::ok("unprivileged", "this kernel has no setting for BPF programs of users without privileges"),
    }
}

/// Effective capabilities from `/proc/self/status`.
fn effective(status: &str) -> Option<u64> {
    let hex = status.lines().find_map(|l| l.strip_prefix("CapEff:"))?;
    u64::from_str_radix(hex.trim(), 16).ok()
}

/// Names of the needed capabilities that are not there. `CAP_SYS_ADMIN` includes `CAP_BPF` and `CAP_PERFMON`.
fn missing(effective: u64) -> Vec<&'static str> {
    let has = |bit: u32| effective >> bit & 1 == 1;
    let admin = has(CAP_SYS_ADMIN);
    let needed = [
        ("CAP_BPF", admin || has(CAP_BPF)),
        ("CAP_NET_ADMIN", has(CAP_NET_ADMIN)),
        ("CAP_PERFMON", admin || has(CAP_PERFMON)),
    ];
    needed.iter().filter(|(_, has)| !has).map(|(name, _)| *name).collect()
}

fn privileges(known: bool, missing: &[&str]) -> Finding {
    let advice = "run as root, or `setcap cap_bpf,cap_net_admin,cap_perfmon+ep` on the binary, or give a service \
                  `AmbientCapabilities=CAP_BPF CAP_NET_ADMIN CAP_PERFMON`";
    if !known {
        return Finding::warning("capabilities", "/proc/self/status does not tell the capabilities", advice);
    }
    if missing.is_empty() {
        return Finding::ok("capabilities", "CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON are there");
    }
    let verb = if missing.len() == 1 { "is" } else { "are" };
    Finding::problem("capabilities", format!("{} {verb} missing", missing.join(", ")), advice)
}

/// Loads the program with the smallest maps and lets it go.
fn program(missing: &[&str]) -> Finding {
    const NAME: &str = "program";
    if object::OBJECT.is_empty() {
        return Finding::problem(NAME, "this binary has no kernel program in it", "build it with `cargo xtask build`");
    }
    if !missing.is_empty() {
        let message = "the kernel program is in this binary; without the capabilities it was not tried to load it";
        return Finding::warning(NAME, message, "run `ot-xdp doctor` with the privileges of the sensor");
    }
    let options =
        Options { flows: *FLOWS_RANGE.start(), replay: false, bindings: BindingTable::default(), gate: false };
    let started = Instant::now();
    match Kernel::load(&options) {
        Ok(kernel) => {
            let took = started.elapsed().as_millis();
            let programs = kernel.verified_instructions();
            let sum: u64 = programs.iter().map(|(_, n)| u64::from(*n)).sum();
            let count = plural(programs.len(), "program");
            Finding::ok(NAME, format!("the kernel verified {count}, {sum} instructions in all, in {took} ms"))
        }
        Err(e) => Finding::problem(
            NAME,
            e.to_string().replace('\n', " "),
            "if this kernel is 5.18 or later and the capabilities are there, report this with the output of `ot-xdp doctor --json`",
        ),
    }
}

fn bpffs(mounts: &str) -> Finding {
    let mount = mounts.lines().find_map(|l| {
        let mut fields = l.split(' ');
        let (place, kind) = (fields.nth(1)?, fields.next()?);
        (kind == "bpf").then_some(place)
    });
    Finding::ok(
        "bpffs",
        match mount {
            Some(place) => {
                format!("mounted on {place}; ot-xdp pins nothing there: its program leaves with its process")
            }
            None => "not mounted, and not needed: ot-xdp pins nothing, its program leaves with its process".to_owned(),
        },
    )
}

fn clock(source: Option<&str>) -> Finding {
    match source.map(str::trim) {
        Some(name @ ("hpet" | "acpi_pm" | "jiffies" | "pit")) => Finding::warning(
            "clock",
            format!("the clock source is {name}: each reading of the time costs about a microsecond on this host"),
            "see `dmesg | grep -i clocksource` for why the CPU's counter was given up; the stamps of ot-xdp use the \
             coarse clock and stay cheap",
        ),
        Some(name) => Finding::ok("clock", format!("the clock source is {name}")),
        None => Finding::ok("clock", "the clock source cannot be read here"),
    }
}

/// Octets of `MemAvailable` in `/proc/meminfo`.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

fn memory(cpus: u32, available: Option<u64>) -> Finding {
    let need = map_memory(FLOWS, cpus);
    let what = format!(
        "the maps take {} of kernel memory for the default of {FLOWS} keys on {}",
        mebibytes(need),
        plural(cpus as usize, "possible CPU"),
    );
    let advice = "lower `flows` in `[counters]`; `ot-xdp check` tells what a configuration takes";
    match available {
        Some(free) if need > free => {
            Finding::problem("memory", format!("{what}; {} are left", mebibytes(free)), advice)
        }
        Some(free) if need > free / 4 => {
            Finding::warning("memory", format!("{what}, a good part of the {} left", mebibytes(free)), advice)
        }
        Some(free) => Finding::ok("memory", format!("{what}, of {} available", mebibytes(free))),
        None => Finding::ok("memory", what),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn kernels_before_multi_buffer_xdp_are_refused() {
        for release in ["6.1.0-18-amd64\n", "5.18.0", "6.18.44-fc-v595", "10.0"] {
            assert_eq!(unsupported(release, || false), None, "{release}");
        }
        let (reason, _) = unsupported("5.15.0-91-generic\n", || false).unwrap();
        assert!(reason.contains("5.15.0-91-generic") && reason.contains("5.18"), "{reason}");
        // A distribution's old number with the newer BPF in it.
        assert_eq!(unsupported("5.14.0-427.el9", || true), None);
        assert_eq!(version("garbage"), None);
        assert_eq!(kernel("garbage").level, Level::Warning);
    }

    #[test]
    fn capabilities_are_read_from_the_status() {
        let status = "Name:\tx\nCapInh:\t0000000000000000\nCapEff:\t000001fffeffffff\nCapBnd:\t0\n";
        assert_eq!(effective(status), Some(0x1ff_feff_ffff));
        assert!(missing(0x1ff_feff_ffff).is_empty());
        assert_eq!(missing(0), ["CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"]);
        assert_eq!(missing(1 << CAP_SYS_ADMIN), ["CAP_NET_ADMIN"]);
        assert_eq!(missing(1 << CAP_BPF | 1 << CAP_NET_ADMIN), ["CAP_PERFMON"]);
        assert!(missing(1 << CAP_BPF | 1 << CAP_NET_ADMIN | 1 << CAP_PERFMON).is_empty());
        assert_eq!(privileges(true, &["CAP_BPF"]).level, Level::Problem);
        assert_eq!(privileges(false, &[]).level, Level::Warning);
        assert_eq!(effective("nothing"), None);
    }

    #[test]
    fn settings_are_judged() {
        let levels = |f: fn(Option<&str>) -> Finding, values: &[Option<&str>]| -> Vec<Level> {
            values.iter().map(|v| f(*v).level).collect()
        };
        use Level::{Ok, Warning};
        assert_eq!(levels(jit, &[Some("1\n"), Some("0\n"), Some("2"), None]), [Ok, Warning, Warning, Ok]);
        assert_eq!(levels(unprivileged, &[Some("2\n"), Some("1"), Some("0"), None]), [Ok, Ok, Warning, Ok]);
        let clocks = [Some("tsc\n"), Some("kvm-clock"), Some("hpet\n"), Some("acpi_pm"), None];
        assert_eq!(levels(clock, &clocks), [Ok, Ok, Warning, Warning, Ok]);
        assert_eq!(architecture("x86_64", true).level, Ok);
        assert_eq!(architecture("aarch64", true).level, Warning);
        assert_eq!(architecture("s390x", false).level, Level::Problem);
    }

    #[test]
    fn mounts_are_read() {
        let mounts = "sysfs /sys sysfs rw 0 0\nbpf /sys/fs/bpf bpf rw,nosuid 0 0\n";
        assert!(bpffs(mounts).message.contains("/sys/fs/bpf"));
        assert!(bpffs("bpf-not /x tmpfs rw 0 0\n").message.starts_with("not mounted"));
    }

    #[test]
    fn memory_is_compared_with_what_is_left() {
        let meminfo = "MemTotal:  8000000 kB\nMemAvailable:    4000000 kB\n";
        let free = available(meminfo);
        assert_eq!(free, Some(4_096_000_000));
        assert_eq!(memory(2, free).level, Level::Ok);
        assert_eq!(memory(2, Some(32 << 20)).level, Level::Warning);
        assert_eq!(memory(2, Some(8 << 20)).level, Level::Problem);
        assert_eq!(memory(2, None).level, Level::Ok);
    }

    #[test]
    fn the_program_is_not_tried_without_privileges() {
        assert_ne!(program(&["CAP_BPF"]).level, Level::Ok);
    }
}
