//! The kernels of the field: the release binary on Debian's stock kernels, each in a virtual machine.
//!
//! On each kernel the binary must load, attach natively to veth, see a real Modbus request between two hosts, and
//! classify the captures of the repository, bare and in tunnels, as the parsers in this process do. Kernels are kept in
//! `target/vm`: delete a folder there to get a newer one.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use harness::{data, skip, tunnel};
use ot_xdp_common::proto::Proto;
use serde_json::Value;

#[path = "vm/image.rs"]
mod image;
#[path = "vm/machine.rs"]
mod machine;

/// Programs that this test starts, and the packages they come in.
const PROGRAMS: [(&str, &str); 6] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("busybox", "busybox-static"),
    ("apt-get", "apt"),
    ("dpkg-deb", "dpkg"),
    ("setpriv", "util-linux"),
    ("ldd", "libc-bin"),
];

/// Most verified instructions of a program on any of the kernels; each has a limit of a million. Older verifiers join
/// fewer states, so what `budget.toml` allows on the newest says little about them.
const VERIFIED: u64 = 750_000;

#[test]
fn linux_6_1() {
    on("6.1");
}

#[test]
fn linux_6_12() {
    on("6.12");
}

fn on(series: &str) {
    if !cfg!(target_arch = "x86_64") {
        skip!("the kernels of this test are for x86-64");
    }
    if let Some((program, package)) = PROGRAMS.iter().find(|(program, _)| on_path(program).is_none()) {
        skip!("needs {program} (package {package}; `cargo xtask setup --tests` installs it)");
    }
    let kernel = match image::Kernel::fetch(series, &target().join("vm")) {
        Ok(kernel) => kernel,
        Err(e) => skip!("no Linux {series} to be had: {e:#}"),
    };
    if let Err(e) = check(series, &kernel) {
        panic!("Linux {series}: {e:#}");
    }
}

fn check(series: &str, kernel: &image::Kernel) -> Result<()> {
    let binary = binary();
    ensure!(binary.is_file(), "no {}; `cargo xtask build` makes it", binary.display());
    let run = target().join(format!("vm/run-{series}"));
    fs::create_dir_all(&run)?;
    let (captures, origins) = one_capture(&|_, frame| frame)?;
    let capture_file = run.join("captures.pcap");
    fs::write(&capture_file, &captures)?;
    let (tunnels, _) = one_capture(&|n, frame| match tunnel::KINDS.get(n % tunnel::KINDS.len()) {
        Some((_, carrier, head)) => tunnel::wrap(*carrier, head, &frame),
        None => frame,
    })?;
    let tunnel_file = run.join("tunnels.pcap");
    fs::write(&tunnel_file, &tunnels)?;

    let mut image = image::Image::default();
    ["/proc", "/sys", "/dev"].iter().for_each(|f| image.folder(Path::new(f)));
    image.file("/init", include_bytes!("vm/init.sh"));
    image.program("busybox", &on_path("busybox").context("no busybox")?)?;
    image.program("ot-xdp", &binary)?;
    image.file("/captures.pcap", &captures);
    image.file("/tunnels.pcap", &tunnels);
    let module = kernel.veth.file_name().unwrap_or_default().to_string_lossy();
    image.file(&format!("/{module}"), &fs::read(&kernel.veth)?);

    let begin = Instant::now();
    let (mut parts, console) = machine::run(&kernel.image, &image.finish(), &run)?;
    let took = begin.elapsed();
    let mut part = |name: &str| {
        let part = parts.remove(name).unwrap_or_default();
        ensure!(part.code == Some(0), "`{name}`: {:?}\n{}\nConsole:\n{console}", part.code, part.lines.join("\n"));
        Ok(part.lines)
    };

    let release = part("kernel")?.join("");
    ensure!(release.starts_with(&format!("{series}.")), "booted {release}");
    part("network")?;
    part("doctor")?;
    live(&part("live")?)?;
    let verified: Vec<u64> = part("verified")?.iter().filter_map(|l| l.split(' ').nth(1)?.parse().ok()).collect();
    let largest = verified.iter().max().context("no program was loaded while the sensor ran")?;
    ensure!(*largest <= VERIFIED, "{verified:?} verified instructions, at most {VERIFIED} a program");
    let missing = same(&part("replay")?, &host(&binary, &capture_file, &[])?, &origins)?;
    same(&part("tunnels")?, &host(&binary, &tunnel_file, &["--tunnels"])?, &origins)?;
    println!("Linux {release}: verified instructions, in the order of loading: {verified:?}");
    println!("{} frames equal; protocols that no capture holds: {missing:?}", origins.len());
    println!("{:.1} s in the machine", took.as_secs_f32());
    Ok(())
}

