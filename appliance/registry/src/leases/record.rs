//! The record of a leased secret, and its places in the indexes.

use std::time::Duration;

use framework::{Error, Json, Lease, LeaseKind, Map, Secret, Timestamp, View};
use serde::{Deserialize, Serialize};

use super::{deadline, record_name};
use crate::names;

/// All that is known of a leased secret. Times are nanoseconds since 1970, lifetimes seconds.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct LeaseRecord {
    /// The UUID of the mount that gave it out.
    pub(crate) mount: String,
    /// The name of its [`LeaseKind`].
    pub(crate) kind: String,
    /// The token with which it ends; empty for none.
    pub(crate) owner: String,
    /// See [`Lease::data`].
    pub(crate) data: Map<String, Json>,
    pub(crate) issued: i64,
    pub(crate) expires: i64,
    /// When its engine is to take it back: its end, or later if that was tried already.
    pub(crate) due: i64,
    /// No renewal reaches beyond this: the end of the batch token that it was given to.
    pub(crate) limit: Option<i64>,
    pub(crate) ttl: u64,
    pub(crate) max_ttl: u64,
    pub(crate) renewable: bool,
    pub(crate) last_renewal: Option<i64>,
    /// How often its engine failed to take it back.
    pub(crate) attempts: u32,
    /// Why that is not tried any more, or once a day only.
    pub(crate) trouble: Option<String>,
}

/// What stands under the id of a lease.
pub(crate) enum Entry {
    /// The token of this name.
    Token(String),
    Secret(Box<LeaseRecord>),
}

/// What stands under the id of a lease, as the transaction sees it.
pub(crate) fn entry(view: &View<'_>, id: &str) -> Result<Option<Entry>, Error> {
    let name = record_name(id);
    let Some(value) = view.get(&name)? else { return Ok(None) };
    Ok(Some(if value.is_empty() {
        Entry::Token(last_segment(id).strip_prefix('h').unwrap_or_default().to_owned())
    } else {
        Entry::Secret(Box::new(names::decode(&name, &value)?))
    }))
}

/// The path of the request that made a lease, and the segment that tells it from others.
pub(super) fn split(id: &str) -> (&str, &str) {
    id.rsplit_once('/').unwrap_or(("", id))
}

fn last_segment(id: &str) -> &str {
    split(id).1
}

/// What a leased secret is called in the indexes.
fn short(id: &str) -> String {
    format!("~{}", last_segment(id))
}

impl LeaseRecord {
    pub(crate) fn issued(&self) -> Timestamp {
        Timestamp::from_nanos(self.issued)
    }

    pub(crate) fn expires(&self) -> Timestamp {
        Timestamp::from_nanos(self.expires)
    }

    pub(crate) fn due(&self) -> Timestamp {
        Timestamp::from_nanos(self.due)
    }

    /// As its engine sees it.
    pub(super) fn lease(&self, id: &str, kind: &LeaseKind) -> Lease {
        Lease {
            id: id.to_owned(),
            kind: kind.name,
            duration: Duration::from_secs(self.ttl),
            max_ttl: Duration::from_secs(self.max_ttl),
            renewable: self.renewable,
            data: self.data.clone(),
        }
    }

    /// Stages the record and all its places in the indexes.
    pub(super) fn add(&self, view: &View<'_>, id: &str) -> Result<(), Error> {
        names::write(view, &record_name(id), self)?;
        view.put(&deadline(self.due(), &short(id)), Secret::from(id))?;
        if self.owner.is_empty() {
            return Ok(());
        }
        view.put(&owned(&self.owner, id), Secret::from(id))
    }

    /// Stages the record with another moment at which its engine is to take the secret back.
    pub(super) fn due_at(&mut self, view: &View<'_>, id: &str, due: Timestamp) -> Result<(), Error> {
        view.delete(&deadline(self.due(), &short(id)))?;
        self.due = due.nanos();
        view.put(&deadline(due, &short(id)), Secret::from(id))?;
        names::write(view, &record_name(id), self)
    }

    /// Stages the record with another end.
    pub(super) fn end_at(&mut self, view: &View<'_>, id: &str, end: Timestamp) -> Result<(), Error> {
        self.expires = end.nanos();
        self.due_at(view, id, end)
    }

    /// Stages the record as one that could not be taken back.
    pub(super) fn give_up(&mut self, view: &View<'_>, id: &str, trouble: String) -> Result<(), Error> {
        self.trouble = Some(trouble);
        view.put(&format!("{}{}", names::IRREVOCABLE, short(id)), Secret::from(id))
    }

    /// Stages the removal of the record and of all its places in the indexes.
    pub(super) fn delete(&self, view: &View<'_>, id: &str) -> Result<(), Error> {
        view.delete(&record_name(id))?;
        view.delete(&deadline(self.due(), &short(id)))?;
        if self.trouble.is_some() {
            view.delete(&format!("{}{}", names::IRREVOCABLE, short(id)))?;
        }
        if self.owner.is_empty() {
            return Ok(());
        }
        view.delete(&owned(&self.owner, id))
    }
}

/// The entry that says that a lease ends with a token.
fn owned(token: &str, id: &str) -> String {
    format!("{}{token}/{}", names::TOKEN_LEASES, short(id))
}
