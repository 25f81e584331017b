//! Values as people write them: on the command line, in files, in answers.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

/// A time such as `500ms`, `20s`, `10m` or `1h`.
///
/// # Errors
/// A sentence that says what is accepted.
pub fn duration(text: &str) -> Result<Duration, String> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let wrong = || format!("`{text}` is no time; write a whole number with a unit: 500ms, 20s, 10m, 1h, 7d");
    let n: u64 = number.parse().map_err(|_| wrong())?;
    let ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    n.checked_mul(ms).filter(|n| *n > 0).map(Duration::from_millis).ok_or_else(wrong)
}

/// A time in the notation of [`duration`], in the largest unit that keeps it whole; minutes only above two.
pub fn time(d: Duration) -> String {
    let ms = d.as_millis();
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
    units
        .iter()
        .find(|(_, unit)| ms.is_multiple_of(*unit) && ms / unit > 1)
        .or_else(|| units.iter().rev().find(|(_, unit)| ms.is_multiple_of(*unit)))
        .map_or_else(|| format!("{ms}ms"), |(name, unit)| format!("{}{name}", ms / unit))
}

/// A number of octets such as `512KiB`, `256MiB` or `4GiB`; `0` needs no unit.
///
/// # Errors
/// A sentence that says what is accepted.
pub fn size(text: &str) -> Result<u64, String> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let wrong = || format!("`{text}` is no size; write a whole number with a unit: 512KiB, 256MiB, 4GiB");
    let n: u64 = number.parse().map_err(|_| wrong())?;
    let octets: u64 = match unit {
        "" if n == 0 => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return Err(wrong()),
    };
    n.checked_mul(octets).ok_or_else(wrong)
}

/// A number of octets in the notation of [`size`], in the largest unit that keeps it whole.
pub fn size_text(octets: u64) -> String {
    let units = [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let whole = units.iter().find(|(_, unit)| octets != 0 && octets.is_multiple_of(*unit));
    whole.map_or_else(|| octets.to_string(), |(name, unit)| format!("{}{name}", octets / unit))
}

/// An address of an option.
///
/// # Errors
/// A sentence that says what is accepted.
pub fn address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("`{text}` is no IP address; write it like 10.0.5.7 or fd00:20::7"))
}

/// A MAC address in the low 48 bits.
///
/// # Errors
/// A sentence that says what is accepted.
pub fn mac(text: &str) -> Result<u64, String> {
    let octets: Vec<&str> = text.split([':', '-']).collect();
    let number = |part: &&str| Some(*part).filter(|p| p.len() == 2).and_then(|p| u8::from_str_radix(p, 16).ok());
    let read: Option<Vec<u8>> = octets.iter().map(number).collect();
    read.filter(|octets| octets.len() == 6)
        .map(|octets| octets.iter().fold(0, |mac, octet| mac << 8 | u64::from(*octet)))
        .ok_or_else(|| format!("`{text}` is no MAC address; write six octets, like 00:1b:1b:8a:22:10"))
}

/// A MAC address as people write it.
pub fn mac_text(mac: u64) -> String {
    let octets: Vec<String> = (0..6).rev().map(|n| format!("{:02x}", mac >> (8 * n) & 0xFF)).collect();
    octets.join(":")
}

/// Octets from hexadecimal digits; blanks, colons and dashes between them do not matter.
///
/// # Errors
/// A sentence that says what is accepted.
pub fn octets(text: &str) -> Result<Vec<u8>, String> {
    let digits: Vec<u8> = text.bytes().filter(|c| !c.is_ascii_whitespace() && !b":-".contains(c)).collect();
    let digits = digits.strip_prefix(b"0x").unwrap_or(&digits);
    let (pairs, rest) = digits.as_chunks::<2>();
    let octet = |pair: &[u8; 2]| std::str::from_utf8(pair).ok().and_then(|p| u8::from_str_radix(p, 16).ok());
    let read: Option<Vec<u8>> = pairs.iter().map(octet).collect();
    let wrong = "no octets in hexadecimal; write two digits each, like 000100000006010600010002";
    read.filter(|_| rest.is_empty() && !pairs.is_empty()).ok_or_else(|| wrong.to_owned())
}

/// A pair as the operator names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairNames {
    /// Interface towards the business network.
    pub it: String,
    /// Interface towards the plant.
    pub ot: String,
}

impl FromStr for PairNames {
    type Err = String;

    fn from_str(text: &str) -> Result<PairNames, String> {
        match text.split_once(':') {
            Some((it, ot)) if !it.is_empty() && !ot.is_empty() && !ot.contains(':') && it != ot => {
                Ok(PairNames { it: it.to_owned(), ot: ot.to_owned() })
            }
            _ => Err("name two interfaces, the one towards IT first: `it0:ot0`".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("20s"), Ok(Duration::from_secs(20)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert!(duration("20").is_err() && duration("s").is_err() && duration("0s").is_err());
    }

    #[test]
    fn names_of_a_pair() {
        assert_eq!("a:b".parse(), Ok(PairNames { it: "a".to_owned(), ot: "b".to_owned() }));
        for wrong in ["", "a", "a:", ":b", "a:a", "a:b:c"] {
            assert!(wrong.parse::<PairNames>().is_err(), "{wrong}");
        }
    }
}
