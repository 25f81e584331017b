//! A policy tried on what a sensor has counted: the flow events that `run` and `replay` write.
//!
//! A flow event tells the functions of each class and how many operations the class had, so the numbers here are those of
//! classes: an upper bound where a conversation uses several functions of one class. Conditions of frames (fragments,
//! overlaps, ...) are not in flow events; captures tell those.
#![allow(clippy::indexing_slicing, reason = "a JSON value answers null for a key that it does not have")]

use std::collections::HashMap;
use std::net::IpAddr;

use ot_xdp_common::frame::{Frame, TCP};
use ot_xdp_common::op::{Class, Dir, Kind, Op, Tag};
use ot_xdp_common::proto::Path;
use ot_xdp_common::reason::Outcome;
use ot_xdp_common::walk::Walk;
use serde_json::Value;

use super::simulate::Simulation;
use super::values::words;
use super::{Now, PolicyError};
use crate::config::{SiteFunction, function};
use crate::text;

/// Functions by their paths: to find one takes a while.
#[derive(Debug, Default)]
pub struct Functions(HashMap<String, Option<SiteFunction>>);

impl Functions {
    fn get(&mut self, path: &str) -> Option<&SiteFunction> {
        self.0.entry(path.to_owned()).or_insert_with(|| function(path).ok()).as_ref()
    }
}

impl Simulation<'_> {
    /// The next event. Those that are no flow events, and lines that are not understood, are left out; true when it was one.
    ///
    /// # Errors
    /// When the policy does not fit the kernel's tables.
    pub fn event(&mut self, e: &Value, functions: &mut Functions) -> Result<bool, PolicyError> {
        if e["event"]["dataset"] != "otxdp.flow" {
            return Ok(false);
        }
        let (Some(frame), Some(at_ns)) = (frame(e), e["@timestamp"].as_str().and_then(time)) else { return Ok(false) };
        let interface = e["observer"]["ingress"]["interface"]["name"].as_str();
        let port = self.port_of(interface);
        let units = list(&e["otxdp"]["units"]);
        for (word, ops) in e["otxdp"]["ops"].as_object().into_iter().flatten() {
            let Some(class) = Class::ALL.into_iter().find(|c| c.word() == word.replace('_', "-")) else { continue };
            let number = |key: &str| ops[key].as_u64().unwrap_or(0);
            let count = number("requests") + number("undirected") + number("published");
            let addresses = [&ops["address_min"], &ops["address_max"]].map(|a| a.as_u64().unwrap_or(0) as u32);
            for path in ops["functions"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                let Some(function) = functions.get(path) else { continue };
                let mut w = Walk::default();
                for unit in &units {
                    for addr in addresses {
                        let Some(op) = operation(function, class, *unit, addr) else { continue };
                        w.push(op);
                    }
                }
                if count != 0 && w.n_ops != 0 {
                    self.judge(Outcome::Classified, &frame, &w, port, Now::of_capture(at_ns), count)?;
                }
            }
        }
        Ok(true)
    }
}

/// One operation of a function, with its mark from the protocol's table.
fn operation(f: &SiteFunction, class: Class, unit: u32, addr: u32) -> Option<Op> {
    let mut code = *f.codes.first()?;
    let mut changing = None;
    f.proto.rows(&mut |row| {
        if row.class != class || changing.is_some() {
            return;
        }
        // A path that leaves out the sub-function stands for several codes; the class says which are meant.
        if f.codes.contains(&row.function) {
            (code, changing) = (row.function, Some(row.state_changing));
            return;
        }
        // And one may end in a detail that no row lists, such as the cause in `iec104:I/100/7`.
        let listed = Path { proto: f.proto as u8, function: row.function }.to_string();
        if f.path.strip_prefix(&listed).is_some_and(|rest| rest.starts_with('/')) {
            changing = Some(row.state_changing);
        }
    });
    let changing = changing.unwrap_or(false);
    let tag = Tag::new(f.proto as u8, Kind::new(class, changing).0, Dir::Request, 0);
    Some(Op { function: code, unit, addr, tag, ..Op::default() })
}

/// The numbers of a list; a single 0 when there are none.
fn list(value: &Value) -> Vec<u32> {
    let all: Vec<u32> = value.as_array().into_iter().flatten().filter_map(Value::as_u64).map(|n| n as u32).collect();
    if all.is_empty() { vec![0] } else { all }
}

fn time(text: &str) -> Option<u64> {
    let at: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(at.as_nanosecond()).ok()
}

/// A frame from the client to the server, as far as zones and rules look at it.
fn frame(e: &Value) -> Option<Frame> {
    let end = |side: &Value| -> Option<u64> {
        let mac = side["mac"].as_str().map_or(Some(0), |m| text::mac(m).ok())?;
        Some(mac << 16 | side["port"].as_u64().unwrap_or(0))
    };
    let (source, destination) = (&e["source"], &e["destination"]);
    let mut f = Frame { src_end: end(source)?, dst_end: end(destination)?, off: 54, end: 66, ..Frame::default() };
    let address = |side: &Value| side["ip"].as_str().and_then(|a| a.parse::<IpAddr>().ok());
    if let (Some(src), Some(dst)) = (address(source), address(destination)) {
        (f.src, f.dst, f.l3_at) = (words(src), words(dst), 14);
    }
    f.sport = source["port"].as_u64().unwrap_or(0) as u16;
    f.dport = destination["port"].as_u64().unwrap_or(0) as u16;
    f.l4 = if e["network"]["transport"] == "tcp" { TCP } else { 17 };
    f.vlan = e["network"]["vlan"]["id"].as_str().and_then(|id| id.parse().ok()).unwrap_or(0);
    Some(f)
}
