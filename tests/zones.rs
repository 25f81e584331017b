//! Zones and rules of a policy file through the kernel program: by what a zone is found, who wins, and what a rule is about.
//!
//! Frames are Modbus by UDP, which leaves nothing behind in the program: each is judged by itself.

use std::net::IpAddr;

use harness::{is_root, skip};
use ot_xdp::bindings::BindingTable;
use ot_xdp::config::Config;
use ot_xdp::event::Event;
use ot_xdp::gate::Gate;
use ot_xdp::policy::{Now, Policy};
use ot_xdp::source::kernel::{Kernel, Options};
use ot_xdp::sys::clock;
use ot_xdp_common::limits::FLOWS;
use ot_xdp_common::policy::Mode;

/// Interface of test runs.
const LO: u32 = 1;
const DROP: u32 = 1;
const PASS: u32 = 2;

const WRITE: &[u8] = &[0, 1, 0, 0, 0, 6, 3, 6, 0, 20, 0, 7];
const READ: &[u8] = &[0, 1, 0, 0, 0, 6, 3, 3, 0, 20, 0, 1];
const SERVER: &str = "10.20.3.20";

/// What the test's policy begins with: an office and a plant by prefixes.
const ZONES: &str = "[policy]\npreset = \"protect-writes\"\n\
    [[zone]]\nname = \"office\"\nside = \"it\"\nlevel = 4\nprefixes = [\"10.0.0.0/16\", \"fd00:4::/32\"]\n\
    [[zone]]\nname = \"plant\"\nside = \"ot\"\nlevel = 1\nprefixes = [\"10.20.0.0/16\", \"fd00:20::/32\"]\n";

#[derive(Clone)]
struct Frame<'a> {
    src: &'a str,
    dst: &'a str,
    mac: u8,
    vlan: Option<u16>,
    pdu: &'a [u8],
}

impl<'a> Frame<'a> {
    fn new(src: &'a str, pdu: &'a [u8]) -> Frame<'a> {
        Frame { src, dst: SERVER, mac: 1, vlan: None, pdu }
    }

    fn octets(&self) -> Vec<u8> {
        let (src, dst): (IpAddr, IpAddr) = (self.src.parse().expect("address"), self.dst.parse().expect("address"));
        let mut f = vec![2, 0, 0, 0, 0, 99, 2, 0, 0, 0, 0, self.mac];
        if let Some(vlan) = self.vlan {
            f.extend([0x81, 0]);
            f.extend(vlan.to_be_bytes());
        }
        let length = 8 + self.pdu.len() as u16;
        match (src, dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                f.extend([8, 0, 0x45, 0]);
                f.extend((20 + length).to_be_bytes());
                f.extend([0, 1, 0, 0, 64, 17, 0, 0]);
                f.extend(src.octets());
                f.extend(dst.octets());
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                f.extend([0x86, 0xDD, 0x60, 0, 0, 0]);
                f.extend(length.to_be_bytes());
                f.extend([17, 64]);
                f.extend(src.octets());
                f.extend(dst.octets());
            }
            _ => panic!("two families"),
        }
        f.extend(49_152u16.to_be_bytes());
        f.extend(502u16.to_be_bytes());
        f.extend(length.to_be_bytes());
        f.extend([0, 0]);
        f.extend(self.pdu);
        f
    }
}

/// The kernel program with a policy.
struct Judge {
    kernel: Kernel,
    gate: Gate,
    cpu: usize,
}

impl Judge {
    /// The program loads once; policies are swapped.
    fn new() -> Judge {
        let cpu = clock::pin_to_this_cpu().expect("pinned");
        let options = Options { flows: FLOWS, replay: false, bindings: BindingTable::default(), gate: true };
        let mut kernel = Kernel::load(&options).expect("loads");
        kernel.name_port(LO, "lo");
        let plan = plan(ZONES);
        let mut gate = Gate::start(&mut kernel, plan, std::time::Duration::from_secs(600)).expect("policy");
        gate.set_mode(&mut kernel, Mode::Enforce, None).expect("armed");
        Judge { kernel, gate, cpu }
    }

