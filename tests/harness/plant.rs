//! A small plant in network namespaces: an IT host and an OT host joined by a bridge. Gone with its guard.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

/// Address of the IT host.
pub const IT: &str = "10.77.0.1";
/// Address of the OT host.
pub const OT: &str = "10.77.0.2";

/// The namespaces and their veth pairs: `it0` - `p-it` [br0] `p-ot` - `ot0`.
pub struct Plant {
    prefix: String,
}

impl Plant {
    /// Builds the plant; what an earlier one of the same name left is removed first.
    ///
    /// # Errors
    /// Without root, `ip`, or the kernel's bridge and veth.
    pub fn new(name: &str) -> Result<Plant> {
        let plant = Plant { prefix: name.to_owned() };
        plant.remove();
        plant.build().inspect_err(|_| plant.remove())?;
        Ok(plant)
    }

    fn build(&self) -> Result<()> {
        for side in ["it", "br", "ot"] {
            ip(&["netns", "add", &self.namespace(side)])?;
        }
        self.ip("br", &["link", "add", "br0", "type", "bridge"])?;
        for (side, port, host, address, mac) in
            [("it", "p-it", "it0", IT, "02:00:00:77:00:01"), ("ot", "p-ot", "ot0", OT, "02:00:00:77:00:02")]
        {
            let ns = self.namespace(side);
            self.ip("br", &["link", "add", port, "type", "veth", "peer", "name", host, "netns", &ns])?;
            self.ip("br", &["link", "set", port, "master", "br0"])?;
            self.ip("br", &["link", "set", port, "up"])?;
            self.ip(side, &["link", "set", host, "address", mac])?;
            self.ip(side, &["addr", "add", &format!("{address}/24"), "dev", host])?;
            self.ip(side, &["link", "set", host, "up"])?;
            self.ip(side, &["link", "set", "lo", "up"])?;
        }
        self.ip("br", &["link", "set", "br0", "up"])?;
        Ok(())
    }

    /// Name of a namespace: `it`, `br` or `ot`.
    pub fn namespace(&self, side: &str) -> String {
        format!("{}-{side}", self.prefix)
    }

    /// `ip` inside a namespace.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn ip(&self, side: &str, args: &[&str]) -> Result<()> {
        let ns = self.namespace(side);
        let mut all = vec!["-n", ns.as_str()];
        all.extend(args);
        ip(&all)
    }

    /// Is an XDP program attached to a bridge port?
    ///
    /// # Errors
    /// What `ip` says.
    pub fn xdp(&self, port: &str) -> Result<bool> {
        let out = Command::new("ip").args(["-n", &self.namespace("br"), "link", "show", port]).output()?;
        if !out.status.success() {
            bail!("ip link show {port}: {}", String::from_utf8_lossy(&out.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&out.stdout).contains("xdp"))
    }

    /// A command that runs inside a namespace.
    pub fn command(&self, side: &str, program: &Path) -> Command {
        let mut c = Command::new("ip");
        c.args(["netns", "exec", &self.namespace(side)]).arg(program).stdin(Stdio::null());
        c
    }

    /// Ends every process in the namespaces and removes them. Nothing to do is fine.
    pub fn remove(&self) {
        for side in ["it", "br", "ot"] {
            let ns = self.namespace(side);
            let Ok(out) = Command::new("ip").args(["netns", "pids", &ns]).output() else { continue };
            let pids = String::from_utf8_lossy(&out.stdout);
            for pid in pids.split_whitespace() {
                // A process that has just ended is what we want.
                let _ = Command::new("kill").args(["-9", pid]).stderr(Stdio::null()).status();
            }
            let _ = Command::new("ip").args(["netns", "del", &ns]).stderr(Stdio::null()).status();
        }
    }
}

impl Drop for Plant {
    fn drop(&mut self) {
        self.remove();
    }
}

fn ip(args: &[&str]) -> Result<()> {
    let out = Command::new("ip").args(args).output().context("cannot run `ip`; install the package iproute2")?;
    if !out.status.success() {
        bail!("ip {}: {}", args.join(" "), String::from_utf8_lossy(&out.stderr).trim());
    }
    Ok(())
}

/// A child process that is stopped with its guard: SIGTERM first, SIGKILL after two seconds.
pub struct Guard(pub Child);

impl Guard {
    /// Asks the process to end and waits for it.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn stop(&mut self) -> Result<std::process::ExitStatus> {
        // `ip netns exec` replaces itself by the program, so the pid is the program's own.
        let _ = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).stderr(Stdio::null()).status();
        for _ in 0..200 {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        self.0.kill()?;
        Ok(self.0.wait()?)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = self.stop();
        }
    }
}
