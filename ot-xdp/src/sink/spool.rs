//! What waits on disk for a receiver: segment files in order, with a cap, whole also after a crash.
//!
//! A segment is a row of records: length and CRC-32 of what follows (4 octets each, little endian), then sequence, id,
//! time, severity, kind and body. What was written but not finished is cut off at the next start. `position` tells how
//! much of each begun segment the receiver has acknowledged; it is replaced as a whole.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use uuid::Uuid;

use super::transport::Record;

/// Length and checksum.
const HEAD: usize = 8;
/// Sequence, id, time, severity, length of the kind.
const FIXED: usize = 8 + 16 + 8 + 1 + 1;
/// Longest record that is believed; a larger length is damage.
const RECORD_MAX: usize = 16 << 20;
/// Octets that one batch is read up to.
const BATCH_BYTES: usize = 1 << 20;
/// Number of the first segment of a new spool. Below is room for what is put in front.
const FIRST: u64 = 1 << 32;
/// What [`Spool::append`] may go beyond the cap for a record that tells of a loss.
pub const RESERVE: u64 = 64 << 10;

/// Why a record was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The cap is reached.
    Full,
    /// The disk takes no more.
    Disk,
}

/// A spool that this process alone uses.
pub struct Spool {
    dir: PathBuf,
    cap: u64,
    segment_size: u64,
    /// Sizes of the segments, by number.
    segments: BTreeMap<u64, u64>,
    /// Acknowledged octets of the begun segments.
    begun: BTreeMap<u64, u64>,
    /// The segment that is written, with its number.
    tail: Option<(u64, File)>,
    /// The segment that is read: number, file, place.
    head: Option<(u64, File)>,
    /// Segment and end of each record that was read and not yet acknowledged.
    read: VecDeque<(u64, u64)>,
    pending: u64,
    damaged: u64,
    _lock: File,
}

