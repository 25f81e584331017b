//! From the configuration to running sinks.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::Queued;
use super::driver::{Driver, Options};
use super::fanout::{Fanout, Filter, Output, Way};
use super::file::{LineFile, Rotation};
use super::syslog::Syslog;
use super::tls::TlsFiles;
use super::transport::Transport;
use crate::config::{Carrier, SinkEntry, SinkKind};
use crate::event::actions;

/// Checks what only the host can tell: are files there and writable, secrets readable, certificates whole?
///
/// # Errors
/// A sentence that says what to do.
pub fn check(entry: &SinkEntry, spools: &Path) -> Result<(), String> {
    entry.check()?;
    for kind in entry.kinds.iter().chain(&entry.except) {
        if !actions().any(|a| a == kind) {
            let known: Vec<&str> = actions().collect();
            return Err(format!("`{kind}` is no kind of event; known are {}", known.join(", ")));
        }
    }
    if let Some(path) = &entry.path {
        LineFile::check(path).map_err(|e| format!("{}: {e}; name a file that can be written", path.display()))?;
    }
    if let Some((dir, _)) = entry.spool(spools) {
        let made = std::fs::create_dir_all(&dir).and_then(|()| LineFile::check(&dir.join("check")));
        made.map_err(|e| {
            format!(
                "{}: {e}; name a directory for the spool with `spool_dir`, or none with spool = \"0\"",
                dir.display()
            )
        })?;
    }
    transport(entry, &Arc::default()).map(|_| ())
}

/// The client of a receiver; none for standard output.
fn transport(entry: &SinkEntry, reopens: &Arc<AtomicU64>) -> Result<Option<Box<dyn Transport>>, String> {
    let needed = |value: &Option<String>, key: &str| value.clone().ok_or_else(|| format!("`{key}` is missing"));
    Ok(Some(match entry.kind {
        SinkKind::Stdout => return Ok(None),
        SinkKind::File => {
            let path = entry.path.clone().ok_or("`path` is missing")?;
            let rotation = Rotation {
                size: entry.rotate_size,
                every: entry.rotate_every,
                keep: entry.keep,
                compress: entry.compress.unwrap_or(true),
            };
            Box::new(LineFile::new(path, rotation, Arc::clone(reopens)))
        }
        SinkKind::Syslog => {
            let address = needed(&entry.address, "address")?;
            let carrier = entry.transport.unwrap_or_default();
            let files = TlsFiles::new(entry);
            let tls = match carrier {
                Carrier::Tls => Some((files.config()?, entry.server_name.clone())),
                Carrier::Udp | Carrier::Tcp if files != TlsFiles::default() => {
                    return Err("certificates mean nothing without transport = \"tls\"".to_owned());
                }
                Carrier::Udp | Carrier::Tcp => None,
            };
            Box::new(Syslog::new(address, carrier, tls, hostname()))
        }
        kind => {
            return Err(format!(
                "this program was built without the client of {}; build it with its feature",
                kind.word()
            ));
        }
    }))
}

/// Starts every sink.
///
/// # Errors
/// What is wrong with the first one that is.
pub fn start(entries: &[SinkEntry], spools: &Path) -> Result<Fanout, String> {
    let reopens: Arc<AtomicU64> = Arc::default();
    let mut outputs = Vec::new();
    for entry in entries {
        let wrong = |reason: String| format!("sink {}: {reason}", entry.name);
        check(entry, spools).map_err(wrong)?;
        let way = match transport(entry, &reopens).map_err(wrong)? {
            None => Way::lines(&entry.name, Queued::new(std::io::BufWriter::new(std::io::stdout()))),
            Some(transport) => {
                let mut options = Options::new(&entry.name);
                options.spool = entry.spool(spools);
                options.queue = entry.queue.unwrap_or(options.queue);
                Way::Driven(Driver::start(options, transport).map_err(|e| wrong(e.to_string()))?)
            }
        };
        outputs.push(Output { filter: Filter::new(entry), format: entry.format, way });
    }
    Ok(Fanout::new(outputs, reopens))
}

fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}
