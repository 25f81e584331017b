//! The gateway's part of `ot-xdp run`: which ports, which policy, which mode.

mod permits;
mod status;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use jiff::Timestamp;
use ot_xdp_common::policy::Mode;

use crate::cli::{GateArgs, GateMode};
use crate::config::{Config, ConfigError};
use crate::control::Permit;
use crate::event::{Event, ecs};
use crate::gate::{DEAD_MAN, Gate, PINNED_DEAD_MAN, Plan};
use crate::policy::{Now, Policy, Problem};
use crate::source::kernel::Kernel;
use crate::sys::clock;
use crate::sys::link::Link;
use permits::Permits;

/// How often the gate beats and reports.
pub const TICK: Duration = Duration::from_millis(100);

const DENIES_NOTHING: &str = "the policy denies nothing, so there is nothing to enforce: name a preset, like \
                              preset = \"protect-writes\" below [policy], or write rules that deny";

/// What the operator asked for, and the gate that does it.
pub struct Gateway {
    args: GateArgs,
    policy: Policy,
    permits: Permits,
    /// When a window of the policy begins or ends, and it has to be compiled again; monotonic.
    renew_ns: Option<u64>,
    gate: Option<Gate>,
    /// Ports as of the last look, by name.
    known: BTreeMap<String, u32>,
}

/// The policy of the configuration, or the one between the ports of the command line.
fn policy(args: &GateArgs, config: &Config) -> Result<Policy> {
    let lines = |problems: Vec<Problem>| {
        let all: Vec<String> = problems.iter().map(|p| format!("line {}: {}", p.line, p.reason)).collect();
        ConfigError::Option { option: "--config", reason: all.join("; ") }
    };
    match Policy::from_config(config).map_err(lines)? {
        Some(_) if !args.it_ports.is_empty() || !args.ot_ports.is_empty() => {
            let reason =
                "the configuration has zones and a policy: name the ports there, with `ports` of a zone".to_owned();
            Err(ConfigError::Option { option: "--it-port, --ot-port", reason }.into())
        }
        Some(policy) => Ok(policy),
        None => {
            let (it, ot) = args.sides();
            Ok(Policy::simple(&it, &ot))
        }
    }
}

impl GateArgs {
    /// Ports towards IT, and towards the plant.
    fn sides(&self) -> (Vec<String>, Vec<String>) {
        let it = self.it_ports.iter().cloned().chain(self.pairs.iter().map(|p| p.it.clone()));
        let ot = self.ot_ports.iter().cloned().chain(self.pairs.iter().map(|p| p.ot.clone()));
        (it.collect(), ot.collect())
    }
}

impl Gateway {
    /// From the options; none when there is no gateway.
    ///
    /// # Errors
    /// Options that contradict each other.
    pub fn new(args: &GateArgs, config: &Config) -> Result<Option<Gateway>> {
        let wrong = |option: &'static str, reason: &str| ConfigError::Option { option, reason: reason.to_owned() };
        let (it_ports, ot_ports) = args.sides();
        if args.bridge.is_none() && it_ports.is_empty() && ot_ports.is_empty() {
            if args.mode != GateMode::Monitor {
                let reason =
                    "needs ports: name the bridge and its sides with --bridge, --it-port and --ot-port, or a --pair";
                return Err(wrong("--mode", reason).into());
            }
            return Ok(None);
        }
        if let Some(both) = it_ports.iter().find(|p| ot_ports.contains(p)) {
            return Err(wrong("--ot-port", &format!("`{both}` is an --it-port as well")).into());
        }
        let policy = policy(args, config)?;
        if args.mode != GateMode::Monitor && ot_ports.is_empty() && policy.preset.is_some() && config.policy.is_none() {
            return Err(wrong("--ot-port", "none given: there would be nothing to protect").into());
        }
        if args.mode == GateMode::Enforce && !policy.denies() {
            return Err(wrong("--mode", DENIES_NOTHING).into());
        }
        if args.confirm_within.is_some() && args.mode != GateMode::Enforce {
            return Err(wrong("--confirm-within", "only an arming (--mode enforce) is confirmed").into());
        }
        Ok(Some(Gateway {
            args: args.clone(),
            policy,
            permits: Permits::default(),
            renew_ns: None,
            gate: None,
            known: BTreeMap::new(),
        }))
    }

    /// Ports to watch: those of the bridge, or those that were named.
    pub fn ports(&self, links: &[Link]) -> Vec<(u32, String)> {
        let bridge = self.args.bridge.as_ref().and_then(|b| links.iter().find(|l| l.name == *b)).map(|l| l.index);
        let (it_ports, ot_ports) = self.args.sides();
        let is_port = |l: &Link| match self.args.bridge {
            Some(_) => l.master.is_some() && l.master == bridge,
            None => it_ports.contains(&l.name) || ot_ports.contains(&l.name),
        };
        links.iter().filter(|l| is_port(l)).map(|l| (l.index, l.name.clone())).collect()
    }