impl Spool {
    /// Opens the spool in `dir`, which is made where it does not exist. At most `cap` octets are kept there.
    ///
    /// # Errors
    /// When the directory cannot be used, or another process uses it.
    pub fn open(dir: &Path, cap: u64) -> io::Result<Spool> {
        fs::create_dir_all(dir)?;
        let lock = options().truncate(false).open(dir.join("lock"))?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).map_err(|_| {
            io::Error::other(format!("`{}` is in use by another process; give each sink its own", dir.display()))
        })?;
        let mut spool = Spool {
            dir: dir.to_owned(),
            cap,
            segment_size: (cap / 8).clamp(64 << 10, 8 << 20),
            segments: BTreeMap::new(),
            begun: BTreeMap::new(),
            tail: None,
            head: None,
            read: VecDeque::new(),
            pending: 0,
            damaged: 0,
            _lock: lock,
        };
        spool.scan()?;
        Ok(spool)
    }

    /// Finds what an earlier process has left, cuts torn ends and drops what is acknowledged.
    fn scan(&mut self) -> io::Result<()> {
        for entry in fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            let number =
                name.to_str().and_then(|n| n.strip_suffix(".seg")).and_then(|n| u64::from_str_radix(n, 16).ok());
            if let Some(number) = number {
                self.segments.insert(number, 0);
            }
        }
        let position = fs::read_to_string(self.dir.join("position")).unwrap_or_default();
        for line in position.lines() {
            let mut words = line.split(' ');
            let number = words.next().and_then(|w| u64::from_str_radix(w, 16).ok());
            let place = words.next().and_then(|w| w.parse().ok());
            if let (Some(number), Some(place)) = (number, place)
                && self.segments.contains_key(&number)
            {
                self.begun.insert(number, place);
            }
        }
        for number in self.segments.keys().copied().collect::<Vec<_>>() {
            let path = self.path(number);
            let octets = fs::read(&path)?;
            let from = self.begun.get(&number).copied().unwrap_or(0);
            let (mut records, mut end) = (0, 0);
            while let Some(size) = octets.get(end..).and_then(whole) {
                records += u64::from(end as u64 >= from);
                end += size;
            }
            if end < octets.len() {
                tracing::warn!("{}: {} octets without a whole record are cut off", path.display(), octets.len() - end);
                OpenOptions::new().write(true).open(&path)?.set_len(end as u64)?;
            }
            self.pending += records;
            self.segments.insert(number, end as u64);
            if records == 0 {
                self.remove(number);
            }
        }
        Ok(())
    }

    fn path(&self, number: u64) -> PathBuf {
        self.dir.join(format!("{number:016x}.seg"))
    }

    fn remove(&mut self, number: u64) {
        // What stays behind is found acknowledged or empty at the next start.
        let _ = fs::remove_file(self.path(number));
        self.segments.remove(&number);
        self.begun.remove(&number);
    }

    /// Records that are not acknowledged.
    pub fn pending(&self) -> u64 {
        self.pending
    }

    /// Octets on disk.
    pub fn size(&self) -> u64 {
        self.segments.values().sum()
    }

    /// Records that were damaged on disk so far and cannot be sent, as far as they could be counted.
    pub fn damaged(&self) -> u64 {
        self.damaged
    }

    /// Writes records behind all others; returns how many from the front were taken, and why not all. `reserve`: may use
    /// the room beyond the cap that is kept for news of losses.
    pub fn append(&mut self, records: &[Record], reserve: bool) -> (usize, Option<Refused>) {
        let cap = self.cap + if reserve { RESERVE } else { 0 };
        let mut taken = 0;
        while taken < records.len() {
            let mut block = Vec::new();
            let mut here = 0;
            let used = self.size();
            for record in records.iter().skip(taken) {
                let before = block.len();
                encode(record, &mut block);
                if used + block.len() as u64 > cap {
                    block.truncate(before);
                    break;
                }
                here += 1;
                if block.len() >= BATCH_BYTES {
                    break;
                }
            }
            if here == 0 {
                return (taken, Some(Refused::Full));
            }
            if let Err(e) = self.write(&block) {
                tracing::debug!("{}: {e}", self.dir.display());
                return (taken, Some(Refused::Disk));
            }
            taken += here;
            self.pending += here as u64;
        }
        (taken, None)
    }

    fn write(&mut self, block: &[u8]) -> io::Result<()> {
        let full = self.tail.as_ref().and_then(|(n, _)| self.segments.get(n)).is_none_or(|s| *s >= self.segment_size);
        if full {
            if let Some((_, file)) = self.tail.take() {
                file.sync_data()?;
            }
            let number = self.segments.keys().last().map_or(FIRST, |n| n + 1);
            let file = options().create_new(true).open(self.path(number))?;
            self.segments.insert(number, 0);
            self.tail = Some((number, file));
        }
        let Some((number, file)) = &mut self.tail else { return Err(io::ErrorKind::NotFound.into()) };
        let Some(size) = self.segments.get_mut(number) else { return Err(io::ErrorKind::NotFound.into()) };
        match file.write_all(block) {
            Ok(()) => {
                *size += block.len() as u64;
                Ok(())
            }
            Err(e) => {
                // Half a record must not stand before a whole one.
                let cut = file.set_len(*size).and_then(|()| file.seek(SeekFrom::Start(*size)).map(|_| ()));
                if cut.is_err() {
                    self.tail = None;
                }
                Err(e)
            }
        }
    }

    /// Writes records in front of all others, for those that were already on their way. The cap does not count: they are
    /// few. What was read and not acknowledged is read again.
    ///
    /// # Errors
    /// When the disk takes no more.
    pub fn prepend(&mut self, records: &[Record]) -> io::Result<()> {
        let number = self.segments.keys().next().map_or(FIRST, |n| n - 1);
        let mut block = Vec::new();
        records.iter().for_each(|r| encode(r, &mut block));
        let path = self.path(number);
        let written = options().create_new(true).open(&path).and_then(|mut file| file.write_all(&block));
        if let Err(e) = written {
            let _ = fs::remove_file(&path);
            return Err(e);
        }
        self.segments.insert(number, block.len() as u64);
        self.pending += records.len() as u64;
        self.rewind();
        Ok(())
    }

    /// Reads again from what is not acknowledged.
    pub fn rewind(&mut self) {
        self.read.clear();
        self.head = None;
    }

    /// The next records behind those that were read, at most `max`. Empty when there is none, or the disk cannot be read.
    pub fn read(&mut self, max: usize) -> Vec<Record> {
        let mut records = Vec::new();
        let mut octets = 0;
        while records.len() < max && octets < BATCH_BYTES {
            let last = self.read.back().copied();
            let (number, place) = match last.or_else(|| self.first()) {
                Some((n, p)) if self.segments.get(&n).is_some_and(|size| p < *size) => (n, p),
                Some((n, _)) => match self.segments.keys().copied().find(|next| *next > n) {
                    Some(next) => (next, self.begun.get(&next).copied().unwrap_or(0)),
                    None => break,
                },
                None => break,
            };
            match self.record_at(number, place) {
                Ok((record, end)) => {
                    octets += record.body.len();
                    self.read.push_back((number, end));
                    records.push(record);
                }
                Err(e) => {
                    tracing::error!("{}: {e}; the rest of this file is skipped", self.path(number).display());
                    if !records.is_empty() {
                        break;
                    }
                    self.skip(number, place);
                }
            }
        }
        if self.read.is_empty() && self.pending != 0 {
            // Counted, and not there: their file was damaged or taken away.
            self.damaged += std::mem::take(&mut self.pending);
        }
        records
    }

    /// Gives up a segment from a place on.
    fn skip(&mut self, number: u64, place: u64) {
        self.segments.insert(number, place);
        if self.tail.as_ref().is_some_and(|(n, _)| *n == number) {
            self.tail = None;
        }
        // How many are behind the damage is known when everything else has been read.
        self.remove(number);
        self.rewind();
    }

    /// First place that is not acknowledged.
    fn first(&self) -> Option<(u64, u64)> {
        let number = *self.segments.keys().next()?;
        Some((number, self.begun.get(&number).copied().unwrap_or(0)))
    }

    fn record_at(&mut self, number: u64, place: u64) -> io::Result<(Record, u64)> {
        if self.head.as_ref().is_none_or(|(n, _)| *n != number) {
            self.head = Some((number, File::open(self.path(number))?));
        }
        let Some((_, file)) = &mut self.head else { return Err(io::ErrorKind::NotFound.into()) };
        file.seek(SeekFrom::Start(place))?;
        let mut head = [0; HEAD];
        file.read_exact(&mut head)?;
        let [a, b, c, d, e, f, g, h] = head;
        let (length, sum) = (u32::from_le_bytes([a, b, c, d]) as usize, u32::from_le_bytes([e, f, g, h]));
        if !(FIXED..=RECORD_MAX).contains(&length) {
            return Err(io::Error::other("a record is damaged"));
        }
        let mut payload = vec![0; length];
        file.read_exact(&mut payload)?;
        if crc32fast::hash(&payload) != sum {
            return Err(io::Error::other("a record is damaged"));
        }
        let record = decode(&payload).ok_or_else(|| io::Error::other("a record is damaged"))?;
        Ok((record, place + (HEAD + length) as u64))
    }

    /// The receiver has the first `n` of the records that were read.
    pub fn acknowledge(&mut self, n: usize) {
        let Some(&(number, end)) = n.checked_sub(1).and_then(|i| self.read.get(i)) else { return };
        self.read.drain(..n);
        self.pending = self.pending.saturating_sub(n as u64);
        self.begun.insert(number, end);
        for done in self.segments.range(..number).map(|(n, _)| *n).collect::<Vec<_>>() {
            self.remove(done);
        }
        if self.segments.get(&number).is_some_and(|size| *size == end) && self.pending == 0 {
            // Everything has arrived: the disk is given back, and the next record begins a new file.
            self.tail = None;
            self.head = None;
            self.read.clear();
            self.remove(number);
        }
        if let Err(e) = self.save() {
            // After a crash, these are sent twice, with their ids.
            tracing::debug!("{}: position not saved: {e}", self.dir.display());
        }
    }

    fn save(&self) -> io::Result<()> {
        let text: String = self.begun.iter().map(|(n, p)| format!("{n:016x} {p}\n")).collect();
        let new = self.dir.join("position.new");
        options().truncate(true).open(&new)?.write_all(text.as_bytes())?;
        fs::rename(new, self.dir.join("position"))
    }

    /// Puts what was written on the disk itself, against a loss of power.
    pub fn sync(&self) {
        if let Some((_, file)) = &self.tail
            && let Err(e) = file.sync_data()
        {
            tracing::debug!("{}: {e}", self.dir.display());
        }
    }
}

