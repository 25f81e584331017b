//! The control socket: what an operator asks of a loader that runs. One line of JSON there, one line of JSON back.
//!
//! Only root and the loader's own user are answered. A request is carried out by the loop that does everything else, between
//! two frames' worth of work; a client that hangs hangs alone.

pub mod client;
pub mod server;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where the socket is unless the operator names another place.
pub const PATH: &str = "/run/ot-xdp/control.sock";

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Everything that can be told.
    Status,
    /// Another mode.
    Mode {
        /// `monitor`, `shadow` or `enforce`.
        mode: String,
        /// Milliseconds within which an arming has to be confirmed.
        confirm_within_ms: Option<u64>,
        /// Who asks.
        by: String,
        /// Ticket or change number.
        ticket: Option<String>,
    },
    /// The arming is right.
    Confirm {
        /// Who asks.
        by: String,
    },
    /// The configuration is to be read again for its policy.
    Reload {
        /// Who asks.
        by: String,
    },
    /// An exception for some time.
    Permit(Permit),
    /// The end of an exception.
    Revoke {
        /// Its number.
        id: u64,
        /// Who asks.
        by: String,
    },
}

impl Request {
    /// Who asks, as they say.
    pub fn by(&self) -> Option<&str> {
        match self {
            Request::Status => None,
            Request::Mode { by, .. }
            | Request::Confirm { by }
            | Request::Reload { by }
            | Request::Revoke { by, .. }
            | Request::Permit(Permit { by, .. }) => Some(by),
        }
    }

    /// Does it change anything?
    pub fn changes(&self) -> bool {
        *self != Request::Status
    }
}

/// An exception: one source may do something to one destination for some time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permit {
    /// Source address.
    pub from: String,
    /// Destination address.
    pub to: String,
    /// Name of a protocol.
    pub protocol: String,
    /// Words of classes; empty for all.
    pub class: Vec<String>,
    /// Milliseconds that it holds.
    pub for_ms: u64,
    /// Who asks, and answers for it.
    pub by: String,
    /// Ticket or change number.
    pub ticket: String,
    /// Why.
    pub reason: Option<String>,
}

/// What comes back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Was it done?
    pub ok: bool,
    /// What was done, or why not, for people.
    pub message: String,
    /// What was asked for, see [`Request::Status`].
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub status: Value,
}

impl Answer {
    /// It was done.
    pub fn done(message: impl Into<String>) -> Answer {
        Answer { ok: true, message: message.into(), status: Value::Null }
    }

    /// It was not.
    pub fn refused(message: impl Into<String>) -> Answer {
        Answer { ok: false, message: message.into(), status: Value::Null }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_as_they_are_written() {
        let permit = Permit {
            from: "10.0.5.7".to_owned(),
            to: "10.1.3.20".to_owned(),
            protocol: "s7comm".to_owned(),
            class: vec!["program-download".to_owned()],
            for_ms: 1_800_000,
            by: "kim".to_owned(),
            ticket: "CHG-1".to_owned(),
            reason: None,
        };
        for request in [Request::Status, Request::Confirm { by: "kim".to_owned() }, Request::Permit(permit)] {
            let text = serde_json::to_string(&request).unwrap();
            assert_eq!(serde_json::from_str::<Request>(&text).unwrap(), request, "{text}");
        }
        for wrong in ["", "{}", "[]", "{\"request\":\"halt\"}", "{\"request\":\"confirm\"}"] {
            assert!(serde_json::from_str::<Request>(wrong).is_err(), "{wrong}");
        }
    }
}
