//! Reads the shared corpus, where there is one.

use std::fs;
use std::time::Instant;

use super::*;

/// The corpus's captures with the number of frames its manifest gives; empty, with a printed reason, without a corpus.
fn corpus() -> Vec<(PathBuf, u64)> {
    let shared = std::env::var_os("OT_XDP_SHARED").map_or_else(|| repository().join("../shared"), PathBuf::from);
    let folder = shared.join("corpus/dev");
    let Ok(manifest) = fs::read_to_string(folder.join("manifest.tsv")) else {
        println!("skipped: no corpus at {}; set OT_XDP_SHARED to the folder that holds it", folder.display());
        return Vec::new();
    };
    let mut lines = manifest.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let names = lines.next().expect("header");
    let column = |name| names.iter().position(|column| *column == name).expect("column");
    let (id, packets) = (column("id"), column("packets"));
    let captures = lines.map(|line| {
        let path = folder.join("pcap").join(format!("{}.pcap", line[id]));
        (path, line[packets].parse().expect("a number"))
    });
    captures.filter(|(path, _)| path.exists()).collect()
}

#[test]
fn every_capture_of_the_corpus_has_the_frames_of_its_manifest() {
    for (path, packets) in corpus() {
        let mut capture = Capture::open(&path).expect("opens");
        let mut delivered = 0;
        for item in capture.by_ref() {
            match item {
                Ok(_) => delivered += 1,
                Err(error) => assert!(!error.ends_file(), "{error}"),
            }
        }
        assert_eq!(delivered + capture.skipped(), packets, "{}", path.display());
        assert_eq!(capture.position(), capture.size());
    }
}

/// Prints the rate of reading; run with `cargo test --release -p ot-xdp --lib throughput -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn throughput() {
    use flate2::{Compression, write::GzEncoder};
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};
    use std::io::Write;

    let files: Vec<Vec<u8>> = corpus().iter().map(|(path, _)| fs::read(path).expect("reads")).collect();
    let gzip = |file: &Vec<u8>| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(file).expect("memory");
        encoder.finish().expect("memory")
    };
    let zstd = |file: &Vec<u8>| compress_to_vec(&file[..], CompressionLevel::Fastest);
    let octets: usize = files.iter().map(Vec::len).sum();
    for (name, files) in [
        ("plain", files.clone()),
        ("gzip", files.iter().map(gzip).collect()),
        ("zstd", files.iter().map(zstd).collect::<Vec<_>>()),
    ] {
        let (mut best, mut frames) = (f64::INFINITY, 0);
        for _ in 0..5 {
            let inputs = files.clone();
            let start = Instant::now();
            frames = inputs
                .into_iter()
                .map(|file| Capture::from_reader(name, Cursor::new(file)).map_or(0, Iterator::count))
                .sum();
            best = best.min(start.elapsed().as_secs_f64());
        }
        let (mb, rate) = (octets as f64 / 1e6, frames as f64 / best);
        println!("{name}: {mb:.0} MB of capture, {:.0} MB/s, {:.2} million frames/s", mb / best, rate / 1e6);
    }
}
