//! The baseline on disk: one redb file, every change one transaction. It is opened only for the moment of a change, so that
//! the sensor and a person at the command line share it.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition, TableError};
use sha1::{Digest, Sha1};

use super::line;
use super::model::Baseline;

/// Rows: profile, NUL, member; the fields of the member.
const ROWS: TableDefinition<'_, &str, &str> = TableDefinition::new("rows");
/// Names and values: the format, and the head of each profile.
const META: TableDefinition<'_, &str, &str> = TableDefinition::new("meta");
/// Decisions, in order, each with the hash of those before it.
const DECISIONS: TableDefinition<'_, u64, &str> = TableDefinition::new("decisions");
/// Exports by profile, NUL, version; gzip.
const VERSIONS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("versions");
/// Members that were told, by event id and by key of de-duplication.
const TOLD: TableDefinition<'_, &str, &str> = TableDefinition::new("told");

/// Format of the file.
const FORMAT: &str = "1";
/// How long somebody else's change is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// Events whose members are remembered.
const TOLD_MOST: u64 = 100_000;

/// What is wrong with a store, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be opened, read or written.
    #[error("baseline `{path}`: {what}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        what: String,
    },
    /// Another program holds it.
    #[error("baseline `{0}` is being changed by another program for 5 s; try again")]
    Busy(PathBuf),
    /// Written by a newer program.
    #[error(
        "baseline `{path}` has format {found}; this program reads {FORMAT}: use the program that wrote it, or export there and import here"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: String,
    },
    /// A row that is none.
    #[error("baseline `{path}`: row `{row}`: {what}")]
    Row {
        /// The file.
        path: PathBuf,
        /// The row.
        row: String,
        /// What is wrong with it.
        what: String,
    },
}

/// A decision of a person.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Decision {
    /// When, RFC 3339.
    pub at: String,
    /// Who.
    pub by: String,
    /// What: lock, accept, reject, import, maintenance.
    pub what: String,
    /// On which profile.
    pub profile: String,
    /// Which member, or further words.
    pub about: String,
    /// Ticket or reason.
    #[serde(default)]
    pub ticket: Option<String>,
    /// Version of the baseline after it.
    pub version: u32,
    /// Hash of the decision before and this one.
    #[serde(default)]
    pub hash: String,
}

/// What was written last, so that only changes are written.
#[derive(Debug, Default)]
pub struct Saved {
    rows: HashMap<String, u64>,
}

/// A file with baselines.
#[derive(Clone, Debug)]
pub struct Store {
    path: PathBuf,
}

impl Store {
    /// The file at this path; it is made with the first change.
    pub fn at(path: &Path) -> Store {
        Store { path: path.to_owned() }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Is there a file?
    pub fn exists(&self) -> bool {
        self.path.exists()
    }

    fn io(&self, e: impl std::fmt::Display) -> StoreError {
        StoreError::Io { path: self.path.clone(), what: e.to_string() }
    }

    fn open(&self) -> Result<Database, StoreError> {
        let begin = Instant::now();
        loop {
            match Database::create(&self.path) {
                Ok(db) => return self.check(db),
                Err(DatabaseError::DatabaseAlreadyOpen) if begin.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(DatabaseError::DatabaseAlreadyOpen) => return Err(StoreError::Busy(self.path.clone())),
                Err(e) => return Err(self.io(e)),
            }
        }
    }

    fn check(&self, db: Database) -> Result<Database, StoreError> {
        let read = db.begin_read().map_err(|e| self.io(e))?;
        let format = match read.open_table(META) {
            Ok(meta) => meta.get("format").map_err(|e| self.io(e))?.map(|v| v.value().to_owned()),
            Err(TableError::TableDoesNotExist(_)) => None,
            Err(e) => return Err(self.io(e)),
        };
        drop(read);
        match format {
            Some(found) if found != FORMAT => Err(StoreError::Newer { path: self.path.clone(), found }),
            _ => Ok(db),
        }
    }

    /// A baseline; none when the file or the profile is not there.
    ///
    /// # Errors
    /// A file that cannot be read, a newer format, a broken row.
    pub fn load(&self, profile: &str) -> Result<Option<Baseline>, StoreError> {
        if !self.exists() {
            return Ok(None);
        }
        let db = self.open()?;
        let read = db.begin_read().map_err(|e| self.io(e))?;
        let meta = match read.open_table(META) {
            Ok(meta) => meta,
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(e) => return Err(self.io(e)),
        };
        let Some(head) = meta.get(format!("head\0{profile}").as_str()).map_err(|e| self.io(e))? else {
            return Ok(None);
        };
        let mut b = Baseline::default();
        let row_error =
            |row: &str, what: String| StoreError::Row { path: self.path.clone(), row: row.to_owned(), what };
        let head = head.value().to_owned();
        line::read_header(&mut b, head.trim_start_matches("baseline ")).map_err(|e| row_error("head", e))?;
        let rows = read.open_table(ROWS).map_err(|e| self.io(e))?;
        let (first, last) = (format!("{profile}\0"), format!("{profile}\x01"));
        for row in rows.range(first.as_str()..last.as_str()).map_err(|e| self.io(e))? {
            let (key, fields) = row.map_err(|e| self.io(e))?;
            let key = key.value().get(first.len()..).unwrap_or_default().to_owned();
            line::insert(&mut b, &key, fields.value()).map_err(|e| row_error(&key, e))?;
        }
        Ok(Some(b))
    }

    /// Names of the profiles.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn profiles(&self) -> Result<Vec<String>, StoreError> {
        self.rows_of(META, |k, _| k.strip_prefix("head\0").map(str::to_owned))
    }

