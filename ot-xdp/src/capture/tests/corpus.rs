//! Reads the shared corpus, where there is one.

use std::fs;

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
