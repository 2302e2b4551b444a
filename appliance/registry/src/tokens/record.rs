//! The record of a token.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use framework::{Auth, Caller, Cidr, Error, Json, Map, MountId, Secret, Timestamp, TokenKind, View};
use serde::{Deserialize, Serialize};

use super::Identified;
use crate::{critical, leases, names};

/// All that is known of a token. Times are nanoseconds since 1970, lifetimes seconds. What is not said is not written: a
/// batch token carries its record with it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct TokenRecord {
    /// A batch token: the record is the token's own, and not stored.
    #[serde(skip_serializing_if = "unsaid")]
    pub(crate) batch: bool,
    /// The name of the token it was made with; empty for an orphan.
    #[serde(skip_serializing_if = "unsaid")]
    pub(crate) parent: String,
    /// Sorted.
    pub(crate) policies: Vec<String>,
    /// The path of the request that made it.
    pub(crate) path: String,
    /// The token role it was made by.
    #[serde(skip_serializing_if = "unsaid")]
    pub(crate) role: String,
    #[serde(skip_serializing_if = "unsaid")]
    pub(crate) meta: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "unsaid")]
    pub(crate) display_name: String,
    #[serde(skip_serializing_if = "unsaid")]
    pub(crate) entity_id: String,
    /// Uses left; 0 for any number.
    #[serde(skip_serializing_if = "unsaid")]
    pub(crate) num_uses: u64,
    /// The last use was made: it is valid no more.
    #[serde(skip_serializing_if = "unsaid")]
    pub(crate) spent: bool,
    pub(crate) created: i64,
    #[serde(skip_serializing_if = "unsaid")]
    pub(crate) creation_ttl: u64,
    /// The lifetime that was last granted; 0 for ever.
    #[serde(skip_serializing_if = "unsaid")]
    pub(crate) ttl: u64,
    #[serde(skip_serializing_if = "unsaid")]
    pub(crate) max_ttl: u64,
    #[serde(skip_serializing_if = "unsaid")]
    pub(crate) explicit_max_ttl: u64,
    #[serde(skip_serializing_if = "unsaid")]
    pub(crate) period: u64,
    #[serde(skip_serializing_if = "unsaid")]
    pub(crate) renewable: bool,
    #[serde(skip_serializing_if = "unsaid")]
    pub(crate) expires: Option<i64>,
    #[serde(skip_serializing_if = "unsaid")]
    pub(crate) last_renewal: Option<i64>,
    /// Whether a token was ever made with this one. While this is false there is nothing to look for when it is revoked,
    /// and making the first one conflicts with revoking it.
    #[serde(skip_serializing_if = "unsaid")]
    pub(crate) has_children: bool,
    /// The same for secrets that were leased to it.
    #[serde(skip_serializing_if = "unsaid")]
    pub(crate) has_leases: bool,
    /// From where it may be used; empty for everywhere.
    #[serde(skip_serializing_if = "unsaid")]
    pub(crate) bound_cidrs: Vec<Cidr>,
    /// What the auth method of its login wants to know at renewal.
    #[serde(skip_serializing_if = "unsaid")]
    pub(crate) internal: Map<String, Json>,
}

fn unsaid<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A token in the cache.
pub(crate) struct Known {
    pub(crate) identified: Identified,
    spent: bool,
    bound_cidrs: Vec<Cidr>,
}

impl Known {
    /// Whether it has neither ended nor been used up.
    pub(crate) fn lives(&self, now: Timestamp) -> bool {
        !self.spent && self.identified.caller.expires.is_none_or(|end| now < end)
    }

    /// Whether it may be used from this address.
    pub(crate) fn admits(&self, peer: IpAddr) -> bool {
        Cidr::any_contains(&self.bound_cidrs, peer)
    }
}

impl TokenRecord {
    pub(crate) fn valid(&self, now: Timestamp) -> bool {
        !self.spent && self.expires().is_none_or(|end| now < end)
    }

    pub(crate) fn created(&self) -> Timestamp {
        Timestamp::from_nanos(self.created)
    }

    pub(crate) fn expires(&self) -> Option<Timestamp> {
        self.expires.map(Timestamp::from_nanos)
    }

