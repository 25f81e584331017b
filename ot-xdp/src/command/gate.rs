//! The gateway's part of `ot-xdp run`: which ports, which policy, which mode.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use ot_xdp_common::policy::Mode;

use crate::cli::{GateArgs, GateMode};
use crate::config::ConfigError;
use crate::event::{Event, ecs};
use crate::gate::{Gate, Plan, simple};
use crate::source::kernel::Kernel;
use crate::sys::link::Link;

/// How often the gate beats and reports.
pub const TICK: Duration = Duration::from_millis(100);

/// What the operator asked for, and the gate that does it.
pub struct Gateway {
    args: GateArgs,
    gate: Option<Gate>,
    /// Ports as of the last look, by name.
    known: BTreeMap<String, u32>,
}

impl Gateway {
    /// From the options; none when there is no gateway.
    ///
    /// # Errors
    /// Options that contradict each other.
    pub fn new(args: &GateArgs) -> Result<Option<Gateway>> {
        let wrong = |option: &'static str, reason: &str| ConfigError::Option { option, reason: reason.to_owned() };
        if args.bridge.is_none() && args.it_ports.is_empty() && args.ot_ports.is_empty() {
            if args.mode != GateMode::Monitor {
                let reason = "needs ports: name the bridge and its sides with --bridge, --it-port and --ot-port";
                return Err(wrong("--mode", reason).into());
            }
            return Ok(None);
        }
        if let Some(both) = args.it_ports.iter().find(|p| args.ot_ports.contains(p)) {
            return Err(wrong("--ot-port", &format!("`{both}` is an --it-port as well")).into());
        }
        if args.mode != GateMode::Monitor && args.ot_ports.is_empty() {
            return Err(wrong("--ot-port", "none given: there would be nothing to protect").into());
        }
        if args.confirm_within.is_some() && args.mode != GateMode::Enforce {
            return Err(wrong("--confirm-within", "only an arming (--mode enforce) is confirmed").into());
        }
        Ok(Some(Gateway { args: args.clone(), gate: None, known: BTreeMap::new() }))
    }

    /// Ports to watch: those of the bridge, or those that were named.
    pub fn ports(&self, links: &[Link]) -> Vec<(u32, String)> {
        let bridge = self.args.bridge.as_ref().and_then(|b| links.iter().find(|l| l.name == *b)).map(|l| l.index);
        let is_port = |l: &Link| match self.args.bridge {
            Some(_) => l.master.is_some() && l.master == bridge,
            None => self.args.it_ports.contains(&l.name) || self.args.ot_ports.contains(&l.name),
        };
        links.iter().filter(|l| is_port(l)).map(|l| (l.index, l.name.clone())).collect()
    }

    fn plan(&self, ports: &[(u32, String)]) -> Plan {
        simple::plan(&self.args.it_ports, &self.args.ot_ports, ports)
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
        let plan = self.plan(&ports);
        self.gate = Some(Gate::start(kernel, plan, self.args.dead_man)?);
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

    /// Confirms the arming.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn confirm(&mut self, kernel: &mut Kernel) -> Result<Event> {
        let Some(gate) = &mut self.gate else { bail!("the gate was not begun") };
        gate.confirm(kernel)?;
        Ok(gate.audit("gate-mode-change", true, "the arming is confirmed".to_owned(), None))
    }

    /// Beats, and tells what became of frames.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn tick(&mut self, kernel: &mut Kernel, all: bool) -> Result<Vec<Event>> {
        let Some(gate) = &mut self.gate else { return Ok(Vec::new()) };
        let mut events: Vec<Event> = gate.beat(kernel)?.into_iter().collect();
        let name = |ifindex: u32| -> Arc<str> {
            let found = self.known.iter().find(|(_, index)| **index == ifindex);
            found.map_or_else(|| ifindex.to_string().into(), |(name, _)| name.as_str().into())
        };
        events.extend(gate.report(kernel, name, all)?);
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
        let plan = self.plan(&ports);
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

    /// Mode in force, for events.
    pub fn event_mode(&self) -> ecs::Mode {
        match self.gate.as_ref().map(Gate::mode) {
            Some(Mode::Enforce) => ecs::Mode::Enforce,
            Some(Mode::Shadow) => ecs::Mode::Shadow,
            _ => ecs::Mode::Monitor,
        }
    }
}
