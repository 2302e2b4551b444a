//! Durations as Vault and Go write them: `90`, `"90"`, `"1h30m"`, `"1.5h"`, `"7d"`.

use std::time::Duration;

/// Parses a duration. A bare number is seconds; units are `ns us µs ms s m h d`. Negative, empty, overflowing or unknown: `None`.
pub fn parse(text: &str) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().ok().map(Duration::from_secs);
    }
    let mut rest = text;
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').filter(|&at| at > 0)?;
        let (number, after) = rest.split_at(digits);
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, next) = after.split_at(end);
        total = total.checked_add(nanos(number, unit)?)?;
        rest = next;
    }
    if text.is_empty() { None } else { u64::try_from(total).ok().map(Duration::from_nanos) }
}

/// Prints whole seconds as Go does: `768h0m0s`, `1m30s`, `0s`.
pub fn format(duration: Duration) -> String {
    let secs = duration.as_secs();
    let (h, m, s) = (secs / 3600, secs / 60 % 60, secs % 60);
    match (h, m) {
        (0, 0) => format!("{s}s"),
        (0, _) => format!("{m}m{s}s"),
        _ => format!("{h}h{m}m{s}s"),
    }
}

fn nanos(number: &str, unit: &str) -> Option<u128> {
    let scale: u128 = match unit {
        "ns" => 1,
        "us" | "µs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole = if whole.is_empty() && !fraction.is_empty() { 0 } else { whole.parse::<u64>().ok()? };
    let mut total = u128::from(whole).checked_mul(scale)?;
    if !fraction.is_empty() {
        let places = u32::try_from(fraction.len()).ok().filter(|&n| n <= 18)?;
        total = total.checked_add(u128::from(fraction.parse::<u64>().ok()?) * scale / 10u128.pow(places))?;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_go_takes_and_nothing_else() {
        for (text, secs) in
            [("90", 90), ("1h30m", 5400), ("1.5h", 5400), ("7d", 604_800), ("0", 0), ("0s", 0), ("2m0s", 120)]
        {
            assert_eq!(parse(text), Some(Duration::from_secs(secs)), "{text}");
        }
        for bad in ["", "h", "-1s", "1x", "1h2", "1.2.3s", ".s", "99999999999999999999h"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn prints_as_go_prints() {
        let shown = |secs| format(Duration::from_secs(secs));
        assert_eq!([shown(0), shown(90), shown(3600), shown(2_764_800)], ["0s", "1m30s", "1h0m0s", "768h0m0s"]);
    }
}
