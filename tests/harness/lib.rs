//! What the cross-crate tests share: where the data is, why a test is skipped, captures as frames.

pub mod data;

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