    fn rows_of<T>(
        &self,
        table: TableDefinition<'_, &'static str, &'static str>,
        mut pick: impl FnMut(&str, &str) -> Option<T>,
    ) -> Result<Vec<T>, StoreError> {
        if !self.exists() {
            return Ok(Vec::new());
        }
        let db = self.open()?;
        let read = db.begin_read().map_err(|e| self.io(e))?;
        let table = match read.open_table(table) {
            Ok(t) => t,
            Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            Err(e) => return Err(self.io(e)),
        };
        let mut out = Vec::new();
        for row in table.iter().map_err(|e| self.io(e))? {
            let (k, v) = row.map_err(|e| self.io(e))?;
            out.extend(pick(k.value(), v.value()));
        }
        Ok(out)
    }

    /// Writes what changed since the last time, in one transaction; with a decision, also that and an export of the version.
    ///
    /// # Errors
    /// A file that cannot be written, a full disk: the old state is intact, and everything is written the next time.
    pub fn save(
        &self,
        profile: &str,
        b: &Baseline,
        saved: &mut Saved,
        decision: Option<&Decision>,
    ) -> Result<(), StoreError> {
        let db = self.open()?;
        let write = db.begin_write().map_err(|e| self.io(e))?;
        let mut now = HashMap::with_capacity(saved.rows.len());
        {
            let mut meta = write.open_table(META).map_err(|e| self.io(e))?;
            meta.insert("format", FORMAT).map_err(|e| self.io(e))?;
            let head = line::header(b);
            meta.insert(format!("head\0{profile}").as_str(), head.as_str()).map_err(|e| self.io(e))?;
            let mut rows = write.open_table(ROWS).map_err(|e| self.io(e))?;
            let mut failed = None;
            // Without a memory of what was written the rows of this profile begin anew.
            if saved.rows.is_empty() {
                let (first, last) = (format!("{profile}\0"), format!("{profile}\x01"));
                rows.retain_in(first.as_str()..last.as_str(), |_, _| false).map_err(|e| self.io(e))?;
            }
            line::each(b, |key, fields| {
                let row = format!("{profile}\0{key}");
                let hash = hash_of(&fields);
                if failed.is_none()
                    && saved.rows.get(&row) != Some(&hash)
                    && let Err(e) = rows.insert(row.as_str(), fields.as_str())
                {
                    failed = Some(e);
                }
                now.insert(row, hash);
            });
            if let Some(e) = failed {
                return Err(self.io(e));
            }
            for gone in saved.rows.keys().filter(|row| !now.contains_key(*row)) {
                rows.remove(gone.as_str()).map_err(|e| self.io(e))?;
            }
            if let Some(d) = decision {
                let mut decisions = write.open_table(DECISIONS).map_err(|e| self.io(e))?;
                let (n, before) = match decisions.last().map_err(|e| self.io(e))? {
                    Some((n, text)) => (n.value() + 1, text.value().to_owned()),
                    None => (1, String::new()),
                };
                let before: Option<Decision> = serde_json::from_str(&before).ok();
                let mut d = d.clone();
                d.hash = String::new();
                d.hash = chain(&before.map_or_else(String::new, |b| b.hash), &d);
                let text = serde_json::to_string(&d).map_err(|e| self.io(e))?;
                decisions.insert(n, text.as_str()).map_err(|e| self.io(e))?;
                let mut versions = write.open_table(VERSIONS).map_err(|e| self.io(e))?;
                let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
                gz.write_all(line::export(b).as_bytes()).map_err(|e| self.io(e))?;
                let packed = gz.finish().map_err(|e| self.io(e))?;
                let name = format!("{profile}\0{:010}", b.version);
                versions.insert(name.as_str(), packed.as_slice()).map_err(|e| self.io(e))?;
            }
        }
        write.commit().map_err(|e| self.io(e))?;
        saved.rows = now;
        Ok(())
    }

