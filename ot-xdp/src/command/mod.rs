//! One file a subcommand.

pub mod baseline;
pub mod check;
pub mod detach;
pub mod doctor;
mod gate;
pub mod help;
pub mod live;
pub mod operate;
mod pairs;
pub mod policy;
pub mod replay;
pub mod run;
pub mod schema;
mod site;

use std::process::ExitCode;

use crate::config::ConfigError;

/// Did the reader of our standard output go away? Then there is nobody to tell, and nothing is wrong.
pub fn is_broken_pipe(e: &anyhow::Error) -> bool {
    e.chain().any(|c| {
        c.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
            || c.downcast_ref::<serde_json::Error>()
                .is_some_and(|e| e.io_error_kind() == Some(std::io::ErrorKind::BrokenPipe))
    })
}

/// Exit code of a failed subcommand: 2 for a wrong configuration, 1 for everything else.
pub fn exit_code(e: &anyhow::Error) -> ExitCode {
    if e.chain().any(|c| c.is::<ConfigError>()) { ExitCode::from(2) } else { ExitCode::FAILURE }
}
