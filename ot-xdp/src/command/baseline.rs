//! `ot-xdp baseline`: look at what is normal, lock it, decide about members.

mod show;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::baseline::habit::Rules;
use crate::baseline::store::{Decision, Saved, Store, now_text};
use crate::baseline::{Baseline, Status, lifecycle, line};
use crate::cli::baseline::{BaseArgs, BaselineCommand, DecideArgs, DiffArgs, ImportArgs, LockArgs, MaintenanceArgs};

/// Runs the subcommand.
///
/// # Errors
/// A baseline that is not there or cannot be read or written, a member that it does not have.
pub fn run(command: &BaselineCommand) -> Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    match command {
        BaselineCommand::Show(a) => show::show(&load(&a.base)?, a.assets, &mut out)?,
        BaselineCommand::Status(a) => out.write_all(lifecycle::report(&load(a)?).as_bytes())?,
        BaselineCommand::Diff(a) => return diff(a, &mut out),
        BaselineCommand::Lock(a) => lock(a, &mut out)?,
        BaselineCommand::Accept(a) => decide(a, Status::Accepted, &mut out)?,
        BaselineCommand::Reject(a) => decide(a, Status::Rejected, &mut out)?,
        BaselineCommand::Export(a) => {
            let text = line::export(&load(&a.base)?);
            match &a.output {
                Some(file) => {
                    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
                }
                None => out.write_all(text.as_bytes())?,
            }
        }
        BaselineCommand::Import(a) => import(a)?,
        BaselineCommand::History(a) => {
            for d in Store::at(&a.base).history()? {
                let ticket = d.ticket.map_or_else(String::new, |t| format!(" ({t})"));
                writeln!(out, "{} {} {} {} version {} {}{ticket}", d.at, d.by, d.what, d.profile, d.version, d.about)?;
            }
        }
        BaselineCommand::Maintenance(a) => maintenance(a)?,
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn load(a: &BaseArgs) -> Result<Baseline> {
    let store = Store::at(&a.base);
    if !store.exists() {
        bail!(
            "there is no baseline `{}`; `ot-xdp run --baseline` or `ot-xdp replay --learn` makes one",
            a.base.display()
        );
    }
    match store.load(&a.profile)? {
        Some(b) => Ok(b),
        None => {
            let names = store.profiles()?.join(", ");
            bail!("`{}` has no profile `{}`; it has: {names}", a.base.display(), a.profile)
        }
    }
}

fn decision(by: &str, what: &str, profile: &str, about: String, ticket: Option<&String>, version: u32) -> Decision {
    Decision {
        at: now_text(),
        by: by.to_owned(),
        what: what.to_owned(),
        profile: profile.to_owned(),
        about,
        ticket: ticket.cloned(),
        version,
        hash: String::new(),
    }
}

fn wall_s() -> u32 {
    u32::try_from(jiff::Timestamp::now().as_second()).unwrap_or(0)
}

fn lock(a: &LockArgs, out: &mut dyn Write) -> Result<()> {
    let mut b = load(&a.base)?;
    out.write_all(lifecycle::report(&b).as_bytes())?;
    let rules =
        Rules { min_observed_s: u32::try_from(a.min_observed.as_secs()).unwrap_or(u32::MAX), ..Rules::default() };
    lifecycle::lock(&mut b, a.all, wall_s(), &rules);
    let about = if a.all { "with everything that was seen" } else { "with what was learned" };
    let d = decision(&a.by, "lock", &a.base.profile, about.to_owned(), a.ticket.as_ref(), b.version);
    Store::at(&a.base.base).save(&a.base.profile, &b, &mut Saved::default(), Some(&d))?;
    writeln!(out, "locked as version {} by {}", b.version, a.by)?;
    Ok(())
}

fn decide(a: &DecideArgs, status: Status, out: &mut dyn Write) -> Result<()> {
    let store = Store::at(&a.base.base);
    let mut b = load(&a.base)?;
    let mut members = Vec::new();
    for event in &a.events {
        let member = store.resolve(event)?;
        lifecycle::decide(&mut b, &member, status).map_err(anyhow::Error::msg)?;
        writeln!(out, "{} {member}", status.word())?;
        members.push(member);
    }
    let what = if status == Status::Accepted { "accept" } else { "reject" };
    let d = decision(&a.by, what, &a.base.profile, members.join("; "), a.ticket.as_ref(), b.version);
    store.save(&a.base.profile, &b, &mut Saved::default(), Some(&d))?;
    Ok(())
}

fn import(a: &ImportArgs) -> Result<()> {
    let text = read_text(&a.file)?;
    let mut b = line::parse(&text).with_context(|| format!("{} is no export of a baseline", a.file.display()))?;
    let store = Store::at(&a.base.base);
    let before = store.load(&a.base.profile)?.map_or(0, |b| b.version);
    // A store only goes forward: what is imported is newer than what was there.
    b.version = b.version.max(before + u32::from(before != 0));
    let d = decision(&a.by, "import", &a.base.profile, a.file.display().to_string(), None, b.version);
    store.save(&a.base.profile, &b, &mut Saved::default(), Some(&d))?;
    Ok(())
}

fn maintenance(a: &MaintenanceArgs) -> Result<()> {
    let b = load(&a.base)?;
    let until = wall_s().saturating_add(u32::try_from(a.length.as_secs()).unwrap_or(u32::MAX));
    let store = Store::at(&a.base.base);
    store.set_maintenance(&a.base.profile, &a.name, until)?;
    let d = decision(&a.by, "maintenance", &a.base.profile, format!("{} until {until}", a.name), None, b.version);
    store.save(&a.base.profile, &b, &mut Saved::default(), Some(&d))?;
    Ok(())
}

fn read_text(file: &Path) -> Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// The members of a store or of an export.
fn members(path: &Path, profile: &str) -> Result<BTreeMap<String, String>> {
    let mut head = [0u8; 2];
    let is_text = std::fs::File::open(path)
        .and_then(|mut f| f.read_exact(&mut head))
        .with_context(|| format!("cannot read {}", path.display()))
        .map(|()| head == *b"# ")?;
    let b = if is_text {
        line::parse(&read_text(path)?).with_context(|| format!("{} is no export", path.display()))?
    } else {
        load(&BaseArgs { base: path.to_owned(), profile: profile.to_owned() })?
    };
    Ok(line::lines(&b).into_iter().collect())
}

fn diff(a: &DiffArgs, out: &mut dyn Write) -> Result<ExitCode> {
    let version = |n: u32| -> Result<BTreeMap<String, String>> {
        let text = Store::at(&a.a).version(&a.profile, n)?;
        Ok(line::lines(&line::parse(&text)?).into_iter().collect())
    };
    let (old, new) = match (a.from, a.to, &a.b) {
        (Some(from), Some(to), _) => (version(from)?, version(to)?),
        (Some(from), None, _) => (version(from)?, members(&a.a, &a.profile)?),
        (None, _, Some(b)) => (members(&a.a, &a.profile)?, members(b, &a.profile)?),
        (None, _, None) => bail!("give a second baseline, or --from N"),
    };
    let mut changed = false;
    let keys: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for key in keys {
        match (old.get(key), new.get(key)) {
            (Some(o), None) => writeln!(out, "- {key} | {o}")?,
            (None, Some(n)) => writeln!(out, "+ {key} | {n}")?,
            (Some(o), Some(n)) if o != n => writeln!(out, "- {key} | {o}\n+ {key} | {n}")?,
            _ => continue,
        }
        changed = true;
    }
    Ok(if changed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
