//! The kernel object as the budget tests read it: symbols, and the stack that each function uses.

use anyhow::Context;
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};

/// Names of all symbols.
pub fn symbols(elf: &[u8]) -> anyhow::Result<Vec<String>> {
    let file = object::File::parse(elf)?;
    Ok(file.symbols().filter_map(|s| s.name().ok().map(str::to_owned)).collect())
}

/// Deepest stack offset that each function of the object touches, in octets.
///
/// Instructions are eight octets: code, registers (destination in the low half), 16-bit offset, 32-bit immediate
/// (kernel documentation, "BPF Instruction Set", section 1). Counted: loads and stores relative to r10, and constants
/// added to a register (addresses of stack slots are made so).
pub fn stack_depths(elf: &[u8]) -> anyhow::Result<Vec<(String, u32)>> {
    let file = object::File::parse(elf)?;
    let mut depths = Vec::new();
    for symbol in file.symbols().filter(|s| s.kind() == SymbolKind::Text && s.size() > 0) {
        let index = symbol.section_index().context("a function outside of sections")?;
        let code = file.section_by_index(index)?.data()?;
        let begin = symbol.address() as usize;
        let body = code.get(begin..begin + symbol.size() as usize).context("a function beyond its section")?;
        depths.push((symbol.name()?.to_owned(), depth(body)));
    }
    Ok(depths)
}

fn depth(body: &[u8]) -> u32 {
    const FRAME_POINTER: u8 = 10;
    let mut deepest = 0i32;
    let mut slot_register = None;
    for insn in body.chunks_exact(8) {
        let [code, regs, o0, o1, i0, i1, i2, i3] = *insn else { continue };
        let (dst, src) = (regs & 0xF, regs >> 4);
        let off = i32::from(i16::from_le_bytes([o0, o1]));
        let imm = i32::from_le_bytes([i0, i1, i2, i3]);
        let class = code & 7;
        // Loads (class 1) use the source register as address, stores (2, 3) the destination.
        if (class == 1 && src == FRAME_POINTER) || ((class == 2 || class == 3) && dst == FRAME_POINTER) {
            deepest = deepest.min(off);
        }
        if code == 0x07 && slot_register == Some(dst) {
            deepest = deepest.min(imm);
        }
        slot_register = (code == 0xBF && src == FRAME_POINTER).then_some(dst);
    }
    deepest.unsigned_abs()
}
