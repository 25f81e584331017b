//! Compilers that can build the kernel side: they have a `core` for the BPF target, as source or prebuilt.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::ebpf::TARGET;
use crate::{apt, shell};

/// How a compiler comes by `core` for the BPF target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Upstream's way: the `rust-src` component and `-Z build-std=core`.
    Source,
    /// Debian's way: a package with `core` built for the BPF target.
    Prebuilt,
}

impl Route {
    /// As in `--route` and in the record of the set-up.
    pub fn name(self) -> &'static str {
        match self {
            Route::Source => "source",
            Route::Prebuilt => "prebuilt",
        }
    }

    /// The reverse of [`Route::name`].
    pub fn parse(name: &str) -> Option<Route> {
        [Route::Source, Route::Prebuilt].into_iter().find(|r| r.name() == name)
    }
}

/// A compiler for the kernel side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toolchain {
    /// Where `core` comes from.
    pub route: Route,
    /// The compiler itself, never rustup's stand-in.
    pub rustc: PathBuf,
    /// The cargo that belongs to it, or else the one of the user-space side.
    pub cargo: PathBuf,
    /// First line of `rustc -vV`.
    pub version: String,
    /// Major version of its LLVM; the linker's may not be older.
    pub llvm: u32,
}

/// Debian's packages with a compiler and its `core` for BPF: the browsers' compiler follows upstream in stable releases.
const PACKAGES: [[&str; 2]; 2] = [["rustc-web", "libstd-rust-web-dev-bpf"], ["rustc", "libstd-rust-dev-bpf"]];

/// Every compiler on this machine that could do, the better first; and why others could not.
pub fn candidates() -> Result<(Vec<Toolchain>, Vec<String>)> {
    let oldest = oldest_release()?;
    let (mut found, mut notes) = (Vec::new(), Vec::new());
    for sysroot in sysroots() {
        let rustc = sysroot.join("bin/rustc");
        let Ok((version, release, llvm)) = describe(&rustc) else { continue };
        let library = sysroot.join("lib/rustlib");
        let routes = [
            (Route::Source, library.join("src/rust/library/core")),
            (Route::Prebuilt, library.join(TARGET).join("lib")),
        ];
        let routes: Vec<Route> = routes.into_iter().filter(|(_, p)| p.is_dir()).map(|(r, _)| r).collect();
        if release < oldest {
            notes.push(format!("{version} in {} is older than {}.{}", sysroot.display(), oldest.0, oldest.1));
        } else if routes.is_empty() {
            notes.push(format!(
                "{version} in {} has no core for {TARGET}: neither rust-src nor prebuilt",
                sysroot.display()
            ));
        } else {
            for route in routes {
                let own = sysroot.join("bin/cargo");
                let cargo = if own.is_file() { own } else { shell::cargo_path() };
                found.push(Toolchain { route, rustc: rustc.clone(), cargo, version: version.clone(), llvm });
            }
        }
    }
    found.sort_by_key(|t| t.route == Route::Prebuilt);
    Ok((found, notes))
}

/// Gives the compiler in use its `rust-src`.
pub fn install_source() -> Result<()> {
    if shell::on_path("rustup").is_none() {
        bail!("there is no rustup to add rust-src with");
    }
    shell::run(Command::new("rustup").current_dir(shell::root()).args(["component", "add", "rust-src"]))
}

/// Installs Debian's compiler with a prebuilt `core`.
pub fn install_prebuilt() -> Result<()> {
    let oldest = oldest_release()?;
    for packages in &PACKAGES {
        let fits = |p: &&str| apt::candidate(p).is_some_and(|v| release(&v).is_some_and(|r| r >= oldest));
        if packages.iter().all(fits) {
            return apt::install(packages);
        }
    }
    bail!(
        "no package with a compiler of at least {}.{} and a core for BPF ({})",
        oldest.0,
        oldest.1,
        PACKAGES.concat().join(", ")
    )
}

/// What a person would type for either route.
pub fn person() -> [String; 2] {
    ["rustup component add rust-src".to_owned(), apt::person(&PACKAGES[0])]
}

/// Major version of the LLVM of the compiler in use.
pub fn llvm_in_use() -> Option<u32> {
    describe(Path::new("rustc")).ok().map(|(_, _, llvm)| llvm)
}

/// Root folders of the compilers on this machine: the one in use, rustup's others, the distribution's.
fn sysroots() -> Vec<PathBuf> {
    let mut all = Vec::new();
    let mut add = |c: &mut Command| {
        shell::without_own_cargo(c);
        let found = shell::output(c.current_dir(shell::root()).args(["--print", "sysroot"]));
        if let Ok(s) = found.map(|s| PathBuf::from(s.trim()))
            && !all.contains(&s)
        {
            all.push(s);
        }
    };
    add(&mut Command::new("rustc"));
    if shell::on_path("rustup").is_some() {
        let list = shell::output(Command::new("rustup").args(["toolchain", "list"])).unwrap_or_default();
        for name in list.lines().filter_map(|l| l.split_whitespace().next()) {
            add(Command::new("rustup").args(["run", name, "rustc"]));
        }
    }
    if Path::new("/usr/bin/rustc").is_file() {
        add(&mut Command::new("/usr/bin/rustc"));
    }
    all
}

/// First line of the version, release, major version of LLVM.
fn describe(rustc: &Path) -> Result<(String, (u32, u32), u32)> {
    let mut c = Command::new(rustc);
    shell::without_own_cargo(&mut c);
    let text = shell::output(c.arg("-vV"))?;
    let field = |name: &str| text.lines().find_map(|l| l.strip_prefix(name)).map(str::trim);
    let version = text.lines().next().unwrap_or_default().to_owned();
    let release = field("release:").and_then(release).context("rustc -vV names no release")?;
    let llvm =
        field("LLVM version:").and_then(|v| v.split('.').next()?.parse().ok()).context("rustc -vV names no LLVM")?;
    Ok((version, release, llvm))
}

/// `1.96.0+dfsg1-1` or `1.97.0-nightly` to its first two numbers.
fn release(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?))
}

/// The workspace's `rust-version`: `ot-xdp-common` is built by both sides.
fn oldest_release() -> Result<(u32, u32)> {
    let file = shell::root().join("Cargo.toml");
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    text.lines()
        .find_map(|l| l.strip_prefix("rust-version = "))
        .and_then(|v| release(v.trim_matches('"')))
        .context("Cargo.toml names no rust-version")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases() {
        for (text, is) in [("1.95", (1, 95)), ("1.96.0+dfsg1-1~deb12u2", (1, 96)), ("1.97.0-nightly", (1, 97))] {
            assert_eq!(release(text), Some(is), "{text}");
        }
        assert!(oldest_release().expect("rust-version") >= (1, 95));
    }
}
