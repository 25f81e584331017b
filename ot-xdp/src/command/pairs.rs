//! Pairs of interfaces in `ot-xdp run`: checks, set-up, mirrored link state, and the way back.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::config::ConfigError;
use crate::gate::pair::{Mirror, Side, Turn};
use crate::source::kernel::Kernel;
use crate::sys::link::{self, Link};
use crate::sys::netdev;
use crate::text::PairNames;

/// The pairs of a gateway.
#[derive(Debug)]
pub struct Pairs {
    pairs: Vec<Pair>,
    begin: Instant,
}

#[derive(Debug)]
struct Pair {
    names: [String; 2],
    /// Indices that the kernel forwards between; 0 before the first.
    known: [u32; 2],
    mirror: Mirror,
}

impl Pairs {
    /// From the options.
    ///
    /// # Errors
    /// An interface that is named twice.
    pub fn new(names: &[PairNames]) -> Result<Pairs, ConfigError> {
        let mut all: Vec<&str> = names.iter().flat_map(|p| [p.it.as_str(), p.ot.as_str()]).collect();
        all.sort_unstable();
        if let Some(twice) = all.windows(2).find_map(|w| if w.first() == w.last() { w.first() } else { None }) {
            let reason = format!("`{twice}` is in two pairs");
            return Err(ConfigError::Option { option: "--pair", reason });
        }
        let pair = |p: &PairNames| Pair {
            names: [p.it.clone(), p.ot.clone()],
            known: [0; 2],
            mirror: Mirror::new(Duration::ZERO),
        };
        Ok(Pairs { pairs: names.iter().map(pair).collect(), begin: Instant::now() })
    }

    /// Keys of the table of pairs, 0 without pairs.
    pub fn keys(&self) -> u32 {
        // Room for interfaces that come back with another index.
        if self.pairs.is_empty() { 0 } else { 64.max(8 * self.pairs.len() as u32) }
    }

    /// Connects the pairs in the kernel's table and sets both sides up, taking frames for every address as a wire does.
    ///
    /// # Errors
    /// An interface that is not there, or belongs to a bridge.
    pub async fn begin(&mut self, kernel: &mut Kernel, links: &[Link]) -> Result<()> {
        self.begin = Instant::now();
        for pair in &mut self.pairs {
            for name in &pair.names {
                let Some(l) = links.iter().find(|l| l.name == *name) else {
                    bail!("there is no interface `{name}`; `ip link` lists those that exist");
                };
                if l.master.is_some() {
                    bail!("`{name}` is a port of a bridge or bond: take it out, or use --bridge");
                }
            }
            pair.connect(kernel, links)?;
            for index in pair.known {
                link::set_promiscuous(index, true).await?;
                link::set_up(index, true).await?;
            }
        }
        Ok(())
    }

    /// After everything is attached: can frames be sent out of the other side?
    ///
    /// # Errors
    /// A driver that cannot: the pair would be closed.
    pub fn check(&self) -> Result<()> {
        for pair in &self.pairs {
            for (name, index) in pair.names.iter().zip(pair.known) {
                let features = netdev::xdp_features(index).with_context(|| format!("cannot ask what {name} can do"))?;
                if features.is_some_and(|f| !f.target) {
                    bail!(
                        "programs of other interfaces cannot send out of `{name}`: its driver has no ndo_xdp_xmit (of a veth \
                         the other end needs an XDP program or `ethtool -K IF gro on`); a bridge does without: --bridge"
                    );
                }
            }
        }
        Ok(())
    }

    /// Mirrors the state of links; what was done, in words.
    ///
    /// # Errors
    /// What the kernel answers.
    pub async fn follow(&mut self, kernel: &mut Kernel, links: &[Link]) -> Result<Vec<String>> {
        let now = self.begin.elapsed();
        let mut done = Vec::new();
        for pair in &mut self.pairs {
            pair.connect(kernel, links)?;
            let Some(Turn(side, up)) = pair.mirror.step(now, pair.sides(links)) else { continue };
            let (Some(name), Some(index), Some(other)) =
                (pair.names.get(side), pair.known.get(side), pair.names.get(1 - side))
            else {
                continue;
            };
            // Gone in the meantime: there is no link left to mirror to.
            let _ = link::set_up(*index, up).await;
            done.push(if up {
                format!("{other} has a link again: {name} is set up")
            } else {
                format!("{other} has lost its link: {name} is set down")
            });
        }
        Ok(done)
    }

    /// Can time alone change something?
    pub fn wait(&self) -> bool {
        self.pairs.iter().any(|p| p.mirror.waits())
    }

    /// Leaves the interfaces as they were: up, and with frames for their own address only.
    pub async fn end(&self) {
        for pair in &self.pairs {
            for (side, index) in pair.known.into_iter().enumerate() {
                // An interface that is gone needs nothing.
                let _ = link::set_promiscuous(index, false).await;
                if pair.mirror.held() == Some(side) {
                    let _ = link::set_up(index, true).await;
                }
            }
        }
    }
}

impl Pair {
    /// Tells the kernel the indices of both sides, where they are new.
    fn connect(&mut self, kernel: &mut Kernel, links: &[Link]) -> Result<()> {
        let index = |name: &str| links.iter().find(|l| l.name == name).map(|l| l.index);
        let [it, ot] = &self.names;
        let (Some(it), Some(ot)) = (index(it), index(ot)) else { return Ok(()) };
        if self.known != [it, ot] {
            kernel.pair(it, ot)?;
            kernel.pair(ot, it)?;
            self.known = [it, ot];
        }
        Ok(())
    }

    fn sides(&self, links: &[Link]) -> [Side; 2] {
        let side = |name: &String| {
            let found = links.iter().find(|l| l.name == *name);
            found.map_or(Side { up: false, carrier: false }, |l| Side { up: l.up, carrier: l.running })
        };
        let [it, ot] = &self.names;
        [side(it), side(ot)]
    }
}
