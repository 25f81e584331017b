//! The data: unpacking, logs of attacks, captures as frames and back.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::Setup;

/// Local time of the logs, hours before UTC.
const LOG_OFFSET_S: i64 = 10 * 3600;

/// A day of one attack class.
pub struct Day {
    /// Class and pace, `MITM frequent`.
    pub name: String,
    /// The capture.
    pub capture: PathBuf,
    /// Attacks: name, begin, end; seconds since the epoch.
    pub attacks: Vec<(String, f64, f64)>,
}

/// Is it a day without attacks?
pub fn is_control(day: &Day) -> bool {
    day.name.starts_with("Control")
}

/// Days of the DNP3 set, in the order of their names.
pub fn days(setup: &Setup) -> Result<Vec<Day>> {
    let root =
        setup.data.as_ref().context("no folder of data: give --data DIR or OT_XDP_DETECTION_DATA")?.join("qut_dnp3");
    let mut days = Vec::new();
    for file in files(&root) {
        if file.file_name().is_some_and(|n| n == "attacker.pcap.zip") {
            let folder = file.parent().context("a folder")?;
            let relative = folder.strip_prefix(&root)?;
            let mut parts = relative.iter().map(|p| p.to_string_lossy().into_owned());
            let name = format!("{} {}", parts.next().unwrap_or_default(), parts.next_back().unwrap_or_default());
            let capture = setup.scratch.path().join(format!("{}.pcap", name.replace(' ', "-")));
            if !capture.exists() {
                std::fs::write(&capture, unpack(&file)?)?;
            }
            let log = folder.join("Attack_script_log.log.zip");
            let attacks = if log.exists() { read_log(&String::from_utf8_lossy(&unpack(&log)?)) } else { Vec::new() };
            days.push(Day { name, capture, attacks });
        }
    }
    anyhow::ensure!(!days.is_empty(), "no captures below {}", root.display());
    days.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(days)
}

/// Files below a folder, sorted.
pub fn files(root: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    let Ok(entries) = std::fs::read_dir(root) else { return out };
    for e in entries.flatten() {
        let path = e.path();
        if path.is_dir() { out.extend(files(&path)) } else { out.push(path) }
    }
    out.sort();
    out
}

fn unpack(file: &Path) -> Result<Vec<u8>> {
    let mut archive = zip::ZipArchive::new(File::open(file)?).with_context(|| file.display().to_string())?;
    let mut octets = Vec::new();
    archive.by_index(0)?.read_to_end(&mut octets)?;
    Ok(octets)
}

/// Begin and end of each attack. A line: date, time, name, addresses, START or END.
pub fn read_log(text: &str) -> Vec<(String, f64, f64)> {
    let mut open: Vec<(String, f64)> = Vec::new();
    let mut out = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [date, time, name, .., what] = words.as_slice() else { continue };
        let Ok(t) = format!("{date}T{time}Z").parse::<jiff::Timestamp>() else { continue };
        let t = t.as_microsecond() as f64 / 1e6 - LOG_OFFSET_S as f64;
        match *what {
            "START" => open.push(((*name).to_owned(), t)),
            "END" => {
                if let Some(i) = open.iter().position(|(n, _)| n == name) {
                    let (n, begin) = open.remove(i);
                    out.push((n, begin, t));
                }
            }
            _ => {}
        }
    }
    out
}

/// A frame with its time, nanoseconds since the epoch.
pub type Frame = (i64, Vec<u8>);

/// Every frame of a capture that is wanted.
pub fn frames(file: &Path, mut wanted: impl FnMut(&[u8]) -> bool) -> Result<Vec<Frame>> {
    let capture = ot_xdp::capture::Capture::open(file)?;
    let mut out = Vec::new();
    for item in capture {
        let c = item?;
        if wanted(&c.data) {
            out.push((c.at_ns, c.data.to_vec()));
        }
    }
    Ok(out)
}

/// Writes a capture (pcap with nanoseconds).
pub fn write(file: &Path, frames: &[Frame]) -> Result<()> {
    let mut out = BufWriter::new(File::create(file)?);
    for word in [0xA1B2_3C4Du32, 0x0004_0002, 0, 0, 65_535, 1] {
        out.write_all(&word.to_le_bytes())?;
    }
    for (at, data) in frames {
        let (s, ns) = ((at / 1_000_000_000) as u32, (at % 1_000_000_000) as u32);
        for word in [s, ns, data.len() as u32, data.len() as u32] {
            out.write_all(&word.to_le_bytes())?;
        }
        out.write_all(data)?;
    }
    Ok(out.flush()?)
}
