//! The checks of each interface: link, XDP support, foreign programs, offloads that hide something from XDP.

use std::fs;
use std::io;
use std::path::Path;

use ot_xdp_common::limits::REACH;

use super::{Finding, Level};
use crate::source::kernel::{PROGRAM, program_name};
use crate::sys::ethtool;
use crate::sys::link::{Link, XdpState};
use crate::sys::netdev::{self, XdpFeatures};

/// Octets in front of what the MTU counts: MAC addresses and EtherType, and two VLAN tags.
const HEADERS: u32 = 14 + 8;
/// Largest MTU at which classification reaches every octet of a frame.
const REACHED_MTU: u32 = REACH - HEADERS;
/// Index of the loopback interface, the first one of every network namespace.
const LOOPBACK: u32 = 1;

/// Drivers (by their names in sysfs, or kinds of virtual interfaces) that run XDP natively in Linux 5.18, for kernels
/// before 6.3, which do not tell.
const NATIVE_DRIVERS: &[&str] = &[
    "bnxt_en",
    "bond",
    "cpsw",
    "ena",
    "fsl_dpa",
    "fsl_dpaa2_eth",
    "fsl_enetc",
    "hv_netvsc",
    "i40e",
    "ice",
    "igb",
    "igc",
    "ixgbe",
    "ixgbevf",
    "mlx4_core",
    "mlx5_core",
    "mvneta",
    "mvpp2",
    "netsec",
    "nfp",
    "qede",
    "sfc",
    "tun",
    "veth",
    "vif",
    "virtio_net",
];

/// What is known about one interface.
struct Facts {
    link: Link,
    /// The operator named it: what keeps the sensor from starting is a problem, not a warning.
    named: bool,
    /// Driver, or kind of a virtual interface.
    driver: Option<String>,
    /// `None`: the kernel is too old to tell.
    features: io::Result<Option<XdpFeatures>>,
    /// Active offloads.
    offloads: io::Result<Vec<String>>,
    /// Name of the attached XDP program.
    program: Option<String>,
    /// Ports, of a bridge.
    ports: Vec<String>,
}

/// Every check of the named interfaces, or of all but the loopback one.
pub(super) fn checks(links: &[Link], names: &[String]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in names.iter().filter(|n| !links.iter().any(|l| l.name == **n)) {
        let message = "does not exist in this network namespace";
        findings.push(about(name, Finding::problem("link", message, "`ip link` lists those that do")));
    }
    let chosen = |l: &&Link| if names.is_empty() { l.index != LOOPBACK } else { names.contains(&l.name) };
    for link in links.iter().filter(chosen) {
        let facts = gather(link, links, !names.is_empty());
        findings.extend(judge(&facts).into_iter().map(|f| about(&link.name, f)));
    }
    findings
}

fn about(interface: &str, finding: Finding) -> Finding {
    Finding { interface: Some(interface.to_owned()), ..finding }
}

fn gather(link: &Link, links: &[Link], named: bool) -> Facts {
    let driver = fs::read_link(Path::new("/sys/class/net").join(&link.name).join("device/driver"))
        .ok()
        .and_then(|p| Some(p.file_name()?.to_string_lossy().into_owned()));
    let program = match link.xdp {
        Some(XdpState::Native(id) | XdpState::Generic(id) | XdpState::Offload(id)) => program_name(id),
        Some(XdpState::Multi) | None => None,
    };
    Facts {
        named,
        driver: driver.or_else(|| link.kind.clone()),
        features: netdev::xdp_features(link.index),
        offloads: ethtool::active(link.index),
        program,
        ports: links.iter().filter(|l| l.master == Some(link.index)).map(|l| l.name.clone()).collect(),
        link: link.clone(),
    }
}

fn judge(facts: &Facts) -> Vec<Finding> {
    if facts.link.kind.as_deref() == Some("bridge") {
        return vec![bridge(facts)];
    }
    if !facts.named && !facts.link.up {
        return vec![Finding::ok("link", "down; not looked at further unless named with --interface")];
    }
    let mut findings = vec![link(facts), mtu(facts), occupied(facts), native(facts)];
    match &facts.offloads {
        Ok(active) => findings.extend([vlan(facts, active), merging(facts, active)]),
        Err(e) => findings.push(Finding::ok("offloads", format!("the kernel does not tell its offloads ({e})"))),
    }
    findings
}

/// A problem where the interface was named, a warning where all are looked at.
fn serious(facts: &Facts, finding: Finding) -> Finding {
    if facts.named { finding } else { Finding { level: Level::Warning, ..finding } }
}

