//! `ot-xdp run`: interfaces in, events out, until told to stop.

mod control;

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::gate::Gateway;
use super::pairs::Pairs;
use super::site::Site;
use crate::baseline::lifecycle;
use crate::baseline::store::Store;
use crate::cli::{ModeArg, RunArgs};
use crate::config::{Config, ConfigError};
use crate::control::server::{Job, Server};
use crate::event::Attach;
use crate::event::ecs::Mode;
use crate::pipeline::keep::{Keeper, LOOK_NS, Place};
use crate::pipeline::{self, Pipeline, Settings};
use crate::sink::{Queued, Sink, build};
use crate::source::kernel::{AttachMode, Kernel, KernelError, Options, pin};
use crate::source::{Clock, PortId};
use crate::sys::link::{self, Link};

/// How long after a burst of link changes the interfaces are looked at again.
const SETTLE: Duration = Duration::from_millis(100);
/// How often the ring is emptied. A clock and not a wake-up: the kernel program then wakes nobody from its hot path.
const RING_POLL: Duration = Duration::from_millis(25);

/// How long the end waits for a slow reader.
const LAST_EVENTS: Duration = Duration::from_secs(2);

/// Runs the subcommand.
///
/// # Errors
/// Wrong configuration, missing privilege, an interface that cannot be used, a sink that is gone.
pub fn run(args: &RunArgs) -> Result<ExitCode> {
    with_sink(args, |config| {
        if config.sink.is_empty() {
            return Ok(Box::new(Queued::new(BufWriter::new(std::io::stdout()))));
        }
        let sinks = build::start(&config.sink, &config.events.spool_dir);
        Ok(Box::new(sinks.map_err(|reason| ConfigError::Option { option: "sinks", reason })?))
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The same with the events going to `out`; returns the number of frames seen.
///
/// # Errors
/// See [`run`].
pub fn into(args: &RunArgs, out: impl Write + Send + 'static) -> Result<u64> {
    with_sink(args, |_| Ok(Box::new(Queued::new(out))))
}

fn with_sink(args: &RunArgs, sink: impl FnOnce(&Config) -> Result<Box<dyn Sink>>) -> Result<u64> {
    let config = Config::for_run(args)?;
    if let Some(why) = super::doctor::unsupported_kernel() {
        bail!(why);
    }
    let gateway = Gateway::new(&args.gate, &config)?;
    if config.capture.interfaces.is_empty() && gateway.is_none() {
        let reason = "none given; `ot-xdp doctor` lists the interfaces of this host and what they can do".to_owned();
        return Err(ConfigError::Option { option: "--interface", reason }.into());
    }
    // Before anything is loaded: a sink that cannot be is a wrong configuration.
    let sink = sink(&config)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
    let summary = args.summary;
    runtime.block_on(async {
        let mut sensor = Sensor::start(&config, args, gateway, sink).await?;
        let result = sensor.watch(args).await;
        sensor.stop().await;
        if summary {
            pipeline::summary(sensor.pipeline.totals(), &mut std::io::stderr().lock())?;
        }
        result?;
        Ok(sensor.pipeline.totals().ports.values().map(|p| p.frames).sum())
    })
}

/// The running sensor.
struct Sensor {
    kernel: Kernel,
    pipeline: Pipeline<Box<dyn Sink>>,
    wanted: Vec<String>,
    mode: AttachMode,
    allow_fallback: bool,
    every: Duration,
    /// Attach mode by interface name, for health events; absent when detached.
    attached: BTreeMap<String, AttachMode>,
    gateway: Option<Gateway>,
    pairs: Pairs,
    begin: Instant,
}

/// The control socket. One that the operator named has to be there; without the usual one everything else goes on.
fn control_socket(args: &RunArgs) -> Result<Option<Server>> {
    let path = args.control.as_deref().unwrap_or(Path::new(crate::control::PATH));
    match Server::listen(path) {
        Ok(server) => Ok(Some(server)),
        Err(e) if args.control.is_some() => {
            Err(e).with_context(|| format!("cannot listen at the control socket `{}`", path.display()))
        }
        Err(e) => {
            tracing::warn!("no control socket at `{}` ({e}); name another place with --control", path.display());
            Ok(None)
        }
    }
}

/// The watch over the baseline of the configuration, none without one.
fn watch(config: &Config, links: &[Link]) -> Result<Option<Keeper>> {
    let Some(path) = &config.baseline.path else { return Ok(None) };
    let profile = config.baseline.profile.clone();
    let known = Store::at(path).load(&profile)?;
    let place = Place { path: path.clone(), profile, write: true };
    let settings = super::replay::watch_settings(config, false);
    let mut keeper = Keeper::new(known.unwrap_or_default(), settings, Some(place));
    keeper.auto_lock(config.baseline.auto_lock);
    let b = keeper.watch.baseline();
    tracing::info!("baseline `{}` is {}: {}", path.display(), b.state.word(), lifecycle::progress(b).reason);
    let ports = links.iter().map(|l| (l.index, l.name.clone())).collect();
    if let Some(site) = Site::of(config, ports) {
        keeper.watch.set_zones(Box::new(site));
    }
    Ok(Some(keeper))
}

async fn next_job(server: &mut Option<Server>) -> Option<Job> {
    match server {
        Some(server) => server.next().await,
        None => std::future::pending().await,
    }
}

impl Sensor {
    async fn start(config: &Config, args: &RunArgs, gateway: Option<Gateway>, sink: Box<dyn Sink>) -> Result<Sensor> {
        let bindings = config.bindings()?;
        let options = Options { flows: config.counters.flows, replay: false, bindings, gate: gateway.is_some() };
        let pairs = Pairs::new(&args.gate.pairs)?;
        let pins = args.pin.as_ref().map(|dir| dir.as_deref().unwrap_or(Path::new(pin::DIRECTORY)));
        let kernel = Kernel::load_gateway(&options, pins, pairs.keys())?;
        if pairs.keys() != 0 && pins.is_none() {
            tracing::warn!("the pair is closed when this program ends; with --pin it stays open");
        }
        let settings = Settings {
            sensor: config.sensor_name(),
            mode: Mode::Monitor,
            flow_capacity: config.counters.flows,
            first_seen: config.events.first_seen,
            daily: Some(config.events.daily),
            summaries: true,
        };
        let mut sensor = Sensor {
            kernel,
            pipeline: Pipeline::new(settings, Clock::now(), sink),
            wanted: config.capture.interfaces.clone(),
            mode: match config.capture.attach_mode {
                ModeArg::Native => AttachMode::Native,
                ModeArg::Skb => AttachMode::Generic,
            },
            allow_fallback: config.capture.allow_fallback,
            every: config.events.interval,
            attached: BTreeMap::new(),
            gateway,
            pairs,
            begin: Instant::now(),
        };
        let links = link::all().await?;
        if let Some(keeper) = watch(config, &links)? {
            sensor.pipeline.watch(keeper);
        }
        if let Some(gateway) = &mut sensor.gateway {
            gateway.begin(&mut sensor.kernel, &links)?;
            sensor.wanted.extend(gateway.ports(&links).into_iter().map(|(_, name)| name));
        }
        // Armed before it is attached: a program that is taken over leaves no frame without a judge.
        let mut armed = Vec::new();
        if let Some(gateway) = &mut sensor.gateway {
            armed.push(gateway.arm(&mut sensor.kernel)?);
            sensor.pipeline.set_mode(gateway.event_mode());
        }
        sensor.adopt(&links)?;
        sensor.pairs.begin(&mut sensor.kernel, &links).await?;
        for name in sensor.wanted.clone() {
            let link = links.iter().find(|l| l.name == name).ok_or(KernelError::NoInterface(name))?;
            sensor.attach(link)?;
        }
        sensor.pairs.check()?;
        sensor.kernel.clean_pins()?;
        sensor.pipeline.gate(armed)?;
        Ok(sensor)
    }

    /// Goes on with the counters of a loader before this one: what they had at its end is not reported again.
    fn adopt(&mut self, links: &[Link]) -> Result<()> {
        if !self.kernel.adopted() {
            return Ok(());
        }
        for link in links.iter().filter(|l| self.wanted.contains(&l.name)) {
            self.kernel.name_port(link.index, &link.name);
            self.pipeline.name_port(&PortId { ifindex: link.index, name: link.name.clone() });
        }
        let snapshot = self.kernel.snapshot()?;
        tracing::info!("{} keys and their counters are taken over", snapshot.flows.len());
        Ok(self.pipeline.adopt(&snapshot)?)
    }

    fn attach(&mut self, link: &Link) -> Result<(), KernelError> {
        let mut mode = self.mode;
        let mut done = self.kernel.attach_to(link, mode);
        if let Err(KernelError::NoNative { error, .. }) = &done
            && self.allow_fallback
        {
            tracing::warn!("{}: no native XDP ({error}); attached in generic mode as allowed", link.name);
            mode = AttachMode::Generic;
            done = self.kernel.attach_to(link, mode);
        }
        done?;
        if !link.up {
            tracing::warn!("{} is down: no frames until `ip link set {} up`", link.name, link.name);
        }
        tracing::info!("attached to {} ({}, {} mode)", link.name, link.index, mode.word());
        self.attached.insert(link.name.clone(), mode);
        self.pipeline.name_port(&PortId { ifindex: link.index, name: link.name.clone() });
        Ok(())
    }

    /// Until the time is over or a signal comes.
    async fn watch(&mut self, args: &RunArgs) -> Result<()> {
        let duration = args.duration;
        let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
        let mut confirmed = signal(SignalKind::user_defined1()).context("cannot listen for SIGUSR1")?;
        let mut reload = signal(SignalKind::user_defined2()).context("cannot listen for SIGUSR2")?;
        let mut hangup = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
        let mut server = control_socket(args)?;
        let mut links = link::watch()?;
        let mut gate = interval(super::gate::TICK);
        gate.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Counters are read more often where cadence is judged.
        let mut look = interval(Duration::from_nanos(LOOK_NS));
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let watching = self.pipeline.keeper().is_some();
        let mut ring = interval(RING_POLL);
        ring.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut tick = interval(self.every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tick.tick().await;
        let end =
            duration.map_or_else(|| Instant::now() + Duration::from_secs(u64::from(u32::MAX)), |d| Instant::now() + d);
        let mut records = Vec::new();
        // When the interfaces are looked at again. Kept here and not in a future of its own: the ring's clock would
        // cancel that one before the burst is over.
        let mut again = None;
        loop {
            tokio::select! {
                biased;
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                () = sleep_until(end) => break,
                _ = gate.tick(), if self.gateway.is_some() => {
                    self.gate(false)?;
                    self.follow_windows().await?;
                }
                Some(job) = next_job(&mut server) => self.serve(args, job).await?,
                _ = hangup.recv() => {
                    self.pipeline.sink().reopen();
                    self.reload(args).await?;
                }
                _ = reload.recv() => self.reload(args).await?,
                _ = confirmed.recv() => self.confirm()?,
                _ = tick.tick() => {
                    self.interval()?;
                    if self.pairs.wait() {
                        again = Some(Instant::now());
                    }
                }
                _ = look.tick(), if watching => {
                    let snapshot = self.kernel.snapshot()?;
                    self.pipeline.look(&snapshot)?;
                }
                _ = ring.tick() => {
                    self.kernel.drain_first_seen(&mut records);
                    self.pipeline.first_seen(&records)?;
                    records.clear();
                }
                Some(()) = links.recv() => again = Some(Instant::now() + SETTLE),
                () = sleep_until(again.unwrap_or(end)), if again.is_some() => {
                    again = None;
                    self.reconcile().await?;
                }
            }
        }
        Ok(())
    }

    /// Beats, and reports what became of frames at the gate.
    fn gate(&mut self, all: bool) -> Result<()> {
        let Some(gateway) = &mut self.gateway else { return Ok(()) };
        let events = gateway.tick(&mut self.kernel, all)?;
        self.pipeline.set_mode(gateway.event_mode());
        Ok(self.pipeline.gate(events)?)
    }

    async fn follow_windows(&mut self) -> Result<()> {
        let Some(gateway) = &mut self.gateway else { return Ok(()) };
        let event = gateway.follow_windows(&mut self.kernel).await?;
        Ok(self.pipeline.gate(event.into_iter().collect())?)
    }

    /// Reads the configuration again for its policy; everything else in it takes effect at the next start.
    async fn reload(&mut self, args: &RunArgs) -> Result<()> {
        let Some(gateway) = &mut self.gateway else { return Ok(()) };
        let event = gateway.reload(&mut self.kernel, Config::for_run(args)).await?;
        Ok(self.pipeline.gate(vec![event])?)
    }

    fn confirm(&mut self) -> Result<()> {
        let Some(gateway) = &mut self.gateway else { return Ok(()) };
        match gateway.confirm(&mut self.kernel) {
            Ok(event) => Ok(self.pipeline.gate(vec![event])?),
            Err(e) => {
                tracing::warn!("SIGUSR1: {e:#}");
                Ok(())
            }
        }
    }

    fn interval(&mut self) -> Result<()> {
        self.gate(true)?;
        let snapshot = self.kernel.snapshot()?;
        let attached = &self.attached;
        self.pipeline.interval(&snapshot, |name| match attached.get(name) {
            Some(AttachMode::Native) => Attach::Native,
            Some(AttachMode::Generic) => Attach::Generic,
            None => Attach::Detached,
        })?;
        Ok(())
    }

    /// Interfaces may have gone or come back.
    async fn reconcile(&mut self) -> Result<()> {
        let links = link::all().await?;
        for done in self.pairs.follow(&mut self.kernel, &links).await? {
            tracing::warn!("{done}");
            let event = self.gateway.as_ref().and_then(|g| g.audit("gate-link-mirrored", done));
            self.pipeline.gate(event.into_iter().collect())?;
        }
        if let Some(gateway) = &mut self.gateway {
            let (events, gone, come) = gateway.follow(&mut self.kernel, &links)?;
            self.pipeline.gate(events)?;
            self.wanted.retain(|name| !gone.contains(name));
            self.wanted.extend(come);
        }
        let wanted = &self.wanted;
        let present = |index: u32, name: &str| {
            let here = links.iter().any(|l| l.index == index && l.name == name && l.xdp.is_some());
            here && wanted.iter().any(|w| w == name)
        };
        let lost: Vec<(u32, String)> =
            self.kernel.attached().filter(|(i, n, _)| !present(*i, n)).map(|(i, n, _)| (i, n.to_owned())).collect();
        for (index, name) in lost {
            if links.iter().any(|l| l.index == index && l.name == name) && self.wanted.contains(&name) {
                // Somebody wants it off; it is not for us to put it back.
                tracing::warn!("our program was taken off {name}: its frames are not seen until the next start");
                self.wanted.retain(|w| *w != name);
            } else {
                tracing::warn!("{name} is gone: its frames are not seen");
            }
            self.kernel.detach(index);
            self.attached.remove(&name);
            self.interval()?;
        }
        for link in &links {
            if !self.wanted.contains(&link.name) || self.attached.contains_key(&link.name) {
                continue;
            }
            match self.attach(link) {
                Ok(()) => {
                    tracing::info!("{} is back", link.name);
                    self.interval()?;
                }
                // Tried again at the next change of this interface.
                Err(e) => tracing::warn!("{e}"),
            }
        }
        Ok(())
    }

    /// Last counters out, then off the interfaces.
    async fn stop(&mut self) {
        if self.pipeline.keeper().is_some() {
            let last = self.kernel.snapshot().map_err(anyhow::Error::from);
            let kept = last.and_then(|s| Ok((self.pipeline.look(&s)?, self.pipeline.keep(s.at_ns, true)?)));
            if let Err(e) = kept {
                tracing::error!("the baseline was not written: {e:#}");
            }
        }
        if let Err(e) = self.interval() {
            tracing::error!("the last interval was not written: {e:#}");
        }
        if self.kernel.is_pinned() {
            tracing::info!("the program stays on its interfaces (pinned); `ot-xdp detach` takes it off");
        } else {
            self.kernel.detach_all();
            self.pairs.end().await;
            tracing::info!("detached");
        }
        if !self.pipeline.sink().close(LAST_EVENTS) {
            tracing::warn!("the reader of the events did not take the last ones");
        }
    }
}
