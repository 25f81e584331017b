//! The kernel object inside this binary; `build.rs` refuses one that does not belong to the sources.

/// ELF object of the kernel program, aligned for its reader; empty in a build without the kernel side.
pub const OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/ot-xdp.bpf.o"));
