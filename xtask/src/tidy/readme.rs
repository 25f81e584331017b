//! The protocol table of the README is made from the program's list.

use anyhow::Result;
use ot_xdp_common::proto::Proto;

use super::{File, Finding};
use crate::setup::Tools;

/// Head of the table, as the README writes it.
const HEAD: [&str; 2] = ["| no | name | protocol | TCP | UDP | EtherType |", "|---:|---|---|---|---|---|"];

/// The README has the table with exactly these rows.
pub fn protocols(files: &[File], _: &Tools) -> Result<Finding> {
    let readme = files.iter().find(|f| f.path == "README.md");
    let is: Vec<&str> = readme
        .map(|f| f.text.lines().skip_while(|l| *l != HEAD[0]).take_while(|l| l.starts_with('|')).collect())
        .unwrap_or_default();
    let rows: Vec<String> = Proto::ALL.iter().map(|p| row(*p)).collect();
    let should: Vec<&str> = HEAD.into_iter().chain(rows.iter().map(String::as_str)).collect();
    if is == should {
        return Ok(Finding::Broken(Vec::new()));
    }
    // Only what is new, where there is a table; a line that has to go is named as well.
    let new = should.iter().filter(|l| !is.contains(l)).map(|l| format!("README.md, add:    {l}"));
    let old = is.iter().filter(|l| !should.contains(l)).map(|l| format!("README.md, remove: {l}"));
    let mut broken: Vec<String> = new.chain(old).collect();
    if broken.is_empty() {
        broken.push("README.md: the rows of the protocol table are in another order than the list".to_owned());
    }
    Ok(Finding::Broken(broken))
}

fn row(p: Proto) -> String {
    let b = p.binding();
    let ports = |list: &[u16]| list.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
    let types = b.ethertypes.iter().map(|t| format!("{t:#06x}")).collect::<Vec<_>>().join(", ");
    let cells =
        [(p as u8).to_string(), format!("`{}`", p.name()), p.title().to_owned(), ports(b.tcp), ports(b.udp), types];
    let cells: Vec<String> =
        cells.into_iter().map(|c| if c.is_empty() { " ".to_owned() } else { format!(" {c} ") }).collect();
    format!("|{}|", cells.join("|"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows() {
        assert!(row(Proto::Modbus).starts_with("| 1 | `modbus` | Modbus"), "{}", row(Proto::Modbus));
        assert!(Proto::ALL.iter().all(|p| row(*p).matches('|').count() == 7), "a title with a bar");
    }
}
