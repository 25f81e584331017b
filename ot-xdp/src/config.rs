//! Configuration: file and command line to what the stages need.

use std::time::Duration;

use crate::bindings::BindingTable;
use crate::cli::{ModeArg, ReplayArgs, RunArgs};
use crate::source::kernel::AttachMode;

/// Error.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

/// Capture.
#[derive(Clone, Debug)]
pub struct CaptureConfig {
    /// Interfaces.
    pub interfaces: Vec<String>,
    /// Fallback.
    pub allow_fallback: bool,
    mode: AttachMode,
}
/// Counters.
#[derive(Clone, Debug)]
pub struct Counters {
    /// Keys.
    pub flows: u32,
}
/// Events.
#[derive(Clone, Debug)]
pub struct Events {
    /// Interval.
    pub interval: Duration,
    /// First seen.
    pub first_seen: bool,
}
/// All.
#[derive(Clone, Debug)]
pub struct Config {
    /// Capture.
    pub capture: CaptureConfig,
    /// Counters.
    pub counters: Counters,
    /// Events.
    pub events: Events,
}
impl Config {
    fn base() -> Config {
        Config {
            capture: CaptureConfig { interfaces: vec![], allow_fallback: false, mode: AttachMode::Native },
            counters: Counters { flows: 65536 },
            events: Events { interval: Duration::from_secs(60), first_seen: true },
        }
    }
    /// For run.
    pub fn for_run(a: &RunArgs) -> Result<Config, ConfigError> {
        let mut c = Self::base();
        c.capture.interfaces = a.interfaces.clone();
        c.capture.allow_fallback = a.allow_fallback;
        if a.attach_mode == Some(ModeArg::Skb) {
            c.capture.mode = AttachMode::Generic;
        }
        c.events.interval = a.interval.unwrap_or(c.events.interval);
        c.counters.flows = a.flows.unwrap_or(c.counters.flows);
        Ok(c)
    }
    /// For replay.
    pub fn for_replay(a: &ReplayArgs) -> Result<Config, ConfigError> {
        let mut c = Self::base();
        c.events.interval = a.interval.unwrap_or(c.events.interval);
        Ok(c)
    }
    /// Bindings.
    pub fn bindings(&self) -> Result<BindingTable, ConfigError> {
        Ok(BindingTable::default())
    }
    /// Name.
    pub fn sensor_name(&self) -> String {
        crate::pipeline::hostname()
    }
    /// Mode.
    pub fn attach_mode(&self) -> AttachMode {
        self.capture.mode
    }
}
