//! Arguments to stages; the only place that turns errors into exit codes.
fn main() {}
