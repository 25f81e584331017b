//! Numbers of rounds, and the printed table.

/// The median; 0 of nothing.
pub fn median(values: &[f64]) -> f64 {
    let mut v = values.to_vec();
    v.sort_by(f64::total_cmp);
    match v.len() {
        0 => 0.0,
        n if n % 2 == 1 => v[n / 2],
        n => f64::midpoint(v[n / 2 - 1], v[n / 2]),
    }
}

/// Prints a row of a table: a name and cells of equal width.
pub fn row(name: &str, cells: &[String]) {
    print!("{name:<26}");
    for c in cells {
        print!("{c:>12}");
    }
    println!();
}
