//! A compiled policy as the loader takes it.

use super::Plan;
use crate::event;
use crate::policy::show::sentence;
use crate::policy::{Compiled, Policy};
use crate::source::kernel::GateTables;

impl Compiled {
    /// The tables of the kernel and what events tell of the rules. `policy` is the one that this was compiled from.
    pub fn plan(&self, policy: &Policy) -> Plan {
        let info = |info: &crate::policy::RuleInfo| event::RuleInfo {
            id: info.line.name.clone(),
            name: policy.lines.iter().find(|l| l.info == info.line).map_or_else(String::new, |l| sentence(l, policy)),
            reason: info.line.reason.clone(),
            owner: info.line.owner.clone(),
            ticket: info.line.ticket.clone(),
        };
        Plan {
            tables: GateTables {
                rules: self.rules.clone(),
                rows: self.rows.iter().map(|(index, row)| (*index, *row)).collect(),
                head: self.head,
                ports: self.ports.clone(),
                vlans: self.vlans.clone(),
                macs: self.macs.clone(),
                prefixes: self.prefixes.clone(),
            },
            rules: self.infos.iter().map(info).collect(),
            zones: self.zones.iter().map(|z| z.name.clone()).collect(),
        }
    }
}
