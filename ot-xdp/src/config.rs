//! Configuration: one TOML file and the options laid over it; everything that can be wrong is found here.

mod error;
mod operation;
mod read;
mod sink;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use ot_xdp_common::limits::FLOWS;
use ot_xdp_common::proto::Proto;
use serde::Deserialize;

use crate::text::{size_text, time};
pub use error::ConfigError;
pub(crate) use operation::find as function;
pub use operation::{SiteFunction, SiteOperation};
pub use read::FLOWS_RANGE;
#[cfg(test)]
pub(crate) use read::parse as parse_text;
pub(crate) use read::{number_text, numbers};
pub use sink::{Carrier, Format, SPOOL_DIR, Secret, SinkEntry, SinkKind};

use crate::bindings::BindingTable;
use crate::cli::{ModeArg, ReplayArgs, RunArgs};
use crate::policy::{Policy, PolicySection, RuleEntry, WindowEntry, ZoneEntry};

/// What the sensor does. [`Config::default`] is a complete one, except that it names no interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// `[sensor]`
    pub sensor: Sensor,
    /// `[capture]`
    pub capture: Capture,
    /// `[counters]`
    pub counters: Counters,
    /// `[events]`
    pub events: Events,
    /// `[[sink]]`, in the order of the file, or `--output`.
    pub sink: Vec<SinkEntry>,
    /// `[baseline]`
    pub baseline: BaselineSection,
    /// `[[binding]]`, in the order of the file.
    pub binding: Vec<SiteBinding>,
    /// `[[operation]]`, in the order of the file.
    pub operation: Vec<SiteOperation>,
    /// `[policy]`
    pub policy: Option<PolicySection>,
    /// `[[zone]]`, in the order of the file.
    pub zone: Vec<ZoneEntry>,
    /// `[[rule]]`, in the order of the file.
    pub rule: Vec<RuleEntry>,
    /// `[[window]]`, in the order of the file.
    pub window: Vec<WindowEntry>,
}

/// Who reports.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sensor {
    /// Name in every event; the host's name by default.
    #[serde(deserialize_with = "read::sensor_name")]
    pub name: String,
}

/// Where frames come from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Capture {
    /// Interfaces to attach to.
    #[serde(deserialize_with = "read::interfaces")]
    pub interfaces: Vec<String>,
    /// In the driver, or behind it.
    #[serde(deserialize_with = "read::attach_mode")]
    pub attach_mode: ModeArg,
    /// Attach behind the driver where the driver cannot run XDP.
    pub allow_fallback: bool,
    /// Open tunnels.
    pub tunnels: bool,
}

/// Sizes of the kernel's maps.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Counters {
    /// Conversation-and-function keys that can be counted, within [`FLOWS_RANGE`].
    #[serde(deserialize_with = "read::flows")]
    pub flows: u32,
}

/// What is reported, and how often.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Events {
    /// Time between flow summaries, and between health events.
    #[serde(deserialize_with = "read::interval")]
    pub interval: Duration,
    /// Report the first use of a function on a conversation.
    pub first_seen: bool,
    /// Octets of events a day that a running sensor makes at most.
    #[serde(deserialize_with = "read::daily")]
    pub daily: u64,
    /// Directory of the spools, one below it for each sink.
    pub spool_dir: PathBuf,
}

/// What is normal here, and how it is judged.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BaselineSection {
    /// File that keeps it; without one nothing is learned.
    pub path: Option<PathBuf>,
    /// Profile in it: one of several baselines of the same plant.
    #[serde(deserialize_with = "read::profile")]
    pub profile: String,
    /// False alarms a week that the detectors of cadence may make together on a network that does not change.
    #[serde(deserialize_with = "read::budget")]
    pub budget: f64,
    /// Observation that a key needs before its cadence is judged.
    #[serde(deserialize_with = "read::min_observed")]
    pub min_observed: Duration,
    /// Lock by itself when it is a candidate. What changes the state of a device waits for a person all the same.
    pub auto_lock: bool,
}

impl Eq for BaselineSection {}

