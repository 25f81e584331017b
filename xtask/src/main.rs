//! Build, set-up, test and bench tasks.
fn main() {}
