//! A policy is swapped at once: no frame is judged by half of the old and half of the new one.
//!
//! Each datagram holds two writes, of which one policy refuses the first and the other one the second. Under either of them
//! it is refused; a frame that was judged by parts of both could pass.

use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use harness::gateway::Told;
use harness::netns::within;
use harness::plant::Plant;
use harness::{is_root, skip};

const SINGLE: &[u8] = &[0, 2, 0, 0, 0, 6, 1, 6, 0, 1, 0, 9];
const MULTIPLE: &[u8] = &[0, 3, 0, 0, 0, 9, 1, 16, 0, 1, 0, 1, 2, 0, 9];
const READ: &[u8] = &[0, 1, 0, 0, 0, 6, 1, 3, 0, 1, 0, 1];

/// A policy that refuses one of the two functions.
fn policy(denied: &str, allowed: &str) -> String {
    let zones = "[[zone]]\nname = \"office\"\nside = \"it\"\nlevel = 4\nports = [\"p-it\"]\n\
                 [[zone]]\nname = \"plant\"\nside = \"ot\"\nlevel = 1\nports = [\"p-ot\"]\n";
    let rule = |function: &str, action: &str| {
        format!(
            "[[rule]]\nfrom = \"office\"\nto = \"plant\"\nfunction = \"{function}\"\naction = \"{action}\"\n\
             reason = \"r\"\nowner = \"o\"\n"
        )
    };
    format!("{zones}{}{}", rule(denied, "deny"), rule(allowed, "allow"))
}

fn reload(bin: &Path, socket: &str) -> bool {
    let args = ["reload", "--by", "test", "--control", socket];
    Command::new(bin).args(args).output().expect("runs").status.success()
}

#[test]
fn no_frame_is_judged_by_parts_of_two_policies() {
    if !is_root() {
        skip!("needs root for namespaces and XDP");
    }
    let Some(bin) = harness::binary() else { skip!("the release binary is not built: run `cargo xtask test`") };
    let dir = std::env::temp_dir().join(format!("ot-xdp-swap-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("directory");
    let file = dir.join("gate.toml");
    let (config, socket) = (file.display().to_string(), dir.join("control.sock").display().to_string());
    let policies = [policy("modbus:6", "modbus:16"), policy("modbus:16", "modbus:6")];
    std::fs::write(&file, &policies[0]).expect("file");
    let plant = Plant::new(&format!("otswap{}", std::process::id())).expect("namespaces");
    let args = ["run", "--config", &config, "--bridge", "br0", "--mode", "enforce", "--control", &socket];
    let gate = Told::new(&plant, "br", &bin, &args);
    gate.wait("the gate", |l| l.contains("gate-mode-change"));

    let receiver = within(&plant.namespace("ot"), || UdpSocket::bind("10.77.0.2:502").expect("binds"));
    receiver.set_read_timeout(Some(Duration::from_millis(100))).expect("time-out");
    let sender = within(&plant.namespace("it"), || UdpSocket::bind("0.0.0.0:0").expect("binds"));
    sender.connect("10.77.0.2:502").expect("connects");
    let (done, both, reads, arrived) =
        (AtomicBool::new(false), AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
    let mut swaps = 0;
    let mut longest = Duration::ZERO;
    std::thread::scope(|s| {
        s.spawn(|| {
            let mut buffer = [0; 64];
            let mut quiet = 0;
            while quiet < 5 {
                match receiver.recv(&mut buffer) {
                    Ok(n) => {
                        assert_eq!(&buffer[..n], READ, "a datagram with a write arrived");
                        arrived.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(_) => quiet += u32::from(done.load(Ordering::Relaxed)),
                }
            }
        });
        s.spawn(|| {
            let writes = [[SINGLE, MULTIPLE].concat(), [MULTIPLE, SINGLE].concat()];
            while !done.load(Ordering::Relaxed) {
                for datagram in &writes {
                    for _ in 0..20 {
                        sender.send(datagram).expect("sends");
                    }
                    both.fetch_add(20, Ordering::Relaxed);
                }
                sender.send(READ).expect("sends");
                reads.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_micros(200));
            }
        });
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(6) {
            swaps += 1;
            std::fs::write(&file, &policies[swaps % 2]).expect("file");
            let at = Instant::now();
            assert!(reload(&bin, &socket), "reloaded");
            longest = longest.max(at.elapsed());
            if swaps % 8 == 0 {
                std::fs::write(&file, "[policy]\npreset = \"none\"\n").expect("file");
                assert!(!reload(&bin, &socket), "a wrong policy is refused");
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    let (both, reads, arrived) = (both.into_inner(), reads.into_inner(), arrived.into_inner());
    println!("{swaps} swaps, {both} datagrams with two writes, {reads} reads; the longest reload took {longest:?}");
    assert_eq!(arrived, reads, "every read, and nothing else");
    assert!(swaps >= 10 && both > 20_000, "{swaps} swaps, {both} datagrams");
    let _ = std::fs::remove_dir_all(&dir);
}
