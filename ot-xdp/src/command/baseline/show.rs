//! A baseline for people.

use std::io::{Result, Write};

use crate::baseline::{Baseline, lifecycle, line, role, vendor};
use crate::names::Name;

/// Prints stations, and conversations with what is done in them.
pub fn show(b: &Baseline, assets_only: bool, out: &mut dyn Write) -> Result<()> {
    let p = lifecycle::progress(b);
    writeln!(out, "{}: {}", line::header(b), p.reason)?;
    let roles = role::all(b);
    writeln!(out, "\n{:<28}{:<19}{:<22}{:<18}{:<10}why", "station", "hardware", "vendor", "role (level)", "status")?;
    let mut assets: Vec<_> = b.assets.iter().collect();
    assets.sort_by_key(|(s, _)| **s);
    for (station, asset) in assets {
        let mac = asset.macs.first().map(|(m, _)| *m);
        let text = mac.map_or_else(String::new, |m| crate::baseline::model::mac_text(&m));
        let vendor = mac.and_then(|m| vendor::of(&m)).unwrap_or("");
        let (role, why) =
            roles.get(station).map_or_else(Default::default, |r| (format!("{} ({})", r.word, r.level), r.why.clone()));
        let status = asset.mark.status.word();
        writeln!(out, "{:<28}{text:<19}{vendor:<22}{role:<18}{status:<10}{why}", station.to_string())?;
    }
    if assets_only {
        return Ok(());
    }
    let mut talks: Vec<_> = b.talks.iter().collect();
    talks.sort_by_key(|(k, _)| **k);
    for (key, talk) in talks {
        writeln!(out, "\n{} [{}]", line::talk_key(key), talk.mark.status.word())?;
        for (op, state) in &talk.ops {
            let name = Name::of(op.proto, op.function);
            let sender = if op.from_client { "client" } else { "server" };
            let change = if op.state_changing() { "!" } else { "" };
            let window =
                if state.window == (0, 0) { String::new() } else { format!(" {}-{}", state.window.0, state.window.1) };
            let habit = state.habit.map_or_else(String::new, |h| {
                if h.is_armed() {
                    format!("; gap <= {:.2} s, <= {:.0} in 10 s", h.gap_ms / 1e3, h.high)
                } else {
                    String::new()
                }
            });
            writeln!(
                out,
                "  {sender} {:<16} {} unit {}{window} {}{change} {} times [{}]{habit}",
                name.path,
                name.name,
                op.unit,
                op.class().word(),
                state.mark.count,
                state.mark.status.word()
            )?;
        }
    }
    Ok(())
}
