//! What a file means, and what is said about a wrong one.

use std::path::Path;
use std::time::Duration;

use clap::Parser;
use ot_xdp_common::classify::{Bindings, Table};
use ot_xdp_common::proto::Proto;

use super::*;
use crate::cli::{Cli, Command};

fn parse(text: &str) -> Result<Config, ConfigError> {
    read::parse(Path::new("site.toml"), text)
}

/// Line, column and message of what is wrong.
fn wrong(text: &str) -> (usize, usize, String) {
    match parse(text) {
        Err(ConfigError::File { line, column, reason, .. }) => (line, column, reason),
        other => panic!("{other:?}"),
    }
}

fn run_args(line: &[&str]) -> RunArgs {
    match Cli::parse_from([&["ot-xdp", "run"], line].concat()).command {
        Command::Run(a) => a,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_printed_defaults_are_the_defaults() {
    assert_eq!(parse(&Config::defaults_toml()), Ok(Config::default()));
    assert_eq!(parse(""), Ok(Config::default()));
}

#[test]
fn the_commented_lines_are_valid_too() {
    let text: Vec<String> = Config::defaults_toml()
        .lines()
        .map(|l| match l.strip_prefix("# ") {
            Some(key) if key.starts_with('[') || key.contains(" = ") => key.to_owned(),
            _ => l.to_owned(),
        })
        .collect();
    let config = parse(&text.join("\n")).unwrap();
    assert_eq!(config.sensor.name, "cell-7");
    assert_eq!((config.binding.len(), config.operation.len(), config.sink.len()), (1, 1, 1));
    assert_eq!((config.zone.len(), config.rule.len(), config.window.len()), (1, 1, 1));
    assert!(config.policy.is_some());
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    assert_eq!(Policy::read(&config, now).1, []);
}

#[test]
fn every_key_is_read() {
    let config = parse(
        r#"
        sensor = { name = "press 4" }
        capture = { interfaces = ["eth1", "eth2"], attach_mode = "skb", allow_fallback = true, tunnels = true }
        counters = { flows = 4_000_000 }
        events = { interval = "500ms", first_seen = false, daily = "1GiB", spool_dir = "/tmp/spool" }
        [[sink]]
        type = "stdout"
        [[sink]]
        type = "syslog"
        address = "h:514"
        transport = "tcp"
        [[binding]]
        protocol = "modbus"
        tcp = [1502]
        "#,
    )
    .unwrap();
    assert_eq!(config.sensor.name, "press 4");
    assert_eq!(config.capture.interfaces, ["eth1", "eth2"]);
    assert_eq!(config.capture.attach_mode, ModeArg::Skb);
    assert!(config.capture.allow_fallback && config.capture.tunnels && !config.events.first_seen);
    assert_eq!(config.counters.flows, 4_000_000);
    assert_eq!((config.events.daily, config.events.spool_dir.to_str()), (1 << 30, Some("/tmp/spool")));
    assert_eq!(
        config.sink.iter().map(|s| (s.name.as_str(), s.line)).collect::<Vec<_>>(),
        [("stdout", 6), ("syslog", 8)]
    );
    let replaced = config.clone().with_run(&run_args(&["-o", "file:a", "--output", "file:b"])).unwrap();
    assert_eq!(replaced.sink.iter().map(SinkEntry::target).collect::<Vec<_>>(), ["file a", "file b"]);
    assert!(config.clone().with_run(&run_args(&["-o", "file"])).unwrap_err().to_string().contains("--output"));
    assert_eq!(config.events.interval, Duration::from_millis(500));
    let table = config.bindings().unwrap();
    assert_eq!((&table).proto(Table::Tcp, 1502), Proto::Modbus as u8);
    assert_eq!((&table).proto(Table::Tcp, 502), Proto::Modbus as u8);
}

#[test]
fn an_unknown_key_is_refused_with_its_place() {
    let (line, column, reason) = wrong("[events]\ninterval = \"1m\"\n  intervall = \"1m\"\n");
    assert_eq!((line, column), (3, 3));
    assert!(reason.contains("intervall"), "{reason}");
    assert_eq!(wrong("[sensors]\n").0, 1);
    assert_eq!(wrong("\n[[binding]]\nprotocol = \"modbus\"\ntcp = [1]\nport = 1\n").0, 5);
    for section in ["sensor", "capture", "counters", "events"] {
        assert_eq!(wrong(&format!("[{section}]\nnothing = 1\n")).0, 2, "{section}");
    }
}

#[test]
fn wrong_values_are_refused_with_what_is_accepted() {
    let cases = [
        ("[sensor]\nname = \" \"", 2, "visible"),
        ("[capture]\ninterfaces = [\"eth0\", \"eth0\"]", 2, "twice"),
        ("[capture]\ninterfaces = [\"a/b\"]", 2, "ip link"),
        ("[capture]\nattach_mode = \"generic\"", 2, "\"skb\""),
        ("[counters]\nflows = 999", 2, "1000 to 4000000"),
        ("[counters]\nflows = -1", 2, "1000 to 4000000"),
        ("[events]\ninterval = \"60\"", 2, "500ms"),
        ("[events]\ninterval = \"1ms\"", 2, "between 100ms and 7d"),
        ("[events]\ninterval = 60", 2, "string"),
        ("[events]\ndaily = \"1MiB\"", 2, "64MiB"),
        ("[[sink]]\ntype = \"syslogd\"", 2, "elasticsearch"),
        ("[[sink]]\ntype = \"file\"", 1, "needs `path`"),
        ("[[sink]]\ntype = \"file\"\npath = \"x\"\nrotate_size = \"10\"", 4, "256MiB"),
        ("[[sink]]\ntype = \"stdout\"\n[[sink]]\ntype = \"stdout\"\nname = \"stdout\"", 3, "name of its own"),
        ("[[sink]]\ntype = \"splunk\"\nurl = \"https://a\"\npassword = \"geheim\"", 4, "password"),
        ("[sensor", 1, ""),
        ("[[binding]]\nprotocol = \"profibus\"\ntcp = [1]", 2, "known are modbus"),
        ("[[binding]]\nprotocol = \"s7comm\"\ntcp = [1]", 2, "inside another protocol"),
        ("[[binding]]\nprotocol = \"modbus\"\ntcp = [0]", 3, "1 to 65535"),
        ("[[binding]]\nprotocol = \"modbus\"\nudp = [70000]", 3, "1 to 65535"),
        ("[[binding]]\nprotocol = \"goose\"\nethertypes = [0x0800]", 3, "0x0600 to 0xffff"),
        ("[[binding]]\nprotocol = \"modbus\"", 1, "names no number"),
        ("[[binding]]\nprotocol = \"modbus\"\nethertypes = [0x9999]", 1, "TCP or UDP"),
        ("[[binding]]\nprotocol = \"goose\"\ntcp = [1]", 1, "directly on Ethernet"),
        ("[[binding]]\nprotocol = \"modbus\"\ntcp = [503]\nremove = true", 1, "not registered"),
        ("[[binding]]\ntcp = [503]", 1, "protocol"),
        ("[[operation]]\nfunction = \"modbus\"\nclass = \"write\"\nstate_changing = true", 2, "names no function"),
        ("[[operation]]\nfunction = \"profibus:1\"\nclass = \"write\"\nstate_changing = true", 2, "unknown protocol"),
        ("[[operation]]\nfunction = \"modbus:0x5b\"\nclass = \"write\"\nstate_changing = true", 2, "like `modbus:91`"),
        ("[[operation]]\nfunction = \"modbus:91\"\nclass = \"writes\"\nstate_changing = true", 3, "program-download"),
        ("[[operation]]\nfunction = \"modbus:91\"\nclass = \"write\"", 1, "state_changing"),
    ];
    for (text, line, word) in cases {
        let (at, _, reason) = wrong(text);
        assert_eq!(at, line, "{text}: {reason}");
        assert!(reason.contains(word), "{text}: {reason}");
    }
}

#[test]
fn a_number_leads_to_one_protocol() {
    let (line, _, reason) =
        wrong("[[binding]]\nprotocol = \"modbus\"\ntcp = [9000]\n\n[[binding]]\nprotocol = \"cotp\"\ntcp = [9000]\n");
    assert_eq!(line, 5);
    assert!(reason.contains("TCP port 9000") && reason.contains("`modbus` and to `cotp`"), "{reason}");
    let (_, _, reason) = wrong(
        "[[binding]]\nprotocol = \"modbus\"\ntcp = [502]\n[[binding]]\nprotocol = \"modbus\"\ntcp = [502]\nremove = true\n",
    );
    assert!(reason.contains("both added and removed"), "{reason}");
}

#[test]
fn a_port_can_be_taken_away_and_handed_over() {
    let gone = "[[binding]]\nprotocol = \"modbus\"\ntcp = [502]\nremove = true\n";
    let table = parse(gone).unwrap().bindings().unwrap();
    assert_eq!((&table).proto(Table::Tcp, 502), 0);
    assert_eq!((&table).proto(Table::Udp, 502), Proto::Modbus as u8);
    // The order of the entries does not matter.
    let handed = format!("[[binding]]\nprotocol = \"cotp\"\ntcp = [502]\n{gone}");
    let table = parse(&handed).unwrap().bindings().unwrap();
    assert_eq!((&table).proto(Table::Tcp, 502), Proto::Cotp as u8);
}

#[test]
fn a_site_knows_functions_better() {
    let entry =
        |path: &str| format!("[[operation]]\nfunction = \"{path}\"\nclass = \"write\"\nstate_changing = true\n");
    let codes = |path: &str| parse(&entry(path)).unwrap().operation[0].function.codes.clone();
    assert!(codes("modbus:91").contains(&91) && !codes("modbus:91").contains(&92));
    assert!(codes("modbus:8").contains(&0x0108), "with all sub-functions");
    assert_eq!((codes("ssh:").len(), codes("cipio:").len()), (1, 1));
    // Outside the tables, beside a function that is in them.
    assert!(!codes("s7comm:job/0x77").is_empty() && !codes("s7comm:ud/4/2/99").is_empty());
    let table = parse(&entry("modbus:91")).unwrap().bindings().unwrap();
    let kind = table.kinds()[&ot_xdp_common::overrule::key(Proto::Modbus as u8, 91)];
    assert!(kind.class() == ot_xdp_common::op::Class::Write as u8 && kind.state_changing());
    let (line, _, reason) = wrong(&(entry("modbus:91") + &entry("modbus:91")));
    assert!(line == 5 && reason.contains("twice"), "{line} {reason}");
}

#[test]
fn options_are_laid_over_the_file() {
    let config = parse("[capture]\ninterfaces = [\"eth0\"]\n[counters]\nflows = 2000\n").unwrap();
    let same = config.clone().with_run(&run_args(&[])).unwrap();
    assert_eq!(same, config);
    let line = ["-i", "p1", "-i", "p2", "--attach-mode", "skb", "--flows", "5000", "--interval", "2s"];
    let line = [&line[..], &["--allow-fallback", "--tunnels"]].concat();
    let laid = config.clone().with_run(&run_args(&line)).unwrap();
    assert_eq!(laid.capture.interfaces, ["p1", "p2"]);
    assert_eq!((laid.capture.attach_mode, laid.capture.allow_fallback), (ModeArg::Skb, true));
    assert!(laid.capture.tunnels && laid.bindings().unwrap().tunnels());
    assert!(!config.capture.tunnels && !config.bindings().unwrap().tunnels());
    assert_eq!((laid.counters.flows, laid.events.interval), (5000, Duration::from_secs(2)));
    for line in [["--flows", "10"], ["--interval", "30d"], ["-i", "x/y"]] {
        let e = config.clone().with_run(&run_args(&line)).unwrap_err();
        assert!(matches!(e, ConfigError::Option { .. }), "{e}");
    }
}

#[test]
fn times_are_written_as_they_are_read() {
    for text in ["100ms", "1500ms", "1s", "60s", "2m", "90s", "36h", "7d"] {
        assert_eq!(time(crate::text::duration(text).unwrap()), text);
    }
}

#[test]
fn bindings_made_in_code_are_checked_too() {
    let entry = |protocol| SiteBinding { protocol, tcp: vec![9], udp: vec![], ethertypes: vec![], remove: false };
    let config = Config { binding: vec![entry(Proto::Modbus), entry(Proto::Cotp)], ..Config::default() };
    assert!(matches!(config.bindings(), Err(ConfigError::Binding { entry: 2, .. })));
}
