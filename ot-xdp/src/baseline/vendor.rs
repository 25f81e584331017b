//! Vendors by the prefix of a hardware address.

use std::collections::HashMap;
use std::sync::LazyLock;

/// Prefix, bits, vendor, sector; see the head of the file.
const TABLE: &str = include_str!("../../data/oui.tsv");

static VENDORS: LazyLock<HashMap<(u64, u32), &'static str>> = LazyLock::new(|| {
    let row = |line: &'static str| {
        let mut columns = line.split('\t');
        let (prefix, bits, vendor) = (columns.next()?, columns.next()?, columns.next()?);
        let digits = prefix.len() as u32 * 4;
        let value = u64::from_str_radix(prefix, 16).ok()?;
        let bits: u32 = bits.parse().ok()?;
        Some(((value << 48u32.checked_sub(digits)? >> (48 - bits), bits), vendor))
    };
    TABLE.lines().filter(|l| !l.starts_with('#')).filter_map(row).collect()
});

/// The vendor of a hardware address; none for prefixes that are not those of vendors of the plant.
pub fn of(mac: &[u8; 6]) -> Option<&'static str> {
    let [a, b, c, d, e, f] = *mac;
    let all = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
    // The longest prefix first: small blocks lie inside the large ones of others.
    [36u32, 28, 24].iter().find_map(|bits| VENDORS.get(&(all >> (48 - bits), *bits)).copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_found() {
        assert_eq!(of(&[0x00, 0x00, 0x54, 1, 2, 3]), Some("Schneider Electric"));
        assert_eq!(of(&[0x02, 0, 0, 0, 0, 1]), None);
        assert!(VENDORS.len() > 300, "{}", VENDORS.len());
    }
}
