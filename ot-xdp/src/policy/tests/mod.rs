//! What files mean, what is said about wrong ones, and what the compiled policy decides.

mod decide;
mod tools;
mod wrong;

use std::path::Path;

use jiff::Timestamp;
use ot_xdp_common::frame::Frame;
use ot_xdp_common::op::{Class, Dir, Kind, Op, Tag};
use ot_xdp_common::policy::{Action, CONDITIONS, Condition, Side, by, row};
use ot_xdp_common::proto::Proto;
use ot_xdp_common::reason::Outcome;
use ot_xdp_common::walk::Walk;

use super::*;

const ZONES: &str = r#"
[[zone]]
name = "office"
level = 4
side = "it"
prefixes = ["10.0.0.0/16"]
[[zone]]
name = "dmz"
level = 3.5
side = "dmz"
prefixes = ["10.5.0.0/16"]
[[zone]]
name = "plant"
level = 1
side = "ot"
prefixes = ["10.20.0.0/16", "fd00:20::/32"]
"#;

/// Numbers of the zones in [`ZONES`].
const OFFICE: u8 = 1;
const DMZ: u8 = 2;
const PLANT: u8 = 3;

const WHO: &str = "reason = \"r\"\nowner = \"o\"\n";

fn now() -> Timestamp {
    "2026-06-10T12:00:00Z".parse().unwrap()
}

/// The clocks of [`now`], an hour after the start of the machine.
const HOUR: u64 = 3_600_000_000_000;

fn clocks() -> Now {
    Now { wall: now(), monotonic_ns: HOUR }
}

fn read(text: &str) -> (Policy, Vec<Problem>) {
    Policy::read(&crate::config::parse_text(Path::new("site.toml"), text).unwrap(), now())
}

fn policy(text: &str) -> Policy {
    let (policy, problems) = read(text);
    assert_eq!(problems, [], "{text}");
    policy
}

/// The only problem of a file.
fn wrong(text: &str) -> Problem {
    let (_, problems) = read(text);
    assert_eq!(problems.len(), 1, "{text}: {problems:?}");
    problems[0].clone()
}

fn compiled(text: &str) -> Compiled {
    policy(text).compile(clocks(), &[]).unwrap()
}

fn rule(lines: &str) -> String {
    format!("{ZONES}[[rule]]\n{WHO}{lines}\n")
}

fn operation(proto: Proto, class: Class, changing: bool) -> Op {
    Op { tag: Tag::new(proto as u8, Kind::new(class, changing).0, Dir::Request, 0), ..Op::default() }
}

/// What happens to an operation at a time.
fn at(c: &Compiled, from: u8, to: u8, op: Op, now_ns: u64) -> (Action, u8) {
    let mut w = Walk::default();
    w.push(op);
    let frame = Frame { l4: 17, off: 42, end: 60, ..Frame::default() };
    let judged = c.judge(Outcome::Classified, &frame, &w, Way { from, to, spoofed: false }, now_ns);
    assert_eq!(judged.len(), 1);
    (c.action(judged[0].rule), judged[0].rule)
}

fn of(c: &Compiled, from: u8, to: u8, op: Op) -> Action {
    at(c, from, to, op, HOUR).0
}

fn of_condition(c: &Compiled, from: u8, to: u8, condition: Condition) -> Action {
    let cell = c.rows.get(&row(0, from.into(), to.into(), CONDITIONS)).map_or(0, |r| r[condition as usize]);
    let (from, to) = (from.into(), to.into());
    let (src, dst, op, kind) = ([0; 4], [0; 4], Op::default(), condition as u32);
    let s = ot_xdp_common::policy::Subject { from, to, src, dst, proto: CONDITIONS, kind, op, now_ns: HOUR };
    c.action(ot_xdp_common::policy::judge(&c.rules, cell, &s))
}

fn preset(p: Preset) -> Compiled {
    compiled(&format!("[policy]\npreset = \"{}\"\n{ZONES}", p.word()))
}

/// What a preset says of an operation, written down a second time.
fn truth(p: Preset, from: Side, to: Side, class: Class, changing: bool) -> Action {
    let outside = matches!(from, Side::It | Side::None) && to == Side::Ot;
    let program = class == Class::ProgramDownload;
    let settings = matches!(class, Class::Control | Class::Config | Class::File | Class::Auth);
    let looking = matches!(
        class,
        Class::Read | Class::Discovery | Class::Session | Class::Diagnostic | Class::Response | Class::CyclicIo
    );
    let of_it = matches!(class, Class::RemoteAdmin | Class::FileTransfer | Class::Infrastructure);
    match p {
        Preset::Observe if outside && (changing || program) => Action::Alert,
        Preset::ProtectWrites if outside && changing && !of_it => Action::Deny,
        Preset::ProtectProgram if outside && (program || settings && changing) => Action::Deny,
        Preset::ProtectProgram if outside && changing => Action::Alert,
        Preset::Strict if outside && (changing || !looking) => Action::Deny,
        Preset::Strict if from == Side::Dmz && to == Side::Ot && changing => Action::Deny,
        _ => Action::Allow,
    }
}
