//! Loading: every program into the kernel and into its slot of the program array.

use std::collections::BTreeMap;

use aya::Ebpf;
use aya::maps::{MapData, ProgramArray};
use aya::programs::{ProgramFd, Xdp};
use ot_xdp_common::proto::Proto;
use ot_xdp_common::wire::{COUNT, ENTER, GATHER, IPV6_CHAIN, JOINED, JUDGE, LEAVE, NEXT, REFUSE, TUNNEL};

use super::{KernelError, PROGRAM, chain, map_error};

/// Every program with its slot in the program array; the entry has none.
fn slots() -> BTreeMap<String, Option<u32>> {
    let mut slots = BTreeMap::from([
        (PROGRAM.to_owned(), None),
        ("ot_ipv6_chain".to_owned(), Some(IPV6_CHAIN)),
        ("ot_tunnel".to_owned(), Some(TUNNEL)),
        ("ot_next".to_owned(), Some(NEXT)),
        ("ot_gather".to_owned(), Some(GATHER)),
        ("ot_count".to_owned(), Some(COUNT)),
        ("ot_leave".to_owned(), Some(LEAVE)),
        ("ot_enter".to_owned(), Some(ENTER)),
        ("ot_judge".to_owned(), Some(JUDGE)),
        ("ot_refuse".to_owned(), Some(REFUSE)),
    ]);
    for proto in Proto::ALL.iter().filter(|p| p.is_root()) {
        let module = proto.module();
        slots.insert(format!("ot_{module}"), Some(*proto as u32));
        if !proto.binding().tcp.is_empty() {
            slots.insert(format!("ot_joined_{module}"), Some(JOINED + *proto as u32));
        }
    }
    slots
}

/// Loads every program and enters it into the program array. The kernel verifies programs of a privileged caller side
/// by side, so each CPU takes its share.
pub fn programs(ebpf: &mut Ebpf, programs: &mut ProgramArray<MapData>) -> Result<(), KernelError> {
    let slots = slots();
    let mut found = Vec::new();
    for (name, program) in ebpf.programs_mut() {
        if let Some(slot) = slots.get(name) {
            let xdp: &mut Xdp = program.try_into().map_err(|_| KernelError::Missing(PROGRAM))?;
            found.push((name.to_owned(), *slot, xdp));
        }
    }
    if found.len() < slots.len() {
        return Err(KernelError::Missing("program of a protocol"));
    }
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    let queue = std::sync::Mutex::new(found.into_iter());
    let results: Vec<Result<Vec<(u32, ProgramFd)>, KernelError>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(|| load_share(&queue))).collect();
        threads
            .into_iter()
            .map(|t| t.join().unwrap_or_else(|_| Err(KernelError::Load("a loading thread failed".to_owned()))))
            .collect()
    });
    for share in results {
        for (slot, fd) in share? {
            programs.set(slot, &fd, 0).map_err(|e| map_error("PROGRAMS", &e))?;
        }
    }
    Ok(())
}

/// Loads programs from the queue until it is empty.
fn load_share<'a>(
    queue: &std::sync::Mutex<impl Iterator<Item = (String, Option<u32>, &'a mut Xdp)>>,
) -> Result<Vec<(u32, ProgramFd)>, KernelError> {
    let mut fds = Vec::new();
    loop {
        let item = queue.lock().ok().and_then(|mut q| q.next());
        let Some((name, slot, xdp)) = item else { return Ok(fds) };
        xdp.load().map_err(|e| KernelError::Load(format!("{name}: {}", tail(&chain(&e)))))?;
        if let Some(slot) = slot {
            let fd = xdp.fd().and_then(|fd| fd.try_clone().map_err(Into::into));
            fds.push((slot, fd.map_err(|e| KernelError::Load(chain(&e)))?));
        }
    }
}

/// The end of a verifier log says why; its beginning is thousands of lines.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(12)..).unwrap_or(&lines).join("\n")
}
