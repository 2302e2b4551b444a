//! Leases: what was given out for a time, and when it ends.
//!
//! ```text
//! sys/lease/id/<lease id>              a leased secret; or, with an empty value, a token, named by the last segment
//! sys/lease/at/<hour>/<second>/<id>    what ends when; hour and second since 1970, with leading zeros
//! sys/lease/irrevocable/<id>           a secret that could not be taken back, however often it was tried
//! sys/token/lease/<token>/<id>         what ends with which token
//! core/lease-revocations/<id>          all leases below a path are to end that were given out until a moment
//! ```
//! A lease's id is the path of the request that made it and one segment more, so that all that was given out below a path lies
//! in one folder. For a token that segment is `h` and the token's name. In the indexes a token goes by its name, and a secret
//! by `~` and the last segment of its lease's id; the value is the whole id.
//!
//! A secret ends in three steps: a committed deadline that is past says that it has to go; its engine takes it back, which may
//! reach outside; and the lease goes in the transaction of that. After a crash in between, the deadline is found again.

mod engine;
mod grant;
mod list;
mod record;
mod renew;
mod revoke;
mod sweep;
mod tidy;

use std::time::Duration;

use framework::{Timestamp, deadlines};

pub use list::IrrevocableLease;
pub(crate) use record::{Entry, LeaseRecord, entry};
pub(crate) use revoke::{expire_owned, stage_revocation};
pub use tidy::Tidy;

use crate::names;

/// Where the lease `id` stands.
pub(crate) fn record_name(id: &str) -> String {
    format!("{}{id}", names::LEASES)
}

/// The id of a token as a lease.
pub(crate) fn id_of_token(path: &str, name: &str) -> String {
    format!("{}/h{name}", path.trim_end_matches('/'))
}

/// Where the index of deadlines has something that ends at `end`.
pub(crate) fn deadline(end: Timestamp, id: &str) -> String {
    format!("{}{}", names::DEADLINES, deadlines::entry(end, id))
}

/// The seconds that something has left, rounded up: what has not ended has one. 0 for what has no end.
pub(crate) fn left(end: Option<Timestamp>, now: Timestamp) -> u64 {
    end.map_or(0, |end| (end.since(now) + Duration::from_nanos(999_999_999)).as_secs())
}
