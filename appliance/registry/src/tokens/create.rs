//! Making tokens. The sentences of refusals are Vault's.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_lc_rs::hmac;
use framework::{Auth, Caller, Error, MountInfo, Rng, Secret, Timestamp, TokenKind, View};

use super::lifetime::{self, Wish};
use super::record::TokenRecord;
use super::rules::{child_policies, display_name, login_name, sanitized};
use super::{Name, read_record};
use crate::registry::Registry;
use crate::{names, random};

/// What `auth/token/create` asks for.
#[derive(Debug)]
pub struct TokenSpec {
    /// The token's text; for callers with `sudo` only. `None` leaves it to chance.
    pub id: Option<Secret>,
    /// The policies; empty takes the parent's.
    pub policies: Vec<String>,
    /// Metadata, shown in the audit log and in look-ups.
    pub meta: BTreeMap<String, String>,
    /// Make an orphan. Needs `sudo`, unless `orphan_allowed`.
    pub no_parent: bool,
    /// The request came to a path that makes orphans (`create-orphan`), and was allowed.
    pub orphan_allowed: bool,
    /// Do not add the policy `default`.
    pub no_default_policy: bool,
    /// Whether it can be renewed.
    pub renewable: bool,
    /// Lifetime; zero takes the mount's default.
    pub ttl: Duration,
    /// It cannot live longer than this; zero for no own limit.
    pub explicit_max_ttl: Duration,
    /// Renewal always sets this lifetime. Needs `sudo`.
    pub period: Duration,
    /// Shown in the audit log behind `token-`.
    pub display_name: String,
    /// How often it may be used; 0 for any number.
    pub num_uses: u64,
    /// The kind.
    pub kind: TokenKind,
    /// The path of the request, which look-ups show.
    pub path: &'static str,
}

impl Default for TokenSpec {
    fn default() -> Self {
        Self {
            id: None,
            policies: Vec::new(),
            meta: BTreeMap::new(),
            no_parent: false,
            orphan_allowed: false,
            no_default_policy: false,
            renewable: true,
            ttl: Duration::ZERO,
            explicit_max_ttl: Duration::ZERO,
            period: Duration::ZERO,
            display_name: String::new(),
            num_uses: 0,
            kind: TokenKind::Service,
            path: "auth/token/create",
        }
    }
}

/// A token that was made or renewed, and what its owner should know.
#[derive(Debug)]
pub struct Issued {
    /// For the answer. [`Auth::ttl`] is the lifetime that was granted, zero for ever.
    pub auth: Auth,
    /// For the answer.
    pub warnings: Vec<String>,
}