    fn policy(&mut self, text: &str) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("runtime");
        runtime.block_on(self.gate.replace(&mut self.kernel, plan(text))).expect("replaced");
    }

    fn refuses(&mut self, frame: &Frame<'_>) -> bool {
        let (verdict, _) = self.kernel.test_run(&frame.octets(), 0, self.cpu).expect("runs");
        assert!(verdict == DROP || verdict == PASS, "{verdict}");
        verdict == DROP
    }

    /// What was reported since the last call: action, rule, zones.
    fn reported(&mut self) -> Vec<(String, String, String, String)> {
        let events = self.gate.report(&self.kernel, |_| "lo".into(), true).expect("reads");
        let told = events.into_iter().map(|e| match e {
            Event::Refusal(r) => (r.action().to_owned(), r.rule.id.clone(), r.from_zone.clone(), r.to_zone.clone()),
            other => panic!("{other:?}"),
        });
        told.collect()
    }
}

fn plan(text: &str) -> ot_xdp::gate::Plan {
    let file = std::env::temp_dir().join(format!("ot-xdp-zones-{}.toml", std::process::id()));
    std::fs::write(&file, text).expect("file");
    let config = Config::load(&file).unwrap_or_else(|e| panic!("{e}: {text}"));
    let _ = std::fs::remove_file(&file);
    let policy = Policy::from_config(&config).expect("no problem").expect("a policy");
    let ports = [(LO, "lo".to_owned()), (LO + 1, "other".to_owned())];
    policy.compile(Now::read(), &ports).expect("fits").plan(&policy)
}

fn judge() -> Option<Judge> {
    is_root().then(Judge::new)
}

macro_rules! judge {
    () => {{
        let Some(judge) = judge() else { skip!("needs root to load the kernel program") };
        judge
    }};
}

fn zone(name: &str, side: &str, members: &str) -> String {
    format!("[[zone]]\nname = \"{name}\"\nside = \"{side}\"\nlevel = 3\n{members}\n")
}

fn rule(text: &str) -> String {
    format!("[[rule]]\n{text}\nreason = \"r\"\nowner = \"o\"\n")
}

#[test]
fn zones_by_prefix_and_the_longest_wins() {
    let mut j = judge!();
    assert!(j.refuses(&Frame::new("10.0.5.7", WRITE)));
    assert!(!j.refuses(&Frame::new("10.0.5.7", READ)));
    assert!(j.refuses(&Frame { dst: "fd00:20::20", ..Frame::new("fd00:4::7", WRITE) }));
    assert!(!j.refuses(&Frame { dst: "10.0.9.9", ..Frame::new("10.0.5.7", WRITE) }), "not to the plant");
    assert!(!j.refuses(&Frame::new("10.20.3.7", WRITE)), "within the plant");
    assert!(j.refuses(&Frame::new("192.168.1.1", WRITE)), "what belongs to no zone is judged like it");
    // A station in the middle of the office's prefix belongs to the plant, one subnet of the plant to the dmz.
    let more = zone("cell", "ot", "prefixes = [\"10.0.5.7/32\", \"fd00:4::7/128\"]")
        + &zone("dmz", "dmz", "prefixes = [\"10.20.9.0/24\"]");
    j.policy(&(ZONES.to_owned() + &more));
    assert!(!j.refuses(&Frame::new("10.0.5.7", WRITE)));
    assert!(!j.refuses(&Frame { dst: "fd00:20::20", ..Frame::new("fd00:4::7", WRITE) }));
    assert!(j.refuses(&Frame::new("10.0.5.8", WRITE)));
    assert!(!j.refuses(&Frame { dst: "10.20.9.1", ..Frame::new("10.0.5.8", WRITE) }), "the dmz is no plant");
}

