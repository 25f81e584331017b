//! `cargo xtask setup`: finds or installs what the build needs, and writes down what it found.
//!
//! A compiler and a linker count as found when a program of one line was really compiled and linked with them, with the
//! flags of the build. The record lies below the target folder; while the files it names are unchanged, later tasks take
//! it as it is.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;
use std::{fs, io};

use anyhow::{Context, Result, anyhow, bail};

use crate::toolchain::{Route, Toolchain};
use crate::{apt, ebpf, linker, shell, toolchain};

/// Compiler and linker of the kernel side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tools {
    /// The compiler.
    pub toolchain: Toolchain,
    /// `bpf-linker`.
    pub linker: PathBuf,
    /// Its version.
    pub linker_version: String,
}

impl Tools {
    /// What an object is made with, in one line.
    pub fn identity(&self) -> String {
        let t = &self.toolchain;
        format!(
            "{}, core: {}, {}, {}",
            t.version,
            t.route.name(),
            self.linker_version,
            ebpf::flags(Path::new("bpf-linker"))
        )
        .replace('\u{1f}', " ")
    }
}

/// Programs that only tests and the plant lab use: program, package, what for.
const FOR_TESTS: [(&str, &str, &str); 5] = [
    ("c++", "g++", "fuzzing"),
    ("ip", "iproute2", "the plant lab and tests in network namespaces"),
    ("qemu-system-x86_64", "qemu-system-x86", "tests on other kernels"),
    ("busybox", "busybox-static", "tests on other kernels"),
    // Brings rsyslog with it.
    ("rsyslogd", "rsyslog-openssl", "tests against a real syslog receiver"),
];

/// Packages with a C compiler.
const CC: [&str; 2] = ["gcc", "libc6-dev"];
const NO_CC: &str = "there is no C compiler `cc` to link programs with";

/// The task.
pub fn task(args: &[String]) -> Result<()> {
    let (mut check, mut tests, mut route) = (false, false, None);
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        match (arg.as_str(), rest.as_slice().first().and_then(|v| Route::parse(v))) {
            ("--check", _) => check = true,
            ("--tests", _) => tests = true,
            ("--route", Some(r)) => {
                route = Some(r);
                rest.next();
            }
            _ => return Err(crate::usage("setup [--check] [--tests] [--route source|prebuilt]")),
        }
    }
    if check {
        return report(route);
    }
    c_compiler()?;
    let tools = match recorded().filter(|t| route.is_none_or(|r| r == t.toolchain.route)) {
        Some(tools) => tools,
        None => find_or_install(route)?,
    };
    print(&tools);
    if tests { for_tests(&tools, true) } else { Ok(()) }
}

/// Compiler and linker, set up now if they were not yet.
pub fn ready() -> Result<Tools> {
    if let Some(tools) = recorded() {
        return Ok(tools);
    }
    eprintln!("set-up: looking for what builds the kernel side");
    c_compiler()?;
    let tools = find_or_install(None)?;
    print(&tools);
    Ok(tools)
}

/// What the plant lab makes its namespaces with.
pub fn for_lab() -> Result<()> {
    if shell::on_path("ip").is_some() {
        Ok(())
    } else {
        apt::install(&["iproute2"]).context("the plant lab needs `ip`")
    }
}

/// Programs that only tests use: installs what is missing where that is possible. Fails only when `strict`.
pub fn for_tests(tools: &Tools, strict: bool) -> Result<()> {
    let mut missing: Vec<&str> = missing_for_tests().into_iter().map(|(_, package, _)| package).collect();
    if ebpf::clippy(tools).is_none() && tools.toolchain.route == Route::Prebuilt {
        // Clippy must be of the very compiler that made `core`.
        missing.push("rust-web-clippy");
    }
    missing.dedup();
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("set-up: tests also use {}", missing.join(", "));
    match apt::install(&missing) {
        Err(e) if !strict => {
            eprintln!("set-up: {e:#}; the tests that need them will be skipped");
            Ok(())
        }
        done => done,
    }
}

fn missing_for_tests() -> Vec<(&'static str, &'static str, &'static str)> {
    FOR_TESTS.into_iter().filter(|(program, ..)| shell::on_path(program).is_none()).collect()
}

fn print(tools: &Tools) {
    let t = &tools.toolchain;
    let how = match t.route {
        Route::Source => "core from rust-src",
        Route::Prebuilt => "prebuilt core",
    };
    eprintln!("  compiler: {} ({}), {how}", t.version, t.rustc.display());
    eprintln!("  linker:   {} ({})", tools.linker_version, tools.linker.display());
    for (program, package, what) in missing_for_tests() {
        eprintln!(
            "  missing:  {program} (package {package}), only for {what}: `cargo xtask setup --tests` installs it"
        );
    }
}

/// `--check`: says what is there and changes nothing.
fn report(route: Option<Route>) -> Result<()> {
    let cc = if shell::on_path("cc").is_some() { Ok(()) } else { Err(anyhow!("{NO_CC}: {}", apt::person(&CC))) };
    if let Some(tools) = recorded().filter(|t| route.is_none_or(|r| r == t.toolchain.route)) {
        print(&tools);
        return cc;
    }
    let (found, mut notes) = toolchain::candidates()?;
    for t in found.into_iter().filter(|t| route.is_none_or(|r| r == t.route)) {
        match with_existing_linker(&t) {
            Ok(tools) => {
                print(&tools);
                return cc;
            }
            Err(e) => notes.push(format!("{} ({}): {e:#}", t.version, t.route.name())),
        }
    }
    bail!("the kernel side cannot be built yet; `cargo xtask setup` installs what is missing\n  {}", notes.join("\n  "))
}

