//! `ot-xdp check` and `ot-xdp config`: what a configuration means, and the one with every default.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use jiff::Timestamp;
use ot_xdp_common::classify::{Bindings, Table};
use ot_xdp_common::proto::Proto;

use super::doctor::{map_memory, mebibytes, possible_cpus};
use crate::bindings::BindingTable;
use crate::cli::{CheckArgs, ModeArg};
use crate::config::{Config, ConfigError, SinkEntry, SinkKind, number_text, numbers};
use crate::event::limit::SHARES;
use crate::policy::Policy;
use crate::sink::build;
use crate::text::{size_text, time};

/// Checks a file and says in a few sentences what it means.
///
/// # Errors
/// What is wrong in the file ([`crate::config::ConfigError`], exit code 2), or nobody takes the output.
pub fn run(args: &CheckArgs) -> Result<ExitCode> {
    let config = Config::load_any_policy(&args.config)?;
    let (_, problems) = Policy::read(&config, Timestamp::now());
    if !problems.is_empty() {
        return Err(ConfigError::Policy { file: args.config.clone(), problems }.into());
    }
    check_sinks(&args.config, &config)?;
    let text = meaning(&args.config, &config, possible_cpus());
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// What only this host can tell of the sinks: files and directories that can be written, secrets, certificates.
fn check_sinks(file: &Path, config: &Config) -> Result<(), ConfigError> {
    for entry in &config.sink {
        build::check(entry, &config.events.spool_dir).map_err(|reason| ConfigError::File {
            file: file.to_owned(),
            line: entry.line,
            column: 1,
            reason: format!("sink {}: {reason}", entry.name),
        })?;
    }
    Ok(())
}

/// Prints the complete configuration with its defaults.
///
/// # Errors
/// When nobody takes the output.
pub fn defaults() -> Result<ExitCode> {
    std::io::stdout().lock().write_all(Config::defaults_toml().as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn meaning(file: &Path, config: &Config, cpus: u32) -> String {
    let Config { sensor, capture, counters, events, binding, operation, .. } = config;
    let mut lines = vec![format!("{} is valid.", file.display())];
    lines.push(if capture.interfaces.is_empty() {
        format!("The sensor `{}` listens on the interfaces that `ot-xdp run --interface` names.", sensor.name)
    } else {
        format!("The sensor `{}` listens on {}.", sensor.name, capture.interfaces.join(", "))
    });
    lines.push(
        match (capture.attach_mode, capture.allow_fallback) {
            (ModeArg::Native, false) => {
                "It attaches in the driver; an interface whose driver cannot run XDP is refused."
            }
            (ModeArg::Native, true) => {
                "It attaches in the driver, and behind it where the driver cannot run XDP; health events then say so."
            }
            (ModeArg::Skb, _) => "It attaches behind the driver (generic mode): slower, and frames may be merged.",
        }
        .to_owned(),
    );
    if capture.tunnels {
        let what = "tunnels (VXLAN, GRE, ERSPAN), one level, and judges the frame inside";
        lines.push(format!("It opens {what}."));
    }
    lines.push(format!(
        "It counts up to {} conversation-and-function keys apart, for which the maps take {} of kernel memory on this \
         host ({cpus} possible CPUs).",
        counters.flows,
        mebibytes(map_memory(counters.flows, cpus)),
    ));
    lines.push(format!(
        "It reports flow summaries and its health every {}, and {} functions when they are first used.",
        time(events.interval),
        if events.first_seen { "at once" } else { "does not report" },
    ));
    lines.extend(volume(events.daily));
    lines.extend(sinks(config));
    let defaults = BindingTable::default();
    for b in binding {
        let name = b.protocol.name();
        for (table, number) in numbers(b) {
            let was = Proto::from_code((&defaults).proto(table, number));
            lines.push(binding_sentence(table, number, name, was, b.remove));
        }
    }
    if binding.is_empty() {
        lines.push("Protocols are on their registered ports and EtherTypes (`ot-xdp schema protocols`).".to_owned());
    }
    for o in operation {
        let change = if o.state_changing { "changes" } else { "does not change" };
        lines.push(format!("{} is of the class {} here and {change} the state.", o.function.path, o.class.word()));
    }
    if let Ok(Some(policy)) = Policy::from_config(config) {
        let preset = policy.preset.map_or("no preset".to_owned(), |p| format!("the preset {}", p.word()));
        let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        let zones = count(policy.zones.len().saturating_sub(1), "zone");
        let rules = count(config.rule.len(), "rule");
        lines.push(format!(
            "Its policy has {preset}, {zones} and {rules}; `ot-xdp policy show --config {}` reads it out.",
            file.display()
        ));
    }
    lines.join("\n") + "\n"
}

/// The bound of events a day: of the configuration alone, not of the network, and not of how often anything is read.
fn volume(daily: u64) -> Vec<String> {
    let each: Vec<String> = SHARES.iter().map(|(_, what, percent)| format!("{percent} % {what}")).collect();
    vec![
        format!(
            "It makes at most {daily} octets of events a day ({}), whatever happens on the network:",
            size_text(daily)
        ),
        format!("{}. What is over a share is counted and told.", each.join(", ")),
    ]
}

fn sinks(config: &Config) -> Vec<String> {
    if config.sink.is_empty() {
        return vec!["Events go to standard output.".to_owned()];
    }
    let sentence = |s: &SinkEntry| {
        let mut text = format!("Sink {}: {} to {}", s.name, s.format.word(), s.target());
        let mut only = Vec::new();
        if !s.kinds.is_empty() {
            only.push(format!("only {}", s.kinds.join(", ")));
        }
        if !s.except.is_empty() {
            only.push(format!("without {}", s.except.join(", ")));
        }
        if s.min_severity > 1 {
            only.push(format!("from severity {} on", s.min_severity));
        }
        if !s.zones.is_empty() {
            only.push(format!("about {}", s.zones.join(", ")));
        }
        if !only.is_empty() {
            text.push_str(&format!(", {}", only.join(", ")));
        }
        match s.spool(&config.events.spool_dir) {
            Some((dir, cap)) => format!("{text}; up to {} wait in {}.", size_text(cap), dir.display()),
            None if s.kind == SinkKind::Stdout => format!("{text}."),
            None => format!("{text}; nothing waits on disk."),
        }
    };
    config.sink.iter().map(sentence).collect()
}

fn binding_sentence(table: Table, number: u16, name: &str, was: Option<Proto>, remove: bool) -> String {
    let what = number_text(table, number);
    match was {
        _ if remove => format!("{what} no longer leads to {name}."),
        Some(was) if was.name() == name => format!("{what} leads to {name}, as it does by default."),
        Some(was) => format!("{what} leads to {name} instead of {}.", was.name()),
        None => format!("{what} leads to {name}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SiteBinding;

    #[test]
    fn a_configuration_is_put_into_words() {
        let mut config = Config::default();
        config.sensor.name = "cell-7".to_owned();
        let text = meaning(Path::new("a.toml"), &config, 2);
        for words in
            ["a.toml is valid.", "`cell-7`", "--interface", "is refused", "65536", "every 60s", "registered ports"]
        {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert!(text.contains("at most 17179869184 octets of events a day (16GiB)"), "{text}");
        assert!(text.contains("Events go to standard output."), "{text}");
        config.sink =
            vec![SinkEntry::from_option("syslog:siem.example:6514,format=cef,min_severity=47,name=siem").unwrap()];
        config.events.interval = std::time::Duration::from_millis(100);
        let text = meaning(Path::new("a.toml"), &config, 2);
        for words in [
            "Sink siem: cef to syslog siem.example:6514, from severity 47 on; up to 256MiB wait in /var/lib/ot-xdp/spool/siem.",
            "at most 17179869184 octets",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        config.capture.interfaces = vec!["p1".to_owned(), "p2".to_owned()];
        config.events.first_seen = false;
        assert!(!text.contains("tunnels"), "off by default: {text}");
        config.capture.tunnels = true;
        let entry = |protocol, tcp, remove| SiteBinding { protocol, tcp, udp: vec![], ethertypes: vec![], remove };
        config.binding = vec![entry(Proto::Modbus, vec![102, 1502, 502], false), entry(Proto::Cotp, vec![102], true)];
        let text = meaning(Path::new("a.toml"), &config, 2);
        for words in [
            "listens on p1, p2.",
            "It opens tunnels (VXLAN, GRE, ERSPAN)",
            "TCP port 102 leads to modbus instead of cotp.",
            "TCP port 1502 leads to modbus.",
            "TCP port 502 leads to modbus, as it does by default.",
            "TCP port 102 no longer leads to cotp.",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }
}