impl Default for BaselineSection {
    fn default() -> Self {
        BaselineSection {
            path: None,
            profile: "default".to_owned(),
            budget: 1.0,
            min_observed: Duration::from_secs(86_400),
            auto_lock: false,
        }
    }
}

impl BaselineSection {
    /// How to watch; `judge` tells what is not in the baseline although it is not locked.
    pub fn settings(&self, judge: bool) -> (bool, u32, f64) {
        (judge, u32::try_from(self.min_observed.as_secs()).unwrap_or(u32::MAX), self.budget)
    }
}

/// A site's own registration of a protocol, or the removal of a default one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteBinding {
    /// Protocol that frames can begin with.
    #[serde(deserialize_with = "read::root_protocol")]
    pub protocol: Proto,
    /// TCP ports.
    #[serde(default, deserialize_with = "read::ports")]
    pub tcp: Vec<u16>,
    /// UDP ports.
    #[serde(default, deserialize_with = "read::ports")]
    pub udp: Vec<u16>,
    /// EtherTypes.
    #[serde(default, deserialize_with = "read::ethertypes")]
    pub ethertypes: Vec<u16>,
    /// Take these registrations away instead of adding them.
    #[serde(default)]
    pub remove: bool,
}

/// Usual volume of events, in octets a day.
const DAILY: u64 = 16 << 30;

impl Default for Sensor {
    fn default() -> Self {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let name = name.trim();
        Sensor { name: if name.is_empty() { "ot-xdp".to_owned() } else { name.to_owned() } }
    }
}

impl Default for Capture {
    fn default() -> Self {
        Capture { interfaces: Vec::new(), attach_mode: ModeArg::Native, allow_fallback: false, tunnels: false }
    }
}

impl Default for Counters {
    fn default() -> Self {
        Counters { flows: FLOWS }
    }
}

impl Default for Events {
    fn default() -> Self {
        Events { interval: Duration::from_secs(60), first_seen: true, daily: DAILY, spool_dir: SPOOL_DIR.into() }
    }
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place, or everything that keeps the policy from coming in force.
    pub fn load(file: &Path) -> Result<Config, ConfigError> {
        let config = Config::load_any_policy(file)?;
        match Policy::from_config(&config) {
            Ok(_) => Ok(config),
            Err(problems) => Err(ConfigError::Policy { file: file.to_owned(), problems }),
        }
    }

