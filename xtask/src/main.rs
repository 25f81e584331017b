//! Build, set-up, test and bench tasks.
mod stamp;

fn main() {}