impl Registry {
    /// Makes a token for a caller, by the rules of `auth/token/create`. `mount` is the token mount. Whether the caller has
    /// `sudo` on `spec.path` is found out here.
    pub fn create_token(
        &self,
        view: &View<'_>,
        parent: &Caller,
        mount: &MountInfo,
        spec: TokenSpec,
        now: Timestamp,
    ) -> Result<Issued, Error> {
        let sudo = self
            .acl_in(view, &parent.policies, now)?
            .capabilities(spec.path)
            .iter()
            .any(|c| matches!(*c, "sudo" | "root"));
        let Some(mut parent_record) = read_record(view, &parent.token)? else { return Err(Error::Denied) };
        if parent_record.num_uses > 0 || parent_record.spent {
            return Err(Error::invalid("restricted use token cannot generate child tokens"));
        }
        if spec.kind == TokenKind::Batch {
            return Err(Error::field("type", "batch tokens are not supported by this version; use type \"service\""));
        }
        let orphan = spec.orphan_allowed || (spec.no_parent && sudo);
        if spec.no_parent && !orphan {
            return Err(Error::field("no_parent", "root or sudo privileges required to create orphan token"));
        }
        if spec.id.is_some() && !sudo {
            return Err(Error::field("id", "root or sudo privileges required to specify token id"));
        }
        let policies = child_policies(&spec, parent, sudo)?;
        let root = policies.iter().any(|policy| policy == "root");
        if root && !parent.root {
            return Err(Error::field("policies", "root tokens may not be created without parent token being root"));
        }
        if !spec.period.is_zero() && !sudo {
            return Err(Error::field("period", "root or sudo privileges required to create periodic token"));
        }

        let mut warnings = Vec::new();
        let wish =
            Wish { ttl: spec.ttl, period: spec.period, explicit_max_ttl: spec.explicit_max_ttl, ..Wish::default() };
        let forever = root && spec.ttl.is_zero() && spec.period.is_zero() && spec.explicit_max_ttl.is_zero();
        if forever && parent_record.expires.is_some() {
            return Err(Error::invalid("expiring root tokens cannot create non-expiring root tokens"));
        }
        let ttl = if forever { Duration::ZERO } else { lifetime::granted(wish, mount, now, now, &mut warnings)? };
        for policy in &policies {
            if !self.policy_exists(view, policy)? {
                warnings.push(format!("Policy {policy:?} does not exist"));
            }
        }
        let record = TokenRecord {
            parent: if orphan { String::new() } else { parent.token.clone() },
            policies,
            path: spec.path.to_owned(),
            meta: spec.meta,
            display_name: display_name(&spec.display_name),
            entity_id: if orphan { String::new() } else { parent.entity_id.clone() },
            num_uses: spec.num_uses,
            explicit_max_ttl: spec.explicit_max_ttl.as_secs(),
            period: spec.period.as_secs(),
            renewable: spec.renewable && !forever,
            ..TokenRecord::default()
        };
        if !orphan && !parent_record.has_children {
            parent_record.has_children = true;
            parent_record.put(view, &parent.token)?;
        }
        let auth = stage(view, &self.open()?.tokens.key, &*self.rng, record, spec.id, ttl, now)?;
        Ok(Issued { auth, warnings })
    }

    /// Makes the token that a login asks for, and completes `auth` with it. `mount` is the auth mount, `path` that of the
    /// request, which look-ups show. Returns warnings for the answer.
    pub fn issue_token(
        &self,
        view: &View<'_>,
        auth: &mut Auth,
        mount: &MountInfo,
        path: &str,
        now: Timestamp,
    ) -> Result<Vec<String>, Error> {
        let policies = sanitized(&auth.policies, !auth.no_default_policy);
        if policies.iter().any(|policy| policy == "root") {
            return Err(Error::invalid("auth methods cannot create root tokens"));
        }
        if mount.token_rule.decide(auth.kind) == TokenKind::Batch {
            return Err(Error::invalid(
                "batch tokens are not supported by this version; set the role's token_type to \"service\"",
            ));
        }
        let mut warnings = Vec::new();
        let wish =
            Wish { ttl: auth.ttl, max_ttl: auth.max_ttl, period: auth.period, explicit_max_ttl: auth.explicit_max_ttl };
        let ttl = lifetime::granted(wish, mount, now, now, &mut warnings)?;
        let record = TokenRecord {
            policies,
            path: path.to_owned(),
            meta: auth.metadata.clone(),
            display_name: login_name(&mount.path, &auth.display_name),
            entity_id: auth.entity_id.clone(),
            num_uses: auth.num_uses,
            max_ttl: auth.max_ttl.as_secs(),
            explicit_max_ttl: auth.explicit_max_ttl.as_secs(),
            period: auth.period.as_secs(),
            renewable: auth.renewable,
            bound_cidrs: std::mem::take(&mut auth.bound_cidrs),
            internal: std::mem::take(&mut auth.internal),
            ..TokenRecord::default()
        };
        *auth = stage(view, &self.open()?.tokens.key, &*self.rng, record, None, ttl, now)?;
        Ok(warnings)
    }

    /// Makes a root token without parent and without end.
    pub fn create_root(&self, view: &View<'_>, token: Option<&Secret>, now: Timestamp) -> Result<Secret, Error> {
        create_root(view, &self.open()?.tokens.key, &*self.rng, token, now)
    }
}

