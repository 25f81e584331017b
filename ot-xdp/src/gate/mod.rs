//! The gate as user space runs it: a policy in the kernel's maps, the mode, the heartbeat, and what to report.
//!
//! The kernel judges and refuses by itself; this side writes a policy into the generation that is not in use and turns
//! over, beats, and reads what became of frames. When it dies, the kernel passes everything after the dead-man time.

mod heart;
pub mod hits;
pub mod pair;
mod plan;
pub mod simple;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use ot_xdp_common::policy::{Control, DENIALS, DenialKey, GatePort, Mode};

use heart::Heart;
use hits::{Book, RuleTotal};

use crate::event::{Audit, Event, Refusal, RuleInfo};
use crate::source::kernel::{GateTables, Kernel, KernelError};
use crate::sys::clock;

/// Age of the last sign of life at which the kernel passes everything, unless the policy says otherwise.
pub const DEAD_MAN: Duration = Duration::from_secs(2);
/// The same for a program that outlives its loader: long enough for a restart and for an upgrade.
pub const PINNED_DEAD_MAN: Duration = Duration::from_secs(30);
/// How long a generation rests before it is written again: no frame is judged by it any more.
const REST: Duration = Duration::from_millis(100);

/// Records of denials at which the older half goes.
const MANY: usize = DENIALS as usize * 3 / 4;

/// A policy ready for the kernel, with what people want to know of it.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The maps' contents.
    pub tables: GateTables,
    /// What the rules are, by number; number 0 is none.
    pub rules: Vec<RuleInfo>,
    /// Names of the zones, by number; number 0 is `unzoned`.
    pub zones: Vec<String>,
}

/// The word of a mode.
pub const fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Monitor => "monitor",
        Mode::Shadow => "shadow",
        Mode::Enforce => "enforce",
    }
}

/// The running gate.
#[derive(Debug)]
pub struct Gate {
    control: Control,
    mode: Mode,
    /// By generation.
    plans: [Plan; 2],
    heart: Heart,
    turned_at: std::time::Instant,
    /// Frames of each record that were reported.
    reported: HashMap<DenialKey, u64>,
    hits: Book,
}

impl Gate {
    /// Puts a policy in force. Nothing is refused before [`Gate::set_mode`].
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn start(kernel: &mut Kernel, plan: Plan, dead_man: Duration) -> Result<Gate, KernelError> {
        kernel.write_policy(0, &plan.tables)?;
        // Larger than any of a loader before this one: turning over takes longer than this clock's tick.
        let generation = (clock::monotonic_ns() / (nanoseconds(REST) / 4)) as u32 & !1;
        let mut gate = Gate {
            control: Control { beat_limit_ns: nanoseconds(dead_man), generation, ..Control::default() },
            mode: Mode::Monitor,
            plans: [plan, Plan::default()],
            heart: Heart::start(kernel.take_beat()?)?,
            turned_at: std::time::Instant::now(),
            reported: HashMap::new(),
            hits: Book::default(),
        };
        gate.tick(kernel)?;
        Ok(gate)
    }

