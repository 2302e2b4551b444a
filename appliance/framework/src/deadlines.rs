//! Indexes of what ends when.
//!
//! An entry is `<hour>/<second>/<id>`, hour and second since 1970 with leading zeros: folders sort by time, so only those that
//! are due are opened.

use std::time::Duration;

use crate::{Error, Timestamp};

/// The entry of something that ends at `end`. Never before its end: seconds are rounded up.
pub fn entry(end: Timestamp, id: &str) -> String {
    let second = end.plus(Duration::from_nanos(999_999_999)).secs().max(0);
    format!("{:07}/{second:011}/{id}", second / 3600)
}

/// What an entry is about.
pub fn id(entry: &str) -> &str {
    entry.rsplit_once('/').map_or(entry, |(_, id)| id)
}

/// The entries that are due at `now`, the oldest first, at most `limit`. `list` gives the names directly below a folder of the
/// index, at most so many: `""` is the index itself, and all others end in `/`.
pub fn due(
    now: Timestamp,
    limit: usize,
    list: impl Fn(&str, Option<usize>) -> Result<Vec<String>, Error>,
) -> Result<Vec<String>, Error> {
    let mut found = Vec::new();
    let (hour_now, second_now) = (format!("{:07}/", now.secs() / 3600), format!("{:011}/", now.secs()));
    for hour in list("", None)?.into_iter().take_while(|hour| *hour <= hour_now) {
        for second in list(&hour, None)?.into_iter().take_while(|second| *second <= second_now) {
            let folder = format!("{hour}{second}");
            let entries = list(&folder, Some(limit - found.len()))?;
            found.extend(entries.into_iter().map(|entry| format!("{folder}{entry}")));
            if found.len() >= limit {
                return Ok(found);
            }
        }
    }
    Ok(found)
}
