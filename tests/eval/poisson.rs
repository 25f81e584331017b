//! Exact interval of a Poisson rate (Garwood): where the sums of its probabilities are 2.5 %.

/// 95 % interval of the mean, from a count.
pub fn interval(n: u64) -> (f64, f64) {
    let low = if n == 0 { 0.0 } else { solve(|m| 1.0 - below(n - 1, m), 0.025, true) };
    (low, solve(|m| below(n, m), if n == 0 { 0.05 } else { 0.025 }, false))
}

/// Probability of at most `n` at this mean.
fn below(n: u64, mean: f64) -> f64 {
    let (mut term, mut sum) = ((-mean).exp(), 0.0);
    for k in 0..=n {
        sum += term;
        term *= mean / (k + 1) as f64;
    }
    sum
}

fn solve(f: impl Fn(f64) -> f64, wanted: f64, rising: bool) -> f64 {
    let (mut low, mut high) = (0.0, 1_000.0);
    for _ in 0..100 {
        let middle = (low + high) / 2.0;
        if (f(middle) < wanted) == rising { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

/// A rate a week as text.
pub fn weekly(n: u64, days: f64) -> String {
    let weeks = (days / 7.0).max(1e-9);
    let (low, high) = interval(n);
    format!(
        "{n} in {weeks:.2} weeks = {:.2} a week (95 %: {:.2} to {:.2})",
        n as f64 / weeks,
        low / weeks,
        high / weeks
    )
}
