//! A virtual machine that runs once and is gone with the test.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context, Result, bail};

/// Longest time a machine may take; it emulates every instruction.
const LIMIT: Duration = Duration::from_secs(400);

/// What one command in the machine printed.
#[derive(Debug, Default)]
pub struct Part {
    /// Its exit code; none when the machine stopped before its end.
    pub code: Option<i32>,
    /// Its lines.
    pub lines: Vec<String>,
}

struct Machine(Child);

impl Drop for Machine {
    fn drop(&mut self) {
        // It has ended already unless the test failed or took too long.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Boots a kernel into an image and returns the parts that its first process wrote, by name, and the kernel's console.
/// Files of the run are in `folder`.
///
/// # Errors
/// The machine cannot be started, or does not switch itself off in time.
pub fn run(kernel: &Path, image: &[u8], folder: &Path) -> Result<(BTreeMap<String, Part>, String)> {
    fs::create_dir_all(folder)?;
    let (initrd, console, results) = (folder.join("initrd"), folder.join("console.log"), folder.join("results.log"));
    fs::write(&initrd, image)?;
    let text = |p: &Path| fs::read(p).map(|t| String::from_utf8_lossy(&t).replace('\r', "")).unwrap_or_default();
    // setpriv: the machine ends with this process, even when that is killed. Emulation, not KVM: it needs no device and
    // no right, and nested virtualisation is broken on many hosts (the guest hangs before its first line).
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "1024"]);
    command.args(["-display", "none", "-monitor", "none", "-nic", "none", "-no-reboot"]);
    for (option, path) in [("-kernel", kernel), ("-initrd", &initrd)] {
        command.arg(option).arg(path);
    }
    for path in [&console, &results] {
        command.arg("-serial").arg(format!("file:{}", path.display()));
    }
    command.args(["-append", "console=ttyS0 panic=-1 quiet"]).stdin(Stdio::null());
    let mut machine = Machine(command.spawn().context("cannot start qemu-system-x86_64")?);
    let begin = Instant::now();
    while machine.0.try_wait()?.is_none() {
        if begin.elapsed() > LIMIT {
            bail!("the machine did not end in {LIMIT:?}; its console:\n{}", text(&console));
        }
        thread::sleep(Duration::from_millis(100));
    }
    fs::remove_file(initrd)?;
    Ok((parts(&text(&results)), text(&console)))
}

fn parts(text: &str) -> BTreeMap<String, Part> {
    let mut parts = BTreeMap::new();
    let mut current = None;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("#begin ") {
            current = Some((name.to_owned(), Part::default()));
        } else if let Some(end) = line.strip_prefix("#end ") {
            if let Some((name, mut part)) = current.take() {
                part.code = end.rsplit(' ').next().and_then(|code| code.parse().ok());
                parts.insert(name, part);
            }
        } else if let Some((_, part)) = &mut current {
            part.lines.push(line.to_owned());
        }
    }
    if let Some((name, part)) = current {
        parts.insert(name, part);
    }
    parts
}
