//! Leases: what was given out for a time, and when it ends.
//!
//! ```text
//! sys/lease/id/<lease id>              a leased secret; or, with an empty value, a token, named by the last segment
//! sys/lease/at/<hour>/<second>/<id>    what ends when; hour and second since 1970, with leading zeros
//! ```
//! A lease's id is the path of the request that made it and one segment more, so that all that was given out below a path lies
//! in one folder. For a token that segment is `h` and the token's name.

use std::time::Duration;

use framework::Timestamp;

use crate::names;

/// Where the lease `id` stands.
pub(crate) fn record_name(id: &str) -> String {
    format!("{}{id}", names::LEASES)
}

/// The id of a token as a lease.
pub(crate) fn id_of_token(path: &str, name: &str) -> String {
    format!("{}/h{name}", path.trim_end_matches('/'))
}

/// The entry of the index of deadlines for something that ends at `end`. Never before its end: seconds are rounded up.
pub(crate) fn deadline(end: Timestamp, id: &str) -> String {
    let second = end.plus(Duration::from_nanos(999_999_999)).secs().max(0);
    format!("{}{:07}/{second:011}/{id}", names::DEADLINES, second / 3600)
}

/// The seconds that something has left, rounded up: what has not ended has one. 0 for what has no end.
pub(crate) fn left(end: Option<Timestamp>, now: Timestamp) -> u64 {
    end.map_or(0, |end| (end.since(now) + Duration::from_nanos(999_999_999)).as_secs())
}