    pub(crate) fn kind(&self) -> TokenKind {
        if self.batch { TokenKind::Batch } else { TokenKind::Service }
    }

    /// The token's accessor; batch tokens have none.
    fn accessor(&self, name: &str) -> String {
        if self.batch { String::new() } else { name.to_owned() }
    }

    pub(crate) fn known(self, name: &str) -> Known {
        let caller = Caller {
            token: name.to_owned(),
            owner: if self.batch { self.parent.clone() } else { name.to_owned() },
            root: self.is_root(),
            orphan: self.parent.is_empty(),
            accessor: self.accessor(name),
            kind: self.kind().name(),
            issued: self.created(),
            expires: self.expires(),
            display_name: self.display_name,
            policies: self.policies.into(),
            metadata: self.meta,
            entity_id: self.entity_id,
            ttl: self.creation_ttl,
        };
        Known {
            identified: Identified { caller: Arc::new(caller), remaining_uses: self.num_uses },
            spent: self.spent,
            bound_cidrs: self.bound_cidrs,
        }
    }

    /// Whether it is a root token: its record is one of those that the seal wraps.
    pub(crate) fn is_root(&self) -> bool {
        self.policies.iter().any(|policy| policy == "root")
    }

    /// Stages the record. `view` is rooted at the whole store.
    pub(crate) fn put(&self, view: &View<'_>, name: &str) -> Result<(), Error> {
        let view = view.below("", MountId::default(), if self.is_root() { critical::EVERY } else { &[] })?;
        names::write(&view, &format!("{}{name}", names::TOKENS), self)
    }

    /// Stages the removal of all records of this token but those in its cubbyhole.
    pub(crate) fn delete(&self, view: &View<'_>, name: &str) -> Result<(), Error> {
        view.delete(&format!("{}{name}", names::TOKENS))?;
        view.delete(&leases::record_name(&self.lease_id(name)))?;
        if !self.parent.is_empty() {
            view.delete(&format!("{}{}/{name}", names::PARENTS, self.parent))?;
        }
        match self.expires() {
            Some(end) => view.delete(&leases::deadline(end, name)),
            None => Ok(()),
        }
    }

    /// The token as a lease: the path that made it, and its name.
    pub(crate) fn lease_id(&self, name: &str) -> String {
        leases::id_of_token(&self.path, name)
    }

    /// Sets when it ends, in the record and in the index of deadlines. The record is not written.
    pub(crate) fn end_at(&mut self, view: &View<'_>, name: &str, end: Option<Timestamp>) -> Result<(), Error> {
        if let Some(old) = self.expires() {
            view.delete(&leases::deadline(old, name))?;
        }
        self.expires = end.map(Timestamp::nanos);
        match end {
            Some(end) => view.put(&leases::deadline(end, name), names::mark()),
            None => Ok(()),
        }
    }

    /// As an answer shows it.
    pub(crate) fn into_auth(self, name: &str, token: Option<Secret>) -> Auth {
        Auth {
            client_token: token,
            orphan: self.parent.is_empty(),
            no_default_policy: false,
            accessor: self.accessor(name),
            kind: self.kind(),
            policies: self.policies,
            display_name: self.display_name,
            metadata: self.meta,
            ttl: Duration::from_secs(self.ttl),
            max_ttl: Duration::from_secs(self.max_ttl),
            explicit_max_ttl: Duration::from_secs(self.explicit_max_ttl),
            period: Duration::from_secs(self.period),
            renewable: self.renewable,
            num_uses: self.num_uses,
            entity_id: self.entity_id,
            bound_cidrs: self.bound_cidrs,
            internal: self.internal,
        }
    }

    /// In the form of `auth/token/lookup`. `id` is the token's text, if it may be shown.
    pub(crate) fn to_json(&self, name: &str, id: String, now: Timestamp) -> Map<String, Json> {
        let expires = self.expires();
        let mut map = Map::new();
        let mut set = |name: &str, value: Json| drop(map.insert(name.to_owned(), value));
        set("accessor", self.accessor(name).into());
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
        if !self.role.is_empty() {
            set("role", self.role.as_str().into());
        }
        set("ttl", leases::left(expires, now).into());
        set("type", self.kind().name().into());
        map
    }
}
