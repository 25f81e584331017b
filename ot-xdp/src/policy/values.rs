//! Values of the file that are texts: levels, sides, addresses, ranges, times of day. Each error is a sentence that says
//! what is accepted.

use std::net::IpAddr;

use ipnet::IpNet;
use jiff::civil::Weekday;
use ot_xdp_common::policy::{Net, Side};

use super::window::DAY;

/// Purdue levels (ISA-95, IEC 62443): the DMZ is 3.5.
const LEVELS: [&str; 7] = ["0", "1", "2", "3", "3.5", "4", "5"];

/// A Purdue level, as it is written.
pub fn level(text: &str) -> Result<&'static str, String> {
    let whole = text.strip_suffix(".0").unwrap_or(text);
    LEVELS
        .into_iter()
        .find(|l| *l == whole)
        .ok_or_else(|| format!("{text} is no Purdue level; known are {}", LEVELS.join(", ")))
}

/// A side.
pub fn side(word: &str) -> Result<Side, String> {
    match word {
        "it" => Ok(Side::It),
        "dmz" => Ok(Side::Dmz),
        "ot" => Ok(Side::Ot),
        "" => Err("a zone needs a side: write side = \"it\", \"dmz\" or \"ot\"".to_owned()),
        _ => Err(format!("unknown side `{word}`; write \"it\", \"dmz\" or \"ot\"")),
    }
}

/// The word of a side.
pub const fn side_word(side: Side) -> &'static str {
    match side {
        Side::None => "none",
        Side::It => "it",
        Side::Dmz => "dmz",
        Side::Ot => "ot",
    }
}

/// A VLAN id.
pub fn vlan(n: i64) -> Result<u16, String> {
    u16::try_from(n)
        .ok()
        .filter(|n| (1..=4094).contains(n))
        .ok_or_else(|| format!("{n} is no VLAN id; it is a number from 1 to 4094"))
}

/// An address, or a prefix whose host bits are zero.
pub fn net(text: &str) -> Result<IpNet, String> {
    if let Ok(addr) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(addr));
    }
    let net: IpNet = text
        .parse()
        .map_err(|_| format!("`{text}` is no address and no prefix; write it like 10.20.0.0/16 or fd00:20::/32"))?;
    if net.trunc() != net {
        return Err(format!("`{text}` has bits behind its prefix; write {}", net.trunc()));
    }
    Ok(net)
}

/// An address as frames have it: IPv6, or IPv4 as `::ffff:a.b.c.d`.
pub fn words(addr: IpAddr) -> [u32; 4] {
    let octets = match addr {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    };
    let wide = u128::from_be_bytes(octets);
    [96, 64, 32, 0].map(|shift| (wide >> shift) as u32)
}

/// Length of a prefix in the IPv4-mapped space.
pub fn mapped_length(net: &IpNet) -> u8 {
    match net {
        IpNet::V4(v4) => 96 + v4.prefix_len(),
        IpNet::V6(v6) => v6.prefix_len(),
    }
}

/// A prefix as rules of the kernel have it.
pub fn masked(net: &IpNet) -> Net {
    let length = u32::from(mapped_length(net));
    let wide = u128::MAX.checked_shl(128 - length).unwrap_or(0);
    let mask = [96, 64, 32, 0].map(|shift| (wide >> shift) as u32);
    Net { addr: words(net.network()), mask }
}

/// A number or a range of numbers, decimal or hexadecimal: `7`, `1-5`, `0x00-0x63`.
pub fn range(text: &str) -> Result<(u32, u32), String> {
    let number = |part: &str| {
        let part = part.trim();
        part.strip_prefix("0x").map_or_else(|| part.parse().ok(), |hex| u32::from_str_radix(hex, 16).ok())
    };
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let wrong = || format!("`{text}` is no number and no range; write it like 7, \"1-5\" or \"0x00-0x63\"");
    let (low, high): (u32, u32) = (number(low).ok_or_else(wrong)?, number(high).ok_or_else(wrong)?);
    if low > high {
        return Err(format!("the range `{text}` is empty; write the lower number first"));
    }
    Ok((low, high))
}

/// Minutes of a time of day.
pub fn time_of_day(text: &str) -> Result<u16, String> {
    let wrong = || format!("`{text}` is no time of day; write it like 22:00");
    let (hours, minutes) = text.split_once(':').filter(|(_, m)| m.len() == 2).ok_or_else(wrong)?;
    let (hours, minutes): (u16, u16) = (hours.parse().map_err(|_| wrong())?, minutes.parse().map_err(|_| wrong())?);
    Some(hours.saturating_mul(60).saturating_add(minutes)).filter(|t| minutes < 60 && *t <= DAY).ok_or_else(wrong)
}

/// A day of the week.
pub fn day(word: &str) -> Result<Weekday, String> {
    let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let number = (1..).zip(days).find(|(_, day)| *day == word).map(|(n, _)| n);
    number
        .and_then(|n| Weekday::from_monday_one_offset(n).ok())
        .ok_or_else(|| format!("unknown day `{word}`; known are {}", days.join(", ")))
}