/// The user-space side is linked by the C compiler.
fn c_compiler() -> Result<()> {
    if shell::on_path("cc").is_some() {
        return Ok(());
    }
    apt::install(&CC).context(NO_CC)
}

/// A source of compilers to go on with when those at hand did not do.
type Install = fn() -> Result<()>;

fn find_or_install(route: Option<Route>) -> Result<Tools> {
    let stages: [(Option<Route>, Install); 3] = [
        (None, || Ok(())),
        (Some(Route::Source), toolchain::install_source),
        (Some(Route::Prebuilt), toolchain::install_prebuilt),
    ];
    let (mut tried, mut notes) = (Vec::new(), Vec::new());
    for (installs, install) in stages {
        if route.is_some() && installs.is_some() && route != installs {
            continue;
        }
        if let Err(e) = install() {
            notes.push(format!("{e:#}"));
            continue;
        }
        let (found, others) = toolchain::candidates()?;
        for t in found.into_iter().filter(|t| route.is_none_or(|r| r == t.route)) {
            if tried.contains(&t) {
                continue;
            }
            eprintln!("set-up: trying {} ({}), core: {}", t.version, t.rustc.display(), t.route.name());
            match with_existing_linker(&t).or_else(|_| with_own_linker(&t)) {
                Ok(tools) => {
                    record(&tools)?;
                    return Ok(tools);
                }
                Err(e) => notes.push(format!("{} ({}): {e:#}", t.version, t.route.name())),
            }
            tried.push(t);
        }
        notes.extend(others);
    }
    let mut seen = BTreeSet::new();
    notes.retain(|n| seen.insert(n.clone()));
    let [source, prebuilt] = toolchain::person();
    let llvm = tried.first().map(|t| t.llvm).or_else(toolchain::llvm_in_use).unwrap_or_default();
    let llvm = linker::person(llvm).map_or(String::new(), |line| format!("\n  {line}"));
    bail!(
        "the kernel side cannot be built on this machine as it is:\n  {}\nRun these (as root where it says apt-get), then \
         `cargo xtask setup` again:\n  {source}\n    or, without rustup: {prebuilt}{llvm}",
        notes.join("\n  ")
    )
}

fn with_existing_linker(toolchain: &Toolchain) -> Result<Tools> {
    let mut last = anyhow!("there is no bpf-linker");
    for linker in linker::existing() {
        match probe(toolchain, linker) {
            Ok(tools) => return Ok(tools),
            Err(e) => last = e,
        }
    }
    Err(last)
}

fn with_own_linker(toolchain: &Toolchain) -> Result<Tools> {
    probe(toolchain, linker::install(toolchain.llvm)?)
}

/// Compiles and links a program of one line.
fn probe(toolchain: &Toolchain, linker: PathBuf) -> Result<Tools> {
    let linker_version = linker::version(&linker)?;
    let tools = Tools { toolchain: toolchain.clone(), linker, linker_version };
    let folder = shell::tools().join("probe");
    fs::create_dir_all(folder.join("src")).with_context(|| format!("cannot make {}", folder.display()))?;
    // The profile of the real program, so that the `core` that is built here is the one it will use.
    let manifest = fs::read_to_string(ebpf::folder().join("Cargo.toml"))?;
    let (_, profile) = manifest.split_once("[profile.release]").unwrap_or_default();
    let manifest = "[workspace]\n[package]\nname = \"probe\"\nedition = \"2024\"\n[profile.release]";
    fs::write(folder.join("Cargo.toml"), format!("{manifest}{profile}"))?;
    let program = "#![no_std]\n#![no_main]\n#[panic_handler]\nfn panic(_: &core::panic::PanicInfo) -> ! { loop {} }\n\
                   #[unsafe(no_mangle)]\n#[unsafe(link_section = \"xdp\")]\nextern \"C\" fn probe() -> u32 { 2 }\n";
    fs::write(folder.join("src/main.rs"), program)?;
    shell::output(&mut ebpf::cargo(&tools, &tools.toolchain.cargo, "build", &folder))
        .context("a trial program was not built")?;
    Ok(tools)
}

/// The record: a value a line, and for each program the time and size of its file.
fn record(tools: &Tools) -> Result<()> {
    let t = &tools.toolchain;
    let marked = |path: &Path| marked(path).with_context(|| format!("cannot look at {}", path.display()));
    let lines = [
        t.route.name().to_owned(),
        t.version.clone(),
        t.llvm.to_string(),
        tools.linker_version.clone(),
        marked(&t.rustc)?,
        marked(&t.cargo)?,
        marked(&tools.linker)?,
    ];
    fs::write(record_file(), lines.join("\n") + "\n").context("cannot write the record of the set-up")
}

/// What an earlier set-up wrote down, if the programs are still the same.
fn recorded() -> Option<Tools> {
    let text = fs::read_to_string(record_file()).ok()?;
    let lines: [&str; 7] = text.lines().collect::<Vec<_>>().try_into().ok()?;
    let [route, version, llvm, linker_version, rustc, cargo, linker] = lines;
    let unchanged = |line: &str| {
        let path = PathBuf::from(line.split('\t').next()?);
        (marked(&path).ok()? == line).then_some(path)
    };
    let toolchain = Toolchain {
        route: Route::parse(route)?,
        rustc: unchanged(rustc)?,
        cargo: unchanged(cargo)?,
        version: version.to_owned(),
        llvm: llvm.parse().ok()?,
    };
    Some(Tools { toolchain, linker: unchanged(linker)?, linker_version: linker_version.to_owned() })
}

fn record_file() -> PathBuf {
    shell::tools().join("setup.txt")
}

fn marked(path: &Path) -> io::Result<String> {
    let m = fs::metadata(path)?;
    let time = m.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    Ok(format!("{}\t{time}\t{}", path.display(), m.len()))
}
