//! Seeds out of captures: for each protocol, hint and set of functions a few payloads, streams and rows of frames.
//!
//! `OT_XDP_FUZZ_SEEDS` is the folder that they are written to, a folder below it for each target. `OT_XDP_FUZZ_CAPTURES`
//! lists the folders with captures, separated by colons.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use ot_xdp_common::frame::{Frame, TCP, UDP};
use ot_xdp_common::proto::Proto;
use ot_xdp_common::reason::Outcome;
use ot_xdp_common::walk::{Hint, Walk};

use crate::host::{self, Host};
use crate::{frames, only, streams};

/// Seeds of one kind, see [`Seeds::kind`].
const OF_A_KIND: u32 = 2;
/// Seeds of one target.
const MOST: u32 = 3_000;
/// Frames in a row.
const ROW: usize = 8;

/// Makes the seeds; the exit code of the program.
pub fn make() -> i32 {
    let folder = PathBuf::from(std::env::var_os("OT_XDP_FUZZ_SEEDS").unwrap_or_default());
    let captures = std::env::var_os("OT_XDP_FUZZ_CAPTURES").unwrap_or_default();
    let mut seeds = Seeds { folder, seen: HashMap::new(), made: HashMap::new() };
    for file in std::env::split_paths(&captures).flat_map(|folder| files(&folder)) {
        seeds.take(&crate::packets::pcap(&file));
    }
    let mut made: Vec<_> = seeds.made.into_iter().collect();
    made.sort();
    eprintln!("seeds: {}", made.iter().map(|(t, n)| format!("{n} for {t}")).collect::<Vec<_>>().join(", "));
    0
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
    files.sort();
    files
}

/// The frame in GRE over IPv4: from there the fuzzer finds the other tunnels.
fn in_gre(frame: &[u8]) -> Vec<u8> {
    let mut out = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0];
    out.extend((frame.len() as u16 + 24).to_be_bytes());
    out.extend([0, 1, 0x40, 0, 64, 47, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, 0, 0, 0x65, 0x58]);
    out.extend(frame);
    out
}

struct Seeds {
    folder: PathBuf,
    /// How many there are of each kind.
    seen: HashMap<(&'static str, Vec<u32>), u32>,
    made: HashMap<&'static str, u32>,
}

impl Seeds {
    fn take(&mut self, all: &[Vec<u8>]) {
        let (mut f, mut w) = (Frame::default(), Box::<Walk>::default());
        host::fresh(|host: &mut Host| {
            for row in all.chunks(ROW) {
                let mut kind = Vec::new();
                for frame in row {
                    let outcome = host.frame(frame, &mut f, &mut w);
                    let one = self.frame(frame, &f, &w, outcome);
                    kind.extend(one);
                }
                kind.sort_unstable();
                kind.dedup();
                let small = row.iter().map(Vec::len).sum::<usize>() < 4_000;
                if small && !kind.is_empty() && std::env::var_os("OT_XDP_FUZZ_ONLY").is_none() {
                    self.put("frames", kind, || frames::input(row.iter().map(Vec::as_slice)));
                    // A few for each protocol: in front of the payload all are alike.
                    let kind = vec![u32::MAX, u32::from(w.root)];
                    let wrapped: Vec<Vec<u8>> = row.iter().map(|f| in_gre(f)).collect();
                    self.put("frames", kind, || frames::input(wrapped.iter().map(Vec::as_slice)));
                }
            }
        });
    }

    /// Payload and stream of a frame; what kind of frame it is, when it is one of the plant.
    fn frame(&mut self, frame: &[u8], f: &Frame, w: &Walk, outcome: Outcome) -> Option<u32> {
        let payload = frame.get(f.off as usize..f.end as usize).filter(|p| !p.is_empty())?;
        let named = matches!(outcome, Outcome::Classified | Outcome::Malformed) && w.n_ops != 0;
        let root = only::ROOTS.iter().find(|p| **p as u8 == w.root).filter(|_| named && w.begin == f.off)?;
        let mut kind = vec![u32::from(w.root), u32::from(w.hint), w.flags];
        kind.extend(w.ops().iter().take(4).flat_map(|op| [u32::from(op.proto()), op.function]));
        let first = kind.iter().fold(0, |h: u32, k| h.wrapping_mul(0x9E37_79B1) ^ k);
        let both = f.l4 == UDP && !root.binding().tcp.is_empty();
        if payload.len() <= 1_400 {
            self.put("parsers", kind.clone(), || [&[w.root, w.hint | u8::from(both) << 2], payload].concat());
        }
        let on_port = w.hint == Hint::ToServer as u8 || w.hint == Hint::FromServer as u8;
        if f.l4 == TCP && on_port && *root != Proto::It && payload.len() <= 1_400 {
            let half = (payload.len() / 2).min(255) as u8;
            let server = w.hint == Hint::FromServer as u8;
            let lengths: &[u8] = if payload.len().is_multiple_of(2) { &[half] } else { &[5, 7, half] };
            self.put("streams", kind, || streams::input(w.root, server, lengths, payload));
        }
        Some(first)
    }

    /// Writes a seed unless there are enough of its kind.
    fn put(&mut self, target: &'static str, kind: Vec<u32>, seed: impl FnOnce() -> Vec<u8>) {
        let (seen, made) = (self.seen.entry((target, kind)).or_default(), self.made.entry(target).or_default());
        *seen += 1;
        if *seen > OF_A_KIND || *made >= MOST {
            return;
        }
        *made += 1;
        let folder = self.folder.join(target);
        let done = fs::create_dir_all(&folder).and_then(|()| fs::write(folder.join(format!("{made:05}")), seed()));
        if let Err(e) = done {
            eprintln!("cannot write a seed to {}: {e}", folder.display());
            std::process::exit(1);
        }
    }
}
