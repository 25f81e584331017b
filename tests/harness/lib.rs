//! What the cross-crate tests share: where the data is, why a test is skipped, captures as frames.

pub mod bpffs;
pub mod client;
pub mod data;
pub mod echo;
pub mod gateway;
pub mod minitcp;
pub mod netns;
pub mod packet;
pub mod pdu;
pub mod plant;
pub mod schema;
pub mod sink;
pub mod tunnel;

/// Ends a test that cannot run here. `cargo xtask test` counts it as skipped and prints the reason.
#[macro_export]
macro_rules! skip {
    ($($why:tt)*) => {{
        $crate::skipped(&format!($($why)*));
        return;
    }};
}

/// Says that this test, or a part of it, is skipped: a line that the runner looks for in what the test prints.
pub fn skipped(why: &str) {
    println!("skipped: {why}");
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
