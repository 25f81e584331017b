//! The gateway that needs no file: preset `protect-writes` between the ports of two sides.

use crate::gate::Plan;
use crate::policy::{Now, Policy, PolicyError};

/// The policy between `it` and `ot` ports, for these ports (interface index and name); one in neither list belongs to no
/// zone and is judged like `it`.
///
/// # Errors
/// More ports than the kernel's tables hold.
pub fn plan(it: &[String], ot: &[String], ports: &[(u32, String)]) -> Result<Plan, PolicyError> {
    let policy = Policy::simple(it, ot);
    Ok(policy.compile(Now::read(), ports)?.plan(&policy))
}
