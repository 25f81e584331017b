//! Tests of the file: rotation, compression, files that somebody moves, torn lines, a full disk.

use std::io::Read;

use bytes::Bytes;

use super::*;

fn record(n: u64) -> Record {
    let body = Bytes::from(format!("{{\"n\":{n:05}}}"));
    Record { sequence: n, id: uuid::Uuid::from_u128(1), at_ns: 0, severity: 1, kind: "dropped", body }
}

fn records(range: std::ops::Range<u64>) -> Vec<Record> {
    range.map(record).collect()
}

fn rotation(size: Option<u64>, every: Option<Duration>, keep: Option<u32>, compress: bool) -> Rotation {
    Rotation { size, every, keep, compress }
}

/// Lines of the file and of the old ones, oldest first, and the number of old ones.
fn lines(path: &Path) -> (Vec<String>, usize) {
    let name = path.file_name().unwrap().to_str().unwrap();
    let mut old: Vec<PathBuf> = fs::read_dir(path.parent().unwrap())
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.file_name().unwrap().to_str().unwrap().starts_with(&format!("{name}.")))
        .collect();
    old.sort();
    let mut text = String::new();
    for file in old.iter().map(PathBuf::as_path).chain([path]) {
        let mut octets = fs::read(file).unwrap();
        if file.extension().is_some_and(|e| e == "gz") {
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(&octets[..]).read_to_end(&mut plain).unwrap();
            octets = plain;
        }
        text.push_str(&String::from_utf8(octets).unwrap());
    }
    (text.lines().map(str::to_owned).collect(), old.len())
}

fn settled(path: &Path, count: impl Fn(usize) -> bool) -> bool {
    let begin = std::time::Instant::now();
    while begin.elapsed() < Duration::from_secs(10) {
        let names =
            fs::read_dir(path.parent().unwrap()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let names: Vec<String> = names.filter(|n| n.contains("Z")).collect();
        if count(names.len()) && names.iter().all(|n| n.ends_with(".gz")) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

#[test]
fn full_files_are_put_aside_and_compressed_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.ndjson");
    let mut file = LineFile::new(path.clone(), rotation(Some(1_000), None, None, true), Arc::default());
    for i in 0..50 {
        assert_eq!(file.write(&records(i * 10..i * 10 + 10)).unwrap(), 10);
    }
    assert!(settled(&path, |n| n >= 6));
    let (lines, old) = lines(&path);
    assert_eq!(lines, records(0..500).iter().map(|r| String::from_utf8(r.body.to_vec()).unwrap()).collect::<Vec<_>>());
    assert_eq!(old, 6, "of 500 lines of 12 octets, 83 in each file");
    assert!(fs::metadata(&path).unwrap().len() <= 1_000);
}

#[test]
fn only_so_many_old_files_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.ndjson");
    fs::write(dir.path().join("events.ndjson.of-somebody-else"), "x").unwrap();
    let mut file = LineFile::new(path.clone(), rotation(Some(100), None, Some(2), true), Arc::default());
    for i in 0..20 {
        file.write(&records(i * 8..i * 8 + 8)).unwrap();
        std::thread::sleep(Duration::from_millis(3));
    }
    // The last rotation has to be tidied up as well.
    assert!(settled(&path, |n| n <= 2), "{:?}", fs::read_dir(dir.path()).unwrap().collect::<Vec<_>>());
    assert!(dir.path().join("events.ndjson.of-somebody-else").exists());
}

#[test]
fn an_old_file_is_put_aside_by_its_age() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.ndjson");
    let every = Some(Duration::from_millis(30));
    let mut file = LineFile::new(path.clone(), rotation(None, every, None, false), Arc::default());
    file.write(&records(0..3)).unwrap();
    file.write(&records(3..5)).unwrap();
    std::thread::sleep(Duration::from_millis(40));
    file.write(&records(5..6)).unwrap();
    let (lines, old) = lines(&path);
    assert_eq!((lines.len(), old), (6, 1));
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1);
}

#[test]
fn a_file_that_was_moved_is_opened_anew_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.ndjson");
    let reopens: Arc<AtomicU64> = Arc::default();
    let mut file = LineFile::new(path.clone(), rotation(None, None, None, true), Arc::clone(&reopens));
    file.write(&records(0..2)).unwrap();
    fs::rename(&path, dir.path().join("moved")).unwrap();
    file.write(&records(2..3)).unwrap();
    reopens.fetch_add(1, Relaxed);
    file.write(&records(3..5)).unwrap();
    let count = |p: &Path| fs::read_to_string(p).unwrap().lines().count();
    assert_eq!((count(&dir.path().join("moved")), count(&path)), (3, 2));
}

#[test]
fn half_a_line_of_a_crash_is_cut_and_a_text_of_others_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.ndjson");
    for (before, after) in
        [("{\"a\":1}\n{\"b\":", "{\"a\":1}\n"), ("{\"b\":", ""), ("{\"a\":1}\n", "{\"a\":1}\n"), ("notes", "notes")]
    {
        fs::write(&path, before).unwrap();
        let mut file = LineFile::new(path.clone(), rotation(None, None, None, true), Arc::default());
        file.write(&records(1..2)).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{after}{{\"n\":00001}}\n"));
    }
}

#[test]
fn a_full_disk_is_an_error_that_says_where() {
    // Every write to this device answers that no space is left.
    let mut file = LineFile::new("/dev/full".into(), rotation(None, None, None, true), Arc::default());
    let error = file.write(&records(1..2)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert!(matches!(file.error(&error), SinkError::Lost(text) if text.contains("/dev/full")));
    assert!(LineFile::check(Path::new("/no/such/directory/events")).is_err());
}
