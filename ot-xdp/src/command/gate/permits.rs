//! Exceptions in force: each is a line in front of the policy until it ends, which the kernel sees to by itself.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Result, bail};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::control::Permit;
use crate::policy::{Policy, RuleEntry};
use crate::text;

/// The longest exception; what is to hold for longer is a rule of the file.
const LONGEST: Duration = Duration::from_secs(24 * 3_600);
/// Exceptions at once.
const MOST: usize = 32;

/// One exception.
#[derive(Clone, Debug)]
struct Held {
    id: u64,
    entry: RuleEntry,
    until: Timestamp,
}

/// The exceptions of a gateway.
#[derive(Debug, Default)]
pub struct Permits {
    last: u64,
    held: Vec<Held>,
}

impl Permits {
    /// Takes an exception in; its number and its end.
    ///
    /// # Errors
    /// What is wrong with it; nothing has changed.
    pub fn add(&mut self, p: &Permit, policy: &Policy, now: Timestamp) -> Result<(u64, Timestamp)> {
        let length = Duration::from_millis(p.for_ms);
        if length < Duration::from_secs(1) || length > LONGEST {
            bail!("--for is not between 1s and 1d: what is to hold for longer is a rule of the policy");
        }
        if self.held.len() >= MOST {
            bail!("{MOST} permits are in force; revoke one, or write rules");
        }
        if p.by.trim().is_empty() || p.ticket.trim().is_empty() {
            bail!("a permit has somebody who answers for it, and a ticket: --by and --ticket");
        }
        let host = |text: &str| -> Result<IpAddr> { text::address(text).map_err(anyhow::Error::msg) };
        let (from, to) = (host(&p.from)?, host(&p.to)?);
        if from.is_ipv4() != to.is_ipv4() {
            bail!("{from} and {to} are not of one family");
        }
        let until = now + SignedDuration::try_from(length)?;
        let entry = RuleEntry {
            from: vec!["any".to_owned()],
            to: vec!["any".to_owned()],
            protocol: vec![p.protocol.clone()],
            class: p.class.clone(),
            source: Some(from.to_string()),
            destination: Some(to.to_string()),
            action: "allow".to_owned(),
            reason: p.reason.clone().unwrap_or_else(|| format!("permitted for {}", text::time(length))),
            owner: p.by.clone(),
            ticket: Some(p.ticket.clone()),
            expires: Some(until.to_string()),
            ..RuleEntry::default()
        };
        let held = Held { id: self.last + 1, entry, until };
        held.lay_over(&mut policy.clone(), now)?;
        self.last = held.id;
        self.held.push(held);
        Ok((self.last, until))
    }

    /// Ends an exception before its time.
    ///
    /// # Errors
    /// When there is none of this number.
    pub fn revoke(&mut self, id: u64) -> Result<()> {
        let before = self.held.len();
        self.held.retain(|h| h.id != id);
        if self.held.len() == before {
            bail!("no permit {id} is in force; `ot-xdp policy permits` lists those that are");
        }
        Ok(())
    }

    /// Numbers of those whose time is over; they are forgotten.
    pub fn ended(&mut self, now: Timestamp) -> Vec<u64> {
        let over = |h: &&Held| h.until <= now;
        let ids = self.held.iter().filter(over).map(|h| h.id).collect();
        self.held.retain(|h| h.until > now);
        ids
    }

    /// The policy with the exceptions in front of it.
    pub fn over(&self, policy: &Policy, now: Timestamp) -> Policy {
        let mut policy = policy.clone();
        for held in self.held.iter().filter(|h| h.until > now) {
            // It fitted when it was taken in. Another policy that it does not fit is not held up by it.
            if let Err(e) = held.lay_over(&mut policy, now) {
                tracing::error!("permit {} is not in force any more: {e}", held.id);
            }
        }
        policy
    }

    /// What is in force, for `status`.
    pub fn json(&self) -> Value {
        let one = |h: &Held| {
            json!({
                "id": h.id, "from": h.entry.source, "to": h.entry.destination, "protocol": h.entry.protocol,
                "class": h.entry.class, "until": h.until.to_string(), "by": h.entry.owner, "ticket": h.entry.ticket,
                "reason": h.entry.reason,
            })
        };
        self.held.iter().map(one).collect()
    }
}

impl Held {
    fn lay_over(&self, policy: &mut Policy, now: Timestamp) -> Result<()> {
        Ok(policy.permit(&format!("permit {}", self.id), &self.entry, now)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permit() -> Permit {
        Permit {
            from: "10.0.5.7".to_owned(),
            to: "10.1.3.20".to_owned(),
            protocol: "modbus".to_owned(),
            class: vec!["write".to_owned()],
            for_ms: 60_000,
            by: "kim".to_owned(),
            ticket: "CHG-1".to_owned(),
            reason: None,
        }
    }

    #[test]
    fn a_permit_is_in_force_until_it_ends() {
        let policy = Policy::simple(&["a".to_owned()], &["b".to_owned()]);
        let now: Timestamp = "2026-06-10T12:00:00Z".parse().unwrap();
        let mut permits = Permits::default();
        let (id, until) = permits.add(&permit(), &policy, now).unwrap();
        assert_eq!((id, until), (1, "2026-06-10T12:01:00Z".parse().unwrap()));
        assert_eq!(permits.over(&policy, now).lines.len(), policy.lines.len() + 1);
        assert_eq!(permits.json()[0]["until"], "2026-06-10T12:01:00Z");
        assert!(permits.ended(now).is_empty());
        assert_eq!(permits.over(&policy, until), policy);
        assert_eq!(permits.ended(until), [1]);
        permits.add(&permit(), &policy, now).unwrap();
        assert!(permits.revoke(1).is_err() && permits.revoke(2).is_ok() && permits.revoke(2).is_err());
        assert_eq!(permits.over(&policy, now), policy);
    }

    #[test]
    fn wide_and_endless_permits_are_refused() {
        let policy = Policy::simple(&["a".to_owned()], &["b".to_owned()]);
        let now: Timestamp = "2026-06-10T12:00:00Z".parse().unwrap();
        let mut permits = Permits::default();
        for broken in [
            Permit { from: "10.0.5.0/24".to_owned(), ..permit() },
            Permit { to: "any".to_owned(), ..permit() },
            Permit { to: "fd00::1".to_owned(), ..permit() },
            Permit { protocol: "modbuss".to_owned(), ..permit() },
            Permit { class: vec!["wirte".to_owned()], ..permit() },
            Permit { for_ms: 0, ..permit() },
            Permit { for_ms: 2 * 86_400_000, ..permit() },
            Permit { by: " ".to_owned(), ..permit() },
            Permit { ticket: String::new(), ..permit() },
        ] {
            assert!(permits.add(&broken, &policy, now).is_err(), "{broken:?}");
        }
        assert_eq!(permits.over(&policy, now), policy);
    }
}