    /// Shows that the program is alive, and ends an arming that nobody confirmed. To be called several times a second.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn tick(&mut self, kernel: &mut Kernel) -> Result<Option<Event>, KernelError> {
        let now = clock::monotonic_ns();
        self.heart.alive();
        let mut event = None;
        if self.control.confirm_ns != 0 && now >= self.control.confirm_ns {
            let before = self.mode;
            self.mode = Mode::Shadow;
            self.control.mode = Mode::Shadow as u32;
            self.control.confirm_ns = 0;
            let reason = "the arming was not confirmed in time and is undone".to_owned();
            event = Some(self.audit("gate-mode-change", true, reason, Some((before, self.mode))));
            kernel.set_control(&self.control)?;
        }
        Ok(event)
    }

    /// Mode in force.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Changes the mode; an arming that is not confirmed within `confirm` is undone, by the kernel itself.
    ///
    /// # Errors
    /// When the kernel refuses; the mode is what it was.
    pub fn set_mode(
        &mut self,
        kernel: &mut Kernel,
        mode: Mode,
        confirm: Option<Duration>,
    ) -> Result<Event, KernelError> {
        let now = clock::monotonic_ns();
        let confirm_ns = match confirm {
            Some(time) if mode == Mode::Enforce => now.saturating_add(nanoseconds(time)),
            _ => 0,
        };
        let control = Control { mode: mode as u32, confirm_ns, ..self.control };
        kernel.set_control(&control)?;
        self.control = control;
        let before = std::mem::replace(&mut self.mode, mode);
        let reason = match confirm {
            Some(time) if mode == Mode::Enforce => {
                format!("mode {}; without a confirmation within {time:?} it is undone", mode_word(mode))
            }
            _ => format!("mode {}", mode_word(mode)),
        };
        Ok(self.audit("gate-mode-change", true, reason, Some((before, mode))))
    }

    /// Confirms an arming.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn confirm(&mut self, kernel: &mut Kernel) -> Result<(), KernelError> {
        self.control.confirm_ns = 0;
        kernel.set_control(&self.control)
    }

    /// Puts another policy in force, at once for each frame: a frame is judged by the old one or by the new one.
    ///
    /// # Errors
    /// When the kernel refuses; the old policy stays in force.
    pub async fn replace(&mut self, kernel: &mut Kernel, plan: Plan) -> Result<Event, KernelError> {
        tokio::time::sleep(REST.saturating_sub(self.turned_at.elapsed())).await;
        let next = self.control.generation.wrapping_add(1);
        self.forget(kernel, |key| key.rule >> 8 & 1 == next & 1)?;
        self.count(kernel)?;
        kernel.write_policy(next, &plan.tables)?;
        let control = Control { generation: next, ..self.control };
        self.hits.cleared(next);
        kernel.set_control(&control)?;
        self.control = control;
        self.turned_at = std::time::Instant::now();
        if let Some(slot) = self.plans.get_mut(next as usize & 1) {
            *slot = plan;
        }
        let reason = format!("policy with {} rules in force", self.rules());
        Ok(self.audit("policy-load", true, reason, None))
    }

    /// The ports of the bridge have changed.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn set_ports(&mut self, kernel: &mut Kernel, ports: Vec<GatePort>) -> Result<(), KernelError> {
        kernel.write_gate_ports(self.control.generation, &ports)?;
        // The same tables under a new number: what lies behind a port may be another zone now.
        let control = Control { generation: self.control.generation.wrapping_add(2), ..self.control };
        kernel.set_control(&control)?;
        self.control = control;
        if let Some(plan) = self.plans.get_mut(self.control.generation as usize & 1) {
            plan.tables.ports = ports;
        }
        Ok(())
    }

    /// What became of frames since the last call: what is new, and with `all` what was repeated.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn report(
        &mut self,
        kernel: &Kernel,
        name: impl Fn(u32) -> Arc<str>,
        all: bool,
    ) -> Result<Vec<Event>, KernelError> {
        let mut events = Vec::new();
        for (key, record) in kernel.denials()? {
            let before = self.reported.get(&key).copied().unwrap_or(0);
            let more = record.frames.saturating_sub(before);
            if more == 0 || (before != 0 && !all) {
                continue;
            }
            self.reported.insert(key, record.frames);
            let since = if before == 0 { record.first_ns } else { record.last_ns };
            let mut event = Refusal::new(&key, &record, more, since);
            event.interface = name(key.key.ifindex);
            if let Some(plan) = self.plans.get(key.rule as usize >> 8 & 1) {
                event.rule = plan.rules.get(key.rule as usize & 0xFF).cloned().unwrap_or_default();
                let zone = |number: u32| plan.zones.get(number as usize & 0xFF).cloned().unwrap_or_default();
                event.from_zone = zone(key.rule >> 16);
                event.to_zone = zone(key.rule >> 24);
            }
            events.push((record.first_ns, Event::Refusal(Box::new(event))));
        }
        events.sort_by_key(|(at, _)| *at);
        Ok(events.into_iter().map(|(_, event)| event).collect())
    }

    /// Makes room: records of the oldest frames go when there are many, and are reported again should they come back.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn make_room(&mut self, kernel: &mut Kernel) -> Result<(), KernelError> {
        if self.reported.len() < MANY {
            return Ok(());
        }
        let mut ages: Vec<u64> = kernel.denials()?.iter().map(|(_, record)| record.last_ns).collect();
        ages.sort_unstable();
        let Some(median) = ages.get(ages.len() / 2).copied() else { return Ok(()) };
        let old: HashSet<DenialKey> =
            kernel.denials()?.into_iter().filter(|(_, r)| r.last_ns <= median).map(|(key, _)| key).collect();
        self.forget(kernel, |key| old.contains(key))
    }

    fn forget(&mut self, kernel: &mut Kernel, which: impl Fn(&DenialKey) -> bool) -> Result<(), KernelError> {
        let gone: Vec<DenialKey> = self.reported.keys().filter(|key| which(key)).copied().collect();
        for key in gone {
            kernel.forget_denial(&key)?;
            self.reported.remove(&key);
        }
        Ok(())
    }

    /// Adds up what the rules decided.
    fn count(&mut self, kernel: &Kernel) -> Result<(), KernelError> {
        // Of the generation before as well: frames may have been under way when it was turned over.
        for generation in [0, 1] {
            let Some(plan) = self.plans.get(generation as usize) else { continue };
            let hits = kernel.rule_hits(generation, plan.rules.len() as u32)?;
            self.hits.add(generation, &plan.rules, &hits);
        }
        Ok(())
    }

    /// What each rule decided since the start, also those that are not in force any more.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn hits(&mut self, kernel: &Kernel) -> Result<Vec<RuleTotal>, KernelError> {
        self.count(kernel)?;
        Ok(self.hits.totals().cloned().collect())
    }

    /// The policy in force.
    pub fn plan(&self) -> Option<&Plan> {
        self.plans.get(self.control.generation as usize & 1)
    }

    /// Mode, heartbeat and generation as the kernel has them.
    pub fn control(&self) -> Control {
        self.control
    }

    /// Rules in force.
    pub fn rules(&self) -> u64 {
        let plan = self.plans.get(self.control.generation as usize & 1);
        plan.map_or(0, |p| p.rules.len().saturating_sub(1) as u64)
    }

    /// An event about the gate.
    pub fn audit(&self, action: &'static str, success: bool, reason: String, modes: Option<(Mode, Mode)>) -> Event {
        Event::Audit(Box::new(Audit {
            at_ns: clock::monotonic_ns(),
            action,
            success,
            reason,
            mode: modes.map(|(before, after)| (mode_word(before), mode_word(after))),
            rules: self.rules(),
            user: None,
            ticket: None,
        }))
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
