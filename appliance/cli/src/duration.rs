//! Durations as people write them (`90`, `30s`, `1h30m`, `7d`) and as they are shown (`1h30m`, `768h`).

/// Seconds in a duration written as a number of seconds or as `<number><unit>…` with the units `ns us µs ms s m h d`.
/// Parts below a second are dropped. `None` if it is not such a text, or too large.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let (negative, magnitude) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let seconds = if magnitude.bytes().all(|byte| byte.is_ascii_digit()) {
        magnitude.parse::<i64>().ok()?
    } else {
        units(magnitude)?
    };
    Some(if negative { -seconds } else { seconds })
}

fn units(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut nanoseconds: i128 = 0;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at_checked(number_end)?;
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, next) = after.split_at_checked(unit_end)?;
        let scale: i128 = match unit {
            "ns" => 1,
            "us" | "µs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "d" => 86_400_000_000_000,
            _ => return None,
        };
        nanoseconds = nanoseconds.checked_add(scaled(number, scale)?)?;
        rest = next;
    }
    i64::try_from(nanoseconds / 1_000_000_000).ok()
}

/// `number` (digits with at most one point) times `scale`, without a detour over floating point.
fn scaled(number: &str, scale: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') || fraction.len() > 18 {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut total = whole.checked_mul(scale)?;
    if !fraction.is_empty() {
        let divisor = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        total = total.checked_add(fraction.parse::<i128>().ok()?.checked_mul(scale)? / divisor)?;
    }
    Some(total)
}

/// Seconds as the API takes them in text: `5m0s`, `1h0m0s`, `0s`.
pub(crate) fn wire(seconds: i64) -> String {
    let sign = if seconds < 0 { "-" } else { "" };
    let total = seconds.unsigned_abs();
    let (hours, minutes, rest) = (total / 3600, total / 60 % 60, total % 60);
    match (hours, minutes) {
        (0, 0) => format!("{sign}{rest}s"),
        (0, _) => format!("{sign}{minutes}m{rest}s"),
        _ => format!("{sign}{hours}h{minutes}m{rest}s"),
    }
}

/// Seconds as tables show them: like [`wire`] without trailing zero parts, `1h`, `1m40s`, `0s`.
pub(crate) fn human(seconds: i64) -> String {
    let text = wire(seconds);
    let text = match text.strip_suffix("m0s") {
        Some(short) => format!("{short}m"),
        None => text,
    };
    match text.strip_suffix("h0m") {
        Some(short) => format!("{short}h"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::{human, parse, wire};

    #[test]
    fn reads_what_people_write() {
        for (text, seconds) in [
            ("0", 0),
            ("90", 90),
            ("30s", 30),
            ("1h30m", 5400),
            ("1.5h", 5400),
            ("2d", 172_800),
            ("-1", -1),
            ("1500ms", 1),
        ] {
            assert_eq!(parse(text), Some(seconds), "{text}");
        }
        for text in ["", "-", "abc", "5x", "h", "1..5s", "99999999999999999999", "5 m", "1.s2"] {
            let parsed = parse(text);
            assert!(parsed.is_none(), "{text}: {parsed:?}");
        }
    }

    #[test]
    fn shows_them_as_the_reference_client_does() {
        assert_eq!(wire(300), "5m0s");
        assert_eq!(wire(3600), "1h0m0s");
        for (seconds, text) in
            [(0, "0s"), (60, "1m"), (100, "1m40s"), (3600, "1h"), (5400, "1h30m"), (2_764_800, "768h")]
        {
            assert_eq!(human(seconds), text);
        }
    }
}
