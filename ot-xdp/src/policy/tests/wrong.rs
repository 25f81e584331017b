//! What is said about wrong policies.

use super::*;

#[test]
fn every_problem_has_its_line() {
    let cases = [
        ("from = \"offce\"\nto = \"plant\"\naction = \"deny\"", "unknown zone `offce`"),
        ("from = \"side:cloud\"\nto = \"plant\"\naction = \"deny\"", "unknown side"),
        ("to = \"plant\"\naction = \"deny\"", "does not say `from`"),
        ("from = \"any\"\nto = \"plant\"\naction = \"forbid\"", "no action"),
        ("from = \"any\"\nto = \"plant\"\naction = \"deny\"\nprotocol = \"modbu\"", "unknown protocol `modbu`"),
        ("from = \"any\"\nto = \"plant\"\naction = \"deny\"\nclass = \"writes\"", "unknown class `writes`"),
        ("from = \"any\"\nto = \"plant\"\naction = \"deny\"\ncondition = \"odd\"", "unknown condition `odd`"),
        ("from = \"any\"\nto = \"plant\"\naction = \"deny\"\nclass = \"write\"\nfunction = \"modbus:6\"", "not both"),
        ("from = \"any\"\nto = \"plant\"\naction = \"deny\"\nclass = \"write\"\ncondition = \"fragment\"", "two rules"),
        ("from = \"any\"\nto = \"plant\"\naction = \"deny\"\nwindow = \"never\"", "unknown window"),
        ("from = \"any\"\nto = \"plant\"\naction = \"deny\"\nsource = \"10.0.5.7/8\"", "10.0.0.0/8"),
        ("from = \"any\"\nto = \"plant\"\naction = \"deny\"\ndestination = \"plc\"", "no address"),
    ];
    let line = ZONES.lines().count() + 1;
    for (text, word) in cases {
        let problem = wrong(&rule(text));
        assert!(problem.reason.contains(word) && problem.fatal && problem.line == line, "{text}: {problem:?}");
    }
    let without = format!("{ZONES}[[rule]]\nfrom = \"any\"\nto = \"plant\"\naction = \"deny\"\n");
    let (_, problems) = read(&without);
    assert!(problems.len() == 2 && problems.iter().all(|p| p.line == line), "reason and owner: {problems:?}");
}

#[test]
fn zones_are_checked() {
    let zone = |name: &str, more: &str| format!("[[zone]]\nname = \"{name}\"\nside = \"it\"\n{more}\n");
    let cases = [
        (zone("a", ""), 1, "no member"),
        (zone("any", "ports = [\"p1\"]"), 1, "cannot name a zone"),
        (zone("a", "vlans = [4095]\nports = [\"p1\"]"), 1, "1 to 4094"),
        (zone("a", "macs = [\"00:1b\"]\nports = [\"p1\"]"), 1, "six octets"),
        (zone("a", "level = 6\nports = [\"p1\"]"), 1, "Purdue"),
        (zone("a", "ports = [\"p1\"]") + &zone("b", "ports = [\"p1\"]"), 5, "port p1 belongs to zone `a` in line 1"),
        (zone("a", "vlans = [7]") + &zone("b", "vlans = [7]"), 5, "VLAN 7"),
        (zone("a", "macs = [\"00-00-00-00-00-01\"]") + &zone("b", "macs = [\"00:00:00:00:00:01\"]"), 5, "MAC"),
        (zone("a", "prefixes = [\"10.0.0.0/8\"]") + &zone("b", "prefixes = [\"10.0.0.0/8\"]"), 5, "prefix"),
        (zone("a", "ports = [\"p1\"]") + &zone("a", "ports = [\"p2\"]"), 5, "given twice"),
    ];
    for (text, line, word) in cases {
        let problem = wrong(&text);
        assert!(problem.line == line && problem.reason.contains(word) && problem.fatal, "{text}: {problem:?}");
    }
    let many: String = (0..16).map(|n| zone(&format!("z{n}"), &format!("vlans = [{}]", n + 1))).collect();
    assert!(wrong(&many).reason.contains("16 zones and 15"));
    let ports = zone("a", "ports = [\"p1\"]") + &zone("b", "ports = [\"p2\"]");
    let ot = |members: &str| format!("{ports}[[zone]]\nname = \"c\"\nside = \"ot\"\n{members}\n");
    assert!(wrong(&ot("ports = [\"p3\"]")).reason.contains("macs or prefixes"), "where do its frames go?");
    policy(&ot("ports = [\"p3\"]\nprefixes = [\"10.0.0.0/8\"]"));
    assert!(wrong("[policy]\npreset = \"strict\"\n").reason.contains("side = \"ot\""));
}

