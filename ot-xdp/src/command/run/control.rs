//! Requests of the control socket, carried out between two turns of the loop.

use std::time::Duration;

use anyhow::{Context, Result};
use ot_xdp_common::policy::Mode;
use serde_json::json;

use super::Sensor;
use crate::cli::RunArgs;
use crate::config::Config;
use crate::control::server::Job;
use crate::control::{Answer, Request};
use crate::event::Event;

impl Sensor {
    /// Carries a request out and answers it.
    ///
    /// # Errors
    /// When the sink takes no more; a request that cannot be carried out is answered so.
    pub(super) async fn serve(&mut self, args: &RunArgs, job: Job) -> Result<()> {
        let Job { request, uid, answer } = job;
        let (reply, event) = match self.carry_out(args, &request).await {
            Ok(done) => done,
            Err(e) => {
                let why = format!("{e:#}");
                let event = self.gateway.as_ref().and_then(|g| g.refusal(action(&request), &why));
                (Answer::refused(why), event)
            }
        };
        if request.changes() {
            tracing::info!("control: {} (user {uid}): {}", request.by().unwrap_or_default(), reply.message);
        }
        if let Some(Event::Audit(mut audit)) = event {
            audit.user = request.by().map(str::to_owned);
            audit.ticket = ticket(&request);
            self.pipeline.gate(vec![Event::Audit(audit)])?;
        }
        // The client may be gone; what it asked for is done.
        let _ = answer.send(reply);
        Ok(())
    }

    async fn carry_out(&mut self, args: &RunArgs, request: &Request) -> Result<(Answer, Option<Event>)> {
        if *request == Request::Status {
            return Ok((Answer { ok: true, message: String::new(), status: self.status()? }, None));
        }
        let gateway = self.gateway.as_mut().context("this loader is no gateway: it only listens")?;
        let kernel = &mut self.kernel;
        Ok(match request {
            // Answered above.
            Request::Status => (Answer::done(""), None),
            Request::Mode { mode, confirm_within_ms, .. } => {
                let mode = mode_of(mode)?;
                let event = gateway.set_mode(kernel, mode, confirm_within_ms.map(Duration::from_millis))?;
                self.pipeline.set_mode(gateway.event_mode());
                (Answer::done(reason(&event)), Some(event))
            }
            Request::Confirm { .. } => {
                let event = gateway.confirm(kernel)?;
                (Answer::done(reason(&event)), Some(event))
            }
            Request::Reload { .. } => {
                let event = gateway.reload(kernel, Config::for_run(args)).await?;
                let done = matches!(&event, Event::Audit(a) if a.success);
                let answer = if done { Answer::done(reason(&event)) } else { Answer::refused(reason(&event)) };
                (answer, Some(event))
            }
            Request::Permit(permit) => {
                let (said, event) = gateway.permit(kernel, permit).await?;
                (Answer::done(said), Some(event))
            }
            Request::Revoke { id, .. } => {
                let (said, event) = gateway.revoke(kernel, *id).await?;
                (Answer::done(said), Some(event))
            }
        })
    }

    fn status(&mut self) -> Result<serde_json::Value> {
        let gateway = match &mut self.gateway {
            Some(gateway) => gateway.status(&self.kernel)?,
            None => serde_json::Value::Null,
        };
        let totals = self.pipeline.totals();
        let interfaces: Vec<_> = self
            .attached
            .iter()
            .map(|(name, mode)| {
                let port = totals.ports.get(name);
                json!({
                    "name": name, "attach_mode": mode.word(), "frames": port.map(|p| p.frames),
                    "bytes": port.map(|p| p.bytes),
                })
            })
            .collect();
        Ok(json!({
            "version": env!("CARGO_PKG_VERSION"), "uptime_s": self.begin.elapsed().as_secs(),
            "interfaces": interfaces, "events": totals.events, "events_dropped": self.pipeline.dropped(),
            "accounting_ok": totals.accounting_ok, "gateway": gateway,
        }))
    }
}

fn mode_of(word: &str) -> Result<Mode> {
    match word {
        "monitor" => Ok(Mode::Monitor),
        "shadow" => Ok(Mode::Shadow),
        "enforce" => Ok(Mode::Enforce),
        _ => anyhow::bail!("`{word}` is no mode; write monitor, shadow or enforce"),
    }
}

/// The word of the audit event of a request.
fn action(request: &Request) -> &'static str {
    match request {
        Request::Status | Request::Mode { .. } | Request::Confirm { .. } => "gate-mode-change",
        Request::Reload { .. } => "policy-load",
        Request::Permit(_) | Request::Revoke { .. } => "policy-permit",
    }
}

fn ticket(request: &Request) -> Option<String> {
    match request {
        Request::Mode { ticket, .. } => ticket.clone(),
        Request::Permit(permit) => Some(permit.ticket.clone()),
        _ => None,
    }
}

fn reason(event: &Event) -> String {
    match event {
        Event::Audit(audit) => audit.reason.clone(),
        _ => String::new(),
    }
}