/// The sensor was attached in the driver, and saw and counted the request.
fn live(lines: &[String]) -> Result<()> {
    let events = lines.iter().map(|l| serde_json::from_str(l)).collect::<Result<Vec<Value>, _>>()?;
    let of = |dataset: &str| events.iter().filter(|e| at(e, "/event/dataset") == dataset).collect::<Vec<_>>();
    let health = of("otxdp.stats");
    ensure!(!health.is_empty(), "no health event in {lines:#?}");
    for event in &health {
        ensure!(at(event, "/otxdp/xdp/attach_mode") == "native", "not native: {event:#}");
        ensure!(at(event, "/otxdp/accounting/ok") == true, "wrong accounts: {event:#}");
    }
    let frames: u64 = health.iter().filter_map(|e| at(e, "/otxdp/delta/ot_frames").as_u64()).sum();
    ensure!(frames == 1, "one Modbus frame was sent, {frames} were counted: {lines:#?}");
    let flows: Vec<&Value> = of("otxdp.flow").iter().map(|e| at(e, "/network/protocol")).collect();
    ensure!(flows == ["modbus"], "one Modbus conversation was expected: {lines:#?}");
    Ok(())
}

/// A field of an event; null when it is absent.
fn at<'a>(event: &'a Value, path: &str) -> &'a Value {
    event.pointer(path).unwrap_or(&Value::Null)
}

/// What the parsers in user space say on this host, by the same binary.
fn host(binary: &Path, capture: &Path, options: &[&str]) -> Result<Vec<String>> {
    let mut replay = Command::new(binary);
    replay.args(["replay", "--frames", "--engine", "user"]).args(options).arg(capture);
    let done = replay.output()?;
    ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Ok(String::from_utf8(done.stdout)?.lines().map(str::to_owned).collect())
}

/// Compares the records; returns the protocols that appear in none.
fn same(kernel: &[String], user: &[String], origins: &[String]) -> Result<BTreeSet<&'static str>> {
    for ((k, u), origin) in kernel.iter().zip(user).zip(origins) {
        ensure!(k == u, "different on {origin}\nkernel: {k}\nhost:   {u}");
    }
    let counts = (kernel.len(), user.len(), origins.len());
    ensure!(counts.0 == counts.2 && counts.1 == counts.2, "records of kernel and host, and frames: {counts:?}");
    // Paths of functions name every protocol, nested ones too.
    let text = user.join("\n");
    let names = Proto::ALL.iter().map(|p| p.name());
    let missing: BTreeSet<&str> = names.filter(|n| !text.contains(&format!("\"{n}:"))).collect();
    ensure!(missing.len() < Proto::ALL.len(), "no protocol was recognised");
    Ok(missing)
}

/// All captures of the repository as one, because loading the program for each takes seconds in the machine; and where
/// each frame comes from. `change` is given each frame's number and the frame.
fn one_capture(change: &dyn Fn(usize, Vec<u8>) -> Vec<u8>) -> Result<(Vec<u8>, Vec<String>)> {
    // File header: magic for microseconds, version 2.4, time zone and accuracy 0, longest frame, Ethernet.
    let mut file = [0xA1B2_C3D4_u32, 0x0004_0002, 0, 0, 0x4_0000, 1].map(u32::to_le_bytes).concat();
    let mut origins = Vec::new();
    for path in data::own_captures() {
        for (i, frame) in data::frames(&path)?.into_iter().enumerate() {
            let frame = change(origins.len(), frame);
            origins.push(format!("{} frame {}", path.display(), i + 1));
            let (second, len) = (origins.len() as u32, frame.len() as u32);
            file.extend([second, 0, len, len].map(u32::to_le_bytes).concat());
            file.extend_from_slice(&frame);
        }
    }
    ensure!(!origins.is_empty(), "the repository has no captures");
    Ok((file, origins))
}

/// The release binary: from the test runner, or where cargo puts it.
fn binary() -> PathBuf {
    std::env::var_os("OT_XDP_BIN").map_or_else(|| target().join("release/ot-xdp"), PathBuf::from)
}

/// Cargo's target folder.
fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("..")
}

fn on_path(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|d| d.join(program)).find(|p| p.is_file())
}
