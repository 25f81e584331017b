//! `ot-xdp detach`: every program of ours off every interface, at once and without the loader.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::cli::DetachArgs;
use crate::source::kernel::{PROGRAM, pin, program_name};
use crate::sys::link::{self, XdpState};
use crate::sys::xdp_link;

/// Takes our programs off all interfaces of this network namespace, and removes the pins. Nothing to do is fine.
///
/// # Errors
/// Missing privilege, or a program that stays; the others are off nevertheless.
pub fn run(args: &DetachArgs) -> Result<ExitCode> {
    let links =
        xdp_link::all().context("cannot list the kernel's links; run as root, or with CAP_BPF and CAP_SYS_ADMIN")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let interfaces = runtime.block_on(link::all())?;
    let mut stayed = Vec::new();
    for i in interfaces {
        let Some(XdpState::Native(id) | XdpState::Generic(id) | XdpState::Offload(id)) = i.xdp else { continue };
        if program_name(id).as_deref() != Some(PROGRAM) {
            continue;
        }
        // The index alone could be one of another network namespace.
        let found = links.iter().find(|l| l.ifindex == i.index && l.program == id);
        match found.map(xdp_link::XdpLink::detach) {
            Some(Ok(())) => println!("{}: detached", i.name),
            Some(Err(e)) => stayed.push(format!("{}: {e}", i.name)),
            None => stayed.push(format!("{}: not attached by a link; `ip link set dev {} xdp off`", i.name, i.name)),
        }
    }
    // Whatever happened above: without its pin a program has nothing that holds it but a loader that runs.
    if let Err(e) = pin::remove_all(args.pin.as_deref().unwrap_or(Path::new(pin::DIRECTORY))) {
        stayed.push(e.to_string());
    }
    if !stayed.is_empty() {
        bail!("still attached: {}", stayed.join("; "));
    }
    Ok(ExitCode::SUCCESS)
}