    /// A maintenance window, until a second of the wall clock.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn set_maintenance(&self, profile: &str, name: &str, until_s: u32) -> Result<(), StoreError> {
        let db = self.open()?;
        let write = db.begin_write().map_err(|e| self.io(e))?;
        {
            let mut meta = write.open_table(META).map_err(|e| self.io(e))?;
            let text = format!("{until_s} {name}");
            meta.insert(format!("maintenance\0{profile}").as_str(), text.as_str()).map_err(|e| self.io(e))?;
        }
        write.commit().map_err(|e| self.io(e))
    }

    /// The last maintenance window: its end, seconds of the wall clock, and its name.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn maintenance(&self, profile: &str) -> Result<Option<(u32, String)>, StoreError> {
        let wanted = format!("maintenance\0{profile}");
        let found = self.rows_of(META, |k, v| {
            let (until, name) = v.split_once(' ').filter(|_| k == wanted)?;
            Some((until.parse().ok()?, name.to_owned()))
        })?;
        Ok(found.into_iter().next())
    }

    /// The export of a version.
    ///
    /// # Errors
    /// A file that cannot be read, a version that is not there.
    pub fn version(&self, profile: &str, version: u32) -> Result<String, StoreError> {
        let db = self.open()?;
        let read = db.begin_read().map_err(|e| self.io(e))?;
        let versions = read.open_table(VERSIONS).map_err(|e| self.io(e))?;
        let name = format!("{profile}\0{version:010}");
        let packed = versions.get(name.as_str()).map_err(|e| self.io(e))?;
        let packed = packed.ok_or_else(|| self.io(format!("no version {version} of profile `{profile}`")))?;
        let mut text = String::new();
        GzDecoder::new(packed.value()).read_to_string(&mut text).map_err(|e| self.io(e))?;
        Ok(text)
    }

    /// All decisions in order; an error names the first whose hash does not fit.
    ///
    /// # Errors
    /// A file that cannot be read, a chain that is broken.
    pub fn history(&self) -> Result<Vec<Decision>, StoreError> {
        if !self.exists() {
            return Ok(Vec::new());
        }
        let db = self.open()?;
        let read = db.begin_read().map_err(|e| self.io(e))?;
        let table = match read.open_table(DECISIONS) {
            Ok(t) => t,
            Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            Err(e) => return Err(self.io(e)),
        };
        let mut out: Vec<Decision> = Vec::new();
        for row in table.iter().map_err(|e| self.io(e))? {
            let (n, text) = row.map_err(|e| self.io(e))?;
            let d: Decision = serde_json::from_str(text.value()).map_err(|e| self.io(e))?;
            let mut bare = d.clone();
            bare.hash = String::new();
            let before = out.last().map_or("", |b| b.hash.as_str());
            if chain(before, &bare) != d.hash {
                return Err(self.io(format!("decision {} was changed after it was made", n.value())));
            }
            out.push(d);
        }
        Ok(out)
    }

    /// Remembers which members events told of, so that they can be accepted by the id of the event.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn told(&self, events: &[(String, String, String)]) -> Result<(), StoreError> {
        if events.is_empty() {
            return Ok(());
        }
        let db = self.open()?;
        let write = db.begin_write().map_err(|e| self.io(e))?;
        {
            use redb::ReadableTableMetadata;
            let mut table = write.open_table(TOLD).map_err(|e| self.io(e))?;
            for (id, dedup, member) in events {
                table.insert(id.as_str(), member.as_str()).map_err(|e| self.io(e))?;
                table.insert(dedup.as_str(), member.as_str()).map_err(|e| self.io(e))?;
            }
            // Ids begin with their time: the first ones are the oldest.
            while table.len().map_err(|e| self.io(e))? > TOLD_MOST {
                table.pop_first().map_err(|e| self.io(e))?;
            }
        }
        write.commit().map_err(|e| self.io(e))
    }

    /// The member that an event id, a key of de-duplication or a member's text stands for.
    ///
    /// # Errors
    /// A file that cannot be read, a text that is none of these.
    pub fn resolve(&self, text: &str) -> Result<String, StoreError> {
        if line::read_key(text).is_ok() {
            return Ok(text.to_owned());
        }
        let found = self.rows_of(TOLD, |k, v| (k == text).then(|| v.to_owned()))?;
        found.into_iter().next().ok_or_else(|| {
            self.io(format!(
                "`{text}` is no event that this baseline knows, and no member; give event.id, otxdp.deviation.dedup or otxdp.deviation.member"
            ))
        })
    }
}

fn hash_of(text: &str) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut h = DefaultHasher::new();
    text.hash(&mut h);
    h.finish()
}

fn chain(before: &str, d: &Decision) -> String {
    let text = serde_json::to_string(d).unwrap_or_default();
    let mut h = Sha1::new();
    h.update(before.as_bytes());
    h.update(text.as_bytes());
    h.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

/// Time now, RFC 3339.
pub fn now_text() -> String {
    jiff::Timestamp::now().to_string()
}
