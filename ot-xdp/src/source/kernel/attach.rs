//! Programs onto interfaces and off again.

use aya::programs::links::FdLink;
use aya::programs::xdp::{XdpLink, XdpLinkId};
use aya::programs::{Xdp, XdpMode};

use super::pin::Pins;
use super::{Kernel, KernelError, PROGRAM, chain, program};
use crate::sys::link::{Link, XdpState};

/// How the program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AttachMode {
    /// In the driver, before a socket buffer exists.
    Native,
    /// Behind the driver, on socket buffers: slower, and frames may be merged (GRO).
    Generic,
}

impl AttachMode {
    /// The word used in events and on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            AttachMode::Native => "native",
            AttachMode::Generic => "generic",
        }
    }
}

/// One attached interface.
#[derive(Debug)]
pub struct Port {
    name: String,
    mode: AttachMode,
    link: Held,
}

/// What holds a program on an interface.
#[derive(Debug)]
enum Held {
    /// This process: the program leaves the interface with it.
    Here(XdpLinkId),
    /// A pin.
    Pinned(FdLink),
}

impl Kernel {
    /// Attaches to an interface. A program that a loader before this one has pinned there is replaced, without a frame
    /// between; any other one is left alone.
    ///
    /// # Errors
    /// See [`KernelError`]; nothing is left attached.
    pub fn attach_to(&mut self, link: &Link, mode: AttachMode) -> Result<(), KernelError> {
        let running = link.xdp.and_then(XdpState::program);
        let old = self.pins.as_ref().and_then(|pins| pins.link(link.index, running));
        if old.is_none() {
            refuse_occupied(link)?;
        }
        self.put(link.index, &link.name, mode, old)
    }

    /// Attaches to an interface that nobody uses.
    ///
    /// # Errors
    /// See [`KernelError`]; nothing is left attached.
    pub fn attach(&mut self, ifindex: u32, name: &str, mode: AttachMode) -> Result<(), KernelError> {
        self.put(ifindex, name, mode, None)
    }

    fn put(&mut self, ifindex: u32, name: &str, mode: AttachMode, old: Option<FdLink>) -> Result<(), KernelError> {
        let slot = |i: u32| i % ot_xdp_common::limits::PORTS;
        if let Some(other) = self.names.keys().find(|i| **i != ifindex && slot(**i) == slot(ifindex)) {
            return Err(KernelError::SlotTaken(*other, ifindex));
        }
        let xdp = program(&mut self.ebpf, PROGRAM)?;
        // Never `XdpMode::Default`: it degrades to generic mode without telling.
        let xdp_mode = match mode {
            AttachMode::Native => XdpMode::Driver,
            AttachMode::Generic => XdpMode::Skb,
        };
        let error = |e| attach_error(name, mode, &e);
        let link = match &self.pins {
            None => Held::Here(xdp.attach_to_if_index(ifindex, xdp_mode).map_err(error)?),
            Some(pins) => match old {
                Some(old) => {
                    let id = xdp.attach_to_link(XdpLink::try_from(old).map_err(link_error(name))?).map_err(error)?;
                    Held::Pinned(descriptor(xdp, id, name)?)
                }
                None => {
                    let id = xdp.attach_to_if_index(ifindex, xdp_mode).map_err(error)?;
                    Held::Pinned(pins.pin(ifindex, descriptor(xdp, id, name)?)?)
                }
            },
        };
        self.ports.insert(ifindex, Port { name: name.to_owned(), mode, link });
        self.names.insert(ifindex, name.to_owned());
        Ok(())
    }

    /// Detaches from an interface; unknown ones are fine (they are gone).
    pub fn detach(&mut self, ifindex: u32) {
        let Some(port) = self.ports.remove(&ifindex) else { return };
        match port.link {
            Held::Here(link) => {
                if let Ok(xdp) = program(&mut self.ebpf, PROGRAM) {
                    // The link is gone with its interface; then there is nothing to detach.
                    let _ = xdp.detach(link);
                }
            }
            // The program leaves with the last descriptor.
            Held::Pinned(link) => {
                self.pins.iter().for_each(|pins| pins.unpin(ifindex));
                drop(link);
            }
        }
    }

    /// Detaches from every interface.
    pub fn detach_all(&mut self) {
        let all: Vec<u32> = self.ports.keys().copied().collect();
        for ifindex in all {
            self.detach(ifindex);
        }
    }

    /// Ends the taking over: what loaders before this one left elsewhere is removed. After everything is attached.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn clean_pins(&self) -> Result<(), KernelError> {
        let attached: Vec<u32> = self.ports.keys().copied().collect();
        self.pins.as_ref().map_or(Ok(()), |pins| pins.clean(&attached))
    }

    /// Does the program outlive this process?
    pub fn is_pinned(&self) -> bool {
        self.pins.is_some()
    }

    /// Are there counters of a loader before this one?
    pub fn adopted(&self) -> bool {
        self.pins.as_ref().is_some_and(Pins::adopted)
    }

    /// Attached interfaces: index, name, mode.
    pub fn attached(&self) -> impl Iterator<Item = (u32, &str, AttachMode)> {
        self.ports.iter().map(|(i, p)| (*i, p.name.as_str(), p.mode))
    }
}

/// The descriptor of a link, which this process holds from now on.
fn descriptor(xdp: &mut Xdp, id: XdpLinkId, name: &str) -> Result<FdLink, KernelError> {
    let link = xdp.take_link(id).map_err(|e| KernelError::Attach { interface: name.to_owned(), error: chain(&e) })?;
    // A kernel that attaches without a link has nothing that could be pinned.
    FdLink::try_from(link).map_err(link_error(name))
}

fn link_error<E: std::error::Error>(name: &str) -> impl Fn(E) -> KernelError {
    move |e| KernelError::Attach { interface: name.to_owned(), error: format!("not by a link: {}", chain(&e)) }
}

fn attach_error(name: &str, mode: AttachMode, e: &aya::programs::ProgramError) -> KernelError {
    let error = chain(e);
    let unsupported = ["os error 95", "os error 22", "os error 34", "not supported"].iter().any(|s| error.contains(s));
    if mode == AttachMode::Native && unsupported {
        return KernelError::NoNative { interface: name.to_owned(), error };
    }
    KernelError::Attach { interface: name.to_owned(), error }
}

/// Name of a loaded program by its id, for messages about foreign programs.
pub fn program_name(id: u32) -> Option<String> {
    aya::programs::loaded_programs().flatten().find(|p| p.id() == id).and_then(|p| p.name_as_str().map(str::to_owned))
}

impl XdpState {
    /// Id of the program; none where several are attached.
    fn program(self) -> Option<u32> {
        match self {
            XdpState::Native(id) | XdpState::Generic(id) | XdpState::Offload(id) => Some(id),
            XdpState::Multi => None,
        }
    }
}

/// Refuses when somebody else's program, or a second instance of ours, is on the interface.
///
/// # Errors
/// [`KernelError::Occupied`] with the program's name.
pub fn refuse_occupied(link: &Link) -> Result<(), KernelError> {
    let Some(state) = link.xdp else { return Ok(()) };
    let id = state.program().unwrap_or(0);
    let program = program_name(id).unwrap_or_else(|| "unknown".to_owned());
    Err(KernelError::Occupied { interface: link.name.clone(), program, id })
}
