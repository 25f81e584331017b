//! The watch in a pipeline, and its baseline on disk.

use std::path::PathBuf;
use std::time::SystemTime;

use crate::baseline::store::{Decision, Saved, Store, now_text};
use crate::baseline::{Baseline, State, lifecycle};
use crate::detect::{Settings, Watch};
use crate::event::BaselineInfo;

const SECOND: u64 = 1_000_000_000;
/// Time between two looks at all counters.
pub const LOOK_NS: u64 = 10 * SECOND;
/// Time between two writes of what was learned.
const SAVE_NS: u64 = 60 * SECOND;

/// Where a baseline is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// The profile in it.
    pub profile: String,
    /// Is it written? Judging captures leaves it as it is.
    pub write: bool,
}

/// The watch and where its baseline is kept.
pub struct Keeper {
    /// Learns and judges.
    pub watch: Watch,
    settings: Settings,
    place: Option<Place>,
    saved: Saved,
    saved_ns: u64,
    begin_ns: Option<u64>,
    written: Option<SystemTime>,
    told: Vec<(String, String, String)>,
    failed: bool,
    changed: bool,
    auto_lock: bool,
    maintenance: Option<(u32, String)>,
}

impl Keeper {
    /// A watch over a baseline that is kept here, or nowhere.
    pub fn new(baseline: Baseline, settings: Settings, place: Option<Place>) -> Keeper {
        let written = place.as_ref().and_then(modified);
        let maintenance = place.as_ref().and_then(|p| Store::at(&p.path).maintenance(&p.profile).ok()).flatten();
        Keeper {
            watch: Watch::new(baseline, settings),
            settings,
            place,
            saved: Saved::default(),
            saved_ns: 0,
            begin_ns: None,
            written,
            told: Vec::new(),
            failed: false,
            changed: true,
            auto_lock: false,
            maintenance,
        }
    }

    /// Name of the maintenance window that is open at this second of the wall clock.
    pub fn maintenance(&self, wall_s: u32) -> Option<String> {
        self.maintenance.as_ref().filter(|(until, _)| wall_s < *until).map(|(_, name)| name.clone())
    }

    /// Locks by itself as soon as enough is known.
    pub fn auto_lock(&mut self, on: bool) {
        self.auto_lock = on;
    }

    /// What alerts tell of the baseline.
    pub fn info(&self) -> BaselineInfo {
        let b = self.watch.baseline();
        BaselineInfo { state: b.state.word(), version: b.version, age_s: b.observed_s }
    }

    /// An event told of a member.
    pub fn remember(&mut self, event: String, dedup: &str, member: Option<&String>) {
        self.changed = true;
        if let Some(member) = member {
            self.told.push((event, dedup.to_owned(), member.clone()));
        }
    }

    /// Takes over what a person has decided, and writes what was learned when it is time. An error is told once; what could
    /// not be written is written the next time.
    pub fn keep(&mut self, now_ns: u64, last: bool) -> Option<String> {
        let place = self.place.clone()?;
        let store = Store::at(&place.path);
        self.take_over(&store, &place);
        let judging = self.watch.is_judging();
        // Often at first: a sensor that has just begun has everything to lose.
        let begin = *self.begin_ns.get_or_insert(now_ns);
        let due = now_ns.saturating_sub(self.saved_ns) >= SAVE_NS.min(now_ns.saturating_sub(begin) / 2);
        if !place.write || !(last || due || (judging && self.changed)) {
            return None;
        }
        self.saved_ns = now_ns;
        if !judging {
            lifecycle::promote(self.watch.baseline_mut());
        }
        let mut decision = None;
        if self.auto_lock && self.watch.baseline().state == State::Candidate {
            let wall_s = u32::try_from(jiff::Timestamp::now().as_second()).unwrap_or(0);
            lifecycle::lock(self.watch.baseline_mut(), false, wall_s, &self.settings.rules);
            self.watch.decided();
            let version = self.watch.baseline().version;
            tracing::info!("enough is known: the baseline is locked as version {version}");
            decision = Some(Decision {
                at: now_text(),
                by: "configuration".to_owned(),
                what: "lock".to_owned(),
                profile: place.profile.clone(),
                about: "with what was learned".to_owned(),
                ticket: None,
                version,
                hash: String::new(),
            });
        }
        let done = store.save(&place.profile, self.watch.baseline(), &mut self.saved, decision.as_ref());
        let done = done.and_then(|()| store.told(&self.told));
        match done {
            Ok(()) => {
                self.told.clear();
                self.written = modified(&place);
                (self.failed, self.changed) = (false, false);
                None
            }
            // Said once, until it works again.
            Err(e) => (!std::mem::replace(&mut self.failed, true)).then(|| e.to_string()),
        }
    }

    /// Somebody else has written the file: their version counts when it is newer.
    fn take_over(&mut self, store: &Store, place: &Place) {
        let now = modified(place);
        if now == self.written {
            return;
        }
        self.written = now;
        let theirs = match store.load(&place.profile) {
            Ok(Some(b)) => b,
            Ok(None) => return,
            Err(e) => {
                tracing::warn!("{e}; going on with what is in memory");
                return;
            }
        };
        self.maintenance = store.maintenance(&place.profile).ok().flatten();
        if theirs.version == self.watch.baseline().version {
            return;
        }
        tracing::info!("version {} of the baseline is in force ({})", theirs.version, theirs.state.word());
        let was_locked = self.watch.baseline().state == State::Locked;
        let is_locked = theirs.state == State::Locked;
        *self.watch.baseline_mut() = theirs;
        self.watch.decided();
        if was_locked != is_locked {
            self.watch.restart();
        }
        self.saved = Saved::default();
    }

    /// How it was made.
    pub fn settings(&self) -> Settings {
        self.settings
    }
}

fn modified(place: &Place) -> Option<SystemTime> {
    std::fs::metadata(&place.path).and_then(|m| m.modified()).ok()
}