#[test]
fn lines_that_never_decide_are_named_with_the_earlier_one() {
    let two = |first: &str, second: &str| {
        let line = |text: &str| format!("[[rule]]\n{WHO}from = \"office\"\nto = \"plant\"\n{text}\n");
        format!("{ZONES}{}{}", line(first), line(second))
    };
    let first = ZONES.lines().count() + 1;
    let cases = [
        ("action = \"deny\"", "action = \"allow\"\nclass = \"read\"", Some((false, "matches everything"))),
        (
            "action = \"deny\"\nclass = \"write\"",
            "action = \"deny\"\nclass = \"write\"",
            Some((false, "says the same")),
        ),
        (
            "action = \"deny\"\nclass = \"write\"",
            "action = \"allow\"\nclass = \"write\"",
            Some((true, "another action")),
        ),
        ("action = \"deny\"", "action = \"allow\"\nfunction = \"modbus:6\"", Some((false, "matches everything"))),
        (
            "action = \"deny\"\nsource = \"10.0.0.0/24\"",
            "action = \"allow\"\nsource = \"10.0.0.7\"",
            Some((false, "matches")),
        ),
        ("action = \"deny\"\nunit = 3", "action = \"allow\"\nunit = \"1-5\"", None),
        ("action = \"deny\"\nsource = \"10.0.0.7\"", "action = \"allow\"", None),
        ("action = \"deny\"\nexpires = \"2027-01-01T00:00:00Z\"", "action = \"allow\"", None),
        ("action = \"deny\"", "action = \"allow\"\ncondition = \"fragment\"", None),
    ];
    for (a, b, expected) in cases {
        let (_, problems) = read(&two(a, b));
        match expected {
            None => assert_eq!(problems, [], "{a} / {b}"),
            Some((fatal, words)) => {
                assert_eq!(problems.len(), 1, "{a} / {b}: {problems:?}");
                let p = &problems[0];
                assert!(p.fatal == fatal && p.reason.contains(words) && p.line > first, "{p:?}");
                assert!(p.reason.contains(&format!("line {first}")), "{p:?}");
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let protocols: Vec<String> = Proto::ALL.iter().map(|p| format!("\"{}\"", p.name())).collect();
    let line = |n: usize| {
        let list = protocols.join(", ");
        format!(
            "[[rule]]\n{WHO}from = \"office\"\nto = \"plant\"\nprotocol = [{list}]\nunit = {n}\naction = \"deny\"\n"
        )
    };
    let few = format!("{ZONES}{}", line(1));
    policy(&few);
    let far = format!("{few}[[rule]]\n{WHO}from = \"office\"\nto = \"plant\"\nunit = 2\naction = \"deny\"\n");
    assert!(wrong(&far).reason.contains("64"), "scan");
    let many: String = (1..5).map(line).collect();
    assert!(wrong(&format!("{ZONES}{many}")).reason.contains("255"), "rules");
}

#[test]
fn a_file_is_refused_with_everything_that_is_wrong() {
    let file = std::env::temp_dir().join(format!("ot-xdp-policy-{}.toml", std::process::id()));
    let load = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let result = Config::load(&file);
        std::fs::remove_file(&file).unwrap();
        result
    };
    let line = "from = \"office\"\nto = \"nowhere\"\naction = \"deny\"";
    let both = format!("{}[[rule]]\n{WHO}{}", rule(line), line.replace("nowhere", "elsewhere"));
    let text = load(&both).unwrap_err().to_string();
    for words in ["`nowhere`", "`elsewhere`", ":17: unknown zone", ":23: unknown zone"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    // A gateway that restarts protects the plant although a permit in its file is over.
    let over = line.replace("nowhere", "plant") + "\nexpires = \"2020-01-01T00:00:00Z\"";
    assert!(Policy::from_config(&load(&rule(&over)).unwrap()).unwrap().is_some());
    assert_eq!(Policy::from_config(&Config::default()), Ok(None));
    assert!(load("[[rule]]\nform = \"any\"\n").unwrap_err().to_string().contains("form"), "unknown key");
}