    /// Reads a file and leaves it to the caller to check its policy.
    ///
    /// # Errors
    /// The first thing that is wrong elsewhere.
    pub fn load_any_policy(file: &Path) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| ConfigError::Read { file: file.to_owned(), error: error.to_string() })?;
        read::parse(file, &text)
    }

    /// The configuration of `run`: the file if there is one, and the options laid over it.
    ///
    /// # Errors
    /// What is wrong in the file or in an option.
    pub fn for_run(args: &RunArgs) -> Result<Config, ConfigError> {
        args.config.as_deref().map_or_else(|| Ok(Config::default()), Config::load)?.with_run(args)
    }

    /// The configuration of `replay`: the file if there is one, and the options laid over it.
    ///
    /// # Errors
    /// What is wrong in the file or in an option.
    pub fn for_replay(args: &ReplayArgs) -> Result<Config, ConfigError> {
        args.config.as_deref().map_or_else(|| Ok(Config::default()), Config::load)?.with_replay(args)
    }

    /// Lays the options of `run` over the file: what is given on the command line counts. Interfaces replace those of
    /// the file.
    ///
    /// # Errors
    /// [`ConfigError::Option`] for a value that the file would refuse as well.
    pub fn with_run(mut self, args: &RunArgs) -> Result<Config, ConfigError> {
        let option = |option: &'static str| move |reason: String| ConfigError::Option { option, reason };
        if !args.interfaces.is_empty() {
            read::check_interfaces(&args.interfaces).map_err(option("--interface"))?;
            self.capture.interfaces.clone_from(&args.interfaces);
        }
        if let Some(mode) = args.attach_mode {
            self.capture.attach_mode = mode;
        }
        self.capture.allow_fallback |= args.allow_fallback;
        self.capture.tunnels |= args.tunnels;
        if let Some(path) = &args.baseline {
            self.baseline.path = Some(path.clone());
        }
        if let Some(profile) = &args.profile {
            self.baseline.profile = read::check_profile(profile).map_err(option("--profile"))?;
        }
        if let Some(flows) = args.flows {
            self.counters.flows = read::check_flows(flows.into()).map_err(option("--flows"))?;
        }
        if !args.outputs.is_empty() {
            self.sink = args
                .outputs
                .iter()
                .map(|t| SinkEntry::from_option(t))
                .collect::<Result<_, _>>()
                .map_err(option("--output"))?;
            sink::name_all(&mut self.sink).map_err(|(_, reason)| reason).map_err(option("--output"))?;
        }
        self.with_interval(args.interval)
    }

    /// Lays the options of `replay` over the file.
    ///
    /// # Errors
    /// [`ConfigError::Option`] for a value that the file would refuse as well.
    pub fn with_replay(mut self, args: &ReplayArgs) -> Result<Config, ConfigError> {
        self.capture.tunnels |= args.tunnels;
        if let Some(profile) = &args.profile {
            self.baseline.profile =
                read::check_profile(profile).map_err(|reason| ConfigError::Option { option: "--profile", reason })?;
        }
        self.with_interval(args.interval)
    }

    fn with_interval(mut self, interval: Option<Duration>) -> Result<Config, ConfigError> {
        if let Some(interval) = interval {
            self.events.interval = read::check_interval(interval)
                .map_err(|reason| ConfigError::Option { option: "--interval", reason })?;
        }
        Ok(self)
    }

    /// Name in every event.
    pub fn sensor_name(&self) -> String {
        self.sensor.name.clone()
    }

    /// The registrations: the protocols' defaults, without what the site takes away, with what it adds; and the kinds of
    /// the functions that it knows better, and whether tunnels are opened.
    ///
    /// # Errors
    /// [`ConfigError::Binding`] when entries contradict each other. A configuration that came from [`Config::load`]
    /// has been checked.
    pub fn bindings(&self) -> Result<BindingTable, ConfigError> {
        let mut table =
            read::table(&self.binding).map_err(|(entry, reason)| ConfigError::Binding { entry: entry + 1, reason })?;
        table.open_tunnels(self.capture.tunnels);
        for entry in &self.operation {
            entry.function.codes.iter().for_each(|code| table.overrule(entry.function.proto, *code, entry.kind()));
        }
        Ok(table)
    }

    /// A complete file with every key, its default and what it means. Parses back to [`Config::default`].
    pub fn defaults_toml() -> String {
        let Config { capture, counters, events, baseline, .. } = Config::default();
        let mode = read::mode_word(capture.attach_mode);
        let interval = time(events.interval);
        let (least, most) = (FLOWS_RANGE.start(), FLOWS_RANGE.end());
        format!(
            "\
# ot-xdp: every key with its default. Nothing has to be set; `ot-xdp check --config FILE` says what a file means.

[sensor]
# Name in every event. Default: the name of the host.
# name = \"cell-7\"

[capture]
# Interfaces to listen on. Behind a bridge: its ports, not the bridge.
interfaces = []
# \"native\": in the driver. \"skb\": behind it, which every driver can; slower, and frames may be merged.
attach_mode = \"{mode}\"
# Where a driver cannot run XDP, attach behind it and say so in every health event, instead of refusing to start.
allow_fallback = {fallback}
# Open tunnels (VXLAN, GRE, ERSPAN), one level: frames from a remote mirror port are judged by the frame inside.
tunnels = {tunnels}

[counters]
# Conversation-and-function keys that can be counted one by one, {least} to {most}. Further ones are counted together.
flows = {flows}

[events]
# Time between flow summaries, and between health events: a whole number and ms, s, m, h or d.
interval = \"{interval}\"
# Report the first use of each function on each conversation at once.
first_seen = {first_seen}
# Octets of events that are made a day, at most, whatever happens on the network. What is over it is counted and told.
daily = \"{daily}\"
# Where events wait on disk for receivers that do not answer; a directory for each sink.
spool_dir = \"{spool_dir}\"

# A receiver of events. Without one, events go to standard output. Repeat as often as needed.
# [[sink]]
# type = \"syslog\"           # stdout, file, syslog, nats, kafka, mqtt, splunk, elasticsearch, otlp
# name = \"siem\"
# format = \"ecs\"            # ecs, eve, cef
# kinds = []                # only these event.action
# except = [\"otxdp-stats\"]
# min_severity = 1          # 21 low, 47 medium, 73 high, 99 critical
# zones = []
# address = \"siem.example:6514\"
# transport = \"tls\"         # udp, tcp, tls
# ca_file = \"/etc/ot-xdp/ca.pem\"
# spool = \"256MiB\"          # 0: none

[baseline]
# File that keeps what is normal here; without one nothing is learned. `ot-xdp baseline` shows and locks it.
# path = \"/var/lib/ot-xdp/baseline\"
# One of several baselines in the file: shift, weekend, maintenance.
profile = \"{profile}\"
# False alarms a week that all detectors of cadence may make together on a network that does not change.
budget = {budget:?}
# Observation that a key needs before its cadence is judged.
min_observed = \"{min_observed}\"
# Lock as soon as enough is known. What changes the state of a device waits for a person all the same.
auto_lock = {auto_lock}

# A protocol on ports or EtherTypes of this site, beside the registered ones (`ot-xdp schema protocols`). What comes in
# there still has to be that protocol by its content. Repeat the block as often as needed.
# [[binding]]
# protocol = \"modbus\"
# tcp = [1502]
# udp = []
# ethertypes = []
# remove = false          # true: these registrations are taken away

# A function that this site knows better than the tables (`ot-xdp schema operations`): a private code whose meaning is
# known here, or a write that nobody has to hear of. The function is written as in events. Repeat as often as needed.
# [[operation]]
# function = \"modbus:91\"
# class = \"write\"
# state_changing = true

# A gateway's policy: who may ask what of the plant. What no line is about passes.
# [policy]
# preset = \"protect-writes\" # observe, protect-writes, protect-program, strict
# refuse = \"reset\"          # or \"drop\": what happens to a refused TCP segment
# dead_man = \"2s\"           # age of the loader's last sign of life at which everything passes

# A zone, by bridge ports, VLAN ids, MAC addresses or prefixes. Repeat as often as needed, up to 15.
# [[zone]]
# name = \"plant\"
# level = 1                 # Purdue level: 0 to 5, also 3.5
# side = \"ot\"               # it, dmz, ot
# ports = []
# vlans = []
# macs = []
# prefixes = [\"10.20.0.0/16\"]

# A line in front of the preset's; the first that matches decides.
# [[rule]]
# from = \"any\"              # a zone, a list of them, unzoned, side:it
# to = \"plant\"
# protocol = \"modbus\"       # a name, a list, any
# class = \"write\"           # words of classes, state-changing, any
# # instead of class: function = \"modbus:16\"; of all three: condition = \"unaligned\"
# unit = 3                  # or \"1-5\"
# address = \"0-99\"
# source = \"10.0.5.7\"
# destination = \"10.20.3.20/32\"
# action = \"alert\"          # allow, alert, deny
# reason = \"why it is there\"
# owner = \"who answers for it\"
# ticket = \"CHG-17\"
# expires = \"2099-12-01T00:00:00Z\"
# window = \"sunday-night\"

# A weekly time in which a rule holds.
# [[window]]
# name = \"sunday-night\"
# days = [\"sun\"]            # the days on which it begins
# from = \"22:00\"
# to = \"04:00\"
# timezone = \"utc\"          # or \"local\"
",
            fallback = capture.allow_fallback,
            tunnels = capture.tunnels,
            flows = counters.flows,
            first_seen = events.first_seen,
            daily = size_text(events.daily),
            spool_dir = events.spool_dir.display(),
            profile = baseline.profile,
            budget = baseline.budget,
            min_observed = time(baseline.min_observed),
            auto_lock = baseline.auto_lock,
        )
    }
}
