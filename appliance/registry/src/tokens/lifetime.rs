//! How long a token lives, by Vault's rules.

use std::time::Duration;

use framework::{Error, MountInfo, Timestamp, duration};

/// What a token asks for; zero where it does not ask.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wish {
    pub(crate) ttl: Duration,
    pub(crate) max_ttl: Duration,
    pub(crate) period: Duration,
    pub(crate) explicit_max_ttl: Duration,
}

/// The lifetime from `now` on, in whole seconds, of something that was made at `since` on a mount. Where a wish is cut, a
/// warning says so in Vault's words. [`Error::Invalid`] if the longest lifetime is over.
pub(crate) fn granted(
    wish: Wish,
    mount: &MountInfo,
    since: Timestamp,
    now: Timestamp,
    warnings: &mut Vec<String>,
) -> Result<Duration, Error> {
    let set = |limit: Duration| (!limit.is_zero()).then_some(limit);
    let explicit = set(wish.explicit_max_ttl);
    let max = [explicit, set(wish.max_ttl)].into_iter().flatten().fold(mount.max_ttl, Duration::min);
    let (mut ttl, limit) = if wish.period.is_zero() {
        (if wish.ttl.is_zero() { mount.default_ttl } else { wish.ttl }, Some(max))
    } else {
        if wish.period > max {
            warnings.push(format!(
                "period of {:?} exceeded the effective max_ttl of {:?}; period value is capped accordingly",
                shown(wish.period),
                shown(max)
            ));
        }
        (wish.period.min(max), explicit)
    };
    if let Some(limit) = limit {
        let age = u64::try_from(now.secs().saturating_sub(since.secs())).unwrap_or(0);
        let left = limit.saturating_sub(Duration::from_secs(age));
        if left.is_zero() {
            return Err(Error::invalid("past the max TTL, cannot renew"));
        }
        if ttl > left {
            warnings.push(format!(
                "TTL of {:?} exceeded the effective max_ttl of {:?}; TTL value is capped accordingly",
                shown(ttl),
                shown(left)
            ));
            ttl = left;
        }
    }
    Ok(Duration::from_secs(ttl.as_secs()))
}

/// As Go prints a duration, without the parts that are zero at its end: `768h`, `1h30m`.
fn shown(length: Duration) -> String {
    let text = duration::format(length);
    let text = text.strip_suffix("m0s").map_or(text.clone(), |short| format!("{short}m"));
    text.strip_suffix("h0m").map_or(text.clone(), |short| format!("{short}h"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use framework::TokenRule;

    use super::*;

    fn grant(wish: [u64; 4], age: i64) -> (Result<u64, String>, Vec<String>) {
        let hour = |n| Duration::from_secs(3600 * n);
        let mount = MountInfo {
            path: "auth/token/".into(),
            kind: "token".into(),
            accessor: String::new(),
            options: BTreeMap::new(),
            default_ttl: hour(24),
            max_ttl: hour(768),
            token_rule: TokenRule::default(),
        };
        let [ttl, max_ttl, period, explicit] = wish.map(hour);
        let mut warnings = Vec::new();
        let wish = Wish { ttl, max_ttl, period, explicit_max_ttl: explicit };
        let since = Timestamp::from_secs(1_000);
        let now = since.plus(Duration::from_secs(age.unsigned_abs()));
        let granted = granted(wish, &mount, since, now, &mut warnings);
        (granted.map(|ttl| ttl.as_secs()).map_err(|error| error.to_string()), warnings)
    }

    #[test]
    fn lifetimes_and_warnings_are_vaults() {
        assert_eq!(grant([0, 0, 0, 0], 0), (Ok(24 * 3600), vec![]));
        assert_eq!(grant([5, 0, 0, 0], 0), (Ok(5 * 3600), vec![]));
        let capped = |asked, max| {
            format!("TTL of {asked:?} exceeded the effective max_ttl of {max:?}; TTL value is capped accordingly")
        };
        assert_eq!(grant([9999, 0, 0, 0], 0), (Ok(768 * 3600), vec![capped("9999h", "768h")]));
        assert_eq!(grant([10000, 0, 0, 0], 2), (Ok(768 * 3600 - 2), vec![capped("10000h", "767h59m58s")]));
        assert_eq!(grant([5, 0, 0, 1], 0), (Ok(3600), vec![capped("5h", "1h")]));
        let period = "period of \"72h\" exceeded the effective max_ttl of \"24h\"; period value is capped accordingly";
        assert_eq!(grant([0, 0, 72, 24], 0), (Ok(24 * 3600), vec![period.to_owned()]));
        assert_eq!(grant([5, 2, 0, 0], 0), (Ok(2 * 3600), vec![capped("5h", "2h")]));
        // A period outlives the mount's longest lifetime.
        assert_eq!(grant([0, 0, 1, 0], 5000 * 3600), (Ok(3600), vec![]));
        assert_eq!(grant([0, 0, 0, 1], 3600).0, Err("past the max TTL, cannot renew".to_owned()));
    }
}
