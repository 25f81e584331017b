//! Tests of the spool: order, cap, restarts, torn and damaged files, a full disk.

use super::*;

fn record(n: u64) -> Record {
    let body = Bytes::from(format!("{{\"event\":{n},\"text\":\"{}\"}}", "x".repeat((n % 50) as usize)));
    let id = Uuid::from_u128(u128::from(n));
    Record { sequence: n, id, at_ns: n as i64, severity: 47, kind: "dropped", body }
}

fn records(range: std::ops::Range<u64>) -> Vec<Record> {
    range.map(record).collect()
}

fn sequences(records: &[Record]) -> Vec<u64> {
    records.iter().map(|r| r.sequence).collect()
}

fn drain(spool: &mut Spool) -> Vec<u64> {
    let mut all = Vec::new();
    loop {
        let batch = spool.read(100);
        if batch.is_empty() {
            return all;
        }
        all.extend(sequences(&batch));
        spool.acknowledge(batch.len());
    }
}

#[test]
fn what_goes_in_comes_out_in_order_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(dir.path(), 64 << 20).unwrap();
    assert_eq!(spool.append(&records(1..5_001), false), (5_000, None));
    let batch = spool.read(10);
    let first = &batch[0];
    assert_eq!((first.id, first.at_ns, first.severity, first.kind), (Uuid::from_u128(1), 1, 47, "dropped"));
    assert_eq!(first.body, record(1).body);
    spool.rewind();
    assert_eq!(drain(&mut spool), (1..5_001).collect::<Vec<_>>());
    assert_eq!((spool.pending(), spool.size()), (0, 0));
    assert_eq!(spool.append(&records(6..8), false), (2, None), "goes on after it was empty");
    assert_eq!(drain(&mut spool), [6, 7]);
}

#[test]
fn a_part_that_is_not_acknowledged_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(dir.path(), 1 << 20).unwrap();
    spool.append(&records(1..11), false);
    assert_eq!(spool.read(6).len(), 6);
    spool.acknowledge(2);
    spool.rewind();
    assert_eq!(sequences(&spool.read(3)), [3, 4, 5]);
    drop(spool);
    let mut spool = Spool::open(dir.path(), 1 << 20).unwrap();
    assert_eq!(spool.pending(), 8, "nothing is synchronised by hand: a process that is killed leaves the same");
    assert_eq!(drain(&mut spool), (3..11).collect::<Vec<_>>());
}

#[test]
fn what_was_on_its_way_comes_first_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(dir.path(), 1 << 20).unwrap();
    spool.append(&records(10..20), false);
    spool.read(5);
    spool.acknowledge(3);
    spool.prepend(&records(5..8)).unwrap();
    drop(spool);
    let mut spool = Spool::open(dir.path(), 1 << 20).unwrap();
    assert_eq!(drain(&mut spool), [5, 6, 7, 13, 14, 15, 16, 17, 18, 19]);
}

#[test]
fn the_cap_holds_and_news_of_a_loss_still_fit() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(dir.path(), 100_000).unwrap();
    let (taken, why) = spool.append(&records(1..10_000), false);
    assert!((500..2_000).contains(&taken) && why == Some(Refused::Full), "{taken}");
    let on_disk: u64 = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
    assert!(on_disk <= 100_000 && spool.size() == on_disk, "{on_disk}");
    let next = taken as u64 + 1;
    assert_eq!(spool.append(&records(next..next + 1), false), (0, Some(Refused::Full)));
    assert_eq!(spool.append(&records(20_001..20_002), true), (1, None));
    let out = drain(&mut spool);
    assert_eq!(out.len(), taken + 1);
    assert_eq!(out.last(), Some(&20_001));
}

#[test]
fn a_torn_end_is_cut_and_what_is_before_it_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(dir.path(), 1 << 20).unwrap();
    spool.append(&records(1..11), false);
    drop(spool);
    let segment = dir.path().join(format!("{FIRST:016x}.seg"));
    let size = fs::metadata(&segment).unwrap().len();
    for cut in 1..60 {
        OpenOptions::new().write(true).open(&segment).unwrap().set_len(size - cut).unwrap();
        let mut spool = Spool::open(dir.path(), 1 << 20).unwrap();
        assert_eq!(spool.pending(), 9, "cut by {cut}");
        assert_eq!(sequences(&spool.read(100)), (1..10).collect::<Vec<_>>());
        // The next round begins with the whole file again.
        spool.append(&records(10..11), false);
        drop(spool);
        let mut octets = Vec::new();
        records(1..11).iter().for_each(|r| encode(r, &mut octets));
        fs::write(&segment, &octets).unwrap();
        fs::remove_file(dir.path().join(format!("{:016x}.seg", FIRST + 1))).unwrap();
    }
}

#[test]
fn a_damaged_record_ends_its_segment_and_not_the_spool() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(dir.path(), 1 << 20).unwrap();
    spool.append(&records(1..1_001), false);
    spool.append(&records(1_001..2_001), false);
    spool.append(&records(2_001..3_001), false);
    assert!(spool.segments.len() >= 2, "{}", spool.segments.len());
    let segment = dir.path().join(format!("{FIRST:016x}.seg"));
    let mut octets = fs::read(&segment).unwrap();
    octets[200] ^= 1;
    fs::write(&segment, octets).unwrap();
    let out = drain(&mut spool);
    assert!(out.starts_with(&[1]) && out.ends_with(&[3_000]) && out.len() < 3_000, "{}", out.len());
    assert!(out.windows(2).all(|w| w[0] < w[1]));
    assert_ne!(spool.damaged(), 0);
}

#[test]
fn two_sinks_cannot_share_one() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path(), 1 << 20).unwrap();
    let error = Spool::open(dir.path(), 1 << 20).err().unwrap();
    assert!(error.to_string().contains("in use by another process"), "{error}");
    drop(spool);
    assert!(Spool::open(dir.path(), 1 << 20).is_ok());
}

#[test]
fn a_disk_that_takes_no_more_costs_the_new_ones_only() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(dir.path(), 1 << 20).unwrap();
    spool.append(&records(1..11), false);
    // Where the next octet cannot be written: a file that is open for reading only.
    let segment = dir.path().join(format!("{FIRST:016x}.seg"));
    spool.tail = Some((FIRST, File::open(&segment).unwrap()));
    assert_eq!(spool.append(&records(11..21), false), (0, Some(Refused::Disk)));
    assert_eq!(spool.pending(), 10);
    assert_eq!(drain(&mut spool), (1..11).collect::<Vec<_>>());
}