/// Events are for those who may read them.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(0o600);
    options
}

fn encode(r: &Record, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; HEAD]);
    out.extend_from_slice(&r.sequence.to_le_bytes());
    out.extend_from_slice(r.id.as_bytes());
    out.extend_from_slice(&r.at_ns.to_le_bytes());
    let kind = r.kind.as_bytes().get(..usize::from(u8::MAX)).unwrap_or(r.kind.as_bytes());
    out.extend_from_slice(&[r.severity, kind.len() as u8]);
    out.extend_from_slice(kind);
    out.extend_from_slice(&r.body);
    let payload = out.get(start + HEAD..).unwrap_or_default();
    let (length, sum) = (payload.len() as u32, crc32fast::hash(payload));
    let head = length.to_le_bytes().into_iter().chain(sum.to_le_bytes());
    out.iter_mut().skip(start).zip(head).for_each(|(to, from)| *to = from);
}

fn decode(payload: &[u8]) -> Option<Record> {
    let (sequence, rest) = payload.split_first_chunk::<8>()?;
    let (id, rest) = rest.split_first_chunk::<16>()?;
    let (at_ns, rest) = rest.split_first_chunk::<8>()?;
    let ([severity, kind], rest) = rest.split_first_chunk::<2>()?;
    let (kind, body) = rest.split_at_checked(usize::from(*kind))?;
    Some(Record {
        sequence: u64::from_le_bytes(*sequence),
        id: Uuid::from_bytes(*id),
        at_ns: i64::from_le_bytes(*at_ns),
        severity: *severity,
        kind: crate::event::action_word(std::str::from_utf8(kind).ok()?),
        body: Bytes::copy_from_slice(body),
    })
}

/// Size of the whole record that the octets begin with.
fn whole(octets: &[u8]) -> Option<usize> {
    let (length, rest) = octets.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    let payload = rest.get(..length).filter(|_| (FIXED..=RECORD_MAX).contains(&length))?;
    (crc32fast::hash(payload) == u32::from_le_bytes(*sum)).then_some(HEAD + length)
}

#[cfg(test)]
mod tests;