#[test]
fn port_before_vlan_before_mac_before_prefix() {
    let mut j = judge!();
    let by_mac = zone("stations", "ot", "macs = [\"02:00:00:00:00:05\"]");
    j.policy(&(ZONES.to_owned() + &by_mac));
    assert!(!j.refuses(&Frame { mac: 5, ..Frame::new("10.0.5.7", WRITE) }), "the MAC address says plant");
    assert!(j.refuses(&Frame { mac: 6, ..Frame::new("10.0.5.7", WRITE) }));
    let by_vlan = by_mac.clone()
        + &zone("guests", "it", "vlans = [900]")
        + &zone("cell", "ot", "vlans = [130]\nprefixes = [\"10.99.0.0/16\"]");
    j.policy(&(ZONES.to_owned() + &by_vlan));
    assert!(j.refuses(&Frame { mac: 5, vlan: Some(900), ..Frame::new("10.20.5.7", WRITE) }), "the VLAN says guests");
    assert!(!j.refuses(&Frame { mac: 6, vlan: Some(130), ..Frame::new("10.0.5.7", WRITE) }), "the VLAN says plant");
    assert!(!j.refuses(&Frame { mac: 5, vlan: Some(7), ..Frame::new("10.0.5.7", WRITE) }), "a VLAN of no zone");
    j.policy(&(ZONES.to_owned() + &by_vlan + &zone("uplink", "it", "ports = [\"lo\"]")));
    for vlan in [None, Some(130), Some(900)] {
        assert!(j.refuses(&Frame { mac: 5, vlan, ..Frame::new("10.20.5.7", WRITE) }), "the port says IT: {vlan:?}");
    }
    j.policy(&(ZONES.to_owned() + &zone("cellport", "ot", "ports = [\"lo\"]")));
    assert!(!j.refuses(&Frame::new("10.0.5.7", WRITE)), "the port says plant");
}

#[test]
fn an_address_of_the_plant_from_outside_is_spoofed() {
    let mut j = judge!();
    let ports = zone("uplink", "it", "ports = [\"lo\"]");
    j.policy(&(ZONES.to_owned() + &ports));
    assert!(j.refuses(&Frame::new("10.20.3.7", READ)), "also when it only reads");
    let told = j.reported();
    assert_eq!(told.len(), 1);
    assert!(told[0].0 == "dropped" && told[0].2 == "uplink" && told[0].3 == "plant", "{told:?}");
    assert!(j.refuses(&Frame { dst: "10.0.9.9", ..Frame::new("10.20.3.7", READ) }), "wherever it goes");
    j.reported();
    let mode = |j: &mut Judge, mode| {
        j.gate.set_mode(&mut j.kernel, mode, None).expect("mode");
    };
    mode(&mut j, Mode::Shadow);
    assert!(!j.refuses(&Frame { mac: 9, ..Frame::new("10.20.3.8", READ) }));
    assert_eq!(j.reported()[0].0, "would-drop");
    mode(&mut j, Mode::Enforce);
    j.policy(&(ZONES.replace("protect-writes", "observe") + &ports));
    assert!(!j.refuses(&Frame::new("10.20.3.9", READ)));
    let told = j.reported();
    assert!(told.iter().any(|t| t.0 == "policy-alert" && t.1.starts_with("observe/")), "always an event: {told:?}");
}

#[test]
fn zones_without_a_side_in_the_presets_have_lines_of_their_own() {
    let mut j = judge!();
    let dmz = zone("dmz", "dmz", "prefixes = [\"10.5.0.0/16\"]");
    j.policy(&(ZONES.to_owned() + &dmz));
    assert!(!j.refuses(&Frame::new("10.5.0.1", WRITE)), "protect-writes lets the dmz write");
    j.policy(&(ZONES.replace("protect-writes", "strict") + &dmz));
    assert!(j.refuses(&Frame::new("10.5.0.1", WRITE)) && !j.refuses(&Frame::new("10.5.0.1", READ)));
    let unzoned = rule("from = \"unzoned\"\nto = \"plant\"\nprotocol = \"any\"\nclass = \"any\"\naction = \"deny\"");
    j.policy(&(ZONES.to_owned() + &unzoned));
    assert!(j.refuses(&Frame::new("192.168.1.1", READ)) && !j.refuses(&Frame::new("10.0.5.7", READ)));
}

