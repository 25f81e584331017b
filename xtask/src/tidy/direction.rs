//! Who may know whom: modules of the program, and crates.

use std::fs;

use anyhow::{Context, Result};

use super::{File, Finding};
use crate::setup::Tools;
use crate::shell;

/// What every stage may use: they use no stage themselves.
const LEAVES: [&str; 7] = ["attack", "bindings", "config", "names", "severity", "sys", "text"];

/// Module, and what it may use beside itself and the leaves. Data flows downwards through the stages.
const MODULES: [(&str, &[&str]); 21] = [
    ("attack", &[]),
    ("bindings", &[]),
    ("cli", &[]),
    ("names", &[]),
    ("severity", &[]),
    ("sys", &[]),
    ("text", &[]),
    // Leaves of one user.
    ("capture", &[]),
    ("object", &[]),
    // The stages: each knows what the one before puts out.
    ("source", &["capture", "object"]),
    ("aggregate", &["source"]),
    ("baseline", &["aggregate"]),
    ("detect", &["aggregate", "baseline", "source"]),
    ("event", &["aggregate", "baseline", "detect"]),
    ("sink", &["event"]),
    // Never an event: nothing that was detected may block a frame without a person. `explain` and `simulate` run the
    // parsers as replay does.
    ("policy", &["source"]),
    // Options of the command line are laid over the configuration, and a policy in it is checked.
    ("config", &["bindings", "cli", "policy", "text"]),
    // The way back: a policy into the kernel, and what became of frames out of it.
    ("gate", &["event", "policy", "source"]),
    // The one that connects the stages, and the subcommands around it.
    ("pipeline", &["aggregate", "baseline", "capture", "detect", "event", "object", "policy", "sink", "source"]),
    // What an operator asks of a loader that runs.
    ("control", &[]),
    (
        "command",
        &[
            "baseline", "capture", "cli", "control", "detect", "event", "gate", "object", "pipeline", "policy", "sink",
            "source",
        ],
    ),
];

/// Crate, and the crates that it may depend on; `None` for any but those of the other side.
const CRATES: [(&str, Option<&[&str]>); 4] = [
    ("ot-xdp-common", Some(&[])),
    ("ot-xdp-ebpf", Some(&["aya-ebpf", "aya-log-ebpf", "ot-xdp-common"])),
    ("ot-xdp", None),
    ("tests", None),
];

/// Each module of the program uses only what the table allows.
pub fn modules(files: &[File], _: &Tools) -> Result<Finding> {
    let mut broken = Vec::new();
    for file in files {
        let Some(inside) = file.path.strip_prefix("ot-xdp/src/").filter(|_| file.is_rust()) else { continue };
        let module = inside.split(['/', '.']).next().unwrap_or_default();
        // The roots of the library and of the program name everything.
        if matches!(module, "lib" | "main") {
            continue;
        }
        let Some((_, may)) = MODULES.iter().find(|(m, _)| *m == module) else {
            broken.push(format!("{}: `{module}` is not in the table of xtask/src/tidy/direction.rs", file.path));
            continue;
        };
        // Tests of a module may make their input by the stages in front of it.
        let is_test = inside.ends_with("/tests.rs") || inside.contains("/tests/");
        for (line, used) in uses(&file.text) {
            let leaf = LEAVES.contains(&used) && !LEAVES.contains(&module);
            let allowed = used == module || leaf || may.contains(&used) || (is_test && comes_before(used, module));
            if !allowed {
                broken.push(format!("{}:{line}: `{module}` may not use `{used}`", file.path));
            }
        }
    }
    Ok(Finding::Broken(broken))
}

/// Each crate depends only on what its side may.
pub fn crates(_: &[File], _: &Tools) -> Result<Finding> {
    let mut broken = Vec::new();
    for (name, may) in CRATES {
        let path = shell::root().join(name).join("Cargo.toml");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        for used in dependencies(&text) {
            let allowed = may.map_or(used != "ot-xdp-ebpf", |may| may.contains(&used));
            if !allowed {
                broken.push(format!("{name}/Cargo.toml: `{name}` may not depend on `{used}`"));
            }
        }
    }
    Ok(Finding::Broken(broken))
}

/// Does the data pass `a` before it reaches `b`?
fn comes_before(a: &str, b: &str) -> bool {
    let place = |name: &str| MODULES.iter().position(|(m, _)| *m == name);
    place(a) < place(b)
}

/// Modules named after `crate::`, with their lines; `use crate::{a, b::{c, d}}` names two.
fn uses(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (n, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("//") {
            continue;
        }
        for (at, word) in line.match_indices("crate::") {
            // Where a list goes on in the following lines, rustfmt has put it so.
            let rest = text_from(text, n, at + word.len());
            if let Some(list) = rest.strip_prefix('{') {
                found.extend(list_heads(list).into_iter().map(|name| (n + 1, name)));
            } else {
                found.extend(name_at(rest).map(|name| (n + 1, name)));
            }
        }
    }
    found
}

/// The text from a column of a line on.
fn text_from(text: &str, line: usize, column: usize) -> &str {
    let start = text.split_inclusive('\n').take(line).map(str::len).sum::<usize>();
    text.get(start + column..).unwrap_or_default()
}

/// First names of a list in braces, given what follows the opening one.
fn list_heads(list: &str) -> Vec<&str> {
    let (mut depth, mut start, mut heads) = (0, 0, Vec::new());
    for (at, c) in list.char_indices() {
        let ends = depth == 0 && matches!(c, ',' | '}');
        if ends {
            heads.extend(name_at(list.get(start..at).unwrap_or_default().trim()));
            start = at + 1;
        }
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            _ => {}
        }
    }
    heads
}

fn name_at(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    // Modules are in lower case; `crate::Type` names something of the crate's root.
    text.get(..end).filter(|n| n.starts_with(|c: char| c.is_ascii_lowercase()))
}

/// Names in `[dependencies]`, `[build-dependencies]` and the like.
fn dependencies(manifest: &str) -> Vec<&str> {
    let mut inside = false;
    let mut names = Vec::new();
    for line in manifest.lines() {
        if let Some(section) = line.strip_prefix('[') {
            let section = section.trim_end_matches(']');
            inside = section.ends_with("dependencies");
            // `[dependencies.name]`
            names.extend(section.split_once("dependencies.").map(|(_, name)| name));
        } else if inside && !line.starts_with('#') {
            names.extend(line.split(['.', '=', ' ']).next().filter(|n| !n.is_empty()));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_flows_one_way() {
        for (module, may) in MODULES {
            assert!(may.iter().all(|m| comes_before(m, module)), "`{module}` may use what comes after it");
        }
    }

    #[test]
    fn reads_uses() {
        let text = "use crate::source::Snapshot;\n// use crate::hidden;\nuse crate::{aggregate, event::{A, b},\n    sink::C};\n\
                    let x = crate::sys::clock::now();\nuse crate::Type;\npub(crate) fn f() {}\n";
        assert_eq!(uses(text), [(1, "source"), (3, "aggregate"), (3, "event"), (3, "sink"), (5, "sys")]);
    }

    #[test]
    fn reads_dependencies() {
        let text = "[package]\nname = \"x\"\n[dependencies]\n# why\nanyhow.workspace = true\naya = \"1\"\n\n[dev-dependencies]\n\
                    ot-xdp-common = { path = \"..\" }\n[dependencies.zz]\nversion = \"1\"\n[features]\nlog = []\n";
        assert_eq!(dependencies(text), ["anyhow", "aya", "ot-xdp-common", "zz"]);
    }
}
