//! The built program from outside: exit codes, what goes to which output, and that no reader is no error.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

fn ot_xdp(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ot-xdp")).args(args).env_remove("OT_XDP_LOG").output().unwrap()
}

fn text(octets: &[u8]) -> String {
    String::from_utf8(octets.to_vec()).unwrap()
}

/// A file of this test run.
fn file(name: &str, content: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, content).unwrap();
    path
}

/// Nothing on standard output, one message on standard error, exit code 2.
fn refused(out: &Output) -> String {
    let message = text(&out.stderr);
    assert_eq!(out.status.code(), Some(2), "{message}");
    assert!(out.stdout.is_empty() && !message.contains("panicked"), "{message}");
    message
}

#[test]
fn the_printed_configuration_is_valid() {
    let printed = ot_xdp(&["config"]);
    assert!(printed.status.success());
    let path = file("defaults.toml", &text(&printed.stdout));
    let checked = ot_xdp(&["check", "--config", path.to_str().unwrap()]);
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stderr));
    assert!(text(&checked.stdout).contains("is valid."));
}

#[test]
fn every_kind_of_wrong_configuration_ends_with_2() {
    let cases = [
        ("key.toml", "[capture]\n interface = \"eth0\"\n", "2:2: unknown field `interface`"),
        ("section.toml", "[captures]\n", "1:2: unknown field `captures`"),
        ("syntax.toml", "[capture\n", ":1:"),
        ("type.toml", "[counters]\nflows = \"many\"\n", ":2:9:"),
        ("range.toml", "[counters]\nflows = 5\n", "1000 to 4000000"),
        ("time.toml", "[events]\ninterval = \"soon\"\n", "500ms, 20s"),
        ("mode.toml", "[capture]\nattach_mode = \"driver\"\n", "\"native\" or \"skb\""),
        ("protocol.toml", "[[binding]]\nprotocol = \"modbuss\"\ntcp = [1502]\n", "known are modbus"),
        ("inner.toml", "[[binding]]\nprotocol = \"umas\"\ntcp = [1502]\n", "inside another protocol"),
        ("empty.toml", "[[binding]]\nprotocol = \"modbus\"\n", "names no number"),
        (
            "twice.toml",
            "[[binding]]\nprotocol = \"modbus\"\ntcp = [9]\n[[binding]]\nprotocol = \"cotp\"\ntcp = [9]\n",
            ":4:1: TCP port 9",
        ),
    ];
    for (name, content, words) in cases {
        let path = file(name, content);
        let path = path.to_str().unwrap();
        for command in
            [&["check", "--config", path][..], &["run", "--config", path], &["replay", "--config", path, "-"]]
        {
            let message = refused(&ot_xdp(command));
            assert!(message.contains(words) && message.contains(name), "{command:?}: {message}");
            assert!(message.contains("`ot-xdp config`"), "no advice: {message}");
        }
    }
    let missing = refused(&ot_xdp(&["check", "--config", "/nonexistent/site.toml"]));
    assert!(missing.contains("/nonexistent/site.toml"), "{missing}");
}

#[test]
fn wrong_options_end_with_2() {
    for args in [
        &["run", "--interface", "lo", "--flows", "1"][..],
        &["run", "--interface", "a/b"],
        &["run", "--interface", "lo", "--interval", "1ms"],
        &["run", "--interval", "soon"],
        &["replay", "--interval", "1ms", "-"],
        &["replay"],
        &["schema", "nothing"],
        &["frobnicate"],
    ] {
        refused(&ot_xdp(args));
    }
}

#[test]
fn tables_and_help_are_printed() {
    for (args, words) in [
        (&["schema"][..], "oneOf"),
        (&["schema", "protocols"], "\"modbus\""),
        (&["schema", "flags"], "port_mismatch"),
        (&["completions", "bash"], "complete -F"),
        (&["completions", "fish"], "complete -c ot-xdp"),
        (&["man"], ".SH \"OT\\-XDP DOCTOR\""),
    ] {
        let out = ot_xdp(args);
        assert_eq!(out.status.code(), Some(0), "{args:?}: {}", text(&out.stderr));
        assert!(out.stderr.is_empty() && text(&out.stdout).contains(words), "{args:?}");
        if args.first() == Some(&"schema") {
            let value: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
            assert!(value.is_object(), "{args:?}");
        }
    }
}

#[test]
fn the_operation_table_is_one_line_each() {
    let out = ot_xdp(&["schema", "operations"]);
    assert_eq!(ot_xdp(&["schema", "--operations"]).stdout, out.stdout);
    let lines: Vec<serde_json::Value> = text(&out.stdout).lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let (head, rows) = lines.split_first().unwrap();
    assert!(
        head["table"] == "operations" && head["version"].as_u64() > Some(0) && head["attack"].is_string(),
        "{head}"
    );
    let members = ["protocol", "function", "codes", "name", "class", "state_changing", "techniques", "source"];
    assert!(rows.iter().all(|r| members.iter().all(|m| !r[m].is_null())));
    let coil = rows.iter().find(|r| r["name"] == "Write Single Coil").unwrap();
    assert_eq!(
        (&coil["protocol"], &coil["function"], &coil["class"]),
        (&"modbus".into(), &"5".into(), &"write".into())
    );
    assert!(
        coil["state_changing"] == true && coil["techniques"].as_array().unwrap().contains(&"T0855".into()),
        "{coil}"
    );
    refused(&ot_xdp(&["schema", "operations", "--operations"]));
}

#[test]
fn doctor_runs_with_and_without_problems() {
    let out = ot_xdp(&["doctor", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let problems = report["problems"].as_u64().unwrap();
    assert_eq!(out.status.code(), Some(i32::from(problems != 0)), "{report}");
    let checks = report["checks"].as_array().unwrap();
    for word in
        ["kernel", "architecture", "btf", "jit", "unprivileged", "capabilities", "program", "bpffs", "clock", "memory"]
    {
        assert_eq!(checks.iter().filter(|c| c["check"] == word && c["interface"].is_null()).count(), 1, "{word}");
    }
    let out = ot_xdp(&["doctor", "--interface", "ot-xdp-none"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(text(&out.stdout).contains("problem  ot-xdp-none link: does not exist"), "{}", text(&out.stdout));
}

#[test]
fn nobody_reading_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ot-xdp"))
        .args(["schema", "operations"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The reader goes away after the first octets.
    let mut some = [0; 16];
    child.stdout.take().unwrap().read_exact(&mut some).unwrap();
    let mut message = String::new();
    child.stderr.take().unwrap().read_to_string(&mut message).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{message}");
    assert!(message.is_empty(), "{message}");
}