pub(crate) fn create_root(
    view: &View<'_>,
    key: &hmac::Key,
    rng: &dyn Rng,
    token: Option<&Secret>,
    now: Timestamp,
) -> Result<Secret, Error> {
    let record = TokenRecord {
        policies: vec!["root".to_owned()],
        path: "auth/token/root".to_owned(),
        display_name: "root".to_owned(),
        ..TokenRecord::default()
    };
    let id = token.map(Secret::try_clone).transpose()?;
    // The operator chose it, so it may look like one that the server made.
    let auth = stage_named(view, key, rng, record, id, Duration::ZERO, now)?;
    auth.client_token.ok_or_else(|| Error::internal("a token was made without a text"))
}

/// Checks a text that was asked for, then stages the token.
fn stage(
    view: &View<'_>,
    key: &hmac::Key,
    rng: &dyn Rng,
    record: TokenRecord,
    id: Option<Secret>,
    ttl: Duration,
    now: Timestamp,
) -> Result<Auth, Error> {
    if let Some(id) = &id {
        let text = std::str::from_utf8(id.expose()).unwrap_or_default();
        let complaint = ["hvs.", "hvb.", "hvr.", "s.", "b.", "r."].iter().find(|prefix| text.starts_with(**prefix));
        if let Some(prefix) = complaint {
            return Err(Error::field("id", format!("custom token ID cannot have the '{prefix}' prefix")));
        }
        if text.contains('.') {
            return Err(Error::field("id", "custom token ID cannot have a '.' in the value"));
        }
        if text.is_empty() || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(Error::field("id", "custom token ID cannot be empty or hold blanks or control characters"));
        }
    }
    stage_named(view, key, rng, record, id, ttl, now)
}

/// Stages the records of a token: itself, its accessor, its parent's index, its deadline.
fn stage_named(
    view: &View<'_>,
    key: &hmac::Key,
    rng: &dyn Rng,
    mut record: TokenRecord,
    id: Option<Secret>,
    ttl: Duration,
    now: Timestamp,
) -> Result<Auth, Error> {
    let chosen = id.is_some();
    let token = id.unwrap_or_else(|| Secret::transient(random::base62(rng, b"hvs.", 24)));
    let name = Name::of(key, token.expose()).text();
    // A made name is new by chance; only a chosen one can be taken.
    if chosen && read_record(view, &name)?.is_some() {
        return Err(Error::field("id", "cannot create a token with a duplicate ID"));
    }
    record.accessor = random::accessor(rng);
    record.created = now.nanos();
    record.creation_ttl = ttl.as_secs();
    record.ttl = ttl.as_secs();
    if !ttl.is_zero() {
        record.end_at(view, &name, Some(now.plus(ttl)))?;
    }
    record.put(view, &name)?;
    view.put(&format!("{}{}", names::ACCESSORS, record.accessor), Secret::from(name.as_str()))?;
    if !record.parent.is_empty() {
        view.put(&format!("{}{}/{name}", names::PARENTS, record.parent), Secret::transient(b"token".to_vec()))?;
    }
    Ok(record.into_auth(Some(token)))
}

impl TokenRecord {
    /// As an answer shows it.
    pub(crate) fn into_auth(self, token: Option<Secret>) -> Auth {
        Auth {
            client_token: token,
            orphan: self.parent.is_empty(),
            no_default_policy: false,
            accessor: self.accessor,
            policies: self.policies,
            display_name: self.display_name,
            metadata: self.meta,
            ttl: Duration::from_secs(self.ttl),
            max_ttl: Duration::from_secs(self.max_ttl),
            explicit_max_ttl: Duration::from_secs(self.explicit_max_ttl),
            period: Duration::from_secs(self.period),
            renewable: self.renewable,
            num_uses: self.num_uses,
            kind: TokenKind::Service,
            entity_id: self.entity_id,
            bound_cidrs: self.bound_cidrs,
            internal: self.internal,
        }
    }
}
