//! Names of functions, from the tables of the protocol files.

use std::collections::HashMap;
use std::sync::LazyLock;

use ot_xdp_common::proto::{Path, Proto};

/// Stands for a name where no table lists the code.
pub const UNLISTED: &str = "unlisted";

/// Marks the error that answers a function in its path, e.g. `modbus:3!2`.
const EXCEPTION_MARK: char = '!';

/// A function for people and machines.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    /// Path, e.g. `modbus:16`.
    pub path: String,
    /// Name in the protocol's own words, or [`UNLISTED`].
    pub name: &'static str,
}

impl Name {
    /// Names a function.
    pub fn of(proto: u8, function: u32) -> Name {
        let path = Path { proto, function }.to_string();
        let asked = path.split(EXCEPTION_MARK).next().unwrap_or(&path);
        // A path may end in a detail that no row lists, such as the cause in `iec104:I/100/7`.
        let shorter = || asked.rsplit_once('/').and_then(|(front, _)| TABLES.by_path.get(front));
        let listed = TABLES.by_code.get(&(proto, function)).or_else(|| TABLES.by_path.get(asked)).or_else(shorter);
        let name = listed.copied().unwrap_or(UNLISTED);
        Name { path, name }
    }

    /// Is it an error that answers a function?
    pub fn is_exception(&self) -> bool {
        self.path.contains(EXCEPTION_MARK)
    }
}

struct Tables {
    by_code: HashMap<(u8, u32), &'static str>,
    /// For codes with more in them than the path shows; the first row of a path wins.
    by_path: HashMap<String, &'static str>,
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let mut t = Tables { by_code: HashMap::new(), by_path: HashMap::new() };
    for proto in Proto::ALL {
        proto.rows(&mut |row| {
            t.by_code.entry((*proto as u8, row.function)).or_insert(row.name);
            let path = Path { proto: *proto as u8, function: row.function }.to_string();
            t.by_path.entry(path).or_insert(row.name);
        });
    }
    t
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_have_path_and_name() {
        let modbus = Proto::Modbus as u8;
        let read = Name::of(modbus, 3);
        assert_eq!((read.path.as_str(), read.name, read.is_exception()), ("modbus:3", "Read Holding Registers", false));
        let failed = Name::of(modbus, 3 | 1 << 31 | 2 << 24);
        assert_eq!(
            (failed.path.as_str(), failed.name, failed.is_exception()),
            ("modbus:3!2", "Read Holding Registers", true)
        );
        assert_eq!(Name::of(modbus, 99).name, UNLISTED);
    }
}
