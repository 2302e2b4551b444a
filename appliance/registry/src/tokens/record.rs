//! The record of a token.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use framework::{Caller, Cidr, Error, Json, Map, Secret, Timestamp, TokenKind, View};
use serde::{Deserialize, Serialize};

use super::Identified;
use crate::names;

/// All that is known of a service token. Times are nanoseconds since 1970, lifetimes seconds.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct TokenRecord {
    pub(crate) accessor: String,
    /// The name of the token it was made with; empty for an orphan.
    pub(crate) parent: String,
    /// Sorted.
    pub(crate) policies: Vec<String>,
    /// The path of the request that made it.
    pub(crate) path: String,
    pub(crate) meta: BTreeMap<String, String>,
    pub(crate) display_name: String,
    pub(crate) entity_id: String,
    /// Uses left; 0 for any number.
    pub(crate) num_uses: u64,
    /// The last use was made: it is valid no more.
    pub(crate) spent: bool,
    pub(crate) created: i64,
    pub(crate) creation_ttl: u64,
    /// The lifetime that was last granted; 0 for ever.
    pub(crate) ttl: u64,
    pub(crate) max_ttl: u64,
    pub(crate) explicit_max_ttl: u64,
    pub(crate) period: u64,
    pub(crate) renewable: bool,
    pub(crate) expires: Option<i64>,
    pub(crate) last_renewal: Option<i64>,
    /// Whether a token was ever made with this one. While this is false there is nothing to look for when it is revoked,
    /// and making the first one conflicts with revoking it.
    pub(crate) has_children: bool,
    /// From where it may be used; empty for everywhere.
    pub(crate) bound_cidrs: Vec<Cidr>,
    /// What the auth method of its login wants to know at renewal.
    pub(crate) internal: Map<String, Json>,
}

/// A token in the cache.
pub(crate) struct Known {
    pub(crate) identified: Identified,
    spent: bool,
    bound_cidrs: Vec<Cidr>,
}

impl Known {
    /// Whether it stands for anybody at this time and from this address.
    pub(crate) fn valid(&self, peer: IpAddr, now: Timestamp) -> bool {
        !self.spent
            && self.identified.expires.is_none_or(|end| now < end)
            && Cidr::any_contains(&self.bound_cidrs, peer)
    }
}

impl TokenRecord {
    pub(crate) fn valid(&self, now: Timestamp) -> bool {
        !self.spent && self.expires.is_none_or(|end| now < Timestamp::from_nanos(end))
    }

    pub(crate) fn created(&self) -> Timestamp {
        Timestamp::from_nanos(self.created)
    }

    pub(crate) fn known(self, name: String) -> Known {
        let expires = self.expires.map(Timestamp::from_nanos);
        let caller = Caller {
            token: name,
            root: self.policies.iter().any(|policy| policy == "root"),
            orphan: self.parent.is_empty(),
            accessor: self.accessor,
            display_name: self.display_name,
            policies: self.policies,
            metadata: self.meta,
            entity_id: self.entity_id,
            kind: TokenKind::Service.name(),
            ttl: self.creation_ttl,
            issued: Timestamp::from_nanos(self.created),
        };
        Known {
            identified: Identified { caller: Arc::new(caller), remaining_uses: self.num_uses, expires },
            spent: self.spent,
            bound_cidrs: self.bound_cidrs,
        }
    }

    pub(crate) fn put(&self, view: &View<'_>, name: &str) -> Result<(), Error> {
        names::write(view, &format!("{}{name}", names::TOKENS), self)
    }

    /// Sets when it ends, in the record and in the index of deadlines. The record is not written.
    pub(crate) fn end_at(&mut self, view: &View<'_>, name: &str, end: Option<Timestamp>) -> Result<(), Error> {
        if let Some(old) = self.expires {
            view.delete(&deadline(Timestamp::from_nanos(old), name))?;
        }
        self.expires = end.map(Timestamp::nanos);
        match end {
            Some(end) => view.put(&deadline(end, name), Secret::transient(b"token".to_vec())),
            None => Ok(()),
        }
    }

    /// In the form of `auth/token/lookup`.
    pub(crate) fn to_json(&self, id: String, now: Timestamp) -> Map<String, Json> {
        let expires = self.expires.map(Timestamp::from_nanos);
        let mut map = Map::new();
        let mut set = |name: &str, value: Json| drop(map.insert(name.to_owned(), value));
        set("accessor", self.accessor.as_str().into());
        if !self.bound_cidrs.is_empty() {
            set("bound_cidrs", self.bound_cidrs.iter().map(Cidr::to_string).collect::<Vec<_>>().into());
        }
        set("creation_time", self.created().secs().into());
        set("creation_ttl", self.creation_ttl.into());
        set("display_name", self.display_name.as_str().into());
        set("entity_id", self.entity_id.as_str().into());
        set("expire_time", expires.map_or(Json::Null, |at| at.to_string().into()));
        set("explicit_max_ttl", self.explicit_max_ttl.into());
        set("id", id.into());
        set("issue_time", self.created().to_string().into());
        if let Some(at) = self.last_renewal.map(Timestamp::from_nanos) {
            set("last_renewal", at.to_string().into());
            set("last_renewal_time", at.secs().into());
        }
        let meta = || self.meta.iter().map(|(k, v)| (k.clone(), Json::from(v.as_str()))).collect();
        set("meta", if self.meta.is_empty() { Json::Null } else { Json::Object(meta()) });
        // Vault's number for a token that is on its last use; 0 would say that there is no limit.
        set("num_uses", if self.spent { (-1).into() } else { self.num_uses.into() });
        set("orphan", self.parent.is_empty().into());
        set("path", self.path.as_str().into());
        if self.period > 0 {
            set("period", self.period.into());
        }
        set("policies", self.policies.clone().into());
        set("renewable", self.renewable.into());
        // Rounded up: what has not ended has a second left.
        let left = expires.map_or(Duration::ZERO, |at| at.since(now)) + Duration::from_nanos(999_999_999);
        set("ttl", left.as_secs().into());
        set("type", TokenKind::Service.name().into());
        map
    }
}

/// The record of the index of deadlines for something that ends at `end`. Never before its end: seconds are rounded up.
pub(crate) fn deadline(end: Timestamp, id: &str) -> String {
    let second = end.plus(Duration::from_nanos(999_999_999)).secs().max(0);
    format!("{}{:07}/{second:011}/{id}", names::DEADLINES, second / 3600)
}
