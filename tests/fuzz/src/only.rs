//! Which protocols are fuzzed: all, or one with the carriers that lead to it.

use std::sync::LazyLock;

use ot_xdp_common::for_each_protocol;
use ot_xdp_common::proto::Proto;

macro_rules! leads_to {
    ($($nr:literal $variant:ident $module:ident [$($inner:ident)*];)+) => {
        /// Number, module, and the modules that its PDUs lead to.
        const LEADS: &[(u8, &str, &[&str])] = &[$(($nr, stringify!($module), &[$(stringify!($inner)),*])),+];
    };
}
for_each_protocol!(leads_to);

/// Protocols that a payload can begin with, in the order of the list.
pub static ROOTS: LazyLock<Vec<Proto>> = LazyLock::new(|| {
    let only = std::env::var("OT_XDP_FUZZ_ONLY").ok();
    let asked = |p: &Proto| only.as_ref().is_none_or(|name| reaches(*p as u8, name, 4));
    let parsers = LEADS.iter().filter_map(|(number, ..)| Proto::from_code(*number));
    let roots: Vec<Proto> = parsers.filter(|p| p.is_root()).filter(asked).collect();
    if roots.is_empty() {
        eprintln!("no protocol is called {}", only.unwrap_or_default());
        std::process::exit(2);
    }
    roots
});

/// Is the protocol, or one that its PDUs lead to, called so?
fn reaches(number: u8, name: &str, depth: u32) -> bool {
    let Some((_, module, inner)) = LEADS.iter().find(|(n, ..)| *n == number) else { return false };
    let number_of = |module: &&str| LEADS.iter().find(|(_, m, _)| m == module).map(|(n, ..)| *n);
    let own = Proto::from_code(number).is_some_and(|p| p.name() == name);
    own || *module == name || depth != 0 && inner.iter().filter_map(number_of).any(|n| reaches(n, name, depth - 1))
}

/// The root that an octet of an input stands for: by number, so that inputs keep their meaning when the list grows.
pub fn root(octet: u8) -> Proto {
    let known = ROOTS.iter().find(|p| **p as u8 == octet);
    *known.unwrap_or_else(|| &ROOTS[octet as usize % ROOTS.len()])
}