    fn plan(&mut self, ports: &[(u32, String)]) -> Result<Plan> {
        let now = Now::read();
        let policy = self.permits.over(&self.policy, now.wall);
        let compiled = policy.compile(now, ports)?;
        self.renew_ns = compiled.renew_ns;
        Ok(compiled.plan(&policy))
    }

    fn port_list(&self) -> Vec<(u32, String)> {
        self.known.iter().map(|(name, index)| (*index, name.clone())).collect()
    }

    /// Puts another policy in force, that of a configuration read again. A bad one leaves the old one as it is.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn reload(&mut self, kernel: &mut Kernel, config: Result<Config, ConfigError>) -> Result<Event> {
        let new = config.map_err(anyhow::Error::from).and_then(|c| policy(&self.args, &c));
        let new = match new {
            Ok(new) => new,
            Err(e) => {
                let reason = format!("the new policy is refused, the old one stays in force: {e:#}");
                tracing::error!("{reason}");
                let Some(gate) = &self.gate else { bail!("the gate was not begun") };
                return Ok(gate.audit("policy-load", false, reason, None));
            }
        };
        self.policy = new;
        self.renew(kernel).await
    }

    /// Compiles the policy again and puts it in force.
    async fn renew(&mut self, kernel: &mut Kernel) -> Result<Event> {
        let ports = self.port_list();
        let plan = self.plan(&ports)?;
        let Some(gate) = &mut self.gate else { bail!("the gate was not begun") };
        Ok(gate.replace(kernel, plan).await?)
    }

    /// Compiles the policy again when one of its windows begins or ends.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn follow_windows(&mut self, kernel: &mut Kernel) -> Result<Option<Event>> {
        if self.renew_ns.is_none_or(|at| clock::monotonic_ns() < at) {
            return Ok(None);
        }
        Ok(Some(self.renew(kernel).await?))
    }

    /// Puts the policy in force, without refusing anything yet.
    ///
    /// # Errors
    /// A bridge or port that is not there; the kernel refuses.
    pub fn begin(&mut self, kernel: &mut Kernel, links: &[Link]) -> Result<()> {
        if let Some(name) = &self.args.bridge {
            match links.iter().find(|l| l.name == *name) {
                None => bail!("there is no bridge `{name}`; `ip link show type bridge` lists those that exist"),
                Some(l) if l.kind.as_deref() != Some("bridge") => bail!("`{name}` is no bridge"),
                Some(_) => {}
            }
        }
        let ports = self.ports(links);
        for name in self.args.it_ports.iter().chain(&self.args.ot_ports) {
            if !ports.iter().any(|(_, port)| port == name) {
                let bridge = self.args.bridge.as_deref().unwrap_or("this host");
                bail!("`{name}` is no port of {bridge}; `bridge link` lists the ports");
            }
        }
        self.known = ports.iter().map(|(index, name)| (name.clone(), *index)).collect();
        let plan = self.plan(&ports)?;
        let default = if kernel.is_pinned() { PINNED_DEAD_MAN } else { DEAD_MAN };
        let dead_man = self.args.dead_man.or(self.policy.dead_man).unwrap_or(default);
        self.gate = Some(Gate::start(kernel, plan, dead_man)?);
        Ok(())
    }

    /// Sets the mode that the operator asked for.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn arm(&mut self, kernel: &mut Kernel) -> Result<Event> {
        let mode = match self.args.mode {
            GateMode::Monitor => Mode::Monitor,
            GateMode::Shadow => Mode::Shadow,
            GateMode::Enforce => Mode::Enforce,
        };
        let Some(gate) = &mut self.gate else { bail!("the gate was not begun") };
        Ok(gate.set_mode(kernel, mode, self.args.confirm_within)?)
    }

    /// Changes the mode while everything runs.
    ///
    /// # Errors
    /// An arming without anything to protect; the kernel refuses.
    pub fn set_mode(&mut self, kernel: &mut Kernel, mode: Mode, confirm: Option<Duration>) -> Result<Event> {
        let Some(gate) = &mut self.gate else { bail!("the gate was not begun") };
        if confirm.is_some() && mode != Mode::Enforce {
            bail!("only an arming (mode enforce) is confirmed");
        }
        if mode == Mode::Enforce && !self.policy.denies() {
            bail!(DENIES_NOTHING);
        }
        Ok(gate.set_mode(kernel, mode, confirm)?)
    }

    /// Puts an exception in front of the policy; its number, and what to report.
    ///
    /// # Errors
    /// What is wrong with it; nothing has changed.
    pub async fn permit(&mut self, kernel: &mut Kernel, permit: &Permit) -> Result<(String, Event)> {
        let (id, until) = self.permits.add(permit, &self.policy, Timestamp::now())?;
        if let Err(e) = self.renew(kernel).await {
            self.permits.revoke(id)?;
            return Err(e);
        }
        let class = if permit.class.is_empty() { "every operation".to_owned() } else { permit.class.join(", ") };
        let Permit { from, to, protocol, .. } = permit;
        let said = format!("permit {id}: {from} may do {class} of {protocol} at {to} until {until:.0}");
        let event = self.audit("policy-permit", said.clone());
        event.map(|event| (said, event)).ok_or_else(|| anyhow::anyhow!("the gate was not begun"))
    }

    /// Ends an exception.
    ///
    /// # Errors
    /// When there is none of this number; the kernel refuses.
    pub async fn revoke(&mut self, kernel: &mut Kernel, id: u64) -> Result<(String, Event)> {
        self.permits.revoke(id)?;
        self.renew(kernel).await?;
        let said = format!("permit {id} is revoked");
        let event = self.audit("policy-permit", said.clone());
        event.map(|event| (said, event)).ok_or_else(|| anyhow::anyhow!("the gate was not begun"))
    }

    /// Confirms the arming.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn confirm(&mut self, kernel: &mut Kernel) -> Result<Event> {
        let Some(gate) = &mut self.gate else { bail!("the gate was not begun") };
        if gate.control().confirm_ns == 0 {
            bail!("no arming waits for a confirmation");
        }
        gate.confirm(kernel)?;
        Ok(gate.audit("gate-mode-change", true, "the arming is confirmed".to_owned(), None))
    }

    /// Beats, and tells what became of frames.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn tick(&mut self, kernel: &mut Kernel, all: bool) -> Result<Vec<Event>> {
        let Some(gate) = &mut self.gate else { return Ok(Vec::new()) };
        let mut events: Vec<Event> = gate.tick(kernel)?.into_iter().collect();
        let name = |ifindex: u32| -> Arc<str> {
            let found = self.known.iter().find(|(_, index)| **index == ifindex);
            found.map_or_else(|| ifindex.to_string().into(), |(name, _)| name.as_str().into())
        };
        events.extend(gate.report(kernel, name, all)?);
        for id in self.permits.ended(Timestamp::now()) {
            events.push(gate.audit("policy-permit", true, format!("permit {id} has ended"), None));
        }
        if all {
            gate.make_room(kernel)?;
        }
        Ok(events)
    }

    /// Follows the ports of the bridge: what to report, names of ports that are gone, and of new ones.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn follow(&mut self, kernel: &mut Kernel, links: &[Link]) -> Result<(Vec<Event>, Vec<String>, Vec<String>)> {
        let ports = self.ports(links);
        let now: BTreeMap<String, u32> = ports.iter().map(|(index, name)| (name.clone(), *index)).collect();
        if now == self.known {
            return Ok((Vec::new(), Vec::new(), Vec::new()));
        }
        let gone: Vec<String> = self.known.keys().filter(|name| !now.contains_key(*name)).cloned().collect();
        let come: Vec<String> = now.keys().filter(|name| !self.known.contains_key(*name)).cloned().collect();
        let plan = self.plan(&ports)?;
        let mut events = Vec::new();
        if let Some(gate) = &mut self.gate {
            gate.set_ports(kernel, plan.tables.ports)?;
            for name in &gone {
                events.push(gate.audit("gate-port-lost", true, format!("{name} is no port any more"), None));
            }
            for name in &come {
                events.push(gate.audit("gate-port-attached", true, format!("{name} is a new port"), None));
            }
        }
        self.known = now;
        Ok((events, gone, come))
    }

    /// An event about something that was asked for and not done.
    pub fn refusal(&self, action: &'static str, why: &str) -> Option<Event> {
        self.gate.as_ref().map(|gate| gate.audit(action, false, why.to_owned(), None))
    }

    /// An event about what was done to the gateway.
    pub fn audit(&self, action: &'static str, reason: String) -> Option<Event> {
        self.gate.as_ref().map(|gate| gate.audit(action, true, reason, None))
    }

    /// Mode in force, for events.
    pub fn event_mode(&self) -> ecs::Mode {
        match self.gate.as_ref().map(Gate::mode) {
            Some(Mode::Enforce) => ecs::Mode::Enforce,
            Some(Mode::Shadow) => ecs::Mode::Shadow,
            _ => ecs::Mode::Monitor,
        }
    }
}
