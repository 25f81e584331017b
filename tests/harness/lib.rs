//! What the cross-crate tests share: where the data is, why a test is skipped, captures as frames.

pub mod data;
pub mod plant;
pub mod schema;

use std::path::Path;

/// Ends a test that cannot run here. The runner counts these lines and prints them.
#[macro_export]
macro_rules! skip {
    ($($why:tt)*) => {{
        $crate::skipped(module_path!(), &format!($($why)*));
        return;
    }};
}

/// Says that a test was skipped: on standard error, and in the file that `OT_XDP_SKIPPED` names.
pub fn skipped(test: &str, why: &str) {
    use std::io::Write;
    let thread = std::thread::current();
    let name = thread.name().unwrap_or(test).to_owned();
    eprintln!("skipped: {test}: {name}: {why}");
    if let Some(file) = std::env::var_os("OT_XDP_SKIPPED")
        && let Ok(mut f) = std::fs::OpenOptions::new().append(true).create(true).open(Path::new(&file))
    {
        // Losing the line loses only a count; the test itself already ended.
        let _ = writeln!(f, "{test}: {name}: {why}");
    }
}

/// Is this process root? Kernel tests need it.
pub fn is_root() -> bool {
    std::fs::read_to_string("/proc/self/status")
        .is_ok_and(|s| s.lines().any(|l| l.starts_with("Uid:") && l.split_whitespace().nth(2) == Some("0")))
}

/// The built program: `OT_XDP_BIN`, or the release build of this target folder. None when it is not there.
pub fn binary() -> Option<std::path::PathBuf> {
    let path = std::env::var_os("OT_XDP_BIN").map_or_else(|| release("ot-xdp"), std::path::PathBuf::from);
    path.is_file().then_some(path)
}

/// The lab's program of this build, or of the release build.
pub fn lab() -> Option<std::path::PathBuf> {
    [profile("ot-xdp-lab"), Some(release("ot-xdp-lab"))].into_iter().flatten().find(|p| p.is_file())
}

/// A program of this build's own profile: test programs lie in its `deps`.
fn profile(name: &str) -> Option<std::path::PathBuf> {
    Some(std::env::current_exe().ok()?.parent()?.parent()?.join(name))
}

fn release(name: &str) -> std::path::PathBuf {
    std::env::current_exe()
        .ok()
        .and_then(|p| Some(p.parent()?.parent()?.parent()?.join("release").join(name)))
        .unwrap_or_else(|| name.into())
}