fn bridge(facts: &Facts) -> Finding {
    let message = "a bridge: XDP there sees only what is sent to this host, not what passes through";
    if !facts.named {
        return Finding::ok("bridge", format!("{message}; listen on its ports ({})", list(&facts.ports)));
    }
    let options: Vec<String> = facts.ports.iter().map(|p| format!("--interface {p}")).collect();
    let advice = if options.is_empty() {
        "it has no ports yet; listen on them once they are there".to_owned()
    } else {
        format!("listen on its ports: {}", options.join(" "))
    };
    Finding::problem("bridge", message, advice)
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn link(facts: &Facts) -> Finding {
    let name = &facts.link.name;
    if !facts.link.up {
        Finding::warning("link", "down: no frame comes in", format!("ip link set dev {name} up"))
    } else if !facts.link.running {
        Finding::warning("link", "up, but without carrier", "look at the cable, the switch port or the mirror session")
    } else {
        Finding::ok("link", "up, with carrier")
    }
}

fn mtu(facts: &Facts) -> Finding {
    let (name, mtu) = (&facts.link.name, facts.link.mtu);
    if mtu <= REACHED_MTU {
        return Finding::ok("mtu", format!("{mtu}: every octet of a frame can be classified"));
    }
    let reach = format!("{mtu}: classification reaches {REACH} octets of a frame");
    match facts.features {
        Ok(Some(XdpFeatures { native: true, multi_buffer: false, .. })) => Finding::warning(
            "mtu",
            format!("{reach}, and the driver cannot hand such long frames to XDP; it will refuse to attach"),
            format!("ip link set dev {name} mtu 1500, where no jumbo frames are used"),
        ),
        _ => Finding::ok("mtu", format!("{reach}; what lies behind is reported as `beyond_reach`")),
    }
}

fn occupied(facts: &Facts) -> Finding {
    const CHECK: &str = "program";
    let name = &facts.link.name;
    let Some(state) = facts.link.xdp else { return Finding::ok(CHECK, "no XDP program is attached") };
    let (id, mode) = match state {
        XdpState::Native(id) => (id, "natively"),
        XdpState::Generic(id) => (id, "in generic mode"),
        XdpState::Offload(id) => (id, "in the adapter"),
        XdpState::Multi => (0, "in several modes"),
    };
    let off = format!("stop what loaded it, or remove it with `ip link set dev {name} xdp off`");
    match facts.program.as_deref() {
        Some(PROGRAM) if matches!(state, XdpState::Generic(_)) => Finding::warning(
            CHECK,
            format!("ot-xdp runs here {mode} (id {id}): slower, and frames may have been merged"),
            "see the line on native XDP below",
        ),
        Some(PROGRAM) => Finding::ok(CHECK, format!("ot-xdp runs here {mode} (id {id}); a second one is refused")),
        Some(other) => serious(
            facts,
            Finding::problem(CHECK, format!("the XDP program `{other}` (id {id}) is attached {mode}"), off),
        ),
        None => serious(facts, Finding::problem(CHECK, format!("an XDP program (id {id}) is attached {mode}"), off)),
    }
}

fn native(facts: &Facts) -> Finding {
    const CHECK: &str = "native";
    let driver = facts.driver.as_deref().unwrap_or("unknown");
    let generic =
        "use `--attach-mode skb`, which is slower and sees merged frames, or an adapter whose driver runs XDP";
    match &facts.features {
        Ok(Some(XdpFeatures { native: true, multi_buffer, .. })) => {
            let long = if *multi_buffer { ", also on frames of several buffers" } else { "" };
            Finding::ok(CHECK, format!("the driver ({driver}) runs XDP{long}"))
        }
        Ok(Some(_)) => {
            serious(facts, Finding::problem(CHECK, format!("the driver ({driver}) cannot run XDP"), generic))
        }
        Ok(None) if NATIVE_DRIVERS.contains(&driver) => Finding::ok(
            CHECK,
            format!("the driver ({driver}) is known to run XDP; kernels before 6.3 do not tell more"),
        ),
        Ok(None) => Finding::warning(
            CHECK,
            format!("the driver ({driver}) is not known to run XDP; kernels before 6.3 do not tell"),
            format!("start `ot-xdp run`, which says at once whether it can; if not, {generic}"),
        ),
        Err(e) => {
            Finding::warning(CHECK, format!("the kernel does not tell what the driver ({driver}) can: {e}"), generic)
        }
    }
}

fn vlan(facts: &Facts, active: &[String]) -> Finding {
    let name = &facts.link.name;
    // A veth always claims the offload; what counts there is whether the other end keeps the tag out of the frame.
    if facts.link.kind.as_deref() == Some("veth") {
        return Finding::ok(
            "vlan",
            "VLAN tags reach XDP if the other end of this pair writes them into the frame (txvlan off)",
        );
    }
    if active.iter().any(|a| a == ethtool::VLAN_RECEIVE) {
        return Finding::warning(
            "vlan",
            "the adapter takes VLAN tags off before XDP sees the frame; conversations of different VLANs look alike",
            format!("ethtool -K {name} rxvlan off"),
        );
    }
    Finding::ok("vlan", "VLAN tags reach XDP")
}

fn merging(facts: &Facts, active: &[String]) -> Finding {
    let name = &facts.link.name;
    let on = |offload: &str| active.iter().any(|a| a == offload);
    let (what, switch) = match (on(ethtool::LRO), on(ethtool::GRO_HW)) {
        (true, true) => ("LRO and hardware GRO are", "lro off rx-gro-hw off"),
        (true, false) => ("LRO is", "lro off"),
        (false, true) => ("hardware GRO is", "rx-gro-hw off"),
        (false, false) => return Finding::ok("merging", "the adapter merges no segments"),
    };
    Finding::warning(
        "merging",
        format!("{what} on: some drivers then refuse native XDP, others hand it merged segments"),
        format!("ethtool -K {name} {switch}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            link: Link {
                index: 3,
                name: "eth1".to_owned(),
                up: true,
                running: true,
                mtu: 1500,
                xdp: None,
                master: None,
                kind: None,
            },
            named: true,
            driver: Some("igb".to_owned()),
            features: Ok(Some(XdpFeatures { native: true, multi_buffer: true, target: true })),
            offloads: Ok(vec!["rx-gro".to_owned()]),
            program: None,
            ports: Vec::new(),
        }
    }

    /// Level and texts of one check.
    fn of(facts: &Facts, check: &str) -> (Level, String) {
        let f = judge(facts).into_iter().find(|f| f.check == check).unwrap();
        (f.level, format!("{} {}", f.message, f.advice.unwrap_or_default()))
    }

    #[test]
    fn a_good_interface_is_good() {
        let findings = judge(&facts());
        assert!(findings.iter().all(|f| f.level == Level::Ok && f.advice.is_none()), "{findings:?}");
        assert_eq!(findings.len(), 6);
    }

    #[test]
    fn an_interface_that_does_not_exist_is_a_problem() {
        let findings = checks(&[], &["nope".to_owned()]);
        assert_eq!((findings.len(), findings[0].level), (1, Level::Problem));
    }

    #[test]
    fn link_state_and_mtu() {
        let mut f = facts();
        f.link.running = false;
        assert_eq!(of(&f, "link").0, Level::Warning);
        f.link.up = false;
        assert!(of(&f, "link").1.contains("ip link set dev eth1 up"));
        f.named = false;
        assert_eq!(judge(&f).len(), 1);
        let mut f = facts();
        f.link.mtu = 3498;
        assert!(of(&f, "mtu").1.contains("every octet"));
        f.link.mtu = 9000;
        assert!(of(&f, "mtu").1.contains("3520 octets"));
        f.features = Ok(Some(XdpFeatures { native: true, multi_buffer: false, target: true }));
        assert_eq!(of(&f, "mtu").0, Level::Warning);
    }

    #[test]
    fn foreign_programs_are_named() {
        let mut f = facts();
        f.link.xdp = Some(XdpState::Native(17));
        f.program = Some("xdp_dispatcher".to_owned());
        let (level, text) = of(&f, "program");
        assert_eq!(level, Level::Problem);
        assert!(text.contains("`xdp_dispatcher` (id 17)") && text.contains("xdp off"), "{text}");
        f.named = false;
        assert_eq!(of(&f, "program").0, Level::Warning);
        f.program = Some(PROGRAM.to_owned());
        assert_eq!(of(&f, "program").0, Level::Ok);
        f.link.xdp = Some(XdpState::Generic(17));
        assert_eq!(of(&f, "program").0, Level::Warning);
    }

    #[test]
    fn native_support_is_told_or_looked_up() {
        let mut f = facts();
        f.features = Ok(Some(XdpFeatures { native: false, multi_buffer: false, target: false }));
        let (level, text) = of(&f, "native");
        assert_eq!(level, Level::Problem);
        assert!(text.contains("--attach-mode skb"), "{text}");
        f.features = Ok(None);
        assert_eq!(of(&f, "native").0, Level::Ok);
        f.driver = Some("e1000e".to_owned());
        assert_eq!(of(&f, "native").0, Level::Warning);
        f.features = Err(io::Error::from_raw_os_error(95));
        assert_eq!(of(&f, "native").0, Level::Warning);
    }

    #[test]
    fn offloads_that_hide_something_are_warned_about() {
        let mut f = facts();
        f.offloads = Ok(vec![ethtool::VLAN_RECEIVE.to_owned(), ethtool::LRO.to_owned()]);
        assert!(of(&f, "vlan").1.contains("ethtool -K eth1 rxvlan off"));
        assert!(of(&f, "merging").1.contains("ethtool -K eth1 lro off"));
        f.link.kind = Some("veth".to_owned());
        assert_eq!(of(&f, "vlan").0, Level::Ok);
        f.offloads = Err(io::Error::from_raw_os_error(95));
        assert_eq!(of(&f, "offloads").0, Level::Ok);
    }

    #[test]
    fn a_bridge_is_never_listened_on() {
        let mut f = facts();
        f.link.kind = Some("bridge".to_owned());
        f.ports = vec!["p1".to_owned(), "p2".to_owned()];
        let findings = judge(&f);
        assert_eq!((findings.len(), findings[0].level), (1, Level::Problem));
        assert!(findings[0].advice.as_deref().unwrap().contains("--interface p1 --interface p2"));
        f.named = false;
        assert_eq!(judge(&f)[0].level, Level::Ok);
    }
}
