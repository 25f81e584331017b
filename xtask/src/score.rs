//! `cargo xtask score`: the table of what is named right in public captures with a truth for each frame.

use anyhow::Result;

use crate::{build, shell};

/// The task.
pub fn task(args: &[String]) -> Result<()> {
    if !args.is_empty() {
        return Err(crate::usage("score"));
    }
    build::build(false)?;
    let mut c = shell::cargo();
    c.args(["test", "--release", "--package", "ot-xdp-tests", "--test", "score", "--", "--nocapture"]);
    shell::run(&mut c)
}