#[test]
fn rules_are_about_units_addresses_functions_and_hosts() {
    let mut j = judge!();
    let head = "from = \"office\"\nto = \"plant\"\n";
    // Unit 3, register 20, function 6.
    for (what, matches) in [
        ("protocol = \"modbus\"\nclass = \"write\"", true),
        ("protocol = \"modbus\"\nclass = \"state-changing\"", true),
        ("protocol = \"modbus\"\nclass = \"control\"", false),
        ("protocol = \"s7comm\"\nclass = \"write\"", false),
        ("function = \"modbus:6\"", true),
        ("function = \"modbus:16\"", false),
        ("protocol = \"modbus\"\nclass = \"write\"\nunit = 3", true),
        ("protocol = \"modbus\"\nclass = \"write\"\nunit = \"4-9\"", false),
        ("protocol = \"modbus\"\nclass = \"write\"\naddress = \"0-20\"", true),
        ("protocol = \"modbus\"\nclass = \"write\"\naddress = \"21-99\"", false),
        ("protocol = \"modbus\"\nclass = \"write\"\nsource = \"10.0.5.7\"", true),
        ("protocol = \"modbus\"\nclass = \"write\"\nsource = \"10.0.6.0/24\"", false),
        ("protocol = \"modbus\"\nclass = \"write\"\ndestination = \"10.20.3.0/24\"", true),
        ("protocol = \"modbus\"\nclass = \"write\"\ndestination = \"10.20.4.1\"", false),
    ] {
        let zones = ZONES.replace("[policy]\npreset = \"protect-writes\"\n", "");
        j.policy(&(zones + &rule(&format!("{head}{what}\naction = \"deny\""))));
        assert_eq!(j.refuses(&Frame::new("10.0.5.7", WRITE)), matches, "deny {what}");
        j.policy(&(ZONES.to_owned() + &rule(&format!("{head}{what}\naction = \"allow\""))));
        assert_eq!(j.refuses(&Frame::new("10.0.5.7", WRITE)), !matches, "an exception for {what}");
    }
}

#[test]
fn rules_end_in_the_kernel_and_windows_hold_when_they_are_open() {
    let mut j = judge!();
    let end = jiff::Timestamp::now() + jiff::SignedDuration::from_millis(1_500);
    let permit = "from = \"office\"\nto = \"plant\"\nprotocol = \"modbus\"\nclass = \"write\"\naction = \"allow\"";
    j.policy(&(ZONES.to_owned() + &rule(&format!("{permit}\nexpires = \"{end}\""))));
    assert!(!j.refuses(&Frame::new("10.0.5.7", WRITE)));
    std::thread::sleep(std::time::Duration::from_millis(1_600));
    assert!(j.refuses(&Frame::new("10.0.5.7", WRITE)), "nothing was written to the kernel in between");

    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    let today = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let day = |offset: usize| {
        let number = now.weekday().to_monday_zero_offset() as usize;
        today[(number + offset) % 7]
    };
    for (offset, open) in [(0, true), (3, false)] {
        let window = format!(
            "[[window]]\nname = \"maintenance\"\ndays = [\"{}\"]\nfrom = \"00:00\"\nto = \"24:00\"\ntimezone = \"utc\"\n",
            day(offset)
        );
        j.policy(&(ZONES.to_owned() + &window + &rule(&format!("{permit}\nwindow = \"maintenance\""))));
        assert_eq!(j.refuses(&Frame::new("10.0.5.7", WRITE)), !open, "window {offset} days from now");
    }
}
